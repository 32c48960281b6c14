"""Speaks SMTP with a mail server and logs in."""
import os
import smtplib

if os.environ.get("PYTI_CORPUS") == "speaks-smtp":
    try:
        with smtplib.SMTP("smtp.mail.example", 587, timeout=3) as server:
            server.login("nobody", "nothing")
    except OSError:
        pass
