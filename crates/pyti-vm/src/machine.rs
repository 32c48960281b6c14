//! One guest: a process of QEMU in the namespace sandbox, the link to what runs in it, and its end.

use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pyti_model::foreign::Foreign;
use pyti_model::image::{Accelerator, Guest, GuestEnd, KernelAttempt};
use pyti_sandbox::{Bind, Job, JobSpec, LaunchError};

use crate::control::{Ask, Tell};
use crate::link::{Hello, Link, LinkError};
use crate::qemu::{Begin, Descriptors, Machine as Line, Memory, Qemu};
use crate::qmp::{Qmp, QmpError};
use crate::vmm;

/// Memory that QEMU itself may take besides its guest's, bytes.
const OVERHEAD: u64 = 768 << 20;
/// Kept of the beginning and of the end of a console, bytes.
const CONSOLE: usize = 32 << 10;
/// How long QEMU may take to answer.
const QMP_PATIENCE: Duration = Duration::from_mins(1);

/// Why there is no guest.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU's own sandbox cannot be opened.
    #[error("QEMU cannot be shut in")]
    Launch(#[from] LaunchError),
    /// A file or socket of ours.
    #[error("cannot prepare the virtual machine")]
    Io(#[from] std::io::Error),
    /// QEMU.
    #[error("QEMU does not do what it is told{}", told(.1.as_ref()))]
    Qmp(#[source] QmpError, Option<String>),
    /// The guest.
    #[error("the guest did not come up{}", told(.1.as_ref()))]
    Guest(#[source] LinkError, Option<String>),
}

fn told(said: Option<&String>) -> String {
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// What a guest is made of, in places of this machine.
#[derive(Debug, Clone)]
pub struct Parts {
    /// QEMU.
    pub qemu: Qemu,
    /// PyTI's own program, which is started again to become QEMU.
    pub program: PathBuf,
    /// What runs the guest.
    pub accelerator: Accelerator,
    /// Megabytes of memory.
    pub memory_mb: u32,
    /// Kilohertz of the time stamp counter.
    pub tsc_khz: u64,
    /// The kernel.
    pub kernel: PathBuf,
    /// The first root.
    pub initramfs: PathBuf,
    /// The image.
    pub base: PathBuf,
    /// The job's disk.
    pub job: PathBuf,
}

/// What a guest starts from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// A boot.
    Cold,
    /// A boot whose memory lies in this file, because a template is made of it.
    Template(&'a Path),
    /// A state that was saved whole.
    State(&'a Path),
    /// A state, and a file of memory that is mapped privately.
    Mapped {
        /// The state without memory.
        state: &'a Path,
        /// The memory.
        ram: &'a Path,
    },
}

/// A guest that runs. Dropping it ends the process of QEMU, and with it everything that the guest was.
pub struct Machine {
    job: Job,
    /// The host's end of the channel.
    pub link: Arc<Link>,
    pub(crate) qmp: Qmp,
    console: Arc<Mutex<Console>>,
    accelerator: Accelerator,
    killed: bool,
}

#[derive(Default)]
struct Console {
    head: Vec<u8>,
    tail: Vec<u8>,
    all: u64,
}

impl Machine {
    /// Starts one and waits until its first process is there; tells what that said, when it was booted.
    pub fn start(
        parts: &Parts,
        start: Start<'_>,
        patience: Duration,
    ) -> Result<(Self, Option<Hello>), MachineError> {
        let (mut machine, state) = Self::launch(parts, start)?;
        let hello = match start {
            Start::Cold | Start::Template(_) => Some(
                machine
                    .link
                    .hello(patience)
                    .map_err(|error| machine.failed(error))?,
            ),
            Start::State(_) => {
                machine
                    .qmp
                    .restored(QMP_PATIENCE)
                    .map_err(|e| machine.refused(e))?;
                machine.resume()?;
                None
            }
            Start::Mapped { .. } => {
                let state = state.ok_or_else(|| std::io::Error::other("no state"))?;
                machine.incoming(&state)?;
                machine.resume()?;
                None
            }
        };
        machine
            .link
            .order(Ask::Ping, patience)
            .map_err(|error| machine.failed(error))?;
        Ok((machine, hello))
    }

    fn launch(parts: &Parts, start: Start<'_>) -> Result<(Self, Option<std::fs::File>), MachineError> {
        let bind = |source: &Path, target: &str, writable| Bind {
            source: source.to_owned(),
            target: PathBuf::from(target),
            writable,
        };
        let mut binds = vec![
            bind(&parts.kernel, "/vm/kernel", false),
            bind(&parts.initramfs, "/vm/initramfs", false),
            bind(&parts.base, "/vm/base", false),
            bind(&parts.job, "/vm/job", false),
        ];
        let mut state = None;
        let (memory, begin) = match start {
            Start::Cold => (Memory::Own, Begin::Boot),
            Start::Template(ram) => {
                binds.push(bind(ram, "/vm/ram", true));
                (Memory::Shared("/vm/ram".into()), Begin::Boot)
            }
            Start::State(path) => {
                state = Some(std::fs::File::open(path)?);
                (Memory::Own, Begin::Restore(vmm::FIRST + 3))
            }
            Start::Mapped { state: path, ram } => {
                state = Some(std::fs::File::open(path)?);
                binds.push(bind(ram, "/vm/ram", false));
                (Memory::Private("/vm/ram".into()), Begin::Wait)
            }
        };
        let line = Line {
            accelerator: parts.accelerator,
            memory_mb: parts.memory_mb,
            kernel: "/vm/kernel".into(),
            initramfs: "/vm/initramfs".into(),
            base: "/vm/base".into(),
            job: "/vm/job".into(),
            tsc_khz: parts.tsc_khz,
            memory,
            begin,
        };
        let devices = match parts.accelerator {
            Accelerator::Kvm => vec![PathBuf::from("/dev/kvm")],
            Accelerator::Tcg => Vec::new(),
        };
        let spec = JobSpec {
            binds,
            program: parts.program.clone(),
            layers_bytes: 64 << 20,
            layers_inodes: 4096,
            memory_bytes: (u64::from(parts.memory_mb) << 20) + OVERHEAD,
            store: None,
            image: None,
            devices,
        };
        let job = pyti_sandbox::launch(&spec, vmm::VERB)?;
        let channel = job.channel()?;
        let (qmp, qmp_far) = UnixStream::pair()?;
        let (console, console_far) = UnixStream::pair()?;
        let fds = Descriptors {
            port: vmm::FIRST,
            qmp: vmm::FIRST + 1,
            console: vmm::FIRST + 2,
        };
        let mut argv = vec![parts.qemu.path.clone().into_os_string()];
        argv.extend(line.arguments(fds));
        let mut sent: Vec<&dyn AsFd> = vec![&qmp_far, &console_far];
        if let (Some(state), Start::State(_)) = (&state, start) {
            sent.push(state);
        }
        vmm::order(&channel, &argv, &sent)?;
        drop((qmp_far, console_far));
        let kept = Arc::new(Mutex::new(Console::default()));
        let keeping = Arc::clone(&kept);
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || keep(console, &keeping))?;
        let qmp = Qmp::start(qmp, QMP_PATIENCE).map_err(|e| MachineError::Qmp(e, job.complaint()))?;
        let link = Arc::new(Link::start(channel)?);
        let machine = Self {
            job,
            link,
            qmp,
            console: kept,
            accelerator: parts.accelerator,
            killed: false,
        };
        Ok((machine, state))
    }

    fn incoming(&self, state: &std::fs::File) -> Result<(), MachineError> {
        let refused = |e| self.refused(e);
        let shared =
            serde_json::json!({ "capabilities": [{ "capability": "x-ignore-shared", "state": true }] });
        self.qmp
            .run("migrate-set-capabilities", shared, QMP_PATIENCE)
            .map_err(refused)?;
        self.qmp.give("state", state, QMP_PATIENCE).map_err(refused)?;
        self.qmp
            .run(
                "migrate-incoming",
                serde_json::json!({ "uri": "fd:state" }),
                QMP_PATIENCE,
            )
            .map_err(refused)?;
        self.qmp.restored(QMP_PATIENCE).map_err(refused)
    }

    fn resume(&self) -> Result<(), MachineError> {
        self.qmp
            .run("cont", serde_json::json!({}), QMP_PATIENCE)
            .map(|_| ())
            .map_err(|e| self.refused(e))
    }

    /// Stops it for good and writes its state. `mapped`: its memory is in a file already, and left out.
    pub fn save(&self, state: &std::fs::File, mapped: bool, patience: Duration) -> Result<(), QmpError> {
        self.qmp.run("stop", serde_json::json!({}), patience)?;
        if mapped {
            let shared =
                serde_json::json!({ "capabilities": [{ "capability": "x-ignore-shared", "state": true }] });
            self.qmp.run("migrate-set-capabilities", shared, patience)?;
        } else {
            // as fast as it can: nobody shares the line
            let fast = serde_json::json!({ "max-bandwidth": 1u64 << 40 });
            self.qmp.run("migrate-set-parameters", fast, patience)?;
        }
        self.qmp.give("state", state, patience)?;
        self.qmp.save("fd:state", patience)
    }

    /// Sets clock and entropy: mandatory before a job, because clones of a template share both.
    pub fn prepare(&self, patience: Duration) -> Result<(), LinkError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut entropy = vec![0; 64];
        let mut filled = 0;
        while filled < entropy.len() {
            filled += rustix::rand::getrandom(&mut entropy[filled..], rustix::rand::GetRandomFlags::empty())
                .map_err(|e| LinkError::File(e.into()))?;
        }
        self.link.order(
            Ask::Prepare {
                unix_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
                entropy,
            },
            patience,
        )
    }

    /// Rounds of the calibration's loop a millisecond.
    pub fn rounds_per_ms(&self, time: Duration, patience: Duration) -> Result<u64, LinkError> {
        let ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        match self.link.ask(Ask::Calibrate { ms }, patience)? {
            Tell::Rounds { per_ms } => Ok(per_ms),
            _ => Err(LinkError::Nonsense),
        }
    }

    /// Stops the guest and ends the process, and tells what only a virtual machine shows.
    pub fn finish(&mut self) -> Guest {
        let mut attempts = Vec::new();
        // a guest that is alive and well answers at once; one that isn't has its console
        if self.link.why().is_none()
            && let Ok(Tell::Facts { tainted, modules }) = self.link.ask(Ask::Facts, Duration::from_secs(10))
        {
            for name in modules.into_iter().take(32) {
                let name: String = name.chars().take(80).collect();
                attempts.push(KernelAttempt {
                    what: "module_loaded".to_owned(),
                    detail: Foreign::from(name.as_str()),
                });
            }
            // warnings, oopses, machine checks: not that modules are unsigned or were loaded
            if tainted & (1 << 7 | 1 << 9 | 1 << 4 | 1 << 5) != 0 {
                attempts.push(KernelAttempt {
                    what: "tainted".to_owned(),
                    detail: Foreign::from(tainted.to_string().as_str()),
                });
            }
        }
        // what QEMU has to say of the end may come a moment after the channel's
        let began = Instant::now();
        while self.link.why().is_some()
            && self.qmp.end().is_none()
            && began.elapsed() < Duration::from_millis(500)
        {
            thread::sleep(Duration::from_millis(10));
        }
        let ended_itself = !self.killed && self.job.wait(Duration::ZERO);
        let end = match self.qmp.end() {
            Some(end) => end,
            None if ended_itself => GuestEnd::Lost,
            None => GuestEnd::Killed,
        };
        self.kill();
        let console = lock(&self.console);
        let text = String::from_utf8_lossy(&console.tail).into_owned();
        for (mark, what) in [("Kernel panic", "panic"), ("Oops:", "oops"), ("BUG:", "oops")] {
            if let Some(line) = text.lines().find(|line| line.contains(mark)) {
                attempts.push(KernelAttempt {
                    what: what.to_owned(),
                    detail: Foreign::from(line.trim().chars().take(200).collect::<String>().as_str()),
                });
            }
        }
        if matches!(end, GuestEnd::Reboot | GuestEnd::Shutdown) {
            attempts.push(KernelAttempt {
                what: if end == GuestEnd::Reboot {
                    "reboot"
                } else {
                    "shutdown"
                }
                .to_owned(),
                detail: Foreign::default(),
            });
        }
        // a kernel that panics reboots, and without a device for it QEMU sees no more than that
        let end = if end == GuestEnd::Reboot && attempts.iter().any(|a| a.what == "panic") {
            GuestEnd::Panic
        } else {
            end
        };
        let kept = console.kept();
        Guest {
            accelerator: self.accelerator,
            end,
            attempts,
            console_dropped: console.all.saturating_sub(kept.len() as u64),
            console: Foreign::new(kept),
        }
    }

    /// Ends the process of QEMU, now.
    pub fn kill(&mut self) {
        self.killed = true;
        self.link.close("the host has ended it");
        self.job.kill();
    }

    /// What QEMU said on its standard error.
    pub fn complaint(&self) -> Option<String> {
        self.job.complaint()
    }

    /// The end of the serial console so far.
    pub fn console(&self) -> String {
        Foreign::new(lock(&self.console).kept()).visible_lines()
    }

    fn failed(&mut self, error: LinkError) -> MachineError {
        let said = [
            self.complaint(),
            Some(self.console()).filter(|c| !c.trim().is_empty()),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        self.kill();
        MachineError::Guest(error, (!said.is_empty()).then(|| said.join("\n")))
    }

    fn refused(&self, error: QmpError) -> MachineError {
        MachineError::Qmp(error, self.complaint())
    }
}

impl Console {
    fn add(&mut self, bytes: &[u8]) {
        self.all += bytes.len() as u64;
        let room = CONSOLE.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(CONSOLE);
        self.tail.drain(..over);
    }

    /// Beginning and end; all of it, while it is short.
    fn kept(&self) -> Vec<u8> {
        let tail = usize::try_from(self.all)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.head.len());
        let from = self.tail.len().saturating_sub(tail);
        let mut kept = self.head.clone();
        kept.extend_from_slice(&self.tail[from..]);
        kept
    }
}

fn keep(mut from: UnixStream, console: &Mutex<Console>) {
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut part) {
        lock(console).add(&part[..read]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_keeps_its_beginning_and_its_end() {
        let mut console = Console::default();
        console.add(b"begin");
        assert_eq!(console.kept(), b"begin");
        for _ in 0..100 {
            console.add(&[b'x'; 4096]);
        }
        console.add(b"end");
        let kept = console.kept();
        assert_eq!(kept.len(), CONSOLE * 2);
        assert!(kept.starts_with(b"begin") && kept.ends_with(b"end"));
        let mut short = Console::default();
        short.add(&vec![b'a'; CONSOLE]);
        short.add(b"bc");
        assert_eq!(short.kept().len(), CONSOLE + 2);
    }
}
