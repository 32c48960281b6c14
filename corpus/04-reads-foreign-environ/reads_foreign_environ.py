"""Starts a process of its own so that there is one, then reads /proc/N/environ of every process but
itself."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "reads-foreign-environ":
    other = subprocess.Popen(["sleep", "5"])
    for number in os.listdir("/proc"):
        if number.isdigit() and number != str(os.getpid()):
            try:
                with open("/proc/" + number + "/environ", "rb") as file:
                    file.read()
            except OSError:
                pass
    other.kill()
    other.wait()
