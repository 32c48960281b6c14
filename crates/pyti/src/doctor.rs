//! `pyti doctor`.

use crate::output::{Look, print};

/// Runs the real recipe step by step and says which step fails first.
pub(crate) fn doctor(look: &Look) -> anyhow::Result<u8> {
    let mut findings = pyti_sandbox::doctor();
    let folders = pyti_worker::folders::Folders::find(&crate::run::env)?;
    findings.extend(pyti_vm::doctor::doctor(
        &folders.machines()?,
        &std::env::current_exe()?,
    ));
    let mut text = String::new();
    let (good, bad, weak) = if look.report.ascii {
        ("ok", "FAILS", "absent")
    } else {
        ("✔", "✘", "–")
    };
    let mut failed = false;
    for finding in &findings {
        let mark = match (&finding.outcome, finding.needed) {
            (pyti_sandbox::StepOutcome::Ok, _) => good,
            (_, true) => {
                failed = true;
                bad
            }
            (_, false) => weak,
        };
        text.push_str(&format!("{mark} {}: {}\n", finding.step, finding.meaning));
        if !matches!(finding.outcome, pyti_sandbox::StepOutcome::Ok)
            && let Some(mend) = &finding.mend
        {
            text.push_str(&format!("    {mend}\n"));
        }
    }
    text.push_str(if failed {
        "no box can be opened here\n"
    } else {
        "a box can be opened here\n"
    });
    print(&text)?;
    Ok(if failed { crate::OWN_ERROR } else { 0 })
}
