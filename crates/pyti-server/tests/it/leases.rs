//! What a lease is worth: claims, renewals, deliveries that lie, come twice, or come too late.

use std::time::{Duration, Instant};

use pyti_command::rpc::codes;
use pyti_command::work::{
    Claim, ClaimParams, Complete, CompleteParams, Release, ReleaseParams, Renew, RenewParams, Renewal, Taken,
    WorkOutcome,
};
use pyti_command::{job, raw, result};
use pyti_dispatch::{Idle, Lease, LeaseAnswer, State};
use serde_json::json;

use crate::support::{Running, Worker, decided, frame, manifest};

fn renew(worker: &Worker, lease: Lease) -> LeaseAnswer {
    let renewal = Renewal {
        lease,
        phase: pyti_command::work::Phase::Running,
        next_seq: 0,
    };
    let answer = worker.client.ok::<Renew>(&RenewParams {
        leases: vec![renewal],
    });
    answer.leases[0].answer
}

#[test]
fn a_claim_asked_again_gets_the_same_and_a_new_one_nothing_more() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let first = worker.claim(0).orders.remove(0);
    worker.request -= 1;
    let again = worker.claim(0).orders.remove(0);
    assert_eq!((first.lease, first.epoch), (again.lease, again.epoch));
    assert_eq!(worker.claim(0).idle, Some(Idle::Empty));
    // of another start it gets nothing
    let other = ClaimParams {
        boot: 7,
        request: 1,
        slots: 1,
        wait_s: 0,
    };
    assert_eq!(worker.client.code::<Claim>(&other), codes::OTHER_BOOT);
}

#[test]
fn a_claim_that_waits_is_woken_by_a_job() {
    let running = Running::start();
    let mut worker = Worker::ready(&running, "w1");
    let claiming = std::thread::spawn(move || (worker.claim(20), worker));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!claiming.is_finished());
    let began = Instant::now();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let (claimed, _) = claiming.join().unwrap();
    assert_eq!(claimed.orders.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn what_a_worker_gives_back_goes_to_another_and_it_is_told_gone() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut first = Worker::ready(&running, "w1");
    let order = first.claim(0).orders.remove(0);
    assert_eq!(renew(&first, order.lease), LeaseAnswer::Ok);
    let mut second = Worker::ready(&running, "w2");
    // the lease is the first one's alone
    assert_eq!(renew(&second, order.lease), LeaseAnswer::Gone);
    let recording = decided(&order);
    assert_eq!(
        second
            .put(&order.lease, raw::StreamName::Events, 0, &recording)
            .status,
        410
    );
    let stolen = second.complete(order.lease, manifest(&[&recording]));
    assert_eq!(stolen.answer, Taken::Gone);
    let released = first.client.ok::<Release>(&ReleaseParams {
        lease: order.lease,
        clean: true,
        reason: "it stops".to_owned(),
    });
    assert_eq!(released.answer, LeaseAnswer::Ok);
    let next = second.claim(0).orders.remove(0);
    assert_eq!((next.job, next.epoch), (order.job, order.epoch + 1));
    // and what the first one has of it is not taken any more
    assert_eq!(renew(&first, order.lease), LeaseAnswer::Gone);
    assert_eq!(
        first
            .put(&order.lease, raw::StreamName::Events, 0, &recording)
            .status,
        410
    );
    assert_eq!(
        first.complete(order.lease, manifest(&[&recording])).answer,
        Taken::Gone
    );
    assert_eq!(second.deliver(next.lease, &decided(&next)).answer, Taken::Ok);
    assert_eq!(renew(&second, next.lease), LeaseAnswer::Ended);
    let view = running.local().get_job(order.job, 5);
    assert_eq!((view.state, view.lost), (State::Done, 0));
    assert_eq!(view.worker.unwrap(), second.id);
}

#[test]
fn a_cancelled_job_is_told_and_its_result_not_taken() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    running
        .local()
        .ok::<job::Cancel>(&job::CancelParams { job: order.job });
    assert_eq!(renew(&worker, order.lease), LeaseAnswer::Cancelled);
    let recording = decided(&order);
    assert_eq!(
        worker
            .put(&order.lease, raw::StreamName::Events, 0, &recording)
            .status,
        410
    );
    assert_eq!(
        worker.complete(order.lease, manifest(&[&recording])).answer,
        Taken::Gone
    );
    let all = running
        .stranger()
        .ok::<result::Query>(&result::QueryParams::default());
    assert!(all.results.is_empty());
}

#[test]
fn what_is_missing_is_named_and_nothing_ends_before_it_is_there() {
    let running = Running::start();
    let job = running.submit("six-1.0.tar.gz", b"an sdist").jobs[0].job;
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    let recording = decided(&order);
    let told = worker.complete(order.lease, manifest(&[&recording]));
    assert_eq!(
        (told.answer, told.missing),
        (Taken::Missing, vec!["events/0".to_owned()])
    );
    assert_eq!(running.local().get_job(job, 0).state, State::Leased);
    assert_eq!(worker.deliver(order.lease, &recording).answer, Taken::Ok);
}

/// Delivers something that is taken and is no result: a fault of ours, to be tried again.
fn refused(running: &Running, make: &dyn Fn(&pyti_command::order::WorkOrder) -> Vec<u8>) {
    let name = "six-1.0.tar.gz";
    let job = running.submit(name, b"an sdist").jobs[0].job;
    let mut worker = Worker::ready(running, "liar");
    let order = worker.claim(0).orders.remove(0);
    // it is taken, as our own fault: the worker may forget it
    assert_eq!(worker.deliver(order.lease, &make(&order)).answer, Taken::Ok);
    let view = running.local().get_job(job, 0);
    assert_eq!(view.faults, 1, "{view:?}");
    assert!(matches!(view.state, State::Waiting(_)), "{view:?}");
    assert!(view.result.is_none());
}

#[test]
fn a_recording_that_lies_is_no_result() {
    // of another file
    let other = |order: &pyti_command::order::WorkOrder| {
        let mut order = order.clone();
        order.file.sha256 = crate::support::sha256(b"another file");
        decided(&order)
    };
    refused(&Running::start(), &other);
    // cut off
    let cut = |order: &pyti_command::order::WorkOrder| {
        let file = serde_json::to_value(&order.file).unwrap();
        let outcome = json!({"status": "pass", "reasons": []});
        frame(&[json!({"seq": 0, "at_us": 0, "event": "decided", "file": file, "outcome": outcome})])
    };
    refused(&Running::start(), &cut);
    // no recording at all
    refused(&Running::start(), &|_| frame(&[json!({"hello": "there"})]));
    refused(&Running::start(), &|_| {
        zstd::bulk::compress(b"garbage \xff\xfe", 3).unwrap()
    });
    // nested so deep that a careless reader falls
    refused(&Running::start(), &|_| {
        zstd::bulk::compress("[".repeat(2_000_000).as_bytes(), 3).unwrap()
    });
}

#[test]
fn a_recording_that_unpacks_without_end_is_no_result() {
    let running = Running::with(|config| config.unpacked_bytes = 8 << 20);
    refused(&running, &|_| {
        zstd::bulk::compress(&vec![b' '; 64 << 20], 3).unwrap()
    });
}

#[test]
fn a_worker_that_failed_is_our_fault() {
    let running = Running::start();
    let job = running.submit("six-1.0.tar.gz", b"an sdist").jobs[0].job;
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    let answer = worker.client.ok::<Complete>(&CompleteParams {
        lease: order.lease,
        outcome: WorkOutcome::Failed {
            why: "the disk is gone".to_owned(),
        },
        manifest: raw::Manifest::default(),
    });
    assert_eq!(answer.answer, Taken::Ok);
    let view = running.local().get_job(job, 0);
    assert_eq!(view.faults, 1);
    assert!(view.result.is_none());
}
