"""Times the start of the interpreter and the import of modules: costs.py FD CONFIG

Each time is that of a process of its own, from its beginning to its end, as its parent sees it.
"""
import json
import os
import signal
import sys
import tempfile
import threading
import time

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []

LIMIT = 20.0
TEXT = 2 << 20
IMPORT = """
import sys
known = len(sys.modules)
sys.stderr.write("\\n%(mark)s begin\\n")
for name in %(modules)r:
    try:
        __import__(name)
    except BaseException:
        sys.stderr.write("\\n%(mark)s failed " + name + "\\n")
sys.stderr.write("\\n%(mark)s modules %%d\\n" %% (len(sys.modules) - known))
"""


def run(arguments, said):
    """Seconds, most memory in bytes, and whether it ended well."""
    argv = [sys.executable] + arguments
    nothing = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
    watch = threading.Timer(LIMIT, lambda: os.kill(pid, signal.SIGKILL))
    watch.daemon = True
    watch.start()
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    watch.cancel()
    os.close(nothing)
    return took, usage.ru_maxrss * 1024, status == 0


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    modules, rounds, budget = config["modules"], config["rounds"], config["budget_s"]
    mark = "pyti-%s" % os.urandom(8).hex()
    code = IMPORT % {"mark": mark, "modules": modules}
    began = time.monotonic()
    quiet = os.open(os.devnull, os.O_RDWR)
    # what is read for the first time, and byte code that is not there yet, would be the first one's cost alone
    run(["-c", code if modules else "pass"], quiet)
    for number in range(rounds):
        took, memory, _ = run(["-c", "pass"], quiet)
        results.tell(e="start", wall_s=took, peak=memory)
        if modules:
            took, memory, _ = run(["-c", code], quiet)
            results.tell(e="import", wall_s=took, peak=memory)
        if number and time.monotonic() - began > budget:
            break
    for number in range(2 if modules else 0):
        with tempfile.TemporaryFile() as file:
            run(["-X", "importtime", "-c", code], file.fileno())
            file.seek(0)
            text = file.read(TEXT).decode("utf-8", "replace")
        results.tell(e="tree", mark=mark, text=text)
        if time.monotonic() - began > budget:
            break
    results.tell(e="done", exit=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
