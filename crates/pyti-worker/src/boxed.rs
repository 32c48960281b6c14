//! The box of one job, whatever isolates it.

use std::collections::{BTreeMap, HashSet};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyti_box::protocol::CACHE;
use pyti_model::effect::Limits;
use pyti_model::image::Guest;
use pyti_model::plan::{Interpreter, Isolation, Plan};
use pyti_sandbox::Bind;
use pyti_vm::image::Image;
use pyti_vm::link::Link;

use crate::desk::lock;
use crate::job::JobError;
use crate::worker::Worker;

/// What a user decided about virtual machines, beside the plan.
#[derive(Debug, Clone, Default)]
pub struct MachineOptions {
    /// Emulation is refused.
    pub require_kvm: bool,
}

/// An open box.
pub(crate) enum Boxed {
    /// Namespaces on this kernel.
    Sandbox(pyti_sandbox::Job),
    /// A guest of QEMU's.
    Vm(Box<pyti_vm::open::Opened>),
}

/// Where connections to the lens come from.
pub(crate) enum LensFrom {
    /// A listener in the job's network namespace.
    Listener(TcpListener),
    /// A guest passes them on.
    Guest(Arc<Link>),
}

/// Puts files into the cache that a guest sees; a sandbox sees the cache itself.
pub(crate) struct Carrier {
    link: Arc<Link>,
    files: PathBuf,
    there: Mutex<HashSet<String>>,
    patience: Duration,
}

impl Boxed {
    /// The channel to the agent, once.
    pub(crate) fn channel(&self) -> std::io::Result<UnixStream> {
        match self {
            Self::Sandbox(job) => job.channel(),
            Self::Vm(guest) => guest.link.agent(),
        }
    }

    pub(crate) fn take_lens(&mut self) -> Option<LensFrom> {
        match self {
            Self::Sandbox(job) => job.take_lens().map(LensFrom::Listener),
            Self::Vm(guest) => Some(LensFrom::Guest(Arc::clone(&guest.link))),
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Sandbox(job) => job.kill(),
            Self::Vm(guest) => guest.kill(),
        }
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Sandbox(job) => job.complaint(),
            Self::Vm(guest) => guest.complaint(),
        }
    }

    /// Ends it, and tells what only a virtual machine shows.
    pub(crate) fn finish(&mut self) -> Option<Guest> {
        match self {
            Self::Sandbox(job) => {
                job.kill();
                None
            }
            Self::Vm(guest) => Some(guest.finish()),
        }
    }

    /// By how much limits of time are stretched.
    pub(crate) fn scale(&self) -> f64 {
        match self {
            Self::Sandbox(_) => 1.0,
            Self::Vm(guest) => guest.scale,
        }
    }

    /// What is written into the recording of it.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        match self {
            Self::Sandbox(_) => BTreeMap::new(),
            Self::Vm(guest) => guest.facts.clone(),
        }
    }

    /// How long the guest said nothing, and the most that it may.
    pub(crate) fn silence(&self) -> Option<(Duration, Duration)> {
        match self {
            Self::Sandbox(_) => None,
            Self::Vm(guest) => Some((guest.link.silence(), guest.patience)),
        }
    }
}

impl Carrier {
    /// Puts those into the guest that are not there yet; each is a path below [`CACHE`].
    pub(crate) fn deliver<'a>(&self, paths: impl Iterator<Item = &'a str>) -> Result<(), String> {
        // one after the other: who asks for a file that is on its way waits until it is there
        let mut there = lock(&self.there);
        for path in paths {
            let Some(below) = path.strip_prefix(CACHE).map(|rest| rest.trim_start_matches('/')) else {
                continue;
            };
            if there.contains(below) {
                continue;
            }
            self.link
                .deliver(&self.files.join(below), below, self.patience)
                .map_err(|error| pyti_model::with_causes(&error))?;
            there.insert(below.to_owned());
        }
        Ok(())
    }
}

/// Limits as they are in a guest that is so many times slower.
pub(crate) fn stretched(limits: &Limits, scale: f64) -> Limits {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "limits are small and positive; a cast from f64 saturates"
    )]
    let stretch = |seconds: u32| (f64::from(seconds) * scale).ceil() as u32;
    Limits {
        wall_s: stretch(limits.wall_s),
        cpu_s: stretch(limits.cpu_s),
        inactivity_s: stretch(limits.inactivity_s),
        ..limits.clone()
    }
}

impl Worker {
    /// The image that an interpreter lies in.
    pub(crate) fn image_of(&self, interpreter: &Interpreter) -> Result<Option<Image>, JobError> {
        let Some(wanted) = &interpreter.image else {
            return Ok(None);
        };
        let found = self.inner.images.find(wanted.sha256.as_str());
        found.map(Some).map_err(|_| {
            JobError::Prepare(format!(
                "the image {} ({}) is not here: build it, or take another with --image",
                wanted.name, wanted.sha256
            ))
        })
    }

    /// Opens the box of a plan.
    pub(crate) async fn open_box(
        &self,
        plan: &Plan,
        stage: &Path,
        files: Vec<String>,
        say: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Result<(Boxed, Option<Arc<Carrier>>), JobError> {
        let image = self.image_of(&plan.interpreter)?;
        match plan.isolation {
            Isolation::Sandbox => {
                let spec = self.spec(plan, stage, image.as_ref());
                let job = tokio::task::spawn_blocking(move || pyti_sandbox::launch(&spec, pyti_agent::VERB))
                    .await
                    .map_err(|e| JobError::Agent(e.to_string()))??;
                Ok((Boxed::Sandbox(job), None))
            }
            Isolation::Vm => self.open_guest(plan, stage, files, image, say).await,
            Isolation::Libvirt => Err(JobError::Prepare(
                "no job is run by libvirt yet: use the isolation vm".to_owned(),
            )),
        }
    }

    async fn open_guest(
        &self,
        plan: &Plan,
        stage: &Path,
        files: Vec<String>,
        image: Option<Image>,
        say: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Result<(Boxed, Option<Arc<Carrier>>), JobError> {
        let image = image.ok_or_else(|| {
            JobError::Prepare("a virtual machine needs an interpreter of an image: --image NAME".to_owned())
        })?;
        let inner = &self.inner;
        let options = inner.machines.get().cloned().unwrap_or_default();
        let settings = pyti_vm::open::Settings {
            folder: inner.machines_folder.clone(),
            program: inner.settings.program.clone(),
            require_kvm: options.require_kvm,
        };
        let below = |path: &str| path.trim_start_matches(CACHE).trim_start_matches('/').to_owned();
        let there: HashSet<String> = files.iter().map(|path| below(path)).collect();
        let mut disk: Vec<(PathBuf, String)> = there
            .iter()
            .map(|path| (inner.files.join(path), format!("cache/{path}")))
            .collect();
        disk.push((inner.uv.path.clone(), "uv".to_owned()));
        let prefixes = pyti_resolve::interpreters::prefixes(&plan.interpreter);
        let prefixes = prefixes.iter().map(|p| p.display().to_string()).collect();
        let limits = plan.limits.clone();
        let scratch = stage.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let order = pyti_vm::open::Order {
                image: &image,
                files: &disk,
                scratch: &scratch,
                prefixes,
                memory_bytes: limits.memory_bytes,
                layers: (limits.disk_bytes * 2, limits.disk_inodes * 2),
            };
            pyti_vm::open::open(&settings, &order, &*say)
        })
        .await
        .map_err(|e| JobError::Agent(e.to_string()))??;
        let carrier = Carrier {
            link: Arc::clone(&opened.link),
            files: inner.files.clone(),
            there: Mutex::new(there),
            patience: opened.patience,
        };
        Ok((Boxed::Vm(Box::new(opened)), Some(Arc::new(carrier))))
    }

    /// What a user decided about virtual machines; the first to say it decides.
    pub fn use_machines(&self, options: MachineOptions) {
        let _ = self.inner.machines.set(options);
    }

    /// The images of this user.
    pub fn images(&self) -> &pyti_vm::image::Images {
        &self.inner.images
    }
}

/// Binds of an image's interpreter, or of this machine's.
pub(crate) fn prefix_binds(interpreter: &Interpreter, image: Option<&Image>) -> Vec<Bind> {
    let prefixes = pyti_resolve::interpreters::prefixes(interpreter).into_iter();
    prefixes
        .map(|prefix| Bind {
            source: match image {
                Some(image) => image.root().join(prefix.strip_prefix("/").unwrap_or(&prefix)),
                None => prefix.clone(),
            },
            target: prefix,
            writable: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_stretched() {
        let limits = Limits::default();
        let slow = stretched(&limits, 20.0);
        assert_eq!(slow.wall_s, limits.wall_s * 20);
        assert_eq!(slow.inactivity_s, limits.inactivity_s * 20);
        assert_eq!(slow.memory_bytes, limits.memory_bytes);
        assert_eq!(stretched(&limits, 1.0), limits);
        assert_eq!(stretched(&limits, f64::MAX).wall_s, u32::MAX);
    }
}
