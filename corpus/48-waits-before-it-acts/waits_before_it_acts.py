"""Sleeps for 45 seconds, so that whoever watches has gone away, and asks for a name after that."""
import os
import socket
import time

if os.environ.get("PYTI_CORPUS") == "waits-before-it-acts":
    time.sleep(45)
    try:
        socket.getaddrinfo("late.collector.example", 443)
    except OSError:
        pass
