//! A worker and its controller are killed again and again; every job has one result, and no more.

mod support;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pyti_fixtures::{Faults, LocalIndex};
use serde_json::Value;
use support::service::{Service, kill};
use world::write_wheel;

/// How much of it. `cargo xtask chaos` sets `PYTI_CHAOS=JOBS,WORKER_KILLS,CONTROLLER_KILLS`.
struct Scale {
    jobs: usize,
    worker_kills: usize,
    controller_kills: usize,
}

impl Scale {
    fn find() -> Self {
        let text = std::env::var("PYTI_CHAOS").unwrap_or_else(|_| "12,2,2".to_owned());
        let numbers: Vec<usize> = text.split(',').map(|n| n.parse().unwrap()).collect();
        Self {
            jobs: numbers[0],
            worker_kills: numbers[1],
            controller_kills: numbers[2],
        }
    }
}

/// Milliseconds to wait before a kill: so that it hits another moment of a job each time, and the same in each run.
fn delay(number: usize) -> Duration {
    Duration::from_millis((number as u64 * 733) % 1900)
}

#[test]
#[expect(clippy::print_stdout, reason = "what the full form is run for")]
fn every_job_has_one_result_whatever_is_killed() {
    let scale = Scale::find();
    let wheels = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..scale.jobs).map(|n| format!("chaos{n:03}")).collect();
    for name in &names {
        write_wheel(wheels.path(), name, "1.0", &[]);
    }
    let index = LocalIndex::start(Vec::new(), Faults::none())
        .unwrap()
        .with_folder(wheels.path())
        .unwrap();
    let Some(mut service) = Service::new("chaos", index) else {
        return;
    };
    let began = Instant::now();
    service.serve();
    let socket = service.socket();
    let start = |service: &mut Service| service.worker("chaos", &socket, &["--slots", "2"]);
    let mut worker = start(&mut service);
    // the interpreter is the newest that it has
    service.until_told("chaos", "ready", 1);
    let list = service.place.work().join("targets");
    std::fs::write(&list, names.join("\n")).unwrap();
    let text = service.told(&["submit", "-f", list.to_str().unwrap(), "--no-watch", "--json"]);
    let jobs: Vec<u64> = text
        .lines()
        .flat_map(|line| {
            let submitted: Value = serde_json::from_str(line).unwrap();
            let jobs = submitted["jobs"].as_array().unwrap().clone();
            jobs.into_iter().map(|job| job["job"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(jobs.len(), scale.jobs);
    let (mut worker_kills, mut controller_kills) = (0, 0);
    let limit = began + Duration::from_secs(60 + 20 * scale.jobs as u64);
    let count = |service: &Service, news: &str| {
        service
            .news("chaos")
            .iter()
            .filter(|one| one["news"] == news)
            .count()
    };
    loop {
        let took = count(&service, "took");
        if worker_kills < scale.worker_kills
            && took > (worker_kills * 2 + 1) * scale.jobs / (2 * scale.worker_kills)
        {
            std::thread::sleep(delay(worker_kills));
            kill(&mut worker);
            worker_kills += 1;
            worker = start(&mut service);
        }
        let finished = count(&service, "finished");
        if controller_kills < scale.controller_kills
            && finished > (controller_kills * 2 + 1) * scale.jobs / (2 * scale.controller_kills + 1)
        {
            std::thread::sleep(delay(controller_kills + 1) / 4);
            service.kill_controller();
            controller_kills += 1;
            // jobs go on, and what is finished waits for the next controller
            std::thread::sleep(delay(controller_kills));
            service.serve();
        }
        if service.results().len() >= scale.jobs {
            break;
        }
        if let Some(status) = worker.try_wait().unwrap() {
            panic!("the worker ended with {status}: {}", service.log("worker-chaos"));
        }
        assert!(
            Instant::now() < limit,
            "{} results of {}, {worker_kills} and {controller_kills} kills\nworker: {}\ncontroller: {}",
            service.results().len(),
            scale.jobs,
            service.log("worker-chaos"),
            service.log("controller")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for result in service.results() {
        let job = result["job"].as_u64().unwrap();
        let status = result["status"].as_str().unwrap().to_owned();
        found.entry(job).or_default().push(status);
    }
    let wanted: BTreeMap<u64, Vec<String>> = jobs.iter().map(|job| (*job, vec!["load".to_owned()])).collect();
    assert_eq!(found, wanted);
    assert_eq!(
        (worker_kills, controller_kills),
        (scale.worker_kills, scale.controller_kills)
    );
    service.told(&["admin", "store", "check", "--deep"]);
    support::service::end(&mut worker);
    // everything was answered, so nothing is kept
    let spool = service.place.path().join("worker-chaos/spool");
    let left: Vec<_> = std::fs::read_dir(spool)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.join("gone").exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    println!(
        "{} jobs, each with one result; the worker was killed {worker_kills} times, the controller {controller_kills} times; \
         {} executions; {:.0} s",
        scale.jobs,
        count(&service, "took"),
        began.elapsed().as_secs_f64()
    );
}
