//! L10 and the standing of workers.

use super::{Turn, refused};
use crate::id::WorkerId;
use crate::job::{Offers, State};
use crate::ledger::{Ledger, Timer};
use crate::message::{Answer, Change, Order, Refusal, Signal};
use crate::rules::Rule;
use crate::worker::{Health, Standing, Worker};

impl<L: Ledger> Turn<'_, L> {
    pub(super) fn enrol(&mut self, id: WorkerId, offers: Offers, approved: bool) -> Result<Answer, L::Error> {
        if self.ledger.worker(&id)?.is_some() {
            return Ok(refused(Refusal::NameTaken));
        }
        self.put_worker(Worker {
            id,
            standing: if approved {
                Standing::Active
            } else {
                Standing::Pending
            },
            offers,
            boot: 0,
            request: 0,
            health: Health::default(),
        });
        Ok(Answer::Done)
    }

    pub(super) fn approve(&mut self, id: &WorkerId) -> Result<Answer, L::Error> {
        let Some(mut worker) = self.ledger.worker(id)? else {
            return Ok(refused(Refusal::UnknownWorker));
        };
        match worker.standing {
            Standing::Revoked => return Ok(refused(Refusal::Revoked)),
            Standing::Pending => {
                worker.standing = Standing::Active;
                self.put_worker(worker);
            }
            _ => {}
        }
        Ok(Answer::Done)
    }

    pub(super) fn hello(&mut self, id: &WorkerId, boot: u64, offers: Offers) -> Result<Answer, L::Error> {
        let mut worker = match self.writer(id)? {
            Ok(worker) => worker,
            Err(refusal) => return Ok(refused(refusal)),
        };
        if (boot < worker.boot || boot == 0) && self.has(Rule::NewestBootClaims) {
            return Ok(refused(Refusal::OtherBoot));
        }
        if boot != worker.boot {
            worker.boot = boot;
            worker.request = 0;
            self.changes.push(Change::ForgetClaims {
                worker: id.clone(),
                before: (boot, 0),
            });
        }
        worker.offers = offers;
        self.put_worker(worker);
        Ok(Answer::Done)
    }

    pub(super) fn order(&mut self, id: &WorkerId, order: Order) -> Result<Answer, L::Error> {
        let Some(mut worker) = self.ledger.worker(id)? else {
            return Ok(refused(Refusal::UnknownWorker));
        };
        match worker.standing {
            Standing::Revoked => return Ok(refused(Refusal::Revoked)),
            Standing::Pending => return Ok(refused(Refusal::NotApproved)),
            _ => {}
        }
        worker.standing = match order {
            Order::Hold => Standing::Held,
            Order::Drain => Standing::Draining,
            Order::Resume => {
                worker.health = Health {
                    counted_boot: worker.health.counted_boot,
                    ..Health::default()
                };
                Standing::Active
            }
        };
        self.changes.push(Change::Disarm(Timer::Quarantine(id.clone())));
        if order == Order::Drain && !self.ledger.held(id)?.iter().any(|job| job.state == State::Leased) {
            self.signals.push(Signal::Drained(id.clone()));
        }
        self.put_worker(worker);
        Ok(Answer::Done)
    }

    pub(super) fn revoke(&mut self, id: &WorkerId) -> Result<Answer, L::Error> {
        let Some(mut worker) = self.ledger.worker(id)? else {
            return Ok(refused(Refusal::UnknownWorker));
        };
        worker.standing = Standing::Revoked;
        self.put_worker(worker);
        self.changes.push(Change::Disarm(Timer::Quarantine(id.clone())));
        let mut requeued = Vec::new();
        if self.has(Rule::RevokeFrees) {
            for mut job in self.ledger.held(id)? {
                if job.state == State::Leased {
                    if self.has(Rule::RevokeUncounted) {
                        job.state = State::Queued;
                    } else {
                        self.lose(&mut job);
                    }
                    requeued.push(job.id);
                }
                job.holder = None;
                self.disarm_lease(job.id);
                self.put(job);
            }
        }
        Ok(Answer::Revoked { requeued })
    }
}
