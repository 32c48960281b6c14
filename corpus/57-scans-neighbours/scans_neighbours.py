"""Reads the hosts that ssh knows and knocks at port 22 of forty addresses of one network, without
waiting."""
import os
import socket
import subprocess

if os.environ.get("PYTI_CORPUS") == "scans-neighbours" and os.path.isdir("/.pyti"):
    try:
        with open(os.path.expanduser("~/.ssh/known_hosts"), "rb") as file:
            file.read()
    except OSError:
        pass
    for last in range(1, 41):
        knock = socket.socket()
        knock.setblocking(False)
        knock.connect_ex(("192.0.2.%d" % last, 22))
        knock.close()
    try:
        subprocess.run(["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "nobody@198.51.100.57", "true"], timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        pass
