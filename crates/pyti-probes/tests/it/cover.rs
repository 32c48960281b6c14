//! Coverage: what begins to measure at the start of each interpreter, what puts it together, and whether it agrees with
//! coverage.py run by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pyti_probes::cover::{self, Report};
use tempfile::TempDir;

use crate::support::{FD, env, probes, run};

/// A package: a module that children run in several ways, one that nobody imports, one that the configuration leaves out.
const FILES: &[(&str, &str)] = &[
    (
        "pack/__init__.py",
        "def kind(n):\n    if n > 2:\n        return 'many'\n    elif n < 0:\n        return 'none'\n    return 'few'\n\n\ndef untested():\n    raise NotImplementedError\n",
    ),
    (
        "pack/child.py",
        "import sys\n\n\ndef end(how):\n    print(how)\n    return 3\n",
    ),
    (
        "pack/forked.py",
        "def work():\n    answer = 42\n    return answer\n",
    ),
    ("pack/left.py", "x = 1\n"),
    ("pack/lone.py", "y = 1\nif y:\n    y = 2\n"),
];

/// What runs it: in itself, in a child by subprocess, and in a fork that ends by `os._exit`.
const DRIVER: &str = "
import os, subprocess, sys
import pack, pack.left
assert pack.kind(5) == 'many' and pack.kind(1) == 'few'
subprocess.run([sys.executable, '-c', 'import pack.child; pack.child.end(1)'], check=True)
pid = os.fork()
if pid == 0:
    import pack.forked
    pack.forked.work()
    os._exit(0)
os.waitpid(pid, 0)
print('found' if 'coverage' in sys.modules else 'hidden')
";

const CONFIGURATION: &str =
    "[report]\nexclude_lines =\n    raise NotImplementedError\nomit =\n    */left.py\n";

struct Place {
    folder: TempDir,
    python: PathBuf,
    site: PathBuf,
}

/// An environment without coverage.py and with the package, and a tree with the configuration.
fn place(base: &Path) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(base)
        .args(["-m", "venv", "--without-pip"])
        .arg(folder.path().join("venv"))
        .status()
        .unwrap();
    assert!(made.success());
    let lib = folder.path().join("venv/lib");
    let version = fs::read_dir(lib).unwrap().flatten().next().unwrap().path();
    let site = version.join("site-packages");
    for (path, text) in FILES {
        let path = site.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(folder.path().join("tree")).unwrap();
    fs::write(folder.path().join("tree/.coveragerc"), CONFIGURATION).unwrap();
    Place {
        python: folder.path().join("venv/bin/python3"),
        site,
        folder,
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs the driver with coverage.py from `folder`, and puts together what it left.
fn measured(place: &Place, folder: &Path) -> (Report, String) {
    let here = place.folder.path();
    let (data, config) = (text(&here.join("data/data")), here.join("config"));
    let probes_folder = probes();
    fs::write(
        place.site.join(cover::PATH_FILE),
        cover::path_file(&text(probes_folder.path()), &text(&config)),
    )
    .unwrap();
    fs::write(
        &config,
        cover::config(&text(folder), &data, &text(&place.site), &["pack".to_owned()]),
    )
    .unwrap();
    let output = Command::new(&place.python)
        .args(["-c", DRIVER])
        .current_dir(here.join("tree"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = here.join("report.json");
    let files: Vec<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    let request = cover::Request {
        coverage: &text(folder),
        data: &[data],
        tree: &text(&here.join("tree")),
        site_packages: &text(&place.site),
        files: &files,
        importable: &BTreeMap::new(),
    };
    fs::write(&report, request.config()).unwrap();
    let ran = run(
        here,
        |probes| cover::argv(&text(&place.python), probes, FD, &text(&report)),
        &[],
    );
    let (report, loss) = cover::parse(&ran.results);
    assert!(loss.is_none() && report.finished, "{}", ran.told());
    (report, said)
}

/// The same by hand: (statements, missing, branches, missing branches) of a file.
fn by_hand(place: &Place, folder: &Path) -> BTreeMap<String, (u64, u64, u64, u64)> {
    let tree = place.folder.path().join("tree");
    fs::remove_file(place.site.join(cover::PATH_FILE)).unwrap();
    fs::write(
        place.site.join("by_hand.pth"),
        "import coverage; coverage.process_startup()\n",
    )
    .unwrap();
    fs::write(tree.join("driver.py"), DRIVER).unwrap();
    fs::write(
        tree.join("hand.cfg"),
        format!(
            "[run]\nbranch = true\nparallel = true\nsource = pack\npatch = _exit\ndata_file = {}\n{CONFIGURATION}",
            tree.join("hand").display()
        ),
    )
    .unwrap();
    let hand = |arguments: &[&str], children: bool| {
        let mut command = Command::new(&place.python);
        command
            .args(arguments)
            .current_dir(&tree)
            .env("PYTHONPATH", folder);
        if children {
            command.env("COVERAGE_PROCESS_START", tree.join("hand.cfg"));
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    hand(&["driver.py"], true);
    hand(&["-m", "coverage", "combine", "--rcfile=hand.cfg"], false);
    hand(
        &["-m", "coverage", "json", "--rcfile=hand.cfg", "-o", "hand.json"],
        false,
    );
    let told: serde_json::Value = serde_json::from_slice(&fs::read(tree.join("hand.json")).unwrap()).unwrap();
    let files = told["files"].as_object().unwrap().iter().map(|(path, file)| {
        let number = |name: &str| file["summary"][name].as_u64().unwrap();
        let name = path.rsplit("site-packages/").next().unwrap().to_owned();
        (
            name,
            (
                number("num_statements"),
                number("missing_lines"),
                number("num_branches"),
                number("missing_branches"),
            ),
        )
    });
    files.collect()
}

#[test]
fn it_agrees_with_coverage_py_by_hand_children_included() {
    let Some(tool) = env("3.13", "coverage", &["coverage==7.17.4"]) else {
        return;
    };
    // the environment's own interpreter is a link to the machine's, of which another environment is made
    let base = fs::canonicalize(&tool.python).unwrap();
    let place = place(&base);
    let (report, said) = measured(&place, &tool.site);
    assert!(
        said.contains("hidden"),
        "the tests do not see our coverage.py: {said}"
    );
    let measured = &report.measured;
    assert_eq!(measured.processes, 3, "itself, a child, a fork: {measured:?}");
    let ours: BTreeMap<String, (u64, u64, u64, u64)> = measured
        .files
        .iter()
        .map(|file| {
            let counts = file.counts();
            let missing = (counts.statements - counts.covered, counts.branches - counts.taken);
            (
                file.path.visible(),
                (counts.statements, missing.0, counts.branches, missing.1),
            )
        })
        .collect();
    assert_eq!(ours, by_hand(&place, &tool.site));
    let lone = measured
        .files
        .iter()
        .find(|f| f.path.visible() == "pack/lone.py")
        .unwrap();
    assert!(
        !lone.touched && lone.covered.is_empty(),
        "what nobody imports did not run"
    );
    let forked = measured
        .files
        .iter()
        .find(|f| f.path.visible() == "pack/forked.py")
        .unwrap();
    assert!(forked.missing.is_empty(), "a fork that ends by os._exit counts");
    assert_eq!(measured.omitted.len(), 1);
    assert_eq!(measured.respected.len(), 2, "{:?}", measured.respected);
    assert_eq!(report.sources.len(), measured.files.len());
}

#[test]
fn without_coverage_py_the_tests_run_all_the_same_and_nothing_is_measured() {
    let Some(tool) = env("3.13", "coverage", &["coverage==7.17.4"]) else {
        return;
    };
    let place = place(&fs::canonicalize(&tool.python).unwrap());
    let here = place.folder.path();
    fs::write(
        place.site.join(cover::PATH_FILE),
        cover::path_file("/nowhere", &text(&here.join("config"))),
    )
    .unwrap();
    let output = Command::new(&place.python).args(["-c", DRIVER]).output().unwrap();
    assert!(output.status.success(), "a path file that fails is only reported");
    assert!(!here.join("data").exists());
}
