"""Runs tests by a program of others: script_run.py FD CONFIG [-m MODULE | PATH] ARGUMENT...

It runs in this process as it would by itself; its unittest's tests, doctests and calls of pytest are told one by one.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0:1] = []
sys.path.insert(0, HERE)
import pyti_results as results
import pyti_pin
sys.path[0:1] = []
import runpy

# Where the version of a runner is found.
DISTRIBUTIONS = {"zope": "zope.testrunner", "trial": "Twisted", "nose2": "nose2", "django": "Django"}


def version_of(runner):
    try:
        from importlib.metadata import version
        return version(DISTRIBUTIONS[runner])
    except Exception:
        return "%d.%d" % sys.version_info[:2]


def mentions_pytest(path):
    try:
        with open(path, "rb") as file:
            return b"pytest" in file.read(1 << 20)
    except OSError:
        return False


def run(arguments):
    if arguments[0] == "-m":
        # as `python -m` does it: the working directory comes first
        sys.path.insert(0, os.getcwd())
        sys.argv[:] = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
        sys.argv[:] = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def code_of(code):
    if code is None:
        return 0
    if isinstance(code, int):
        # what the system would make of it
        return code & 0xFF
    sys.stderr.write("%s\n" % (code,))
    return 1


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    arguments = sys.argv[3:]
    results.tell(e="version", version=version_of(config.get("runner")))
    pyti_pin.install(config)
    sys.path.insert(0, HERE)
    import pyti_watch
    if mentions_pytest(arguments[0]):
        pyti_watch.install_pytest(config)
    sys.path.remove(HERE)
    pyti_watch.install()
    code = 0
    try:
        run(arguments)
    except SystemExit as error:
        code = code_of(error.code)
    except BaseException as error:
        results.tell(e="collect_error", where=" ".join(arguments[:2]), text=results.describe(error)["traceback"])
        code = 1
    results.proofs(config)
    results.tell(e="done", exit=code)
    return code


if __name__ == "__main__":
    sys.exit(main())
