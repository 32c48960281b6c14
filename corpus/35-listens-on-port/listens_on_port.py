"""Listens on a fixed port of every address and waits half a second for somebody."""
import os
import socket

if os.environ.get("PYTI_CORPUS") == "listens-on-port" and os.path.isdir("/.pyti"):
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 4443))
        listener.listen()
        listener.settimeout(0.5)
        try:
            listener.accept()
        except OSError:
            pass
