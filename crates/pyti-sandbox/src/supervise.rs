//! Watches a command: its pipes, its limits, its end, and whoever outlives it.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyti_model::effect::{Effect, Limit, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{Form, Trace, Transport};
use pyti_trace::{OnCall, Recording, Setup};

use crate::boxes::BoxError;
use crate::cgroup::{self, GroupUse};
use crate::init::{self, Child, Record};
use crate::layer::Slot;
use crate::meter::{Alive, Meter, Sample};
use crate::network::{BoxNetwork, Joining};
use crate::spec::{self, Command, Network};
use crate::starter::{Starter, Starters};
use crate::stream::{Ends, Pipes, Stream, drain};
use crate::sys;

mod end;

/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long a command may take to say goodbye after SIGABRT: faulthandler prints where it was.
const GRACE: Duration = Duration::from_secs(1);
/// Most processes that are listed when they outlive the command.
const SURVIVORS: usize = 64;
/// CPU seconds between two looks below which nothing is going on.
const IDLE_CPU_S: f64 = 0.02;

/// What came of a command.
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) trace: Trace,
    pub(crate) results: Vec<u8>,
    pub(crate) results_dropped: u64,
}

/// Starts the prepared child and stays with it to the end of everything it started.
#[expect(
    clippy::too_many_arguments,
    reason = "what a command was prepared with, each once"
)]
pub(crate) fn run(
    command: &Command,
    child: &Child,
    pipes: Pipes,
    ends: Ends,
    slot: &Slot,
    system: &[PathBuf],
    starters: &Starters,
    cancel: &AtomicBool,
) -> Result<Outcome, BoxError> {
    let began = Instant::now();
    let prepare = |what: &'static str| move |e: io::Error| BoxError::Prepare(what, e);
    let routed = !matches!(command.network, Network::None | Network::Lens);
    let mut starter = starters.take(routed).map_err(prepare("make an empty network"))?;
    let metered = starter
        .group()
        .is_some_and(|group| group.limit(command.limits.memory_bytes).is_ok());
    // the box makes its root meanwhile
    let joining = if routed {
        let joining = starter.router().map_err(prepare("make the box's network"))?;
        joining.order(&command.network, began);
        Some(joining)
    } else {
        None
    };
    let init = starter
        .start(child, command.network == Network::Lens)
        .map_err(|source| BoxError::Step {
            step: "namespaces of its own".to_owned(),
            source,
        })?;
    drop(ends);
    let mut watch = Watch {
        command,
        child,
        starter: Some(starter),
        metered,
        gone: None,
        reaped: false,
        pipes,
        began,
        slot,
        system,
        init,
        started: false,
        meter: Meter::of(init),
        joining,
        network: None,
        recording: None,
        losses: Vec::new(),
        stdout: Stream::default(),
        stderr: Stream::default(),
        results: Vec::new(),
        results_dropped: 0,
        written: 0,
        ended: None,
        ended_us: 0,
        linger_until: None,
        survivors: Vec::new(),
        killed: Vec::new(),
        group: GroupUse::default(),
        by_us: false,
        oom_kills: cgroup::oom_kills(),
        limit: None,
        kill_at: None,
        peak: Sample::default(),
        last_activity: began,
        last_cpu: 0.0,
        last_tick: began,
    };
    watch.follow(cancel)?;
    watch.finish()
}

struct Watch<'a> {
    command: &'a Command,
    child: &'a Child,
    /// The thread that the box is tied to.
    starter: Option<Starter>,
    /// Whether the box's group has its limit.
    metered: bool,
    /// What the first process said when everybody else was gone.
    gone: Option<Record>,
    reaped: bool,
    pipes: Pipes,
    began: Instant,
    slot: &'a Slot,
    /// Folders of the machine that every box shows.
    system: &'a [PathBuf],
    init: i32,
    /// The filter is in place, the command starts next.
    started: bool,
    meter: Meter,
    joining: Option<Joining>,
    network: Option<Arc<BoxNetwork>>,
    recording: Option<Recording>,
    losses: Vec<Loss>,
    stdout: Stream,
    stderr: Stream,
    results: Vec<u8>,
    results_dropped: u64,
    written: usize,
    ended: Option<i32>,
    ended_us: u64,
    linger_until: Option<Instant>,
    survivors: Vec<Alive>,
    killed: Vec<i32>,
    /// What the box's group has counted.
    group: GroupUse,
    /// Whether we ended it.
    by_us: bool,
    /// How often the job's group had run out of memory before.
    oom_kills: u64,
    limit: Option<Limit>,
    kill_at: Option<Instant>,
    peak: Sample,
    last_activity: Instant,
    last_cpu: f64,
    last_tick: Instant,
}

impl Watch<'_> {
    /// Until the first process says that everybody is gone, or the status pipe ends because it was killed.
    fn follow(&mut self, cancel: &AtomicBool) -> Result<(), BoxError> {
        loop {
            if self.poll() && (!self.read_status()? || self.gone.is_some()) {
                return Ok(());
            }
            self.move_bytes();
            if self.last_tick.elapsed() >= TICK {
                self.last_tick = Instant::now();
                self.look_at_limits(cancel);
            }
        }
    }

    /// Waits until something comes; tells whether it is a record.
    fn poll(&mut self) -> bool {
        let fd = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let mut fds = [
            entry(self.pipes.status.as_raw_fd(), libc::POLLIN),
            entry(fd(&self.pipes.stdout), libc::POLLIN),
            entry(fd(&self.pipes.stderr), libc::POLLIN),
            entry(fd(&self.pipes.results), libc::POLLIN),
            entry(fd(&self.pipes.stdin), libc::POLLOUT),
        ];
        let wait = i32::try_from(TICK.as_millis()).unwrap_or(50);
        // SAFETY: the array is as long as it is said to be
        unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, wait) };
        fds[0].revents != 0
    }

    /// Reads one record; false at the end of the pipe.
    fn read_status(&mut self) -> Result<bool, BoxError> {
        let mut bytes = [0u8; size_of::<Record>()];
        // SAFETY: the buffer is as long as it is said to be
        let read = unsafe {
            libc::read(
                self.pipes.status.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
            )
        };
        if read <= 0 {
            return Ok(false);
        }
        let word = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| i64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        self.take(Record {
            kind: word(0),
            first: word(4),
            second: word(8),
            largest_kib: word(12),
            user_us: long(16),
            system_us: long(24),
        })?;
        Ok(true)
    }

    fn take(&mut self, record: Record) -> Result<(), BoxError> {
        // each record has its time: one that comes late was not written by our own code
        let in_time = match record.kind {
            init::LISTENER | init::NO_LISTENER => !self.started,
            init::ALL_GONE => self.ended.is_some(),
            _ => self.ended.is_none(),
        };
        if !in_time {
            self.losses.push(Loss::Channel {
                why: format!("record {} came out of turn", record.kind),
            });
            self.kill();
            return Ok(());
        }
        match record.kind {
            init::LISTENER => {
                self.started = true;
                self.join()?;
                let recording = self
                    .take_listener(record.first)
                    .and_then(|listener| Recording::start(listener, self.setup()));
                match recording {
                    Ok(recording) => self.recording = Some(recording),
                    // without anybody who answers, its calls would fail
                    Err(error) if self.command.trace != Form::None => {
                        return Err(BoxError::Prepare("record the command", error));
                    }
                    Err(error) => self.losses.push(Loss::Notifications {
                        why: error.to_string(),
                    }),
                }
                self.go_on()
            }
            init::NO_LISTENER => {
                self.started = true;
                self.join()?;
                let why = io::Error::from_raw_os_error(record.second).to_string();
                self.losses.push(Loss::Notifications { why });
                Ok(())
            }
            init::ALL_GONE => {
                self.gone = Some(record);
                Ok(())
            }
            init::STEP_FAILED => Err(BoxError::Step {
                step: self.name_of(record.first),
                source: io::Error::from_raw_os_error(record.second),
            }),
            init::EXEC_FAILED => {
                // told like a shell tells it: the command's own standard error, exit code 126 or 127
                let program = self
                    .command
                    .argv
                    .first()
                    .map(|a| a.to_string_lossy().into_owned())
                    .unwrap_or_default();
                let error = io::Error::from_raw_os_error(record.second);
                self.stderr.take(format!("{program}: {error}\n").as_bytes());
                Ok(())
            }
            init::COMMAND_ENDED => {
                self.ended = Some(record.first);
                self.ended_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                if record.second != 0 {
                    self.survivors = self.who_is_alive();
                    let linger = Duration::try_from_secs_f32(self.command.linger_s).unwrap_or_default();
                    let linger = if self.limit.is_some() {
                        Duration::ZERO
                    } else {
                        linger
                    };
                    self.linger_until = Some(Instant::now() + linger);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Waits for the network, before the command starts.
    fn join(&mut self) -> Result<(), BoxError> {
        if let Some(joining) = self.joining.take() {
            let network = joining
                .wait()
                .map_err(|error| BoxError::Prepare("make the box's network", error))?;
            self.network = Some(Arc::new(network));
        }
        Ok(())
    }

    fn name_of(&self, number: i32) -> String {
        let (stage, step) = (number / 1000, usize::try_from(number % 1000).unwrap_or(999));
        let steps = match stage {
            init::STAGE_NAMESPACES => &self.child.namespaces,
            init::STAGE_INIT => &self.child.init,
            _ => &self.child.command,
        };
        match (steps.get(step), step) {
            (Some((_, name)), _) => name.clone(),
            (None, 998) => "installing the filter".to_owned(),
            (None, _) => "starting a process".to_owned(),
        }
    }

    fn go_on(&mut self) -> Result<(), BoxError> {
        // SAFETY: one byte from one byte
        let written = unsafe { libc::write(self.pipes.go.as_raw_fd(), b"g".as_ptr().cast(), 1) };
        if written == 1 {
            Ok(())
        } else {
            Err(BoxError::Ended)
        }
    }

    fn take_listener(&self, fd: i32) -> io::Result<OwnedFd> {
        let pidfd = sys::pidfd_open(self.init)?;
        sys::pidfd_getfd(pidfd.as_fd(), fd)
    }

    fn move_bytes(&mut self) {
        let mut heard = false;
        for (fd, stream, name) in [
            (&mut self.pipes.stdout, &mut self.stdout, spec::Stream::Out),
            (&mut self.pipes.stderr, &mut self.stderr, spec::Stream::Err),
        ] {
            heard |= drain(fd, |bytes| {
                stream.take(bytes);
                if let Some(listener) = &self.command.on_output {
                    listener(name, bytes);
                }
            });
        }
        let (cap, results, dropped) = (
            self.command.results_cap,
            &mut self.results,
            &mut self.results_dropped,
        );
        heard |= drain(&mut self.pipes.results, |bytes| {
            let room = cap.saturating_sub(results.len()).min(bytes.len());
            results.extend_from_slice(&bytes[..room]);
            *dropped += (bytes.len() - room) as u64;
        });
        if heard {
            self.last_activity = Instant::now();
        }
        if let Some(stdin) = self.pipes.stdin.take() {
            let rest = &self.command.stdin[self.written..];
            let mut file = std::fs::File::from(stdin);
            match file.write(rest) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // nobody reads it: that is the command's choice
                Err(_) => self.written = self.command.stdin.len(),
            }
            if self.written < self.command.stdin.len() {
                self.pipes.stdin = Some(file.into());
            }
        }
        if self.stdout.total + self.stderr.total > self.command.limits.output_bytes {
            self.hit(Limit::Output);
        }
    }

    fn look_at_limits(&mut self, cancel: &AtomicBool) {
        if cancel.load(Ordering::Acquire) {
            self.kill();
            return;
        }
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill();
            return;
        }
        if let Some(until) = self.linger_until
            && now >= until
        {
            self.kill();
            return;
        }
        if !self.started {
            // a set-up that hangs is ended like everything else
            if self.began.elapsed() > Duration::from_secs(u64::from(self.command.limits.wall_s.max(10))) {
                self.kill();
            }
            return;
        }
        let mut sample = self.meter.sample();
        let (used, free, _, free_inodes) = self.slot.usage().unwrap_or((0, u64::MAX, 0, u64::MAX));
        sample.memory_bytes += used;
        self.peak.cpu_s = self.peak.cpu_s.max(sample.cpu_s);
        self.peak.memory_bytes = self.peak.memory_bytes.max(sample.memory_bytes);
        self.peak.tasks = self.peak.tasks.max(sample.tasks);
        if (sample.cpu_s - self.last_cpu).abs() > IDLE_CPU_S {
            self.last_cpu = sample.cpu_s;
            self.last_activity = now;
        }
        let limits = &self.command.limits;
        let seconds = |s: u32| Duration::from_secs(u64::from(s));
        let hit = if self.began.elapsed() >= seconds(limits.wall_s) {
            Some(Limit::Wall)
        } else if sample.cpu_s >= f64::from(limits.cpu_s) {
            Some(Limit::Cpu)
        } else if self.last_activity.elapsed() >= seconds(limits.inactivity_s) && self.ended.is_none() {
            Some(Limit::Inactivity)
        } else if sample.memory_bytes >= limits.memory_bytes {
            Some(Limit::Memory)
        } else if sample.tasks >= limits.processes {
            Some(Limit::Processes)
        } else if free == 0 || free_inodes == 0 {
            Some(Limit::Disk)
        } else {
            None
        };
        if let Some(limit) = hit {
            self.hit(limit);
        }
    }

    /// A limit was reached: time limits let the command say where it was, the others end it at once.
    fn hit(&mut self, limit: Limit) {
        if self.limit.is_some() {
            return;
        }
        self.limit = Some(limit);
        if matches!(limit, Limit::Wall | Limit::Cpu | Limit::Inactivity) && self.ended.is_none() {
            if let Some(pid) = self.command_pid() {
                // SAFETY: plain call; the process is below us and cannot be anybody else's
                unsafe { libc::kill(pid, libc::SIGABRT) };
            }
            self.kill_at = Some(Instant::now() + GRACE);
        } else {
            self.kill();
        }
    }

    fn command_pid(&self) -> Option<i32> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.init)).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Ends every process of the box: its first one takes all others with it.
    fn kill(&mut self) {
        if self.reaped {
            return;
        }
        self.by_us = true;
        if self.ended.is_some() {
            self.look_again();
        }
        // SAFETY: plain call; it has not been waited for by us, so the number is still its own
        unsafe { libc::kill(self.init, libc::SIGKILL) };
    }

    fn who_is_alive(&self) -> Vec<Alive> {
        let pids = self
            .meter
            .processes()
            .into_iter()
            .filter(|pid| *pid != self.init)
            .take(SURVIVORS);
        pids.map(Alive::look).collect()
    }

    /// Before survivors are ended: who of them is still there, and under what name, for one that was between fork
    /// and exec at the first look.
    fn look_again(&mut self) {
        self.killed = self.meter.processes();
        for survivor in &mut self.survivors {
            if self.killed.contains(&survivor.pid) {
                let now = Alive::look(survivor.pid);
                if !now.argv.is_empty() {
                    survivor.argv = now.argv;
                }
            }
        }
    }

    /// What the recording is told of the command.
    fn setup(&self) -> Setup {
        let calls = self.network.as_ref().map(|network| {
            let network = Arc::clone(network);
            let tell = move |transport: Transport, to, process, socket| {
                network.expect(transport, to, process, socket);
            };
            Box::new(tell) as OnCall
        });
        Setup {
            form: self.command.trace,
            began: self.began,
            init: self.init,
            programs: self
                .child
                .programs
                .iter()
                .map(|p| p.to_bytes().to_vec())
                .collect(),
            argv: self.argv(),
            cwd: self.command.cwd.as_os_str().as_bytes().to_vec(),
            variables: self
                .command
                .env
                .iter()
                .map(|(name, _)| name.as_bytes().to_vec())
                .collect(),
            watched: self.command.watched.clone(),
            quiet: self.command.quiet.clone(),
            filled: self.command.filled.clone(),
            system: self.system.to_vec(),
            upper: self.child.overlay.then(|| self.slot.upper()),
            on_call: calls,
        }
    }

    fn argv(&self) -> Vec<Foreign> {
        let argv = self.command.argv.iter();
        argv.map(|word| Foreign::new(word.as_bytes())).collect()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            end::reap(self.init);
        }
    }
}
