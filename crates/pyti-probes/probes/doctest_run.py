"""Runs doctests: doctest_run.py FD CONFIG [module:NAME | file:PATH]..."""
import json
import os
import sys
import time

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_pin
import pyti_results as results
sys.path[0:1] = []
import doctest
import importlib
import io


def run(name, tests):
    failed = ran = 0
    for test in tests:
        if not test.examples:
            continue
        began, out = time.monotonic(), io.StringIO()
        runner = doctest.DocTestRunner(verbose=False, optionflags=0)
        outcome = runner.run(test, out=out.write, clear_globs=True)
        ran += 1
        failed += bool(outcome.failed)
        results.tell(e="case", id="%s::%s" % (name, test.name), outcomes=["failed" if outcome.failed else "passed"],
                     wall_s=time.monotonic() - began, message=results.cap(out.getvalue(), 8000), doctest=True)
    return failed, ran


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    pyti_pin.install(config)
    what = sys.argv[3:]
    sys.argv[:] = ["doctest"]
    results.tell(e="version", version="%d.%d" % sys.version_info[:2])
    failed = ran = 0
    for entry in what:
        kind, _, name = entry.partition(":")
        try:
            if kind == "module":
                bad, done = run(name, doctest.DocTestFinder().find(importlib.import_module(name)))
            else:
                with open(name, encoding="utf-8") as file:
                    text = file.read()
                test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, name, 0)
                bad, done = run(name, [test])
            failed += bad
            ran += done
        except BaseException as error:
            results.tell(e="collect_error", where=entry, text=results.describe(error)["traceback"])
            failed += 1
    results.proofs(config)
    # like the other runners: 5 when there was nothing to run
    code = 1 if failed else (0 if ran else 5)
    results.tell(e="done", exit=code)
    return code


if __name__ == "__main__":
    sys.exit(main())
