//! An index that others wrote: pypiserver, which speaks HTML and has no metadata beside its files.

mod support;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Place, fixtures, reasons};

/// The server; it ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(code: &std::path::Path, packages: &std::path::Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "pypiserver",
            "run",
            "--interface",
            "127.0.0.1",
            "--disable-fallback",
            "--port",
        ]);
        command
            .arg(port.to_string())
            .arg(packages)
            .env("PYTHONPATH", code);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "pypiserver does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/simple/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_people_use_is_as_good_as_ours() {
    let test = "a_server_that_people_use_is_as_good_as_ours";
    let Some(place) = Place::new(test) else { return };
    let (code, wheels) = match (support::tools::pypiserver(), support::tools::wheels()) {
        (Ok(code), Ok(wheels)) => (code, wheels),
        (Err(why), _) | (_, Err(why)) => return support::skipped(test, &why),
    };
    let packages = place.path().join("packages");
    std::fs::create_dir(&packages).unwrap();
    for fixture in fixtures(&[
        "unittest-passes",
        "sdist-only-dependency",
        "only-an-sdist",
        "plain-backend",
    ]) {
        fixture.write_to(&packages).unwrap();
    }
    for wheel in std::fs::read_dir(wheels).unwrap().flatten() {
        std::fs::copy(wheel.path(), packages.join(wheel.file_name())).unwrap();
    }
    let server = Server::start(&code, &packages);
    let run = |target: &str| place.ends(["run", "--json", "--index-url", &server.url(), target]);
    for name in ["unittest-passes", "sdist-only-dependency"] {
        let ended = run(name).code(0);
        let object = ended.object();
        assert_eq!(object["status"], "pass", "{}", ended.story());
        assert_eq!(object["files"].as_array().unwrap().len(), 2, "{}", ended.story());
    }
    let ended = run("nothing-like-this").code(4);
    assert_eq!(reasons(&ended.object()), ["unknown_project"], "{}", ended.story());
}
