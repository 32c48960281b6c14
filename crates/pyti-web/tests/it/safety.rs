//! What docs/web.md promises of safety, line by line.

use pyti_dispatch::{Answer, Completion, JobStore as _};
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_store::{Expansion, NewFinding, NewResult, Options};
use pyti_web::Settings;

use crate::fill;
use crate::server::{Server, WHEEL, child, env, file};

const SCRIPT: &str = "<script>alert(1)</script>";
const QUOTE: &str = "\"onmouseover=\"alert(1)";
const TURN: &str = "\u{202e}gpj";

/// A result whose every text is hostile, with a recording that is, too; its number and its file's digest.
pub(crate) fn enemy(server: &Server) -> (i64, String) {
    let name = format!("evil-{SCRIPT}{QUOTE}{TURN}.whl");
    let info = file("evil", &format!("1.0{SCRIPT}{TURN}"), &name);
    let recording = WHEEL
        .replace("test_six", &format!("test_{SCRIPT}\\u202e"))
        .replace("six.py", &format!("six{SCRIPT}.py"));
    assert_ne!(recording, WHEEL);
    let sha = info.sha256.to_string();
    (server.put(info, "cpython-3.13", &recording), sha)
}

/// A second one, whose finding is hostile.
pub(crate) fn finding(server: &Server) -> i64 {
    let info = file("evil", "2.0", &format!("evil-2{SCRIPT}.tar.gz"));
    let who = fill::enrol(&server.store, "south-1", &["cpython-3.13"]).unwrap();
    let job = fill::job(&info, &env("cpython-3.13"), 0, true).unwrap();
    server
        .store
        .expand(Expansion {
            files: vec![info.clone()],
            jobs: vec![job],
            ..Default::default()
        })
        .unwrap();
    let Answer::Granted { grants, .. } = server.store.claim(&who, 1, 1, 1).unwrap() else {
        panic!()
    };
    let result = NewResult {
        file: info,
        env: env("cpython-3.13"),
        finished_ms: 1_790_000_000_000,
        outcome: Outcome::because(Status::Fail, Reason::new(ReasonCode::Segfault, SCRIPT)),
        verdict: Verdict::Harmful,
        blame: Some(Blame::Package),
        cost_ms: 1,
        passed: 0,
        failed: 0,
        recording: None,
        baseline: None,
        more: Some(format!(
            "{{\"detail\":\"{SCRIPT}{TURN}\",\"worker\":\"{SCRIPT}\"}}"
        )),
        findings: vec![NewFinding {
            rule: "decoy-read".into(),
            severity: 4,
            state: 1,
            sentence: format!("It wrote {SCRIPT}{TURN} to {QUOTE}."),
            events: vec![1],
        }],
    };
    let completion = Completion {
        worker: who,
        lease: grants[0].lease,
        blame: None,
        missing: Vec::new(),
    };
    server.store.complete(completion, Some(result)).unwrap();
    server.store.result_of(grants[0].job).unwrap().unwrap().id
}

#[test]
fn stored_script_is_text_on_every_page_and_in_every_feed() {
    let server = Server::with_six();
    let (id, sha) = enemy(&server);
    let other = finding(&server);
    for path in [
        "/".to_owned(),
        "/results".to_owned(),
        "/projects/evil".to_owned(),
        format!("/results/{id}"),
        format!("/files/{sha}"),
        format!("/results/{other}"),
        format!("/compare?a={id}&b={other}"),
        format!("/compare?a=1&b={id}"),
        "/findings".to_owned(),
        "/findings?verdict=harmful".to_owned(),
        "/findings?severity=critical".to_owned(),
        "/rules/decoy-read".to_owned(),
        format!("/jobs/{id}"),
        "/verdicts.atom".to_owned(),
        "/projects/evil.atom".to_owned(),
        "/projects/evil/works.svg".to_owned(),
        "/projects/evil/safe.svg".to_owned(),
        format!("/search?q={}", "%3Cscript%3Ealert(1)%3C/script%3E"),
        format!("/findings?rule={}", "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
    ] {
        let reply = server.get(&path);
        assert_eq!(reply.code, 200, "{path}");
        let text = reply.text();
        assert!(!text.contains("<script>"), "{path} has script of a package");
        assert!(
            !text.contains("\"onmouseover="),
            "{path} has an attribute of a package"
        );
        assert!(!text.contains('\u{202e}'), "{path} turns text");
    }
    let page = server.get("/projects/evil").text();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("\\u{202e}gpj"));
    // programs get what it is
    let json = server.json("/projects/evil");
    let text = json["history"].to_string();
    assert!(text.contains("<script>alert(1)</script>"), "{text}");
    // a table is opened by spreadsheets
    let csv = server.get(&format!("/results/{id}/events.csv")).text();
    assert!(csv.lines().count() > 1);
    assert!(
        !csv.lines()
            .any(|line| line.split(',').any(|cell| cell.starts_with('=')))
    );
}

#[test]
fn every_answer_has_the_policy() {
    let server = Server::with_six();
    for path in [
        "/",
        "/index.json",
        "/results/1",
        "/nothing",
        "/static/site.css",
        "/static/live.js",
        "/projects/six.atom",
        "/projects/six/works.svg",
        "/metrics",
        "/health",
        "/results.jsonl",
        "/search?q=%zz",
    ] {
        let reply = server.get(path);
        let policy = reply.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{path}: {policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(reply.header("content-encoding"), "", "{path}");
    }
}

#[test]
fn files_out_of_a_box_are_attachments_under_a_name_of_ours() {
    let server = Server::with_six();
    let (id, _) = enemy(&server);
    let task = server.get(&format!("/results/{id}")).text();
    let task = task
        .split("/log/")
        .nth(1)
        .unwrap()
        .split(".txt")
        .next()
        .unwrap()
        .to_owned();
    for (what, name) in [
        ("recording".to_owned(), "jsonl.zst"),
        ("report.html".to_owned(), "html"),
        ("junit.xml".to_owned(), "junit.xml"),
        ("sarif.json".to_owned(), "sarif.json"),
        ("stix.json".to_owned(), "stix.json"),
        ("package-analysis.json".to_owned(), "package-analysis.json"),
        ("report.md".to_owned(), "md"),
        ("events.csv".to_owned(), "events.csv"),
        ("log.txt".to_owned(), "log.txt"),
        (format!("log/{task}.txt"), "log.txt"),
    ] {
        let reply = server.get(&format!("/results/{id}/{what}"));
        assert_eq!(reply.code, 200, "{what}: {}", reply.text());
        assert_eq!(
            reply.header("content-disposition"),
            format!("attachment; filename=\"pyti-result-{id}.{name}\"")
        );
        assert!(
            reply
                .header("content-security-policy")
                .starts_with("sandbox; default-src 'none'")
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let kind = reply.header("content-type");
        assert!(
            matches!(
                kind,
                "application/octet-stream" | "text/plain; charset=utf-8" | "application/json"
            ),
            "{what}: {kind}"
        );
        assert!(!reply.body.is_empty());
    }
    assert_eq!(server.get(&format!("/results/{id}/log/nothing.txt")).code, 500);
}

#[test]
fn only_names_of_ours_are_answered_on_loopback_too() {
    let mut settings = Settings::new(child());
    settings.hosts = vec!["pyti.example".to_owned()];
    let server = Server::empty(Options::default(), settings);
    let code = |headers: &[(&str, &str)]| server.ask("/", headers).code;
    for host in ["localhost", "127.0.0.1:8000", "[::1]:8000", "pyti.example"] {
        assert_eq!(code(&[("Host", host)]), 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "pyti.example.evil.example",
        "",
    ] {
        assert_eq!(code(&[("Host", host)]), 421, "{host}");
    }
    assert_eq!(code(&[]), 421);
    assert_eq!(code(&[("Host", "localhost"), ("Host", "evil.example")]), 421);
    assert_eq!(
        code(&[("Host", "localhost"), ("X-Forwarded-Host", "evil.example")]),
        200
    );
    let atom = server.ask(
        "/verdicts.atom",
        &[("Host", "localhost"), ("X-Forwarded-Host", "evil.example")],
    );
    assert!(!atom.text().contains("evil"));
}

#[test]
fn only_reading_is_possible() {
    use std::io::{Read as _, Write as _};
    let server = Server::with_six();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let mut socket = std::net::TcpStream::connect(server.address).unwrap();
        socket
            .write_all(
                format!("{method} / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.0 405"), "{method}: {text}");
    }
}
