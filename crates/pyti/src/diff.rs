//! `pyti diff`.

use crate::args::DiffArgs;
use crate::output::{Look, print};
use crate::recorded::{all, load};

/// Compares two runs.
pub(crate) fn diff(args: &DiffArgs, look: &Look) -> anyhow::Result<u8> {
    let runs = all()?;
    let (before, after) = (load(&runs.find(&args.before)?)?, load(&runs.find(&args.after)?)?);
    let comparison = pyti_judge::compare::compare(
        &before.jobs,
        &after.jobs,
        pyti_judge::compare::Safe {
            before: &before.found,
            after: &after.found,
        },
    );
    let text = if args.json {
        pyti_report::diff_json(&comparison)?
    } else if args.html {
        pyti_report::diff_html(&comparison)
    } else {
        pyti_report::diff_terminal(&comparison, &look.report)
    };
    print(&text)?;
    Ok(0)
}
