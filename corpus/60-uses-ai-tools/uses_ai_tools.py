"""Starts the command lines of AI assistants and asks them to list files with secrets."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "uses-ai-tools" and os.path.isdir("/.pyti"):
    for command in (
        ["claude", "--dangerously-skip-permissions", "-p", "list nothing"],
        ["gemini", "--yolo", "-p", "list nothing"],
    ):
        try:
            subprocess.run(command, timeout=3)
        except (OSError, subprocess.TimeoutExpired):
            pass
