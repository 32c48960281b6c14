//! Following: nobody misses a result, nobody hears one twice.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use pyti_store::Options;
use pyti_web::Settings;

use crate::server::{SDIST, Server, child, file};

/// Results of the long story.
const ALL: usize = 150;

fn put(server: &Server, n: usize) -> i64 {
    let info = file("six", &format!("1.{n}"), &format!("six-1.{n}.tar.gz"));
    let id = server.put(info, "cpython-3.13", SDIST);
    server.site.tell(id);
    id
}

fn follow(server: &Server, path: &str, headers: &[(&str, &str)]) -> BufReader<TcpStream> {
    let mut all = vec![("Host", "localhost")];
    all.extend(headers);
    let mut reader = BufReader::new(server.open(path, &all));
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains(" 200 "), "{line}");
    // the greeting: from here on it listens
    while line != "retry: 2000\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
    }
    reader
}

/// The next events' numbers.
fn ids(reader: &mut BufReader<TcpStream>, many: usize) -> Vec<i64> {
    let (mut ids, mut told) = (Vec::new(), None);
    let mut line = String::new();
    while ids.len() < many {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream ended");
        if let Some(id) = line.strip_prefix("id: ") {
            told = Some(id.trim().parse().unwrap());
        } else if let Some(data) = line.strip_prefix("data: ") {
            let value: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(value["id"].as_i64(), told);
            ids.extend(told);
        }
    }
    ids
}

#[test]
fn results_are_heard_in_order_and_after_a_break_from_where_it_was() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    put(&server, 0);
    let mut one = follow(&server, "/stream?after=1", &[]);
    let mut two = follow(&server, "/stream?after=0", &[]);
    assert_eq!(ids(&mut two, 1), [1]);
    for n in 1..=5 {
        put(&server, n);
    }
    assert_eq!(ids(&mut one, 3), [2, 3, 4]);
    assert_eq!(ids(&mut two, 5), [2, 3, 4, 5, 6]);
    drop(one);
    let mut again = follow(&server, "/stream?after=0", &[("Last-Event-ID", "4")]);
    assert_eq!(ids(&mut again, 2), [5, 6]);
    put(&server, 6);
    assert_eq!(ids(&mut again, 1), [7]);
    server.site.close();
    let mut rest = String::new();
    while again.read_line(&mut rest).unwrap() > 0 {}
}

#[test]
fn whoever_comes_and_goes_while_results_come_hears_each_once() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    let heard = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut heard = Vec::new();
            while heard.len() < ALL {
                let last = heard.last().copied().unwrap_or(0).to_string();
                let mut reader = follow(&server, "/stream", &[("Last-Event-ID", &last)]);
                heard.extend(ids(&mut reader, 10.min(ALL - heard.len())));
            }
            heard
        });
        for n in 0..ALL {
            put(&server, n);
        }
        reader.join().unwrap()
    });
    assert_eq!(heard, (1..=150).collect::<Vec<i64>>());
}

#[test]
fn whoever_asks_for_all_hears_of_uploads_and_of_what_waits() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    put(&server, 0);
    let mut reader = follow(&server, "/stream?all=1&after=1", &[]);
    let mut only = follow(&server, "/stream?after=1", &[]);
    // from the first of these on it is looked
    let mut line = String::new();
    while line != "event: now\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
    }
    let info = file("six", "2", "six-2.tar.gz");
    let jobs = vec![crate::fill::job(&info, &crate::server::env("cpython-3.13"), 0, true).unwrap()];
    let expansion = pyti_store::Expansion {
        files: vec![info],
        jobs,
        ..Default::default()
    };
    server.store.expand(expansion).unwrap();
    let (mut upload, mut waiting) = (false, false);
    while !(upload && waiting) {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        assert!(!line.starts_with("id: "), "no result came: {line}");
        if let Some(data) = line.strip_prefix("data: ") {
            let value: serde_json::Value = serde_json::from_str(data).unwrap();
            upload |= value["name"] == "six-2.tar.gz";
            waiting |= value["waiting"] == 1;
        }
    }
    server.site.close();
    let mut rest = String::new();
    while only.read_line(&mut rest).unwrap() > 0 {}
    assert!(!rest.contains("upload"), "{rest}");
}

#[test]
fn an_export_has_every_result_in_order_and_goes_on() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    for n in 0..250 {
        put(&server, n);
    }
    let lines = |path: &str| -> Vec<i64> {
        let text = server.get(path).text();
        text.lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(line["findings"].is_array());
                line["id"].as_i64().unwrap()
            })
            .collect()
    };
    assert_eq!(lines("/results.jsonl"), (1..=250).collect::<Vec<_>>());
    assert_eq!(lines("/results.jsonl?after=240"), (241..=250).collect::<Vec<_>>());
    assert_eq!(
        lines("/results.jsonl?after=10&limit=5"),
        (11..=15).collect::<Vec<_>>()
    );
    assert!(lines("/results.jsonl?after=250").is_empty());
}
