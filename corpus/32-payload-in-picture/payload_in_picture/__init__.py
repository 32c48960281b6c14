"""Reads the name of a host from a comment in a picture of its own, and connects to it."""
import os
import socket

if os.environ.get("PYTI_CORPUS") == "payload-in-picture":
    with open(os.path.join(os.path.dirname(__file__), "logo.png"), "rb") as file:
        name = file.read().split(b"next: ")[1].split(b".example")[0].decode() + ".example"
    try:
        socket.create_connection((name, 443), timeout=3).close()
    except OSError:
        pass
