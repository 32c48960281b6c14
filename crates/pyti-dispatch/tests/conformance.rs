//! The queue in memory does what every store of jobs must do.

use pyti_dispatch::Policy;
use pyti_dispatch::conformance::{Memory, alike, run};

#[test]
fn the_queue_in_memory_conforms() {
    if let Err(why) = run(Memory::new) {
        panic!("{why}");
    }
}

#[test]
fn two_queues_that_hear_the_same_say_the_same() {
    for seed in 0..50 {
        let (mut a, mut b) = (Memory::new(Policy::default()), Memory::new(Policy::default()));
        if let Err(why) = alike(&mut a, &mut b, seed, 400) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn a_store_with_other_numbers_is_found_out() {
    let other = || Policy {
        lost_cap: 3,
        ..Policy::default()
    };
    assert!(run(|_| Memory::new(other())).is_err());
    let told = (0..50).any(|seed| {
        let (mut a, mut b) = (Memory::new(Policy::default()), Memory::new(other()));
        alike(&mut a, &mut b, seed, 400).is_err()
    });
    assert!(told, "a smaller cap went unnoticed");
}
