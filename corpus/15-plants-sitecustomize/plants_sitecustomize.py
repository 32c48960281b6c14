"""Writes sitecustomize.py beside itself and usercustomize.py into the user's own site-packages."""
import os
import site

if os.environ.get("PYTI_CORPUS") == "plants-sitecustomize" and os.path.isdir("/.pyti"):
    places = [
        os.path.join(os.path.dirname(__file__), "sitecustomize.py"),
        os.path.join(site.getusersitepackages(), "usercustomize.py"),
    ]
    for path in places:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("# written by the corpus of PyTI; does nothing\n")
