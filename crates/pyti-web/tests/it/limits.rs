//! What is too much, each with a twin that is not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pyti_store::Options;
use pyti_web::{Render, Settings};

use crate::server::{SDIST, Server, child, env, file};

fn options(readers: usize, waiting: usize) -> Options {
    Options {
        readers,
        waiting,
        ..Options::default()
    }
}

/// Codes of many requests at once.
fn crowd(server: &Server, path: &str, many: usize) -> Vec<(u16, String)> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..many)
            .map(|_| {
                scope.spawn(|| {
                    let reply = server.get(path);
                    (reply.code, reply.header("retry-after").to_owned())
                })
            })
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn too_many_readers_are_told_to_come_back_and_some_are_not() {
    let small = Server::empty(options(1, 0), Settings::new(child()));
    // a thread that takes no queue: whoever comes while it reads is refused
    let codes: Vec<_> = (0..20).flat_map(|_| crowd(&small, "/reasons", 32)).collect();
    assert!(codes.iter().any(|(code, _)| *code == 200));
    let refused: Vec<_> = codes.iter().filter(|(code, _)| *code != 200).collect();
    assert!(!refused.is_empty());
    assert!(
        refused.iter().all(|one| **one == (503, "2".to_owned())),
        "{refused:?}"
    );
    let big = Server::empty(options(2, 256), Settings::new(child()));
    assert!(crowd(&big, "/reasons", 64).iter().all(|(code, _)| *code == 200));
}

#[test]
fn long_addresses_and_strange_queries_are_refused() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    assert_eq!(server.get(&format!("/search?q={}", "x".repeat(1000))).code, 200);
    assert_eq!(server.get(&format!("/search?q={}", "x".repeat(3000))).code, 400);
    assert_eq!(server.get(&format!("/search?q={}", "x".repeat(5000))).code, 414);
    assert_eq!(server.get("/search?q=%ff").code, 400);
    let many: String = (0..20).map(|n| format!("f{n}=1&")).collect();
    assert_eq!(server.get(&format!("/search?{many}")).code, 400);
}

#[test]
fn a_body_is_not_waited_for() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\nxxxx")
        .unwrap();
    let mut bytes = [0; 256];
    let n = socket.read(&mut bytes).unwrap();
    assert!(bytes[..n].starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_child_that_takes_too_long_is_ended_and_the_page_says_so() {
    let mut settings = Settings::new(Render::Child {
        program: "/bin/sleep".into(),
        arguments: vec!["3600.125".to_owned()],
    });
    settings.longest = Duration::from_millis(500);
    let server = Server::empty(Options::default(), settings);
    let id = server.put(file("six", "1", "six-1.tar.gz"), "cpython-3.13", SDIST);
    let began = Instant::now();
    let reply = server.get(&format!("/results/{id}"));
    assert_eq!((reply.code, reply.header("retry-after")), (503, "2"));
    assert!(began.elapsed() < Duration::from_secs(10));
    // nothing of it is left
    let left = |(): ()| {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == b"/bin/sleep\x003600.125\0")
        })
    };
    let until = Instant::now() + Duration::from_secs(5);
    while left(()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!left(()));
}

/// Puts a result whose recording is these bytes.
fn put_bytes(server: &Server, name: &str, bytes: &[u8]) -> i64 {
    use pyti_dispatch::{Answer, Completion, JobStore as _};
    use pyti_model::outcome::{Outcome, Status, Verdict};
    let info = file("bomb", "1", name);
    let who = crate::fill::enrol(&server.store, &format!("w-{}", bytes.len()), &["cpython-3.13"]).unwrap();
    server
        .store
        .expand(pyti_store::Expansion {
            files: vec![info.clone()],
            jobs: vec![crate::fill::job(&info, &env("cpython-3.13"), 0, true).unwrap()],
            ..Default::default()
        })
        .unwrap();
    let Answer::Granted { grants, .. } = server.store.claim(&who, 1, 1, 1).unwrap() else {
        panic!()
    };
    let result = pyti_store::NewResult {
        file: info,
        env: env("cpython-3.13"),
        finished_ms: 1_790_000_000_000,
        outcome: Outcome {
            status: Status::Pass,
            reasons: vec![],
        },
        verdict: Verdict::Clean,
        blame: None,
        cost_ms: 1,
        passed: 0,
        failed: 0,
        recording: Some(pyti_store::Recording {
            blob: server.store.blobs().put(bytes).unwrap(),
            size: bytes.len() as u64,
            class: pyti_store::Class::Short,
        }),
        baseline: None,
        more: None,
        findings: vec![],
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
fn a_bomb_in_a_recording_costs_a_sentence() {
    let server = Server::empty(Options::default(), Settings::new(child()));
    // a beginning that is right, then a gigabyte in some kilobytes
    let mut bomb = zstd::encode_all(SDIST.as_bytes(), 3).unwrap();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    std::io::copy(&mut std::io::repeat(b' ').take(1 << 30), &mut encoder).unwrap();
    bomb.extend(encoder.finish().unwrap());
    assert!(bomb.len() < 200_000);
    let garbage = put_bytes(&server, "garbage-1.tar.gz", b"garbage");
    let bomb = put_bytes(&server, "bomb-1.tar.gz", &bomb);
    let deep = format!(
        "{{\"seq\":0,\"at_us\":0,\"event\":\"decided\",\"x\":{}",
        "[".repeat(100_000)
    );
    let deep = put_bytes(
        &server,
        "deep-1.tar.gz",
        &zstd::encode_all(deep.as_bytes(), 3).unwrap(),
    );
    for (id, why) in [
        (bomb, "it can be kept, but is not shown"),
        (garbage, "this is no recording"),
        (deep, "this is no recording"),
    ] {
        let began = Instant::now();
        let reply = server.get(&format!("/results/{id}"));
        assert_eq!(reply.code, 200);
        assert!(reply.text().contains(why), "{}", reply.text());
        assert!(began.elapsed() < Duration::from_secs(30));
        // who wants it can have it
        assert_eq!(server.get(&format!("/results/{id}/recording")).code, 200);
    }
    // and the next one is shown
    let good = server.put(file("six", "1", "six-1.tar.gz"), "cpython-3.13", SDIST);
    assert!(
        server
            .get(&format!("/results/{good}"))
            .text()
            .contains("id=\"data\"")
    );
}

#[test]
fn streams_are_bounded() {
    let mut settings = Settings::new(child());
    settings.streams = 2;
    let server = Server::empty(Options::default(), settings);
    let host = [("Host", "localhost")];
    let mut first = server.open("/stream", &host);
    let mut second = server.open("/stream", &host);
    for socket in [&mut first, &mut second] {
        let mut bytes = [0; 1024];
        let n = socket.read(&mut bytes).unwrap();
        assert!(bytes[..n].starts_with(b"HTTP/1.0 200"));
    }
    assert_eq!(server.get("/stream").code, 503);
    drop(first);
    let until = Instant::now() + Duration::from_secs(40);
    // a connection that is gone is seen when something is said to it
    server.put(file("six", "1", "six-1.tar.gz"), "cpython-3.13", SDIST);
    loop {
        let mut socket = server.open("/stream", &host);
        let mut bytes = [0; 16];
        let n = socket.read(&mut bytes).unwrap();
        if bytes[..n].starts_with(b"HTTP/1.0 200") {
            break;
        }
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(200));
    }
}
