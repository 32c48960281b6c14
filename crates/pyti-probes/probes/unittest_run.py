"""Runs unittest with a result of ours: unittest_run.py FD CONFIG [discover -s DIR -p PATTERN -t TOP | NAME...]"""
import json
import os
import sys
import time

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_pin
import pyti_results as results
sys.path[0:1] = []
import unittest


class Result(unittest.TestResult):
    """Reports each test as it ends."""

    def __init__(self):
        super().__init__()
        self.began, self.outcomes, self.message = {}, {}, {}
        self.meter = results.Meter()

    def startTest(self, test):
        super().startTest(test)
        self.began[test.id()] = time.monotonic()
        self.outcomes[test.id()] = []
        self.meter.begin(test.id())

    def note(self, test, outcome, message=""):
        name = test.id()
        if name in self.outcomes:
            self.outcomes[name].append(outcome)
            self.message[name] = message
        else:
            # an error outside of a test: in setUpClass, setUpModule, or while importing
            if outcome == "error" and type(test).__name__ == "_FailedTest":
                results.tell(e="collect_error", where=name, text=message)
            else:
                results.tell(e="case", id=str(test), outcomes=[outcome], wall_s=0.0, message=message)

    def stopTest(self, test):
        name = test.id()
        # CPython 3.12.1 ends a skipped test that it never began; addSkip has told it
        outcomes = self.outcomes.pop(name, None)
        if outcomes is None:
            self.began.pop(name, None)
            super().stopTest(test)
            return
        outcomes = outcomes or ["passed"]
        results.tell(e="case", id=name, outcomes=outcomes[:1], wall_s=time.monotonic() - self.began.pop(name, 0),
                     message=self.message.pop(name, ""), doctest=type(test).__name__ == "DocTestCase",
                     **self.meter.end(name))
        super().stopTest(test)

    def text(self, error):
        return results.cap(results.describe(error[1])["traceback"], 8000)

    def addSuccess(self, test):
        super().addSuccess(test)

    def addError(self, test, error):
        super().addError(test, error)
        if type(test).__name__ == "_FailedTest":
            results.tell(e="collect_error", where=test.id(), text=self.text(error))
            # told already, as an error of collecting: no case besides
            self.outcomes[test.id()] = None
            return
        self.note(test, "error", self.text(error))

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "failed", self.text(error))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped", results.cap(str(reason), 500))

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self.note(test, "xfailed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "xpassed")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        results.tell(e="subtest", failed=error is not None)
        if error is not None:
            failed = issubclass(error[0], test.failureException)
            self.note(test, "failed" if failed else "error", self.text(error))


def suite(arguments):
    loader = unittest.TestLoader()
    if arguments[:1] == ["discover"]:
        options = dict(zip(arguments[1::2], arguments[2::2]))
        start = options.get("-s", ".")
        top = options.get("-t")
        return loader.discover(start, options.get("-p", "test*.py"), top)
    return loader.loadTestsFromNames(arguments)


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    pyti_pin.install(config)
    arguments = sys.argv[3:]
    sys.argv[:] = ["unittest"]
    sys.path.insert(0, os.getcwd())
    results.tell(e="version", version="%d.%d" % sys.version_info[:2])
    result = Result()
    try:
        tests = suite(arguments)
    except BaseException as error:
        results.tell(e="collect_error", where=" ".join(arguments), text=results.describe(error)["traceback"])
        results.tell(e="done", exit=1)
        return 1
    tests.run(result)
    results.proofs(config)
    good = result.wasSuccessful()
    code = 0 if good else 1
    if result.testsRun == 0 and good:
        code = 5
    results.tell(e="done", exit=code)
    return code


if __name__ == "__main__":
    sys.exit(main())
