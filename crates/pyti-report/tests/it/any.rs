//! Whatever a trace and a judgement say, every form of it can be read.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use pyti_model::Foreign;
use pyti_model::finding::{Family, Finding, Judgement, RuleState, Severity};
use pyti_model::outcome::Verdict;
use pyti_model::trace::{
    Access, Act, DecoyUse, Deed, Endpoint, EventRef, Form, Origin, Process, Result, Trace, Transport,
};
use pyti_report::{events_csv, explain, findings, html, indicators, package_analysis, sarif, terminal};

use crate::support::{PLAIN, wheel};
use crate::traced::{Case, captured, conversation, recorded};

fn foreign() -> impl Strategy<Value = Foreign> {
    prop_oneof![
        "[ -~]{0,20}".prop_map(Foreign::from),
        vec(any::<u8>(), 0..24).prop_map(Foreign::from),
        Just(Foreign::from(crate::enemy::EVIL)),
        Just(Foreign::from("/home/dev/.aws/credentials")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    foreign().prop_map(|text| text.lossy().into_owned())
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (foreign(), vec(foreign(), 0..4)).prop_map(|(path, argv)| Deed::Execute {
            path,
            argv,
            argv_dropped: 1,
            cwd: Foreign::default(),
            variables: vec!["LD_PRELOAD".into()],
            origin: Origin::Written,
            sockets: vec![0, 1, 7],
        }),
        (foreign(), any::<[bool; 4]>()).prop_map(|(path, [read, write, append, create])| Deed::Open {
            path,
            access: Access {
                read,
                write,
                append,
                create,
                ..Access::default()
            },
        }),
        (foreign(), foreign()).prop_map(|(from, to)| Deed::Rename { from, to }),
        (foreign(), text(), vec(text(), 0..3)).prop_map(|(name, record, answer)| Deed::Resolve {
            name,
            record,
            answer
        }),
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(address, port)| Deed::Connect {
            to: Endpoint::Ip {
                address: address.into(),
                port
            },
            transport: Transport::Tcp,
        }),
        (text(), vec(any::<u8>(), 0..400)).prop_map(|(host, body)| {
            let mut talk = conversation(&host, &body);
            if body.len() % 3 == 0 {
                talk.exchanges.clear();
                talk.sent = captured(&body);
            }
            Deed::Converse(Box::new(talk))
        }),
        (text(), text(), 0..60_u32).prop_map(|(decoy, encoding, act)| Deed::Decoy {
            decoy,
            used: DecoyUse::Sent { encoding, act },
        }),
        (text(), 0..60_u32).prop_map(|(encoding, act)| Deed::Decoy {
            decoy: "aws.credentials".into(),
            used: DecoyUse::Sent { encoding, act },
        }),
        text().prop_map(|call| Deed::Forbidden { call }),
        Just(Deed::Unknown),
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    let process = (
        option::of(0..40_u32),
        foreign(),
        vec(foreign(), 0..3),
        any::<u32>(),
    );
    let act = (option::of(0..40_u32), 0..4_u8, any::<u32>(), deed());
    (vec(process, 0..30), vec(act, 0..60)).prop_map(|(processes, acts)| Trace {
        form: Form::Full,
        processes: processes
            .into_iter()
            .zip(0..)
            .map(|((parent, executable, argv, began), number)| Process {
                number,
                parent,
                pid: 7,
                began_us: began.into(),
                ended: None,
                executable,
                argv,
            })
            .collect(),
        acts: acts
            .into_iter()
            .map(|(process, result, at, deed)| Act {
                at_us: at.into(),
                process,
                result: match result {
                    0 => Result::Attempted,
                    1 => Result::Done,
                    2 => Result::Failed("EACCES".into()),
                    _ => Result::Refused,
                },
                times: 1,
                deed,
            })
            .collect(),
        ..Trace::default()
    })
}

fn finding() -> impl Strategy<Value = Finding> {
    let severity = prop_oneof![
        Just(Severity::Critical),
        Just(Severity::High),
        Just(Severity::Medium),
        Just(Severity::Info)
    ];
    let state = prop_oneof![Just(RuleState::Active), Just(RuleState::Shadow)];
    let events = vec((0..40_u64, option::of(0..70_u32)), 0..30);
    (text(), text(), severity, state, option::of(text()), events).prop_map(
        |(rule, sentence, severity, state, suppressed, events)| Finding {
            rule: format!("r{rule}"),
            title: sentence.clone(),
            severity,
            family: Family::Access,
            phase: "import".into(),
            sentence,
            events: events
                .into_iter()
                .map(|(seq, item)| EventRef { seq, item })
                .collect(),
            mitre: vec!["T1041".into()],
            state,
            suppressed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_of_every_trace_can_be_read(
        traces in vec(trace(), 1..3),
        found in vec(finding(), 0..6),
    ) {
        let named: Vec<(&str, Trace)> = traces.into_iter().zip(["import", "install"]).map(|(t, name)| (name, t)).collect();
        let (judged, seqs) = recorded(&wheel(), &named, Vec::new());
        let mut found = Judgement { verdict: Verdict::Harmful, findings: found, missing: vec!["x".into()], rules: "d".into() };
        for place in found.findings.iter_mut().flat_map(|finding| &mut finding.events) {
            // half of them name an act
            if place.seq % 2 == 0 {
                place.seq = seqs[0];
            }
        }
        let case = Case { judged, found };
        let run = case.run();
        let page = html(&run);
        crate::page::keeps_its_promises(&page);
        crate::page::every_link_has_its_target(&page);
        crate::safety::is_balanced(&page);
        let shown = terminal(&run, &PLAIN);
        prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "a control: {}", shown);
        crate::exports::is_sarif(&serde_json::from_str(&sarif(&run)).unwrap());
        crate::exports::is_stix(&serde_json::from_str(&indicators(&run)).unwrap());
        for line in package_analysis(&run).lines() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
        }
        let table = events_csv(&run);
        prop_assert!(table.ends_with("\r\n"));
        for found in findings(&run) {
            let text = explain(&run, &found.number.to_string(), &|_| None, &PLAIN).unwrap();
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }
    }
}
