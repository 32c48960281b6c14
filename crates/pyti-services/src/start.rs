//! Starting one service: its folder, its first preparation, its program, and waiting until it is ready.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use pyti_model::foreign::Foreign;
use pyti_model::raw::{self, ServiceState};

use crate::catalogue::{Ready, Service, Step};
use crate::request::Wanted;
use crate::{FOLDER, locate};

/// How often somebody looks whether it is ready.
const LOOK: Duration = Duration::from_millis(10);
/// How long it may take to answer a look.
const ANSWER: Duration = Duration::from_millis(500);
/// How long a program may take to tell its version.
const VERSION: Duration = Duration::from_secs(10);
/// Bytes of its log that are told when it does not do well.
const TAIL: u64 = 4096;
/// Longest version that is kept.
const VERSION_LENGTH: usize = 200;

/// A service that was started, or could not be.
pub(crate) struct Started {
    pub(crate) told: raw::Service,
    /// Its process, while it runs.
    pub(crate) child: Option<Child>,
}

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("cannot {0}")]
    Ours(&'static str, #[source] io::Error),
    #[error("{0} ended with {1}")]
    Preparation(String, ExitStatus),
    #[error("it ended with {0}")]
    Ended(ExitStatus),
    #[error("it was not ready in time")]
    Late,
}

/// Places that texts of the catalogue name.
struct Places<'a> {
    folder: PathBuf,
    program: &'a Path,
    own: &'a Path,
    databases: String,
}

impl Places<'_> {
    fn text(&self, text: &str) -> String {
        let bin = self.program.parent().unwrap_or(Path::new("/"));
        text.replace("{folder}", &self.folder.to_string_lossy())
            .replace("{bin}", &bin.to_string_lossy())
            .replace("{program}", &self.program.to_string_lossy())
            .replace("{self}", &self.own.to_string_lossy())
            .replace("{databases}", &self.databases)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }
}

/// Starts a service, and waits until it is ready or `until` has come.
pub(crate) fn start(service: &Service, wanted: &Wanted, own: &Path, until: Instant) -> Started {
    let mut told = raw::Service {
        name: service.name.to_owned(),
        install: service.install.to_owned(),
        ..raw::Service::default()
    };
    let Some(program) = locate(service, own) else {
        return Started { told, child: None };
    };
    let began = Instant::now();
    let places = Places {
        folder: Path::new(FOLDER).join(service.name),
        program: &program,
        own,
        databases: databases(service, wanted),
    };
    told.install.clear();
    told.program = program.to_string_lossy().into_owned();
    told.port = service.port;
    told.env = texts(service.env, &places);
    let child = begin(service, &places, until);
    told.ready_s = began.elapsed().as_secs_f64();
    told.version = version(service, &places);
    match child {
        Ok(child) => {
            told.state = ServiceState::Ready;
            Started {
                told,
                child: Some(child),
            }
        }
        Err((why, child)) => {
            if let Some(mut child) = child {
                // it is our own child; that it has gone already is fine
                let _ = child.kill();
                let _ = child.wait();
            }
            told.state = ServiceState::Failed;
            told.said = Foreign::from(format!("{}\n{}", chain(&why), tail(&places.log())));
            Started { told, child: None }
        }
    }
}

fn chain(error: &NotReady) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Lines of SQL that make the databases.
fn databases(service: &Service, wanted: &Wanted) -> String {
    let usual: &[&str] = if service.name == "postgresql" {
        &["dev", "test"]
    } else {
        &[]
    };
    let quote = if service.name == "postgresql" { '"' } else { '`' };
    let asked = wanted
        .databases
        .iter()
        .map(String::as_str)
        .filter(|name| !usual.contains(name));
    usual
        .iter()
        .copied()
        .chain(asked)
        .filter(|name| crate::request::is_database(name))
        .map(|name| format!("CREATE DATABASE {quote}{name}{quote};\n"))
        .collect()
}

fn begin(service: &Service, places: &Places<'_>, until: Instant) -> Result<Child, (NotReady, Option<Child>)> {
    let ours = |what| move |e| (NotReady::Ours(what, e), None);
    for folder in [
        places.folder.as_path(),
        Path::new("/run/postgresql"),
        Path::new("/run/mysqld"),
    ] {
        fs::create_dir_all(folder).map_err(ours("make its folder"))?;
    }
    for (path, text) in service.files {
        fs::write(places.text(path), places.text(text)).map_err(ours("write its configuration"))?;
    }
    for step in service.prepare {
        prepare(service, places, step, until).map_err(|why| (why, None))?;
    }
    let serve = Step {
        argv: service.serve,
        input: "",
    };
    let mut child = command(service, places, &serve)
        .and_then(|mut command| command.spawn())
        .map_err(ours("start its program"))?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Err((NotReady::Ended(status), None)),
            Ok(None) => {}
            Err(error) => return Err((NotReady::Ours("wait for it", error), Some(child))),
        }
        if is_ready(service, places) {
            return Ok(child);
        }
        if Instant::now() > until {
            return Err((NotReady::Late, Some(child)));
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs one preparation to its end.
fn prepare(service: &Service, places: &Places<'_>, step: &Step, until: Instant) -> Result<(), NotReady> {
    let mut child = command(service, places, step)
        .and_then(|mut command| command.spawn())
        .map_err(|e| NotReady::Ours("start what prepares its folder", e))?;
    let status =
        wait(&mut child, until).map_err(|e| NotReady::Ours("wait for what prepares its folder", e))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(NotReady::Preparation(places.text(step.argv[0]), status)),
        None => Err(NotReady::Late),
    }
}

/// Waits for a process, at most until a moment; then it is ended, and nothing is given.
fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// A command of a service: nothing of the tests' environment reaches it, and its words go into its log.
fn command(service: &Service, places: &Places<'_>, step: &Step) -> io::Result<Command> {
    let argv: Vec<String> = step.argv.iter().map(|word| places.text(word)).collect();
    let log = File::options().create(true).append(true).open(places.log())?;
    let mut command = Command::new(&argv[0]);
    command
        .args(&argv[1..])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", &places.folder)
        .env("USER", "dev")
        .env("LOGNAME", "dev")
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .env("TMPDIR", "/tmp")
        .envs(texts(service.own_env, places))
        .current_dir(&places.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // what a person's interrupt ends is the tests, and a signal to the tests' group reaches no service
        .process_group(0);
    if !step.input.is_empty() {
        command.stdin(File::open(places.text(step.input))?);
    }
    Ok(command)
}

fn texts(pairs: &[(&str, &str)], places: &Places<'_>) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), places.text(value)))
        .collect()
}

fn is_ready(service: &Service, places: &Places<'_>) -> bool {
    match service.ready {
        Ready::Answers(send, expect) => service
            .port
            .is_some_and(|port| answers(port, send.as_bytes(), expect.as_bytes())),
        Ready::Holds(path, text) => {
            fs::read_to_string(places.text(path)).is_ok_and(|content| content.contains(text))
        }
        Ready::Takes(path) => UnixStream::connect(places.text(path)).is_ok(),
    }
}

/// Whether somebody at a port of the loopback answers so.
fn answers(port: u16, send: &[u8], expect: &[u8]) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, ANSWER) else {
        return false;
    };
    let asked = stream
        .set_read_timeout(Some(ANSWER))
        .and_then(|()| stream.write_all(send));
    if asked.is_err() {
        return false;
    }
    let (mut heard, mut piece) = (Vec::new(), [0; 512]);
    while heard.len() < 4096 {
        if expect.is_empty() || heard.windows(expect.len()).any(|part| part == expect) {
            return true;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(n) => heard.extend_from_slice(&piece[..n]),
        }
    }
    false
}

/// The first line that its program says of its version.
fn version(service: &Service, places: &Places<'_>) -> Foreign {
    let argv: Vec<String> = service.version.iter().map(|word| places.text(word)).collect();
    let Some((program, arguments)) = argv.split_first() else {
        return Foreign::default();
    };
    let path = places.folder.join("version.txt");
    let asked = File::create(&path).and_then(|file| {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &places.folder)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        wait(&mut child, Instant::now() + VERSION)
    });
    if asked.is_err() {
        return Foreign::default();
    }
    let said = fs::read(&path).unwrap_or_default();
    let line = said
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    Foreign::new(&line[..line.len().min(VERSION_LENGTH)])
}

/// The end of a log.
fn tail(path: &Path) -> String {
    use std::io::{Seek as _, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::catalogue::find;

    #[test]
    fn databases_are_made_once_and_only_by_plain_names() {
        let wanted = |names: &[&str]| Wanted {
            name: String::new(),
            databases: names.iter().map(|n| (*n).to_owned()).collect(),
        };
        let service = find("postgresql").unwrap();
        assert_eq!(
            databases(service, &wanted(&["test", "own", "a\"; DROP"])),
            "CREATE DATABASE \"dev\";\nCREATE DATABASE \"test\";\nCREATE DATABASE \"own\";\n"
        );
        assert_eq!(
            databases(find("mariadb").unwrap(), &wanted(&["own"])),
            "CREATE DATABASE `own`;\n"
        );
    }

    #[test]
    fn only_who_answers_as_expected_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 16];
                let n = stream.read(&mut asked).unwrap();
                let answer: &[u8] = if &asked[..n] == b"PING\r\n" {
                    b"+PONG\r\n"
                } else {
                    b"-ERR\r\n"
                };
                stream.write_all(answer).unwrap();
            }
        });
        assert!(answers(port, b"PING\r\n", b"+PONG"));
        assert!(!answers(port, b"PONG\r\n", b"+PONG"));
        assert!(answers(port, b"x", b""), "who only has to let in");
        server.join().unwrap();
        assert!(!answers(port, b"PING\r\n", b"+PONG"), "nobody listens any more");
    }
}
