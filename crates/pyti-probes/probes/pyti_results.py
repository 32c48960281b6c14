"""Writes results, one JSON object a line, to a descriptor that was inherited.

The writer is bound early and writes with one system call: what a test does to builtins, to buffered files or to the
warnings filter does not reach it. A forked child that goes on by mistake is kept from reporting twice.
"""
import json as _json
import os as _os
import sys as _sys

_write = _os.write
_getpid = _os.getpid
_dumps = _json.dumps
_realpath = _os.path.realpath
_fd = None
_owner = None
_spare = None
_spare_used = 0


def open_results(number):
    global _fd, _owner
    _fd = int(number)
    _owner = _getpid()
    try:
        _os.set_inheritable(_fd, False)
    except OSError:
        pass


class Meter(object):
    """What one test costs: CPU of this process and of children that it waited for; memory where it raised the peak."""

    def __init__(self):
        try:
            import resource
            self.usage = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            self.peak = self.usage()
        except Exception:
            self.usage = None
        self.times, self.begun = _os.times, {}

    def begin(self, test):
        self.begun[test] = sum(self.times()[:4])

    def end(self, test):
        began = self.begun.pop(test, None)
        if began is None:
            return {}
        cost = {"cpu_s": max(sum(self.times()[:4]) - began, 0.0)}
        if self.usage is not None:
            peak = self.usage()
            if peak > self.peak:
                # Linux counts in KiB
                self.peak, cost["peak"] = peak, peak * 1024
        return cost


def spare(memory):
    """Memory shared with a parent, for when the descriptor is closed by what was imported."""
    global _spare
    _spare = memory


def is_ours():
    """Whether this is the process that reports, not a child that was forked."""
    return _getpid() == _owner


def tell(**what):
    if not is_ours():
        return
    data = _dumps(what, default=repr).encode("utf-8", "backslashreplace") + b"\n"
    view = memoryview(data)
    while view:
        try:
            view = view[_write(_fd, view):]
        except OSError:
            _keep(view)
            return


def _keep(view):
    global _spare_used
    if _spare is not None and _spare_used + len(view) < len(_spare):
        _spare[_spare_used:_spare_used + len(view)] = bytes(view)
        _spare_used += len(view)


def cap(text, most):
    text = text if isinstance(text, str) else repr(text)
    if len(text) <= most:
        return text
    half = most // 2
    return text[:half] + "\n[...]\n" + text[-half:]


def describe(error):
    import traceback
    try:
        message = str(error)
    except BaseException as inner:
        message = "<str() raised %s>" % type(inner).__name__
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    found = {"class": type(error).__name__, "message": cap(message, 8000), "traceback": cap("".join(lines), 16000)}
    if isinstance(error, ModuleNotFoundError) and getattr(error, "name", None):
        found["module"] = str(error.name)
    return found


def proofs(config, files=None):
    """Tells where the subject's modules came from, now that the tests have run."""
    if config["subjects"]:
        tell(e="subjects", n=len(config["subjects"]))
    site = _realpath(config["site"]) + _os.sep
    for name in config["subjects"]:
        try:
            module = _sys.modules.get(name)
            # a module may raise what it likes when it is asked
            file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
            file = str((files or {}).get(name, file) or "")
            if file:
                tell(e="proof", name=name, file=file, installed=_realpath(file).startswith(site))
        except Exception:
            continue
