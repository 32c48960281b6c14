"""Connects to the session bus, where the secret service is, and runs secret-tool."""
import os
import socket
import subprocess

if os.environ.get("PYTI_CORPUS") == "asks-keyring":
    bus = socket.socket(socket.AF_UNIX)
    try:
        bus.connect("/run/user/%d/bus" % os.getuid())
        bus.sendall(b"\0AUTH EXTERNAL\r\n")
    except OSError:
        pass
    bus.close()
    try:
        subprocess.run(["secret-tool", "search", "--all", "service", "login"], timeout=3)
    except OSError:
        pass
