//! Exit codes, their precedence, and what signals leave: nothing but the recording.

mod support;

use std::process::Stdio;

use pyti_fixtures::{Fault, Faults, LocalIndex};
use rustix::process::Signal;
use support::{Place, fixtures, leftovers, reasons, run_arguments};

/// One target for each code, in the order of precedence from low to high; each code is that of all before it too.
#[test]
fn each_code_and_the_worst_of_several() {
    let Some(place) = Place::new("each_code_and_the_worst_of_several") else {
        return;
    };
    let names = [
        "no-tests",
        "plain-backend",
        "corrupt-archive",
        "imports-fail",
        "fills-some-memory",
    ];
    let faults = Faults::none().on(
        "/simple/fills-some-memory/",
        Fault::Status {
            code: 500,
            times: u32::MAX,
        },
    );
    let index = LocalIndex::start(fixtures(&names), faults).unwrap();
    let run = |targets: &[&str]| {
        let options = ["--only", "sdist"];
        place.run(&index, options.iter().chain(targets))
    };
    run(&["no-tests"]).code(0);
    run(&["corrupt-archive"]).code(4);
    run(&["corrupt-archive", "no-tests"]).code(0);
    run(&["imports-fail"]).code(1);
    let ended = run(&["imports-fail", "corrupt-archive", "no-tests"]).code(1);
    assert_eq!(ended.objects().len(), 3);
    let ended = run(&["imports-fail", "fills-some-memory", "corrupt-archive"]).code(5);
    let statuses: std::collections::BTreeSet<_> = ended
        .objects()
        .iter()
        .map(|o| o["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        statuses,
        ["broken", "error", "fail"].map(str::to_owned).into(),
        "{}",
        ended.story()
    );
}

#[test]
fn wrong_use_is_two_and_says_what_is_wrong() {
    let place = Place::bare();
    let refused: [(&[&str], &str); 9] = [
        (&["run"], "TARGETS"),
        (&["run", "--no-such-option", "six"], "--no-such-option"),
        (&["run", "a b c!"], "a b c!"),
        (&["run", "--python", "3.99", "six"], "3.99"),
        (&["run", "--env", "NAME", "six"], "NAME=VALUE"),
        (&["run", "--memory", "much", "six"], "much"),
        (&["run", "--only", "egg", "six"], "egg"),
        (&["report", "ffff"], "ffff"),
        (&["get", "ffff", "nothing"], "nothing"),
    ];
    for (arguments, word) in refused {
        let ended = place.ends(arguments).code(2);
        assert!(ended.stderr.contains(word), "{}", ended.story());
        assert_eq!(ended.stdout, "", "{}", ended.story());
    }
    for fine in [&["--help"][..], &["run", "--help"], &["--version"], &["runs"]] {
        place.ends(fine).code(0);
    }
}

/// Where user namespaces are switched off, nothing is run outside a box.
#[test]
fn without_a_box_it_is_five_and_nothing_runs() {
    let Some(place) = Place::new("without_a_box_it_is_five_and_nothing_runs") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["writes-outside"]), Faults::none()).unwrap();
    let locked = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let plain = place.pyti(run_arguments(&index, ["writes-outside"]));
    let mut command = std::process::Command::new("unshare");
    command
        .args([
            "--user",
            "--map-user=1000",
            "--map-group=1000",
            "--keep-caps",
            "sh",
            "-c",
            locked,
            "sh",
        ])
        .arg(plain.get_program());
    command.args(plain.get_args()).current_dir(place.work());
    command
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let child = leftovers::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    leftovers::none(id, "without a box", place.path());
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    if err.contains("unshare: ") || err.contains("max_user_namespaces: ") {
        support::skipped("without_a_box_it_is_five_and_nothing_runs", &err);
        return;
    }
    assert_eq!(output.status.code(), Some(5), "{out}\n{err}");
    assert!(err.contains("namespace"), "{err}");
    assert!(!place.path().join("home/.writes-outside").exists());
    place.run(&index, ["writes-outside"]).code(0);
    assert!(
        !place.path().join("home/.writes-outside").exists(),
        "a box has a home of its own"
    );
}

#[test]
fn an_interruption_is_130_and_keeps_what_was_recorded() {
    let Some(place) = Place::new("an_interruption_is_130_and_keeps_what_was_recorded") else {
        return;
    };
    let index = LocalIndex::start(
        fixtures(&["hangs-in-import", "plain-backend", "no-tests"]),
        Faults::none(),
    )
    .unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let running = place.start_until(&run_arguments(&index, ["hangs-in-import"]), "install: success");
        running.signal(signal);
        let ended = place.wait_for(running).code(130);
        let object = ended.object();
        assert!(
            reasons(&object).contains(&"interrupted".to_owned()),
            "{}",
            ended.story()
        );
        let listed = place.ends(["log", "last"]).code(0).stdout;
        assert!(listed.contains("wheel/install"), "{listed}");
    }
    // nobody who was not interrupted says so
    let ended = place.run(&index, ["no-tests"]).code(0);
    assert!(!reasons(&ended.object()).contains(&"interrupted".to_owned()));
}

#[test]
fn an_interruption_outranks_a_failure() {
    let Some(place) = Place::new("an_interruption_outranks_a_failure") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["hangs-in-import", "imports-fail"]), Faults::none()).unwrap();
    let arguments = run_arguments(
        &index,
        [
            "--only",
            "wheel",
            "--jobs",
            "1",
            "imports-fail",
            "hangs-in-import",
        ],
    );
    let running = place.start_until(&arguments, "hangs-in-import wheel install: success");
    running.signal(Signal::INT);
    let ended = place.wait_for(running).code(130);
    assert_eq!(ended.objects().len(), 2, "{}", ended.story());
}

/// Nobody cleans up after SIGKILL, so everything must end by itself.
#[test]
fn a_killed_pyti_leaves_nothing_and_its_recording_can_be_read() {
    let Some(mut place) = Place::new("a_killed_pyti_leaves_nothing_and_its_recording_can_be_read") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["hangs-in-import", "plain-backend"]), Faults::none()).unwrap();
    let running = place.start_until(&run_arguments(&index, ["hangs-in-import"]), "install: success");
    place.may_leave_scratch = true;
    running.signal(Signal::KILL);
    place.wait_for(running).code(128 + 9);
    let listed = place.ends(["runs"]).code(0).stdout;
    assert!(listed.contains("hangs-in-import"), "{listed}");
}
