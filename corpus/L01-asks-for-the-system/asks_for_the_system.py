"""Runs uname, lsb_release, getopt and cut, and reads the files that tell the system's name, as pip
does."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "asks-for-the-system":
    for command in (["uname", "-rs"], ["lsb_release", "-a"], ["getopt", "--version"], ["cut", "--version"]):
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5)
        except OSError:
            pass
    for path in ("/etc/os-release", "/etc/debian_version", "/proc/self/maps", "/proc/self/cgroup"):
        try:
            with open(path, "rb") as file:
                file.read()
        except OSError:
            pass
