//! What a package does is watched and judged: verdicts, findings, rules, audits, and the real network let in by name.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyti_fixtures::{Faults, LocalIndex, corpus};
use serde_json::Value;
use support::{Ended, Place, fixtures};

/// A package of the corpus that acts only when it is told to.
const THIEF: &str = "02-posts-aws-credentials";
const NAME: &str = "posts-aws-credentials";
const ACT: &str = "PYTI_CORPUS=posts-aws-credentials";

fn thief(test: &str) -> Option<(Place, LocalIndex)> {
    let place = Place::new(test)?;
    let package = corpus::build(THIEF).unwrap();
    let index = LocalIndex::start(vec![package.fixture], Faults::none()).unwrap();
    Some((place, index))
}

/// `pyti` with the name of the newest run for further commands.
fn command(place: &Place, arguments: &[&str], code: i32) -> Ended {
    place.ends(arguments).code(code)
}

fn rules(findings: &Value) -> Vec<&str> {
    findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect()
}

#[test]
fn a_thief_is_seen_and_the_same_package_at_rest_is_clean() {
    let Some((place, index)) = thief("a_thief_is_seen") else {
        return;
    };
    let object = place.run(&index, [NAME]).code(0).object();
    assert_eq!(
        (&object["status"], &object["verdict"]),
        (&"load".into(), &"clean".into())
    );
    let object = place.run(&index, [NAME, "--env", ACT]).code(3).object();
    assert_eq!(object["status"], "load", "what it does is no reason not to work");
    assert_eq!(object["verdict"], "harmful");
    let file = &object["files"][0];
    let found = rules(&file["findings"]);
    assert!(found.contains(&"decoy-sent"), "{found:?}");
    for finding in file["findings"].as_array().unwrap() {
        assert!(!finding["sentence"].as_str().unwrap().is_empty());
        assert_eq!(finding["phase"], "import");
        assert!(!finding["events"].as_array().unwrap().is_empty());
    }
}

#[test]
fn without_watching_nothing_is_judged() {
    let Some((place, index)) = thief("without_watching_nothing_is_judged") else {
        return;
    };
    let object = place
        .run(&index, [NAME, "--no-watch", "--env", ACT])
        .code(0)
        .object();
    assert_eq!(object["verdict"], "not_judged");
    assert_eq!(object["files"][0]["findings"], Value::Array(Vec::new()));
}

#[test]
fn a_finding_is_explained_judged_again_and_exported() {
    let Some((place, index)) = thief("a_finding_is_explained") else {
        return;
    };
    place.run(&index, [NAME, "--env", ACT]).code(3);
    let told = command(&place, &["explain", "last", "decoy-sent"], 0).stdout;
    for word in ["hook.collector.example", "evidence", "processes"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(
        command(&place, &["explain", "last", "99"], 2)
            .stderr
            .contains("no finding")
    );
    let again = command(&place, &["judge", "last", "--json"], 3).object();
    assert_eq!(again["verdict"], "harmful");
    // other rules judge the same recording otherwise
    let folder = place.work().join("rules");
    fs::create_dir(&folder).unwrap();
    for name in ["persistence.toml", "sets.toml"] {
        let built_in = format!("{}/../../rules/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::copy(built_in, folder.join(name)).unwrap();
    }
    let folder = folder.to_str().unwrap();
    let other = command(&place, &["judge", "last", "--json", "--rules", folder], 0).object();
    assert_eq!(other["verdict"], "clean");
    assert_ne!(other["rules"], again["rules"]);
    for form in ["--sarif", "--stix", "--package-analysis"] {
        let text = command(&place, &["report", "last", form], 0).stdout;
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert!(value.is_object(), "{form}");
    }
    let csv = command(&place, &["report", "last", "--csv"], 0).stdout;
    assert!(csv.lines().count() > 20 && csv.contains("hook.collector.example"));
    let page = command(&place, &["report", "last", "--html"], 0).stdout;
    assert!(page.contains("decoy-sent") && !page.contains("onclick="));
}

#[test]
fn an_exception_from_a_rule_is_shown_and_does_not_count() {
    let Some((place, index)) = thief("an_exception_from_a_rule") else {
        return;
    };
    place.run(&index, [NAME, "--env", ACT]).code(3);
    let all = rules(&command(&place, &["judge", "last", "--json"], 3).object()["findings"])
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let text: String = all
        .iter()
        .map(|rule| {
            format!(
                "[[suppression]]\nrule = \"{rule}\"\nproject = \"{NAME}\"\nauthor = \"somebody\"\n\
                 reason = \"a test\"\nexpires = \"2999-01-01\"\n"
            )
        })
        .collect();
    let file = place.work().join("except.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let object = command(&place, &["judge", "last", "--json", "--suppressions", file], 0).object();
    assert_eq!(object["verdict"], "clean");
    assert_eq!(object["findings"].as_array().unwrap().len(), all.len());
    let wrong = place.work().join("wrong.toml");
    fs::write(&wrong, "[[suppression]]\nrule = 3\n").unwrap();
    let refused = command(
        &place,
        &["judge", "last", "--suppressions", wrong.to_str().unwrap()],
        2,
    );
    assert!(refused.stderr.contains("wrong.toml"), "{}", refused.stderr);
}

#[test]
fn rules_are_listed_shown_and_tried() {
    let place = Place::bare();
    let listed = command(&place, &["rules", "list"], 0).stdout;
    assert!(listed.lines().count() > 60, "{listed}");
    let lines = command(&place, &["rules", "list", "--json"], 0).stdout;
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
    assert!(
        command(&place, &["rules", "show", "decoy-sent"], 0)
            .stdout
            .contains("critical")
    );
    assert!(
        command(&place, &["rules", "show", "decoy"], 2)
            .stderr
            .contains("decoy-")
    );
    let empty = place.work().join("empty");
    fs::create_dir(&empty).unwrap();
    command(&place, &["rules", "list", "--rules", empty.to_str().unwrap()], 2);
    fs::write(empty.join("bad.toml"), "[[rule]]\nid = \"x\"\n").unwrap();
    let refused = command(&place, &["rules", "list", "--rules", empty.to_str().unwrap()], 2);
    assert!(refused.stderr.contains("bad.toml"), "{}", refused.stderr);
}

#[test]
fn a_closure_is_audited_and_what_was_looked_at_is_judged_from_its_recording() {
    let Some(place) = Place::new("a_closure_is_audited") else {
        return;
    };
    let quiet = fixtures(&["pure-passes"]).remove(0);
    let thief = corpus::build(THIEF).unwrap().fixture;
    let index = LocalIndex::start(vec![quiet, thief], Faults::none()).unwrap();
    let url = index.url();
    let locked = place.work().join("requirements.txt");
    let write = |text: &str| fs::write(&locked, text).unwrap();
    write(&format!(
        "# everything\npure-passes==1.0.0\n{NAME}==1.0.0\nnot-for-us==3.0 ; sys_platform == 'win32'\n"
    ));
    let path = locked.to_str().unwrap();
    let audit = ["audit", "-r", path, "--index-url", &url];
    let first = command(&place, &[&audit[..], &["--json"]].concat(), 0);
    let lines: Vec<Value> = first
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{}", first.stdout);
    assert!(
        lines
            .iter()
            .all(|line| line["cached"] == false && line["verdict"] == "clean")
    );
    let hash = |name: &str| {
        let line = lines.iter().find(|line| line["name"] == name).unwrap();
        line["sha256"].as_str().unwrap().to_owned()
    };
    write(&format!(
        "pure-passes==1.0.0 --hash=sha256:{}\n{NAME}==1.0.0 \\\n  --hash=sha256:{}\nnot-for-us==3.0 ; sys_platform == 'win32'\n",
        hash("pure-passes"),
        hash(NAME)
    ));
    let table = command(&place, &audit, 0).stdout;
    assert!(table.contains("2 from earlier recordings"), "{table}");
    assert!(table.contains("1 are for other platforms"), "{table}");
    let fresh = command(&place, &[&audit[..], &["--fresh"]].concat(), 0).stdout;
    assert!(!fresh.contains("earlier"), "{fresh}");
    // another file than the one that was locked
    write(&format!("pure-passes==1.0.0 --hash=sha256:{}\n", hash(NAME)));
    let lying = command(&place, &audit, 1);
    assert!(lying.stderr.contains("another file"), "{}", lying.stderr);
    write("pure-passes>=1\n");
    let loose = command(&place, &audit, 2);
    assert!(
        loose.stderr.contains("line 1") && loose.stderr.contains("hint"),
        "{}",
        loose.stderr
    );
}

#[test]
fn a_host_is_spoken_with_only_when_it_is_allowed() {
    let Some(place) = Place::new("a_host_is_spoken_with") else {
        return;
    };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut question = [0; 1024];
            let read = stream.read(&mut question).unwrap_or(0);
            if question[..read].starts_with(b"GET /real") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfrom-host");
        }
    });
    let module = format!(
        "import urllib.request\ntry:\n    print(urllib.request.urlopen('http://service.localhost:{port}/real', \
         timeout=10).read().decode())\nexcept OSError as error:\n    print('nobody')\n"
    );
    let project = place.project(&module);
    let index = LocalIndex::start(Vec::new(), Faults::none()).unwrap();
    let project = project.to_str().unwrap();
    place.run(&index, [project]);
    assert_eq!(
        heard.load(Ordering::SeqCst),
        0,
        "the simulated network stands in for it"
    );
    let allowed = format!("service.localhost:{port}");
    place.run(&index, [project, "--allow", &allowed]);
    assert!(heard.load(Ordering::SeqCst) > 0);
    let said = command(&place, &["log", "last", "import"], 0).stdout;
    assert!(said.contains("from-host"), "{said}");
    let before = heard.load(Ordering::SeqCst);
    // another port of the same host is not allowed
    place.run(&index, [project, "--allow", "service.localhost:1"]);
    assert_eq!(heard.load(Ordering::SeqCst), before);
    place.run(&index, [project, "--allow", "nonsense"]).code(2);
}

#[test]
fn who_has_said_everything_is_still_answered() {
    let Some(place) = Place::new("who_has_said_everything") else {
        return;
    };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            // the answer comes after the question's end has arrived everywhere
            std::thread::sleep(std::time::Duration::from_millis(300));
            let _ = stream.write_all(format!("{} bytes heard", said.len()).as_bytes());
        }
    });
    let module = format!(
        "import socket\ntry:\n    s = socket.create_connection(('service.localhost', {port}), 10)\n    \
         s.sendall(b'x' * 100000)\n    s.shutdown(socket.SHUT_WR)\n    print(s.makefile('rb').read())\n\
         except OSError as error:\n    print('nobody')\n"
    );
    let project = place.project(&module);
    let index = LocalIndex::start(Vec::new(), Faults::none()).unwrap();
    let allowed = format!("service.localhost:{port}");
    place.run(&index, [project.to_str().unwrap(), "--allow", &allowed]);
    let said = command(&place, &["log", "last", "import"], 0).stdout;
    assert!(said.contains("100000 bytes heard"), "{said}");
}

#[test]
fn functions_are_called_only_when_asked_and_a_crash_ends_one_call() {
    let Some(place) = Place::new("functions_are_called") else {
        return;
    };
    let project = place.project(
        "import os\n\ndef greet(name: str, times: int):\n    with open('/tmp/greeted', 'w') as file:\n        \
         file.write(name * times)\n\ndef falls():\n    os.abort()\n\ndef waits():\n    import time\n    time.sleep(600)\n",
    );
    let index = LocalIndex::start(Vec::new(), Faults::none()).unwrap();
    let project = project.to_str().unwrap();
    let has = |object: &Value| {
        let tasks = object["tasks"].as_array().unwrap();
        tasks
            .iter()
            .any(|task| task["id"].as_str().unwrap().ends_with("/exercise"))
    };
    assert!(!has(&place.run(&index, [project]).object()));
    let object = place.run(&index, [project, "--exercise"]).object();
    assert!(has(&object), "{object}");
    let csv = command(&place, &["report", "last", "--csv"], 0).stdout;
    assert!(
        csv.contains("/tmp/greeted"),
        "what the function did is in the recording"
    );
}
