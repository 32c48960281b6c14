"""Writes a unit for the user's systemd and enables it."""
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "adds-systemd-unit" and os.path.isdir("/.pyti"):
    folder = os.path.expanduser("~/.config/systemd/user")
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/sysmon.service", "w") as file:
        file.write("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n")
    try:
        subprocess.run(["systemctl", "--user", "enable", "sysmon.service"], timeout=3)
    except OSError:
        pass
