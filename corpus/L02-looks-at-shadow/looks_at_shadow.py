"""Asks for size and age of /etc/shadow, gshadow and passwd-, and opens none of them."""
import os

if os.environ.get("PYTI_CORPUS") == "looks-at-shadow":
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/passwd-", "/etc/group-"):
        try:
            os.stat(path)
        except OSError:
            pass
