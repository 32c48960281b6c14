"""Opens the devices of keyboards, connects to the display and runs programs for screenshots."""
import os
import socket
import subprocess

if os.environ.get("PYTI_CORPUS") == "listens-to-keys" and os.path.isdir("/.pyti"):
    for number in range(4):
        try:
            open("/dev/input/event%d" % number, "rb").close()
        except OSError:
            pass
    display = socket.socket(socket.AF_UNIX)
    try:
        display.connect("/tmp/.X11-unix/X0")
    except OSError:
        pass
    display.close()
    for program in ("scrot", "grim"):
        try:
            subprocess.run([program, "/tmp/screen.png"], timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            pass
