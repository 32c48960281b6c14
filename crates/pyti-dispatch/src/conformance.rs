//! What every store of jobs must do alike: one suite for the queue in memory, for SQLite, and for what comes later.
//!
//! [`CASES`] are stories with an end; [`alike`] sends a random history to two stores and compares every answer.

mod alike;
mod turns;

use pyti_model::outcome::Blame;

use crate::id::{JobId, Label, Lease, WorkerId};
use crate::job::{Death, JobKey, Needs, NewJob, Offers, Priority, State};
use crate::message::{Answer, Completion, Grant, HowReleased, Idle, LeaseAnswer, Order, Refusal};
use crate::policy::Policy;
use crate::store::{JobStore, MemoryStore};

pub use alike::alike;
use turns::{ageing, capture, matching, quarantine};

/// A store under test, with the powers of a test.
pub trait Subject {
    /// The store.
    type Store: JobStore;
    /// The store.
    fn store(&self) -> &Self::Store;
    /// Lets time pass.
    fn pass(&mut self, ms: u64);
    /// Stops it and starts it again.
    fn restart(&mut self);
    /// Something to leave behind.
    fn record(&self) -> <Self::Store as JobStore>::Record;
    /// How much was left behind for a job.
    fn left_behind(&self, job: JobId) -> usize;
}

/// The store in memory as a subject.
#[derive(Debug)]
pub struct Memory(MemoryStore);

impl Memory {
    /// An empty one.
    pub fn new(policy: Policy) -> Self {
        Self(MemoryStore::new(policy))
    }
}

impl Subject for Memory {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.0
    }
    fn pass(&mut self, ms: u64) {
        self.0.pass(ms);
    }
    fn restart(&mut self) {
        self.0.restart();
    }
    fn record(&self) -> String {
        "a record".to_owned()
    }
    fn left_behind(&self, job: JobId) -> usize {
        self.0.records().iter().filter(|(id, _)| *id == job).count()
    }
}

/// Why a case failed.
pub type Failure = String;

/// One case: its name, and the story.
pub type Case<S> = (&'static str, fn(&mut S) -> Result<(), Failure>);

/// All cases.
pub fn cases<S: Subject>() -> Vec<Case<S>> {
    vec![
        ("L1 the same key is the same job, and a requeue a new one", unique),
        ("L2 the same request gets the same answer", same_claim),
        ("L3 only the newest lease of the right worker writes", fence),
        (
            "L4 expiry takes nothing from the holder until another has the job",
            expiry,
        ),
        ("L4 a restart gives every lease its full time", full_time),
        ("L5 a result is written once, whole, and told again alike", once),
        (
            "L7 clean is free, unclean counts, eight are too many, from two on alone",
            losses,
        ),
        (
            "L8 our fault waits and is tried three times; others' never again",
            faults,
        ),
        ("L9 cancelled is cancelled", cancelled),
        ("L10 a revoked worker has nothing", revoked),
        ("the place in the queue is fixed when a job comes", ageing),
        ("workers get what they can run, and nothing when held", matching),
        ("a worker where much fails is left alone for a while", quarantine),
        ("what waits for its file is not given out", capture),
    ]
}

/// Runs every case on a new store each.
///
/// # Errors
///
/// The names and reasons of the cases that failed.
pub fn run<S: Subject>(make: impl Fn(Policy) -> S) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (name, case) in cases::<S>() {
        if let Err(why) = case(&mut make(Policy::default())) {
            failed.push(format!("{name}: {why}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

/// Compares what was answered with what should be.
fn expect<T: std::fmt::Debug + PartialEq>(what: &str, got: T, wanted: T) -> Result<(), Failure> {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{what}: expected {wanted:?}, got {got:?}"))
    }
}

fn ok<T, E: std::error::Error>(result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(|error| error.to_string())
}

fn label(text: &str) -> Label {
    text.parse().unwrap_or_else(|_| unreachable!("{text} is a label"))
}

fn name(n: u64) -> WorkerId {
    WorkerId(label(&format!("w{n}")))
}

/// What a worker of the suite has.
fn offers(slots: u16) -> Offers {
    Offers {
        platform: label("linux/x86_64"),
        interpreters: [label("cpython-3.12")].into(),
        isolations: [label("sandbox")].into(),
        memory_mib: 2048,
        slots,
    }
}

fn needs() -> Needs {
    Needs {
        platform: label("linux/x86_64"),
        interpreter: label("cpython-3.12"),
        isolation: label("sandbox"),
        memory_mib: 1024,
    }
}

fn new_job(n: u64) -> NewJob {
    let digest = |n: u64| {
        format!("{n:064x}")
            .parse()
            .unwrap_or_else(|_| unreachable!("64 digits"))
    };
    NewJob {
        key: JobKey {
            file: digest(n),
            spec: digest(7),
            generation: 0,
        },
        project: format!("project-{n}"),
        needs: needs(),
        priority: Priority::Release,
        captured: true,
    }
}

fn submit<S: Subject>(s: &S, n: u64) -> Result<JobId, Failure> {
    match ok(s.store().submit(new_job(n)))? {
        Answer::Submitted { job, .. } => Ok(job),
        other => Err(format!("submitted: {other:?}")),
    }
}

fn enrol<S: Subject>(s: &S, n: u64, slots: u16) -> Result<WorkerId, Failure> {
    let who = name(n);
    expect(
        "enrolled",
        ok(s.store().enrol(who.clone(), offers(slots), true))?,
        Answer::Done,
    )?;
    expect(
        "hello",
        ok(s.store().hello(who.clone(), 1, offers(slots)))?,
        Answer::Done,
    )?;
    Ok(who)
}

fn claim<S: Subject>(
    s: &S,
    who: &WorkerId,
    request: u64,
    slots: u16,
) -> Result<(Vec<Grant>, Option<Idle>), Failure> {
    match ok(s.store().claim(who, 1, request, slots))? {
        Answer::Granted { grants, idle } => Ok((grants, idle)),
        other => Err(format!("claimed: {other:?}")),
    }
}

fn one<S: Subject>(s: &S, who: &WorkerId, request: u64) -> Result<Grant, Failure> {
    match claim(s, who, request, 1)? {
        (grants, None) if grants.len() == 1 => Ok(grants[0]),
        other => Err(format!("expected one job, got {other:?}")),
    }
}

fn completion(who: &WorkerId, lease: Lease, blame: Option<Blame>) -> Completion {
    Completion {
        worker: who.clone(),
        lease,
        blame,
        missing: Vec::new(),
    }
}

fn complete<S: Subject>(
    s: &S,
    who: &WorkerId,
    lease: Lease,
    blame: Option<Blame>,
) -> Result<Answer, Failure> {
    ok(s.store()
        .complete(completion(who, lease, blame), Some(s.record())))
}

fn state<S: Subject>(s: &S, job: JobId) -> Result<State, Failure> {
    ok(s.store().job(job))?
        .map(|j| j.state)
        .ok_or_else(|| format!("job {job} is not there"))
}

const OK: Answer = Answer::Lease(LeaseAnswer::Ok);
const GONE: Answer = Answer::Lease(LeaseAnswer::Gone);

fn unique<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let job = submit(s, 1)?;
    expect(
        "again",
        ok(s.store().submit(new_job(1)))?,
        Answer::Submitted { job, new: false },
    )?;
    expect(
        "requeue of an open job",
        ok(s.store().requeue(job))?,
        Answer::Submitted { job, new: false },
    )?;
    let who = enrol(s, 1, 1)?;
    let grant = one(s, &who, 1)?;
    expect("done", complete(s, &who, grant.lease, None)?, OK)?;
    expect(
        "an ended job stays",
        ok(s.store().submit(new_job(1)))?,
        Answer::Submitted { job, new: false },
    )?;
    expect("and is", state(s, job)?, State::Done)?;
    let Answer::Submitted {
        job: second,
        new: true,
    } = ok(s.store().requeue(job))?
    else {
        return Err("a requeue of an ended job is new".to_owned());
    };
    expect(
        "once",
        ok(s.store().requeue(job))?,
        Answer::Submitted {
            job: second,
            new: false,
        },
    )?;
    expect(
        "unknown",
        ok(s.store().requeue(JobId(99)))?,
        Answer::Refused(Refusal::UnknownJob),
    )
}

fn same_claim<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 4)?;
    expect("nothing yet", claim(s, &who, 1, 2)?, (vec![], Some(Idle::Empty)))?;
    for n in 1..=3 {
        submit(s, n)?;
    }
    let first = claim(s, &who, 1, 2)?;
    expect("two", first.0.len(), 2)?;
    expect("again", claim(s, &who, 1, 2)?, first.clone())?;
    s.restart();
    expect("after a restart", claim(s, &who, 1, 2)?, first.clone())?;
    complete(s, &who, first.0[0].lease, None)?;
    expect(
        "what is left of it",
        claim(s, &who, 1, 2)?,
        (vec![first.0[1]], None),
    )?;
    complete(s, &who, first.0[1].lease, None)?;
    expect(
        "nothing of it",
        claim(s, &who, 1, 2)?,
        (vec![], Some(Idle::Answered)),
    )?;
    expect("the next request", claim(s, &who, 2, 2)?.0.len(), 1)?;
    expect(
        "an older one",
        claim(s, &who, 0, 2)?,
        (vec![], Some(Idle::Answered)),
    )?;
    expect(
        "another start",
        ok(s.store().claim(&who, 2, 9, 1))?,
        Answer::Refused(Refusal::OtherBoot),
    )?;
    expect(
        "start 3",
        ok(s.store().hello(who.clone(), 3, offers(4)))?,
        Answer::Done,
    )?;
    expect(
        "start 2, late",
        ok(s.store().hello(who.clone(), 2, offers(4)))?,
        Answer::Refused(Refusal::OtherBoot),
    )
}

fn fence<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let (a, b) = (enrol(s, 1, 1)?, enrol(s, 2, 1)?);
    let job = submit(s, 1)?;
    let first = one(s, &a, 1)?;
    expect("another worker", complete(s, &b, first.lease, None)?, GONE)?;
    expect("no such lease", complete(s, &a, Lease([9; 16]), None)?, GONE)?;
    expect(
        "no such worker",
        complete(s, &name(9), first.lease, None)?,
        Answer::Refused(Refusal::UnknownWorker),
    )?;
    s.pass(Policy::default().lease_ms);
    ok(s.store().tick())?;
    let second = one(s, &b, 1)?;
    expect("the same job", (second.job, second.epoch), (job, 2))?;
    expect("the first is gone", complete(s, &a, first.lease, None)?, GONE)?;
    expect("also for renewals", renew(s, &a, first.lease)?, LeaseAnswer::Gone)?;
    expect("nothing is left behind", s.left_behind(job), 0)?;
    expect("the second", complete(s, &b, second.lease, None)?, OK)?;
    expect("one result", s.left_behind(job), 1)
}

fn renew<S: Subject>(s: &S, who: &WorkerId, lease: Lease) -> Result<LeaseAnswer, Failure> {
    match ok(s.store().renew(who, vec![lease]))? {
        Answer::Renewed(answers) if answers.len() == 1 && answers[0].0 == lease => Ok(answers[0].1),
        other => Err(format!("renewed: {other:?}")),
    }
}

fn expiry<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let lease_ms = Policy::default().lease_ms;
    let who = enrol(s, 1, 2)?;
    let (first, second) = (submit(s, 1)?, submit(s, 2)?);
    let grants = claim(s, &who, 1, 2)?.0;
    s.pass(lease_ms - 1);
    ok(s.store().tick())?;
    expect("not yet", state(s, first)?, State::Leased)?;
    expect("renewed", renew(s, &who, grants[0].lease)?, LeaseAnswer::Ok)?;
    s.pass(1);
    ok(s.store().tick())?;
    expect(
        "one",
        (state(s, first)?, state(s, second)?),
        (State::Leased, State::Queued),
    )?;
    expect("taken back", renew(s, &who, grants[1].lease)?, LeaseAnswer::Ok)?;
    expect("leased again", state(s, second)?, State::Leased)?;
    s.pass(lease_ms);
    ok(s.store().tick())?;
    expect("late, and taken", complete(s, &who, grants[1].lease, None)?, OK)?;
    expect("lost twice", ok(s.store().job(second))?.map(|j| j.lost), Some(2))
}

fn full_time<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let lease_ms = Policy::default().lease_ms;
    let who = enrol(s, 1, 1)?;
    let job = submit(s, 1)?;
    one(s, &who, 1)?;
    s.pass(lease_ms - 1);
    s.restart();
    s.pass(lease_ms - 1);
    ok(s.store().tick())?;
    expect("still its own", state(s, job)?, State::Leased)?;
    s.pass(1);
    ok(s.store().tick())?;
    expect("expired", state(s, job)?, State::Queued)
}

fn once<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    let job = submit(s, 1)?;
    let grant = one(s, &who, 1)?;
    let mut partly = completion(&who, grant.lease, None);
    partly.missing = vec!["events/3".to_owned()];
    let answer = ok(s.store().complete(partly, Some(s.record())))?;
    expect("not whole", answer, Answer::Missing(vec!["events/3".to_owned()]))?;
    expect(
        "still open",
        (state(s, job)?, s.left_behind(job)),
        (State::Leased, 0),
    )?;
    for _ in 0..3 {
        expect("whole", complete(s, &who, grant.lease, Some(Blame::Package))?, OK)?;
        s.restart();
    }
    expect("once", (state(s, job)?, s.left_behind(job)), (State::Done, 1))?;
    expect("to renew", renew(s, &who, grant.lease)?, LeaseAnswer::Ended)?;
    expect(
        "to release",
        ok(s.store().release(&who, grant.lease, HowReleased::Clean))?,
        Answer::Lease(LeaseAnswer::Ended),
    )
}

fn losses<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let job = submit(s, 1)?;
    let who = enrol(s, 1, 4)?;
    let lost = |s: &S| ok(s.store().job(job)).map(|j| j.map(|j| j.lost));
    let grant = one(s, &who, 1)?;
    for _ in 0..2 {
        let answer = ok(s.store().release(&who, grant.lease, HowReleased::Clean))?;
        expect("clean", (answer, lost(s)?), (OK, Some(0)))?;
    }
    expect("given back", complete(s, &who, grant.lease, None)?, GONE)?;
    for request in 2..=9 {
        if request == 4 {
            // lost twice: it waits until nothing runs beside it, and nothing is given beside it
            submit(s, 2)?;
            let both = claim(s, &who, request * 10 - 2, 4)?.0;
            expect("alone", both.iter().map(|g| g.job).collect::<Vec<_>>(), vec![job])?;
            expect(
                "and alone",
                claim(s, &who, request * 10 - 1, 4)?,
                (vec![], Some(Idle::Alone)),
            )?;
            ok(s.store().release(&who, both[0].lease, HowReleased::Clean))?;
            ok(s.store().cancel(JobId(job.0 + 1)))?;
        }
        let grant = one(s, &who, request * 10)?;
        for _ in 0..2 {
            let answer = ok(s.store().release(&who, grant.lease, HowReleased::Unclean))?;
            expect("unclean", answer, OK)?;
        }
    }
    expect(
        "given up",
        (state(s, job)?, lost(s)?),
        (State::Dead(Death::Lost), Some(8)),
    )
}

fn faults<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    let job = submit(s, 1)?;
    let mut request = 1;
    for (wait, left) in [(60_000, 0), (600_000, 0)] {
        let grant = one(s, &who, request)?;
        expect("fault", complete(s, &who, grant.lease, Some(Blame::Us))?, OK)?;
        expect(
            "the same again",
            complete(s, &who, grant.lease, Some(Blame::Us))?,
            OK,
        )?;
        expect(
            "waits",
            (state(s, job)?.word(), s.left_behind(job)),
            ("waiting", left),
        )?;
        s.pass(wait - 1);
        ok(s.store().tick())?;
        expect(
            "waits",
            claim(s, &who, request + 1, 1)?,
            (vec![], Some(Idle::Empty)),
        )?;
        s.pass(1);
        ok(s.store().tick())?;
        request += 2;
    }
    let grant = one(s, &who, request)?;
    expect("the third", complete(s, &who, grant.lease, Some(Blame::Us))?, OK)?;
    expect("given up", state(s, job)?, State::Dead(Death::Faults))?;
    for (n, blame) in [
        (2, Blame::Package),
        (3, Blame::Dependency),
        (4, Blame::Environment),
    ] {
        let job = submit(s, n)?;
        request += 1;
        let grant = one(s, &who, request)?;
        complete(s, &who, grant.lease, Some(blame))?;
        expect("done", state(s, job)?, State::Done)?;
    }
    Ok(())
}

fn cancelled<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    let (first, second) = (submit(s, 1)?, submit(s, 2)?);
    expect(
        "queued",
        ok(s.store().cancel(second))?,
        Answer::Cancelled(State::Queued),
    )?;
    let grant = one(s, &who, 1)?;
    expect(
        "leased",
        ok(s.store().cancel(first))?,
        Answer::Cancelled(State::Leased),
    )?;
    expect(
        "again",
        ok(s.store().cancel(first))?,
        Answer::Cancelled(State::Cancelled),
    )?;
    expect("told", renew(s, &who, grant.lease)?, LeaseAnswer::Cancelled)?;
    expect("too late", complete(s, &who, grant.lease, None)?, GONE)?;
    expect("nothing is left", s.left_behind(first), 0)?;
    expect(
        "nothing to do",
        claim(s, &who, 2, 1)?,
        (vec![], Some(Idle::Empty)),
    )
}

fn revoked<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let (bad, good) = (enrol(s, 1, 2)?, enrol(s, 2, 2)?);
    let (first, second) = (submit(s, 1)?, submit(s, 2)?);
    let grants = claim(s, &bad, 1, 2)?.0;
    s.pass(Policy::default().lease_ms);
    renew(s, &bad, grants[0].lease)?;
    ok(s.store().tick())?;
    expect(
        "revoked",
        ok(s.store().revoke(&bad))?,
        Answer::Revoked {
            requeued: vec![first],
        },
    )?;
    let lost = ok(s.store().job(first))?.map(|j| j.lost);
    expect("uncounted", lost, Some(0))?;
    let no = Answer::Refused(Refusal::Revoked);
    for lease in [grants[0].lease, grants[1].lease] {
        expect("complete", complete(s, &bad, lease, None)?, no.clone())?;
        expect("renew", ok(s.store().renew(&bad, vec![lease]))?, no.clone())?;
    }
    expect("claim", ok(s.store().claim(&bad, 1, 2, 1))?, no.clone())?;
    expect(
        "hello",
        ok(s.store().hello(bad.clone(), 2, offers(1)))?,
        no.clone(),
    )?;
    expect("resume", ok(s.store().order(&bad, Order::Resume))?, no)?;
    let mut jobs: Vec<JobId> = claim(s, &good, 1, 2)?.0.iter().map(|g| g.job).collect();
    jobs.sort();
    expect("others get them", jobs, vec![first, second])
}
