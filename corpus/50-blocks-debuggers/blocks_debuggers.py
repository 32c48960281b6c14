"""Has a child ask to be traced and forbid others to look into it, as programs do that must not be
watched."""
import ctypes
import os

if os.environ.get("PYTI_CORPUS") == "blocks-debuggers":
    child = os.fork()
    if child == 0:
        library = ctypes.CDLL(None)
        library.prctl(4, 0, 0, 0, 0)
        library.ptrace(0, 0, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    with open("/proc/self/status", "rb") as file:
        file.read()
