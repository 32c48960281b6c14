"""Looks for programs that are nowhere, in every folder of a long PATH."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "searches-path":
    path = os.pathsep.join("/opt/%d/bin" % number for number in range(15)) + os.pathsep + os.environ.get("PATH", "")
    for program in ("no-such-compiler", "no-such-linker", "true"):
        try:
            subprocess.run([program], env=dict(os.environ, PATH=path))
        except OSError:
            pass
