//! Running commands: from a [`Command`] to what it did.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pyti_model::effect::{Change, Effect, Loss};
use pyti_model::trace::Trace;
use pyti_trace::{Arch, confirm, filter};

use crate::cgroup;
use crate::diff;
use crate::enter::c_path;
use crate::init::{self, Child};
use crate::layer::{self, Layer, Manifest, Slot, StoreKind};
use crate::root::{DEVICES, HOST_FOLDERS, SKELETON};
use crate::spec::{Bind, Command, Lower};
use crate::starter::Starters;
use crate::step::{OPTIONAL, Step, landlock_step, landlock_version};
use crate::stream::{Ends, Pipes};
use crate::supervise;
use crate::sys;
use crate::texts::{Texts, pointers};

/// What a command did.
pub struct Done {
    /// How it ended, what it cost and said, whom it called.
    pub effect: Effect,
    /// What its processes did, as far as somebody looked; what was said to a simulated network.
    pub trace: Trace,
    /// What it wrote to the pipe for results.
    pub results: Vec<u8>,
    /// Bytes of results beyond the cap.
    pub results_dropped: u64,
    /// What it changed, as a layer.
    pub layer: Layer,
    /// What it changed, by path.
    pub changes: Vec<Change>,
    /// Changes that are not listed.
    pub changes_dropped: u64,
}

/// A command could not be run: our own fault, or the machine's. What the command itself does is never an error.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// A file or pipe of ours.
    #[error("cannot {0}")]
    Prepare(&'static str, #[source] io::Error),
    /// A step of the set-up.
    #[error("cannot make the box: {step}")]
    Step {
        /// What was being done.
        step: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The box ended while it was made.
    #[error("the box ended while it was made")]
    Ended,
    /// A path that leaves the box's root, or a text with a zero byte.
    #[error("{0:?} cannot be used in a box")]
    Unusable(PathBuf),
}

/// What commands are run with. Cheap to clone; may be used from several threads at once.
#[derive(Clone)]
pub struct Boxes {
    inner: Arc<Inner>,
}

struct Inner {
    store: StoreKind,
    /// Places of the agent's root that every box shows.
    shown: Vec<PathBuf>,
    starters: Starters,
}

impl Boxes {
    /// To be called in the job's own network.
    pub(crate) fn new(store: StoreKind, shown: Vec<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                shown,
                starters: Starters::new(),
            }),
        }
    }

    /// What is known of the machine, for the records.
    pub fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::new();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        facts.insert("kernel".to_owned(), release.trim().to_owned());
        facts.insert("layers".to_owned(), self.inner.store.word().to_owned());
        let meter = if Path::new(cgroup::BOXES_AT).is_dir() {
            "a control group for each command"
        } else if Path::new(cgroup::SHOWN_AT).is_dir() {
            "sampled, and a control group around the job"
        } else {
            "sampled"
        };
        facts.insert("meter".to_owned(), meter.to_owned());
        facts.insert("landlock".to_owned(), landlock_version().to_string());
        facts
    }

    /// Files that are given to a command without being part of what it changes.
    pub fn layer_of(&self, files: &[(PathBuf, Vec<u8>, u32)]) -> Result<Layer, BoxError> {
        use std::os::unix::fs::PermissionsExt as _;
        let prepare = |e| BoxError::Prepare("make a layer", e);
        let slot = Slot::plain().map_err(prepare)?;
        for (path, bytes, mode) in files {
            let inside = layer::inside(path).ok_or_else(|| BoxError::Unusable(path.clone()))?;
            let target = slot.upper().join(inside);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(prepare)?;
            }
            fs::write(&target, bytes).map_err(prepare)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(*mode)).map_err(prepare)?;
        }
        Ok(Layer::new(slot))
    }

    /// Runs a command in a box of its own, to its end and that of everything it started.
    pub fn run(&self, command: &Command, cancel: &AtomicBool) -> Result<Done, BoxError> {
        let prepare = |what: &'static str| move |e: io::Error| BoxError::Prepare(what, e);
        let limits = &command.limits;
        let slot = Slot::sized(limits.disk_bytes, limits.disk_inodes).map_err(prepare("make a layer"))?;
        let mut lowers: Vec<PathBuf> = command
            .lowers
            .iter()
            .map(|lower| match lower {
                Lower::Layer(layer) => layer.path(),
                Lower::Folder(folder) => folder.clone(),
            })
            .collect();
        let own = mount_points(command).map_err(prepare("make mount points"))?;
        if let Some(own) = &own {
            lowers.push(own.upper());
        }
        lowers.push(PathBuf::from(SKELETON));
        let manifest = match self.inner.store {
            StoreKind::Overlay => None,
            StoreKind::Copy => {
                layer::merge(&lowers, &slot.root()).map_err(prepare("copy the layers"))?;
                Some(Manifest::note(&slot.root()).map_err(prepare("note what the layers hold"))?)
            }
        };
        let (pipes, ends) = Pipes::new(command).map_err(prepare("make pipes"))?;
        let texts = Texts::new(command)
            .ok_or_else(|| BoxError::Unusable(command.argv.first().map(PathBuf::from).unwrap_or_default()))?;
        let child = self.child(command, &slot, &lowers, &texts, &ends)?;
        let outcome = supervise::run(
            command,
            &child,
            pipes,
            ends,
            &slot,
            &self.inner.shown,
            &self.inner.starters,
            cancel,
        )?;
        drop(child);
        if let Some(manifest) = &manifest {
            manifest
                .keep_changes(&slot.root(), &slot.upper())
                .map_err(prepare("keep the changes"))?;
            fs::remove_dir_all(slot.root()).map_err(prepare("remove the copy"))?;
        }
        let (changes, changes_dropped) =
            diff::changes(&slot.upper(), &lowers).map_err(prepare("read the changes"))?;
        let (mut effect, mut trace) = (outcome.effect, outcome.trace);
        confirm(&mut trace, &changes);
        if changes_dropped > 0 {
            effect.losses.push(Loss::Changes {
                dropped: changes_dropped,
            });
        }
        Ok(Done {
            effect,
            trace,
            results: outcome.results,
            results_dropped: outcome.results_dropped,
            layer: Layer::new(slot),
            changes,
            changes_dropped,
        })
    }

    fn child(
        &self,
        command: &Command,
        slot: &Slot,
        lowers: &[PathBuf],
        texts: &Texts,
        ends: &Ends,
    ) -> Result<Child, BoxError> {
        let unusable = |path: &Path| BoxError::Unusable(path.to_owned());
        let mut namespaces = Vec::new();
        // when the job's group runs out of memory, a command goes, never the agent; where it cannot be set, it is
        // the kernel's choice
        let first_to_go = Step::Write(c"/proc/self/oom_score_adj".into(), b"1000".to_vec());
        step(&mut namespaces, first_to_go, OPTIONAL);
        let dumpable = Step::Prctl(libc::PR_SET_DUMPABLE, 1);
        step(&mut namespaces, dumpable, "staying readable");
        write(
            &mut namespaces,
            c"/proc/self/setgroups",
            "deny",
            "giving up groups",
        );
        write(
            &mut namespaces,
            c"/proc/self/uid_map",
            "1000 0 1",
            "mapping the user",
        );
        write(
            &mut namespaces,
            c"/proc/self/gid_map",
            "1000 0 1",
            "mapping the group",
        );
        // changes of credentials clear it, so it comes last
        step(
            &mut namespaces,
            Step::Prctl(libc::PR_SET_PDEATHSIG, KILL),
            "tying the box to the agent",
        );
        let init = self.init(command, slot, lowers).map_err(|path| unusable(&path))?;
        Ok(Child {
            namespaces,
            overlay: self.inner.store == StoreKind::Overlay,
            init,
            filter: filter::program(Arch::OWN, command.trace, true),
            deaf_filter: filter::program(Arch::OWN, command.trace, false),
            command: command_steps(command, ends).map_err(|path| unusable(&path))?,
            programs: texts.programs.clone(),
            argv: pointers(&texts.argv),
            envp: pointers(&texts.env),
            status: ends.status.as_raw_fd(),
            go: ends.go.as_raw_fd(),
        })
    }

    /// What PID 1 of the box does before the command starts.
    fn init(
        &self,
        command: &Command,
        slot: &Slot,
        lowers: &[PathBuf],
    ) -> Result<Vec<(Step, String)>, PathBuf> {
        let mut steps = Vec::new();
        let bad = |path: &Path| path.to_owned();
        let c = |path: &Path| c_path(path).map_err(|_| bad(path));
        mount(
            &mut steps,
            c"none",
            c"/",
            c"",
            libc::MS_REC | libc::MS_PRIVATE,
            "making mounts private",
        );
        let root = slot.root();
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        match self.inner.store {
            StoreKind::Overlay => {
                step(&mut steps, Step::Chdir(c"/layers".into()), "going to the layers");
                let options = Step::Mount {
                    source: c"overlay".into(),
                    target: c(&root)?,
                    kind: c"overlay".into(),
                    flags,
                    data: overlay_options(slot, lowers).ok_or_else(|| bad(slot.folder()))?,
                };
                step(&mut steps, options, "mounting the layers");
            }
            StoreKind::Copy => {
                let bind = Step::Mount {
                    source: c(&root)?,
                    target: c(&root)?,
                    kind: c"".into(),
                    flags: libc::MS_BIND,
                    data: c"".into(),
                };
                step(&mut steps, bind, "mounting the layers");
            }
        }
        let mut show = |source: &Path, target: &Path, attributes: u64| -> Result<(), PathBuf> {
            let place = root.join(layer::inside(target).ok_or_else(|| bad(target))?);
            let place = c(&place)?;
            let bind = Step::Mount {
                source: c(source)?,
                target: place.clone(),
                kind: c"".into(),
                flags: libc::MS_BIND | libc::MS_REC,
                data: c"".into(),
            };
            step(&mut steps, bind, &format!("showing {}", target.display()));
            if attributes != 0 {
                step(
                    &mut steps,
                    Step::MountAttributes(place, attributes),
                    &format!("shearing {}", target.display()),
                );
            }
            Ok(())
        };
        let plain = sys::RDONLY | sys::NOSUID | sys::NODEV;
        for folder in HOST_FOLDERS
            .iter()
            .map(Path::new)
            .filter(|p| p.is_dir() && !p.is_symlink())
        {
            show(folder, folder, plain)?;
        }
        for prefix in &self.inner.shown {
            show(prefix, prefix, plain)?;
        }
        for Bind { source, target, .. } in &command.binds {
            show(source, target, plain)?;
        }
        for device in DEVICES {
            show(Path::new(device), Path::new(device), 0)?;
        }
        let proc = root.join("proc");
        let proc_flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        mount_at(
            &mut steps,
            c"proc",
            &c(&proc)?,
            c"proc",
            proc_flags,
            c"",
            "mounting /proc",
        );
        let processes = command.limits.processes.max(16) + 2;
        let pid_max = c(&proc.join("sys/kernel/pid_max"))?;
        // per pid namespace from Linux 6.14; before, it is the whole machine's and cannot be written from here
        if kernel_at_least(6, 14) {
            steps.push((
                Step::Write(pid_max, processes.max(301).to_string().into_bytes()),
                OPTIONAL.to_owned(),
            ));
        }
        let knobs = c(&proc.join("sys"))?;
        mount_at(
            &mut steps,
            &knobs,
            &knobs,
            c"",
            libc::MS_BIND,
            c"",
            "closing /proc/sys",
        );
        step(
            &mut steps,
            Step::MountAttributes(knobs, plain),
            "closing /proc/sys",
        );
        let pts = c(&root.join("dev/pts"))?;
        let pts_options = c"newinstance,ptmxmode=0666,mode=0620";
        mount_at(
            &mut steps,
            c"devpts",
            &pts,
            c"devpts",
            libc::MS_NOSUID | libc::MS_NOEXEC,
            pts_options,
            "mounting /dev/pts",
        );
        let shm = c(&root.join("dev/shm"))?;
        let size = format!(
            "size={},mode=1777",
            (command.limits.memory_bytes / 2).max(1 << 20)
        );
        let size = CString::new(size).map_err(|_| bad(&root))?;
        mount_at(
            &mut steps,
            c"shm",
            &shm,
            c"tmpfs",
            flags,
            &size,
            "mounting /dev/shm",
        );
        step(&mut steps, Step::Chdir(c(&root)?), "entering the root");
        step(&mut steps, Step::PivotHere, "making it the root");
        let name =
            CString::new(command.host_name.as_str()).map_err(|_| bad(Path::new(&command.host_name)))?;
        step(&mut steps, Step::HostName(name), "naming the host");
        step(&mut steps, Step::DropCapabilities, "dropping capabilities");
        step(
            &mut steps,
            Step::Prctl(libc::PR_SET_DUMPABLE, 1),
            "staying readable",
        );
        step(
            &mut steps,
            Step::Prctl(libc::PR_SET_NO_NEW_PRIVS, 1),
            "forbidding new privileges",
        );
        Ok(steps)
    }
}

const KILL: libc::c_ulong = libc::SIGKILL as libc::c_ulong;

fn step(steps: &mut Vec<(Step, String)>, step: Step, name: &str) {
    steps.push((step, name.to_owned()));
}

fn write(steps: &mut Vec<(Step, String)>, path: &std::ffi::CStr, text: &str, name: &str) {
    step(steps, Step::Write(path.into(), text.as_bytes().to_vec()), name);
}

fn mount(
    steps: &mut Vec<(Step, String)>,
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: libc::c_ulong,
    name: &str,
) {
    mount_at(steps, source, target, kind, flags, c"", name);
}

fn mount_at(
    steps: &mut Vec<(Step, String)>,
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: libc::c_ulong,
    data: &std::ffi::CStr,
    name: &str,
) {
    let mount = Step::Mount {
        source: source.into(),
        target: target.into(),
        kind: kind.into(),
        flags,
        data: data.into(),
    };
    step(steps, mount, name);
}

/// Options of the overlay, with short relative names: one page holds them all.
fn overlay_options(slot: &Slot, lowers: &[PathBuf]) -> Option<CString> {
    let mut text = b"userxattr,lowerdir=".to_vec();
    let name = |path: &Path| -> Vec<u8> {
        match path.strip_prefix("/layers") {
            Ok(relative) => relative.as_os_str().as_bytes().to_vec(),
            Err(_) => path.as_os_str().as_bytes().to_vec(),
        }
    };
    for (number, lower) in lowers.iter().enumerate() {
        if number > 0 {
            text.push(b':');
        }
        text.extend(name(lower));
    }
    text.extend(b",upperdir=");
    text.extend(name(&slot.upper()));
    text.extend(b",workdir=");
    text.extend(name(&slot.folder().join("work")));
    // a comma or colon in a name would be read as another option
    (text.len() < 4000).then(|| CString::new(text).ok()).flatten()
}

/// Mount points for a command's own binds, as a layer of their own: they are not part of what it changes.
fn mount_points(command: &Command) -> io::Result<Option<Slot>> {
    if command.binds.is_empty() {
        return Ok(None);
    }
    let slot = Slot::plain()?;
    for bind in &command.binds {
        let inside =
            layer::inside(&bind.target).ok_or_else(|| io::Error::other("a target leaves the root"))?;
        let place = slot.upper().join(inside);
        if bind.source.is_dir() {
            fs::create_dir_all(place)?;
        } else {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::File::create(place)?;
        }
    }
    Ok(Some(slot))
}

/// What the command's process does before exec.
fn command_steps(command: &Command, ends: &Ends) -> Result<Vec<(Step, String)>, PathBuf> {
    let mut steps = Vec::new();
    let limits = &command.limits;
    step(&mut steps, Step::NewSession, "a session of its own");
    for (number, fd) in ends.standard().into_iter().enumerate() {
        step(
            &mut steps,
            Step::Dup(fd, i32::try_from(number).unwrap_or(0)),
            "standard streams",
        );
    }
    if command.terminal.is_some() {
        step(&mut steps, Step::ControllingTerminal, "the terminal");
    }
    if let Some(results) = &ends.results {
        step(
            &mut steps,
            Step::Dup(results.as_raw_fd(), crate::RESULTS_FD),
            "the pipe for results",
        );
    }
    let kept = if command.results {
        crate::RESULTS_FD.cast_unsigned()
    } else {
        199
    };
    step(&mut steps, Step::CloseRange(3, 199), "closing files");
    if kept == 199 {
        step(
            &mut steps,
            Step::CloseRange(200, init::STATUS_FD.cast_unsigned() - 1),
            "closing files",
        );
    } else {
        step(
            &mut steps,
            Step::CloseRange(kept + 1, init::STATUS_FD.cast_unsigned() - 1),
            "closing files",
        );
    }
    step(
        &mut steps,
        Step::CloseRange(init::STATUS_FD.cast_unsigned() + 1, u32::MAX),
        "closing files",
    );
    for (resource, value) in [
        (libc::c_long::from(libc::RLIMIT_CORE), 0),
        (
            libc::c_long::from(libc::RLIMIT_NOFILE),
            u64::from(limits.open_files),
        ),
        (libc::c_long::from(libc::RLIMIT_FSIZE), limits.file_bytes),
        (
            libc::c_long::from(libc::RLIMIT_NPROC),
            u64::from(limits.processes) + 2,
        ),
        (libc::c_long::from(libc::RLIMIT_MSGQUEUE), 1 << 20),
        (libc::c_long::from(libc::RLIMIT_MEMLOCK), 8 << 20),
        (libc::c_long::from(libc::RLIMIT_CPU), u64::from(limits.cpu_s) + 5),
    ] {
        step(&mut steps, Step::Rlimit(resource, value), "setting limits");
    }
    let cwd = c_path(&command.cwd).map_err(|_| command.cwd.clone())?;
    step(&mut steps, Step::Chdir(cwd), "going to the working folder");
    step(&mut steps, Step::ResetSignals, "resetting signals");
    // here and not in the first process: who is inside such walls can open or trace nobody outside them, so the
    // first process, and what it tells the agent, stays ours
    if let Some(landlock) = landlock_step() {
        step(&mut steps, landlock, "Landlock");
    }
    Ok(steps)
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= (major, minor)
}
