//! How findings become a verdict, how baselines are subtracted, and what hostile text becomes.

use pyti_model::effect::{Changed, Limit};
use pyti_model::event::Event;
use pyti_model::finding::Severity;
use pyti_model::outcome::Verdict;
use pyti_model::raw::{Install, Start};
use pyti_model::trace::{Deed, Endpoint, Origin, Result, Transport};

use super::super::{Baseline, Phase, RuleSet, difference, explain, judge_safety};
use super::world::World;

#[test]
fn two_high_of_different_families_are_harmful_in_one_branch_only() {
    // evasion and access, one process
    let one = World::of("import")
        .read("/home/dev/.ssh/id_rsa")
        .does(Deed::Ptrace {
            request: "traceme".into(),
            target: 0,
        });
    assert_eq!(one.judge().verdict, Verdict::Harmful);
    // the same family twice stays suspicious
    let same = World::of("import")
        .read("/home/dev/.ssh/id_rsa")
        .unix("/run/docker.sock");
    assert_eq!(same.judge().verdict, Verdict::Suspicious);
    // in two commands they have nothing to do with each other
    let two = World::of("install")
        .spawn()
        .read("/home/dev/.ssh/id_rsa")
        .task("import")
        .does(Deed::Ptrace {
            request: "traceme".into(),
            target: 0,
        });
    assert_eq!(two.judge().verdict, Verdict::Suspicious);
    // under an installer, children of the installer are apart, unless they descend from each other
    let children = |second_of: u32| {
        World::of("install")
            .spawn()
            .read("/home/dev/.ssh/id_rsa")
            .process(second_of)
            .spawn()
            .does(Deed::Ptrace {
                request: "traceme".into(),
                target: 0,
            })
            .judge()
            .verdict
    };
    assert_eq!(children(0), Verdict::Suspicious);
    assert_eq!(children(1), Verdict::Harmful);
}

#[test]
fn what_is_weak_adds_up_to_notable_and_never_to_more() {
    let low = World::of("import").read("/proc/self/environ");
    assert_eq!(low.judge().verdict, Verdict::Clean);
    assert_eq!(low.judge().findings.len(), 1);
    let two = low.resolves("a.example");
    assert_eq!(two.judge().verdict, Verdict::Notable);
    let many = two
        .read("/proc/99/environ")
        .resolves("ipinfo.io")
        .runs("sudo -n true")
        .unix("/run/user/1000/bus");
    assert_eq!(many.judge().verdict, Verdict::Notable);
}

#[test]
fn tests_weigh_least() {
    let of = |task: &str| World::of(task).write("/home/dev/.bashrc").judge();
    assert_eq!(of("import").verdict, Verdict::Harmful);
    let test = of("test");
    assert_eq!(
        (test.verdict, test.findings[0].severity),
        (Verdict::Notable, Severity::Medium)
    );
    // what leaves weighs the same everywhere
    let sent = World::of("test")
        .asks("POST", "a.example", "/", "x")
        .with_secret("env.GITHUB_TOKEN");
    assert_eq!(sent.judge().verdict, Verdict::Harmful);
}

#[test]
fn a_task_of_an_unknown_name_is_judged_like_an_import() {
    let judgement = World::of("another").write("/home/dev/.bashrc").judge();
    assert_eq!(judgement.verdict, Verdict::Harmful);
    assert!(
        judgement.findings[0]
            .sentence
            .starts_with("While it was worked on, ")
    );
}

#[test]
fn the_harness_itself_is_no_act_of_the_package() {
    let own = |argv: &str| World::of("build").executes("/home/dev/venv/bin/python", argv, Origin::Layer, &[]);
    // the effect's own arguments are `python -m probe`
    assert_eq!(own("python -m probe").comes_to().1, Vec::<String>::new());
    assert_eq!(own("python -m pip install x").comes_to().1, ["installs-more"]);
    // only the first time, and only the command's own process
    let again = own("python -m probe").runs("python -m pip install x");
    assert_eq!(again.comes_to().1, ["installs-more"]);
}

#[test]
fn an_empty_package_is_subtracted_but_nothing_that_is_written_or_sent() {
    let noise = |world: World| {
        world
            .read("/sys/class/dmi/id/product_name")
            .spawn()
            .runs("xclip -o")
            .runs("xclip -o")
            .runs("xclip -o")
            .runs("xclip -o")
            .process(0)
            .write("/home/dev/.bashrc")
    };
    let baseline = Baseline::from_record(&noise(World::of("import")).record());
    assert!(!baseline.is_empty());
    let judge = |world: World| {
        let judgement = judge_safety(&world.record(), RuleSet::built_in(), &[], Some(&baseline));
        let mut rules: Vec<String> = judgement
            .findings
            .into_iter()
            .map(|finding| finding.rule)
            .collect();
        rules.sort();
        rules
    };
    assert_eq!(judge(noise(World::of("import"))), ["shell-startup-written"]);
    // only in the same phase
    assert_eq!(
        judge(noise(World::of("start"))).len(),
        noise(World::of("start")).judge().findings.len()
    );
    let json = serde_json::to_string(&baseline).unwrap();
    assert_eq!(serde_json::from_str::<Baseline>(&json).unwrap(), baseline);
    assert_eq!(baseline.clone().merge(Baseline::default()), baseline);
}

#[test]
fn numbers_and_random_names_make_no_difference_to_a_baseline() {
    let before = World::of("build").runs("gcc -o /tmp/tmpa8x_92kd/x1 -DV=1.2.3");
    let now = World::of("build").runs("gcc -o /tmp/tmpq0000000/x77 -DV=1.10.0");
    let baseline = Baseline::from_record(&before.record());
    assert_eq!(baseline.len(), 1);
    assert_eq!(Baseline::from_record(&now.record()), baseline);
}

#[test]
fn two_releases_are_compared_by_what_they_did() {
    let before = World::of("import")
        .read("/etc/hosts")
        .resolves("a.example")
        .task("start");
    let now = World::of("import")
        .read("/etc/hosts")
        .resolves("b.example")
        .task("exercise")
        .runs("id");
    let difference = difference(&now.record(), &before.record());
    let added: Vec<&str> = difference.added.iter().map(|line| line.text.as_str()).collect();
    let gone: Vec<&str> = difference.gone.iter().map(|line| line.text.as_str()).collect();
    // the exercise was not there before, so nobody knows what the older release would have done in it
    assert_eq!(added, ["python asked for the name b.example"]);
    assert_eq!(gone, ["python asked for the name a.example"]);
    assert_eq!(difference.added[0].phase, Phase::Import);
    assert_eq!(difference.added[0].events.len(), 1);
}

#[test]
fn hostile_text_is_made_visible_cut_and_never_a_template() {
    let name = format!(
        "/home/dev/.vscode/{{2.host}}\u{1b}[2J\u{202e}<script>\n{}",
        "x".repeat(4000)
    );
    let world = World::of("import").write(&name);
    let judgement = world.judge();
    let sentence = &judgement.findings[0].sentence;
    assert!(
        sentence.contains("{2.host}\\u{1b}[2J\\u{202e}<script>\\n"),
        "{sentence}"
    );
    assert!(sentence.chars().count() < 300);
    let told = explain(&world.record(), RuleSet::built_in(), &judgement.findings[0]);
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'));
    assert!(told.contains("What it means:"));
}

#[test]
fn names_that_look_like_ours_are_not_ours() {
    for path in ["~/.bashrc", "{site}/x.pth", "{tmp}/x", "home/dev/.bashrc"] {
        assert_eq!(
            World::of("import").write(path).judge().verdict,
            Verdict::Clean,
            "{path}"
        );
    }
    for path in [
        "/home/dev/x/../.bashrc",
        "//home//dev/./.bashrc",
        "/proc/self/root/home/dev/.bashrc",
        "/root/.bashrc",
    ] {
        assert_eq!(
            World::of("import").write(path).judge().verdict,
            Verdict::Harmful,
            "{path}"
        );
    }
}

#[test]
fn what_an_earlier_attempt_changed_is_judged_too() {
    let mut events = World::of("build")
        .changes("/home/dev/.bashrc", Changed::Modified, 10)
        .events();
    let again = pyti_model::event::Event::Started {
        task: "build".into(),
        attempt: 2,
    };
    let at = events.len() - 1;
    events[at].event = again;
    let record = crate::record::fold(events);
    assert!(record.tasks[0].changes.is_empty());
    let judgement = judge_safety(&record, RuleSet::built_in(), &[], None);
    assert_eq!(judgement.verdict, Verdict::Harmful);
    assert_eq!(
        judgement.findings[0].sentence,
        "While it was built, a process changed /home/dev/.bashrc, which every new shell of this user runs."
    );
}

#[test]
fn findings_are_heaviest_first_and_name_their_places() {
    let world = World::of("import")
        .read("/proc/99/environ")
        .write("/home/dev/.bashrc")
        .read("/home/dev/.ssh/id_rsa");
    let judgement = world.judge();
    let severities: Vec<Severity> = judgement
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(judgement.findings[0].events[0].to_string(), "5.1");
}

#[test]
fn a_home_of_another_name_is_found_by_its_decoys() {
    let mut world = World::of("import").write("/home/anna/.bashrc");
    assert_eq!(world.judge().verdict, Verdict::Clean);
    world.decoys.truncate(1);
    world.decoys[0].place = pyti_model::trace::DecoyPlace::File("/home/anna/.aws/credentials".into());
    assert_eq!(world.judge().verdict, Verdict::Harmful);
}

#[test]
fn the_boxs_own_resolver_is_nobody_and_names_are_told() {
    let quiet = World::of("import")
        .read("/home/dev/.aws/credentials")
        .connects("10.0.2.2", 53)
        .does(Deed::Send {
            to: Endpoint::Other("family 16".into()),
        })
        .does(Deed::Connect {
            to: Endpoint::Ip {
                address: "192.0.2.1".parse().unwrap(),
                port: 443,
            },
            transport: Transport::Udp,
        });
    assert_eq!(quiet.comes_to().1, ["decoy-read"]);
    let told = quiet
        .connects("192.0.2.9", 443)
        .talks("http", "192.0.2.9", 443, "a.example", "GET", "/", "")
        .judge();
    let finding = told
        .findings
        .iter()
        .find(|finding| finding.rule == "decoy-read-then-contact")
        .unwrap();
    assert!(
        finding.sentence.contains("contacted a.example ("),
        "{}",
        finding.sentence
    );
}

#[test]
fn who_says_localhost_is_not_let_off() {
    let world = World::of("import").talks("http", "192.0.2.9", 80, "localhost", "GET", "/", "");
    assert_eq!(world.comes_to().1, ["somebody-contacted"]);
    let many = (0..30_u8).fold(World::of("import"), |world, n| {
        let address = format!("192.0.2.{n}");
        world
            .connects(&address, 80)
            .talks("http", &address, 80, "one.example", "GET", "/", "")
    });
    assert!(many.comes_to().1.contains(&"network-scanned".to_owned()));
}

#[test]
fn who_only_tries_to_be_ssh_is_not_ssh() {
    let ssh = |result: Result| {
        World::of("import")
            .spawn()
            .tries(
                Deed::Execute {
                    path: "/usr/bin/ssh".into(),
                    argv: vec!["ssh".into(), "-V".into()],
                    argv_dropped: 0,
                    cwd: "/".into(),
                    variables: Vec::new(),
                    origin: Origin::System,
                    sockets: Vec::new(),
                },
                result,
            )
            .read("/home/dev/.ssh/id_rsa")
            .comes_to()
            .1
    };
    assert!(!ssh(Result::Done).contains(&"ssh-keys-read".to_owned()));
    for result in [
        Result::Attempted,
        Result::Failed("EACCES".into()),
        Result::Refused,
    ] {
        assert!(ssh(result).contains(&"ssh-keys-read".to_owned()));
    }
}

#[test]
fn a_mail_server_is_greeted_with_the_machines_name() {
    let world = World::of("import")
        .talks("smtp", "192.0.2.38", 587, "", "EHLO", "workstation", "")
        .with_secret("machine.host");
    assert_eq!(world.comes_to().1, ["mail-sent"]);
}

/// The same command, run again on a network that does not answer: what it did in one run has nothing to do with the other,
/// and it is as idle as in the shorter.
#[test]
fn two_runs_of_a_command_are_apart() {
    let with_second = |first: &World, second: &World, task: &str| {
        let mut events = first.events();
        let at = events
            .iter()
            .position(|event| matches!(event.event, Event::Changed { .. }))
            .unwrap();
        let more = second.events().into_iter().filter(|event| {
            matches!(&event.event, Event::Ran { task: of, .. } | Event::Traced { task: of, .. } if of == task)
        });
        let more: Vec<_> = more.collect();
        events.splice(at..at, more);
        for (seq, event) in (0..).zip(&mut events) {
            event.seq = seq;
        }
        judge_safety(&crate::record::fold(events), RuleSet::built_in(), &[], None)
    };
    let reads = World::of("import").read("/home/dev/.aws/credentials");
    let calls = World::of("import").connects("192.0.2.1", 443);
    let apart = with_second(&reads, &calls, "import");
    assert!(
        apart
            .findings
            .iter()
            .all(|finding| finding.rule != "decoy-read-then-contact")
    );
    let slow = World::of("import").costs(60.0, 0.1);
    let quick = World::of("import").costs(2.0, 0.1);
    assert_eq!(with_second(&slow, &quick, "import").verdict, Verdict::Clean);
    assert_eq!(with_second(&slow, &slow, "import").verdict, Verdict::Notable);
    let cut = World::of("import").limit(Limit::Inactivity);
    assert_eq!(with_second(&quick, &cut, "import").verdict, Verdict::Clean);
    assert_eq!(with_second(&cut, &cut, "import").verdict, Verdict::Inconclusive);
}

#[test]
fn a_fork_is_told_by_its_parents_program_and_the_more_telling_comes_first() {
    let world = World::of("import")
        .spawn()
        .read("/home/dev/.aws/credentials")
        .asks("POST", "collector.example", "/", "x")
        .with_secret("aws.credentials");
    let judgement = world.judge();
    let rules: Vec<&str> = judgement
        .findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .take(2)
        .collect();
    assert_eq!(rules, ["decoy-sent", "decoy-read-then-contact"]);
    assert!(
        judgement.findings[0].sentence.contains(", python sent "),
        "{}",
        judgement.findings[0].sentence
    );
}

#[test]
fn another_name_hides_nothing() {
    let link = |path: &str, to: &str| Deed::Link {
        path: path.into(),
        to: to.into(),
        symbolic: true,
    };
    let by_link = World::of("import")
        .does(link("/tmp/s", "/home/dev/.ssh"))
        .read("/tmp/s/id_rsa");
    assert_eq!(by_link.comes_to().1, ["decoy-read", "ssh-keys-read"]);
    let moved = World::of("import")
        .rename("/home/dev/.aws/credentials", "/tmp/x")
        .read("/tmp/x");
    assert!(moved.comes_to().1.contains(&"decoy-read".to_owned()));
    // nor does a link from what is watched to what is not
    let away = World::of("import")
        .does(link("/home/dev/.bashrc", "/tmp/b"))
        .write("/home/dev/.bashrc");
    assert_eq!(away.comes_to().1, ["shell-startup-written"]);
    let harmless = World::of("import")
        .does(link("/tmp/s", "/home/dev/src"))
        .read("/tmp/s/a.py");
    assert_eq!(harmless.judge().verdict, Verdict::Clean);
}

#[test]
fn known_path_files_are_known_by_the_names_that_installations_give() {
    let site = "/home/dev/venv/lib/python3.13/site-packages";
    let text = "import __editable___sample_finder; __editable___sample_finder.install()\n";
    let comes_to = |held: &str| {
        World::of("install")
            .installs(Install {
                executable_pth: vec!["sample.pth".into()],
                ..Install::default()
            })
            .holds(held, text)
            .task("start")
            .starts(Start {
                new_modules: vec!["__editable___sample_finder".into()],
                ..Start::default()
            })
            .judge()
            .verdict
    };
    assert_eq!(comes_to(&format!("{site}/sample.pth")), Verdict::Clean);
    assert_eq!(comes_to("/tmp/sample.pth"), Verdict::Notable);
    assert_eq!(comes_to(&format!("{site}/other/sample.pth")), Verdict::Notable);
}
