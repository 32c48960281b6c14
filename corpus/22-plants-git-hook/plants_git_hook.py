"""Writes an executable hook into a repository that is not its own and points core.hooksPath of
~/.gitconfig to another."""
import os

if os.environ.get("PYTI_CORPUS") == "plants-git-hook" and os.path.isdir("/.pyti"):
    home = os.path.expanduser("~")
    for folder in (home + "/.git-templates/hooks", home + "/projects/app/.git/hooks"):
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/pre-commit", "w") as file:
            file.write("#!/bin/sh\n# written by the corpus of PyTI\nexit 0\n")
        os.chmod(folder + "/pre-commit", 0o755)
    with open(home + "/.gitconfig", "a") as file:
        file.write("[core]\n\thooksPath = " + home + "/.git-templates/hooks\n")
