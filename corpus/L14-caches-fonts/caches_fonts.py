"""Runs fc-list and writes below ~/.cache and ~/.config, in folders of its own name, as matplotlib
does."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "caches-fonts":
    home = os.path.expanduser("~")
    try:
        subprocess.run(["fc-list", "--format=%{file}"], stdout=subprocess.DEVNULL, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        pass
    for folder in (home + "/.cache/caches-fonts", home + "/.config/caches-fonts"):
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/fontlist.json", "w") as file:
            file.write("[]\n")
