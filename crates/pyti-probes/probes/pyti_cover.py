# Begins to measure, at the start of each interpreter of a run with coverage: a path file of ours executes this text.
#
# coverage.py lies in a folder of ours that is on the path only while we import it, and its modules are taken out of
# sys.modules again, so that the tests find or miss a coverage.py of their own as they would without us.


def _pyti_cover():
    import atexit
    import os
    import sys

    with open(CONFIG, encoding="utf-8") as file:  # noqa: F821, the path file says where it is
        folder, data, *patterns = file.read().split("\0")

    def is_ours(name):
        return name == "coverage" or name.startswith("coverage.")

    modules = {}

    class Borrowed(object):
        """While it is entered, coverage.py is ours."""

        def __enter__(self):
            self.theirs = {name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)}
            sys.modules.update(modules)
            sys.path.insert(0, folder)

        def __exit__(self, *error):
            for name in [name for name in sys.modules if is_ours(name)]:
                modules[name] = sys.modules.pop(name)
            sys.modules.update(self.theirs)
            if folder in sys.path:
                sys.path.remove(folder)

    borrowed = Borrowed()
    with borrowed:
        import coverage
        os.makedirs(os.path.dirname(data), exist_ok=True)
        cov = coverage.Coverage(data_file=data, data_suffix=True, branch=True, config_file=False, include=patterns,
                                messages=False)
        cov._warn_no_data = False
        # what is lazily needed at the end is loaded now: by then the path may be anything
        import coverage.sqldata
        notes = []
        cov._warn = lambda text, slug=None, once=False: notes.append(str(text))
        cov.start()
    write, close, open_, getpid = os.write, os.close, os.open, os.getpid
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND

    def save(stop=False):
        with borrowed:
            try:
                core = cov._collector.tracer_name()
                if stop:
                    cov.stop()
                cov.save()
                said = "\n".join(["core " + core] + ["note " + " ".join(text.split())[:500] for text in notes[:20]])
                descriptor = open_("%s.said.%d" % (data, getpid()), flags, 0o644)
                write(descriptor, said.encode("utf-8", "replace") + b"\n")
                close(descriptor)
            except Exception:
                # a process that cannot save is one that was not measured
                pass

    atexit.register(save, True)
    real_exit, real_execv, real_execve = os._exit, os.execv, os.execve

    def _exit(status):
        save()
        real_exit(status)

    def execv(path, argv, *rest):
        save()
        return real_execv(path, argv, *rest)

    def execve(path, argv, env):
        save()
        return real_execve(path, argv, env)

    os._exit, os.execv, os.execve = _exit, execv, execve


try:
    _pyti_cover()
except Exception:
    # a process that cannot be measured runs all the same; the report counts those that were
    pass
