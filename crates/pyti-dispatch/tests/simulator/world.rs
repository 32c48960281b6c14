//! A controller, some workers and a bad network, in simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use pyti_dispatch::rules::{Rule, Rules};
use pyti_dispatch::{
    Answer, Completion, Decision, HowReleased, JobId, Lease, LeaseAnswer, Message, Monotonic, NewJob, Order,
    Policy, Queue, State, WorkerId,
};
use pyti_model::outcome::Blame;

use crate::chance::Chance;
use crate::checks::Checks;
use crate::worker::Worker;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
/// Segments of one recording.
pub(crate) const SEGMENTS: u8 = 3;

/// What goes over the network to the controller.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Submit(usize),
    Cancel(usize),
    Revoke(usize),
    Order(usize, Order),
    Enrol(usize),
    Hello {
        worker: usize,
        boot: u64,
    },
    Claim {
        worker: usize,
        boot: u64,
        request: u64,
        slots: u16,
    },
    Renew {
        worker: usize,
        boot: u64,
        leases: Vec<Lease>,
    },
    Put {
        lease: Lease,
        segment: u8,
    },
    Complete {
        worker: usize,
        boot: u64,
        lease: Lease,
        blame: Option<Blame>,
    },
    Release {
        worker: usize,
        boot: u64,
        lease: Lease,
        how: HowReleased,
    },
    Tick,
}

impl Call {
    /// Whose connection it goes over.
    fn worker(&self) -> Option<usize> {
        match self {
            Self::Hello { worker, .. }
            | Self::Claim { worker, .. }
            | Self::Renew { worker, .. }
            | Self::Complete { worker, .. }
            | Self::Release { worker, .. } => Some(*worker),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Arrives(Call),
    Answered(Call, Answer),
    Commit,
    ControllerDies,
    ControllerStarts,
    WorkerDies {
        worker: usize,
        for_ever: bool,
    },
    WorkerStarts(usize),
    /// A worker looks after what it has.
    Poll(usize, u64),
    /// Asks until it is answered.
    Ask(Call),
    WallJump(i64),
}

/// What is wrong with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Plain,
    /// Takes its worker down.
    Poison,
    /// Fails by our fault so many times.
    Faulty(u8),
    /// Fails by its own.
    Bad,
}

pub(crate) struct Plan {
    pub(crate) new: NewJob,
    pub(crate) nature: Nature,
    pub(crate) takes: u64,
    pub(crate) id: Option<JobId>,
}

struct Pending {
    call: Call,
    decision: Decision,
    at: u64,
}

#[derive(Default)]
struct Controller {
    up: bool,
    live: Queue,
    durable: Queue,
    pending: Vec<Pending>,
    written: BTreeSet<(Lease, u8)>,
    synced: BTreeSet<(Lease, u8)>,
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) chance: Chance,
    pub(crate) now: u64,
    pub(crate) calm_at: u64,
    wall: i64,
    loss: u64,
    twice: u64,
    late: u64,
    /// The longest that a commit takes, in milliseconds.
    pub(crate) disk: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    serial: u64,
    controller: Controller,
    pub(crate) workers: Vec<Worker>,
    pub(crate) cut: Vec<(usize, u64, u64)>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) checks: Checks,
    told: bool,
    acknowledged: BTreeSet<usize>,
    acknowledged_orders: BTreeSet<(usize, String)>,
}

pub(crate) fn worker_id(n: usize) -> WorkerId {
    format!("w{n}").parse().unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut chance = Chance::new(seed);
        // some seeds are crowded (one worker, long works), some have a broken or a lying worker
        let crowded = chance.per_mille(250);
        let count = if crowded {
            1
        } else {
            2 + chance.next() as usize % 3
        };
        let policy = Policy {
            rules,
            ..Policy::default()
        };
        let mut world = Self {
            rules,
            now: 0,
            calm_at: if crowded { 90 * MINUTE } else { 30 * MINUTE },
            wall: 0,
            loss: [0, 30, 150][chance.next() as usize % 3],
            twice: [0, 80, 300][chance.next() as usize % 3],
            late: [0, 20, 100][chance.next() as usize % 3],
            disk: [40, 40, 4 * SECOND][chance.next() as usize % 3],
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            serial: 0,
            controller: Controller {
                up: true,
                live: Queue::new(policy.clone()),
                durable: Queue::new(policy.clone()),
                ..Controller::default()
            },
            workers: Vec::new(),
            cut: Vec::new(),
            plans: Vec::new(),
            checks: Checks::new(policy),
            told: std::env::var_os("PYTI_SEED").is_some(),
            acknowledged: BTreeSet::new(),
            acknowledged_orders: BTreeSet::new(),
            chance,
        };
        world.people(crowded, count);
        world.works(crowded);
        world.misfortune(count);
        world
    }

    pub(crate) fn at(&mut self, when: u64, event: Event) {
        self.serial += 1;
        self.bodies.insert(self.serial, event);
        self.events.push(Reverse((when, self.serial)));
    }

    fn calm(&self) -> bool {
        self.now >= self.calm_at
    }

    /// Runs until every job has ended, or so long that one never will.
    pub(crate) fn run(mut self) -> Checks {
        while let Some(Reverse((when, serial))) = self.events.pop() {
            self.now = when;
            if self.now > self.calm_at * 3 / 2 && self.all_ended() {
                break;
            }
            if self.now > self.calm_at + 12 * 60 * MINUTE || self.checks.bad.len() > 3 {
                break;
            }
            let Some(event) = self.bodies.remove(&serial) else {
                continue;
            };
            if self.told {
                println!("{:>6} {event:?}", self.now / SECOND);
            }
            self.happen(event);
        }
        self.finish();
        self.checks
    }

    fn all_ended(&self) -> bool {
        self.controller.pending.is_empty()
            && self.acknowledged.len() == self.plans.len()
            && self.controller.durable.jobs().all(|job| job.state.ended())
            && self.workers.iter().all(|w| !w.up || w.spool.is_empty())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(Call::Tick) => {
                self.at(self.now + 10 * SECOND, Event::Arrives(Call::Tick));
                if self.controller.up {
                    self.take(Call::Tick);
                }
            }
            Event::Arrives(call) => {
                if self.controller.up && !self.is_cut(&call) {
                    self.take(call);
                }
            }
            Event::Answered(call, answer) => self.answered(call, answer),
            Event::Commit => self.commit(),
            Event::ControllerDies => self.controller_dies(),
            Event::ControllerStarts => self.controller_starts(),
            Event::WorkerDies { worker, for_ever } => self.worker_dies(worker, for_ever),
            Event::WorkerStarts(worker) => {
                if !self.workers[worker].up && !self.workers[worker].vanished {
                    let life = self.workers[worker].start(self.rules);
                    self.at(self.now, Event::Poll(worker, life));
                }
            }
            Event::Poll(worker, life) => {
                if self.workers[worker].up && self.workers[worker].life == life {
                    self.poll(worker);
                    let next = self.now + 4 * SECOND + self.chance.range(0, 2 * SECOND);
                    self.at(next, Event::Poll(worker, life));
                }
            }
            Event::Ask(call) => {
                let done = match &call {
                    Call::Submit(n) => self.acknowledged.contains(n),
                    other => self.acknowledged_orders.contains(&order_key(other)),
                };
                if !done {
                    self.send(call.clone());
                    self.at(self.now + 20 * SECOND, Event::Ask(call));
                }
            }
            Event::WallJump(by) => self.wall += by,
        }
    }

    fn is_cut(&self, call: &Call) -> bool {
        call.worker().is_some_and(|w| {
            !self.calm()
                && self
                    .cut
                    .iter()
                    .any(|(worker, from, until)| *worker == w && (*from..*until).contains(&self.now))
        })
    }

    /// Over the network: lost, late, twice.
    pub(crate) fn send(&mut self, call: Call) {
        for _ in 0..self.copies() {
            let delay = self.delay();
            self.at(self.now + delay, Event::Arrives(call.clone()));
        }
    }

    fn copies(&mut self) -> u8 {
        if self.calm() {
            return 1;
        }
        let lost = self.chance.per_mille(self.loss);
        let twice = self.chance.per_mille(self.twice);
        u8::from(!lost) + u8::from(twice)
    }

    fn delay(&mut self) -> u64 {
        if !self.calm() && self.chance.per_mille(self.late) {
            self.chance.range(SECOND, 5 * MINUTE)
        } else {
            self.chance.range(1, 300)
        }
    }

    fn moment(&self) -> Monotonic {
        if self.rules.has(Rule::MonotonicClock) {
            Monotonic(self.now)
        } else {
            Monotonic(self.now.saturating_add_signed(self.wall))
        }
    }

    /// The controller gets a call.
    fn take(&mut self, call: Call) {
        let message = match &call {
            Call::Submit(n) => Message::Submit(self.plans[*n].new.clone()),
            Call::Cancel(n) => match self.plans[*n].id {
                Some(job) => Message::Cancel { job },
                None => return,
            },
            Call::Revoke(w) => Message::Revoke {
                worker: worker_id(*w),
            },
            Call::Order(w, order) => Message::Order {
                worker: worker_id(*w),
                order: *order,
            },
            Call::Enrol(w) => Message::Enrol {
                worker: worker_id(*w),
                offers: self.workers[*w].offers.clone(),
                approved: true,
            },
            Call::Hello { worker, boot } => Message::Hello {
                worker: worker_id(*worker),
                boot: *boot,
                offers: self.workers[*worker].offers.clone(),
            },
            Call::Claim {
                worker,
                boot,
                request,
                slots,
            } => Message::Claim {
                worker: worker_id(*worker),
                boot: *boot,
                request: *request,
                fresh: (0..*slots).map(|_| self.fresh_lease()).collect(),
            },
            Call::Renew { worker, leases, .. } => Message::Renew {
                worker: worker_id(*worker),
                leases: leases.clone(),
            },
            Call::Put { lease, segment } => {
                self.controller.written.insert((*lease, *segment));
                return;
            }
            Call::Complete {
                worker, lease, blame, ..
            } => Message::Complete(Completion {
                worker: worker_id(*worker),
                lease: *lease,
                blame: *blame,
                missing: self.missing(*lease),
            }),
            Call::Release {
                worker, lease, how, ..
            } => Message::Release {
                worker: worker_id(*worker),
                lease: *lease,
                how: *how,
            },
            Call::Tick => Message::Tick,
        };
        let now = self.moment();
        let decision = self.controller.live.step(now, message);
        if !self.rules.has(Rule::CommitBeforeAnswer) {
            self.reply(&call, &decision.answer);
        }
        if self.controller.pending.is_empty() {
            let when = self.now + self.chance.range(1, self.disk);
            self.at(when, Event::Commit);
        }
        self.controller.pending.push(Pending {
            call,
            decision,
            at: self.now,
        });
    }

    fn fresh_lease(&mut self) -> Lease {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.chance.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.chance.next().to_be_bytes());
        Lease(bytes)
    }

    /// What of a recording is not there; syncs what is.
    fn missing(&mut self, lease: Lease) -> Vec<String> {
        let mut missing = Vec::new();
        for segment in 0..SEGMENTS {
            let at = (lease, segment);
            if self.controller.written.contains(&at) {
                if self.rules.has(Rule::SyncBeforeCommit) {
                    self.controller.synced.insert(at);
                }
            } else if !self.controller.synced.contains(&at) {
                missing.push(segment.to_string());
            }
        }
        missing
    }

    fn commit(&mut self) {
        let pending = std::mem::take(&mut self.controller.pending);
        for Pending { call, decision, at } in pending {
            self.controller.durable.apply(&decision.changes);
            self.checks.committed(at, &call, &decision, &self.workers);
            if let (Call::Submit(n), Answer::Submitted { job, .. }) = (&call, &decision.answer) {
                self.plans[*n].id = Some(*job);
            }
            if self.rules.has(Rule::CommitBeforeAnswer) {
                self.reply(&call, &decision.answer);
            }
        }
    }

    fn reply(&mut self, call: &Call, answer: &Answer) {
        if self.is_cut(call) {
            return;
        }
        for _ in 0..self.copies() {
            let delay = self.delay();
            self.at(self.now + delay, Event::Answered(call.clone(), answer.clone()));
        }
    }

    fn controller_dies(&mut self) {
        if !self.controller.up {
            return;
        }
        self.controller.up = false;
        self.controller.pending.clear();
        // what was not synced may be gone
        let written = std::mem::take(&mut self.controller.written);
        for at in written {
            if self.controller.synced.contains(&at) || self.chance.per_mille(500) {
                self.controller.written.insert(at);
            }
        }
        let down = [SECOND, 30 * SECOND, 6 * MINUTE][self.chance.next() as usize % 3];
        self.at(self.now + down, Event::ControllerStarts);
    }

    fn controller_starts(&mut self) {
        self.controller.up = true;
        self.controller.live = self.controller.durable.clone();
        if self.rules.has(Rule::FullTimeAtStart) {
            let now = self.moment();
            self.controller.live.restart(now);
            self.controller.durable.restart(now);
        }
        self.checks.controller_started(self.now);
    }

    pub(crate) fn worker_dies(&mut self, worker: usize, for_ever: bool) {
        if !self.workers[worker].up {
            return;
        }
        self.workers[worker].die(self.rules);
        self.workers[worker].vanished = for_ever;
        if !for_ever {
            let down = [2 * SECOND, MINUTE, 5 * MINUTE][self.chance.next() as usize % 3];
            self.at(self.now + down, Event::WorkerStarts(worker));
        }
    }

    fn answered(&mut self, call: Call, answer: Answer) {
        match call {
            Call::Submit(n) => {
                if let Answer::Submitted { job, .. } = answer {
                    self.plans[n].id = Some(job);
                    self.acknowledged.insert(n);
                    self.checks.acknowledged.insert(job);
                }
            }
            Call::Cancel(_) | Call::Revoke(_) | Call::Order(..) | Call::Enrol(_) => {
                self.acknowledged_orders.insert(order_key(&call));
            }
            Call::Complete { lease, .. } => {
                if answer == Answer::Lease(LeaseAnswer::Ok) {
                    self.checks.delivered.insert(lease);
                }
                self.worker_hears(call, answer);
            }
            other => self.worker_hears(other, answer),
        }
    }

    fn finish(&mut self) {
        self.commit();
        let durable = &self.controller.durable;
        let synced = &self.controller.synced;
        let written = &self.controller.written;
        // a last power failure: only what was synced counts
        let kept = |lease: Lease| (0..SEGMENTS).all(|s| synced.contains(&(lease, s)));
        let there = |lease: Lease| (0..SEGMENTS).all(|s| written.contains(&(lease, s)));
        for job in durable.jobs() {
            if !job.state.ended() {
                self.checks
                    .fail(format!("job {} never ended: {:?}", job.id, job.state));
            }
            if job.state == State::Done {
                let lease = job.holder.as_ref().map(|h| h.lease);
                if !lease.is_some_and(|l| kept(l) && there(l)) {
                    self.checks
                        .fail(format!("job {}: its recording is not whole", job.id));
                }
            }
        }
        for worker in &self.workers {
            for lease in worker.finished.difference(&worker.told) {
                if !worker.disk.contains_key(lease) {
                    self.checks
                        .fail(format!("{lease:?}: finished work was neither delivered nor kept"));
                }
            }
        }
        self.checks.finish(durable);
    }
}

fn order_key(call: &Call) -> (usize, String) {
    match call {
        Call::Cancel(n) => (*n, "cancel".to_owned()),
        Call::Revoke(n) => (*n, "revoke".to_owned()),
        Call::Order(n, order) => (*n, format!("{order:?}")),
        Call::Enrol(n) => (*n, "enrol".to_owned()),
        _ => (0, String::new()),
    }
}
