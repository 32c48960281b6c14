//! Tests that do not come to the same in every run of the same recipe.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::foreign::Foreign;
use pyti_model::raw::{Flaky, Test, TestOutcome};

/// Tests that are listed.
const MOST: usize = 500;

/// Compares runs of the same recipe. Passed tests beyond the cap of a run are not listed there; a test that failed in
/// another run and is not listed in such a one is taken for passed.
pub(super) fn between(runs: &[&Test]) -> Vec<Flaky> {
    if runs.len() < 2 {
        return Vec::new();
    }
    let outcomes: Vec<BTreeMap<&Foreign, TestOutcome>> = runs
        .iter()
        .map(|run| {
            let mut of = BTreeMap::new();
            for case in &run.cases {
                let known = of.entry(&case.id).or_insert(case.outcome);
                // a test with several outcomes is as bad as its worst
                *known = (*known).min(case.outcome);
            }
            of
        })
        .collect();
    let bad: BTreeSet<&Foreign> = outcomes
        .iter()
        .flat_map(|of| {
            of.iter()
                .filter(|(_, outcome)| **outcome < TestOutcome::Xfailed)
                .map(|(id, _)| *id)
        })
        .collect();
    bad.into_iter()
        .filter_map(|id| {
            let each: Vec<Option<TestOutcome>> = runs
                .iter()
                .zip(&outcomes)
                .map(|(run, of)| {
                    of.get(id)
                        .copied()
                        .or_else(|| (run.finished && run.cases_dropped > 0).then_some(TestOutcome::Passed))
                })
                .collect();
            // where a run did not come to the test, nothing is known
            let known: BTreeSet<TestOutcome> = each.iter().flatten().copied().collect();
            (known.len() > 1).then(|| Flaky {
                id: id.clone(),
                outcomes: each,
            })
        })
        .take(MOST)
        .collect()
}

/// The names of a few, for a sentence.
pub(super) fn sentence(flaky: &[Flaky]) -> String {
    const NAMED: usize = 3;
    let names: Vec<String> = flaky
        .iter()
        .take(NAMED)
        .map(|f| f.id.lossy().chars().take(200).collect())
        .collect();
    let more = flaky.len().saturating_sub(NAMED);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{rest}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use pyti_model::raw::TestCase;

    use super::*;

    fn run(cases: &[(&str, TestOutcome)]) -> Test {
        Test {
            finished: true,
            cases: cases
                .iter()
                .map(|(id, outcome)| TestCase {
                    id: Foreign::from(*id),
                    outcome: *outcome,
                    wall_s: 0.0,
                    cpu_s: None,
                    peak_bytes: None,
                    message: Foreign::default(),
                    output: Foreign::default(),
                })
                .collect(),
            ..Test::default()
        }
    }

    #[test]
    fn who_changes_its_mind_is_named_and_who_does_not_is_not() {
        use TestOutcome::{Failed, Passed, Skipped};
        let first = run(&[("a", Failed), ("b", Failed), ("c", Passed), ("d", Skipped)]);
        let second = run(&[("a", Passed), ("b", Failed), ("c", Passed), ("d", Passed)]);
        let found = between(&[&first, &second]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].outcomes, [Some(Failed), Some(Passed)]);
        assert_eq!(sentence(&found), "a");
        assert!(between(&[&first]).is_empty());
    }

    #[test]
    fn a_run_that_never_came_to_a_test_says_nothing_of_it() {
        let first = run(&[("a", TestOutcome::Failed)]);
        let mut second = run(&[]);
        assert!(between(&[&first, &second]).is_empty());
        // unless its passed tests are only not listed
        second.cases_dropped = 7;
        assert_eq!(
            between(&[&first, &second])[0].outcomes[1],
            Some(TestOutcome::Passed)
        );
    }
}
