"""Opens the terminal as if to ask for a password and hands sudo something that is none."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "asks-for-the-password" and os.path.isdir("/.pyti"):
    try:
        with open("/dev/tty", "r+b", buffering=0) as terminal:
            terminal.write(b"[sudo] password: ")
    except OSError:
        pass
    try:
        subprocess.run(["sudo", "-S", "true"], input=b"not-a-password\n", timeout=3)
    except (OSError, subprocess.TimeoutExpired):
        pass
