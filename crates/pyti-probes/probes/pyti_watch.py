"""Tells of unittest's tests and of doctests, whoever runs them: zope.testrunner, trial, nose2, Django, a script.

A test is one call of a TestCase with a result, or what a result is told to be one from its start to its stop, where a
runner calls no TestCase itself. What that result is told meanwhile is what came of it. A test that runs others inside is
one test. What is told outside of any test is an error of a class or module.
"""
import doctest
import sys
import threading
import time
import traceback
import unittest

import pyti_results as results

OUTCOMES = (("startTest", None), ("stopTest", None), ("addSuccess", "passed"), ("addError", "error"), ("addFailure", "failed"), ("addSkip", "skipped"),
            ("addExpectedFailure", "xfailed"), ("addUnexpectedSuccess", "xpassed"), ("addSubTest", None))
WORST = ("error", "failed", "xpassed", "xfailed", "skipped", "passed")
MESSAGE = 8000
local = threading.local()
paused = [0]
outside = set()
meter = results.Meter()


class Record(object):
    """What a test's result was told."""

    def __init__(self, test):
        self.test, self.began = test, time.monotonic()
        meter.begin(id(self))
        self.outcomes, self.message, self.loading, self.subtests = [], "", False, {}
        # the result that began it, where no call of a TestCase did
        self.layer = None

    def note(self, outcome, message):
        self.outcomes.append(outcome)
        if message and not self.message:
            self.message = message

    def tell(self):
        cost = meter.end(id(self))
        # results that pass on what they hear hear it again: the one that heard most counts
        for bad in max(self.subtests.values(), key=len, default=()):
            results.tell(e="subtest", failed=bad)
        # a test that was not told of has not run: a runner left it out
        outcome = next((word for word in WORST if word in self.outcomes), None)
        if outcome is None:
            return
        if self.loading and outcome == "error":
            results.tell(e="collect_error", where=name_of(self.test), text=self.message)
            return
        results.tell(e="case", id=name_of(self.test), outcomes=[outcome], wall_s=time.monotonic() - self.began,
                     message=self.message, doctest=isinstance(self.test, doctest.DocTestCase), **cost)


def name_of(test):
    try:
        return str(test.id())
    except BaseException:
        return repr(type(test))


def text_of(arguments, keywords):
    """The text of what came with a failure: an exception as three parts, an object, or named details."""
    try:
        for what in list(arguments) + list(keywords.values()):
            if isinstance(what, tuple) and len(what) == 3:
                return results.cap("".join(traceback.format_exception(*what)), MESSAGE)
            if hasattr(what, "getTraceback"):
                return results.cap(str(what.getTraceback()), MESSAGE)
            if isinstance(what, dict):
                parts = []
                for name in sorted(what):
                    part = what[name]
                    parts.append("%s: %s" % (name, part.as_text() if hasattr(part, "as_text") else part))
                return results.cap("\n".join(parts), MESSAGE)
            if what is not None:
                return results.cap(str(what), MESSAGE)
    except BaseException as error:
        return "<%s while it was told>" % type(error).__name__
    return ""


def listen(result):
    """Hears what a result is told, once for each result."""
    try:
        if result.__dict__.get("_pyti_hears"):
            return
        result.__dict__["_pyti_hears"] = True
    except Exception:
        return
    for name, outcome in OUTCOMES:
        method = getattr(result, name, None)
        if method is not None:
            try:
                setattr(result, name, hearing(method, name, outcome))
            except Exception:
                continue


def hearing(method, name, outcome):
    def told(test, *arguments, **keywords):
        if not results.is_ours() or paused[0]:
            return method(test, *arguments, **keywords)
        if name == "stopTest":
            try:
                return method(test, *arguments, **keywords)
            finally:
                stop(id(getattr(method, "__self__", method)))
        hear(test, name, outcome, arguments, keywords, id(getattr(method, "__self__", method)))
        return method(test, *arguments, **keywords)
    return told


def stop(layer):
    record = getattr(local, "record", None)
    if record is not None and record.layer == layer:
        local.record = None
        record.tell()


def hear(test, name, outcome, arguments, keywords, layer):
    record = getattr(local, "record", None)
    if name == "startTest":
        if record is None:
            local.record = Record(test)
            local.record.layer = layer
        return
    if name == "addSubTest":
        if record is not None and len(arguments) > 1:
            error = arguments[1]
            record.subtests.setdefault(layer, []).append(error is not None)
            if error is not None:
                kind = getattr(test, "failureException", AssertionError)
                record.note("failed" if issubclass(error[0], kind) else "error", text_of((error,), {}))
        return
    if outcome == "passed":
        message = ""
    else:
        message = text_of(arguments, keywords)
    if record is not None:
        record.loading |= type(test).__name__ in ("_FailedTest", "ModuleImportFailure", "LoadTestsFailure", "ErrorHolder",
                                                  "StartUpFailure") and test is record.test
        record.note(outcome, message)
    elif outcome in ("error", "failed"):
        key = (str(test), message)
        # results that pass on what they hear would be heard twice
        if key not in outside:
            outside.add(key)
            results.tell(e="case", id=str(test), outcomes=[outcome], wall_s=0.0, message=message)


def is_open():
    return paused[0] or getattr(local, "record", None) is not None


def install():
    call_test, call_suite = unittest.TestCase.__call__, unittest.suite.BaseTestSuite.__call__
    run_doctest = doctest.DocTestRunner.run

    def test_called(self, *arguments, **keywords):
        result = arguments[0] if arguments else keywords.get("result")
        if result is None or is_open() or not results.is_ours():
            return call_test(self, *arguments, **keywords)
        listen(result)
        local.record = record = Record(self)
        try:
            return call_test(self, *arguments, **keywords)
        except BaseException as error:
            record.note("error", results.describe(error)["traceback"])
            raise
        finally:
            local.record = None
            record.tell()

    def suite_called(self, *arguments, **keywords):
        result = arguments[0] if arguments else keywords.get("result")
        if result is not None and not is_open() and results.is_ours():
            listen(result)
        return call_suite(self, *arguments, **keywords)

    def doctest_run(self, test, *arguments, **keywords):
        if is_open() or not results.is_ours() or not test.examples:
            return run_doctest(self, test, *arguments, **keywords)
        began = time.monotonic()
        local.record = Record(self)
        try:
            came = run_doctest(self, test, *arguments, **keywords)
        finally:
            local.record = None
        bad = bool(came[0])
        results.tell(e="case", id=str(test.name), outcomes=["failed" if bad else "passed"],
                     wall_s=time.monotonic() - began, message="%d examples failed" % came[0] if bad else "", doctest=True)
        return came

    unittest.TestCase.__call__ = test_called
    unittest.suite.BaseTestSuite.__call__ = suite_called
    doctest.DocTestRunner.run = doctest_run


def install_pytest(config):
    """Hears pytest where a script calls it in its own process."""
    path = list(sys.path)
    try:
        import pytest
        import pytest_boot
    except BaseException:
        return
    finally:
        # the boot takes the first entry for its own
        sys.path[:] = path
    pytest_boot.prepare(pytest)
    main = pytest.main

    def called(args=None, plugins=None):
        plugin = pytest_boot.Plugin(config, getattr(pytest, "__version__", None))
        paused[0] += 1
        try:
            return main(args, list(plugins or ()) + [plugin])
        finally:
            paused[0] -= 1
            plugin.rest()
    pytest.main = called
