//! Runs the real program: a place of its own for each test, a local index, and a look at what it leaves behind.

// every test file is a program of its own and uses a part of this
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::missing_panics_doc
)]

pub mod leftovers;
pub mod service;
pub mod tools;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyti_fixtures::{Faults, Fixture, LocalIndex};
use pyti_model::event::{Envelope, Event};
use pyti_model::raw::{RawData, Test};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("pyti").to_path_buf()
}

/// Says that a test does not run here, past the capture of the test runner, and why.
pub fn skipped(what: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "\n!!! SKIPPED: {what}: {why}\n");
}

/// Whether the machine has these services; if not, it is said that a test does not run.
pub fn has_services<S: AsRef<str>>(what: &str, services: &[S]) -> bool {
    let lacks = services.iter().map(AsRef::as_ref).find(|name| {
        pyti_services::find(name).is_none_or(|service| pyti_services::locate(service, &program()).is_none())
    });
    if let Some(name) = lacks {
        let how = pyti_services::find(name).map_or("", |service| service.install);
        skipped(what, &format!("the machine has no {name}: {how}"));
    }
    lacks.is_none()
}

/// What the tests of a run came to.
pub fn test_of(object: &Value) -> Test {
    let folder = Path::new(object["recording"].as_str().unwrap());
    let file = ["wheel", "sdist", "folder"]
        .iter()
        .map(|kind| folder.join(format!("{kind}.jsonl.zst")))
        .find(|file| file.is_file())
        .unwrap();
    let events: Vec<Envelope> = pyti_worker::recording::read(&file).unwrap();
    let test = events.into_iter().find_map(|envelope| match envelope.event {
        Event::Ended {
            raw: Some(RawData::Test(test)),
            ..
        } => Some(*test),
        _ => None,
    });
    test.unwrap()
}

/// Fixtures of these names.
pub fn fixtures(names: &[&str]) -> Vec<Fixture> {
    names
        .iter()
        .map(|name| pyti_fixtures::build(name).unwrap())
        .collect()
}

/// An index with these fixtures, the backend that builds them, and pytest; `None`, said loudly, without pytest.
pub fn served(test: &str, names: &[&str], faults: Faults) -> Option<LocalIndex> {
    let wheels = tools::wheels().map_err(|why| skipped(test, &why)).ok()?;
    let mut all = fixtures(names);
    all.extend(fixtures(&["plain-backend"]));
    Some(
        LocalIndex::start(all, faults)
            .unwrap()
            .with_folder(&wheels)
            .unwrap(),
    )
}

/// Folders of one user who never was here before, and nothing of the machine's own configuration.
pub struct Place {
    folder: TempDir,
    uv: Option<PathBuf>,
    user: Option<u32>,
    variables: Vec<(String, String)>,
    hidden: Vec<String>,
    /// A `pyti` was killed here, and the next one came too early to clean up after it.
    pub may_leave_scratch: bool,
}

impl Place {
    /// Folders only: for commands that run nothing.
    pub fn bare() -> Self {
        let folder = tempfile::Builder::new().prefix("pyti-test-").tempdir().unwrap();
        for name in ["home", "tmp", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        leftovers::adopt();
        Self {
            folder,
            uv: None,
            user: None,
            variables: Vec::new(),
            hidden: Vec::new(),
            may_leave_scratch: false,
        }
    }

    /// Folders, and the uv of the tests; `None`, said loudly, when there is no uv to be had.
    pub fn new(test: &str) -> Option<Self> {
        let uv = match tools::uv() {
            Ok(uv) => uv,
            Err(why) => {
                skipped(test, &why);
                return None;
            }
        };
        let mut place = Self::bare();
        place.uv = Some(uv);
        Some(place)
    }

    /// The same, owned and used by an ordinary user, with a uv that this user may read.
    pub fn owned_by(mut self, user: u32) -> Self {
        if let Some(uv) = self.uv.as_mut() {
            let copy = self.folder.path().join("uv");
            std::fs::copy(&*uv, &copy).unwrap();
            *uv = copy;
        }
        std::fs::copy(program(), self.path().join("pyti")).unwrap();
        for entry in walk(self.path()) {
            std::os::unix::fs::chown(&entry, Some(user), Some(user)).unwrap();
        }
        self.user = Some(user);
        self
    }

    /// The folder of all its folders.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where commands are run.
    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Writes the user's `pyti.toml`.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.path().join("pyti.toml"), text).unwrap();
    }

    /// `pyti` with these arguments.
    pub fn pyti<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = match self.user {
            None if !self.hidden.is_empty() => {
                let hide = "for f in $HIDDEN; do mount --bind /dev/null $f || exit 99; done; exec \"$@\"";
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "sh", "-c", hide, "sh"])
                    .arg(program())
                    .env("HIDDEN", self.hidden.join(" "));
                command
            }
            None => Command::new(program()),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let user = user.to_string();
                command
                    .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
                    .arg(self.path().join("pyti"));
                command
            }
        };
        command
            .args(arguments)
            .current_dir(self.work())
            .stdin(Stdio::null());
        let foreign = [
            "PIP_",
            "UV_",
            "PYTI_",
            "XDG_",
            "PYTHON",
            "VIRTUAL_ENV",
            "NO_COLOR",
        ];
        for (name, _) in std::env::vars_os() {
            if foreign
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        if std::env::var_os("PYENV_ROOT").is_none()
            && let Some(pyenv) = home.map(|home| home.join(".pyenv")).filter(|path| path.is_dir())
            && self.user.is_none()
        {
            command.env("PYENV_ROOT", pyenv);
        }
        command
            .env("HOME", self.path().join("home"))
            .env("TMPDIR", self.path().join("tmp"))
            .env("PYTI_CACHE_DIR", self.path().join("cache"))
            .env("PYTI_DATA_DIR", self.path().join("data"))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("UV_NO_CONFIG", "1")
            .env("LC_ALL", "C.UTF-8");
        if let Some(uv) = &self.uv {
            command.env("PYTI_UV", uv);
        }
        if self.path().join("pyti.toml").is_file() {
            command.env("PYTI_CONFIG", self.path().join("pyti.toml"));
        }
        if self.user.is_some() {
            command
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env_remove("PYENV_ROOT");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A project folder with a build backend of its own, and this as its module.
    pub fn project(&self, module: &str) -> PathBuf {
        let folder = self.work().join("project");
        let source = pyti_fixtures::sources().join("in-tree-backend");
        for path in walk(&source) {
            let to = folder.join(path.strip_prefix(&source).unwrap());
            if path.is_dir() {
                std::fs::create_dir_all(to).unwrap();
            } else if !path.ends_with("manifest.toml") {
                std::fs::copy(&path, to).unwrap();
            }
        }
        std::fs::write(folder.join("in_tree_backend.py"), module).unwrap();
        folder
    }

    /// Programs of the machine that are not there for what is run from now on. False, said loudly, where only root could.
    pub fn hide(&mut self, test: &str, programs: &[&str]) -> bool {
        if !rustix::process::geteuid().is_root() {
            skipped(test, "programs of the machine can be hidden by root only");
            return false;
        }
        let there = |program: &&&str| Path::new(program).is_file();
        self.hidden
            .extend(programs.iter().filter(there).map(|program| (*program).to_owned()));
        true
    }

    /// Sets a variable for what is run from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs `pyti` to its end, and sees that it left nothing behind.
    pub fn ends<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        let arguments: Vec<OsString> = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let child = self.start(&arguments);
        self.wait(child, &arguments)
    }

    /// Starts `pyti`; [`Self::wait`] must follow.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Child {
        let mut command = self.pyti(arguments.iter().map(AsRef::as_ref));
        leftovers::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts `pyti` and waits until it has said this on standard error.
    pub fn start_until<S: AsRef<OsStr>>(&self, arguments: &[S], said: &str) -> Running {
        let mut child = self.start(arguments);
        let heard = Arc::new(Mutex::new(String::new()));
        let (pipe, into) = (child.stderr.take().unwrap(), Arc::clone(&heard));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut into = into.lock().unwrap();
                into.push_str(&String::from_utf8_lossy(&line));
                into.push('\n');
            }
        });
        let deadline = Instant::now() + Duration::from_mins(1);
        while !heard.lock().unwrap().contains(said) {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "never said {said:?}: {}",
                heard.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let what = arguments
            .iter()
            .map(|a| a.as_ref().to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        Running {
            child,
            heard,
            reader,
            what,
        }
    }

    /// Waits for what was started so.
    pub fn wait_for(&self, running: Running) -> Ended {
        let id = running.child.id();
        let output = running.child.wait_with_output().unwrap();
        running.reader.join().unwrap();
        leftovers::none(id, &running.what, self.path());
        let mut ended = Ended::new(output, running.what);
        ended.stderr.push_str(&running.heard.lock().unwrap());
        ended
    }

    /// Waits for what was started.
    pub fn wait<S: AsRef<OsStr>>(&self, child: Child, arguments: &[S]) -> Ended {
        let id = child.id();
        let output = child.wait_with_output().unwrap();
        let what = arguments
            .iter()
            .map(|a| a.as_ref().to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        leftovers::none(id, &what, self.path());
        Ended::new(output, what)
    }

    /// `pyti run --json` with this index.
    pub fn run<S: AsRef<OsStr>>(&self, index: &LocalIndex, arguments: impl IntoIterator<Item = S>) -> Ended {
        self.ends(run_arguments(index, arguments))
    }
}

/// A `pyti` that is at work.
pub struct Running {
    pub child: Child,
    heard: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
    what: String,
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Place {
    /// Whatever ran here, the folders of jobs went with them, except where a test left one on purpose.
    fn drop(&mut self) {
        let stage = self.path().join("cache/stage");
        let left: Vec<_> = std::fs::read_dir(stage)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        if !self.may_leave_scratch && !std::thread::panicking() {
            assert!(left.is_empty(), "folders of jobs were left behind: {left:?}");
        }
    }
}

/// Arguments of `pyti run --json` with this index.
pub fn run_arguments<S: AsRef<OsStr>>(
    index: &LocalIndex,
    arguments: impl IntoIterator<Item = S>,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![
        "run".into(),
        "--json".into(),
        "--index-url".into(),
        index.url().into(),
    ];
    all.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
    all
}

/// A folder with everything below it, itself first.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        if path.is_symlink() || !path.is_dir() {
            continue;
        }
        found.extend(
            std::fs::read_dir(&path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
    }
    found
}

/// What one call of `pyti` came to.
#[derive(Debug)]
pub struct Ended {
    pub what: String,
    /// Exit code; 128 and the signal when one ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn new(output: Output, what: String) -> Self {
        let status = output.status;
        Self {
            what,
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{}", self.story());
        self
    }

    /// Everything, for the message of a failure.
    pub fn story(&self) -> String {
        format!(
            "pyti {}\ncode {}\n--- out\n{}\n--- err\n{}",
            self.what, self.code, self.stdout, self.stderr
        )
    }

    /// The JSON objects that were printed, one a line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}\n{}", self.story()));
        self.stdout.lines().map(parse).collect()
    }

    /// The one JSON object that was printed.
    #[track_caller]
    pub fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{}", self.story());
        objects.remove(0)
    }
}

/// The words of all reasons of an object of `--json`.
pub fn reasons(object: &Value) -> Vec<String> {
    let reasons = object["reasons"].as_array().into_iter().flatten();
    reasons
        .map(|reason| reason["code"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// A task of an object of `--json`, by its name or its `job/name`.
pub fn task<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["tasks"].as_array()?.iter().find(|task| {
        task["id"]
            .as_str()
            .is_some_and(|id| id == name || id.rsplit_once('/').is_some_and(|(_, last)| last == name))
    })
}
