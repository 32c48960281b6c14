"""Looks at the machine's maker, containers, control groups, tracers, uptime, network cards, processors
and memory, and does nothing after that."""
import ctypes
import os

if os.environ.get("PYTI_CORPUS") == "looks-for-sandbox":
    for path in (
        "/sys/class/dmi/id/product_name",
        "/sys/class/dmi/id/sys_vendor",
        "/.dockerenv",
        "/proc/1/cgroup",
        "/proc/self/status",
        "/proc/uptime",
        "/proc/meminfo",
        "/sys/class/net/eth0/address",
        "/proc/scsi/scsi",
    ):
        try:
            with open(path, "rb") as file:
                file.read()
        except OSError:
            pass
    os.sched_getaffinity(0)
    ctypes.CDLL(None).sysinfo(ctypes.create_string_buffer(256))
