//! `pyti shell`: driven through pipes, and by a person's terminal.

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pyti_fixtures::{Faults, LocalIndex};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use support::{Ended, Place, leftovers};

const NAME: &str = "unittest-passes";
const MODULE: &str = "unittest_passes";
/// An address where nobody answers: what was recorded must do.
const NOWHERE: &str = "http://127.0.0.1:9/simple/";

/// A place with one run of the fixture, whose index is gone.
fn recorded(test: &str) -> Option<Place> {
    recorded_in(test, Place::new(test)?)
}

fn recorded_in(test: &str, place: Place) -> Option<Place> {
    let wheels = match support::tools::wheels() {
        Ok(wheels) => wheels,
        Err(why) => {
            support::skipped(test, &why);
            return None;
        }
    };
    let index = LocalIndex::start(support::fixtures(&[NAME, "plain-backend"]), Faults::none()).unwrap();
    let index = index.with_folder(&wheels).unwrap();
    place.run(&index, [NAME]).code(0);
    Some(place)
}

/// `pyti shell` with a script on its standard input.
fn piped(place: &Place, arguments: &[&str], script: &str) -> Ended {
    let mut all = vec!["shell", "--index-url", NOWHERE];
    all.extend(arguments);
    let mut command = place.pyti(&all);
    let mut child = leftovers::spawn(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdin = child.stdin.take().unwrap();
    // a refusal reads nothing
    let _ = stdin.write_all(script.as_bytes());
    drop(stdin);
    place.wait(child, &all)
}

#[test]
fn a_script_sees_what_the_package_sees_and_its_exit_code_is_ours() {
    let Some(place) = recorded("a_script_sees_what_the_package_sees_and_its_exit_code_is_ours") else {
        return;
    };
    let script = format!(
        "echo home $HOME\nid -u\npython -c 'import {MODULE}; print({MODULE}.__file__)'\necho aside >&2\n\
         test -e /.pyti/pyti && echo ours\nexit 7\n"
    );
    let ended = piped(&place, &["last", "--quiet"], &script).code(7);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(
        (lines.len(), &lines[..2]),
        (3, &["home /home/dev", "1000"][..]),
        "{}",
        ended.story()
    );
    assert!(
        lines[2].starts_with("/home/dev/venv/") && lines[2].contains("site-packages"),
        "{}",
        ended.story()
    );
    assert_eq!(ended.stderr, "aside\n", "{}", ended.story());
}

#[test]
fn the_end_of_input_ends_the_shell() {
    let Some(place) = recorded("the_end_of_input_ends_the_shell") else {
        return;
    };
    let ended = piped(&place, &["--quiet", "--after", "install", "--job", "wheel"], "").code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let long = "x".repeat(300_000);
    let ended = piped(
        &place,
        &["--quiet", "--after", "install"],
        &format!("wc -c <<E\n{long}\nE\n"),
    )
    .code(0);
    assert_eq!(ended.stdout.trim(), "300001", "{}", ended.stderr);
}

#[test]
fn every_task_that_leaves_files_can_be_looked_at() {
    let Some(place) = recorded("every_task_that_leaves_files_can_be_looked_at") else {
        return;
    };
    for (job, after, script, expected) in [
        ("sdist", "unpack", "pwd; ls", "/home/dev/src\n"),
        ("sdist", "build", "pwd; ls /home/dev/dist", ".whl"),
        ("wheel", "env-runtime", "python -c 'print(40 + 2)'", "42\n"),
        ("wheel", "test", "pwd; ls tests", "test_answer.py"),
        ("wheel", "env-test", "pwd; ls /home/dev/src/tests", "/home/dev\n"),
    ] {
        let ended = piped(&place, &["--quiet", "--job", job, "--after", after], script).code(0);
        assert!(ended.stdout.contains(expected), "{}", ended.story());
    }
    for (after, why) in [
        ("nonsense", "there was no task nonsense"),
        ("lock-runtime", "leaves no files"),
    ] {
        let ended = piped(&place, &["--after", after], "echo here").code(2);
        assert!(
            ended.stderr.contains(why) && ended.stdout.is_empty(),
            "{}",
            ended.story()
        );
    }
}

#[test]
fn the_shell_has_no_network_and_no_host() {
    let Some(place) = recorded("the_shell_has_no_network_and_no_host") else {
        return;
    };
    let secret = place.work().join("secret");
    std::fs::write(&secret, "x").unwrap();
    let script = format!(
        "test -e {} && echo seen\ncat /etc/passwd | wc -l\n\
         python -c 'import socket; socket.getaddrinfo(\"example.invalid\", 80)' 2>/dev/null || echo no name\n",
        secret.display()
    );
    let ended = piped(&place, &["--quiet"], &script).code(0);
    assert!(
        !ended.stdout.contains("seen") && ended.stdout.contains("no name"),
        "{}",
        ended.story()
    );
}

#[test]
fn all_output_can_be_had_as_a_file() {
    let Some(place) = recorded("all_output_can_be_had_as_a_file") else {
        return;
    };
    place.ends(["get", "last", "log", "--output", "all.log"]).code(0);
    let text = std::fs::read_to_string(place.work().join("all.log")).unwrap();
    assert!(
        text.contains("==== wheel/test: success") && text.contains("==== sdist/build: success"),
        "{text}"
    );
    place
        .ends(["get", "last", "log", "--job", "sdist", "--output", "sdist.log"])
        .code(0);
    let text = std::fs::read_to_string(place.work().join("sdist.log")).unwrap();
    assert!(
        !text.contains("==== wheel/") && text.contains("==== sdist/build"),
        "{text}"
    );
    place.ends(["get", "last", "log", "--job", "nonsense"]).code(2);
}

/// A terminal with a person before it.
struct Screen {
    ours: File,
    theirs: OwnedFd,
    seen: String,
}

impl Screen {
    fn new(rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        let screen = Self {
            ours: File::from(ours),
            theirs,
            seen: String::new(),
        };
        screen.resize(rows, columns);
        screen
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(self.ours.as_fd(), size).unwrap();
    }

    fn modes(&self) -> Termios {
        tcgetattr(&self.theirs).unwrap()
    }

    fn stdio(&self) -> Stdio {
        Stdio::from(self.theirs.try_clone().unwrap())
    }

    fn types(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this appears, and forgets everything up to its end.
    #[track_caller]
    fn expect(&mut self, wanted: &str) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(at) = self.seen.find(wanted) {
                self.seen.drain(..at + wanted.len());
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{wanted:?} did not appear after {:?}",
                self.seen
            );
            let tick = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
            if poll(&mut fds, Some(&tick)).unwrap() > 0 {
                let mut part = [0; 4096];
                let read = self.ours.read(&mut part).unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&part[..read]));
            }
        }
    }
}

fn is_raw(modes: &Termios) -> bool {
    !modes
        .local_modes
        .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

/// `pyti shell` in a session whose terminal this is.
fn sits_before(place: &Place, screen: &Screen) -> (std::process::Child, Vec<&'static str>) {
    let arguments = vec!["shell", "--index-url", NOWHERE];
    let inner = place.pyti(&arguments);
    let mut command = Command::new("setsid");
    command
        .arg("--ctty")
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(place.work());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("TERM", "xterm")
        .stdin(screen.stdio())
        .stdout(screen.stdio())
        .stderr(screen.stdio());
    (leftovers::spawn(&mut command), arguments)
}

#[test]
fn a_person_sits_before_a_terminal_of_the_box() {
    let Some(place) = recorded("a_person_sits_before_a_terminal_of_the_box") else {
        return;
    };
    let mut screen = Screen::new(30, 100);
    let before = screen.modes();
    let (child, arguments) = sits_before(&place, &screen);
    screen.expect("after env-test:~$ ");
    assert!(is_raw(&screen.modes()) && !is_raw(&before));
    screen.types("stty size; echo $TERM\r");
    screen.expect("30 100");
    screen.expect("xterm");
    screen.resize(40, 120);
    // the size goes its own way, and takes its time
    screen.types("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo res''ized\r");
    screen.expect("resized");
    // keys of control are for the shell in the box, not for us
    screen.types("sleep 1000\r");
    std::thread::sleep(Duration::from_millis(300));
    screen.types("\x03");
    screen.expect("^C");
    screen.types("echo al''ive\r");
    screen.expect("alive");
    screen.types("sleep 1000 &\rjobs\r");
    screen.expect("Running");
    screen.types("exit 9\r");
    screen.expect("exit 9");
    let ended = place.wait(child, &arguments);
    assert_eq!(ended.code, 9);
    let after = screen.modes();
    assert_eq!(
        (after.input_modes, after.output_modes, after.local_modes),
        (before.input_modes, before.output_modes, before.local_modes)
    );
}

#[test]
fn an_ordinary_user_has_a_terminal_too() {
    const TEST: &str = "an_ordinary_user_has_a_terminal_too";
    if !rustix::process::geteuid().is_root() {
        support::skipped(TEST, "the tests run as an ordinary user, so the others show it");
        return;
    }
    let Some(place) = Place::new(TEST) else { return };
    let Some(place) = recorded_in(TEST, place.owned_by(54321)) else {
        return;
    };
    let mut screen = Screen::new(24, 80);
    let (child, arguments) = sits_before(&place, &screen);
    screen.expect("$ ");
    screen.types("id -u; test -t 0 && echo term''inal; exit 4\r");
    screen.expect("1000");
    screen.expect("terminal");
    assert_eq!(place.wait(child, &arguments).code, 4);
}

#[test]
fn the_terminal_gets_its_mode_back_when_we_are_told_to_end() {
    let Some(place) = recorded("the_terminal_gets_its_mode_back_when_we_are_told_to_end") else {
        return;
    };
    let mut screen = Screen::new(24, 80);
    let before = screen.modes();
    let (child, arguments) = sits_before(&place, &screen);
    screen.expect("$ ");
    screen.types("sleep 1000\r");
    screen.expect("sleep 1000");
    assert!(is_raw(&screen.modes()));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = place.wait(child, &arguments);
    assert_eq!(ended.code, 130);
    assert_eq!(screen.modes().local_modes, before.local_modes);
}

#[test]
fn a_shell_that_reads_nothing_can_be_ended() {
    let Some(place) = recorded("a_shell_that_reads_nothing_can_be_ended") else {
        return;
    };
    let arguments = ["shell", "--index-url", NOWHERE, "--quiet"];
    let mut command = place.pyti(arguments);
    let mut child = leftovers::spawn(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdin = child.stdin.take().unwrap();
    let typing = std::thread::spawn(move || {
        let _ = stdin.write_all(b"echo started; sleep 1000\n");
        // more than all buffers on the way hold; ends when nobody is left to read it
        let _ = stdin.write_all(&vec![b'\n'; 64 << 20]);
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut started = [0; 8];
    stdout.read_exact(&mut started).unwrap();
    assert_eq!(&started, b"started\n");
    std::thread::sleep(Duration::from_secs(1));
    let told = Instant::now();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(place.wait(child, &arguments).code, 130);
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    typing.join().unwrap();
}
