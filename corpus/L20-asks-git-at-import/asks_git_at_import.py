"""Runs `git version` and reads ~/.gitconfig, as GitPython does."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "asks-git-at-import":
    try:
        subprocess.run(["git", "version"], stdout=subprocess.DEVNULL)
    except OSError:
        pass
    try:
        with open(os.path.expanduser("~/.gitconfig"), "rb") as file:
            file.read()
    except OSError:
        pass
