//! SQLite does what the queue in memory does.

use pyti_dispatch::Policy;
use pyti_dispatch::conformance::{Memory, alike, run};

use crate::support::Sqlite;

#[test]
fn sqlite_conforms() {
    if let Err(why) = run(Sqlite::new) {
        panic!("{why}");
    }
}

#[test]
fn sqlite_says_what_the_queue_in_memory_says() {
    for seed in 0..12 {
        let (mut memory, mut sqlite) = (Memory::new(Policy::default()), Sqlite::new(Policy::default()));
        if let Err(why) = alike(&mut memory, &mut sqlite, seed, 250) {
            panic!("seed {seed}: {why}");
        }
    }
}
