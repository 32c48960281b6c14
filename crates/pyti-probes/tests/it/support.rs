//! Pythons, environments made once, and a way to run a probe.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pyti_model::effect::Loss;
use pyti_model::raw::{Recipe, Runner, Test};
use pyti_probes::{Invocation, test};
use tempfile::TempDir;

/// Every minor version that the probes are made for.
pub(crate) const VERSIONS: &[&str] = &["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];
/// The descriptor that the probes write to.
pub(crate) const FD: i32 = 9;

/// Says loudly that a test did not run. The harness hides it when the test passes, unless it is asked not to.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The interpreter of a minor version, where there is one.
pub(crate) fn interpreter(version: &str) -> Option<PathBuf> {
    let home = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")));
    let mut found: Vec<PathBuf> = home
        .and_then(|root| fs::read_dir(root.join("versions")).ok())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{version}."))
        })
        .map(|entry| entry.path().join("bin/python3"))
        .collect();
    found.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&on_path).map(|folder| folder.join(format!("python{version}"))));
    found.into_iter().find(|python| {
        let said = Command::new(python)
            .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
            .output();
        said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == version)
    })
}

/// Runs a test on every interpreter that is there, all at once; says which are not.
pub(crate) fn on_every_version(test: impl Fn(&str, &Path) + Sync) {
    std::thread::scope(|scope| {
        for version in VERSIONS {
            let test = &test;
            match interpreter(version) {
                Some(python) => {
                    scope.spawn(move || test(version, &python));
                }
                None => skipped(&format!("there is no Python {version} on this machine")),
            }
        }
    });
}

/// The newest interpreter.
pub(crate) fn newest() -> Option<PathBuf> {
    let newest = VERSIONS.iter().rev().find_map(|version| interpreter(version));
    if newest.is_none() {
        skipped("there is no Python on this machine");
    }
    newest
}

/// An environment with some distributions.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) python: PathBuf,
    pub(crate) site: PathBuf,
}

impl Env {
    /// An interpreter alone, with a folder that stands for where distributions are installed.
    pub(crate) fn bare(python: &Path, site: &Path) -> Self {
        Self {
            python: python.to_owned(),
            site: site.to_owned(),
        }
    }
}

/// The environment `name` for a minor version, made by the first test that wants it; nothing when pip cannot fetch.
pub(crate) fn env(version: &str, name: &str, distributions: &[&str]) -> Option<Env> {
    let Some(base) = interpreter(version) else {
        skipped(&format!("there is no Python {version} on this machine"));
        return None;
    };
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("environments");
    fs::create_dir_all(&root).unwrap();
    let folder = root.join(format!("{name}-{version}"));
    // tests are processes and threads of their own: the first one makes it, the others wait
    let lock = File::create(root.join(format!("{name}-{version}.lock"))).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    // nobody waits for pip again and again where there is no network
    let failed = root.join(format!("{name}-{version}.failed"));
    let recently = |path: &Path| {
        let changed = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        changed
            .and_then(|at| at.elapsed().ok())
            .is_some_and(|age| age.as_secs() < 300)
    };
    if !done.exists() && recently(&failed) {
        skipped(&fs::read_to_string(&failed).unwrap_or_default());
        return None;
    }
    if !done.exists() {
        let _ = fs::remove_dir_all(&folder);
        let python = folder.join("bin/python3");
        let made = Command::new(&base)
            .args(["-m", "venv", "--without-pip"])
            .arg(&folder)
            .output();
        let fetched = made.and_then(|_| {
            Command::new("python3")
                .args(["-m", "pip", "--python"])
                .arg(&python)
                .args([
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--retries=1",
                ])
                .args(distributions)
                .output()
        });
        match fetched {
            Ok(output) if output.status.success() => fs::write(&done, "").unwrap(),
            other => {
                let why = other.map_or_else(
                    |error| error.to_string(),
                    |output| String::from_utf8_lossy(&output.stderr).into_owned(),
                );
                skipped(&format!(
                    "pip cannot fetch {distributions:?} for {version}: {why}"
                ));
                return None;
            }
        }
    }
    Some(Env {
        python: folder.join("bin/python3"),
        site: folder.join(format!("lib/python{version}/site-packages")),
    })
}

/// pytest and pytest-xdist on a minor version.
pub(crate) fn with_pytest(version: &str) -> Option<Env> {
    env(version, "pytest", &["pytest", "pytest-xdist"])
}

/// pytest on the newest version.
pub(crate) fn newest_with_pytest() -> Option<Env> {
    VERSIONS
        .iter()
        .rev()
        .find(|version| interpreter(version).is_some())
        .and_then(|version| with_pytest(version))
}

/// A folder with files.
pub(crate) fn tree(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Writes the probes into a folder.
pub(crate) fn probes() -> TempDir {
    tree(pyti_probes::files())
}

/// What came of running a probe.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) results: Vec<u8>,
    pub(crate) output: Output,
}

impl Ran {
    /// Everything, for messages of failed tests.
    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:?}", self.output.status);
        for part in [&self.results, &self.output.stdout, &self.output.stderr] {
            let _ = writeln!(text, "---\n{}", String::from_utf8_lossy(part));
        }
        text
    }
}

/// Runs a probe in a folder; the results go to a file, opened for appending on [`FD`].
pub(crate) fn run(cwd: &Path, argv: impl FnOnce(&str) -> Vec<String>, set: &[(&str, &str)]) -> Ran {
    let probes = probes();
    let results = probes.path().join("results");
    let argv = argv(probes.path().to_str().unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("exec \"$@\" {FD}>>\"$0\"")])
        .arg(&results)
        .args(&argv)
        .current_dir(cwd)
        .env_remove("PYTEST_ADDOPTS")
        .env_remove("PYTHONPATH")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(set.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        results: fs::read(&results).unwrap_or_default(),
        output,
    }
}

/// Runs tests of these files; nothing of what they said may be lost.
pub(crate) fn run_whole(
    runner: Runner,
    env: &Env,
    files: &[(&str, &str)],
    arguments: &[&str],
    subjects: &[&str],
) -> (Test, Ran) {
    let folder = tree(files);
    let (test, loss, ran) = run_tests(runner, env, folder.path(), arguments, subjects);
    assert_eq!(loss, None, "{}", ran.told());
    (test, ran)
}

/// Runs tests, and returns what was parsed, what was lost, and how it ended.
pub(crate) fn run_tests(
    runner: Runner,
    env: &Env,
    cwd: &Path,
    arguments: &[&str],
    subjects: &[&str],
) -> (Test, Option<Loss>, Ran) {
    let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let recipe = Recipe {
        runner,
        arguments: own(arguments),
        ..Recipe::default()
    };
    let subjects = own(subjects);
    let bare = !env.site.ends_with("site-packages");
    let set = [("PYTHONPATH", env.site.to_str().unwrap())];
    let ran = run(
        cwd,
        |probes| {
            let invocation = Invocation {
                python: env.python.to_str().unwrap(),
                probes,
                results_fd: FD,
            };
            let request = test::Request {
                recipe: &recipe,
                arguments: &recipe.arguments,
                tree: cwd.to_str().unwrap(),
                subject_modules: &subjects,
                site_packages: env.site.to_str().unwrap(),
            };
            test::argv(&invocation, &request)
        },
        if bare { &set } else { &[] },
    );
    let (test, loss) = test::parse(&ran.results);
    (test, loss, ran)
}
