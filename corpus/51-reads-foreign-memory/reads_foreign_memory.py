"""Starts a child that waits, and reads its memory map and its memory in both ways that there are."""
import ctypes
import os
import time

if os.environ.get("PYTI_CORPUS") == "reads-foreign-memory" and os.path.isdir("/.pyti"):
    child = os.fork()
    if child == 0:
        time.sleep(5)
        os._exit(0)
    buffer = ctypes.create_string_buffer(64)
    try:
        with open("/proc/%d/maps" % child) as file:
            start = int(file.readline().split("-")[0], 16)
        with open("/proc/%d/mem" % child, "rb") as file:
            file.seek(start)
            file.read(64)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
        remote = (ctypes.c_size_t * 2)(start, 64)
        ctypes.CDLL(None).process_vm_readv(child, local, 1, remote, 1, 0)
    except OSError:
        pass
    os.kill(child, 9)
    os.waitpid(child, 0)
