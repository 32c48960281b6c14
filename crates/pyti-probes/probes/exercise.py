"""Calls exported functions with cheap arguments: exercise.py FD LIMIT_S MOST TOP...

Every call happens in a forked child of its own, so that a crash, an exit or a hang ends that call only. What a function
returns is thrown away; what it does is seen from outside.
"""
import faulthandler
import inspect
import os
import signal
import sys
import time

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []

RETURNED, RAISED = 10, 11


def cheap(parameter):
    """Something harmless that fits, judged by annotation, default and name."""
    wanted = parameter.annotation
    name = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", "")
    by_type = {"int": 1, "float": 1.0, "bool": False, "bytes": b"x", "list": [], "dict": {}, "tuple": (), "set": set()}
    if name in by_type:
        return by_type[name]
    return "x"


def arguments(function):
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return [], {}
    positional, named = [], {}
    for parameter in signature.parameters.values():
        if parameter.default is not parameter.empty:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(cheap(parameter))
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = cheap(parameter)
    return positional, named


def exported(top):
    """Functions and classes of a module's public names that are its own, not another package's."""
    import importlib
    try:
        module = importlib.import_module(top)
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        found = []
        for name in names:
            value = getattr(module, str(name), None)
            if callable(value) and str(getattr(value, "__module__", "")).split(".")[0] == top.split(".")[0]:
                found.append(("%s.%s" % (top, name), value))
        return found
    except BaseException:
        # the import task has told how it fails
        return []


def call(function, limit):
    pid = os.fork()
    if pid == 0:
        code = RAISED
        try:
            sys.argv[:] = [""]
            faulthandler.dump_traceback_later(limit, exit=True)
            positional, named = arguments(function)
            result = function(*positional, **named)
            if inspect.iscoroutine(result):
                import asyncio
                asyncio.run(result)
            elif inspect.isgenerator(result):
                next(result, None)
            code = RETURNED
        except BaseException:
            pass
        finally:
            os._exit(code)
    until = time.monotonic() + limit + 1
    while True:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -1
        time.sleep(0.002)


def main():
    results.open_results(sys.argv[1])
    limit, most = int(sys.argv[2]), int(sys.argv[3])
    functions = []
    for top in sys.argv[4:]:
        functions += exported(top)
    for name, function in functions[:most]:
        code = call(function, limit)
        results.tell(called=name, outcome={RETURNED: "returned", RAISED: "raised"}.get(code, "ended"))
    results.tell(finished=True, left_out=max(0, len(functions) - most))
    os._exit(0)


main()
