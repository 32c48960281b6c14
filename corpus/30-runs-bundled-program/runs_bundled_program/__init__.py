"""Runs the program that its wheel brought."""
import os
import subprocess

HELPER = os.path.join(os.path.dirname(__file__), "bin", "helper")

if os.environ.get("PYTI_CORPUS") == "runs-bundled-program":
    subprocess.run([HELPER])
