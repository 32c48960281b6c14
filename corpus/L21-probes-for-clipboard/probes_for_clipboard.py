"""Reads /proc/version and looks for xclip, xsel and others, as pyperclip does; it runs none."""
import os
import shutil

if os.environ.get("PYTI_CORPUS") == "probes-for-clipboard":
    with open("/proc/version", "rb") as file:
        file.read()
    for program in ("xclip", "xsel", "wl-copy", "wl-paste", "pbcopy", "klipper", "qdbus"):
        shutil.which(program)
