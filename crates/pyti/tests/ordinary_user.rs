//! What root can do, everybody can, and root's boxes have no more rights than anybody's.

mod support;

use pyti_fixtures::Faults;
use serde_json::Value;
use support::{Place, reasons};

/// Nobody has this number.
const USER: u32 = 12345;

/// Tries what only the machine's own root may do.
const TRIES: &str = "\
import os
for path in ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/sys/kernel/mm/ksm/run', '/usr/bin/env']:
    try:
        os.close(os.open(path, os.O_WRONLY))
        print('OPENED', path)
    except OSError as error:
        print('refused', path, error.strerror)
try:
    os.chroot('/tmp')
    os.setuid(0)
    print('BECAME', os.getuid())
except OSError as error:
    print('refused', error.strerror)
print('is', os.getuid(), os.listdir('/proc/1/root') if os.access('/proc/1/root', os.R_OK) else 'alone')
";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn an_ordinary_user_gets_the_same_results() {
    let test = "an_ordinary_user_gets_the_same_results";
    if !is_root() {
        support::skipped(
            test,
            "only root can become another user; all other tests run as an ordinary user here",
        );
        return;
    }
    let names = [
        "unittest-passes",
        "tests-fail",
        "fills-memory",
        "forks-without-end",
        "double-forks",
        "hangs-in-import",
    ];
    let (Some(place), Some(index)) = (Place::new(test), support::served(test, &names, Faults::none())) else {
        return;
    };
    let place = place.owned_by(USER);
    place.configure("timeout = 20\ninactivity = 3\nmemory = \"512M\"\nprocesses = 48\n");
    let run = |name: &str| place.run(&index, ["--only", "wheel", name]);
    let status = |object: &Value| object["status"].as_str().unwrap().to_owned();
    let ended = run("unittest-passes").code(0);
    assert_eq!(status(&ended.object()), "pass", "{}", ended.story());
    let ended = run("tests-fail").code(1);
    assert_eq!(reasons(&ended.object())[0], "test_failures", "{}", ended.story());
    for (name, reason) in [
        ("fills-memory", "memory_limit"),
        ("forks-without-end", "pids_limit"),
        ("hangs-in-import", "inactivity"),
    ] {
        // what it would have done next is not known: no verdict is better than inconclusive
        let ended = run(name).code(3);
        assert_eq!(status(&ended.object()), "killed", "{}", ended.story());
        assert_eq!(reasons(&ended.object())[0], reason, "{}", ended.story());
    }
    let ended = run("double-forks").code(3);
    assert!(
        reasons(&ended.object()).contains(&"survivors".to_owned()),
        "{}",
        ended.story()
    );
    place.ends(["doctor"]).code(0);
    let all_theirs = support::walk(&place.path().join("data")).iter().all(|path| {
        use std::os::unix::fs::MetadataExt as _;
        path.symlink_metadata().unwrap().uid() == USER
    });
    assert!(all_theirs, "something of the recordings belongs to somebody else");
}

fn tries(place: &Place, index: &pyti_fixtures::LocalIndex) {
    let folder = place.project(TRIES);
    let object = place.run(index, [folder.to_str().unwrap()]).code(3).object();
    assert_eq!(object["verdict"], "harmful", "who writes there means harm");
    let log = place.ends(["log", "last", "import"]).code(0).stdout;
    assert!(log.contains("refused /proc/sys/kernel/core_pattern"), "{log}");
    assert!(!log.contains("OPENED") && !log.contains("BECAME"), "{log}");
    assert!(log.contains("is 1000"), "{log}");
}

#[test]
fn a_box_has_no_rights_whoever_opened_it() {
    let test = "a_box_has_no_rights_whoever_opened_it";
    let (Some(place), Some(index)) = (Place::new(test), support::served(test, &[], Faults::none())) else {
        return;
    };
    tries(&place, &index);
    if is_root() {
        let Some(place) = Place::new(test) else { return };
        tries(&place.owned_by(USER), &index);
    } else {
        support::skipped("the same for a second user", "only root can become another user");
    }
}
