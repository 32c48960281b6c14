"""Has ctypes look for libraries, which runs ldconfig, gcc and ld and makes temporary files."""
import ctypes.util
import os

if os.environ.get("PYTI_CORPUS") == "finds-libraries":
    for name in ("c", "ssl", "no-such-library"):
        ctypes.util.find_library(name)
