"""Its command reads command line, status and environment of every process, as psutil does."""
import os
import sys


def main():
    if len(sys.argv) == 1 and os.environ.get("PYTI_CORPUS") == "lists-processes":
        act()


def act():
    for number in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "status", "stat", "environ", "maps"):
            try:
                with open("/proc/%s/%s" % (number, name), "rb") as file:
                    file.read()
            except OSError:
                pass
