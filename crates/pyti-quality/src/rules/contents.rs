//! What is in the archive: the questions of check-wheel-contents, and a few more.

use pyti_model::foreign::Foreign;
use pyti_model::quality::{Quality, Remark, WheelContents};

use super::{about, field, place, remark};
use crate::Beside;

/// Names at the top that many projects would take by mistake.
const COMMON: &[&str] = &[
    "test",
    "tests",
    "testing",
    "doc",
    "docs",
    "example",
    "examples",
    "benchmark",
    "benchmarks",
    "build",
    "dist",
    "src",
    "scripts",
    "tools",
    "data",
    "config",
    "bin",
    "lib",
    "utils",
    "util",
];
/// Modules that belong to the tree, not to what is installed.
const STRAY: &[&str] = &[
    "setup.py",
    "conftest.py",
    "noxfile.py",
    "tasks.py",
    "fabfile.py",
    "test.py",
    "tests.py",
    "docs.py",
    "example.py",
    "manage.py",
    "wscript",
    "__init__.py",
];
/// Folders and files that editors, systems, tools and version control leave.
const CLUTTER: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".tox",
    ".nox",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".idea",
    ".vscode",
    ".ipynb_checkpoints",
    ".eggs",
    ".DS_Store",
    "__MACOSX",
    "Thumbs.db",
    "desktop.ini",
    ".coverage",
    "node_modules",
];

pub(super) fn remarks(quality: &Quality, beside: &Beside<'_>, found: &mut Vec<Remark>) {
    let wheel = &quality.wheel;
    let paths: Vec<(&Foreign, &str)> = wheel
        .files
        .iter()
        .filter_map(|(path, _)| Some((path, path.as_str()?)))
        .collect();
    let matching = |test: &dyn Fn(&str) -> bool| -> Vec<&Foreign> {
        paths
            .iter()
            .filter(|(_, path)| test(path))
            .map(|(whole, _)| *whole)
            .collect()
    };
    reader(wheel, found);
    about(
        "wheel-bytecode",
        &matching(&|path| path.ends_with(".pyc") || path.ends_with(".pyo")),
        "is byte code",
        found,
    );
    for name in COMMON {
        let prefix = format!("{name}/");
        let own = normal_is(wheel, name);
        let files = matching(&|path| path.starts_with(&prefix) && !own);
        if let Some(first) = files.first() {
            let sentence = format!("it installs a folder {name} beside all other packages");
            let mut told = remark("wheel-common-name", Some(place(first)), sentence);
            told.more = files.len() as u64 - 1;
            found.push(told);
        }
    }
    about(
        "wheel-stray-module",
        &matching(&|path| {
            STRAY.contains(&path)
                && !path
                    .strip_suffix(".py")
                    .is_some_and(|stem| normal_is(wheel, stem))
        }),
        "lies at the top of the wheel",
        found,
    );
    about(
        "wheel-clutter",
        &matching(&is_clutter),
        "belongs to somebody's machine",
        found,
    );
    about(
        "wheel-nested-archive",
        // ensurepip and virtualenv carry wheels on purpose, in a folder that says so
        &matching(&|path| {
            let bundled = [
                "_bundled", "bundled", "embed", "wheels", "testdata", "tests", "test",
            ];
            (path.ends_with(".whl") || path.ends_with(".egg"))
                && !path.split('/').any(|part| bundled.contains(&part))
        }),
        "is a built distribution within this one",
        found,
    );
    about(
        "wheel-tests",
        &matching(&|path| {
            path.split_once('/').is_some_and(|(_, below)| {
                below.starts_with("tests/") || below.starts_with("test/") || below.contains("/tests/")
            })
        }),
        "is installed for every user",
        found,
    );
    let only_metadata = wheel.top_level.is_empty()
        && paths
            .iter()
            .all(|(_, path)| path.contains(".dist-info/") || path.contains(".data/"));
    let needs_others = field(wheel, "Requires-Dist").is_some();
    if only_metadata && !needs_others && !paths.iter().any(|(_, path)| path.contains(".data/")) {
        found.push(remark(
            "wheel-empty",
            None,
            "it holds nothing but metadata, and requires nothing",
        ));
    }
    platform(wheel, &paths, found);
    compared(beside, found);
    if let (Some((_, newest)), Some(today)) = (&wheel.dates, beside.today) {
        // clocks around the world differ by a day
        if newest.as_str() > next_day_at_most(today).as_str() {
            let sentence = format!("a file in it is dated {newest}");
            found.push(remark("wheel-dates-future", None, sentence));
        }
    }
}

/// Whether a name at the top is the project's own.
fn normal_is(wheel: &WheelContents, name: &str) -> bool {
    field(wheel, "Name")
        .is_some_and(|own| crate::requirement::normal(&own) == crate::requirement::normal(name))
}

/// What the reader of the archive found.
fn reader(wheel: &WheelContents, found: &mut Vec<Remark>) {
    let (record, other): (Vec<&String>, Vec<&String>) = wheel
        .problems
        .iter()
        .partition(|problem| problem.starts_with("RECORD"));
    for (id, problems) in [("wheel-record", record), ("wheel-reader", other)] {
        if let [first, rest @ ..] = &problems[..] {
            let mut told = remark(id, None, first.as_str());
            told.more = rest.len() as u64;
            found.push(told);
        }
    }
}

fn is_clutter(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| CLUTTER.contains(&part))
        || [".orig", ".rej", ".swp", ".bak"]
            .iter()
            .any(|end| file.ends_with(end))
        || file.ends_with('~')
        || file.starts_with("._")
}

fn is_compiled(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    [".so", ".pyd", ".dylib", ".dll", ".exe", ".a"]
        .iter()
        .any(|end| file.ends_with(end))
        || file.contains(".so.")
}

fn platform(wheel: &WheelContents, paths: &[(&Foreign, &str)], found: &mut Vec<Remark>) {
    let any = |tag: &Foreign| tag.as_str().is_some_and(|tag| tag.ends_with("-any"));
    let for_all = !wheel.tags.is_empty() && wheel.tags.iter().all(any);
    let compiled: Vec<&Foreign> = paths
        .iter()
        .filter(|(_, path)| is_compiled(path))
        .map(|(whole, _)| *whole)
        .collect();
    // launchers for Windows are the same everywhere
    let linux = paths
        .iter()
        .any(|(_, path)| is_compiled(path) && !path.ends_with(".exe") && !path.ends_with(".dll"));
    let extension = wheel.extensions.first();
    if for_all && let Some(extension) = extension {
        about(
            "wheel-pure-with-binaries",
            &[extension],
            "is compiled, and the wheel is for any platform",
            found,
        );
    } else if !for_all
        && !wheel.tags.is_empty()
        && compiled.is_empty()
        && !linux
        && wheel.files_total == wheel.files.len() as u64
        // programs lie there without an ending that tells
        && !paths.iter().any(|(_, path)| path.contains(".data/") || path.contains("/bin/"))
    {
        let tag = wheel.tags.first().map(Foreign::visible).unwrap_or_default();
        let sentence = format!("it is for {tag}, and nothing in it is compiled");
        found.push(remark("wheel-platform-without-binaries", None, sentence));
    }
}

/// The wheel beside a build of the sdist.
fn compared(beside: &Beside<'_>, found: &mut Vec<Remark>) {
    let Some(comparison) = beside.comparison else {
        return;
    };
    // another release of the build backend writes other metadata, and puts licences elsewhere
    let own = |list: &'_ [Foreign]| -> Vec<Foreign> {
        let is = |path: &&Foreign| {
            let path = path.lossy();
            !path.contains(".dist-info/") || path.ends_with("/entry_points.txt")
        };
        list.iter().filter(is).cloned().collect()
    };
    let parts = [
        ("has another content", own(&comparison.different)),
        ("is only in the published wheel", own(&comparison.only_published)),
        ("is only in what the sdist builds", own(&comparison.only_built)),
    ];
    let all: usize = parts.iter().map(|(_, list)| list.len()).sum();
    if let Some((what, first)) = parts.iter().find_map(|(what, list)| Some((what, list.first()?))) {
        let sentence = format!("{} {what}", first.visible());
        let mut told = remark("wheel-differs-from-build", Some(place(first)), sentence);
        told.more = all as u64 - 1;
        found.push(told);
    }
}

/// A day that is not before the next one: enough to compare with.
fn next_day_at_most(today: &str) -> String {
    let mut parts = today.splitn(3, '-');
    let (year, month) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let day: u32 = parts
        .next()
        .and_then(|day| day.get(..2)?.parse().ok())
        .unwrap_or(31);
    // the 32nd sorts after every day of the month, and before the next month's second
    if day >= 28 {
        let (y, m): (u32, u32) = (year.parse().unwrap_or(9999), month.parse().unwrap_or(12));
        let (y, m) = if m >= 12 { (y + 1, 1) } else { (y, m + 1) };
        return format!("{y:04}-{m:02}-01");
    }
    format!("{year}-{month}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use pyti_model::raw::WheelComparison;

    use super::super::tests::{add, broken, broken_beside, good, set};
    use super::*;

    #[test]
    fn files_that_do_not_belong_are_found_and_their_twins_are_not() {
        for (path, rule) in [
            ("good/__pycache__/x.cpython-313.pyc", Some("wheel-bytecode")),
            ("tests/__init__.py", Some("wheel-common-name")),
            ("testsuite/__init__.py", None),
            ("setup.py", Some("wheel-stray-module")),
            ("good/setup.py", None),
            ("good/.DS_Store", Some("wheel-clutter")),
            ("good/a.py.orig", Some("wheel-clutter")),
            ("good/original.py", None),
            ("good/x.whl", Some("wheel-nested-archive")),
            ("good/_bundled/x.whl", None),
            ("good/tests/test_a.py", Some("wheel-tests")),
            ("good/testing/a.py", None),
        ] {
            let mut quality = good();
            add(&mut quality, path);
            let expected: Vec<String> = rule.into_iter().map(str::to_owned).collect();
            assert_eq!(broken(&quality), expected, "{path}");
        }
    }

    #[test]
    fn a_project_may_have_a_common_name() {
        let mut quality = good();
        add(&mut quality, "tools/__init__.py");
        assert_eq!(broken(&quality), ["wheel-common-name"]);
        set(&mut quality, "Name", &["tools"]);
        assert_eq!(broken(&quality), Vec::<String>::new());
    }

    #[test]
    fn what_the_reader_says_is_told_by_weight() {
        let mut quality = good();
        quality.wheel.problems = vec!["RECORD lies about x".into(), "a: duplicate name".into()];
        assert_eq!(broken(&quality), ["wheel-reader", "wheel-record"]);
    }

    #[test]
    fn platforms_and_compiled_files_must_agree() {
        let mut quality = good();
        quality.wheel.extensions = vec!["good/_x.cpython-313-x86_64-linux-gnu.so".into()];
        add(&mut quality, "good/_x.cpython-313-x86_64-linux-gnu.so");
        assert_eq!(broken(&quality), ["wheel-pure-with-binaries"]);
        quality.wheel.tags = vec!["cp313-cp313-manylinux_2_17_x86_64".into()];
        assert_eq!(broken(&quality), Vec::<String>::new());
        let mut quality = good();
        quality.wheel.tags = vec!["cp313-cp313-manylinux_2_17_x86_64".into()];
        quality.wheel.files_total = quality.wheel.files.len() as u64;
        assert_eq!(broken(&quality), ["wheel-platform-without-binaries"]);
        add(&mut quality, "good-1.0.data/scripts/good");
        assert_eq!(broken(&quality), Vec::<String>::new());
    }

    #[test]
    fn a_wheel_of_nothing_is_told_from_one_that_only_requires() {
        let mut quality = good();
        quality
            .wheel
            .files
            .retain(|(path, _)| path.lossy().contains("dist-info"));
        quality.wheel.top_level.clear();
        quality.types.marked.clear();
        assert_eq!(broken(&quality), Vec::<String>::new());
        set(&mut quality, "Requires-Dist", &[]);
        quality.imports.clear();
        assert_eq!(broken(&quality), ["wheel-empty"]);
    }

    #[test]
    fn a_build_that_differs_is_told() {
        let of = |comparison: &WheelComparison| {
            let beside = Beside {
                comparison: Some(comparison),
                today: None,
            };
            broken_beside(&good(), &beside)
        };
        let mut comparison = WheelComparison {
            only_built: vec!["good-1.0.dist-info/LICENSE".into()],
            ..WheelComparison::default()
        };
        assert_eq!(of(&comparison), Vec::<String>::new());
        comparison.only_published = vec!["good/extra.py".into()];
        assert_eq!(of(&comparison), ["wheel-differs-from-build"]);
    }

    #[test]
    fn dates_of_tomorrow_are_none_of_the_future() {
        let mut quality = good();
        for (newest, today, future) in [
            ("2026-11-25", "2026-11-25", false),
            ("2026-11-26", "2026-11-25", false),
            ("2026-11-27", "2026-11-25", true),
            ("2027-01-01", "2026-12-31", false),
            ("2027-01-02", "2026-12-31", true),
        ] {
            quality.wheel.dates = Some(("1980-01-01".into(), newest.into()));
            let beside = Beside {
                comparison: None,
                today: Some(today),
            };
            assert_eq!(
                !broken_beside(&quality, &beside).is_empty(),
                future,
                "{newest} on {today}"
            );
        }
    }
}
