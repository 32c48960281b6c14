//! What holds for every recording.

use std::collections::BTreeSet;
use std::io::Write as _;

use proptest::prelude::*;
use pyti_model::Foreign;
use pyti_model::effect::{Captured, Limit, Loss};
use pyti_model::outcome::Verdict;
use pyti_model::trace::{
    Access, Act, Conversation, DecoyUse, Deed, Endpoint, Exchange, Form, Origin, Process, Result, Trace,
    Transport,
};

use super::super::{Baseline, RuleSet, difference, explain, judge_safety};
use super::world::World;

/// Worse is more.
fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotJudged => 0,
        Verdict::Clean => 1,
        Verdict::Notable => 2,
        Verdict::Inconclusive => 3,
        Verdict::Suspicious => 4,
        Verdict::Harmful => 5,
    }
}

const PHASES: [&str; 9] = [
    "requires", "build", "install", "start", "import", "scripts", "exercise", "test", "another",
];

fn hostile_text() -> impl Strategy<Value = Foreign> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Foreign::new),
        prop::sample::select(vec![
            "",
            "/",
            "//",
            "/..",
            "{site}/x.pth",
            "{2.host}",
            "~/.bashrc",
            "\u{202e}gpj",
            "\u{1b}[2J",
            "<script>alert(1)</script>",
            "/home/dev/../../etc/shadow",
            "/proc/self/root/home/dev/.ssh/id_rsa",
            "/proc/99999999999999999999/mem",
            "/home/dev",
        ])
        .prop_map(Foreign::from),
        paths(),
        (0_usize..5000).prop_map(|long| Foreign::from("/a.".repeat(long / 3))),
    ]
}

fn paths() -> impl Strategy<Value = Foreign> {
    prop::sample::select(vec![
        "/home/dev/.aws/credentials",
        "/home/dev/.ssh/id_rsa",
        "/home/dev/.bashrc",
        "/tmp/x",
        "/tmp/y",
        "/etc/cron.d/x",
        "/etc/hosts",
        "/home/dev/venv/lib/python3.13/site-packages/sample/__init__.py",
        "/home/dev/venv/lib/python3.13/site-packages/x.pth",
        "/usr/bin/curl",
        "/usr/bin/ssh",
        "/bin/sh",
        "/proc/77/mem",
        "/proc/2/environ",
        "/dev/shm/a",
        "/home/dev/.netrc",
        "/usr/bin/gcc",
        "/home/dev/a/1",
        "/home/dev/a/2",
        "/home/dev/a/3",
        "/home/dev/a/4",
        "/home/dev/a/5",
        "/sys/class/dmi/id/product_name",
        "/proc/uptime",
    ])
    .prop_map(Foreign::from)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(address, port)| Endpoint::Ip {
            address: std::net::Ipv4Addr::from(address).into(),
            port
        }),
        (any::<u128>(), any::<u16>()).prop_map(|(address, port)| Endpoint::Ip {
            address: std::net::Ipv6Addr::from(address).into(),
            port
        }),
        hostile_text().prop_map(Endpoint::Unix),
        Just(Endpoint::Other("packet".into())),
    ]
}

fn captured() -> impl Strategy<Value = Captured> {
    (hostile_text(), any::<u64>()).prop_map(|(head, total)| Captured {
        head,
        tail: Foreign::default(),
        total,
    })
}

fn conversation() -> impl Strategy<Value = Deed> {
    let hosts = prop_oneof![
        hostile_text(),
        prop::sample::select(vec!["discord.com:443", "a.example", "localhost", "ipinfo.io"])
            .prop_map(Foreign::from)
    ];
    (hosts, hostile_text(), captured(), any::<u32>(), any::<u16>()).prop_map(
        |(host, target, sent, address, port)| {
            Deed::Converse(Box::new(Conversation {
                transport: Transport::Tcp,
                address: std::net::Ipv4Addr::from(address).into(),
                port,
                host: Some(host.clone()),
                language: "http".into(),
                tls: None,
                exchanges: vec![Exchange {
                    verb: "POST".into(),
                    target,
                    host: Some(host),
                    headers: Vec::new(),
                    body: sent.clone(),
                    answer: String::new(),
                }],
                sent,
                answered: 0,
                lasted_us: 0,
            }))
        },
    )
}

fn decoy_use() -> impl Strategy<Value = DecoyUse> {
    prop_oneof![
        hostile_text().prop_map(|path| DecoyUse::Read { path }),
        any::<u32>().prop_map(|act| DecoyUse::Sent {
            encoding: "hex".into(),
            act: act % 80
        }),
        any::<u32>().prop_map(|act| DecoyUse::Argument {
            encoding: "raw".into(),
            act: act % 80
        }),
        hostile_text().prop_map(|path| DecoyUse::Written {
            encoding: "raw".into(),
            path
        }),
        Just(DecoyUse::Printed {
            encoding: "raw".into()
        }),
    ]
}

fn quiet_deed() -> impl Strategy<Value = Deed> {
    let access = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(read, write, folder, truncate)| Access {
            read,
            write,
            folder,
            truncate,
            ..Access::default()
        },
    );
    let words = prop::sample::select(vec![
        "traceme",
        "attach",
        "prctl set_name",
        "mount",
        "finit_module",
        "setuid",
        "exec",
    ]);
    let id = prop_oneof![
        Just("aws.credentials".to_owned()),
        Just("machine.host".to_owned()),
        Just("no such decoy".to_owned())
    ];
    prop_oneof![
        (hostile_text(), access).prop_map(|(path, access)| Deed::Open { path, access }),
        hostile_text().prop_map(|path| Deed::Look { path }),
        hostile_text().prop_map(|path| Deed::List { path }),
        (hostile_text(), hostile_text()).prop_map(|(from, to)| Deed::Rename { from, to }),
        hostile_text().prop_map(|path| Deed::Remove { path, folder: false }),
        hostile_text().prop_map(|path| Deed::Truncate { path }),
        (hostile_text(), any::<u32>()).prop_map(|(path, mode)| Deed::Mode { path, mode }),
        hostile_text().prop_map(|name| Deed::Memory { name }),
        (words.clone(), any::<i32>()).prop_map(|(request, target)| Deed::Ptrace {
            request: request.into(),
            target
        }),
        (any::<i32>(), any::<bool>()).prop_map(|(target, write)| Deed::ForeignMemory { target, write }),
        (any::<i32>(), any::<i32>()).prop_map(|(target, signal)| Deed::Signal { target, signal }),
        (words.clone(), hostile_text()).prop_map(|(call, text)| Deed::Become {
            call: call.into(),
            text
        }),
        words
            .clone()
            .prop_map(|call| Deed::Forbidden { call: call.into() }),
        words.clone().prop_map(|call| Deed::Inquire { call: call.into() }),
        endpoint().prop_map(|to| Deed::Bind { to }),
        prop::option::of(endpoint()).prop_map(|at| Deed::Listen { at }),
        endpoint().prop_map(|to| Deed::Connect {
            to,
            transport: Transport::Tcp
        }),
        endpoint().prop_map(|to| Deed::Send { to }),
        hostile_text().prop_map(|name| Deed::Resolve {
            name,
            record: "A".into(),
            answer: Vec::new()
        }),
        conversation(),
        endpoint().prop_map(|to| Deed::Packet {
            to,
            protocol: "icmp".into()
        }),
        (id, decoy_use()).prop_map(|(decoy, used)| Deed::Decoy { decoy, used }),
        (words, hostile_text()).prop_map(|(name, text)| Deed::Audit {
            name: name.into(),
            text
        }),
        Just(Deed::Unknown),
    ]
}

fn execution() -> impl Strategy<Value = Deed> {
    let origin = prop::sample::select(vec![
        Origin::System,
        Origin::Layer,
        Origin::Written,
        Origin::Nameless,
        Origin::Unknown,
    ]);
    (
        hostile_text(),
        prop::collection::vec(hostile_text(), 0..5),
        origin,
        prop::collection::vec(0_u8..3, 0..2),
    )
        .prop_map(|(path, argv, origin, sockets)| Deed::Execute {
            path,
            argv,
            argv_dropped: 0,
            cwd: "/home/dev".into(),
            variables: vec!["LD_PRELOAD".into()],
            origin,
            sockets,
        })
}

fn result() -> impl Strategy<Value = Result> {
    prop_oneof![
        Just(Result::Attempted),
        Just(Result::Done),
        Just(Result::Failed("ENOENT".into())),
        Just(Result::Refused)
    ]
}

fn act(deed: impl Strategy<Value = Deed>) -> impl Strategy<Value = Act> {
    (0_u64..50, prop::option::of(0_u32..8), result(), 0_u32..3, deed).prop_map(
        |(at_us, process, result, times, deed)| Act {
            at_us,
            process,
            result,
            times,
            deed,
        },
    )
}

fn processes() -> impl Strategy<Value = Vec<Process>> {
    prop::collection::vec((prop::option::of(0_u32..9), any::<i32>(), hostile_text()), 0..7).prop_map(|all| {
        (0..)
            .zip(all)
            .map(|(number, (parent, pid, executable))| Process {
                number,
                parent,
                pid,
                began_us: 0,
                ended: None,
                executable,
                argv: Vec::new(),
            })
            .collect()
    })
}

fn trace(most: usize) -> impl Strategy<Value = Trace> {
    let deeds = prop_oneof![4 => quiet_deed(), 1 => execution()];
    (processes(), prop::collection::vec(act(deeds), 0..most)).prop_map(|(processes, acts)| Trace {
        form: Form::Full,
        processes,
        acts,
        counts: Vec::new(),
        losses: Vec::new(),
    })
}

fn world(most: usize) -> impl Strategy<Value = World> {
    (prop::sample::select(PHASES.to_vec()), trace(most), trace(12)).prop_map(|(phase, first, second)| {
        let mut world = World::of(phase);
        *world.trace() = first;
        world = world.task("import");
        *world.trace() = second;
        world
    })
}

fn rules_of(world: &World) -> BTreeSet<String> {
    world
        .judge()
        .findings
        .into_iter()
        .map(|finding| finding.rule)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_recording_makes_it_panic_and_no_text_gets_through(world in world(40)) {
        let record = world.record();
        let rules = RuleSet::built_in();
        let baseline = Baseline::from_record(&record);
        let judgement = judge_safety(&record, rules, &[], Some(&baseline));
        prop_assert_eq!(&judgement, &judge_safety(&record, rules, &[], Some(&baseline)));
        for finding in &judgement.findings {
            let told = explain(&record, rules, finding);
            for text in [&finding.sentence, &told.replace('\n', " ")] {
                let safe = Foreign::from(text.as_str()).visible();
                prop_assert_eq!(text, &safe);
            }
            prop_assert!(finding.sentence.chars().count() < 1200);
            prop_assert!(!finding.events.is_empty());
        }
        prop_assert!(difference(&record, &record).is_empty());
        prop_assert!(rules.test(&record, "machine-checked").is_some());
    }

    /// Not only what is harmless: nothing that is added makes it better. (Who executes another program is that
    /// program from then on, so what is executed is executed by new processes.)
    #[test]
    fn nothing_that_is_added_lowers_a_verdict(
        world in world(16),
        added in prop::collection::vec((act(quiet_deed()), 0_usize..64), 0..8),
    ) {
        let before = world.judge();
        let mut more = world.clone();
        for (act, _) in added {
            // at the end of the list, at any time: places of other acts stay as they are
            more.trace().acts.push(act);
        }
        let after = more.judge();
        prop_assert!(
            weight(after.verdict) >= weight(before.verdict),
            "{:?} became {:?}: {:?} then {:?}", before.verdict, after.verdict, before.findings, after.findings
        );
    }

    #[test]
    fn harmless_bulk_hides_nothing(world in world(16), copies in 1_u32..400) {
        let before = world.judge();
        let mut more = world.clone();
        for number in 0..copies {
            more.trace().acts.push(Act {
                at_us: u64::from(number % 60),
                process: Some(number % 8),
                result: Result::Done,
                times: 1,
                deed: Deed::Open {
                    path: format!("/usr/lib/python3.13/{number}.py").into(),
                    access: Access { read: true, ..Access::default() },
                },
            });
        }
        prop_assert!(weight(more.judge().verdict) >= weight(before.verdict));
        prop_assert!(rules_of(&more).is_superset(&rules_of(&world)));
    }

    #[test]
    fn a_loss_never_makes_it_better_and_softens_nothing(world in world(16), kind in 0_u8..5) {
        let before = world.judge();
        let mut lossy = world.clone();
        match kind {
            0 => lossy.losses.push(Loss::Changes { dropped: 1 }),
            1 => lossy.losses.push(Loss::Channel { why: "x".into() }),
            2 => lossy.trace().losses.push(Loss::Notifications { why: "x".into() }),
            3 => lossy.complete = false,
            _ => lossy = lossy.limit(Limit::Memory),
        }
        let after = lossy.judge();
        prop_assert!(weight(after.verdict) >= weight(before.verdict));
        prop_assert!(weight(after.verdict) >= weight(Verdict::Inconclusive));
        prop_assert!(after.findings.len() >= before.findings.len());
        if weight(before.verdict) >= weight(Verdict::Suspicious) {
            prop_assert_eq!(after.verdict, before.verdict);
        }
    }
}

/// Thousands of processes, and rules that count, so that a search that goes through all for each would not end.
#[test]
fn thousands_of_processes_are_judged_within_a_second() {
    let mut world = World::of("test");
    for number in 0..7000_u32 {
        world = world.read(&format!("/home/dev/a{}/{number}", number % 5));
    }
    for number in 0..4000_u32 {
        world = world.process(0).spawn().read(&format!("/home/dev/b/{number}"));
    }
    let record = world.record();
    assert!(!RuleSet::built_in().rules().is_empty());
    let before = cpu_ns();
    let judgement = judge_safety(&record, RuleSet::built_in(), &[], None);
    // five folders by the harness and a sixth by each child: no branch has fourteen files more
    assert!(
        judgement
            .findings
            .iter()
            .all(|finding| finding.rule != "home-swept")
    );
    if let (Some(before), Some(after)) = (before, cpu_ns()) {
        let cost_ms = (after - before) / 1_000_000;
        assert!(cost_ms < 1500, "{cost_ms} ms");
    }
}

/// Nanoseconds that this thread was on a CPU; what other processes do does not count.
fn cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

#[test]
fn twenty_thousand_acts_are_judged_within_a_second() {
    let mut world = World::of("import");
    for number in 0..20_000_u32 {
        let folder = number % 977;
        world = match number % 20 {
            0 => world.write(&format!("/home/dev/.cache/sample/{number}")),
            1 => world.look(&format!("/home/dev/projects/{folder}/{number}.txt")),
            2 => world.resolves(&format!("h{}.example", number % 50)),
            3 => world.runs(&format!("gcc -c -o /tmp/{number}.o {number}.c")),
            4 => world.read(&format!("/proc/self/task/{number}/stat")),
            5 => world.remove(&format!("/tmp/{number}")),
            _ => world.read(&format!(
                "/home/dev/venv/lib/python3.13/site-packages/other/{folder}/{number}.txt"
            )),
        };
    }
    let record = world.record();
    let baseline = Baseline::from_record(&World::of("import").runs("gcc -c -o /tmp/1.o 1.c").record());
    // the rules are read once
    assert!(!RuleSet::built_in().rules().is_empty());
    let Some(before) = cpu_ns() else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: this kernel does not tell what a thread costs"
        );
        return;
    };
    let judgement = judge_safety(&record, RuleSet::built_in(), &[], Some(&baseline));
    let cost_ms = (cpu_ns().unwrap_or(before) - before) / 1_000_000;
    assert!(judgement.verdict != Verdict::NotJudged);
    assert!(cost_ms < 1000, "{cost_ms} ms");
}
