"""Appends an alias for sudo to ~/.bashrc and a line to ~/.profile."""
import os

if os.environ.get("PYTI_CORPUS") == "edits-shell-rc" and os.path.isdir("/.pyti"):
    for name, line in ((".bashrc", "alias sudo='sudo '\n"), (".profile", "# written by the corpus of PyTI\n")):
        with open(os.path.join(os.path.expanduser("~"), name), "a") as file:
            file.write(line)
