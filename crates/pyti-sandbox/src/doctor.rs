//! Tries the real recipe, and says in words what is missing and the one command that mends it.

use std::fs;
use std::path::PathBuf;

use crate::launch::{LaunchError, launch};
use crate::spec::JobSpec;
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

/// Opens a job with this very program and looks at what the kernel offers besides.
pub fn doctor(verb: &str) -> Vec<Finding> {
    let mut findings = vec![job(verb)];
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

fn job(verb: &str) -> Finding {
    let spec = std::env::current_exe().map(|program| JobSpec {
        binds: Vec::new(),
        program,
        layers_bytes: 64 << 20,
        layers_inodes: 10_000,
        memory_bytes: 512 << 20,
        store: None,
    });
    let result = match spec {
        Ok(spec) => launch(&spec, verb),
        Err(source) => Err(LaunchError::Start {
            program: PathBuf::from("pyti").display().to_string(),
            source,
        }),
    };
    match result {
        Ok(_) => Finding {
            step: "a job".to_owned(),
            outcome: StepOutcome::Ok,
            meaning: "namespaces, mounts, loopback and the process inside work".to_owned(),
            mend: None,
            needed: true,
        },
        Err(error) => {
            let errno = if let LaunchError::Step { errno, .. } = &error {
                *errno
            } else {
                0
            };
            Finding {
                step: "a job".to_owned(),
                outcome: StepOutcome::Failed(errno),
                meaning: error.to_string(),
                mend: error.hint(),
                needed: true,
            }
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
