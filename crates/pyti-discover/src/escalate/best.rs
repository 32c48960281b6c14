//! Which attempt gives the result.

use pyti_model::raw::Test;

use super::{Came, Death, Tried};

/// Whether an attempt is a pass: tests were run, to the end, and none failed.
pub fn is_good(test: &Test) -> bool {
    let counts = test.counts;
    counts.executed() > 0
        && counts.failed + counts.errors == 0
        && test.finished
        && test.exit.is_none_or(|code| code == 0)
        && is_of_installed(test)
}

/// Tests that met another copy than the installed one prove nothing; tests that met none in their own process may.
fn is_of_installed(test: &Test) -> bool {
    test.against_installed || test.proof.is_empty()
}

/// The attempt that gives the result, by its place; `None` when none was run.
///
/// An attempt that ran far fewer tests than another never hides what that one found: only those with nine tenths of the
/// tests of the largest are looked at. Of these a pass comes first, then who passed more, then who failed less, then the
/// earlier one.
pub fn best(tried: &[Tried]) -> Option<usize> {
    let ran = || {
        tried.iter().enumerate().filter_map(|(at, t)| match &t.came {
            Came::Ran { test, death, .. } => Some((at, test, *death)),
            Came::NotHad { .. } => None,
        })
    };
    // errors of collecting are no tests
    let size =
        |test: &Test| test.counts.passed + test.counts.failed + test.counts.xfailed + test.counts.xpassed;
    let most = ran().map(|(_, test, _)| size(test)).max()?;
    ran()
        .filter(|(_, test, _)| size(test) * 10 >= most * 9)
        .min_by_key(|(at, test, death)| {
            let good = is_good(test) && *death == Death::Exited;
            let counts = test.counts;
            (
                !good,
                std::cmp::Reverse(counts.passed),
                counts.failed + counts.errors,
                !test.finished,
                *at,
            )
        })
        .map(|(at, _, _)| at)
}
