//! A worker: what it keeps on disk, what it forgets when it dies, and how it asks again.

use std::collections::{BTreeMap, BTreeSet};

use pyti_dispatch::rules::{Rule, Rules};
use pyti_dispatch::{Answer, HowReleased, JobId, Lease, LeaseAnswer, Offers};
use pyti_model::outcome::Blame;

use crate::setting::offers;
use crate::world::{Call, MINUTE, Nature, SECOND, SEGMENTS, World};

/// How a work came out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    blame: Option<Blame>,
}

/// A work in the spool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) job: JobId,
    pub(crate) finished: Option<End>,
}

/// A work that runs, in memory only.
#[derive(Debug, Clone, Copy)]
struct Running {
    ends: u64,
    kills: Option<u64>,
}

pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) offers: Offers,
    pub(crate) broken: bool,
    pub(crate) liar: bool,
    pub(crate) up: bool,
    pub(crate) vanished: bool,
    /// Counts lives, for stale alarms of the simulator.
    pub(crate) life: u64,
    pub(crate) boot: u64,
    pub(crate) spool: BTreeMap<Lease, Work>,
    /// What of the spool was synced.
    pub(crate) disk: BTreeMap<Lease, Work>,
    running: BTreeMap<Lease, Running>,
    greeted: bool,
    request: u64,
    /// The claim that is open, and when to ask again.
    open: Option<(u64, u64)>,
    renew_at: u64,
    try_at: BTreeMap<Lease, u64>,
    /// Works that were declared finished, over all lives; and those that got a last answer.
    pub(crate) finished: BTreeSet<Lease>,
    pub(crate) told: BTreeSet<Lease>,
    /// How often each lease was run, over all lives.
    pub(crate) runs: BTreeMap<Lease, u32>,
    leaving: bool,
}

impl Worker {
    pub(crate) fn new(number: usize, slots: u16) -> Self {
        Self {
            number,
            offers: offers(number, slots),
            broken: false,
            liar: false,
            up: false,
            vanished: false,
            life: 0,
            boot: 0,
            spool: BTreeMap::new(),
            disk: BTreeMap::new(),
            running: BTreeMap::new(),
            greeted: false,
            request: 0,
            open: None,
            renew_at: 0,
            try_at: BTreeMap::new(),
            finished: BTreeSet::new(),
            told: BTreeSet::new(),
            runs: BTreeMap::new(),
            leaving: false,
        }
    }

    pub(crate) fn start(&mut self, _rules: Rules) -> u64 {
        self.up = true;
        self.life += 1;
        self.boot += 1;
        self.spool = self.disk.clone();
        self.life
    }

    pub(crate) fn die(&mut self, _rules: Rules) {
        self.up = false;
        self.running.clear();
        self.greeted = false;
        self.open = None;
        self.try_at.clear();
        self.leaving = false;
        self.spool.clear();
    }

    fn sync(&mut self) {
        self.disk = self.spool.clone();
    }

    fn forget(&mut self, lease: Lease) {
        self.spool.remove(&lease);
        self.disk.remove(&lease);
        self.running.remove(&lease);
        self.try_at.remove(&lease);
    }
}

impl World {
    /// A worker looks after what it has.
    pub(crate) fn poll(&mut self, n: usize) {
        let now = self.now;
        let boot = self.workers[n].boot;
        if !self.workers[n].greeted {
            self.send(Call::Hello { worker: n, boot });
        }
        if self.run_on(n) {
            return;
        }
        // rarely it is stopped in an orderly way
        if !self.workers[n].leaving && self.chance.per_mille(2) {
            self.workers[n].leaving = true;
        }
        self.deliver(n);
        if now >= self.workers[n].renew_at {
            self.workers[n].renew_at = now + 40 * SECOND;
            let leases: Vec<Lease> = self.workers[n].spool.keys().copied().collect();
            if !leases.is_empty() {
                self.send(Call::Renew {
                    worker: n,
                    boot,
                    leases,
                });
            }
        }
        self.ask_for_work(n);
        if self.workers[n].liar && self.chance.per_mille(40) {
            self.lie(n);
        }
    }

    /// Lets works go on; true when one took the worker down.
    fn run_on(&mut self, n: usize) -> bool {
        let now = self.now;
        let due: Vec<(Lease, Running)> = self.workers[n].running.iter().map(|(l, r)| (*l, *r)).collect();
        for (lease, running) in due {
            if running.kills.is_some_and(|at| at <= now) {
                self.worker_dies(n, false);
                return true;
            }
            if running.ends <= now {
                self.workers[n].running.remove(&lease);
                let Some(work) = self.workers[n].spool.get(&lease).copied() else {
                    continue;
                };
                let blame = self.blame(n, work.job);
                if blame != Some(Blame::Us) {
                    *self.checks.executions.entry(work.job).or_default() += 1;
                }
                let worker = &mut self.workers[n];
                worker.finished.insert(lease);
                worker.spool.insert(
                    lease,
                    Work {
                        finished: Some(End { blame }),
                        ..work
                    },
                );
                if self.rules.has(Rule::SpoolSynced) {
                    worker.sync();
                }
            }
        }
        false
    }

    fn blame(&mut self, n: usize, job: JobId) -> Option<Blame> {
        if self.workers[n].broken {
            return Some(Blame::Us);
        }
        let faults = self.checks.faults(job);
        match self.nature(job) {
            Nature::Faulty(times) if faults < times => Some(Blame::Us),
            Nature::Bad => Some(Blame::Package),
            _ => None,
        }
    }

    fn nature(&self, job: JobId) -> Nature {
        self.plans
            .iter()
            .find(|p| p.id == Some(job))
            .map_or(Nature::Plain, |p| p.nature)
    }

    /// Sends what is finished, gives back what was interrupted.
    fn deliver(&mut self, n: usize) {
        let now = self.now;
        let boot = self.workers[n].boot;
        let works: Vec<(Lease, Work)> = self.workers[n].spool.iter().map(|(l, w)| (*l, *w)).collect();
        for (lease, work) in works {
            if self.workers[n].try_at.get(&lease).is_some_and(|at| *at > now) {
                continue;
            }
            match work.finished {
                Some(End { blame }) => {
                    for segment in 0..SEGMENTS {
                        self.send(Call::Put { lease, segment });
                    }
                    self.send(Call::Complete {
                        worker: n,
                        boot,
                        lease,
                        blame,
                    });
                    if !self.rules.has(Rule::SpoolUntilAnswered) {
                        self.workers[n].forget(lease);
                    }
                }
                None if self.workers[n].running.contains_key(&lease) && !self.workers[n].leaving => continue,
                None if !self.rules.has(Rule::OncePerLease) && !self.workers[n].leaving => {
                    self.execute(n, lease, work.job);
                    continue;
                }
                None => {
                    if self.workers[n].finished.contains(&lease) {
                        self.checks
                            .fail(format!("{lease:?}: finished work is given back as unfinished"));
                    }
                    let how = if self.workers[n].running.contains_key(&lease) {
                        HowReleased::Clean
                    } else {
                        HowReleased::Unclean
                    };
                    self.send(Call::Release {
                        worker: n,
                        boot,
                        lease,
                        how,
                    });
                }
            }
            self.workers[n].try_at.insert(lease, now + 15 * SECOND);
        }
        if self.workers[n].leaving && self.workers[n].spool.is_empty() {
            self.workers[n].leaving = false;
        }
    }

    fn ask_for_work(&mut self, n: usize) {
        let now = self.now;
        let worker = &mut self.workers[n];
        let room = usize::from(worker.offers.slots).saturating_sub(worker.spool.len());
        if room == 0 || worker.leaving || !worker.greeted {
            return;
        }
        let request = match worker.open {
            Some((_, again)) if again > now => return,
            Some((request, _)) => request,
            None => {
                worker.request += 1;
                worker.request
            }
        };
        worker.open = Some((request, now + 10 * SECOND));
        let boot = worker.boot;
        self.send(Call::Claim {
            worker: n,
            boot,
            request,
            slots: room as u16,
        });
    }

    /// Answers for what another holds.
    fn lie(&mut self, n: usize) {
        let other = self.workers.iter().filter(|w| w.number != n).find_map(|w| {
            let lease = w.spool.keys().next()?;
            Some(*lease)
        });
        if let Some(lease) = other {
            let boot = self.workers[n].boot;
            for segment in 0..SEGMENTS {
                self.send(Call::Put { lease, segment });
            }
            self.send(Call::Complete {
                worker: n,
                boot,
                lease,
                blame: None,
            });
        }
    }

    fn execute(&mut self, n: usize, lease: Lease, job: JobId) {
        let now = self.now;
        let Some(plan) = self.plans.iter().find(|p| p.id == Some(job)) else {
            return;
        };
        let (nature, takes) = (plan.nature, plan.takes);
        let takes = if self.workers[n].broken { 3 * SECOND } else { takes };
        let kills = (nature == Nature::Poison).then(|| now + self.chance.range(SECOND, takes));
        let worker = &mut self.workers[n];
        let runs = worker.runs.entry(lease).or_default();
        *runs += 1;
        if *runs > 1 {
            self.checks.fail(format!("{lease:?} of job {job} was run twice"));
        }
        worker.running.insert(
            lease,
            Running {
                ends: now + takes,
                kills,
            },
        );
    }

    /// A worker hears an answer; one of an earlier life it does not know.
    pub(crate) fn worker_hears(&mut self, call: Call, answer: Answer) {
        let rules = self.rules;
        match call {
            Call::Hello { worker, boot } if self.hears(worker, boot) && answer == Answer::Done => {
                self.workers[worker].greeted = true;
            }
            Call::Claim {
                worker,
                boot,
                request,
                ..
            } if self.hears(worker, boot) => {
                if self.workers[worker].open.is_none_or(|(open, _)| open != request) {
                    return;
                }
                let Answer::Granted { grants, .. } = answer else {
                    self.workers[worker].open = Some((request, self.now + MINUTE));
                    return;
                };
                self.workers[worker].open = None;
                for grant in grants {
                    let work = Work {
                        job: grant.job,
                        finished: None,
                    };
                    self.workers[worker].spool.insert(grant.lease, work);
                    self.workers[worker].sync();
                    self.execute(worker, grant.lease, grant.job);
                }
            }
            Call::Renew { worker, boot, .. } if self.hears(worker, boot) => {
                if let Answer::Renewed(answers) = answer {
                    for (lease, worth) in answers {
                        if worth != LeaseAnswer::Ok {
                            self.workers[worker].told.insert(lease);
                            self.workers[worker].forget(lease);
                        }
                    }
                }
            }
            Call::Complete {
                worker, boot, lease, ..
            } if self.hears(worker, boot) => match answer {
                Answer::Missing(_) => {
                    if !rules.has(Rule::ManifestChecked) {
                        return;
                    }
                    self.workers[worker].try_at.remove(&lease);
                }
                Answer::Lease(_) | Answer::Refused(_) => {
                    self.workers[worker].told.insert(lease);
                    self.workers[worker].forget(lease);
                }
                _ => {}
            },
            Call::Release {
                worker, boot, lease, ..
            } if self.hears(worker, boot) => {
                self.workers[worker].told.insert(lease);
                self.workers[worker].forget(lease);
            }
            _ => {}
        }
    }

    fn hears(&self, worker: usize, boot: u64) -> bool {
        self.workers[worker].up && self.workers[worker].boot == boot
    }
}
