//! A real controller and real workers on this machine, which tests may kill.

// every test file is a program of its own and uses a part of this
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::missing_panics_doc
)]

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use pyti_fixtures::LocalIndex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Place, leftovers};

/// Longest wait for anything that the machine does at once.
const SOON: Duration = Duration::from_mins(1);

/// Folders, an index, and a controller.
pub struct Service {
    pub place: Place,
    pub index: LocalIndex,
    pub port: u16,
    controller: Option<Child>,
    starts: u32,
}

impl Service {
    /// A service over this index, not started; `None`, loudly, where no box can be opened.
    pub fn new(test: &str, index: LocalIndex) -> Option<Self> {
        let mut place = Place::new(test)?;
        place.configure(&format!("index-url = \"{}\"\n", index.url()));
        // who is killed leaves it to the next one
        place.may_leave_scratch = true;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Some(Self {
            place,
            index,
            port,
            controller: None,
            starts: 0,
        })
    }

    /// The folder of the controller's data.
    pub fn data(&self) -> PathBuf {
        self.place.path().join("service")
    }

    /// The address of the socket.
    pub fn socket(&self) -> String {
        format!("unix:{}", self.data().join("pyti.sock").display())
    }

    /// The address for workers elsewhere.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn spawn(&mut self, log: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.place.path().join(format!("{log}.log")))
            .unwrap();
        let mut command = self.place.pyti(arguments);
        command
            .envs(variables.iter().copied())
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file));
        leftovers::spawn(&mut command)
    }

    /// Starts the controller, without a worker of its own, and waits until it answers.
    pub fn serve(&mut self) {
        let (data, listen) = (self.data(), format!("127.0.0.1:{}", self.port));
        let arguments = [
            "serve",
            "--data",
            data.to_str().unwrap(),
            "--listen",
            &listen,
            "--no-worker",
        ];
        self.starts += 1;
        let child = self.spawn("controller", &arguments, &[("PYTI_SERVE_TLS", "own")]);
        self.controller = Some(child);
        let deadline = Instant::now() + SOON;
        while std::os::unix::net::UnixStream::connect(data.join("pyti.sock")).is_err() {
            let ended = self.controller.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the controller does not answer: {}",
                self.log("controller")
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// What was said by somebody.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.place.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    /// Kills the controller, as a power cut does.
    pub fn kill_controller(&mut self) {
        kill(&mut self.controller.take().unwrap());
    }

    /// Ends the controller in order.
    pub fn end_controller(&mut self) {
        let mut child = self.controller.take().unwrap();
        end(&mut child);
    }

    /// Starts a worker of this name, over the socket or over TLS.
    pub fn worker(&mut self, name: &str, controller: &str, more: &[&str]) -> Child {
        let data = self.place.path().join(format!("worker-{name}"));
        let mut arguments = vec![
            "worker",
            "--controller",
            controller,
            "--name",
            name,
            "--json",
            "--data",
            data.to_str().unwrap(),
        ];
        arguments.extend(more);
        self.spawn(&format!("worker-{name}"), &arguments, &[])
    }

    /// What a worker has told, as objects.
    pub fn news(&self, name: &str) -> Vec<Value> {
        self.log(&format!("worker-{name}"))
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until a worker has told this.
    pub fn until_told(&self, name: &str, news: &str, count: usize) {
        let deadline = Instant::now() + SOON;
        loop {
            let told = self.news(name).iter().filter(|one| one["news"] == news).count();
            if told >= count {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name} never told {news} {count} times: {}\ncontroller: {}",
                self.log(&format!("worker-{name}")),
                self.log("controller")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `pyti` with these arguments, at this controller.
    pub fn asks(&self, arguments: &[&str]) -> Output {
        self.place
            .pyti(arguments)
            .env("PYTI_CONTROLLER", self.socket())
            .output()
            .unwrap()
    }

    /// The same, which must go well: what it printed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.asks(arguments);
        assert!(
            output.status.success(),
            "pyti {}: {}\ncontroller: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr),
            self.log("controller")
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// All results so far, oldest first.
    pub fn results(&self) -> Vec<Value> {
        let text = self.told(&["watch", "--after", "0", "--no-wait", "--json"]);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.controller.take() {
            if std::thread::panicking() {
                kill(&mut child);
            } else {
                end(&mut child);
            }
        }
    }
}

/// Kills a process as a power cut does.
pub fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends a process in order, and waits for it.
pub fn end(child: &mut Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
    let deadline = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}
