//! Clients that mean harm: nobody stalls the others, and nothing grows.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use pyti_model::trace::Deed;
use pyti_sink::Caps;

use crate::support::{GET, ask, at, connect, conversations, count, in_namespace, memory, sink};

/// How long an ordinary client may wait while others mean harm; this machine is busy with other tests, too.
const SOON: Duration = Duration::from_secs(10);

fn reset(stream: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: the value lives, and its size is what it is said to be
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            u32::try_from(size_of::<libc::linger>()).unwrap(),
        );
    }
}

#[test]
fn slow_clients_hold_up_nobody_and_are_hung_up_on() {
    in_namespace("floods::slow_clients_hold_up_nobody_and_are_hung_up_on", || {
        let sink = sink(Caps {
            lasting: Duration::from_secs(2),
            ..Caps::default()
        });
        let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(80)).collect();
        let began = Instant::now();
        let mut closed = 0;
        while began.elapsed() < Duration::from_secs(3) {
            closed = slow
                .iter_mut()
                .filter_map(|stream| stream.write_all(b"G").err())
                .count();
            std::thread::sleep(Duration::from_millis(100));
            if began.elapsed() < Duration::from_secs(1) {
                let (answer, took) = ask(80, GET);
                assert!(answer.starts_with("HTTP/1.1 200") && took < SOON, "{took:?}");
            }
        }
        assert_eq!(closed, 300, "after two seconds");
        assert!(
            ask(443, b"\x16\x03\x01\xff\xff").0.starts_with('\u{15}'),
            "an alert"
        );
        sink.finish();
    });
}

#[test]
fn a_hundred_thousand_connections_are_counted() {
    in_namespace("floods::a_hundred_thousand_connections_are_counted", || {
        let sink = sink(Caps::default());
        let before = memory();
        let flood = |number: u32| {
            let mut made = 0u64;
            for turn in 0..number {
                let Ok(mut stream) = TcpStream::connect(at(4444)) else {
                    continue;
                };
                made += 1;
                if turn % 3 == 0 {
                    let _ = stream.write_all(b"hello");
                }
                reset(&stream);
            }
            made
        };
        let made: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| flood(25_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(made > 90_000, "{made}");
        let began = Instant::now();
        let report = sink.finish();
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let refused = count(&report, "sink_connections_refused");
        let kept: u64 = conversations(&report)
            .iter()
            .map(|(times, _)| u64::from(*times))
            .sum();
        let acts = count(&report, "sink_acts_dropped");
        assert!(refused >= 80_000, "{refused}");
        assert!(
            kept + acts <= 10_000 && report.acts.len() <= 4096,
            "{kept} {acts}"
        );
        assert!(!report.losses.is_empty());
        assert!(memory() - before < 64 << 20, "{} KiB", (memory() - before) >> 10);
    });
}

#[test]
fn open_connections_beyond_the_cap_are_reset_and_the_others_served() {
    in_namespace(
        "floods::open_connections_beyond_the_cap_are_reset_and_the_others_served",
        || {
            let sink = sink(Caps {
                connections: 50,
                ..Caps::default()
            });
            let mut open: Vec<TcpStream> = (0..60).map(|_| connect(8080)).collect();
            let mut served = 0;
            for stream in &mut open {
                let mut answer = String::new();
                if stream.write_all(GET).is_ok() {
                    let _ = stream.read_to_string(&mut answer);
                }
                served += usize::from(answer.starts_with("HTTP/1.1 200"));
            }
            assert_eq!(served, 50);
            // and there is room again, as soon as they have hung up
            drop(open);
            std::thread::sleep(Duration::from_millis(200));
            assert!(ask(8080, GET).0.starts_with("HTTP/1.1 200"));
            assert_eq!(count(&sink.finish(), "sink_connections_refused"), 10);
        },
    );
}

#[test]
fn garbage_in_tls_is_recorded_and_ends() {
    in_namespace("floods::garbage_in_tls_is_recorded_and_ends", || {
        let sink = sink(Caps::default());
        let mut seed = 12_345u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        for turn in 0..300usize {
            let mut hello = vec![0x16, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3];
            hello.extend((0..turn % 90).map(|_| random()));
            let mut stream = connect(443);
            let _ = stream.write_all(&hello);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let (answer, took) = ask(80, GET);
        assert!(
            answer.starts_with("HTTP/1.1 200") && took < SOON,
            "{took:?} {answer}"
        );
        let report = sink.finish();
        let all = conversations(&report);
        let with_tls: Vec<_> = all.iter().filter_map(|(_, said)| said.tls.as_ref()).collect();
        assert_eq!(with_tls.len(), 300);
        assert!(with_tls.iter().all(|tls| !tls.accepted && tls.alert.is_some()));
    });
}

#[test]
fn floods_of_names_and_datagrams_are_capped() {
    in_namespace("floods::floods_of_names_and_datagrams_are_capped", || {
        let sink = sink(Caps::default());
        let before = memory();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(at(53)).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut answers, mut buffer) = (0, [0; 1000]);
        for number in 0..20_000u32 {
            let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63];
            message.extend(format!("{number:063}").bytes());
            message.extend(b"\x07example\0\0\x01\0\x01");
            client.send(&message).unwrap();
            answers += u32::from(client.recv(&mut buffer).is_ok());
        }
        assert!(answers > 19_900, "{answers}");
        for number in 0..3000u32 {
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            other.send_to(&number.to_be_bytes(), at(514)).unwrap();
        }
        let report = sink.finish();
        let names = report
            .acts
            .iter()
            .filter(|act| matches!(act.deed, Deed::Resolve { .. }))
            .count();
        assert!(names <= 4096 && report.names.len() <= 4096 && report.acts.len() <= 4096);
        assert!(count(&report, "sink_names_shared") > 15_000);
        assert!(count(&report, "sink_acts_dropped") > 15_000);
        assert!(!report.losses.is_empty());
        assert!(memory() - before < 48 << 20, "{} KiB", (memory() - before) >> 10);
    });
}

#[test]
fn whoever_asks_and_never_reads_does_not_grow_it() {
    in_namespace("floods::whoever_asks_and_never_reads_does_not_grow_it", || {
        let sink = sink(Caps::default());
        let before = memory();
        let questions = b"GET /x.json HTTP/1.1\r\n\r\n".repeat(1000);
        let mut greedy: Vec<TcpStream> = (0..150).map(|_| connect(80)).collect();
        for stream in &greedy {
            stream.set_nonblocking(true).unwrap();
        }
        for _ in 0..30 {
            for stream in &mut greedy {
                let _ = stream.write(&questions);
            }
        }
        let (answer, took) = ask(80, GET);
        assert!(
            answer.starts_with("HTTP/1.1 200") && took < SOON,
            "{took:?} {answer}"
        );
        assert!(memory() - before < 96 << 20, "{} KiB", (memory() - before) >> 10);
        let report = sink.finish();
        assert!(count(&report, "sink_questions_dropped") > 0);
    });
}

#[test]
fn big_uploads_are_read_to_their_end_and_their_beginning_is_kept() {
    in_namespace(
        "floods::big_uploads_are_read_to_their_end_and_their_beginning_is_kept",
        || {
            let sink = sink(Caps::default());
            let before = memory();
            let size = 200usize << 20;
            let mut stream = connect(80);
            stream
                .write_all(
                    format!("PUT /big HTTP/1.1\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n")
                        .as_bytes(),
                )
                .unwrap();
            let block = vec![b'x'; 1 << 20];
            for _ in 0..200 {
                stream.write_all(&block).unwrap();
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let report = sink.finish();
            let (_, said) = conversations(&report)[0];
            assert_eq!(said.exchanges[0].body.total, size as u64);
            assert!(said.sent.head.len() == 64 << 10 && said.exchanges[0].body.head.len() == 64 << 10);
            assert!(memory() - before < 32 << 20, "{} KiB", (memory() - before) >> 10);
            assert!(report.losses.is_empty(), "what is beyond 64 KiB is in the total");
        },
    );
}

#[test]
fn without_descriptors_callers_are_turned_away() {
    in_namespace("floods::without_descriptors_callers_are_turned_away", || {
        let sink = sink(Caps::default());
        // SAFETY: plain calls with a value that lives
        unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
            limit.rlim_cur = 120;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
        let mut open = Vec::new();
        while let Ok(stream) = TcpStream::connect(at(8080)) {
            open.push(stream);
        }
        std::thread::sleep(Duration::from_millis(100));
        drop(open);
        std::thread::sleep(Duration::from_millis(200));
        assert!(ask(8080, GET).0.starts_with("HTTP/1.1 200"));
        let report = sink.finish();
        assert!(count(&report, "sink_connections_refused") > 0);
    });
}

#[test]
fn anything_may_be_said_to_every_port() {
    in_namespace("floods::anything_may_be_said_to_every_port", || {
        let sink = sink(Caps::default());
        let mut seed = 99_991u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[0]
        };
        let beginnings: &[&[u8]] = &[
            b"",
            b"\x16\x03\x01\x00\x20",
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
            b"*3\r\n$",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
        ];
        for port in [
            21, 22, 25, 53, 80, 110, 443, 465, 587, 993, 3333, 4444, 5432, 6379, 8080, 50_021,
        ] {
            for beginning in beginnings {
                let mut said = beginning.to_vec();
                said.extend((0..usize::from(random()) * 4).map(|_| random()));
                let mut stream = connect(port);
                stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
                let _ = stream.write_all(&said);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                let _ = client.send_to(&said, at(port));
            }
        }
        let (answer, took) = ask(80, GET);
        assert!(
            answer.starts_with("HTTP/1.1 200") && took < SOON,
            "{took:?} {answer}"
        );
        let report = sink.finish();
        assert_eq!(count(&report, "sink_conversations_broken"), 0);
        assert!(conversations(&report).len() > 100);
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

#[test]
fn attacks_on_http2_end_and_hold_up_nobody() {
    in_namespace("floods::attacks_on_http2_end_and_hold_up_nobody", || {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        // GET / http, of nobody
        let question = [0x82, 0x84, 0x86];
        let sink = sink(Caps::default());
        let before = memory();
        let start = [PREFACE, &frame(4, 0, 0, &[])].concat();
        let mut attacks = vec![start.clone(), start.clone(), start.clone(), start.clone()];
        for number in 0..20_000u32 {
            let stream = number * 2 + 1;
            // opened and reset at once
            attacks[0].extend(frame(1, 5, stream, &question));
            attacks[0].extend(frame(3, 0, stream, &[0, 0, 0, 8]));
            // settings and pings that want an answer each
            attacks[1].extend(frame(4, 0, 0, &[]));
            attacks[1].extend(frame(6, 0, 0, &[0; 8]));
            // a question with a body that never ends, of nothing
            attacks[3].extend(frame(0, 0, 1, &[]));
        }
        // header fields without end
        attacks[2].extend(frame(1, 1, 1, &question));
        for _ in 0..5000 {
            attacks[2].extend(frame(9, 0, 1, &[0, 1, b'a', 200, b'b', b'c', b'd']));
        }
        attacks.push([&start[..], &frame(1, 4, 1, &[0x83, 0x84, 0x86])].concat());
        for attack in &attacks {
            let mut stream = connect(80);
            stream.set_nonblocking(true).unwrap();
            let (mut rest, mut buffer) = (&attack[..], [0; 4096]);
            let began = Instant::now();
            while !rest.is_empty() && began.elapsed() < Duration::from_secs(3) {
                match stream.write(rest) {
                    Ok(length) => rest = &rest[length..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(_) => break,
                }
                let _ = stream.read(&mut buffer);
            }
            let (answer, took) = ask(80, GET);
            assert!(answer.starts_with("HTTP/1.1 200") && took < SOON, "{took:?}");
        }
        assert!(memory() - before < 64 << 20, "{} KiB", (memory() - before) >> 10);
        let report = sink.finish();
        assert_eq!(count(&report, "sink_conversations_broken"), 0);
    });
}
