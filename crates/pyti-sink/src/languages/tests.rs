//! Languages without sockets: what they answer, what they keep, and that nothing that comes does harm.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use proptest::prelude::*;
use pyti_model::trace::{Conversation, Deed, Transport};

use super::*;
use crate::authority::Authority;
use crate::record::Caller;
use crate::settings::{Caps, Credentials};

pub(super) fn simulation() -> &'static Simulation {
    static ONE: OnceLock<Simulation> = OnceLock::new();
    ONE.get_or_init(|| {
        let mut simulation = Simulation::new(Arc::new(Authority::new().unwrap()));
        simulation.credentials = Credentials {
            aws_role: "builder".into(),
            aws_access_key_id: "ASIADECOY".into(),
            aws_secret_access_key: "secret".into(),
            aws_session_token: "token".into(),
            google_account: "robot@core.example".into(),
            google_token: "ya29.decoy".into(),
            azure_token: "eyJdecoy".into(),
        };
        simulation
    })
}

/// What came of pieces that a client said.
pub(super) struct Outcome {
    pub(super) out: Vec<u8>,
    pub(super) said: Conversation,
    pub(super) names: Vec<String>,
    pub(super) closed: bool,
    pub(super) tls: bool,
}

impl Outcome {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Verb, target, body and answer of each question.
    pub(super) fn questions(&self) -> Vec<[String; 4]> {
        let all = self.said.exchanges.iter();
        all.map(|one| {
            [
                one.verb.lossy().into_owned(),
                one.target.lossy().into_owned(),
                one.body.head.lossy().into_owned(),
                one.answer.clone(),
            ]
        })
        .collect()
    }
}

/// Says the pieces to whoever answers at an address, as a connection would.
pub(super) fn say(address: &str, port: u16, pieces: &[&[u8]]) -> Outcome {
    let mut names = Names::new(50);
    let mut ledger = Ledger::new(Instant::now(), &Caps::default());
    let mut notes = ledger.notes();
    let place = Place {
        address: address.parse().unwrap(),
        port,
        host: Some("server.example".to_owned()),
        encrypted: false,
    };
    let (mut out, mut talk, mut first, mut closed, mut tls) = (Vec::new(), None, Vec::new(), false, false);
    let mut waiting: Vec<Vec<u8>> = pieces.iter().rev().map(|piece| piece.to_vec()).collect();
    while let Some(piece) = waiting.pop() {
        let heard: Vec<u8> = if talk.is_none() {
            first.extend(piece);
            match recognise(&first, &place, waiting.is_empty()) {
                First::More => continue,
                First::Tls => {
                    tls = true;
                    break;
                }
                First::Is(one) => {
                    talk = Some(one);
                    std::mem::take(&mut first)
                }
            }
        } else {
            piece
        };
        notes.said(&heard);
        let Some(speaker) = &mut talk else { continue };
        let mut scene = Scene {
            simulation: simulation(),
            place: &place,
            notes: &mut notes,
            out: &mut out,
            next: Next::Stay,
            delivery: None,
            names: &mut names,
            ledger: &mut ledger,
            process: Some(1),
        };
        speaker.hear(&heard, &mut scene);
        while speaker.goes_on() {
            speaker.hear(&[], &mut scene);
        }
        let next = scene.next;
        notes.language = speaker.name();
        match next {
            Next::Stay => {}
            Next::Close => {
                closed = true;
                break;
            }
            Next::StartTls => {
                tls = true;
                break;
            }
            Next::Become(other, rest) => {
                notes.language = other.name();
                talk = Some(other);
                if !rest.is_empty() {
                    waiting.push(rest);
                }
            }
            Next::Tunnel(_, _, rest) => {
                talk = None;
                if !rest.is_empty() {
                    waiting.push(rest);
                }
            }
        }
    }
    let caller = Caller {
        process: Some(1),
        began: Instant::now(),
        transport: Transport::Tcp,
        to: (place.address, port).into(),
    };
    ledger.converse(&caller, None, notes);
    let report = ledger.finish(0);
    let names = report
        .names
        .into_keys()
        .map(|(name, _)| name.lossy().into_owned());
    let said = report.acts.into_iter().find_map(|act| match act.deed {
        Deed::Converse(said) => Some(*said),
        _ => None,
    });
    Outcome {
        out,
        said: said.unwrap(),
        names: names.collect(),
        closed,
        tls,
    }
}

/// One after the other, byte by byte: the same must come of it.
pub(super) fn slowly(address: &str, port: u16, said: &[u8]) -> Outcome {
    let bytes: Vec<&[u8]> = said.chunks(1).collect();
    say(address, port, &bytes)
}

const ANY: &str = "198.18.0.9";

#[test]
fn web_questions_are_kept_and_answered_however_they_are_cut() {
    let said = b"POST /a?b=c HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhelloGET /x.json HTTP/1.1\r\nHost: b.example\r\n\r\n\
        PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\nHEAD / HTTP/1.1\r\nConnection: close\r\n\r\n";
    for outcome in [say(ANY, 80, &[said]), slowly(ANY, 8080, said)] {
        assert_eq!(outcome.said.language, "http");
        assert_eq!(
            outcome.questions(),
            [
                ["POST", "/a?b=c", "hello", "200"],
                ["GET", "/x.json", "", "200"],
                ["PUT", "/up", "abcde", "200"],
                ["HEAD", "/", "", "200"],
            ]
            .map(|one| one.map(str::to_owned))
        );
        assert_eq!(
            outcome.said.exchanges[0].host.as_ref().unwrap().lossy(),
            "a.example"
        );
        assert_eq!(outcome.said.exchanges[0].headers.len(), 3);
        assert!(outcome.closed, "the last one asked for it");
        assert_eq!(outcome.text().matches("HTTP/1.1 200 OK\r\n").count(), 4);
        assert_eq!(
            outcome.text().matches("{\"ok\":true}\n").count(),
            3,
            "{}",
            outcome.text()
        );
    }
}

#[test]
fn many_questions_at_once_are_answered_up_to_the_usual_number() {
    let some = say(ANY, 80, &[&b"GET /x.json HTTP/1.1\r\n\r\n".repeat(999)]);
    assert!(!some.closed && some.text().matches("HTTP/1.1 200 OK").count() == 999);
    let many = say(ANY, 80, &[&b"GET /x.json HTTP/1.1\r\n\r\n".repeat(1500)]);
    assert!(many.closed && many.text().matches("HTTP/1.1 200 OK").count() == 1000);
}

#[test]
fn web_garbage_is_refused_once() {
    for said in [
        &b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n: \r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    ] {
        let outcome = say(ANY, 80, &[said, b"GET / HTTP/1.1\r\n\r\n"]);
        assert!(
            outcome.closed && outcome.text().starts_with("HTTP/1.1 400 "),
            "{}",
            outcome.text()
        );
    }
    let endless = [&b"GET / HTTP/1.1\r\nX: "[..], &vec![b'a'; 100_000]].concat();
    assert!(say(ANY, 80, &[&endless]).closed);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    assert!(say(ANY, 80, &[many.as_bytes()]).closed);
    let some = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(50));
    assert!(!say(ANY, 80, &[some.as_bytes()]).closed);
}

#[test]
fn a_body_that_is_announced_with_a_question_is_asked_for() {
    let outcome = say(
        ANY,
        80,
        &[
            b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
            b"ab",
        ],
    );
    assert!(
        outcome
            .text()
            .starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    );
    assert_eq!(outcome.questions()[0][2], "ab");
}

#[test]
fn a_proxy_is_found_and_what_goes_through_it_understood() {
    let outcome = say(
        ANY,
        3128,
        &[
            b"CONNECT inner.example:80 HTTP/1.1\r\n\r\n",
            b"GET /y.txt HTTP/1.1\r\nHost: inner.example\r\n\r\n",
        ],
    );
    assert_eq!(
        outcome.questions()[1][..2],
        ["GET".to_owned(), "/y.txt".to_owned()]
    );
    let outcome = say(
        ANY,
        3128,
        &[b"CONNECT inner.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01\x02\x00"],
    );
    assert!(outcome.tls);
}

#[test]
fn web_sockets_are_opened_read_and_closed() {
    let mut said = b"GET /live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_vec();
    let masked = |code: u8, text: &[u8]| {
        let mut frame = vec![code, 0x80 | u8::try_from(text.len()).unwrap(), 1, 2, 3, 4];
        frame.extend(
            text.iter()
                .enumerate()
                .map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]),
        );
        frame
    };
    said.extend(masked(0x01, b"hel"));
    said.extend(masked(0x89, b"are you there"));
    said.extend(masked(0x80, b"lo"));
    said.extend(masked(0x88, b"\x03\xe8"));
    for outcome in [say(ANY, 80, &[&said]), slowly(ANY, 80, &said)] {
        assert_eq!(outcome.said.language, "websocket");
        let questions = outcome.questions();
        assert_eq!(questions[1], ["TEXT", "", "hello", ""]);
        assert_eq!(questions[2][0], "PING");
        assert!(outcome.closed);
        assert!(outcome.out.ends_with(b"\x8a\x0dare you there\x88\x02\x03\xe8"));
    }
    let unmasked = say(
        ANY,
        80,
        &[
            &said[..=said.iter().rposition(|b| *b == b'\n').unwrap()],
            b"\x81\x02hi",
        ],
    );
    assert!(unmasked.closed, "clients mask");
}

#[test]
fn mail_is_taken_with_names_and_passwords() {
    let said = b"EHLO me\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nMAIL FROM:<a@a.example> SIZE=3\r\nRCPT TO:<b@b.example>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
    for outcome in [say(ANY, 587, &[said]), slowly(ANY, 4000, said)] {
        assert_eq!(outcome.said.language, "smtp");
        let expected = [
            ["EHLO", "me", "", "250"],
            ["AUTH", "LOGIN", "", "334"],
            ["AUTH", "dXNlcg==", "", "334"],
            ["AUTH", "cGFzcw==", "", "235"],
            ["MAIL FROM", "<a@a.example> SIZE=3", "", "250"],
            ["RCPT TO", "<b@b.example>", "", "250"],
            ["DATA", "", "Subject: x\r\n\r\n.dot\r\n", "250"],
            ["QUIT", "", "", "221"],
        ];
        assert_eq!(outcome.questions(), expected.map(|one| one.map(str::to_owned)));
        assert!(outcome.closed);
    }
    assert!(say(ANY, 25, &[b"EHLO me\r\nSTARTTLS\r\nMAIL FROM:<x>\r\n"]).tls);
    assert_eq!(
        say(ANY, 25, &[b"EHLO me\r\nSTARTTLS\r\nMAIL FROM:<x>\r\n"])
            .questions()
            .len(),
        2
    );
}

#[test]
fn mailboxes_are_empty_and_open() {
    let said = b"a1 CAPABILITY\r\na2 LOGIN me {6}\r\nsecret\r\na3 APPEND Drafts {4+}\r\nloot\r\na4 SELECT INBOX\r\na5 LOGOUT\r\n";
    for outcome in [say(ANY, 143, &[said]), slowly(ANY, 143, said)] {
        assert_eq!(outcome.said.language, "imap");
        let expected = [
            ["CAPABILITY", "", "", "OK"],
            ["LOGIN", "me {6}", "secret", "OK"],
            ["APPEND", "Drafts {4+}", "loot", "OK"],
            ["SELECT", "INBOX", "", "OK"],
            ["LOGOUT", "", "", "OK"],
        ];
        assert_eq!(outcome.questions(), expected.map(|one| one.map(str::to_owned)));
        assert!(outcome.closed);
    }
    assert!(say(ANY, 143, &[b"a1 STARTTLS\r\n"]).tls);
    let said = b"USER me\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nQUIT\r\n";
    for outcome in [say(ANY, 110, &[said]), slowly(ANY, 110, said)] {
        assert_eq!(outcome.said.language, "pop3");
        assert_eq!(
            outcome.text(),
            "+OK\r\n+OK\r\n+OK 0 0\r\n-ERR no such message\r\n+OK\r\n"
        );
        assert!(outcome.closed && outcome.questions()[1][1] == "secret");
    }
}

#[test]
fn files_are_taken_over_ftp() {
    let said = b"USER anonymous\r\nPASS me@example\r\nTYPE I\r\nPASV\r\nSTOR loot.zip\r\nQUIT\r\n";
    let outcome = say(ANY, 2121, &[said]);
    assert_eq!(outcome.said.language, "ftp");
    assert!(
        outcome
            .text()
            .contains("227 Entering Passive Mode (198,18,0,9,195,101)."),
        "{}",
        outcome.text()
    );
    assert_eq!(
        outcome.questions()[4][..2],
        ["STOR".to_owned(), "loot.zip".to_owned()]
    );
    let sixth = say("2001:db8::1", 21, &[b"EPSV\r\n"]);
    assert_eq!(sixth.text(), "229 Entering Extended Passive Mode (|||50021|)\r\n");
    assert!(say(ANY, 21, &[b"AUTH TLS\r\n"]).tls);
}

#[test]
fn miners_get_jobs() {
    let subscribe = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"x/1\"]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"wallet\",\"x\"]}\n";
    for outcome in [say(ANY, 3333, &[subscribe]), slowly(ANY, 7000, subscribe)] {
        assert_eq!(outcome.said.language, "stratum");
        assert_eq!(
            outcome.questions()[0],
            ["mining.subscribe", "[\"x/1\"]", "", "subscribed"]
        );
        assert!(outcome.text().contains("mining.notify"));
    }
    let login = b"{\"method\":\"login\",\"params\":{\"login\":\"4AB\",\"pass\":\"x\"},\"id\":1}\n";
    assert!(say(ANY, 14444, &[login]).text().contains("\"status\":\"OK\""));
    // other lines of JSON are nobody's language
    let other = say(ANY, 4444, &[b"{\"host\":\"victim\",\"method\":\"hello\"}\n"]);
    assert_eq!((other.said.language.as_str(), other.out.len()), ("raw", 0));
}

#[test]
fn stores_and_databases_answer() {
    let redis = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nvalue\r\n*1\r\n$4\r\nPING\r\n";
    for outcome in [say(ANY, 6379, &[redis]), slowly(ANY, 7001, redis)] {
        assert_eq!(
            (outcome.said.language.as_str(), outcome.text().as_str()),
            ("redis", "+OK\r\n+PONG\r\n")
        );
        assert_eq!(outcome.questions()[0], ["SET", "a", "value ", "+OK"]);
    }
    assert_eq!(say(ANY, 6379, &[b"PING\r\n"]).text(), "+PONG\r\n");
    assert!(say(ANY, 6379, &[b"*9999\r\n$1\r\n"]).closed);
    let mut postgres = vec![0, 0, 0, 23, 0, 3, 0, 0];
    postgres.extend(b"user\0me\0db\0x\0\0\0");
    postgres[3] = u8::try_from(postgres.len()).unwrap();
    postgres.extend(b"p\0\0\0\x08pwd\0Q\0\0\0\x0dSELECT 1\0");
    for outcome in [say(ANY, 5432, &[&postgres]), slowly(ANY, 5433, &postgres)] {
        assert_eq!(outcome.said.language, "postgres");
        let questions = outcome.questions();
        assert_eq!(
            questions[1][..2],
            ["PasswordMessage".to_owned(), "pwd".to_owned()]
        );
        assert_eq!(questions[2], ["Query", "", "SELECT 1", "SELECT 0"]);
    }
    assert!(say(ANY, 5432, &[&[0, 0, 0, 8, 4, 210, 22, 47]]).tls);
}

#[test]
fn clouds_tell_a_machine_about_itself() {
    let ask = |address: &str, head: &str| {
        let outcome = say(address, 80, &[format!("{head}\r\n\r\n").as_bytes()]);
        assert_eq!(outcome.said.language, "metadata", "{head}");
        outcome.text()
    };
    let aws = "169.254.169.254";
    assert!(
        ask(
            aws,
            "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60"
        )
        .contains("AQAE")
    );
    assert!(
        ask(aws, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1").ends_with("\r\n\r\nbuilder")
    );
    assert!(
        ask(
            aws,
            "GET /latest/meta-data/iam/security-credentials/builder HTTP/1.1"
        )
        .contains("ASIADECOY")
    );
    assert!(
        ask(
            aws,
            "GET /latest/meta-data/iam/security-credentials/other HTTP/1.1"
        )
        .contains("404")
    );
    assert!(ask("169.254.170.2", "GET /v2/credentials/1 HTTP/1.1").contains("ASIADECOY"));
    let google = "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\nHost: metadata.google.internal";
    assert!(ask(aws, google).contains("403"), "without its header");
    assert!(ask(aws, &format!("{google}\r\nMetadata-Flavor: Google")).contains("ya29.decoy"));
    assert!(ask(aws, "GET / HTTP/1.1\r\nMetadata-Flavor: Google").contains("Metadata-Flavor: Google"));
    let azure = "GET /metadata/identity/oauth2/token?resource=x HTTP/1.1\r\nMetadata: true";
    assert!(ask(aws, azure).contains("eyJdecoy"));
    assert_eq!(
        say(ANY, 80, &[b"GET /latest/meta-data/ HTTP/1.1\r\n\r\n"])
            .said
            .language,
        "http"
    );
}

#[test]
fn names_are_told_over_tcp_too() {
    let message = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let whole = [&length[..], message, &length, message].concat();
    for outcome in [say(ANY, 53, &[&whole]), slowly(ANY, 53, &whole)] {
        assert_eq!(
            (outcome.said.language.as_str(), outcome.names.as_slice()),
            ("dns", &["a.example".to_owned()][..])
        );
        assert!(!outcome.closed);
    }
    let garbage = say(ANY, 53, &[b"\0\x05hello"]);
    assert_eq!((garbage.said.language.as_str(), garbage.closed), ("raw", true));
}

#[test]
fn an_index_of_packages_has_none() {
    for path in ["/simple/requests/", "/pypi/requests/json"] {
        assert!(
            say(ANY, 80, &[format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()])
                .text()
                .starts_with("HTTP/1.1 404 ")
        );
    }
}

/// Sessions of every language, to be bent.
fn sessions() -> Vec<(u16, Vec<u8>)> {
    vec![
        (80, b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n".to_vec()),
        (80, b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()),
        (80, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\x82\x84\x86\x41".to_vec()),
        (80, b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n\x81\x83aaaabcd\x88\x80aaaa".to_vec()),
        (25, b"EHLO a\r\nAUTH PLAIN\r\nx\r\nDATA\r\na\r\n.\r\nQUIT\r\n".to_vec()),
        (21, b"USER a\r\nPASS b\r\nEPSV\r\nRETR x\r\n".to_vec()),
        (3333, b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n".to_vec()),
        (6379, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n".to_vec()),
        (5432, b"\0\0\0\x0b\0\x03\0\0a\0\0p\0\0\0\x06x\0Q\0\0\0\x06x\0".to_vec()),
        (143, b"a LOGIN {3}\r\nabc d\r\nb AUTHENTICATE PLAIN\r\nx\r\nc IDLE\r\nDONE\r\nd APPEND x {2+}\r\nab\r\n".to_vec()),
        (110, b"USER a\r\nAUTH PLAIN\r\nx\r\nLIST\r\nQUIT\r\n".to_vec()),
        (53, b"\0\x1b\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn anything_may_be_said_in_any_pieces(
        port in prop::sample::select(vec![21u16, 22, 25, 53, 80, 110, 143, 443, 3333, 4444, 5432, 6379, 50_021]),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6),
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        say(ANY, port, &pieces);
    }

    #[test]
    fn bent_sessions_do_no_harm(
        which in 0usize..12,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        twice in any::<bool>(),
    ) {
        let (port, mut said) = sessions()[which].clone();
        for (at, byte) in changes {
            let at = at.index(said.len());
            said[at] = byte;
        }
        if twice {
            said.extend(said.clone());
        }
        let (front, back) = said.split_at(cut.index(said.len()));
        let outcome = say(ANY, port, &[front, back]);
        prop_assert!(outcome.out.len() < 1 << 20);
    }
}
