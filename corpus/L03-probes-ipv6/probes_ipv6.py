"""Binds a socket to port 0 of [::1] and closes it, as urllib3 does when it is imported."""
import os
import socket

if os.environ.get("PYTI_CORPUS") == "probes-ipv6":
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pass
