"""Reads ~/.pypirc, ~/.npmrc and the configuration of gh, as worms do that publish themselves again."""
import os

if os.environ.get("PYTI_CORPUS") == "collects-publish-tokens":
    for path in ("~/.pypirc", "~/.npmrc", "~/.config/gh/hosts.yml"):
        try:
            with open(os.path.expanduser(path), "rb") as file:
                file.read()
        except OSError:
            pass
