//! What all tasks of a job share.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyti_box::protocol::{JobOrder, VENV};

use pyti_box::rpc::Peer;
use pyti_decoy::Output;
use pyti_graph::{Outcome, TaskContext, TaskError};
use pyti_model::effect::{Effect, Loss};
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::Reason;
use pyti_model::raw::RawData;
use pyti_model::trace::{Count, Form};
use pyti_sandbox::{Boxes, Command, Done, Layer, Listener, Lower};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::commands::PROBES;
use crate::events::Events;
use crate::planted::{Planted, Planting};
use crate::services;
use crate::sources;
use crate::written;

/// What a task leaves for the event of its end.
#[derive(Default)]
pub(crate) struct Note {
    pub(crate) raw: Option<RawData>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) cpu_s: f64,
    pub(crate) peak_memory_bytes: u64,
    /// Commands that were run.
    pub(crate) commands: u32,
}

/// One job, while it runs.
pub(crate) struct Job {
    pub(crate) order: JobOrder,
    pub(crate) boxes: Boxes,
    pub(crate) peer: Arc<Peer>,
    pub(crate) events: Arc<Events>,
    pub(crate) lens_port: u16,
    pub(crate) cancelled: Arc<AtomicBool>,
    planted: Planting,
    /// The sources as they were unpacked.
    pub(crate) unpacked: OnceLock<Layer>,
    notes: Mutex<HashMap<String, Note>>,
    left: Mutex<HashMap<String, Vec<Lower>>>,
}

/// The context of a task of this graph.
pub(crate) type Cx<'a> = TaskContext<'a, Job>;
/// What a task's body returns.
pub(crate) type Ended = Result<Outcome, TaskError>;

impl Job {
    pub(crate) fn new(
        order: JobOrder,
        boxes: Boxes,
        peer: Arc<Peer>,
        events: Arc<Events>,
        lens_port: u16,
        cancelled: Arc<AtomicBool>,
        planted: Planting,
    ) -> Self {
        Self {
            order,
            boxes,
            peer,
            events,
            lens_port,
            cancelled,
            planted,
            unpacked: OnceLock::new(),
            notes: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// Runs a command in a box of its own and records what it did.
    pub(crate) fn run(&self, cx: &Cx<'_>, command: &mut Command) -> Result<Done, TaskError> {
        let task = cx.task().to_string();
        if command.on_output.is_none() {
            command.on_output = Some(self.last_words(&task));
        }
        cx.checkpoint()?;
        let mut done = self.boxes.run(command, &self.cancelled)?;
        // what the interpreter keeps of our own probes is no doing of the package
        let ours = format!("{PROBES}/__pycache__");
        let mut changes = done.changes.clone();
        changes.retain(|change| !change.path.as_bytes().starts_with(ours.as_bytes()));
        services::without_places(command, &mut changes);
        if let Some(tree) = self.unpacked.get() {
            changes = sources::against(tree, &done.layer, changes);
        }
        let mut written = Vec::new();
        if command.trace != Form::None
            && let Some(planted) = self.planted()?
        {
            if !services::without_services(&mut done.trace, command) {
                crate::observe::without_our_own(&mut done.trace, command);
            }
            let read = written::read(&done.layer, &changes);
            let searched: Vec<_> = read
                .searched
                .iter()
                .map(|(path, bytes)| (path.clone(), &bytes[..]))
                .collect();
            let output = Output {
                stdout: Some(&done.effect.stdout),
                stderr: Some(&done.effect.stderr),
                written: &searched,
            };
            let looked = pyti_decoy::annotate(&mut done.trace, &planted.decoys, &planted.needles, &output);
            if looked.cut {
                let of = Foreign::new(
                    command
                        .argv
                        .first()
                        .map(|word| word.as_bytes())
                        .unwrap_or_default(),
                );
                done.trace.losses.push(Loss::Search { of });
            }
            if looked.cut_files {
                // a file was too big to be unpacked and looked into
                done.trace.counts.push(Count {
                    what: "search_cut".to_owned(),
                    times: 1,
                });
            }
            written = read.told;
        }
        self.note(&task, |note| {
            note.commands += 1;
            note.cpu_s += done.effect.cost.cpu_s();
            note.peak_memory_bytes = note.peak_memory_bytes.max(done.effect.cost.peak_memory_bytes);
        });
        self.events.send(Event::Ran {
            task: task.clone(),
            effect: Box::new(done.effect.clone()),
        });
        if command.trace != Form::None {
            self.events.send(Event::Traced {
                task: task.clone(),
                trace: Box::new(done.trace.clone()),
            });
        }
        if !changes.is_empty() {
            self.events.send(Event::Changed {
                task: task.clone(),
                changes,
            });
        }
        if !written.is_empty() {
            self.events.send(Event::Written {
                task: task.clone(),
                files: written,
            });
        }
        for (dropped, what) in [
            (
                done.changes_dropped,
                Loss::Changes {
                    dropped: done.changes_dropped,
                },
            ),
            (
                done.results_dropped,
                Loss::Results {
                    bytes: done.results_dropped,
                },
            ),
        ] {
            self.lost(cx, (dropped > 0).then_some(what));
        }
        cx.checkpoint()?;
        Ok(done)
    }

    /// Records what is missing of a task, where something is.
    pub(crate) fn lost(&self, cx: &Cx<'_>, loss: Option<Loss>) {
        if let Some(what) = loss {
            self.events.send(Event::Lost {
                task: Some(cx.task().to_string()),
                what,
            });
        }
    }

    /// Where the environment's interpreter keeps its packages.
    pub(crate) fn site_packages(&self) -> String {
        let interpreter = &self.order.plan.interpreter;
        let name = if interpreter.implementation == "pypy" {
            "pypy"
        } else {
            "python"
        };
        format!("{VENV}/lib/{name}{}/site-packages", interpreter.short())
    }

    /// Tells who is waiting what a command said last, a few times a second at most.
    fn last_words(&self, task: &str) -> Listener {
        const PAUSE: Duration = Duration::from_millis(250);
        const LONGEST: usize = 200;
        let (events, task) = (Arc::clone(&self.events), task.to_owned());
        let told = Mutex::new(None::<Instant>);
        Arc::new(move |_, bytes| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_some_and(|at| at.elapsed() < PAUSE) {
                return;
            }
            let Some(line) = bytes
                .split(|b| matches!(b, b'\n' | b'\r'))
                .rfind(|line| !line.trim_ascii().is_empty())
            else {
                return;
            };
            *told = Some(Instant::now());
            events.send(Event::Progress {
                task: task.clone(),
                text: Foreign::new(&line[..line.len().min(LONGEST)]),
                done: None,
                total: None,
            });
        })
    }

    /// How many commands the task has run so far.
    pub(crate) fn commands(&self, cx: &Cx<'_>) -> u32 {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(cx.task().as_str()).map_or(0, |note| note.commands)
    }

    /// What lies in the boxes to be found; `None` when nothing is watched. Waits for it when it is still being made.
    pub(crate) fn planted(&self) -> Result<Option<&Planted>, TaskError> {
        self.planted.get().map_err(trouble)
    }

    /// Keeps the task's raw data for the event of its end.
    pub(crate) fn keep(&self, cx: &Cx<'_>, raw: RawData) {
        self.note(cx.task().as_str(), |note| note.raw = Some(raw));
    }

    /// Keeps a reason for the event of the task's end.
    pub(crate) fn because(&self, cx: &Cx<'_>, reason: Reason) {
        let task = cx.task().to_string();
        self.note(&task.clone(), |note| note.reasons.push(reason.in_task(task)));
    }

    /// What a task's main command saw and changed is what a shell after it shows.
    pub(crate) fn leave(&self, cx: &Cx<'_>, done: &Done, command: &Command) {
        let changed = Lower::Layer(done.layer.clone());
        self.leave_lowers(
            cx,
            std::iter::once(changed)
                .chain(command.lowers.iter().cloned())
                .collect(),
        );
    }

    /// These layers, newest first, are what a shell after the task shows.
    pub(crate) fn leave_lowers(&self, cx: &Cx<'_>, lowers: Vec<Lower>) {
        // layers live in memory, so they are kept only for somebody
        if self.order.shell.is_some() {
            self.left
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(cx.task().to_string(), lowers);
        }
    }

    /// The layers that a task left, newest first.
    pub(crate) fn left(&self, task: &str) -> Option<Vec<Lower>> {
        self.left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(task)
            .cloned()
    }

    /// Takes what a task noted.
    pub(crate) fn take(&self, task: &str) -> Note {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task)
            .unwrap_or_default()
    }

    fn note(&self, task: &str, change: impl FnOnce(&mut Note)) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        change(notes.entry(task.to_owned()).or_default());
    }
}

/// An error of a task that is our own or the machine's.
pub(crate) fn trouble(text: impl Into<String>) -> TaskError {
    text.into().into()
}

/// Says in a few words how a command ended badly; `None` when it ended well.
pub(crate) fn bad_end(effect: &Effect) -> Option<String> {
    use pyti_model::effect::Exit;
    if let Some(limit) = effect.limit {
        let word = serde_json::to_value(limit)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default();
        return Some(format!("ended by the limit on {word}"));
    }
    match effect.exit {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("exit code {code}")),
        Exit::Signal(signal) => Some(format!("ended by signal {signal}")),
    }
}

/// Reads a file of a sealed layer, at most `cap` bytes. The layer is hostile: no link is followed and nothing but a
/// regular file is opened. `None` when there is no such file.
pub(crate) fn read_in_layer(layer: &Layer, path: &str, cap: u64) -> Result<Option<Vec<u8>>, TaskError> {
    let Some(file) = open_in_layer(layer, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Opens a regular file of a sealed layer; see [`read_in_layer`].
pub(crate) fn open_in_layer(layer: &Layer, path: &str) -> Result<Option<File>, TaskError> {
    let root = File::open(layer.path())?;
    let relative = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
    let opened = rustix::fs::openat2(
        &root,
        relative,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    );
    match opened {
        Ok(fd) => {
            let file = File::from(fd);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
