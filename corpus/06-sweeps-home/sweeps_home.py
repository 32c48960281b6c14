"""Walks through the whole home folder and reads the first bytes of every file."""
import os

if os.environ.get("PYTI_CORPUS") == "sweeps-home":
    for folder, folders, names in os.walk(os.path.expanduser("~")):
        folders[:] = [name for name in folders if name not in ("venv", "src")]
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    file.read(64)
            except OSError:
                pass
