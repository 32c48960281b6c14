//! What is here for images and virtual machines, what to install, and which speed to expect.

use std::path::Path;

use pyti_model::image::Accelerator;
use pyti_sandbox::{Finding, StepOutcome};

use crate::{accelerator, open, qemu};

/// Looks; nothing of it is needed for the sandbox. `folder` is where what was found out is kept, `program` our own.
pub fn doctor(folder: &Path, program: &Path) -> Vec<Finding> {
    let path = std::env::var("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let mut findings = Vec::new();
    let mut tell = |step: &str, result: Result<String, (String, Option<String>)>| {
        let (outcome, meaning, mend) = match result {
            Ok(meaning) => (StepOutcome::Ok, meaning, None),
            Err((meaning, mend)) => (StepOutcome::Absent, meaning, mend),
        };
        findings.push(Finding {
            step: step.to_owned(),
            outcome,
            meaning,
            mend,
            needed: false,
        });
    };
    let tools = [("mmdebstrap", "mmdebstrap"), ("mkfs.erofs", "erofs-utils")];
    let missing: Vec<_> = tools
        .iter()
        .filter(|(name, _)| !there(name))
        .map(|(_, package)| *package)
        .collect();
    tell(
        "images",
        if missing.is_empty() {
            Ok("pyti image build works on Debian and Ubuntu".to_owned())
        } else {
            let mend = format!("sudo apt-get install {}", missing.join(" "));
            Err(("no image can be built".to_owned(), Some(mend)))
        },
    );
    let found = qemu::find(&path);
    tell(
        "virtual machines",
        match &found {
            Ok(qemu) => Ok(qemu.version.text.clone()),
            Err(error) => {
                let mend = format!("sudo apt-get install {} erofs-utils", qemu::PACKAGE);
                Err((error.to_string(), Some(mend)))
            }
        },
    );
    if let Ok(qemu) = &found {
        let verdict = accelerator::probe(qemu, folder);
        tell("KVM", speed(verdict.accelerator, &verdict.why));
        tell(
            "program for guests",
            match open::guest_program(program) {
                Ok(path) => Ok(path.display().to_string()),
                Err(error) => Err((error.to_string(), Some("cargo xtask guest".to_owned()))),
            },
        );
    }
    findings
}

/// What to expect of a guest.
fn speed(accelerator: Accelerator, why: &str) -> Result<String, (String, Option<String>)> {
    match accelerator {
        Accelerator::Kvm => Ok(format!("guests run at nearly full speed: {why}")),
        Accelerator::Tcg => Err((
            format!("guests are emulated, and commands in them take 15 to 40 times as long: {why}"),
            Some("a machine with hardware virtualisation, and /dev/kvm open to who runs PyTI".to_owned()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_and_nothing_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let findings = doctor(folder.path(), Path::new("/nonexistent/pyti"));
        assert!(findings.iter().any(|f| f.step == "images"));
        let machines = findings.iter().find(|f| f.step == "virtual machines").unwrap();
        if machines.outcome != StepOutcome::Ok {
            assert!(machines.mend.as_ref().unwrap().contains("qemu-system-x86"));
        }
        for finding in &findings {
            assert!(!finding.needed);
            assert!(
                finding.outcome == StepOutcome::Ok || finding.mend.is_some(),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn emulation_is_told_to_be_slow() {
        assert!(speed(Accelerator::Kvm, "x").is_ok());
        assert!(
            speed(Accelerator::Tcg, "because")
                .unwrap_err()
                .0
                .contains("because")
        );
    }
}
