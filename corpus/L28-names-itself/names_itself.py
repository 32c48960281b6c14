"""Sets the name of its process, as setproctitle does, and ends with what started it."""
import ctypes
import os

if os.environ.get("PYTI_CORPUS") == "names-itself":
    ctypes.CDLL(None).prctl(15, b"worker: idle", 0, 0, 0)
