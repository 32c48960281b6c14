//! Clients that behave oddly, but not badly.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use pyti_model::trace::{Deed, Transport};
use pyti_sink::Caps;

use crate::support::{GET, ask, at, connect, conversations, count, in_namespace, sink};

#[test]
fn a_port_is_open_when_its_call_was_announced() {
    in_namespace("manners::a_port_is_open_when_its_call_was_announced", || {
        let sink = sink(Caps::default());
        let handle = sink.handle();
        assert!(TcpStream::connect(at(31_000)).is_err());
        // announcements of the loopback are ignored, and in a namespace without routes there is nothing else
        handle.expect(Transport::Tcp, at(31_000), 1, None);
        assert!(TcpStream::connect(at(31_000)).is_err());
        let to: SocketAddr = "203.0.113.5:31000".parse().unwrap();
        let began = Instant::now();
        handle.expect(Transport::Tcp, to, 1, None);
        assert!(began.elapsed() < Duration::from_millis(100));
        let began = Instant::now();
        for _ in 0..1000 {
            handle.expect(Transport::Tcp, to, 1, None);
        }
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "open already: {:?}",
            began.elapsed()
        );
        assert!(ask(31_000, GET).0.starts_with("HTTP/1.1 200"));
        handle.expect(Transport::Udp, "[2001:db8::1]:31000".parse().unwrap(), 1, None);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(at(31_000)).unwrap();
        client.send(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(client.send(b"y").is_ok(), "nobody said that the port is closed");
        let report = sink.finish();
        assert_eq!(report.announced.get(&(Transport::Tcp, to)), Some(&1));
        assert_eq!(report.acts.len(), 2, "{:?}", report.acts);
    });
}

#[test]
fn ports_beyond_the_cap_stay_closed() {
    in_namespace("manners::ports_beyond_the_cap_stay_closed", || {
        let sink = sink(Caps {
            ports: 3,
            ..Caps::default()
        });
        for port in 31_000..31_005 {
            sink.handle().expect(
                Transport::Tcp,
                SocketAddr::from(([203, 0, 113, 5], port)),
                1,
                None,
            );
        }
        let open: Vec<bool> = (31_000..31_005)
            .map(|port| TcpStream::connect(at(port)).is_ok())
            .collect();
        assert_eq!(open, [true, true, true, false, false]);
        let report = sink.finish();
        assert_eq!(count(&report, "sink_ports_refused"), 2);
        assert!(report.losses.is_empty(), "what is tried there is told by others");
    });
}

#[test]
fn whoever_says_nothing_is_spoken_to_and_then_hung_up_on() {
    in_namespace(
        "manners::whoever_says_nothing_is_spoken_to_and_then_hung_up_on",
        || {
            let sink = sink(Caps {
                silence: Duration::from_millis(200),
                idle: Duration::from_millis(900),
                ..Caps::default()
            });
            let mut said = String::new();
            let began = Instant::now();
            connect(4444).read_to_string(&mut said).unwrap();
            assert_eq!(said, "220 127.0.0.9 ready\r\n");
            assert!(began.elapsed() > Duration::from_millis(800) && began.elapsed() < Duration::from_secs(3));
            // where the client begins, it may take its time
            let mut web = connect(80);
            std::thread::sleep(Duration::from_millis(500));
            web.write_all(GET).unwrap();
            let mut answer = String::new();
            web.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let report = sink.finish();
            let languages: Vec<_> = conversations(&report)
                .iter()
                .map(|(_, said)| said.language.as_str())
                .collect();
            assert_eq!(languages, ["nothing", "http"]);
        },
    );
}

#[test]
fn a_client_that_only_half_hangs_up_gets_its_answer() {
    in_namespace(
        "manners::a_client_that_only_half_hangs_up_gets_its_answer",
        || {
            let sink = sink(Caps::default());
            let mut stream = connect(80);
            stream
                .write_all(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
                .unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("{\"ok\":true}\n"), "{answer}");
            let mut raw = connect(9999);
            raw.write_all(b"{").unwrap();
            raw.shutdown(Shutdown::Write).unwrap();
            assert_eq!(raw.read(&mut [0; 10]).unwrap(), 0);
            let report = sink.finish();
            let said: Vec<_> = conversations(&report)
                .iter()
                .map(|(_, said)| (said.language.clone(), said.sent.total))
                .collect();
            assert_eq!(said[1], ("raw".to_owned(), 1));
        },
    );
}

#[test]
fn what_was_said_just_before_the_end_is_kept() {
    in_namespace("manners::what_was_said_just_before_the_end_is_kept", || {
        let sink = sink(Caps::default());
        let mut open = Vec::new();
        for number in 0..200u32 {
            let mut stream = connect(4444);
            stream.write_all(format!("secret {number}").as_bytes()).unwrap();
            open.push(stream);
        }
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"last words", at(514)).unwrap();
        let report = sink.finish();
        let said = conversations(&report);
        assert_eq!(said.len(), 200);
        assert!(
            said.iter()
                .all(|(_, said)| said.sent.head.lossy().starts_with("secret "))
        );
        let datagrams = report
            .acts
            .iter()
            .filter(|act| matches!(&act.deed, Deed::Converse(said) if said.transport == Transport::Udp));
        assert_eq!(datagrams.count(), 1);
        assert!(report.losses.is_empty());
    });
}
