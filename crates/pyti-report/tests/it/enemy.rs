//! A trace that an enemy wrote.

use pyti_model::Foreign;
use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::event::Event;
use pyti_model::finding::{Judgement, Severity};
use pyti_model::outcome::Verdict;
use pyti_model::trace::{
    Act, Count, DecoyUse, Deed, Endpoint, EventRef, Origin, Result, Tls, Transport, Written,
};

use crate::support::wheel;
use crate::traced::{Case, conversation, execute, finding, read, recorded, thief, write};

/// A terminal escape, a bidirectional override, markup, a formula, a quote of every language.
pub(crate) const EVIL: &str = "=1+\u{1b}[2J\u{202e}</script></title></svg><script>alert(1)</script><img src=x onerror=a()>\"'],&`|{0}[a](b)\r\n\0";

/// Text of an enemy in every place of a trace that can hold some; parents in a circle, numbers that lead nowhere.
pub(crate) fn hostile() -> Case {
    let mut trace = thief();
    let evil = || Foreign::from(EVIL);
    for process in &mut trace.processes {
        process.executable = evil();
        process.argv = vec![evil(), evil(), "x".repeat(4096).into()];
        process.parent = Some(process.number.wrapping_sub(1) % 9);
    }
    let mut talk = conversation(EVIL, EVIL.as_bytes());
    talk.exchanges[0].verb = evil();
    talk.exchanges[0].target = evil();
    talk.exchanges[0].host = Some(evil());
    talk.exchanges[0].headers = vec![(evil(), evil())];
    talk.exchanges[0].answer = EVIL.into();
    talk.language = EVIL.into();
    talk.tls = Some(Tls {
        server_name: Some(evil()),
        offered: vec![evil()],
        accepted: false,
        alert: Some(EVIL.into()),
    });
    let deeds = vec![
        execute(&[EVIL, EVIL], Origin::Nameless),
        read(EVIL),
        write(EVIL),
        Deed::Look { path: evil() },
        Deed::List { path: evil() },
        Deed::MakeFolder { path: evil() },
        Deed::MakeNode { path: evil() },
        Deed::Rename {
            from: evil(),
            to: evil(),
        },
        Deed::Link {
            path: evil(),
            to: evil(),
            symbolic: true,
        },
        Deed::Remove {
            path: evil(),
            folder: true,
        },
        Deed::Mode {
            path: evil(),
            mode: 0o7777,
        },
        Deed::Owner { path: evil() },
        Deed::Truncate { path: evil() },
        Deed::Memory { name: evil() },
        Deed::Ptrace {
            request: EVIL.into(),
            target: -1,
        },
        Deed::ForeignMemory {
            target: 1,
            write: true,
        },
        Deed::Signal {
            target: i32::MIN,
            signal: 9,
        },
        Deed::Become {
            call: EVIL.into(),
            text: evil(),
        },
        Deed::Inquire { call: EVIL.into() },
        Deed::Forbidden { call: EVIL.into() },
        Deed::Bind {
            to: Endpoint::Unix(evil()),
        },
        Deed::Listen {
            at: Some(Endpoint::Other(EVIL.into())),
        },
        Deed::Connect {
            to: Endpoint::Unix(b"\0\xff<b>".to_vec().into()),
            transport: Transport::Unix,
        },
        Deed::Send {
            to: Endpoint::Ip {
                address: "2001:db8::1".parse().unwrap(),
                port: 0,
            },
        },
        Deed::Resolve {
            name: evil(),
            record: EVIL.into(),
            answer: vec![EVIL.into()],
        },
        Deed::Converse(Box::new(talk)),
        Deed::Packet {
            to: Endpoint::Ip {
                address: "203.0.113.9".parse().unwrap(),
                port: 53,
            },
            protocol: EVIL.into(),
        },
        Deed::Decoy {
            decoy: EVIL.into(),
            used: DecoyUse::Read { path: evil() },
        },
        Deed::Decoy {
            decoy: "aws.credentials".into(),
            used: DecoyUse::Sent {
                encoding: EVIL.into(),
                act: u32::MAX,
            },
        },
        Deed::Decoy {
            decoy: EVIL.into(),
            used: DecoyUse::Written {
                encoding: EVIL.into(),
                path: evil(),
            },
        },
        Deed::Decoy {
            decoy: EVIL.into(),
            used: DecoyUse::Printed {
                encoding: EVIL.into(),
            },
        },
        Deed::Audit {
            name: EVIL.into(),
            text: evil(),
        },
        Deed::Unknown,
    ];
    let all = u32::try_from(deeds.len()).unwrap();
    trace.acts = deeds
        .into_iter()
        .zip(0_u32..)
        .map(|(deed, n)| Act {
            at_us: u64::MAX - u64::from(n),
            process: (n % 4 > 0).then_some(n % 7),
            result: match n % 3 {
                0 => Result::Attempted,
                1 => Result::Failed(EVIL.into()),
                _ => Result::Done,
            },
            times: u32::MAX,
            deed,
        })
        .collect();
    trace.counts = vec![Count {
        what: EVIL.into(),
        times: u64::MAX,
    }];
    trace.losses = vec![pyti_model::effect::Loss::Notifications { why: EVIL.into() }];
    let files = Event::Written {
        task: "import".into(),
        files: vec![Written {
            path: evil(),
            sha256: "c".repeat(64).parse().unwrap(),
            size: u64::MAX,
            preview: evil(),
            program: true,
        }],
    };
    let mut script = wheel().with("import", |task| {
        task.changes = vec![Change {
            path: evil(),
            what: Changed::Added,
            entry: Some(Entry::Link(evil())),
            size: None,
            mode: Some(0o6755),
        }];
    });
    script.file.filename = EVIL.into();
    let (judged, seqs) = recorded(&script, &[("import", trace)], vec![("import", files)]);
    let mut one = finding(
        EVIL,
        Severity::Critical,
        EVIL,
        EVIL,
        (0..all + 3)
            .map(|item| EventRef {
                seq: seqs[0],
                item: Some(item),
            })
            .collect(),
    );
    one.title = EVIL.into();
    one.mitre = vec![EVIL.into()];
    one.events.push(EventRef {
        seq: u64::MAX,
        item: None,
    });
    one.events.push(EventRef {
        seq: seqs[0],
        item: None,
    });
    let mut other = one.clone();
    other.suppressed = Some(EVIL.into());
    let found = Judgement {
        verdict: Verdict::Harmful,
        findings: vec![one, other],
        missing: vec![EVIL.into()],
        rules: EVIL.into(),
    };
    Case { judged, found }
}
