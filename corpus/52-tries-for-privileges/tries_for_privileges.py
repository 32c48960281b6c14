"""Tries sudo without a password, setuid, a mount, new namespaces, and to write the kernel's core
pattern."""
import ctypes
import os
import subprocess

if os.environ.get("PYTI_CORPUS") == "tries-for-privileges" and os.path.isdir("/.pyti"):
    try:
        subprocess.run(["sudo", "-n", "true"], timeout=3)
    except (OSError, subprocess.TimeoutExpired):
        pass
    library = ctypes.CDLL(None)
    library.mount(b"none", b"/mnt", b"tmpfs", 0, None)
    library.unshare(0x10000000)
    library.setuid(0)
    try:
        with open("/proc/sys/kernel/core_pattern", "w") as file:
            file.write("core")
    except OSError:
        pass
