//! Workers over TLS and over the socket: who is let in, who is sent away, and that a job is what `pyti run` does.

mod support;
#[path = "support/world.rs"]
mod world;

use std::time::{Duration, Instant};

use pyti_fixtures::{Faults, LocalIndex};
use serde_json::Value;
use support::service::{Service, end, kill};
use world::write_wheel;

/// An index with so many small wheels.
fn small(count: usize) -> (tempfile::TempDir, LocalIndex) {
    let wheels = tempfile::tempdir().unwrap();
    for n in 0..count {
        write_wheel(wheels.path(), &format!("small{n}"), "1.0", &[]);
    }
    let index = LocalIndex::start(Vec::new(), Faults::none())
        .unwrap()
        .with_folder(wheels.path())
        .unwrap();
    (wheels, index)
}

fn submit(service: &Service, numbers: std::ops::Range<usize>) -> Vec<Value> {
    let names: Vec<String> = numbers.map(|n| format!("small{n}")).collect();
    let mut arguments = vec!["submit", "--no-watch", "--wait", "--json"];
    arguments.extend(names.iter().map(String::as_str));
    let text = service.told(&arguments);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn three_workers_over_tls_and_one_of_them_is_revoked() {
    let (_wheels, index) = small(8);
    let Some(mut service) = Service::new("workers over TLS", index) else {
        return;
    };
    service.serve();
    let url = service.url();
    let mut workers = Vec::new();
    for name in ["one", "two", "three"] {
        let token = service.told(&["admin", "workers", "invite", "--name", name]);
        let path = service.place.path().join(format!("token-{name}"));
        std::fs::write(&path, &token).unwrap();
        workers.push(service.worker(
            name,
            &url,
            &["--slots", "1", "--join-file", path.to_str().unwrap()],
        ));
        service.until_told(name, "ready", 1);
        // the token was used
        let other = service.worker(
            &format!("{name}-again"),
            &url,
            &["--join-file", path.to_str().unwrap()],
        );
        let output = other.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(5),
            "{}",
            service.log(&format!("worker-{name}-again"))
        );
        assert!(!service.log(&format!("worker-{name}")).contains(token.trim()));
    }
    for job in submit(&service, 0..4) {
        assert_eq!(job["result"]["status"], "load", "{job}");
    }
    // everybody waits for work now, in a long poll
    std::thread::sleep(Duration::from_millis(700));
    let began = Instant::now();
    service.told(&["admin", "workers", "revoke", "two"]);
    let mut two = workers.remove(1);
    let status = loop {
        if let Some(status) = two.try_wait().unwrap() {
            break status;
        }
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{}",
            service.log("worker-two")
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(5));
    assert!(
        service.log("worker-two").contains("revoked"),
        "{}",
        service.log("worker-two")
    );
    for job in submit(&service, 4..8) {
        assert_eq!(job["result"]["status"], "load", "{job}");
        assert_ne!(job["worker"], "two");
    }
    // it is out for good, also after a new start
    let again = service
        .worker("two", &url, &["--slots", "1"])
        .wait_with_output()
        .unwrap();
    assert_eq!(again.status.code(), Some(5));
    assert_eq!(service.results().len(), 8);
    for mut worker in workers {
        end(&mut worker);
    }
}

#[test]
fn only_the_controller_of_the_token_is_believed() {
    let (_wheels, index) = small(1);
    let Some(mut service) = Service::new("another authority", index) else {
        return;
    };
    service.serve();
    let token = service.told(&["admin", "tokens", "create", "me", "--scope", "admin"]);
    let join = service.told(&["admin", "workers", "invite"]);
    let authority = join.trim().rsplit('.').next().unwrap().to_owned();
    let ask = |authority: &str, token: &str| {
        service
            .place
            .pyti(["status", "--json"])
            .env("PYTI_CONTROLLER", service.url())
            .env("PYTI_AUTHORITY", authority)
            .env("PYTI_TOKEN", token)
            .output()
            .unwrap()
    };
    let good = ask(&authority, token.trim());
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let nobody = ask(&authority, "pyti-api-1.0123456789abcdef0123456789abcdef");
    assert_eq!(nobody.status.code(), Some(5));
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(
        said.contains("does not let us") && said.contains("hint:"),
        "{said}"
    );
    let other = ask(&"0".repeat(64), token.trim());
    assert_eq!(other.status.code(), Some(5));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        said.contains("no controller") && !said.contains(token.trim()),
        "{said}"
    );
}

#[test]
fn a_worker_without_a_token_waits_for_somebody_who_trusts_it() {
    let (_wheels, index) = small(1);
    let Some(mut service) = Service::new("approval", index) else {
        return;
    };
    service.serve();
    let join = service.told(&["admin", "workers", "invite"]);
    let authority = join.trim().rsplit('.').next().unwrap().to_owned();
    let url = service.url();
    let mut worker = service.worker("new", &url, &["--slots", "1", "--authority", &authority]);
    service.until_told("new", "pending", 1);
    service.told(&["admin", "workers", "approve", "new"]);
    service.until_told("new", "ready", 1);
    assert_eq!(submit(&service, 0..1)[0]["result"]["status"], "load");
    end(&mut worker);
}

#[test]
fn a_job_is_what_pyti_run_does() {
    let names = ["pure-passes", "tests-fail"];
    let Some(index) = support::served("a job is what pyti run does", &names, Faults::none()) else {
        return;
    };
    let Some(mut service) = Service::new("a job is what pyti run does", index) else {
        return;
    };
    service.serve();
    let socket = service.socket();
    let mut worker = service.worker("local", &socket, &["--slots", "1"]);
    for name in names {
        let ran = service.place.run(&service.index, [name]);
        let wanted = ran.object();
        let output = service.asks(&["submit", name, "--wait", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<(String, String, String)> = text
            .lines()
            .map(|line| {
                let job: Value = serde_json::from_str(line).unwrap();
                let result = &job["result"];
                let word = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
                (word("file"), word("status"), word("verdict"))
            })
            .collect();
        found.sort();
        let mut files: Vec<(String, String, String)> = wanted["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                let word = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
                (word("filename"), word("status"), word("verdict"))
            })
            .collect();
        files.sort();
        assert_eq!(found, files, "{name}: {}", service.log("worker-local"));
        assert_eq!(output.status.code(), Some(ran.code), "{name}");
    }
    end(&mut worker);
}

#[test]
fn a_job_is_stopped_when_nobody_wants_it_and_goes_back_free_of_charge_when_the_worker_stops() {
    let Some(index) = support::served("stopping", &["hangs-in-import"], Faults::none()) else {
        return;
    };
    let Some(mut service) = Service::new("stopping", index) else {
        return;
    };
    service.serve();
    let socket = service.socket();
    let mut worker = service.worker("stops", &socket, &["--slots", "1"]);
    service.until_told("stops", "ready", 1);
    let submit = |service: &Service, more: &[&str]| -> String {
        let mut arguments = vec!["submit", "hangs-in-import", "--no-watch", "--json"];
        arguments.extend(more);
        let submitted: Value = serde_json::from_str(&service.told(&arguments)).unwrap();
        let jobs: Vec<String> = submitted["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["job"].to_string())
            .collect();
        // the wheel is enough
        for other in &jobs[1..] {
            service.told(&["admin", "jobs", "cancel", other]);
        }
        jobs[0].clone()
    };
    let first = submit(&service, &[]);
    service.until_told("stops", "took", 1);
    std::thread::sleep(Duration::from_secs(2));
    service.told(&["admin", "jobs", "cancel", &first]);
    service.until_told("stops", "stopped", 1);
    let status = service.asks(&["status", &first, "--json"]);
    assert_eq!(status.status.code(), Some(5));
    let view: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(view["state"], "cancelled", "{view}");

    let second = submit(&service, &["--again"]);
    service.until_told("stops", "took", 2);
    std::thread::sleep(Duration::from_secs(2));
    end(&mut worker);
    let news = service.news("stops");
    let released = news.iter().find(|one| one["news"] == "released").unwrap();
    assert_eq!(released["clean"], true);
    let view: Value = serde_json::from_str(&service.told(&["status", &second, "--json"])).unwrap();
    assert_eq!(
        (&view["state"], &view["lost"]),
        (&"queued".into(), &0.into()),
        "{view}"
    );

    // the twin: a worker that was killed gives it back at its next start, and that is counted
    let mut worker = service.worker("stops", &socket, &["--slots", "1"]);
    service.until_told("stops", "took", 3);
    std::thread::sleep(Duration::from_secs(1));
    kill(&mut worker);
    // held first, so that it is not given out again at once
    service.told(&["admin", "workers", "hold", "stops"]);
    let mut worker = service.worker("stops", &socket, &["--slots", "1"]);
    service.until_told("stops", "released", 2);
    let view: Value = serde_json::from_str(&service.told(&["status", &second, "--json"])).unwrap();
    assert_eq!(
        (&view["state"], &view["lost"]),
        (&"queued".into(), &1.into()),
        "{view}"
    );
    end(&mut worker);
}

#[test]
fn a_copy_of_a_worker_is_found_out() {
    let (_wheels, index) = small(1);
    let Some(mut service) = Service::new("a copy of a worker", index) else {
        return;
    };
    service.serve();
    let socket = service.socket();
    let mut first = service.worker("own", &socket, &["--slots", "1"]);
    service.until_told("own", "ready", 1);
    // the same folder is locked
    let busy = service.worker("own", &socket, &[]).wait_with_output().unwrap();
    assert_eq!(busy.status.code(), Some(5));
    assert!(service.log("worker-own").contains("another worker uses"));
    let (from, to) = (
        service.place.path().join("worker-own"),
        service.place.path().join("worker-copy"),
    );
    for path in support::walk(&from) {
        let target = to.join(path.strip_prefix(&from).unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
    let mut copy = service.worker("copy", &socket, &["--slots", "1"]);
    service.until_told("copy", "ready", 1);
    // the older start has nothing to say any more
    submit(&service, 0..1);
    let deadline = Instant::now() + Duration::from_secs(40);
    let status = loop {
        if let Some(status) = first.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "{}", service.log("worker-own"));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(5));
    assert!(
        service.log("worker-own").contains("another process has started"),
        "{}",
        service.log("worker-own")
    );
    end(&mut copy);
}
