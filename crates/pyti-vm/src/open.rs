//! A job in a guest, from nothing: accelerator, turn, disk, template, restore, agent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyti_model::image::{Accelerator, Guest};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::accelerator::{self, Verdict};
use crate::control::Ask;
use crate::image::Image;
use crate::initramfs::{self, ProgramError};
use crate::jobdisk::{self, DiskError};
use crate::link::{Link, LinkError};
use crate::machine::{Machine, MachineError, Parts};
use crate::modules::Module;
use crate::qemu::{self, QemuError};
use crate::template::{self, Template, TemplateError};

/// Memory that a guest's kernel, its first process and files that are handed in take, megabytes.
const ASIDE_MB: u64 = 1024;
/// Memory of a guest is a multiple of this, so that few templates serve all jobs. Megabytes.
const STEP_MB: u64 = 1024;
/// Part of the machine's memory that guests may promise to take together.
const SHARE: f64 = 0.75;
/// How long a native guest may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// And an emulated one, on a machine that has other work.
const EMULATED: Duration = Duration::from_mins(4);

/// Why no job can be opened in a guest.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// QEMU is missing or too old.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// Only emulation is here, and who asked does not want it.
    #[error("a virtual machine would only be emulated here, and KVM is required: {0}")]
    NoKvm(String),
    /// The program for guests.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The job's disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The template.
    #[error("no template can be made")]
    Template(#[from] TemplateError),
    /// The guest.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// What runs in the guest.
    #[error("the guest cannot open the job")]
    Guest(#[from] LinkError),
    /// A file of ours.
    #[error("cannot prepare a virtual machine")]
    File(#[from] io::Error),
    /// The kernel in the image is too old.
    #[error("the image {0} has the kernel {1}: layers in a guest need Linux 6.6; build the image anew")]
    Kernel(String, String),
}

impl OpenError {
    /// What else to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Qemu(QemuError::Missing) => Some(format!("sudo apt-get install {}", qemu::PACKAGE)),
            Self::Disk(DiskError::Program) => Some(format!("sudo apt-get install {}", jobdisk::PACKAGE)),
            _ => None,
        }
    }
}

/// What this machine's owner decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where templates are kept, and what was found out about this machine.
    pub folder: PathBuf,
    /// PyTI's own program.
    pub program: PathBuf,
    /// Emulation is refused.
    pub require_kvm: bool,
}

/// What a job needs.
#[derive(Debug)]
pub struct Order<'a> {
    /// The system.
    pub image: &'a Image,
    /// Files that are known now: from a place here to one on the job's disk.
    pub files: &'a [(PathBuf, String)],
    /// A folder of this job.
    pub scratch: &'a Path,
    /// Folders of the image that every box shows besides `/usr`: of an interpreter.
    pub prefixes: Vec<String>,
    /// Bytes of memory that a command may take.
    pub memory_bytes: u64,
    /// Bytes and files that all layers may take together.
    pub layers: (u64, u64),
}

/// A job whose agent runs in a guest.
pub struct Opened {
    machine: Machine,
    /// The channel to it.
    pub link: Arc<Link>,
    /// By how much limits of time are stretched.
    pub scale: f64,
    /// What is written into the recording of it.
    pub facts: BTreeMap<String, String>,
    /// How long anything may take in it.
    pub patience: Duration,
    _turn: Turn,
}

impl Opened {
    /// Ends the guest and tells what only a virtual machine shows.
    pub fn finish(&mut self) -> Guest {
        self.machine.finish()
    }

    /// Ends the guest, now.
    pub fn kill(&mut self) {
        self.machine.kill();
    }

    /// What was said where something went wrong: by the agent, by QEMU, and why the channel is closed.
    pub fn complaint(&self) -> Option<String> {
        let all: Vec<String> = [self.link.complaint(), self.machine.complaint(), self.link.why()]
            .into_iter()
            .flatten()
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Everything but the job's own disk, ready to be restored from.
pub struct Ready {
    /// The parts; the job's disk is none yet.
    pub parts: Parts,
    /// The template.
    pub template: Template,
    /// What runs guests, and why.
    pub verdict: Verdict,
    identity: Vec<String>,
}

/// How long a guest may take for anything.
pub fn patience(accelerator: Accelerator) -> Duration {
    match accelerator {
        Accelerator::Kvm => PATIENCE,
        Accelerator::Tcg => EMULATED,
    }
}

/// Megabytes of a guest for commands that may take so many bytes.
pub fn memory_mb(memory_bytes: u64) -> u32 {
    let wanted = (memory_bytes >> 20)
        .saturating_add(ASIDE_MB)
        .next_multiple_of(STEP_MB);
    // microvm has its devices from 3 GiB on, and puts what is more above 4 GiB by itself
    u32::try_from(wanted.clamp(STEP_MB, 64 << 10)).unwrap_or(1024)
}

/// Finds QEMU, decides what runs guests, and makes the template, unless it is there.
pub fn ready(
    settings: &Settings,
    image: &Image,
    memory_mb: u32,
    say: &dyn Fn(&str),
) -> Result<Ready, OpenError> {
    if image.manifest.kernel_version() < (6, 6) {
        return Err(OpenError::Kernel(
            image.name.clone(),
            image.manifest.kernel.release.clone(),
        ));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let qemu = qemu::find(&path)?;
    fs::create_dir_all(&settings.folder)?;
    let verdict = accelerator::probe(&qemu, &settings.folder);
    if settings.require_kvm && verdict.accelerator == Accelerator::Tcg {
        return Err(OpenError::NoKvm(verdict.why));
    }
    let program = initramfs::program(&guest_program(&settings.program)?)?;
    let initramfs = initramfs_of(&settings.folder, &program, image)?;
    let name = initramfs
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let parts = Parts {
        qemu,
        program: settings.program.clone(),
        accelerator: verdict.accelerator,
        memory_mb,
        tsc_khz: verdict.tsc_khz,
        kernel: image.kernel(),
        initramfs,
        base: image.disk(),
        job: PathBuf::new(),
    };
    let identity = vec![name, image.sha256.to_string()];
    let made = make(settings, &parts, &identity, image, say);
    match made {
        Ok(template) => Ok(Ready {
            parts,
            template,
            verdict,
            identity,
        }),
        // a loop runs natively and a kernel does not: what is known of KVM is that it is of no use
        Err(error) if parts.accelerator == Accelerator::Kvm && !settings.require_kvm => {
            let verdict = Verdict {
                accelerator: Accelerator::Tcg,
                why: format!(
                    "a kernel does not start under KVM: {}",
                    pyti_model::with_causes(&error)
                ),
                ..verdict
            };
            let parts = Parts {
                accelerator: Accelerator::Tcg,
                ..parts
            };
            let template = make(settings, &parts, &identity, image, say)?;
            Ok(Ready {
                parts,
                template,
                verdict,
                identity,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn make(
    settings: &Settings,
    parts: &Parts,
    identity: &[String],
    image: &Image,
    say: &dyn Fn(&str),
) -> Result<Template, TemplateError> {
    let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
    let warm: Vec<Vec<String>> = image
        .manifest
        .interpreters
        .iter()
        .take(1)
        .map(|interpreter| {
            let code =
                "import json, unittest, subprocess, importlib, zipfile, ssl, sysconfig, traceback, argparse";
            vec![interpreter.executable.clone(), "-c".to_owned(), code.to_owned()]
        })
        .collect();
    let folder = settings.folder.join("templates");
    template::prepare(&folder, parts, &identity, &warm, patience(parts.accelerator), say)
}

/// Opens a job.
pub fn open(settings: &Settings, order: &Order<'_>, say: &dyn Fn(&str)) -> Result<Opened, OpenError> {
    let memory_mb = memory_mb(order.memory_bytes);
    let turn = Turn::take(&settings.folder, memory_mb, say)?;
    let ready = ready(settings, order.image, memory_mb, say)?;
    let job = jobdisk::make(order.scratch, order.files)?;
    let parts = Parts {
        job,
        ..ready.parts.clone()
    };
    let patience = patience(parts.accelerator);
    let (machine, template) = match ready.template.restore(&parts, patience) {
        Ok(machine) => (machine, ready.template.clone()),
        // a template that cannot be read is made anew, once
        Err(error) => {
            say(&format!("a template is of no use ({error}); making another"));
            let identity: Vec<&str> = ready.identity.iter().map(String::as_str).collect();
            let place = settings
                .folder
                .join("templates")
                .join(template::key(&ready.parts, &identity));
            let _ = fs::remove_dir_all(place);
            let template = make(settings, &ready.parts, &ready.identity, order.image, say)?;
            (template.restore(&parts, patience)?, template)
        }
    };
    machine.prepare(patience)?;
    let link = Arc::clone(&machine.link);
    link.order(Ask::MountJob, patience)?;
    let guest_bytes = u64::from(memory_mb) << 20;
    link.order(
        Ask::Open {
            layers_bytes: order.layers.0.min(guest_bytes / 2),
            layers_inodes: order.layers.1,
            memory_bytes: guest_bytes - (256 << 20),
            prefixes: order.prefixes.clone(),
        },
        patience,
    )?;
    let scale = template.scale(parts.accelerator);
    let facts = [
        ("isolation", "vm".to_owned()),
        ("accelerator", parts.accelerator.word().to_owned()),
        ("qemu", parts.qemu.version.text.clone()),
        ("image", format!("{} {}", order.image.name, order.image.sha256)),
        ("guest_kernel", template.facts.kernel.clone()),
        ("time_scale", format!("{scale:.1}")),
    ];
    Ok(Opened {
        machine,
        link,
        scale,
        facts: facts.map(|(name, value)| (name.to_owned(), value)).into(),
        patience,
        _turn: turn,
    })
}

/// The program for guests: named, or beside ours, or ours itself when it is linked static.
pub fn guest_program(own: &Path) -> Result<PathBuf, ProgramError> {
    if let Some(named) = std::env::var_os("PYTI_GUEST") {
        return Ok(named.into());
    }
    let beside = own.with_file_name("pyti-guest");
    if beside.is_file() {
        return Ok(beside);
    }
    match initramfs::program(own) {
        Ok(_) => Ok(own.to_owned()),
        Err(_) => Err(ProgramError::Missing),
    }
}

/// The first root for this program and image, made once.
fn initramfs_of(folder: &Path, program: &[u8], image: &Image) -> Result<PathBuf, OpenError> {
    let mut modules = Vec::new();
    for (name, _) in &image.manifest.kernel.modules {
        modules.push(Module {
            name: name.clone(),
            bytes: fs::read(image.modules().join(format!("{name}.ko")))?,
        });
    }
    let bytes = initramfs::make(program, &modules);
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    let place = folder.join(format!("initramfs-{digest}"));
    if !place.is_file() {
        // those of other programs: each build of PyTI has its own
        for entry in fs::read_dir(folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("initramfs-") && old(&entry) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut new, &bytes)?;
        // the process of QEMU is an ordinary user
        new.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        new.persist(&place).map_err(|error| error.error)?;
    }
    Ok(place)
}

fn old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|m| m.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_hours(24 * 7)))
}

/// A share of this machine's memory: as many guests run at once as fit, whoever started them, and others wait.
struct Turn(#[expect(dead_code, reason = "the lock is held while it is open")] Vec<File>);

impl Turn {
    fn take(folder: &Path, memory_mb: u32, say: &dyn Fn(&str)) -> io::Result<Self> {
        let folder = folder.join("turns");
        fs::create_dir_all(&folder)?;
        let total = slots(memory_total());
        let wanted = usize::try_from(u64::from(memory_mb).div_ceil(STEP_MB))
            .unwrap_or(1)
            .min(total);
        let mut told = false;
        loop {
            let mut held = Vec::new();
            // all or nothing, under one lock, so that two who need more than one do not wait for each other
            let gate = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join("gate"))?;
            flock(&gate, FlockOperation::LockExclusive)?;
            for number in 0..total {
                let path = folder.join(number.to_string());
                let slot = File::options()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(path)?;
                if flock(&slot, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    held.push(slot);
                    if held.len() == wanted {
                        return Ok(Self(held));
                    }
                }
            }
            drop((held, gate));
            if !told {
                say("waiting for memory that other virtual machines hold");
                told = true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// How many steps of memory guests may take together.
fn slots(total_bytes: u64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a size"
    )]
    let steps = (total_bytes as f64 * SHARE / (STEP_MB << 20) as f64) as usize;
    steps.clamp(1, 1024)
}

fn memory_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(4 << 30, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn memory_comes_in_steps() {
        assert_eq!(memory_mb(2 << 30), 3072);
        assert_eq!(memory_mb((2 << 30) + 1), 3072);
        assert_eq!(memory_mb(256 << 20), 2048);
        assert_eq!(memory_mb(0), 1024);
        assert_eq!(memory_mb(u64::MAX), 64 << 10);
        assert_eq!(slots(24 << 30), 18);
        assert_eq!(slots(0), 1);
    }

    #[test]
    fn who_does_not_fit_waits() {
        let folder = tempfile::tempdir().unwrap();
        let all = u32::try_from(slots(memory_total()) as u64 * STEP_MB).unwrap();
        let first = Turn::take(folder.path(), all, &|_| ()).unwrap();
        let (say, said) = channel();
        let place = folder.path().to_owned();
        let waiting = std::thread::spawn(move || {
            Turn::take(&place, 1, &|what| say.send(what.to_owned()).unwrap()).unwrap();
        });
        assert!(
            said.recv_timeout(Duration::from_secs(5))
                .unwrap()
                .contains("waiting")
        );
        assert!(!waiting.is_finished());
        drop(first);
        waiting.join().unwrap();
        // who asks for more than there is gets all of it, and no more
        Turn::take(folder.path(), u32::MAX, &|_| ()).unwrap();
    }
}
