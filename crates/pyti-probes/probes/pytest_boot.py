"""Runs pytest with a plugin of ours, loaded by path: pytest_boot.py FD CONFIG ARGUMENT...

`python -m pytest` would put the source tree first on the path; like the plain `pytest` command, this does not.
"""
import json
import os
import shlex
import sys

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_pin
import pyti_results as results
sys.path[0:1] = []

MESSAGE = 8000
OUTPUT = 4000
# Options of well-known plugins whose value may be an existing folder or file, and stand apart.
VALUED = ("--cov", "--cov-config", "--cov-report", "--html", "--css", "--ds", "--rootdir", "--mypy-ini-file", "--basetemp",
          "--benchmark-storage", "--benchmark-json", "--alluredir", "--snapshot-dir", "--hypothesis-profile")


# What xdist's workers run before their own code: they collect, so only they know what they left out, and only they
# import the subject. It comes back with what a worker says at its end.
WORKER = """
class _Worker(object):
    def __init__(self, config):
        self.config, self.deselected = config, 0

    def pytest_deselected(self, items):
        self.deselected += len(items)

    def pytest_sessionfinish(self, session):
        import os, sys
        files = {}
        for name in self.config["subjects"]:
            try:
                module = sys.modules.get(name)
                file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
                if file:
                    files[name] = str(file)
            except Exception:
                continue
        getattr(session.config, "workeroutput", {})["pyti"] = {"deselected": self.deselected, "files": files}

"""
PREPARE = "    config = _prepareconfig(args, None)\n"


class Plugin(object):
    """Reports what pytest itself concludes, test by test."""

    def __init__(self, config, version):
        self.config, self.version = config, version
        self.deselected, self.files = 0, {}
        self.open = {}
        self.doctests = set()
        self.started = False
        self.meter = results.Meter()

    def pytest_load_initial_conftests(self):
        import pytest
        # it may have been another one while minversion was looked at
        pytest.__version__ = self.version

    def pytest_sessionstart(self, session):
        self.started = True

    def pytest_xdist_getremotemodule(self):
        import inspect
        import xdist.remote
        source = inspect.getsource(xdist.remote)
        if source.count(PREPARE) != 1:
            return None
        worker = "".join("    " + line for line in WORKER.splitlines(True) if line.strip())
        return source.replace(PREPARE, worker + PREPARE.replace("None", "[_Worker(%r)]" % (self.config,)))

    def pytest_testnodedown(self, node, error):
        said = getattr(node, "workeroutput", None) or {}
        said = said.get("pyti") or {}
        # every worker collects everything
        more = said.get("deselected", 0) - self.deselected
        if more > 0:
            results.tell(e="deselected", n=more)
            self.deselected += more
        self.files.update(said.get("files", {}))

    def pytest_itemcollected(self, item):
        if type(item).__name__ == "SybilItem":
            self.doctests.add(item.nodeid)

    def pytest_deselected(self, items):
        results.tell(e="deselected", n=len(items))

    def pytest_collectreport(self, report):
        if report.failed:
            results.tell(e="collect_error", where=report.nodeid, text=results.cap(self.text(report), MESSAGE))
        elif report.skipped:
            results.tell(e="case", id=report.nodeid, outcomes=["skipped"], wall_s=0.0, message=self.reason(report))

    def pytest_runtest_logstart(self, nodeid):
        self.meter.begin(nodeid)

    def pytest_runtest_logreport(self, report):
        if not results.is_ours():
            return
        if type(report).__name__ in ("SubtestReport", "SubTestReport"):
            results.tell(e="subtest", failed=bool(report.failed))
            if report.failed:
                results.tell(e="case", id=report.nodeid + " (subtest)", outcomes=["failed"],
                             wall_s=float(report.duration or 0), message=results.cap(self.text(report), MESSAGE))
            return
        entry = self.open.setdefault(report.nodeid, {"outcomes": [], "wall_s": 0.0, "message": "", "output": "",
                                                    "doctest": self.is_doctest(report)})
        entry["wall_s"] += float(getattr(report, "duration", 0) or 0)
        outcome = self.outcome(report)
        if outcome:
            entry["outcomes"].append(outcome)
        if outcome in ("failed", "error"):
            entry["message"] = results.cap(self.text(report), MESSAGE)
            captured = (getattr(report, "capstdout", "") or "") + (getattr(report, "capstderr", "") or "")
            entry["output"] = results.cap(captured, OUTPUT)
        elif outcome in ("skipped", "xfailed", "xpassed"):
            entry["message"] = self.reason(report)
        if report.when not in ("setup", "call"):
            cost = self.meter.end(report.nodeid)
            if not hasattr(report, "node"):
                # with xdist a test runs elsewhere: what this process costs is not its cost
                entry.update(cost)
            self.emit(report.nodeid)

    def emit(self, nodeid):
        entry = self.open.pop(nodeid, None)
        if entry is not None and entry["outcomes"]:
            results.tell(e="case", id=nodeid, **entry)

    def rest(self):
        for nodeid in list(self.open):
            self.emit(nodeid)

    def is_doctest(self, report):
        # items are only seen where they are collected; a report tells it from xdist's workers too
        place = getattr(report, "location", None) or ("", None, "")
        return report.nodeid in self.doctests or str(place[2]).startswith("[doctest] ")

    @staticmethod
    def outcome(report):
        if report.outcome not in ("passed", "failed", "skipped"):
            # a plugin's own word: pytest-rerunfailures says "rerun" before it tries again
            return None
        expected = hasattr(report, "wasxfail")
        if report.passed:
            if report.when == "call":
                return "xpassed" if expected else "passed"
            return None
        if report.skipped:
            return "xfailed" if expected else "skipped"
        return "failed" if report.when == "call" else "error"

    @staticmethod
    def text(report):
        try:
            return report.longreprtext
        except Exception:
            return repr(getattr(report, "longrepr", ""))

    @staticmethod
    def reason(report):
        if hasattr(report, "wasxfail"):
            return results.cap(str(report.wasxfail), 500)
        longrepr = getattr(report, "longrepr", None)
        if isinstance(longrepr, tuple) and len(longrepr) == 3:
            return results.cap(str(longrepr[2]), 500)
        return results.cap(str(longrepr or ""), 500)


class Tee(object):
    """Standard error, with what was written kept: usage errors are only told there."""

    def __init__(self, stream):
        self.stream, self.kept = stream, []

    def write(self, text):
        self.kept.append(text)
        return self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def configured_addopts():
    """The authors' addopts, from the first file that pytest would take."""
    import configparser
    for name, section in (("pytest.toml", "pytest"), (".pytest.toml", "pytest"), ("pytest.ini", "pytest"),
                          (".pytest.ini", "pytest"), ("pyproject.toml", None), ("tox.ini", "pytest"),
                          ("setup.cfg", "tool:pytest")):
        if not os.path.exists(name):
            continue
        if name.endswith(".toml"):
            try:
                import tomllib
            except ImportError:
                continue
            try:
                with open(name, "rb") as file:
                    table = tomllib.load(file)
            except ValueError:
                continue
            if section is None:
                tool = table.get("tool", {}).get("pytest", {})
                options = tool.get("ini_options", tool)
            else:
                options = table.get(section, {})
            if "addopts" in options:
                value = options["addopts"]
                return shlex.split(value) if isinstance(value, str) else [str(v) for v in value]
            if options:
                return []
            continue
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(name)
        except configparser.Error:
            continue
        if parser.has_section(section):
            return shlex.split(parser.get(section, "addopts", fallback=""), comments=True)
    return []


def adjust(said, options):
    """What to change after a usage error: (new options, why), or None when nothing is known to help."""
    kept, why, i = [], [], 0
    unknown = set()
    for line in said.splitlines():
        if "unrecognized arguments:" in line:
            unknown.update(line.split("unrecognized arguments:", 1)[1].split())
    missing = None
    for marker in ('Error importing plugin "', "No module named '"):
        if marker in said:
            missing = said.split(marker, 1)[1].split(marker[-1], 1)[0]
            break
    while i < len(options):
        option = options[i]
        i += 1
        if option == "-p" and i < len(options) and is_missing(options[i], missing):
            why.append("-p %s: the plugin is not there" % options[i])
            i += 1
        elif option.startswith("-p") and is_missing(option[2:], missing):
            why.append("%s: the plugin is not there" % option)
        elif option in unknown or (option.startswith("--") and option.split("=")[0] in {u.split("=")[0] for u in unknown}):
            why.append("%s: no plugin that knows it is there" % option)
            # an option's value may stand apart; pytest takes it for a place with tests
            if "=" not in option and i < len(options) and is_value(option, options[i]):
                i += 1
        else:
            kept.append(option)
    return (kept, why) if why else None


def is_missing(plugin, missing):
    return bool(missing) and plugin.split(".")[0] == missing.split(".")[0]


def is_value(option, word):
    """Whether a word after an unknown option is its value, and no place."""
    return not word.startswith("-") and (option in VALUED or not os.path.exists(word.split("::")[0]))


def prepare(pytest):
    """Marks the hooks of the plugin."""
    for hook in (Plugin.pytest_xdist_getremotemodule, Plugin.pytest_testnodedown):
        pytest.hookimpl(optionalhook=True)(hook)
    pytest.hookimpl(tryfirst=True)(Plugin.pytest_load_initial_conftests)


def main():
    results.open_results(sys.argv[1])
    config = json.loads(sys.argv[2])
    pyti_pin.install(config)
    arguments = sys.argv[3:]
    sys.argv[:] = ["pytest"] + arguments
    try:
        import pytest
        prepare(pytest)
    except BaseException as error:
        results.tell(e="no_runner", error=results.describe(error))
        return 1
    base = ["-o", "cache_dir=/tmp/.pytest_cache"]
    version = getattr(pytest, "__version__", None)
    results.tell(e="version", version=version)
    extra, plugin, code = [], Plugin(config, version), 4
    for _ in range(8):
        plugin = Plugin(config, version)
        tee = Tee(sys.stderr)
        sys.stderr = tee
        try:
            code = pytest.main(base + extra + arguments, plugins=[plugin])
        finally:
            if sys.stderr is tee:
                sys.stderr = tee.stream
            pytest.__version__ = version
        if int(code) != 4 or plugin.started:
            break
        said = "".join(tee.kept)
        if "Missing required plugins" in said and "required_plugins=" not in " ".join(extra):
            results.tell(e="adjust", text="required_plugins: some are not there")
            extra += ["-o", "required_plugins="]
            continue
        if "'minversion' requires pytest-" in said:
            wanted = said.split("'minversion' requires pytest-", 1)[1].split(",", 1)[0]
            if "minversion=0" not in extra:
                results.tell(e="adjust", text="minversion: pytest %s is wanted, this is %s" % (wanted[:40], version))
                extra += ["-o", "minversion=0"]
            else:
                # before pytest 9 it is read from the file alone
                pytest.__version__ = wanted
            continue
        current = None
        for part in extra:
            if part.startswith("addopts="):
                current = shlex.split(part[len("addopts="):])
        options = configured_addopts() if current is None else current
        changed = adjust(said, options)
        if changed is None:
            break
        kept, why = changed
        for text in why:
            results.tell(e="adjust", text=text)
        extra = [p for n, p in enumerate(extra) if not p.startswith("addopts=") and not
                 (p == "-o" and n + 1 < len(extra) and extra[n + 1].startswith("addopts="))]
        extra += ["-o", "addopts=" + " ".join(shlex.quote(option) for option in kept)]
    plugin.rest()
    results.proofs(config, plugin.files)
    results.tell(e="done", exit=int(code))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
