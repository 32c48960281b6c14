//! Who waits for whom: jobs that must run alone, workers that leave, workers that must prove themselves.

use pyti_dispatch::{
    Answer, Completion, Grant, HowReleased, Idle, JobId, JobKey, Label, Lease, Message, Monotonic, Needs,
    NewJob, Offers, Order, Policy, Priority, Queue, Refusal, Signal, Standing, WorkerId,
};
use pyti_model::outcome::Blame;

const MINUTE: u64 = 60_000;

struct Story {
    queue: Queue,
    now: u64,
    leases: u8,
    request: u64,
    heard: Vec<Signal>,
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

impl Story {
    /// One worker with so many slots.
    fn with_worker(slots: u16) -> Self {
        let mut story = Self {
            queue: Queue::new(Policy::default()),
            now: 0,
            leases: 0,
            request: 0,
            heard: Vec::new(),
        };
        let offers = Offers {
            platform: label("linux/x86_64"),
            interpreters: [label("cpython-3.12")].into(),
            isolations: [label("sandbox")].into(),
            memory_mib: 1024,
            slots,
        };
        let worker = who();
        story.tell(Message::Enrol {
            worker: worker.clone(),
            offers: offers.clone(),
            approved: true,
        });
        assert!(matches!(
            story.claim_of(0, 1),
            Answer::Refused(Refusal::OtherBoot)
        ));
        story.tell(Message::Hello {
            worker,
            boot: 1,
            offers,
        });
        story
    }

    fn tell(&mut self, message: Message) -> Answer {
        let decision = self.queue.step(Monotonic(self.now), message);
        self.heard.extend(decision.signals);
        decision.answer
    }

    fn submit(&mut self, n: u64) {
        let digest = |n: u64| format!("{n:064x}").parse().unwrap();
        self.tell(Message::Submit(NewJob {
            key: JobKey {
                file: digest(n),
                spec: digest(0),
                generation: 0,
            },
            project: format!("p{n}"),
            needs: Needs {
                platform: label("linux/x86_64"),
                interpreter: label("cpython-3.12"),
                isolation: label("sandbox"),
                memory_mib: 1024,
            },
            priority: Priority::Interactive,
            captured: true,
        }));
    }

    fn claim_of(&mut self, boot: u64, slots: u8) -> Answer {
        self.request += 1;
        let fresh = (0..slots)
            .map(|_| {
                self.leases += 1;
                Lease([self.leases; 16])
            })
            .collect();
        let request = self.request;
        self.tell(Message::Claim {
            worker: who(),
            boot,
            request,
            fresh,
        })
    }

    fn claim(&mut self, slots: u8) -> (Vec<Grant>, Option<Idle>) {
        match self.claim_of(1, slots) {
            Answer::Granted { grants, idle } => (grants, idle),
            other => panic!("{other:?}"),
        }
    }

    fn one(&mut self) -> Grant {
        let (grants, idle) = self.claim(1);
        *grants.first().unwrap_or_else(|| panic!("nothing: {idle:?}"))
    }

    fn complete(&mut self, grant: Grant, blame: Option<Blame>) {
        self.tell(Message::Complete(Completion {
            worker: who(),
            lease: grant.lease,
            blame,
            missing: Vec::new(),
        }));
    }

    fn release(&mut self, grant: Grant, how: HowReleased) {
        self.tell(Message::Release {
            worker: who(),
            lease: grant.lease,
            how,
        });
    }
}

fn who() -> WorkerId {
    "w".parse().unwrap()
}

#[test]
fn a_job_that_must_run_alone_is_passed_over_for_a_while_and_then_the_worker_empties_itself() {
    let mut story = Story::with_worker(2);
    story.submit(1);
    for _ in 0..2 {
        let grant = story.one();
        story.release(grant, HowReleased::Unclean);
    }
    story.submit(2);
    story.submit(3);
    story.submit(4);
    // the worker is empty: the older job goes first, and alone
    let alone = story.claim(2).0;
    assert_eq!(alone.iter().map(|g| g.job).collect::<Vec<_>>(), [JobId(1)]);
    story.release(alone[0], HowReleased::Clean);
    // with something else running, others pass it
    let mut busy = Story::with_worker(2);
    busy.submit(2);
    let long = busy.one();
    busy.submit(1);
    for _ in 0..2 {
        let grant = busy.one();
        assert_eq!(grant.job, JobId(2));
        busy.release(grant, HowReleased::Unclean);
    }
    busy.submit(3);
    let other = busy.one();
    assert_eq!(other.job, JobId(3), "the one that must run alone is passed over");
    busy.complete(other, None);
    busy.now = Policy::default().alone_patience_ms + 1;
    busy.submit(4);
    assert_eq!(busy.claim(1), (vec![], Some(Idle::Alone)), "no longer");
    busy.complete(long, None);
    assert_eq!(busy.one().job, JobId(2));
    assert_eq!(busy.claim(1), (vec![], Some(Idle::Alone)));
}

#[test]
fn a_worker_that_drains_says_so_when_it_holds_nothing() {
    let mut story = Story::with_worker(2);
    story.submit(1);
    story.submit(2);
    let grants = story.claim(2).0;
    story.tell(Message::Order {
        worker: who(),
        order: Order::Drain,
    });
    story.complete(grants[0], None);
    assert!(!story.heard.contains(&Signal::Drained(who())));
    story.release(grants[1], HowReleased::Clean);
    assert!(story.heard.contains(&Signal::Drained(who())));
    // one that holds nothing says so at once
    story.heard.clear();
    story.tell(Message::Order {
        worker: who(),
        order: Order::Drain,
    });
    assert!(story.heard.contains(&Signal::Drained(who())));
}

#[test]
fn after_a_quarantine_a_worker_gets_one_job_at_a_time_until_one_ends_well() {
    let mut story = Story::with_worker(4);
    for n in 1..=12 {
        story.submit(n);
    }
    for _ in 0..5 {
        let grant = story.one();
        story.complete(grant, Some(Blame::Us));
    }
    assert_eq!(story.claim(4), (vec![], Some(Idle::Quarantined)));
    story.now += Policy::default().quarantine_ms;
    story.tell(Message::Tick);
    let grants = story.claim(4).0;
    assert_eq!(grants.len(), 1);
    assert_eq!(story.claim(3), (vec![], Some(Idle::Probation)));
    // a second failure: twice as long
    let grant = grants[0];
    story.release(grant, HowReleased::Clean);
    let grant = story.one();
    let fresh = (6..=12).contains(&grant.job.0);
    story.complete(grant, Some(Blame::Us));
    if fresh {
        story.now += Policy::default().quarantine_ms * 2 - 1;
        story.tell(Message::Tick);
        assert_eq!(story.claim(4), (vec![], Some(Idle::Quarantined)));
        story.now += 1;
        story.tell(Message::Tick);
    }
    let grant = story.one();
    story.complete(grant, None);
    assert_eq!(story.claim(3).0.len(), 3, "it has proved itself");
    let standing = story.queue.workers().next().unwrap().standing;
    assert_eq!(standing, Standing::Active);
}

#[test]
fn one_crash_with_many_jobs_is_one_bad_end_and_jobs_that_kill_are_not_held_against_a_worker() {
    let mut story = Story::with_worker(8);
    for n in 1..=8 {
        story.submit(n);
    }
    for grant in story.claim(8).0 {
        story.release(grant, HowReleased::Unclean);
    }
    assert_eq!(story.queue.workers().next().unwrap().health.bad(), 1);
    // eight jobs of one outage, the same
    let grants = story.claim(8).0;
    assert_eq!(grants.len(), 8);
    story.now += 10 * MINUTE;
    story.tell(Message::Tick);
    assert_eq!(story.queue.workers().next().unwrap().health.bad(), 2);
    // now each was lost twice, and is the suspect itself
    for _ in 0..4 {
        let grant = story.one();
        story.complete(grant, Some(Blame::Us));
    }
    assert_eq!(story.queue.workers().next().unwrap().health.bad(), 2);
}
