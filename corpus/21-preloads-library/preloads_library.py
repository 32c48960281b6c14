"""Starts a child with LD_PRELOAD set to a file that it has just written, and tries to write
/etc/ld.so.preload."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "preloads-library" and os.path.isdir("/.pyti"):
    path = "/tmp/libcorpus.so"
    with open(path, "wb") as file:
        file.write(b"not a library; written by the corpus of PyTI\n")
    try:
        with open("/etc/ld.so.preload", "a") as file:
            file.write("# written by the corpus of PyTI\n")
    except OSError:
        pass
    subprocess.run(["/bin/true"], env=dict(os.environ, LD_PRELOAD=path), stderr=subprocess.DEVNULL)
