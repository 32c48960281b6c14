"""Starts children that wait, until the system refuses or there are seven hundred."""
import os
import signal
import time

if os.environ.get("PYTI_CORPUS") == "forks-until-it-cannot" and os.path.isdir("/.pyti"):
    children = []
    try:
        while len(children) < 700:
            child = os.fork()
            if child == 0:
                time.sleep(20)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    time.sleep(3)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
