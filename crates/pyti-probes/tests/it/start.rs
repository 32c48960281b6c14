//! What an interpreter does when it starts.

use std::fs;
use std::path::Path;

use pyti_model::raw::Start;
use pyti_probes::{Invocation, start};

use crate::support::{FD, env, on_every_version, run};

fn state(python: &Path, cwd: &Path) -> start::State {
    let ran = run(
        cwd,
        |probes| {
            start::argv(&Invocation {
                python: python.to_str().unwrap(),
                probes,
                results_fd: FD,
            })
        },
        &[],
    );
    start::parse(&ran.results).unwrap_or_else(|error| panic!("{error}: {}", ran.told()))
}

/// What some files in site-packages change about the start; nothing when there is no environment.
fn change(files: &[(&str, &str)]) -> Option<Start> {
    // an environment of its own for each thread would cost seconds: the files are put in and taken out under a lock
    let env = env("3.13", "start", &["iniconfig"]).or_else(|| env("3.11", "start", &["iniconfig"]))?;
    let lock = fs::File::create(env.site.join("lock")).unwrap();
    lock.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let before = state(&env.python, folder.path());
    for (name, text) in files {
        fs::write(env.site.join(name), text).unwrap();
    }
    let after = std::panic::catch_unwind(|| state(&env.python, folder.path()));
    for (name, _) in files {
        fs::remove_file(env.site.join(name)).unwrap();
    }
    Some(start::difference(&before, &after.unwrap()))
}

fn words(list: &[pyti_model::Foreign]) -> Vec<String> {
    list.iter().map(|word| word.lossy().into_owned()).collect()
}

#[test]
fn a_pth_file_that_imports_is_seen_and_one_without_is_unchanged() {
    let Some(changed) = change(&[
        ("spy.pth", "import spy_at_start\n"),
        ("spy_at_start.py", "X = 1\n"),
    ]) else {
        return;
    };
    assert_eq!(words(&changed.new_modules), ["spy_at_start"]);
    assert_eq!(words(&changed.new_events), ["import: spy_at_start"]);
    assert!(!changed.is_unchanged());
    let same = change(&[("note.pth", "# a remark\n"), ("spy_at_start.py", "X = 1\n")]).unwrap();
    assert!(same.is_unchanged(), "{same:?}");
}

#[test]
fn what_leaves_nothing_behind_is_heard_by_the_audit_hook() {
    let sneaks = "import sys, spy_covering; del sys.modules['spy_covering']\n";
    let spy = "import os, tempfile\nopen(os.path.join(tempfile.gettempdir(), 'pyti-spy'), 'w').close()\n\
               os.remove(os.path.join(tempfile.gettempdir(), 'pyti-spy'))\n";
    let Some(changed) = change(&[("covering.pth", sneaks), ("spy_covering.py", spy)]) else {
        return;
    };
    let events = words(&changed.new_events).join("\n");
    assert!(!words(&changed.new_modules).contains(&"spy_covering".to_owned()));
    assert!(events.contains("import: spy_covering"), "{events}");
    assert!(
        events.contains("open for writing: ") && events.contains("os.remove: "),
        "{events}"
    );
    let same = change(&[("spy_covering.py", spy)]).unwrap();
    assert!(same.is_unchanged(), "{same:?}");
}

#[test]
fn a_path_that_is_added_is_seen() {
    let Some(changed) = change(&[("more.pth", "/usr\n")]) else {
        return;
    };
    assert_eq!(words(&changed.new_paths), ["/usr"]);
    assert!(
        changed.new_modules.is_empty() && changed.new_events.is_empty(),
        "{changed:?}"
    );
    // what does not exist is not added by site
    let same = change(&[("more.pth", "/nowhere-to-be-found\n")]).unwrap();
    assert!(same.is_unchanged(), "{same:?}");
}

#[test]
fn every_version_tells_and_two_starts_are_alike() {
    on_every_version(|version, python| {
        let folder = tempfile::tempdir().unwrap();
        let same = start::difference(&state(python, folder.path()), &state(python, folder.path()));
        assert!(same.is_unchanged(), "{version}: {same:?}");
    });
}
