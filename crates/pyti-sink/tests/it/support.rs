//! A namespace for each test, and a sink in it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyti_model::trace::{Conversation, Deed, Transport};
use pyti_sink::{Authority, Caps, Report, Simulation, Sink};

/// Set in the process that runs a test in its namespace.
const INSIDE: &str = "PYTI_SINK_TEST_INSIDE";

/// Runs a test in a network namespace of its own: this test program is started again there, for that test only.
pub(crate) fn in_namespace(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        loopback_up();
        test();
        return;
    }
    let probe = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "true"])
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: {name}: this machine gives nobody a network namespace (unshare)");
        return;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn loopback_up() {
    const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
    // SAFETY: the request is filled in before the call, and the socket is ours
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *slot = libc::c_char::from_ne_bytes([*byte]);
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap();
        assert_eq!(libc::ioctl(fd, SIOCSIFFLAGS, &raw const request), 0);
        libc::close(fd);
    }
}

pub(crate) fn sink(caps: Caps) -> Sink {
    let mut simulation = Simulation::new(Arc::new(Authority::new().unwrap()));
    simulation.caps = caps;
    Sink::start(Arc::new(simulation), Instant::now()).unwrap()
}

/// An address of the loopback that nobody but the test uses.
pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 9], port))
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(at(port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
}

/// Asks a web server something; gives the answer and how long it took.
pub(crate) fn ask(port: u16, said: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = connect(port);
    stream.write_all(said).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    (answer, began.elapsed())
}

pub(crate) const GET: &[u8] = b"GET /x.json HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

pub(crate) fn conversations(report: &Report) -> Vec<(u32, &Conversation)> {
    report
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Converse(said) if said.transport == Transport::Tcp => Some((act.times, said.as_ref())),
            _ => None,
        })
        .collect()
}

pub(crate) fn count(report: &Report, what: &str) -> u64 {
    report
        .counts
        .iter()
        .find(|count| count.what == what)
        .map_or(0, |count| count.times)
}

/// Bytes that this process has in memory.
pub(crate) fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}
