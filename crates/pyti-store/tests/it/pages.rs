//! What pages ask.

use std::collections::BTreeSet;

use pyti_dispatch::{Answer, HowReleased, JobStore as _, Policy};
use pyti_model::outcome::{Blame, Reason, ReasonCode, Status, Verdict};
use pyti_store::{Expansion, FeedEvent, FileInfo, FileState};

use crate::support::{Sqlite, claim, completion, digest, enrol, file, new_job, new_result, with_results};

#[test]
fn going_through_pages_shows_every_result_once() {
    let subject = with_results(25);
    let store = subject.get();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = store.latest(before, 7).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|r| r.id));
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = store.export(after, 7).unwrap();
        let Some(last) = page.last() else { break };
        after = last.id;
        seen.extend(page.iter().map(|r| r.id));
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
}

#[test]
fn a_result_comes_back_as_it_was_given() {
    let subject = Sqlite::new(Policy::default());
    let store = subject.get();
    let who = enrol(store, "w1", 4);
    store.submit(new_job(5)).unwrap();
    let grant = claim(store, &who, 1, 1)[0];
    let mut given = new_result(5, Status::Fail);
    given.verdict = Verdict::Harmful;
    given.blame = Some(Blame::Dependency);
    let code = ReasonCode::ALL[3];
    given.outcome.reasons.push(Reason::new(code, "foo.h"));
    store
        .complete(completion(&who, grant.lease), Some(given.clone()))
        .unwrap();
    let row = store.result_of(grant.job).unwrap().unwrap();
    assert_eq!(
        (row.status, row.verdict, row.blame),
        (Status::Fail, Verdict::Harmful, Some(Blame::Dependency))
    );
    assert_eq!(row.reason.as_deref(), Some(code.word()));
    assert_eq!(
        (row.file, row.version, row.project),
        (given.file.name, given.file.version, given.file.project)
    );
    assert_eq!(
        (row.env, row.sha256, row.more),
        (given.env, given.file.sha256, given.more)
    );
    assert_eq!((row.cost_ms, row.passed, row.failed), (1234, 10, 1));
    let finding = &store.findings(row.id).unwrap()[0];
    assert_eq!(
        (finding.rule.as_str(), finding.severity, &finding.events[..]),
        ("reads-decoy", 2, &[1, 2, 3][..])
    );
    assert_eq!(store.findings_by_rule("reads-decoy", None, 9).unwrap().len(), 1);
    assert_eq!(store.findings_by_severity(2, None, 9).unwrap().len(), 1);
    assert_eq!(store.findings_by_severity(1, None, 9).unwrap().len(), 0);
    assert_eq!(store.finding_count(finding.rule_id, 1, 2).unwrap(), 1);
    assert_eq!(
        store.results_by_verdict(Verdict::Harmful, None, 9).unwrap().len(),
        1
    );
    assert_eq!(
        store.results_by_verdict(Verdict::Clean, None, 9).unwrap().len(),
        0
    );
    assert_eq!(store.results_by_reason(code.word(), None, 9).unwrap().len(), 1);
    assert_eq!(store.results_by_reason("no.such", None, 9).unwrap().len(), 0);
    assert_eq!(store.results_of_worker(&who, None, 9).unwrap().len(), 1);
}

#[test]
fn a_project_has_its_releases_newest_first_and_each_file_its_newest_result() {
    let subject = with_results(11);
    let store = subject.get();
    let project = store.project("project-2").unwrap().unwrap();
    assert_eq!(store.project("project-x").unwrap(), None);
    let first = store.versions(project, None, 3).unwrap();
    let rest = store
        .versions(project, Some(first[2].sort_key.clone()), 3)
        .unwrap();
    let names: Vec<&str> = first.iter().chain(&rest).map(|v| v.version.as_str()).collect();
    assert_eq!(names, ["1.3", "1.2", "1.1", "1.0"]);
    let matrix = store.matrix(first.iter().map(|v| v.id).collect()).unwrap();
    assert_eq!(matrix.len(), 3);
    assert!(
        matrix
            .iter()
            .all(|(file, results)| results.len() == 1 && results[0].file_id == file.id)
    );
    assert_eq!(store.tested(project).unwrap(), 4);
    assert_eq!(store.project_results(project, None, 2).unwrap().len(), 2);

    // a re-test is the newest result, and the older one stays
    let who = enrol(store, "again", 1);
    let old = matrix[0].1[0].clone();
    let Answer::Submitted { new: true, .. } = store.requeue(old.job).unwrap() else {
        panic!("not queued again");
    };
    let grant = claim(store, &who, 1, 1)[0];
    store
        .complete(completion(&who, grant.lease), Some(new_result(11, Status::Crash)))
        .unwrap();
    assert_eq!(store.file_current(old.file_id).unwrap()[0].status, Status::Crash);
    let history = store.file_results(old.file_id, old.env_id, None, 9).unwrap();
    assert_eq!(
        history.iter().map(|r| r.status).collect::<Vec<_>>(),
        [Status::Crash, old.status]
    );
    assert_eq!(store.tested(project).unwrap(), 4);
}

#[test]
fn names_are_found_by_how_they_begin() {
    let subject = with_results(50);
    let names = |prefix: &str| -> Vec<String> {
        let found = subject.get().search(prefix, 20).unwrap();
        found.into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(
        names("project-1"),
        ["project-1", "project-10", "project-11", "project-12"]
    );
    assert_eq!(names("project-12"), ["project-12"]);
    assert!(names("q").is_empty() && names("%").is_empty());
    assert_eq!(names("").len(), 13);
}

#[test]
fn counters_are_kept_with_the_results() {
    let subject = with_results(9);
    let store = subject.get();
    let now = 1_700_000_000_000 + 10 * 60_000;
    let of = |status: Status, counts: &[pyti_store::Count]| -> u64 {
        counts
            .iter()
            .filter(|c| c.status == status)
            .map(|c| c.count)
            .sum()
    };
    for counts in [
        store.reasons_of_hours(24, now).unwrap(),
        store.reasons_of_days(30, now).unwrap(),
    ] {
        assert_eq!((of(Status::Pass, &counts), of(Status::Fail, &counts)), (6, 3));
    }
    assert!(
        store
            .reasons_of_hours(24, now + 40 * 86_400_000)
            .unwrap()
            .is_empty()
    );
    let outbox = store.outbox(0, 100).unwrap();
    assert_eq!(
        outbox.iter().map(|(_, _, subject)| *subject).collect::<Vec<_>>(),
        (1..=9).collect::<Vec<_>>()
    );
    store.outbox_forget(outbox[4].0).unwrap();
    assert_eq!(store.outbox(0, 100).unwrap().len(), 4);
}

#[test]
fn the_index_changes_a_files_row_and_no_result() {
    let subject = with_results(2);
    let store = subject.get();
    let removed = FileState {
        removed: true,
        ..FileState::default()
    };
    assert_eq!(store.set_file_state(&digest(1), removed).unwrap(), 1);
    assert_eq!(store.set_file_state(&digest(99), removed).unwrap(), 0);
    let rows = store.latest(None, 9).unwrap();
    assert_eq!(
        rows.iter().map(|r| r.state.removed).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(store.check(false).unwrap(), []);
}

#[test]
fn a_feeds_events_and_cursor_are_one_thing_and_each_event_is_taken_once() {
    let mut subject = Sqlite::new(Policy::default());
    let event = |serial| FeedEvent {
        serial,
        project: "p".to_owned(),
        action: "add".to_owned(),
        at_ms: serial * 1000,
    };
    let store = subject.get();
    assert_eq!(store.feed_cursor("f").unwrap(), None);
    assert_eq!(
        store.feed_take("f", "3", (1..=3).map(event).collect()).unwrap(),
        3
    );
    assert_eq!(
        store.feed_take("f", "4", (2..=4).map(event).collect()).unwrap(),
        1
    );
    assert_eq!(store.feed_take("g", "1", vec![event(1)]).unwrap(), 1);
    let open = store.feed_open(10_000, 100).unwrap();
    assert_eq!(open.len(), 5);
    assert_eq!(store.feed_lag().unwrap(), (5, Some(1000)));
    let expansion = Expansion {
        events: open[..2].iter().map(|e| e.id).collect(),
        files: vec![file(1), file(2)],
        specs: vec![(digest(0), b"spec".to_vec())],
        jobs: vec![new_job(1), new_job(2), new_job(1)],
        captures: Vec::new(),
    };
    let answers = store.expand(expansion).unwrap();
    assert!(matches!(answers[2], Answer::Submitted { new: false, .. }));
    store.feed_defer(open[2].id, 20_000).unwrap();
    store.feed_give_up(open[3].id).unwrap();
    pyti_dispatch::conformance::Subject::restart(&mut subject);
    let store = subject.get();
    assert_eq!(store.feed_cursor("f").unwrap().as_deref(), Some("4"));
    assert_eq!(store.feed_open(10_000, 100).unwrap().len(), 1);
    let late = store.feed_open(20_000, 100).unwrap();
    assert_eq!(
        late.iter().map(|e| e.tries).collect::<BTreeSet<_>>(),
        [0, 1].into()
    );
    assert_eq!(store.spec(&digest(0)).unwrap().as_deref(), Some(&b"spec"[..]));
    assert_eq!(store.files(&digest(2)).unwrap().len(), 1);
}

#[test]
fn files_are_to_be_stored_until_they_are_or_cannot_be() {
    let mut subject = Sqlite::new(Policy::default());
    let bytes = b"an upload".to_vec();
    let known = subject.get().blobs().put(b"known before").unwrap();
    let uploaded = FileInfo {
        sha256: known.clone(),
        ..file(1)
    };
    subject
        .get()
        .captured(&uploaded, pyti_store::Class::Short)
        .unwrap();
    let expansion = Expansion {
        files: vec![uploaded, file(2), file(3)],
        captures: vec![known, digest(2), digest(3), digest(9)],
        ..Expansion::default()
    };
    subject.get().expand(expansion.clone()).unwrap();
    subject.get().expand(expansion).unwrap();
    pyti_dispatch::conformance::Subject::restart(&mut subject);
    let store = subject.get();
    // what is stored already, and what has no row, is not asked for
    assert_eq!(store.upload_count().unwrap(), 2);
    let due = store.uploads(0, 9).unwrap();
    assert_eq!(
        due.iter()
            .map(|upload| upload.file.info.sha256.clone())
            .collect::<Vec<_>>(),
        [digest(2), digest(3)]
    );
    store.upload_defer(due[0].file.id, 5_000).unwrap();
    assert_eq!(store.uploads(4_999, 9).unwrap().len(), 1);
    assert_eq!(store.uploads(5_000, 9).unwrap()[1].tries, 1);
    store.upload_give_up(due[0].file.id).unwrap();
    let sha256 = store.blobs().put(&bytes).unwrap();
    let third = FileInfo { sha256, ..file(3) };
    store.captured(&third, pyti_store::Class::Short).unwrap();
    assert_eq!(store.upload_count().unwrap(), 1, "another file was stored");
    store.upload_give_up(due[1].file.id).unwrap();
    assert_eq!(store.upload_count().unwrap(), 0);
    let project = store.project(&file(2).project).unwrap().unwrap();
    let all = store.files_of_project(project, 0, 9).unwrap();
    assert!(all.len() >= 2);
    let rest = store.files_of_project(project, all[0].id, 9).unwrap();
    assert_eq!(rest.len(), all.len() - 1);
}

#[test]
fn what_is_kept_ends_in_time_and_is_taken_once() {
    let subject = Sqlite::new(Policy::default());
    let store = subject.get();
    store.keep_put("token", "a", b"1", None).unwrap();
    store.keep_put("token", "b", b"2", Some(1)).unwrap();
    store.keep_put("session", "a", b"3", Some(u64::MAX)).unwrap();
    assert_eq!(store.keep_get("token", "a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.keep_get("token", "b").unwrap(), None, "it is over");
    assert_eq!(
        store.keep_list("token", "", 9).unwrap(),
        [("a".to_owned(), b"1".to_vec())]
    );
    let taken: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| store.keep_take("token", "a").unwrap()))
            .collect();
        tries.into_iter().filter_map(|t| t.join().unwrap()).count()
    });
    assert_eq!(taken, 1);
    assert_eq!(store.keep_sweep().unwrap(), 1);
    store.audit("admin", "revoke", "w1").unwrap();
    store.audit("admin", "approve", "w2").unwrap();
    let log = store.audit_log(None, 9).unwrap();
    assert_eq!(
        log.iter().map(|l| l.what.as_str()).collect::<Vec<_>>(),
        ["approve", "revoke"]
    );
}

#[test]
fn queues_and_workers_are_told() {
    let subject = Sqlite::new(Policy::default());
    let store = subject.get();
    let heard = store.signals();
    let who = enrol(store, "w1", 4);
    for n in 1..=3 {
        store.submit(new_job(n)).unwrap();
    }
    claim(store, &who, 1, 1);
    let queues = store.queues().unwrap();
    assert_eq!(
        queues
            .iter()
            .map(|q| (q.queued, q.leased, q.waiting))
            .collect::<Vec<_>>(),
        [(2, 1, 0)]
    );
    assert_eq!(store.turn(&queues[0].needs, false, 9).unwrap().len(), 2);
    assert_eq!(store.held(&who).unwrap().len(), 1);
    assert_eq!(store.workers().unwrap().len(), 1);
    assert_eq!(heard.try_iter().count(), 3);
    assert!(store.figures().commits > 0);
}

#[test]
fn a_job_that_was_given_up_gets_one_result_that_says_so() {
    let subject = Sqlite::new(Policy {
        lost_cap: 1,
        ..Policy::default()
    });
    let store = subject.get();
    let who = enrol(store, "w1", 1);
    store.submit(new_job(1)).unwrap();
    let grant = claim(store, &who, 1, 1)[0];
    let record = || new_result(1, Status::Error);
    assert!(!store.write_off(grant.job, record()).unwrap(), "it is being done");
    store.release(&who, grant.lease, HowReleased::Unclean).unwrap();
    assert_eq!(store.dead_jobs(None, 9).unwrap()[0].id, grant.job);
    assert!(store.write_off(grant.job, record()).unwrap());
    assert!(!store.write_off(grant.job, record()).unwrap(), "once");
    assert_eq!(store.result_of(grant.job).unwrap().unwrap().status, Status::Error);
    store.submit(new_job(2)).unwrap();
    store.requeue(grant.job).unwrap();
    let jobs = store.jobs_of_file(&digest(1), 9).unwrap();
    assert_eq!(jobs.iter().map(|j| j.key.generation).collect::<Vec<_>>(), [0, 1]);
}
