//! From a submission to a result.

use pyti_command::result::{Query, QueryParams};
use pyti_dispatch::State;
use pyti_model::outcome::{Blame, Status, Verdict};

use crate::support::{Running, Worker, decided};

#[test]
fn a_file_is_submitted_done_delivered_and_judged() {
    let running = Running::start();
    let submitted = running.submit("six-1.17.0-py2.py3-none-any.whl", b"a wheel, or not");
    assert_eq!((submitted.project.as_str(), submitted.jobs.len()), ("six", 1));
    let job = submitted.jobs[0].job;
    let mut worker = Worker::ready(&running, "w1");
    let claimed = worker.claim(0);
    let order = &claimed.orders[0];
    assert_eq!(
        (order.job, order.spec.environment.python()),
        (job, "3.13".to_owned())
    );
    let path = pyti_command::raw::file_path(&order.file.sha256);
    let lease = order.lease.to_string();
    let file = worker.client.send("GET", &path, &[("PyTI-Lease", &lease)], b"");
    assert_eq!(
        (file.status, file.body.as_slice()),
        (200, &b"a wheel, or not"[..])
    );
    let completed = worker.deliver(order.lease, &decided(order));
    assert_eq!(completed.answer, pyti_command::work::Taken::Ok);
    let view = running.local().get_job(job, 5);
    assert_eq!(view.state, State::Done);
    let result = view.result.unwrap();
    assert_eq!((result.status, result.verdict), (Status::Na, Verdict::NotJudged));
    assert_eq!(result.blame, Some(Blame::Package));
    assert!(result.recording.is_some());
    let all = running.stranger().ok::<Query>(&QueryParams::default());
    assert_eq!(all.results.len(), 1);
    // asked again, the same answer, and no second result
    let again = worker.complete(order.lease, crate::support::manifest(&[&decided(order)]));
    assert_eq!(again.answer, pyti_command::work::Taken::Ok);
    assert_eq!(
        running
            .stranger()
            .ok::<Query>(&QueryParams::default())
            .results
            .len(),
        1
    );
}
