//! The queue among workers and controllers that die, over a network that loses, delays and doubles, with clocks that jump:
//! thousands of random histories, each of which can be run again by its seed. And the proof that every rule is needed.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a simulation")]
#![expect(clippy::print_stdout, reason = "which seed went wrong, and how")]

mod chance;
mod checks;
mod setting;
mod worker;
mod world;

use pyti_dispatch::rules::{Rule, Rules};
use world::World;

/// Histories of the test with all rules.
const SEEDS: u64 = 1_200;
/// Histories in which the lack of a rule must show.
const ABLATION_SEEDS: u64 = 1_200;

fn seeds() -> std::ops::Range<u64> {
    // one seed again: PYTI_SEED=17 cargo test -p pyti-dispatch --test simulator
    match std::env::var("PYTI_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    }
}

#[test]
fn every_job_ends_once_and_nothing_acknowledged_is_lost() {
    let (mut runs, mut done, mut dead, mut all) = (0, 0, 0, 0);
    let mut bad = Vec::new();
    for seed in seeds() {
        let checks = World::new(seed, Rules::default()).run();
        let (r, d) = checks.work();
        let (x, a) = checks.dead();
        (runs, done, dead, all) = (runs + r, done + d, dead + x, all + a);
        if !checks.bad.is_empty() {
            bad.push((seed, checks.bad));
        }
    }
    for (seed, what) in bad.iter().take(5) {
        println!("seed {seed}: {}", what.join("; "));
    }
    assert!(bad.is_empty(), "{} histories went wrong", bad.len());
    let ratio = f64::from(runs) / f64::from(done);
    println!("{all} jobs: {done} done, {dead} given up, {ratio:.3} executions a job");
    assert!(ratio <= 1.1, "{ratio} executions a job");
}

#[test]
fn without_any_one_rule_something_goes_wrong() {
    let mut needless = Vec::new();
    for rule in Rule::ALL {
        let found = (0..ABLATION_SEEDS).find_map(|seed| {
            let checks = World::new(seed, Rules::without(rule)).run();
            checks.bad.into_iter().next().map(|what| (seed, what))
        });
        match found {
            Some((seed, what)) => println!("without {rule:?}: seed {seed}: {what}"),
            None => needless.push(rule),
        }
    }
    assert!(needless.is_empty(), "nothing goes wrong without {needless:?}");
}
