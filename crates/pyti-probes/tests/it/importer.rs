//! Importing modules: each has its own outcome, whatever the others do.

use std::fmt::Write as _;
use std::path::Path;

use pyti_model::effect::Loss;
use pyti_model::raw::{Import, ImportOutcome};
use pyti_probes::{Invocation, import};

use crate::support::{FD, Ran, newest, on_every_version, run, tree};

fn import(
    python: &Path,
    folder: &Path,
    tops: &[&str],
    modules: &[&str],
    limit: u32,
) -> (Import, Option<Loss>, Ran) {
    let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ran = run(
        folder,
        |probes| {
            let invocation = Invocation {
                python: python.to_str().unwrap(),
                probes,
                results_fd: FD,
            };
            import::argv(&invocation, &own(tops), &own(modules), limit)
        },
        &[("PYTHONPATH", folder.to_str().unwrap())],
    );
    let (import, loss) = import::parse(&ran.results);
    (import, loss, ran)
}

/// The outcome of the one entry of a module.
fn outcome<'a>(import: &'a Import, module: &str) -> &'a ImportOutcome {
    let entries: Vec<_> = import
        .modules
        .iter()
        .filter(|entry| entry.module.as_str() == Some(module))
        .collect();
    assert_eq!(entries.len(), 1, "{module} in {import:?}");
    &entries[0].outcome
}

#[test]
fn every_kind_of_end_is_told_apart_on_every_version() {
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/good.py", "import json\n"),
        (
            "pkg/crashes.py",
            "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        ),
        ("pkg/exits.py", "import sys\nsys.exit(3)\n"),
        ("pkg/says.py", "import sys\nsys.exit('advice')\n"),
        ("pkg/vanishes.py", "import os\nos._exit(0)\n"),
        ("pkg/raises.py", "raise ValueError('no')\n"),
        ("pkg/needs.py", "import nowhere_to_be_found\n"),
        ("pkg/hangs.py", "import time\ntime.sleep(60)\n"),
        ("pkg/last.py", "X = 1\n"),
    ];
    let modules = [
        "pkg",
        "pkg.good",
        "pkg.crashes",
        "pkg.exits",
        "pkg.says",
        "pkg.vanishes",
        "pkg.raises",
        "pkg.needs",
        "pkg.hangs",
        "pkg.last",
    ];
    on_every_version(|version, python| {
        let folder = tree(&files);
        let (import, loss, ran) = import(python, folder.path(), &["pkg"], &modules, 2);
        assert_eq!(
            (loss, import.modules.len()),
            (None, 10),
            "{version}: {}",
            ran.told()
        );
        assert!(import.modules[0].top_level && !import.modules[1].top_level);
        for module in ["pkg", "pkg.good", "pkg.last"] {
            assert_eq!(*outcome(&import, module), ImportOutcome::Imported, "{version}");
        }
        assert_eq!(
            *outcome(&import, "pkg.crashes"),
            ImportOutcome::Crashed { signal: 11 }
        );
        assert_eq!(*outcome(&import, "pkg.exits"), ImportOutcome::Exited { code: 3 });
        assert_eq!(*outcome(&import, "pkg.says"), ImportOutcome::Exited { code: 1 });
        assert_eq!(
            *outcome(&import, "pkg.vanishes"),
            ImportOutcome::Exited { code: 0 }
        );
        assert_eq!(*outcome(&import, "pkg.hangs"), ImportOutcome::Killed);
        let raised = |module: &str| match outcome(&import, module) {
            ImportOutcome::Raised { error } => (error.class.lossy().into_owned(), error.module.clone()),
            other => panic!("{module}: {other:?}"),
        };
        assert_eq!(raised("pkg.raises"), ("ValueError".to_owned(), None));
        assert_eq!(
            raised("pkg.needs"),
            (
                "ModuleNotFoundError".to_owned(),
                Some("nowhere_to_be_found".into())
            )
        );
        // what hangs is asked where it hangs before it is killed
        let said = String::from_utf8_lossy(&ran.output.stderr).into_owned();
        assert!(said.contains("hangs.py") && said.contains("crashes.py"), "{said}");
        let file = import.modules[0].file.as_ref().unwrap().lossy().into_owned();
        assert!(file.ends_with("pkg/__init__.py"), "{file}");
    });
}

#[test]
fn a_module_that_outlives_a_hang_of_others_is_not_killed_with_them() {
    let Some(python) = newest() else { return };
    let folder = tree(&[
        ("slow.py", "import time\ntime.sleep(0.7)\n"),
        ("slower.py", "import time\ntime.sleep(0.7)\n"),
    ]);
    // the limit is one module's, not all modules'
    let (import, loss, _) = import(&python, folder.path(), &[], &["slow", "slower"], 1);
    assert_eq!((outcome(&import, "slow"), loss), (&ImportOutcome::Imported, None));
    assert_eq!(*outcome(&import, "slower"), ImportOutcome::Imported);
}

#[test]
fn a_module_that_writes_into_the_results_is_a_loss_and_one_that_prints_is_none() {
    let Some(python) = newest() else { return };
    let spoils = format!("import os\nos.write({FD}, b'<garbage>\\n')\n");
    let folder = tree(&[
        ("spoils.py", &spoils),
        ("prints.py", "print('<garbage>')\n"),
        ("good.py", ""),
    ]);
    let (import_, loss, _) = import(&python, folder.path(), &["spoils"], &["good"], 5);
    assert_eq!(loss, Some(Loss::Results { bytes: 9 }));
    assert_eq!(*outcome(&import_, "good"), ImportOutcome::Imported);
    let (import_, loss, ran) = import(&python, folder.path(), &["prints"], &["good"], 5);
    assert_eq!(loss, None, "{}", ran.told());
    assert_eq!(*outcome(&import_, "prints"), ImportOutcome::Imported);
}

#[test]
fn a_module_that_kills_its_parent_leaves_an_incomplete_record() {
    let Some(python) = newest() else { return };
    let folder = tree(&[
        ("good.py", ""),
        (
            "kills.py",
            "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.3)\n",
        ),
        ("harmless.py", "import os, signal\nos.kill(os.getppid(), 0)\n"),
    ]);
    let (import_, loss, _) = import(&python, folder.path(), &["good"], &["kills"], 5);
    assert!(loss.is_some() && import_.modules.len() == 1, "{import_:?}");
    let (import_, loss, _) = import(&python, folder.path(), &["good"], &["harmless"], 5);
    assert_eq!((loss, import_.modules.len()), (None, 2));
}

#[test]
fn a_module_that_forks_is_reported_once() {
    let Some(python) = newest() else { return };
    let folder = tree(&[
        (
            "forks.py",
            "import os, time\nif os.fork():\n    time.sleep(0.3)\n",
        ),
        (
            "waits.py",
            "import os, time\nif not os.fork():\n    time.sleep(0.3)\n",
        ),
        ("still.py", "import os\n"),
        ("good.py", ""),
    ]);
    for module in ["forks", "waits", "still"] {
        let (import, loss, ran) = import(&python, folder.path(), &[], &[module, "good"], 5);
        assert_eq!(
            (loss, import.modules.len()),
            (None, 2),
            "{module}: {}",
            ran.told()
        );
    }
}

#[test]
fn a_crash_is_one_even_when_something_is_left_running() {
    let Some(python) = newest() else { return };
    let leaves = "import os, time\nif not os.fork():\n    time.sleep(4)\n    os._exit(0)\n";
    let folder = tree(&[
        ("crashes.py", &format!("{leaves}os.abort()\n")),
        ("leaves.py", leaves),
        ("good.py", ""),
    ]);
    let (import, _, _) = import(&python, folder.path(), &["crashes", "leaves"], &["good"], 3);
    assert_eq!(*outcome(&import, "crashes"), ImportOutcome::Crashed { signal: 6 });
    assert_eq!(*outcome(&import, "leaves"), ImportOutcome::Imported);
    assert_eq!(*outcome(&import, "good"), ImportOutcome::Imported);
}

#[test]
fn five_hundred_modules_are_imported_each_once() {
    let Some(python) = newest() else { return };
    let mut files = vec![("many/__init__.py".to_owned(), String::new())];
    let mut modules = vec!["many".to_owned()];
    for n in 0..500 {
        let mut text = String::new();
        let _ = writeln!(text, "N = {n}");
        // a few that end their process, so that the others need new ones
        if n % 100 == 50 {
            let _ = writeln!(text, "import os\nos.abort()");
        }
        files.push((format!("many/m{n}.py"), text));
        modules.push(format!("many.m{n}"));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let modules: Vec<_> = modules.iter().map(String::as_str).collect();
    let folder = tree(&files);
    let (import, loss, _) = import(&python, folder.path(), &["many"], &modules, 20);
    let crashed =
        |entry: &&pyti_model::raw::ModuleImport| entry.outcome == ImportOutcome::Crashed { signal: 6 };
    assert_eq!((loss, import.modules.len()), (None, 501));
    assert_eq!(import.modules.iter().filter(crashed).count(), 5);
    assert_eq!(*outcome(&import, "many.m499"), ImportOutcome::Imported);
}
