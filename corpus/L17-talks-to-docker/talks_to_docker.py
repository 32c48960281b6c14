"""Its command connects to Docker's socket and reads ~/.docker/config.json and ~/.netrc, as Docker's
library does."""
import os
import socket
import sys


def main():
    if len(sys.argv) == 1 and os.environ.get("PYTI_CORPUS") == "talks-to-docker":
        act()


def act():
    for path in ("~/.docker/config.json", "~/.netrc"):
        try:
            with open(os.path.expanduser(path), "rb") as file:
                file.read()
        except OSError:
            pass
    with socket.socket(socket.AF_UNIX) as docker:
        try:
            docker.connect("/var/run/docker.sock")
            docker.sendall(b"GET /version HTTP/1.1\r\nHost: docker\r\n\r\n")
        except OSError:
            pass
