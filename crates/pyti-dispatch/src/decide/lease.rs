//! L2, L3, L5, L7 and L8: jobs are given out, and come back.

use pyti_model::outcome::Blame;

use super::{Turn, refused};
use crate::id::{Lease, WorkerId};
use crate::job::{Death, Holder, Job, Mark, State, Wait};
use crate::ledger::{Ledger, Timer, Want};
use crate::message::{Answer, Change, Completion, Grant, HowReleased, Idle, LeaseAnswer, Refusal};
use crate::rules::Rule;
use crate::worker::{Standing, Worker};

/// Answered requests of one worker that are remembered. It has one open at a time, so one would do; the rest is for
/// networks that deliver late.
const REMEMBERED: u64 = 64;

impl<L: Ledger> Turn<'_, L> {
    pub(super) fn claim(
        &mut self,
        id: &WorkerId,
        boot: u64,
        request: u64,
        fresh: &[Lease],
    ) -> Result<Answer, L::Error> {
        let mut worker = match self.writer(id)? {
            Ok(worker) => worker,
            Err(refusal) => return Ok(refused(refusal)),
        };
        if worker.standing == Standing::Revoked {
            return Ok(refused(Refusal::Revoked));
        }
        if (boot != worker.boot || boot == 0) && self.has(Rule::NewestBootClaims) {
            return Ok(refused(Refusal::OtherBoot));
        }
        if self.has(Rule::IdempotentClaim) {
            if let Some(before) = self.ledger.claimed(id, boot, request)? {
                return self.same_again(&before);
            }
            if boot == worker.boot && request <= worker.request {
                return Ok(nothing(Idle::Answered));
            }
        }
        if let Some(idle) = idle(worker.standing)
            && self.has(if idle == Idle::Quarantined {
                Rule::Quarantine
            } else {
                Rule::HoldAndDrain
            })
        {
            return Ok(nothing(idle));
        }
        let picked = match self.pick(&worker, fresh.len())? {
            Ok(picked) => picked,
            Err(idle) => return Ok(nothing(idle)),
        };
        let mut grants = Vec::with_capacity(picked.len());
        for (mut job, lease) in picked.into_iter().zip(fresh) {
            job.epoch += 1;
            job.state = State::Leased;
            job.holder = Some(Holder {
                lease: *lease,
                worker: id.clone(),
                mark: Mark::Live,
            });
            grants.push(Grant {
                job: job.id,
                lease: *lease,
                epoch: job.epoch,
            });
            self.arm_lease(job.id);
            self.put(job);
        }
        worker.request = request;
        self.put_worker(worker);
        self.changes.push(Change::Claimed {
            worker: id.clone(),
            boot,
            request,
            grants: grants.iter().map(|g| (g.job, g.lease)).collect(),
        });
        if request > REMEMBERED {
            self.changes.push(Change::ForgetClaims {
                worker: id.clone(),
                before: (boot, request - REMEMBERED),
            });
        }
        Ok(Answer::Granted { grants, idle: None })
    }

    /// What a request got before, as far as it is still its own.
    fn same_again(&self, before: &[(crate::JobId, Lease)]) -> Result<Answer, L::Error> {
        let mut grants = Vec::new();
        for (id, lease) in before {
            if let Some(job) = self.ledger.job(*id)?
                && !job.state.ended()
                && job.newest(*lease).is_some_and(|h| h.mark == Mark::Live)
            {
                grants.push(Grant {
                    job: *id,
                    lease: *lease,
                    epoch: job.epoch,
                });
            }
        }
        let idle = grants.is_empty().then_some(Idle::Answered);
        Ok(Answer::Granted { grants, idle })
    }

    /// The jobs for a worker with so much room.
    fn pick(&self, worker: &Worker, room: usize) -> Result<Result<Vec<Job>, Idle>, L::Error> {
        let mut held = self.ledger.held(&worker.id)?;
        held.retain(|job| job.state == State::Leased);
        let alone_from = if self.has(Rule::RunAlone) {
            self.policy.alone_from
        } else {
            u8::MAX
        };
        if held.iter().any(|job| job.lost >= alone_from) {
            return Ok(Err(Idle::Alone));
        }
        let mut room = room
            .min(self.policy.grants_at_once)
            .min(usize::from(worker.offers.slots).saturating_sub(held.len()));
        if room == 0 {
            return Ok(Err(Idle::Full));
        }
        if worker.health.probation && self.has(Rule::Quarantine) {
            if !held.is_empty() {
                return Ok(Err(Idle::Probation));
            }
            room = 1;
        }
        let mut picked: Vec<Job> = Vec::new();
        let mut skip = Vec::new();
        while picked.len() < room {
            let want = |alone| Want {
                offers: self.has(Rule::Matching).then_some(&worker.offers),
                alone,
                alone_from,
                skip: &skip,
            };
            let empty = held.is_empty() && picked.is_empty();
            if !empty
                && let Some(job) = self.ledger.next(&want(Some(true)))?
                && self.now.0 > job.order_key.saturating_add(self.policy.alone_patience_ms)
            {
                if picked.is_empty() {
                    return Ok(Err(Idle::Alone));
                }
                break;
            }
            let Some(job) = self.ledger.next(&want(if empty { None } else { Some(false) }))? else {
                break;
            };
            let alone = job.lost >= alone_from;
            skip.push(job.id);
            picked.push(job);
            if alone {
                break;
            }
        }
        Ok(if picked.is_empty() {
            Err(Idle::Empty)
        } else {
            Ok(picked)
        })
    }

    pub(super) fn renew(&mut self, id: &WorkerId, leases: &[Lease]) -> Result<Answer, L::Error> {
        if let Err(refusal) = self.writer(id)? {
            return Ok(refused(refusal));
        }
        let mut answers = Vec::with_capacity(leases.len());
        for lease in leases {
            answers.push((*lease, self.renew_one(id, *lease)?));
        }
        Ok(Answer::Renewed(answers))
    }

    fn renew_one(&mut self, id: &WorkerId, lease: Lease) -> Result<LeaseAnswer, L::Error> {
        let Some((mut job, mark)) = self.leased(id, lease)? else {
            return Ok(LeaseAnswer::Gone);
        };
        Ok(match (mark, job.state) {
            (Mark::Completed, _) => LeaseAnswer::Ended,
            (Mark::Live, State::Cancelled) => LeaseAnswer::Cancelled,
            (Mark::Live, State::Leased) => {
                self.arm_lease(job.id);
                LeaseAnswer::Ok
            }
            (Mark::Live, State::Queued) if self.has(Rule::RenewRevives) => {
                job.state = State::Leased;
                self.arm_lease(job.id);
                self.put(job);
                LeaseAnswer::Ok
            }
            (Mark::Live | Mark::Released, _) => LeaseAnswer::Gone,
        })
    }

    /// The job that a caller may write to with this lease, and what became of the lease (L3).
    fn leased(&self, caller: &WorkerId, lease: Lease) -> Result<Option<(Job, Mark)>, L::Error> {
        let Some(job) = self.ledger.by_lease(lease)? else {
            return self.any_former(caller, lease);
        };
        Ok(match &job.holder {
            Some(h) if h.worker == *caller || !self.has(Rule::CallerHolds) => {
                let mark = h.mark;
                Some((job, mark))
            }
            _ => None,
        })
    }

    /// With the fence down: a job that this worker ever got with this lease.
    fn any_former(&self, caller: &WorkerId, lease: Lease) -> Result<Option<(Job, Mark)>, L::Error> {
        if self.has(Rule::NewestLease) {
            return Ok(None);
        }
        let Some(worker) = self.ledger.worker(caller)? else {
            return Ok(None);
        };
        for request in (0..=worker.request).rev() {
            let got = self
                .ledger
                .claimed(caller, worker.boot, request)?
                .unwrap_or_default();
            if let Some((id, _)) = got.iter().find(|(_, l)| *l == lease) {
                return Ok(self.ledger.job(*id)?.map(|job| (job, Mark::Live)));
            }
        }
        Ok(None)
    }

    pub(super) fn complete(&mut self, done: Completion) -> Result<Answer, L::Error> {
        let mut worker = match self.writer(&done.worker)? {
            Ok(worker) => worker,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let Some((mut job, mark)) = self.leased(&done.worker, done.lease)? else {
            return Ok(Answer::Lease(LeaseAnswer::Gone));
        };
        match mark {
            Mark::Completed if self.has(Rule::SameAnswerAgain) => return Ok(Answer::Lease(LeaseAnswer::Ok)),
            Mark::Completed if self.has(Rule::OpenOnly) => return Ok(Answer::Lease(LeaseAnswer::Gone)),
            Mark::Released => return Ok(Answer::Lease(LeaseAnswer::Gone)),
            Mark::Completed | Mark::Live => {}
        }
        if job.state.ended() && self.has(Rule::OpenOnly) {
            return Ok(Answer::Lease(LeaseAnswer::Gone));
        }
        if !done.missing.is_empty() && self.has(Rule::ManifestChecked) {
            return Ok(Answer::Missing(done.missing));
        }
        let ours = done.blame == Some(Blame::Us);
        let suspect = self.suspect(&job);
        job.marked(Mark::Completed);
        if ours || (done.blame.is_some() && !self.has(Rule::OnlyOurFaultsRetry)) {
            job.faults = job.faults.saturating_add(1);
            job.state = if job.faults >= self.policy.fault_cap && self.has(Rule::FaultCap) {
                State::Dead(Death::Faults)
            } else if self.has(Rule::BackOff) {
                let ms = self.policy.back_off(job.faults);
                let at = self.now.after(ms);
                self.changes.push(Change::Arm(Timer::BackOff(job.id), at));
                State::Waiting(Wait::BackOff(ms))
            } else {
                State::Queued
            };
        } else {
            job.state = State::Done;
        }
        self.disarm_lease(job.id);
        self.note_drained(&worker, job.id)?;
        if !(ours && suspect) {
            let before = worker.clone();
            self.note_end(&mut worker, ours);
            if worker != before {
                self.put_worker(worker);
            }
        }
        self.put(job);
        Ok(Answer::Lease(LeaseAnswer::Ok))
    }

    pub(super) fn release(
        &mut self,
        id: &WorkerId,
        lease: Lease,
        how: HowReleased,
    ) -> Result<Answer, L::Error> {
        let mut worker = match self.writer(id)? {
            Ok(worker) => worker,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let Some((mut job, mark)) = self.leased(id, lease)? else {
            return Ok(Answer::Lease(LeaseAnswer::Gone));
        };
        match (mark, job.state) {
            (Mark::Released, _) => return Ok(Answer::Lease(LeaseAnswer::Ok)),
            (Mark::Completed, _) => return Ok(Answer::Lease(LeaseAnswer::Ended)),
            (Mark::Live, State::Leased) => {}
            // it expired and was counted then
            (Mark::Live, State::Queued) => {
                job.marked(Mark::Released);
                self.put(job);
                return Ok(Answer::Lease(LeaseAnswer::Ok));
            }
            (Mark::Live, _) => return Ok(Answer::Lease(LeaseAnswer::Gone)),
        }
        let suspect = self.suspect(&job);
        job.marked(Mark::Released);
        self.disarm_lease(job.id);
        self.note_drained(&worker, job.id)?;
        if how == HowReleased::Clean && self.has(Rule::CleanReleaseFree) {
            job.state = State::Queued;
        } else {
            self.lose(&mut job);
            // all jobs of one crash are one bad end, and those that kill workers are none of the worker's
            if !suspect && worker.health.counted_boot != worker.boot {
                worker.health.counted_boot = worker.boot;
                self.note_end(&mut worker, true);
                self.put_worker(worker);
            }
        }
        self.put(job);
        Ok(Answer::Lease(LeaseAnswer::Ok))
    }
}

fn nothing(idle: Idle) -> Answer {
    Answer::Granted {
        grants: Vec::new(),
        idle: Some(idle),
    }
}

fn idle(standing: Standing) -> Option<Idle> {
    match standing {
        Standing::Held => Some(Idle::Held),
        Standing::Draining => Some(Idle::Draining),
        Standing::Quarantined(_) => Some(Idle::Quarantined),
        Standing::Active | Standing::Pending | Standing::Revoked => None,
    }
}
