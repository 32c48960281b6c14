"""Runs a part of itself, deletes that part and rewrites its own source without the call."""
import os

if os.environ.get("PYTI_CORPUS") == "removes-its-traces" and os.path.isdir("/.pyti"):
    from removes_its_traces import _stage

    os.remove(_stage.__file__)
    with open(__file__, "w") as file:
        file.write("ANSWER = 42\n")
