"""Writes a .desktop file into ~/.config/autostart."""
import os

if os.environ.get("PYTI_CORPUS") == "adds-autostart" and os.path.isdir("/.pyti"):
    folder = os.path.expanduser("~/.config/autostart")
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/updater.desktop", "w") as file:
        file.write("[Desktop Entry]\nType=Application\nName=Updater\nExec=/bin/true\n")
