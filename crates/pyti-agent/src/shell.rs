//! A shell for a person, on the layers that a task left.
//!
//! It sees what the package's own commands see: the same environment, the same silent network, the same walls. Its
//! terminal is one of the box's own; the person's terminal never comes in here, only bytes do.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyti_box::protocol::{
    InputPart, OutputPart, OutputStream, SOURCE, ShellEnd, ShellOrder, TerminalOpened, TerminalOrder,
    TerminalOutput, WindowSize,
};
use pyti_box::rpc::{Peer, RpcError};
use pyti_model::effect::Limits;
use pyti_model::foreign::Foreign;
use pyti_sandbox::{Command, Lower, Stream};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use serde_json::Value;

use crate::commands;
use crate::job::Job;

/// Most bytes of one message.
const PART: usize = 32 << 10;
/// Messages of input that wait for a shell that does not read; then the channel waits too.
const WAITING: usize = 64;
/// Seconds that a shell may stay open.
const LONG: u32 = 24 * 3600;

/// Where what is typed goes, while a shell is open.
#[derive(Default)]
pub(crate) struct Typing {
    line: Mutex<Option<Line>>,
}

struct Line {
    bytes: SyncSender<Vec<u8>>,
    /// Our end of the terminal.
    terminal: Option<Arc<OwnedFd>>,
}

impl Typing {
    /// Passes on what was typed. Waits when the shell does not read.
    pub(crate) fn input(&self, params: Value) {
        let Ok(part) = serde_json::from_value::<InputPart>(params) else {
            return;
        };
        let bytes = {
            let mut line = self.lock();
            let bytes = line.as_ref().map(|line| line.bytes.clone());
            // a terminal has no end: leaving it is the shell's business
            if part.last && line.as_ref().is_some_and(|line| line.terminal.is_none()) {
                line.take();
            }
            bytes
        };
        if let Some(bytes) = bytes {
            // nobody reads it any more: the shell has ended
            let _ = bytes.send(part.bytes.as_bytes().to_vec());
        }
    }

    /// Changes the terminal's size.
    pub(crate) fn resize(&self, params: Value) {
        let Ok(size) = serde_json::from_value::<WindowSize>(params) else {
            return;
        };
        if let Some(terminal) = self.lock().as_ref().and_then(|line| line.terminal.as_ref()) {
            // a size that the terminal refuses leaves the one it has
            let _ = rustix::termios::tcsetwinsize(terminal, winsize(size));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the shell and stays until it has ended.
pub(crate) fn open(job: &Job, order: &ShellOrder, typing: &Typing) -> Result<ShellEnd, RpcError> {
    let lowers = layers(job, &order.after).ok_or_else(|| {
        RpcError::failed(format!(
            "the task {} left no files to open a shell on",
            order.after
        ))
    })?;
    let cannot = |error: io::Error| RpcError::failed(format!("cannot open a terminal: {error}"));
    let mut command = command(job, order, lowers);
    let (bytes, typed) = sync_channel(WAITING);
    let (line, into, screen) = if let Some(terminal) = &order.terminal {
        let (ours, theirs) = terminal_pair(terminal).map_err(cannot)?;
        let ours = Arc::new(ours);
        let into = File::from(ours.try_clone().map_err(cannot)?);
        let screen = File::from(ours.try_clone().map_err(cannot)?);
        command.terminal = Some(theirs);
        (
            Line {
                bytes,
                terminal: Some(ours),
            },
            into,
            Some(screen),
        )
    } else {
        let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| cannot(error.into()))?;
        command.input = Some(theirs);
        let peer = Arc::clone(&job.peer);
        command.on_output = Some(Arc::new(move |stream, bytes| {
            // a worker that is gone ends the agent, and the shell with it
            let _ = say(&peer, stream, bytes);
        }));
        (
            Line {
                bytes,
                terminal: None,
            },
            File::from(ours),
            None,
        )
    };
    let start = |name: &str, body: Box<dyn FnOnce() + Send>| {
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(cannot)
    };
    start("shell input", Box::new(move || write(into, &typed)))?;
    let peer = Arc::clone(&job.peer);
    let screen = screen
        .map(|screen| start("shell output", Box::new(move || show(screen, &peer))))
        .transpose()?;
    *typing.lock() = Some(line);
    let _ = job.peer.notify::<TerminalOpened>(&());
    let done = job.boxes.run(&command, &job.cancelled);
    // with the last holder of the terminal's other end its output ends
    drop(command);
    if let Some(screen) = screen {
        let _ = screen.join();
    }
    typing.lock().take();
    let done = done.map_err(|error| RpcError::failed(pyti_model::with_causes(&error)))?;
    Ok(ShellEnd {
        exit: done.effect.exit,
        limit: done.effect.limit,
    })
}

fn command(job: &Job, order: &ShellOrder, lowers: Vec<Lower>) -> Command {
    let shell = if Path::new("/usr/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    let mut argv = vec![shell.to_owned()];
    if shell == "/bin/bash" {
        // start-up files in the home are the package's, and would change what is looked at
        argv.extend(["--noprofile".to_owned(), "--norc".to_owned()]);
    }
    // beside the installed package, the modules of the tree would be the first that are found
    let cwd = if order.after != "env-test" && has_source(&lowers) {
        SOURCE
    } else {
        "/home/dev"
    };
    let mut command = commands::package(job, argv, lowers);
    command.cwd = PathBuf::from(cwd);
    command.results = false;
    command.linger_s = 0.2;
    command.limits = Limits {
        wall_s: LONG,
        cpu_s: LONG,
        inactivity_s: u32::MAX,
        output_bytes: u64::MAX,
        ..command.limits
    };
    commands::set(&mut command, "SHELL", shell);
    if let Some(terminal) = &order.terminal {
        commands::set(&mut command, "TERM", &terminal.kind);
        let prompt = format!("{} after {}:\\w\\$ ", job.order.plan.target.project, order.after);
        commands::set(
            &mut command,
            "PS1",
            if shell == "/bin/bash" { &prompt } else { "$ " },
        );
    }
    command
}

/// What the box is made of, newest first.
fn layers(job: &Job, after: &str) -> Option<Vec<Lower>> {
    let mut own = job.left(after)?;
    // an environment alone shows nothing of the package, so what is used together with it comes on top
    let mut lowers = Vec::new();
    if after == "env-test" {
        lowers.extend(job.left("install").and_then(|left| left.into_iter().next()));
    }
    if matches!(after, "env-test" | "env-build" | "env-build-2") {
        lowers.extend(
            job.left("unpack")
                .or_else(|| job.left("unpack-sdist"))
                .unwrap_or_default(),
        );
    }
    lowers.append(&mut own);
    Some(lowers)
}

/// Whether a source tree is there. Only decides where the shell begins.
fn has_source(lowers: &[Lower]) -> bool {
    let relative = SOURCE.trim_start_matches('/');
    lowers
        .iter()
        .find_map(|lower| {
            let root = match lower {
                Lower::Layer(layer) => layer.path(),
                Lower::Folder(folder) => folder.clone(),
            };
            root.join(relative).symlink_metadata().ok()
        })
        .is_some_and(|newest| newest.is_dir())
}

/// A new terminal: our end, and the command's.
fn terminal_pair(order: &TerminalOrder) -> io::Result<(OwnedFd, OwnedFd)> {
    // the first process of a namespace has no terminal and must not get this one
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    rustix::termios::tcsetwinsize(ours.as_fd(), winsize(order.size))?;
    Ok((ours, theirs))
}

fn winsize(size: WindowSize) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Writes what was typed until nothing more comes or nobody reads it.
fn write(mut into: File, typed: &Receiver<Vec<u8>>) {
    for bytes in typed {
        if into.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Sends what appears on the terminal until nobody holds its other end.
fn show(mut screen: File, peer: &Peer) {
    let mut part = vec![0; PART];
    loop {
        match screen.read(&mut part) {
            Ok(0) => return,
            Ok(read) => {
                if say(peer, Stream::Out, &part[..read]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // EIO is how a terminal says that its other end is closed
            Err(_) => return,
        }
    }
}

fn say(peer: &Peer, stream: Stream, bytes: &[u8]) -> Result<(), pyti_box::rpc::CallError> {
    let stream = match stream {
        Stream::Out => OutputStream::Out,
        Stream::Err => OutputStream::Err,
    };
    peer.notify::<TerminalOutput>(&OutputPart {
        stream,
        bytes: Foreign::new(bytes),
    })
}
