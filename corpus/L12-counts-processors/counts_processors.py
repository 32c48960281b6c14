"""Asks for processors and quotas as numerical libraries do, and goes on."""
import os

if os.environ.get("PYTI_CORPUS") == "counts-processors":
    os.sched_getaffinity(0)
    for path in ("/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/online", "/proc/self/cgroup", "/proc/cpuinfo"):
        try:
            with open(path, "rb") as file:
                file.read()
        except OSError:
            pass
