"""Forks twice, begins a session of its own, gives itself the name of a kernel thread and stays."""
import ctypes
import os
import time

if os.environ.get("PYTI_CORPUS") == "stays-after-install" and os.path.isdir("/.pyti"):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, b"kworker/0:1", 0, 0, 0)
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            time.sleep(20)
        os._exit(0)
    else:
        os.wait()
