//! Warm templates: a guest that was booted once, its state kept, and given to every job as its own.
//!
//! A template is good for the very QEMU, kernel, image, memory and processor clock that it was made with. These are its
//! key, and the key is the folder's name: with another QEMU another template is made, and nothing is ever read that was
//! written by another one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyti_model::image::Accelerator;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::calibrate;
use crate::control::Ask;
use crate::machine::{Machine, MachineError, Parts, Start};
use crate::qemu::Begin;
use crate::{jobdisk, qemu, vmm};

/// What templates look like; another number makes them all anew.
const FORM: u32 = 1;
/// How long the loop runs that measures a guest.
const MEASURED: Duration = Duration::from_millis(300);

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Its guest could not be used.
    #[error("the template's guest")]
    Machine(#[from] MachineError),
    /// The guest did not do what it was asked for.
    #[error("the template's guest")]
    Guest(#[from] crate::link::LinkError),
    /// QEMU did not.
    #[error("the template's state cannot be saved")]
    Save(#[from] crate::qmp::QmpError),
    /// A file.
    #[error("cannot keep a template")]
    File(#[from] io::Error),
    /// The placeholder of a job's disk.
    #[error(transparent)]
    Disk(#[from] jobdisk::DiskError),
}

/// What was found out while it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Release of the guest's kernel.
    pub kernel: String,
    /// Rounds of the calibration's loop a millisecond, here.
    pub host_rounds: u64,
    /// And in the guest.
    pub guest_rounds: u64,
    /// Milliseconds from the start of QEMU to the first answer.
    pub cold_ms: u64,
}

/// A template that is ready.
#[derive(Debug, Clone)]
pub struct Template {
    /// What was found out.
    pub facts: Facts,
    state: PathBuf,
    ram: Option<PathBuf>,
}

impl Template {
    /// By how much limits of time are stretched in its guests.
    pub fn scale(&self, accelerator: Accelerator) -> f64 {
        calibrate::scale(
            self.facts.host_rounds,
            self.facts.guest_rounds,
            accelerator == Accelerator::Tcg,
        )
    }

    /// A guest from it. The parts are those it was made with, but for the job's disk.
    pub fn restore(&self, parts: &Parts, patience: Duration) -> Result<Machine, MachineError> {
        let start = match &self.ram {
            Some(ram) => Start::Mapped {
                state: &self.state,
                ram,
            },
            None => Start::State(&self.state),
        };
        Machine::start(parts, start, patience).map(|(machine, _)| machine)
    }
}

/// Everything that a template depends on, as a folder's name. Digests stand for files: an image and an initramfs that
/// were built anew have others.
pub fn key(parts: &Parts, identity: &[&str]) -> String {
    let line = qemu::Machine {
        accelerator: parts.accelerator,
        memory_mb: parts.memory_mb,
        kernel: PathBuf::new(),
        initramfs: PathBuf::new(),
        base: PathBuf::new(),
        job: PathBuf::new(),
        tsc_khz: parts.tsc_khz,
        memory: qemu::Memory::Own,
        begin: Begin::Boot,
    };
    let fds = qemu::Descriptors {
        port: vmm::FIRST,
        qmp: vmm::FIRST + 1,
        console: vmm::FIRST + 2,
    };
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(&FORM.to_le_bytes());
    field(parts.qemu.version.text.as_bytes());
    for word in line.arguments(fds) {
        field(word.as_encoded_bytes());
    }
    for part in identity {
        field(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The template of these parts below a folder: the one that is there, or a new one. One process makes it, others wait.
pub fn prepare(
    folder: &Path,
    parts: &Parts,
    identity: &[&str],
    warm: &[Vec<String>],
    patience: Duration,
    say: &dyn Fn(&str),
) -> Result<Template, TemplateError> {
    let name = key(parts, identity);
    let place = folder.join(&name);
    fs::create_dir_all(folder)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from)?;
    if let Some(template) = read(&place) {
        return Ok(template);
    }
    say("booting a virtual machine once, to start others from it");
    // what was left half-made by somebody who was killed, and what nobody can use any more
    sweep(folder, &name);
    let scratch = tempfile::Builder::new().prefix("new-").tempdir_in(folder)?;
    let template = make(scratch.path(), parts, warm, patience)?;
    fs::write(
        scratch.path().join("facts.json"),
        serde_json::to_vec(&template).map_err(io::Error::other)?,
    )?;
    let made = scratch.keep();
    fs::rename(&made, &place)?;
    read(&place).ok_or_else(|| io::Error::other("what was made cannot be read").into())
}

fn read(place: &Path) -> Option<Template> {
    let facts = serde_json::from_slice(&fs::read(place.join("facts.json")).ok()?).ok()?;
    let state = place.join("state");
    let ram = place.join("ram");
    state.is_file().then(|| Template {
        facts,
        state,
        ram: ram.is_file().then_some(ram),
    })
}

fn make(
    scratch: &Path,
    parts: &Parts,
    warm: &[Vec<String>],
    patience: Duration,
) -> Result<Facts, TemplateError> {
    let placeholder = scratch.join("job");
    File::create(&placeholder)?.set_len(qemu::JOB_DISK)?;
    let parts = Parts {
        job: placeholder.clone(),
        ..parts.clone()
    };
    let mapped = parts.qemu.version.maps_read_only();
    let ram = scratch.join("ram");
    let start = if mapped {
        File::create(&ram)?.set_len(u64::from(parts.memory_mb) << 20)?;
        // the process of QEMU is an ordinary user
        open_to_all(&ram, 0o666)?;
        Start::Template(&ram)
    } else {
        Start::Cold
    };
    let began = std::time::Instant::now();
    let (machine, hello) = Machine::start(&parts, start, patience)?;
    let cold_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    machine.prepare(patience)?;
    let guest_rounds = machine.rounds_per_ms(MEASURED, patience)?;
    let host_rounds = calibrate::rounds_per_ms(MEASURED);
    for argv in warm {
        machine.link.order(Ask::Warm { argv: argv.clone() }, patience)?;
    }
    let state = File::create(scratch.join("state"))?;
    machine.save(&state, mapped, patience)?;
    state.sync_data()?;
    drop(machine);
    fs::remove_file(placeholder)?;
    if mapped {
        open_to_all(&ram, 0o444)?;
    }
    Ok(Facts {
        kernel: hello.map(|h| h.kernel).unwrap_or_default(),
        host_rounds,
        guest_rounds,
        cold_ms,
    })
}

fn open_to_all(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Removes half-made templates, and all but the few that were used last.
fn sweep(folder: &Path, keep: &str) {
    const KEPT: usize = 4;
    let mut others: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir() && entry.file_name().to_string_lossy() != keep)
        .collect();
    others.sort_by_key(|entry| std::cmp::Reverse(entry.metadata().and_then(|m| m.modified()).ok()));
    let mut kept = 0;
    for entry in others {
        let half = entry.file_name().to_string_lossy().starts_with("new-");
        if !half && kept < KEPT {
            kept += 1;
        } else {
            // what cannot be removed is left to the next one
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::{Qemu, Version};

    fn parts(version: &str) -> Parts {
        Parts {
            qemu: Qemu {
                path: "/usr/bin/qemu-system-x86_64".into(),
                version: Version::parse(version).unwrap(),
            },
            program: "/p".into(),
            accelerator: Accelerator::Tcg,
            memory_mb: 512,
            tsc_khz: 1,
            kernel: "/k".into(),
            initramfs: "/i".into(),
            base: "/b".into(),
            job: "/j".into(),
        }
    }

    #[test]
    fn another_qemu_memory_image_or_clock_is_another_template() {
        let one = parts("QEMU emulator version 7.2.22 (Debian 1)");
        let first = key(&one, &["image"]);
        assert_eq!(first, key(&one, &["image"]));
        let other_qemu = parts("QEMU emulator version 7.2.22 (Debian 2)");
        assert_ne!(first, key(&other_qemu, &["image"]));
        assert_ne!(first, key(&one, &["other"]));
        assert_ne!(
            first,
            key(
                &Parts {
                    memory_mb: 1024,
                    ..one.clone()
                },
                &["image"]
            )
        );
        assert_ne!(
            first,
            key(
                &Parts {
                    tsc_khz: 2,
                    ..one.clone()
                },
                &["image"]
            )
        );
        assert_ne!(
            first,
            key(
                &Parts {
                    accelerator: Accelerator::Kvm,
                    ..one.clone()
                },
                &["image"]
            )
        );
        // where the job's disk lies is no part of it
        assert_eq!(
            first,
            key(
                &Parts {
                    job: "/other".into(),
                    ..one
                },
                &["image"]
            )
        );
    }

    #[test]
    fn half_made_ones_go_and_the_last_few_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new-x", "a", "b", "c", "d", "e", "mine"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            std::thread::sleep(Duration::from_millis(15));
        }
        sweep(folder.path(), "mine");
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["b", "c", "d", "e", "mine"]);
    }
}
