//! Real source distributions, and what is known of how their tests are run.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use pyti_discover::{FolderTree, MemoryTree, Tree as _, inspect, layout};
use pyti_model::raw::Inspection;

/// What is expected of one distribution.
struct Golden {
    spec: &'static str,
    /// Modules that its wheel installs, as far as they matter here.
    installed: &'static [&'static str],
    /// As [`told`] tells it.
    told: &'static str,
    /// What must be among the rejected.
    rejected: &'static [&'static str],
}

const GOLDEN: &[Golden] = &[
    // a lone module, with its tests beside it
    Golden {
        spec: "six==1.17.0",
        installed: &["six"],
        told: "
build: legacy setuptools
six: six.py
pytest: test_six.py | wants pytest | hides six.py | runs test_six.py
",
        rejected: &[],
    },
    // a dependency group, and testpaths
    Golden {
        spec: "click==8.5.1",
        installed: &["click", "click.core"],
        told: "
build: flit_core.buildapi flit_core>=3.11,<4
click: src/click
pytest: | wants pytest, typing_extensions | hides src/click | runs
",
        rejected: &[],
    },
    Golden {
        spec: "iniconfig==2.3.1",
        installed: &["iniconfig"],
        told: "
build: setuptools.build_meta setuptools>=77, setuptools-scm>=8
iniconfig: src/iniconfig
pytest: | wants pytest>=8.4.2, pytest-xdist>=3.8 | hides src/iniconfig | runs
",
        rejected: &[],
    },
    // tests within the package, which the wheel carries
    Golden {
        spec: "simplejson==4.3.0",
        installed: &["simplejson", "simplejson.encoder", "simplejson.tests", "simplejson.tests.test_decimal"],
        told: "
build: setuptools.build_meta setuptools>=42, wheel
simplejson: simplejson
pytest: simplejson/tests | wants pytest | hides simplejson | runs --pyargs simplejson.tests
unittest: discover -s simplejson/tests -t . | wants | hides simplejson | runs discover -s simplejson.tests
doctest: module:simplejson module:simplejson.encoder | wants | hides simplejson | runs module:simplejson module:simplejson.encoder
",
        rejected: &[],
    },
    // two packages in one distribution
    Golden {
        spec: "attrs==26.1.0",
        installed: &["attr", "attr._make", "attrs"],
        told: "
build: hatchling.build hatchling, hatch-vcs, hatch-fancy-pypi-readme>=23.2.0
attr: src/attr
attrs: src/attrs
pytest: | wants cloudpickle; platform_python_implementation == \"CPython\", hypothesis, pympler, pytest, pytest-xdist[psutil] | hides src/attr src/attrs | runs
doctest: module:attr._version_info | wants | hides src/attr src/attrs | runs module:attr._version_info
",
        rejected: &[],
    },
    Golden {
        spec: "MarkupSafe==3.0.4",
        installed: &["markupsafe", "markupsafe._native"],
        told: "
build: setuptools.build_meta setuptools>=77
markupsafe: src/markupsafe
pytest: | wants pytest, pytest-run-parallel; python_full_version >= '3.13' | hides src/markupsafe | runs
doctest: module:markupsafe | wants | hides src/markupsafe | runs module:markupsafe
",
        rejected: &[],
    },
    // no tests in the archive, and prompts that are no doctests
    Golden {
        spec: "docopt==0.6.2",
        installed: &["docopt"],
        told: "
build: legacy setuptools
docopt: docopt.py
",
        rejected: &["docopt.py are illustrations"],
    },
    Golden {
        spec: "tomli==2.5.0",
        installed: &["tomli"],
        told: "
build: flit_core.buildapi flit_core>=3.12,<5
tomli: src/tomli
",
        rejected: &[],
    },
    Golden {
        spec: "rich==15.0.0",
        installed: &["rich"],
        told: "
build: poetry.core.masonry.api poetry-core>=1.0.0
rich: rich
",
        rejected: &["rich/console.py are illustrations"],
    },
    // a runner, and one file of tests whose base the archive leaves out: nothing that could pass or fail
    Golden {
        spec: "peewee==4.5.3",
        installed: &["peewee", "playhouse", "pwiz"],
        told: "
build: setuptools.build_meta setuptools, cython>=3; platform_python_implementation == 'CPython'
peewee: peewee.py
playhouse: playhouse
pwiz: pwiz.py
",
        rejected: &[
            "imports .base, which the archive leaves out",
            "runtests.py runs tests, but the archive carries none",
        ],
    },
];

/// The folder with the unpacked trees, fetched by the first test that wants them; nothing when they cannot be had.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
fn trees() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sdists");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let fetched = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fetch_sdists.py"))
        .arg(&folder)
        .args(GOLDEN.iter().map(|golden| golden.spec))
        .output();
    let why = match fetched {
        Ok(output) if output.status.success() => return Some(folder),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("python3 cannot be started: {error}"),
    };
    eprintln!("SKIPPED: the source distributions cannot be had: {why}");
    None
}

fn golden(name: &str) -> &'static Golden {
    GOLDEN
        .iter()
        .find(|golden| golden.spec.starts_with(name))
        .unwrap()
}

fn read(golden: &Golden, folder: &Path) -> (Inspection, Vec<String>) {
    let tree = FolderTree::new(&folder.join(golden.spec));
    let name = golden.spec.split("==").next().unwrap();
    (inspect(&tree, name), tree.files().to_vec())
}

fn own(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// An inspection and its layouts, in few words.
fn told(inspection: &Inspection, files: &[String], installed: &[&str]) -> String {
    let backend = if inspection.build.declared {
        inspection.build.backend.as_str()
    } else {
        "legacy"
    };
    let mut text = format!("\nbuild: {backend} {}\n", inspection.build.requires.join(", "));
    for (name, path) in &inspection.importable {
        let _ = writeln!(text, "{name}: {path}");
    }
    for recipe in &inspection.recipes {
        assert!(!recipe.why.is_empty(), "every recipe says why it is there");
        let layout = layout(inspection, recipe, files, &own(installed));
        assert!(
            recipe.extras.is_empty() && layout.graft.is_empty() && layout.cwd.is_empty(),
            "{layout:?}"
        );
        let runner = format!("{:?}", recipe.runner).to_lowercase();
        let parts = [
            format!("{runner}: {}", recipe.arguments.join(" ")),
            format!("wants {}", recipe.requirements.join(", ")),
            format!("hides {}", layout.hide.join(" ")),
            format!("runs {}", layout.arguments.join(" ")),
        ];
        let parts: Vec<_> = parts.iter().map(|part| part.trim_end()).collect();
        let _ = writeln!(text, "{}", parts.join(" | "));
    }
    text
}

#[test]
fn real_distributions_are_read_as_known() {
    let Some(folder) = trees() else { return };
    let mut differences = String::new();
    for golden in GOLDEN {
        let (inspection, files) = read(golden, &folder);
        let told = told(&inspection, &files, golden.installed);
        if told != golden.told {
            let _ = writeln!(
                differences,
                "## {}\n{told}### expected\n{}",
                golden.spec, golden.told
            );
        }
        assert_eq!(inspection.advice, None, "{}", golden.spec);
        for text in golden.rejected {
            let rejected = &inspection.rejected;
            assert!(
                rejected.iter().any(|line| line.contains(text)),
                "{}: {text} is not in {rejected:?}",
                golden.spec
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn tests_that_cannot_be_run_are_none_and_with_their_base_they_are_some() {
    let Some(folder) = trees() else { return };
    let golden = golden("peewee");
    let (inspection, files) = read(golden, &folder);
    assert!(inspection.recipes.is_empty());
    // the twin: the same tree with the files that the archive leaves out
    let text = |file: &String| {
        Some((
            file.clone(),
            fs::read_to_string(folder.join(golden.spec).join(file)).ok()?,
        ))
    };
    let mut whole: Vec<(String, String)> = files.iter().filter_map(text).collect();
    for file in ["tests/__init__.py", "tests/base.py"] {
        whole.push((file.to_owned(), String::new()));
    }
    let pairs = whole.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let whole = inspect(&MemoryTree::new(pairs), "peewee");
    assert!(!whole.recipes.is_empty(), "{:?}", whole.rejected);
}

#[test]
fn tests_that_the_wheel_leaves_out_are_put_there() {
    let Some(folder) = trees() else { return };
    let golden = golden("simplejson");
    let (inspection, files) = read(golden, &folder);
    let graft =
        |installed: &[&str]| layout(&inspection, &inspection.recipes[0], &files, &own(installed)).graft;
    let tests = "simplejson/tests".to_owned();
    assert_eq!(graft(&["simplejson"]), [(tests.clone(), tests)]);
    assert!(graft(golden.installed).is_empty());
}
