"""Imports modules, each outcome apart: importer.py FD LIMIT_S TOP,TOP,... MODULE...

Children are forked from a parent that imports nothing of the package, so that a crash, an exit or a hang ends a child
only. Every top-level module gets a fresh child; the others share one until it dies.
"""
import faulthandler
import json
import mmap
import os
import select
import signal
import sys
import time

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []


def listen():
    """Tells of code that is decoded and executed by somebody else than Python's own library (PEP 578)."""
    decoded = {"marshal.loads", "marshal.load", "code.__new__"}
    library = set(getattr(sys, "stdlib_module_names", ()))
    library |= {"importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "types", "typing",
                "functools", "inspect", "dis", "collections", "dataclasses", "enum", "copyreg", "pickle"}
    told = []
    get_frame, tell = sys._getframe, results.tell

    def hook(event, arguments):
        if event not in decoded and (event != "exec" or not told):
            return
        try:
            frame = get_frame(1)
            name = str(frame.f_globals.get("__name__", ""))
            if name.split(".")[0] in library or len(told) >= 50:
                return
            text = "%s:%d" % (frame.f_code.co_filename, frame.f_lineno)
            if (event, text) not in told:
                told.append((event, text))
                tell(audit=event, text=text[:300])
        except Exception:
            pass

    try:
        sys.addaudithook(hook)
    except AttributeError:
        # Python 3.7 has none
        pass


def child(modules, pipe, spare):
    results.open_results(pipe)
    results.spare(spare)
    faulthandler.enable(all_threads=True)
    sys.argv[:] = [""]
    import importlib
    listen()
    for module in modules:
        results.tell(begin=module)
        began = time.monotonic()
        try:
            loaded = importlib.import_module(module)
            file = getattr(loaded, "__file__", None)
            results.tell(module=module, outcome="imported", file=file, wall_s=time.monotonic() - began)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
            results.tell(module=module, outcome="exited", code=code, wall_s=time.monotonic() - began)
        except BaseException as error:
            results.tell(module=module, outcome="raised", error=results.describe(error),
                         wall_s=time.monotonic() - began)
    results.tell(end=True)
    # threads of a module must not keep us; what it registered for the end is not part of importing
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def wait(pid, limit):
    """The status of a child that ends within so many seconds, else None."""
    until = time.monotonic() + limit
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return status
        if time.monotonic() >= until:
            return None
        time.sleep(0.001)


def batch(modules, limit, top):
    """Imports in one child; returns those that are still to do after it died."""
    ours, theirs = os.pipe()
    spare = mmap.mmap(-1, 1 << 18)
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        try:
            child(modules, theirs, spare)
        finally:
            os._exit(1)
    os.close(theirs)
    current, began, buffer, done, ended, killed = None, time.monotonic(), b"", [], False, False
    status = None

    def take(line):
        nonlocal current, began, ended
        try:
            message = json.loads(line)
        except ValueError:
            return
        if "begin" in message:
            current, began = message["begin"], time.monotonic()
        elif "audit" in message:
            results.tell(**message)
        elif "module" in message:
            done.append(message["module"])
            message["top_level"] = top
            results.tell(**message)
            current = None
        elif "end" in message:
            ended = True

    while True:
        left = began + limit - time.monotonic()
        ready, _, _ = select.select([ours], [], [], max(0.0, min(left, 0.5)))
        if not ready:
            # what the child left running may hold the pipe open, so its end is asked for too
            gone, code = os.waitpid(pid, os.WNOHANG)
            if gone:
                status = code
                break
            if left > 0:
                continue
            killed = True
            os.kill(pid, signal.SIGABRT)
            time.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            break
        data = os.read(ours, 65536)
        if not data:
            break
        buffer += data
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            take(line)
        if ended:
            break
    os.close(ours)
    if status is None:
        # a child that closed its pipe may still be at work, or hang
        status = wait(pid, max(0.0, began + limit - time.monotonic()))
        killed = killed or status is None
        if status is None:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
    for line in spare[:].rstrip(b"\0").split(b"\n"):
        take(line)
    spare.close()
    rest = [module for module in modules if module not in done]
    if ended or not rest:
        return []
    lost = current if current is not None else rest[0]
    wall = time.monotonic() - began
    if killed:
        results.tell(module=lost, outcome="killed", wall_s=wall, top_level=top)
    elif os.WIFSIGNALED(status):
        results.tell(module=lost, outcome="crashed", signal=os.WTERMSIG(status), wall_s=wall, top_level=top)
    else:
        results.tell(module=lost, outcome="exited", code=os.WEXITSTATUS(status), wall_s=wall, top_level=top)
    return [module for module in rest if module != lost]


def main():
    results.open_results(sys.argv[1])
    limit = float(sys.argv[2])
    tops = json.loads(sys.argv[3])
    others = sys.argv[4:]
    for top in tops:
        batch([top], limit, True)
    while others:
        others = batch(others, limit, False)
    results.tell(finished=True)


if __name__ == "__main__":
    main()
