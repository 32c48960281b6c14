//! Tries the real recipe, and says in words what is missing and the one command that mends it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pyti_model::trace::Form;
use serde::{Deserialize, Serialize};

use crate::enter::enter;
use crate::launch::{Job, LaunchError, launch};
use crate::spec::{Command, JobSpec, Network};
use crate::step::landlock_version;

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub step: String,
    /// What came of it.
    pub outcome: StepOutcome,
    /// What it means.
    pub meaning: String,
    /// The command that mends it, or what else to do.
    pub mend: Option<String>,
    /// Whether no box can be opened without it.
    pub needed: bool,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// It works.
    Ok,
    /// It fails, with this error number.
    Failed(i32),
    /// The kernel does not have it.
    Absent,
}

/// The hidden verb with which [`doctor`] starts the program again; it calls [`doctor_inside`].
pub const DOCTOR_VERB: &str = "__doctor";
/// How long a command that does nothing may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of what the inside says.
const SAID: u64 = 16 << 10;

/// What the inside tells of its command.
#[derive(Debug, Serialize, Deserialize)]
struct Tried {
    error: Option<String>,
    errno: i32,
    /// Seconds from the wish to the end.
    took_s: f64,
    layers: String,
    meter: String,
}

/// Opens a job with this very program, runs a command in a box of it, and looks at what the kernel offers besides.
pub fn doctor() -> Vec<Finding> {
    let mut findings = job();
    let mut optional = |step: &str, there: bool, with: &str, without: &str, mend: Option<&str>| {
        findings.push(Finding {
            step: step.to_owned(),
            outcome: if there {
                StepOutcome::Ok
            } else {
                StepOutcome::Absent
            },
            meaning: if there { with } else { without }.to_owned(),
            mend: mend.map(str::to_owned),
            needed: false,
        });
    };
    optional(
        "Landlock",
        landlock_version() >= 2,
        "a second wall around every command",
        "commands have one wall less",
        Some("a kernel from 5.19 on, with lsm=landlock,… on its command line"),
    );
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    optional(
        "layers by overlay",
        version >= (6, 6),
        "layers are stacked by the kernel",
        "layers are copied, which takes longer",
        Some("a kernel from 6.6 on"),
    );
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    optional(
        "recorded refusals",
        actions.contains("user_notif"),
        "what a box refuses is recorded",
        "what a box refuses is not recorded",
        Some("a kernel from 5.0 on"),
    );
    let group = fs::metadata("/sys/fs/cgroup/memory/memory.limit_in_bytes").is_ok()
        || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|text| text.contains("memory"));
    optional(
        "memory control group",
        group,
        "the memory of a job has a hard limit where the group may be written",
        "the memory of a job is measured, which misses short peaks",
        Some("systemd-run --user --scope -p Delegate=yes pyti …"),
    );
    findings
}

/// In the job: runs a command that does nothing, recorded and behind a silent network, and tells what came of it.
///
/// # Errors
///
/// The job cannot be set up, which the host was told, or nobody listens any more.
pub fn doctor_inside() -> Result<(), Box<dyn std::error::Error>> {
    let mut inside = enter()?;
    let mut command = Command::new(["true"]);
    command.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    command.network = Network::Silent;
    command.trace = Form::Full;
    let began = Instant::now();
    let done = inside.boxes.run(&command, &AtomicBool::new(false));
    let mut facts = inside.boxes.facts();
    let mut fact = |name: &str| facts.remove(name).unwrap_or_default();
    let mut tried = Tried {
        error: None,
        errno: 0,
        took_s: began.elapsed().as_secs_f64(),
        layers: fact("layers"),
        meter: fact("meter"),
    };
    match done {
        Ok(done) if !done.effect.losses.is_empty() => {
            tried.error = Some(format!("it was not recorded: {:?}", done.effect.losses));
        }
        Ok(done) if !done.effect.exit.is_success() => {
            tried.error = Some(format!("it ended with {:?}", done.effect.exit));
        }
        Ok(_) => {}
        Err(error) => {
            let source = std::error::Error::source(&error).and_then(|s| s.downcast_ref::<io::Error>());
            tried.errno = source.and_then(io::Error::raw_os_error).unwrap_or(0);
            tried.error =
                Some(source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}")));
        }
    }
    inside.channel.write_all(&serde_json::to_vec(&tried)?)?;
    Ok(())
}

/// Waits for what the inside tells.
fn tried(job: &Job) -> io::Result<Tried> {
    let channel = job.channel()?;
    channel.set_read_timeout(Some(PATIENCE))?;
    let mut said = Vec::new();
    channel.take(SAID).read_to_end(&mut said)?;
    serde_json::from_slice(&said)
        .map_err(|_| io::Error::other(job.complaint().unwrap_or_else(|| "nothing was said".to_owned())))
}

fn command(job: &Job) -> Finding {
    let step = "a command in a box".to_owned();
    match tried(job) {
        Ok(Tried {
            error: None,
            took_s,
            layers,
            meter,
            ..
        }) => Finding {
            step,
            outcome: StepOutcome::Ok,
            meaning: format!(
                "inner namespaces, layers ({layers}), network, filter, recording and limits work, in {:.0} ms; memory: {meter}",
                took_s * 1e3
            ),
            mend: None,
            needed: true,
        },
        Ok(Tried { error, errno, .. }) => {
            let meaning = error.unwrap_or_default();
            Finding {
                step,
                outcome: StepOutcome::Failed(errno),
                mend: mend(&meaning, errno),
                meaning,
                needed: true,
            }
        }
        Err(error) => Finding {
            step,
            outcome: StepOutcome::Failed(error.raw_os_error().unwrap_or(0)),
            meaning: error.to_string(),
            mend: None,
            needed: true,
        },
    }
}

fn job() -> Vec<Finding> {
    let spec = std::env::current_exe().map(|program| JobSpec {
        binds: Vec::new(),
        program,
        layers_bytes: 64 << 20,
        layers_inodes: 10_000,
        memory_bytes: 512 << 20,
        store: None,
        image: None,
        devices: Vec::new(),
    });
    let result = match spec {
        Ok(spec) => launch(&spec, DOCTOR_VERB),
        Err(source) => Err(LaunchError::Start {
            program: PathBuf::from("pyti").display().to_string(),
            source,
        }),
    };
    match result {
        Ok(job) => vec![
            Finding {
                step: "a job".to_owned(),
                outcome: StepOutcome::Ok,
                meaning: "namespaces, mounts, loopback and the process inside work".to_owned(),
                mend: None,
                needed: true,
            },
            command(&job),
        ],
        Err(error) => {
            let errno = if let LaunchError::Step { errno, .. } = &error {
                *errno
            } else {
                0
            };
            vec![Finding {
                step: "a job".to_owned(),
                outcome: StepOutcome::Failed(errno),
                meaning: error.to_string(),
                mend: error.hint(),
                needed: true,
            }]
        }
    }
}

/// The one command that mends a failed step, by what the system looks like.
pub(crate) fn mend(step: &str, errno: i32) -> Option<String> {
    let sysctl = |name: &str| {
        fs::read_to_string(format!("/proc/sys/{name}"))
            .ok()
            .map(|text| text.trim().to_owned())
    };
    mend_by(step, errno, &sysctl)
}

fn mend_by(step: &str, errno: i32, sysctl: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let refused = matches!(
        errno,
        libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EINVAL | 0
    );
    if !refused {
        return None;
    }
    if sysctl("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Some("sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned());
    }
    if sysctl("user/max_user_namespaces").as_deref() == Some("0") {
        return Some("sudo sysctl -w user.max_user_namespaces=15000".to_owned());
    }
    if sysctl("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Some("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".to_owned());
    }
    if step.contains("/proc") {
        return Some(
            "in a container, start it with: docker run --security-opt systempaths=unconfined --security-opt seccomp=unconfined …"
                .to_owned(),
        );
    }
    if step.contains("namespaces") {
        return Some(
            "in a container, start it with: docker run --security-opt seccomp=unconfined …".to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_lock_has_its_command() {
        let locked = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| value.to_owned())
        };
        let mend =
            |lock: &dyn Fn(&str) -> Option<String>| mend_by("making mounts private", libc::EPERM, lock);
        assert!(
            mend(&locked("kernel/apparmor_restrict_unprivileged_userns", "1"))
                .unwrap()
                .contains("apparmor")
        );
        assert!(
            mend(&locked("user/max_user_namespaces", "0"))
                .unwrap()
                .contains("max_user_namespaces")
        );
        assert!(mend(&|_| None).is_none());
        assert!(
            mend_by("mounting /proc", libc::EPERM, &|_| None)
                .unwrap()
                .contains("systempaths")
        );
    }
}
