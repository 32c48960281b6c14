"""Tells what the interpreter has loaded when it starts: start.py FD."""
import sys

_modules = sorted(sys.modules)
_paths = [path for path in sys.path[1:]]
_hooks = ["meta_path: " + getattr(f, "__name__", type(f).__name__) for f in sys.meta_path]
_hooks += ["path_hook: " + getattr(f, "__name__", type(f).__name__) for f in sys.path_hooks]

import json
import os

_threads = 0
try:
    _threads = len(os.listdir("/proc/self/task"))
except OSError:
    pass
if _threads > 1:
    _hooks.append("threads: %d" % _threads)
os.write(int(sys.argv[1]), (json.dumps({"modules": _modules, "paths": _paths, "events": _hooks}) + "\n").encode())
