"""Puts together what was measured and tells it, file by file: cover_report.py FD CONFIG-FILE

It runs after the tests, without the environment's packages, and reads the project's own configuration as coverage.py does.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []

SOURCE = 512 * 1024
SOURCES = 6 * 1024 * 1024
FILES = 5000
# What of a project's configuration says which lines count.
LINES = ("report:exclude_lines", "report:exclude_also", "report:partial_branches", "report:partial_also")
PLACES = ("run:omit", "report:omit", "run:include", "report:include")


def ranges(numbers):
    """[1, 2, 3, 7] becomes [[1, 3], [7, 7]]."""
    found = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def ways(taken, missed):
    """Branches by the line that they leave."""
    lines = {}
    for arcs, slot in ((taken, 0), (missed, 1)):
        for line, to in arcs:
            lines.setdefault(line, ([], []))[slot].append(to)
    return [[line, sorted(both[0]), sorted(both[1])] for line, both in sorted(lines.items())]


def value(cov, option):
    try:
        found = cov.get_option(option)
    except Exception:
        return None
    return list(found) if isinstance(found, (list, tuple)) else found


def configured(coverage, config, data):
    """A reporter with the project's own configuration as far as it says which lines count, and what was taken of it."""
    warned = []
    try:
        cov = coverage.Coverage(data_file=data, config_file=True, messages=False)
    except BaseException as error:
        warned.append("the configuration cannot be read: %s" % (error,))
        cov = coverage.Coverage(data_file=data, config_file=False, messages=False)
    plain = coverage.Coverage(data_file=data, config_file=False, messages=False)
    read = [os.path.basename(name) for name in getattr(cov.config, "config_files_read", [])]
    origin = " (%s)" % read[-1] if read else ""
    taken, left, patterns = [], [], {"omit": [], "include": []}
    for option in LINES:
        found = value(cov, option)
        # what is added to the default patterns is in both
        more = value(cov, option.replace("_lines", "_also").replace("_branches", "_also")) or []
        known = value(plain, option)
        if found != known and not (option.endswith(("_lines", "_branches")) and found == (known or []) + more):
            taken.append(option.split(":")[1] + origin)
    for option in PLACES:
        found = value(cov, option)
        if found:
            taken.append(option.replace(":", ".") + origin)
            patterns[option.split(":")[1]].append(found if isinstance(found, list) else [found])
            try:
                cov.set_option(option, [])
            except Exception:
                pass
    plugins = value(cov, "run:plugins")
    if plugins:
        left.append("plugins %s%s: only coverage.py itself runs here" % (", ".join(map(str, plugins))[:200], origin))
    cov.config.plugins = []
    concurrency = [word for word in value(cov, "run:concurrency") or [] if word not in ("thread", "multiprocessing")]
    if concurrency:
        left.append("concurrency %s%s: only threads and processes are followed" % (", ".join(concurrency), origin))
    cov.config.concurrency = []
    cov.config.relative_files = False
    cov.config.source = cov.config.source_pkgs = None
    return cov, taken, left, patterns, warned


def matches(patterns, config, relative):
    """Whether patterns of the project's mean a file: as it is installed, or where it lies in the source tree."""
    from coverage.files import GlobMatcher, prep_patterns
    tree, site = config["tree"], config["site"]
    top, _, rest = relative.partition("/")
    name = top[:-3] if not rest and top.endswith(".py") else top
    lies = config["importable"].get(name)
    paths = [os.path.join(site, relative)]
    if lies is not None:
        paths.append(os.path.join(tree, lies, rest) if rest else os.path.join(tree, lies))
    matcher = GlobMatcher(prep_patterns([str(pattern) for pattern in patterns]), "omit")
    return any(matcher.match(path) for path in paths)


def main():
    results.open_results(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        config = json.load(file)
    sys.path.insert(0, config["coverage"])
    import coverage
    os.chdir(config["tree"])
    names, said = [], []
    for data in config["data"]:
        folder, prefix = os.path.split(data)
        try:
            inside = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in inside:
            (said if name.startswith(prefix + ".said.") else names).append(os.path.join(folder, name))
    whole = "/tmp/.pyti-coverage-whole"
    cov, taken, left, patterns, notes = configured(coverage, config, whole)
    core = ""
    for name in said[:2000]:
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                for line in file.read(100000).splitlines():
                    word, _, text = line.partition(" ")
                    if word == "core":
                        core = core or text[:40]
                    elif word == "note" and text not in notes and len(notes) < 50:
                        notes.append(text)
        except OSError:
            continue
    data = coverage.CoverageData(basename=whole)
    measured = 0
    for name in names:
        part = coverage.CoverageData(basename=name)
        try:
            part.read()
            data.update(part)
            measured += 1
        except Exception as error:
            notes.append("%s cannot be read: %s" % (os.path.basename(name), results.cap(str(error), 200)))
        finally:
            part.close()
    results.tell(e="tool", version=coverage.__version__, core=core, processes=measured)
    wanted, omitted = [], []
    for relative in config["files"]:
        out = any(matches(group, config, relative) for group in patterns["omit"])
        within = all(matches(group, config, relative) for group in patterns["include"])
        (omitted if out or not within else wanted).append(relative)
    site = config["site"]
    paths = {os.path.join(site, relative): relative for relative in wanted}
    touched = {os.path.realpath(name) for name in data.measured_files()}
    if measured and not data.has_arcs():
        data.add_arcs({path: set() for path in list(paths)[:1]})
    for path in paths:
        if measured:
            data.touch_file(path)
    data.write()
    data.close()
    cov.load()
    told = spent = 0
    report = "/tmp/.pyti-coverage-report"
    for path, relative in sorted(paths.items(), key=lambda pair: pair[1]):
        if not measured:
            break
        if told >= FILES:
            results.tell(e="dropped", n=1)
            continue
        try:
            cov.json_report(morfs=[path], outfile=report, ignore_errors=False)
            with open(report, encoding="utf-8") as file:
                (found,) = json.load(file)["files"].values()
        except Exception as error:
            results.tell(e="unreadable", path=relative, why=results.cap("%s: %s" % (type(error).__name__, error), 500))
            continue
        told += 1
        results.tell(e="file", path=relative, touched=os.path.realpath(path) in touched,
                     covered=ranges(found["executed_lines"]), missing=ranges(found["missing_lines"]),
                     excluded=ranges(found["excluded_lines"]),
                     branches=ways(found.get("executed_branches", []), found.get("missing_branches", [])))
        text = source(path)
        if text is not None and spent + len(text) <= SOURCES:
            spent += len(text)
            results.tell(e="source", path=relative, text=text)
    for text in taken:
        results.tell(e="respected", text=text)
    for text in left:
        results.tell(e="disregarded", text=text)
    for relative in omitted[:FILES]:
        results.tell(e="omitted", path=relative)
    for text in notes[:50]:
        results.tell(e="note", text=results.cap(text, 500))
    results.tell(e="done", exit=0)
    return 0


def source(path):
    import tokenize
    try:
        if os.path.getsize(path) > SOURCE:
            return None
        with tokenize.open(path) as file:
            return file.read()
    except Exception:
        return None


if __name__ == "__main__":
    sys.exit(main())
