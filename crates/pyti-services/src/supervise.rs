//! The verb `__with-services`: services, and a command beside them.
//!
//! It runs inside the box of the tests, under their uid: code of a package can end it, as it can end its own runner. What is
//! told before the command starts cannot be touched by it; what is told later is the word of whoever speaks last.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, FromRawFd as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use pyti_model::raw;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};

use crate::request::{Request, Wanted};
use crate::start::{Started, start};
use crate::stop::Noted;
use crate::told::{Say, line};

/// The verb.
pub const VERB: &str = "__with-services";
/// Exit code when the arguments make no sense.
const BAD_ARGUMENTS: u8 = 2;
/// Exit code when the command was not started, as of a shell.
const NOT_STARTED: u8 = 120;

/// The command, for the handler of signals.
static COMMAND: AtomicI32 = AtomicI32::new(0);

/// Runs the verb with the arguments after it, and ends as the command does.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let (request, command) = match parse(args) {
        Ok(parsed) => parsed,
        Err(why) => return complain(BAD_ARGUMENTS, &why),
    };
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/.pyti/pyti"));
    match run(&request, &command, &own) {
        Ok(status) => end_like(status),
        Err((code, why)) => complain(code, &why),
    }
}

fn parse(args: Vec<OsString>) -> Result<(Request, Vec<OsString>), String> {
    let mut args = args.into_iter();
    let told = args.next().unwrap_or_default();
    let told = told.to_str().ok_or("the request is not UTF-8")?;
    let request: Request =
        serde_json::from_str(told).map_err(|e| format!("the request is unreadable: {e}"))?;
    if args.next().is_none_or(|word| word != "--") {
        return Err("a command is wanted after --".to_owned());
    }
    let command: Vec<OsString> = args.collect();
    if command.is_empty() {
        return Err("a command is wanted after --".to_owned());
    }
    if request.results <= 2 {
        return Err(format!("{} is no descriptor for results", request.results));
    }
    Ok((request, command))
}

fn run(request: &Request, command: &[OsString], own: &Path) -> Result<ExitStatus, (u8, String)> {
    // SAFETY: the number was passed by whoever started this program as a descriptor for us; nothing else in this process owns
    // it, and it stays open until the process ends. A wrong number makes the calls fail.
    let results = unsafe { BorrowedFd::borrow_raw(request.results) };
    let inherit = |flags| {
        fcntl_setfd(results, flags)
            .map_err(|e| (BAD_ARGUMENTS, format!("descriptor {}: {e}", request.results)))
    };
    // services have no business with it
    inherit(FdFlags::CLOEXEC)?;
    let started = start_all(request, own);
    let told: Vec<raw::Service> = started.iter().map(|one| one.told.clone()).collect();
    let noted = Noted::now();
    let say = |say: Say| {
        write(request.results, &line(say))
            .map_err(|e| (BAD_ARGUMENTS, format!("descriptor {}: {e}", request.results)))
    };
    say(Say::Before(told.clone()))?;
    inherit(FdFlags::empty())?;
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]);
    for (name, value) in told
        .iter()
        .filter(|service| service.state == raw::ServiceState::Ready)
        .flat_map(|service| &service.env)
        .filter(|(name, _)| std::env::var_os(name).is_none())
    {
        child.env(name, value);
    }
    forward();
    let spawned = child.spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            noted.end();
            return Err((
                NOT_STARTED,
                format!("{} cannot be started: {error}", command[0].display()),
            ));
        }
    };
    COMMAND.store(child.id().cast_signed(), Ordering::SeqCst);
    let status = child.wait();
    COMMAND.store(0, Ordering::SeqCst);
    let gone = gone(started);
    if !gone.is_empty() {
        // whoever reads misses nothing but that one of them had ended
        let _ = say(Say::After(gone));
    }
    noted.end();
    status.map_err(|e| (NOT_STARTED, format!("cannot wait for the command: {e}")))
}

/// Starts all at once: they don't wait for each other.
fn start_all(request: &Request, own: &Path) -> Vec<Started> {
    let until = Instant::now() + Duration::from_secs(u64::from(request.patience_s));
    let mut names = BTreeSet::new();
    let wanted: Vec<&Wanted> = request
        .services
        .iter()
        .filter(|w| names.insert(w.name.clone()))
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = wanted
            .into_iter()
            .filter_map(|wanted| Some((wanted, wanted.service()?)))
            .map(|(wanted, service)| scope.spawn(move || start(service, wanted, own, until)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}

/// Names of those that have ended already.
fn gone(started: Vec<Started>) -> Vec<String> {
    started
        .into_iter()
        .filter_map(|one| {
            let mut child = one.child?;
            matches!(child.try_wait(), Ok(Some(_))).then_some(one.told.name)
        })
        .collect()
}

fn write(fd: i32, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: as above; it is not closed here
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    file.write_all(bytes)
}

/// What the box tells us goes on to the command: SIGABRT makes it say where it was.
fn forward() {
    extern "C" fn pass_on(signal: libc::c_int) {
        let pid = COMMAND.load(Ordering::SeqCst);
        if pid > 0 {
            // SAFETY: `kill` may be called in a handler; the process is our child, and not waited for yet
            unsafe { libc::kill(pid, signal) };
        }
    }
    for signal in [libc::SIGABRT, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let handler = pass_on as extern "C" fn(libc::c_int);
        // SAFETY: the handler calls nothing that may not be called in one
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Ends as the command did: with its exit code, or by its signal.
fn end_like(status: ExitStatus) -> ExitCode {
    if let Some(code) = status.code() {
        return ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1));
    }
    let signal = status.signal().unwrap_or(libc::SIGKILL);
    // SAFETY: the default action of a signal may be asked for at any time
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    if let (Some(own), Some(signal)) = (
        Pid::from_raw(std::process::id().cast_signed()),
        Signal::from_named_raw(signal),
    ) {
        // when even this fails, the exit code below says it as a shell does
        let _ = kill_process(own, signal);
    }
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(255))
}

fn complain(code: u8, what: &str) -> ExitCode {
    // nobody is left to be told when even this fails
    let _ = writeln!(io::stderr(), "pyti: {VERB}: {what}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<(Request, Vec<OsString>), String> {
        parse(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn arguments_are_a_request_and_a_command() {
        let request = r#"{"results":7,"services":[{"name":"redis"}],"patience_s":5}"#;
        let (parsed, command) = read(&[request, "--", "python", "-m", "pytest"]).unwrap();
        assert_eq!((parsed.results, parsed.services[0].name.as_str()), (7, "redis"));
        assert_eq!(command.len(), 3);
        assert!(read(&[request, "--"]).is_err());
        assert!(read(&[request]).is_err());
        assert!(read(&["{}", "--", "x"]).is_err());
        assert!(read(&[&request.replace('7', "1"), "--", "x"]).is_err());
    }
}
