//! Whose turn it is, and which worker's.

use pyti_model::outcome::Blame;

use super::{
    Failure, Subject, claim, complete, enrol, expect, label, name, new_job, offers, ok, one, submit,
};
use crate::id::JobId;
use crate::job::Priority;
use crate::message::{Answer, Idle, Order, Refusal};
use crate::policy::Policy;
use crate::store::JobStore as _;

pub(super) fn ageing<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    let add = |s: &S, n: u64, priority, project: &str| {
        let mut new = new_job(n);
        new.priority = priority;
        project.clone_into(&mut new.project);
        ok(s.store().submit(new))
    };
    add(s, 1, Priority::Retest, "old")?;
    add(s, 2, Priority::Release, "a")?;
    add(s, 3, Priority::Interactive, "b")?;
    s.pass(31 * 60_000);
    add(s, 4, Priority::Interactive, "c")?;
    for n in 5..=9 {
        add(s, n, Priority::Interactive, "crowd")?;
    }
    add(s, 10, Priority::Interactive, "d")?;
    let mut order = Vec::new();
    for request in 1..=10 {
        let grant = one(s, &who, request)?;
        complete(s, &who, grant.lease, None)?;
        order.push(grant.job.0);
    }
    // the re-test has waited long enough to go before what came later, and the crowd's fifth file is last
    expect("order", order, vec![3, 2, 1, 4, 5, 6, 7, 8, 10, 9])
}

pub(super) fn matching<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 2)?;
    let mut big = new_job(1);
    big.needs.memory_mib = 4096;
    ok(s.store().submit(big))?;
    let mut other = new_job(2);
    other.needs.interpreter = label("cpython-3.13");
    ok(s.store().submit(other))?;
    expect("neither", claim(s, &who, 1, 2)?, (vec![], Some(Idle::Empty)))?;
    let mut more = offers(2);
    more.interpreters.insert(label("cpython-3.13"));
    ok(s.store().hello(who.clone(), 1, more))?;
    expect("one", one(s, &who, 2)?.job, JobId(2))?;
    submit(s, 3)?;
    for (order, idle) in [(Order::Hold, Idle::Held), (Order::Drain, Idle::Draining)] {
        ok(s.store().order(&who, order))?;
        expect("none", claim(s, &who, 3, 1)?, (vec![], Some(idle)))?;
    }
    ok(s.store().order(&who, Order::Resume))?;
    expect("again", one(s, &who, 3)?.job, JobId(3))?;
    expect("full", claim(s, &who, 4, 5)?, (vec![], Some(Idle::Full)))?;
    expect(
        "waits",
        ok(s.store().enrol(name(2), offers(1), false))?,
        Answer::Done,
    )?;
    let answer = ok(s.store().claim(&name(2), 0, 1, 1))?;
    expect("not approved", answer, Answer::Refused(Refusal::NotApproved))?;
    let taken = ok(s.store().enrol(name(2), offers(1), true))?;
    expect("taken", taken, Answer::Refused(Refusal::NameTaken))
}

pub(super) fn quarantine<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    for n in 1..=9 {
        submit(s, n)?;
    }
    for request in 1..=5 {
        let grant = one(s, &who, request)?;
        complete(s, &who, grant.lease, Some(Blame::Us))?;
    }
    let quiet = (vec![], Some(Idle::Quarantined));
    expect("left alone", claim(s, &who, 6, 1)?, quiet.clone())?;
    s.restart();
    s.pass(Policy::default().quarantine_ms - 1);
    ok(s.store().tick())?;
    expect("still", claim(s, &who, 6, 1)?, quiet)?;
    s.pass(1);
    ok(s.store().tick())?;
    let grant = one(s, &who, 6)?;
    complete(s, &who, grant.lease, None)?;
    let healed = ok(s.store().worker(&who))?.map(|w| w.health.probation);
    expect("healed", healed, Some(false))
}

pub(super) fn capture<S: Subject>(s: &mut S) -> Result<(), Failure> {
    let who = enrol(s, 1, 1)?;
    let mut new = new_job(1);
    new.captured = false;
    let Answer::Submitted { job, .. } = ok(s.store().submit(new))? else {
        return Err("not submitted".to_owned());
    };
    expect("waits", claim(s, &who, 1, 1)?, (vec![], Some(Idle::Empty)))?;
    s.restart();
    expect("ready", ok(s.store().ready(job))?, Answer::Done)?;
    expect("again", ok(s.store().ready(job))?, Answer::Done)?;
    expect("given", one(s, &who, 1)?.job, job)
}
