//! `pyti shell`: a plan is carried out again up to a task, and a shell is opened on what that task left.
//!
//! The person's terminal stays on this side: it is put into raw mode, bytes go both ways over the Raw Data API to a
//! terminal of the box's own, and it gets its mode back whatever happens.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use pyti_judge::JobRecord;
use pyti_model::effect::Exit;
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::TaskResult;
use pyti_model::plan::Plan;
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::terminal::{Input, OutputStream, ShellEnd, ShellOrder, Terminal, TerminalOrder, WindowSize};
use pyti_worker::{Settings, Stop, Worker};
use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ShellArgs;
use crate::config::{Config, Spoken};
use crate::live::Live;
use crate::output::{Look, Usage, tell};
use crate::recorded::{all, frozen, load};
use crate::run::env;

/// Where a shell is opened when nobody says: after the last of these that ended well.
const PLACES: [&str; 3] = ["env-test", "install", "build"];
/// Tasks that leave nothing for those after them.
const ASIDE: [&str; 2] = ["start", "import"];

/// `pyti shell`; the exit code is the shell's.
pub(crate) fn shell(args: &ShellArgs, look: &Look) -> anyhow::Result<u8> {
    let run = all()?.find(&args.run)?;
    let loaded = load(&run)?;
    let mut jobs = loaded.names.iter().zip(&loaded.jobs).zip(&loaded.events);
    let ((name, (job, _)), events) = jobs
        .find(|((name, (job, _)), _)| match &args.job {
            Some(wanted) => wanted == *name,
            None => job.plan.is_some(),
        })
        .ok_or_else(|| Usage(format!("run {} has no such job with a plan", run.id)))?;
    let plan = frozen(events).ok_or_else(|| Usage(format!("nothing was planned in the job {name}")))?;
    let after = place(job, args.after.as_deref())?;
    let label = format!("{} {} {name}", plan.target.project, plan.target.version);
    let plan = shortened(plan, &after);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let code = runtime.block_on(open(args, look, plan, after, &label));
    // a thread that waits for the next key must not keep us
    runtime.shutdown_background();
    code
}

/// The task whose layers are shown.
fn place(job: &JobRecord, wanted: Option<&str>) -> Result<String, Usage> {
    let well = |name: &str| {
        job.tasks
            .iter()
            .any(|t| t.name == name && matches!(t.result, Some(TaskResult::Success | TaskResult::Warnings)))
    };
    match wanted {
        Some(wanted) if wanted.starts_with("lock-") || wanted == "metadata" => Err(Usage(format!(
            "the task {wanted} leaves no files to open a shell on"
        ))),
        Some(wanted) if job.tasks.iter().any(|task| task.name == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => {
            let names: Vec<_> = job.tasks.iter().map(|task| task.name.as_str()).collect();
            Err(Usage(format!(
                "there was no task {wanted}; there were {}",
                names.join(", ")
            )))
        }
        None => PLACES
            .into_iter()
            .find(|name| well(name))
            .map(str::to_owned)
            .ok_or_else(|| {
                Usage("no install, build or env-test ended well; say where with --after TASK".to_owned())
            }),
    }
}

/// Leaves out what is not needed to get there.
fn shortened(mut plan: Plan, after: &str) -> Plan {
    plan.skip
        .extend(ASIDE.into_iter().filter(|task| *task != after).map(str::to_owned));
    plan
}

async fn open(args: &ShellArgs, look: &Look, plan: Plan, after: String, label: &str) -> anyhow::Result<u8> {
    let spoken = Spoken {
        index_url: args.index_url.as_deref(),
        ..Default::default()
    };
    let config = Config::find(&spoken)?;
    let folders = pyti_worker::folders::Folders::find(&env)?;
    let overrides = pyti_index::config::Overrides {
        index_url: config.index_url.as_ref().map(|v| v.value.clone()),
        remember_in: Some(folders.index()?),
        ..Default::default()
    };
    let found =
        tokio::task::spawn_blocking(move || pyti_index::config::Settings::discover(&env, &overrides)).await?;
    let index = found.context("the index is not configured")?;
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let worker = Worker::open(
        Settings {
            index,
            offline: false,
            folders,
            program,
            at_once: 2,
        },
        &env,
    )
    .await?;
    let terminal = terminal();
    let bars = (look.live && !args.quiet).then(Live::bars);
    let live = Arc::new(Live::new(label.to_owned(), bars.as_ref(), args.quiet));
    let watch = Arc::new(Watch {
        live: Arc::clone(&live),
        after: after.clone(),
        trouble: Mutex::default(),
    });
    let stop = Stop::new();
    let here = Arc::new(Here {
        live,
        stop: stop.clone(),
        hello: terminal
            .is_some()
            .then(|| format!("{label}, after {after}; leave with exit")),
        raw: Mutex::default(),
        input: Mutex::default(),
    });
    stop_on_signal(stop.clone(), Arc::clone(&here))?;
    if terminal.is_some() {
        follow_size(Arc::clone(&here))?;
    }
    let order = ShellOrder { after, terminal };
    let recorder = Arc::new(Recorder::nowhere(Arc::clone(&watch) as Arc<dyn Listener>));
    let ended = worker
        .shell(
            plan,
            order,
            Arc::clone(&here) as Arc<dyn Terminal>,
            recorder,
            &stop,
        )
        .await;
    here.restore();
    here.live.end_all();
    match ended {
        Ok(Some(end)) if !stop.is_stopped() => Ok(code_of(end)),
        Ok(_) => Ok(130),
        Err(error) => {
            let why = lock(&watch.trouble).take();
            let error = anyhow::Error::from(error);
            Err(match why {
                Some(why) => error.context(why),
                None => error,
            })
        }
    }
}

fn code_of(end: ShellEnd) -> u8 {
    if let Some(limit) = end.limit {
        tell(&format!(
            "the shell was ended by a limit: {}",
            format!("{limit:?}").to_lowercase()
        ));
    }
    match end.exit {
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        // as every shell tells it
        Exit::Signal(signal) => u8::try_from((128 + signal) & 0xff).unwrap_or(u8::MAX),
    }
}

/// What is wanted in the box when a person sits here; `None` when bytes are only piped through.
fn terminal() -> Option<TerminalOrder> {
    let here = io::stdin().is_terminal() && io::stdout().is_terminal();
    here.then(|| TerminalOrder {
        kind: env("TERM").unwrap_or_else(|| "dumb".to_owned()),
        size: size(),
    })
}

fn size() -> WindowSize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => WindowSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
        _ => WindowSize {
            rows: 24,
            columns: 80,
        },
    }
}

/// Shows progress, and keeps why the way there failed.
struct Watch {
    live: Arc<Live>,
    after: String,
    trouble: Mutex<Option<String>>,
}

impl Listener for Watch {
    fn heard(&self, envelope: &Envelope) {
        self.live.heard(envelope);
        if let Event::Ended {
            task,
            result,
            reasons,
            chain,
            ..
        } = &envelope.event
            && matches!(result, TaskResult::Failure | TaskResult::Exception)
            && *task != self.after
        {
            let reason = reasons
                .first()
                .map(|r| r.detail.visible())
                .filter(|text| !text.is_empty());
            let why = reason
                .or_else(|| chain.first().cloned())
                .unwrap_or_else(|| result.to_string());
            lock(&self.trouble).get_or_insert_with(|| format!("{task} did not end well this time: {why}"));
        }
    }
}

/// This side of the shell.
struct Here {
    live: Arc<Live>,
    stop: Stop,
    /// Said before the first prompt; also says that a terminal is here.
    hello: Option<String>,
    raw: Mutex<Option<Raw>>,
    input: Mutex<Option<Input>>,
}

impl Here {
    /// Gives the terminal its mode back.
    fn restore(&self) {
        lock(&self.raw).take();
        lock(&self.input).take();
    }
}

impl Terminal for Here {
    fn opened(&self, input: Input) {
        self.live.end_all();
        let terminal = self.hello.is_some();
        if let Some(hello) = &self.hello {
            tell(hello);
            *lock(&self.raw) = Raw::enter();
            // the window may have changed while the way there was long
            let _ = input.resize(size());
        }
        *lock(&self.input) = Some(input.clone());
        let stop = self.stop.clone();
        let reading = std::thread::Builder::new()
            .name("typing".to_owned())
            .spawn(move || {
                read(&input);
                if terminal {
                    // a terminal that ends is one that was closed
                    stop.stop();
                } else {
                    let _ = input.end();
                }
            });
        if reading.is_err() {
            self.stop.stop();
        }
    }

    fn output(&self, stream: OutputStream, bytes: &[u8]) {
        let written = match stream {
            OutputStream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            OutputStream::Err => io::stderr().lock().write_all(bytes),
        };
        if written.is_err() {
            // nobody looks any more
            self.stop.stop();
        }
    }
}

/// Passes on what is typed or piped, to its end.
fn read(input: &Input) {
    let mut part = vec![0; 16 << 10];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut part) {
            Ok(0) => return,
            Ok(read) => {
                if input.send(&part[..read]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The terminal in raw mode; dropping it gives the mode back.
struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` where the terminal has no modes.
    fn enter() -> Option<Self> {
        let stdin = io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // a terminal that is gone needs no mode
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn follow_size(here: Arc<Here>) -> io::Result<()> {
    let mut changed = signal(SignalKind::window_change())?;
    tokio::spawn(async move {
        while changed.recv().await.is_some() {
            if let Some(input) = lock(&here.input).as_ref() {
                let _ = input.resize(size());
            }
        }
    });
    Ok(())
}

/// Ends in order at the first signal, at once at the second.
fn stop_on_signal(stop: Stop, here: Arc<Here>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hang_up.recv() => {} }
            here.restore();
            if time > 0 {
                // boxes end with this process: their agents notice that it is gone
                std::process::exit(130);
            }
            stop.stop();
        }
    });
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
