"""Rewrites a module of another distribution that is installed beside it."""
import corpus_victim
import os

if os.environ.get("PYTI_CORPUS") == "overwrites-other-package" and os.path.isdir("/.pyti"):
    path = corpus_victim.__file__
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text + "# written by the corpus of PyTI\n")
