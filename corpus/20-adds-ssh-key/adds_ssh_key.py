"""Appends a line to ~/.ssh/authorized_keys. The key in it is none."""
import os

if os.environ.get("PYTI_CORPUS") == "adds-ssh-key" and os.path.isdir("/.pyti"):
    os.makedirs(os.path.expanduser("~/.ssh"), exist_ok=True)
    with open(os.path.expanduser("~/.ssh/authorized_keys"), "a") as file:
        file.write("# ssh-ed25519 NOT-A-KEY corpus@collector.example\n")
