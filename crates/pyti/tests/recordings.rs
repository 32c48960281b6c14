//! What recordings hold of each behaviour, and do not hold of its harmless twin; nothing is lost on the way.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use pyti_fixtures::Faults;
use pyti_model::effect::{Changed, Contact, Effect, Loss};
use pyti_model::event::{Envelope, Event};
use pyti_model::raw::RawData;
use support::Place;

/// The recordings of some fixtures, by name: of the wheel where there is one, else of the sdist.
struct Recordings {
    place: Place,
    runs: BTreeMap<String, (String, Vec<Envelope>)>,
}

impl Recordings {
    fn of(test: &str, names: &[&str]) -> Option<Self> {
        let place = Place::new(test)?;
        place.configure("timeout = 20\ninactivity = 4\nmemory = \"512M\"\n");
        let index = support::served(test, names, Faults::none())?;
        let ended = place.run(&index, ["--jobs", "3"].iter().chain(names));
        let mut runs = BTreeMap::new();
        for object in ended.objects() {
            let folder = Path::new(object["recording"].as_str().unwrap());
            let wheel = folder.join("wheel.jsonl.zst");
            let path = if wheel.is_file() {
                wheel
            } else {
                folder.join("sdist.jsonl.zst")
            };
            let events = pyti_worker::recording::read(&path).unwrap();
            let run = object["run"].as_str().unwrap().to_owned();
            runs.insert(object["name"].as_str().unwrap().to_owned(), (run, events));
        }
        assert_eq!(runs.len(), names.len(), "{}", ended.story());
        Some(Self { place, runs })
    }

    fn events(&self, name: &str) -> &[Envelope] {
        &self.runs[name].1
    }

    fn raw(&self, name: &str, task: &str) -> &RawData {
        let ended = self
            .events(name)
            .iter()
            .find_map(|envelope| match &envelope.event {
                Event::Ended {
                    task: ended,
                    raw: Some(raw),
                    ..
                } if ended == task => Some(raw),
                _ => None,
            });
        ended.unwrap_or_else(|| panic!("{name} has no raw data of {task}"))
    }

    /// What the last command of a task did.
    fn effect(&self, name: &str, task: &str) -> &Effect {
        let ran = self
            .events(name)
            .iter()
            .rev()
            .find_map(|envelope| match &envelope.event {
                Event::Ran { task: ran, effect } if ran == task => Some(effect),
                _ => None,
            });
        ran.unwrap_or_else(|| panic!("{name} ran nothing in {task}"))
    }

    fn changes(&self, name: &str, task: &str) -> Vec<(Changed, String)> {
        let changed = self
            .events(name)
            .iter()
            .filter_map(|envelope| match &envelope.event {
                Event::Changed {
                    task: changed,
                    changes,
                } if changed == task => Some(changes),
                _ => None,
            });
        changed
            .flatten()
            .map(|change| (change.what, change.path.lossy().into_owned()))
            .collect()
    }
}

#[test]
fn every_recording_is_whole() {
    let names = [
        "unittest-passes",
        "segfaults-in-import",
        "forks-without-end",
        "corrupt-archive",
        "hangs-in-import",
    ];
    let Some(recordings) = Recordings::of("every_recording_is_whole", &names) else {
        return;
    };
    for name in names {
        let events = recordings.events(name);
        assert!(matches!(events[0].event, Event::Began { .. }), "{name}");
        assert!(
            matches!(
                events.last().unwrap().event,
                Event::Finished { interrupted: false }
            ),
            "{name}"
        );
        for (number, envelope) in events.iter().enumerate() {
            assert_eq!(envelope.seq, number as u64, "{name}: a gap");
            // a command that a limit ends cannot tell its results to the end
            let cut = matches!(&envelope.event, Event::Lost { task: Some(task), what: Loss::Results { .. } }
                if recordings.effect(name, task).limit.is_some());
            assert!(
                cut || !matches!(envelope.event, Event::Lost { .. }),
                "{name}: {envelope:?}"
            );
        }
        assert!(
            events.windows(2).all(|two| two[0].at_us <= two[1].at_us),
            "{name}: time goes back"
        );
        let started = |task: &str| {
            events
                .iter()
                .filter(|e| matches!(&e.event, Event::Started { task: t, .. } if t == task))
                .count()
        };
        for envelope in events {
            if let Event::Ended { task, result, .. } = &envelope.event {
                let ran = *result != pyti_model::outcome::TaskResult::Skipped;
                assert!(started(task) > 0 || !ran, "{name}: {task} ended and never began");
            }
        }
    }
}

#[test]
fn names_and_addresses_that_were_asked_for() {
    let names = ["asks-network", "uses-loopback"];
    let Some(recordings) = Recordings::of("names_and_addresses_that_were_asked_for", &names) else {
        return;
    };
    let contacts = &recordings.effect("asks-network", "import").contacts;
    let asked = contacts.iter().any(|contact| {
        matches!(contact, Contact::Name { name, .. } if name.lossy() == "collector.example.invalid")
    });
    let sent = contacts.iter().any(|contact| {
        matches!(contact, Contact::Address { address, port: Some(4444), protocol, .. }
            if address == "192.0.2.7" && protocol == "udp")
    });
    assert!(asked && sent, "{contacts:?}");
    let contacts = &recordings.effect("uses-loopback", "import").contacts;
    assert!(contacts.is_empty(), "{contacts:?}");
}

#[test]
fn processes_that_outlive_their_parent() {
    let names = ["leaves-survivor", "double-forks", "forks-a-few"];
    let Some(recordings) = Recordings::of("processes_that_outlive_their_parent", &names) else {
        return;
    };
    let survivors = &recordings.effect("leaves-survivor", "import").survivors;
    let argv: Vec<_> = survivors
        .iter()
        .flat_map(|s| &s.argv)
        .map(pyti_model::Foreign::lossy)
        .collect();
    assert!(
        survivors.len() == 1 && argv.join(" ").ends_with("sleep 600"),
        "{survivors:?}"
    );
    let survivors = &recordings.effect("double-forks", "import").survivors;
    assert!(
        survivors.len() == 1 && !survivors[0].ended_by_itself,
        "{survivors:?}"
    );
    assert!(recordings.effect("forks-a-few", "import").survivors.is_empty());
}

#[test]
fn files_and_output() {
    let names = [
        "writes-outside",
        "no-tests",
        "prints-escapes",
        "floods-output",
        "segfaults-in-import",
    ];
    let Some(recordings) = Recordings::of("files_and_output", &names) else {
        return;
    };
    let wrote = (Changed::Added, "/home/dev/.writes-outside".to_owned());
    let changes = recordings.changes("writes-outside", "import");
    assert!(changes.contains(&wrote), "{changes:?}");
    let changes = recordings.changes("no-tests", "import");
    // byte code is the interpreter's doing
    assert!(
        changes
            .iter()
            .all(|(_, path)| path.contains("site-packages/__pycache__")),
        "{changes:?}"
    );
    let stdout = &recordings.effect("prints-escapes", "import").stdout;
    let printed = b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \xff\xfe\x00 \xe2\x80\xaetxt.exe\r\n";
    assert!(
        stdout
            .head
            .as_bytes()
            .windows(printed.len())
            .any(|part| part == printed),
        "{stdout:?}"
    );
    let stdout = &recordings.effect("floods-output", "import").stdout;
    assert!(
        !stdout.head.is_empty() && !stdout.tail.is_empty() && stdout.dropped() > 0,
        "{} bytes",
        stdout.total
    );
    let stderr = recordings.effect("segfaults-in-import", "import").stderr.text();
    assert!(
        stderr.contains("Fatal Python error: Segmentation fault"),
        "{stderr}"
    );
    // the page shows it as text and lets nothing of it out
    let page = recordings
        .place
        .ends(["report", &recordings.runs["prints-escapes"].0, "--html"])
        .code(0)
        .stdout;
    assert!(
        !page.contains("<script>alert(1)"),
        "the page runs what the package printed"
    );
    assert!(
        page.contains("alert(1)"),
        "the page does not show what the package printed"
    );
}

#[test]
fn entries_that_were_refused() {
    let names = [
        "duplicate-names",
        "traversal-archive",
        "device-archive",
        "only-an-sdist",
    ];
    let Some(recordings) = Recordings::of("entries_that_were_refused", &names) else {
        return;
    };
    for name in names {
        let RawData::Unpack(raw) = recordings.raw(name, "unpack") else {
            panic!("{name}")
        };
        assert_eq!(raw.refused_total == 0, name == "only-an-sdist", "{name}: {raw:?}");
        assert!(
            raw.refused.iter().all(|entry| !entry.why.is_empty()),
            "{name}: {raw:?}"
        );
    }
}

#[test]
fn builds_and_what_they_call() {
    let names = [
        "builds-c-extension",
        "missing-header",
        "dynamic-requires",
        "in-tree-backend",
        "deliberate-error",
    ];
    let mut all = names.to_vec();
    all.push("build-helper");
    let Some(recordings) = Recordings::of("builds_and_what_they_call", &all) else {
        return;
    };
    let calls = |name: &str| match recordings.raw(name, "build") {
        RawData::Build(raw) => raw.compiler_calls.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let good = calls("builds-c-extension");
    assert!(
        good.len() >= 2 && good.iter().all(|call| call.exit == 0 && call.wall_s > 0.0),
        "{good:?}"
    );
    let bad = calls("missing-header");
    assert!(
        bad.iter().any(|call| call.exit != 0 && !call.said.is_empty()),
        "{bad:?}"
    );
    assert!(calls("in-tree-backend").is_empty());
    let asks = |name: &str| match recordings.raw(name, "requires") {
        RawData::Hook(hook) => hook
            .requires
            .iter()
            .map(|line| line.lossy().into_owned())
            .collect::<Vec<_>>(),
        other => panic!("{name}: {other:?}"),
    };
    assert!(
        asks("dynamic-requires")
            .iter()
            .any(|line| line.contains("build-helper"))
    );
    assert!(asks("in-tree-backend").is_empty());
    let RawData::Inspect(inspection) = recordings.raw("deliberate-error", "inspect") else {
        panic!()
    };
    assert!(inspection.advice.is_some());
    let RawData::Inspect(inspection) = recordings.raw("builds-c-extension", "inspect") else {
        panic!()
    };
    assert!(inspection.advice.is_none());
}

#[test]
fn what_starts_with_the_interpreter() {
    let names = ["pth-runs-code", "pth-names-folder"];
    let Some(recordings) = Recordings::of("what_starts_with_the_interpreter", &names) else {
        return;
    };
    for (name, runs) in [("pth-runs-code", true), ("pth-names-folder", false)] {
        let RawData::Install(install) = recordings.raw(name, "install") else {
            panic!("{name}")
        };
        assert_eq!(!install.executable_pth.is_empty(), runs, "{name}: {install:?}");
        let RawData::Start(start) = recordings.raw(name, "start") else {
            panic!("{name}")
        };
        assert_eq!(!start.new_modules.is_empty(), runs, "{name}: {start:?}");
    }
}

#[test]
fn tests_that_end_too_early_are_not_finished() {
    let names = ["exits-zero-early", "unittest-passes"];
    let Some(recordings) = Recordings::of("tests_that_end_too_early_are_not_finished", &names) else {
        return;
    };
    for (name, finished) in [("exits-zero-early", false), ("unittest-passes", true)] {
        let RawData::Test(test) = recordings.raw(name, "test") else {
            panic!("{name}")
        };
        assert_eq!(test.finished, finished, "{name}: {test:?}");
    }
}
