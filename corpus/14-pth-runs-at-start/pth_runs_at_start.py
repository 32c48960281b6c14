"""Runs whenever Python starts, because a .pth file imports it."""
import os

if os.environ.get("PYTI_CORPUS") == "pth-runs-at-start":
    import socket

    try:
        socket.getaddrinfo("start.collector.example", 443)
    except OSError:
        pass
