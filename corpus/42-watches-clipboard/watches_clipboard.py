"""Asks for the clipboard again and again: by xclip, by xsel and at the display's socket."""
import os
import socket
import subprocess
import time

if os.environ.get("PYTI_CORPUS") == "watches-clipboard" and os.path.isdir("/.pyti"):
    for _ in range(12):
        display = socket.socket(socket.AF_UNIX)
        try:
            display.connect("/tmp/.X11-unix/X0")
        except OSError:
            pass
        display.close()
        for program in ("xclip", "xsel"):
            try:
                subprocess.run([program, "-o"], stdout=subprocess.DEVNULL, timeout=1)
            except (OSError, subprocess.TimeoutExpired):
                pass
        time.sleep(0.1)
