//! L4: only here does time do anything.

use super::Turn;
use crate::job::{State, Wait};
use crate::ledger::{Ledger, Timer};
use crate::message::{Answer, Change};
use crate::rules::Rule;
use crate::worker::Standing;

impl<L: Ledger> Turn<'_, L> {
    pub(super) fn tick(&mut self) -> Result<Answer, L::Error> {
        let due = self.ledger.timers().due(self.now, self.policy.reap_at_once);
        let more = due.len() == self.policy.reap_at_once;
        // one outage is one bad end of a worker, however many jobs it held
        let mut counted = std::collections::BTreeMap::new();
        for timer in due {
            match &timer {
                Timer::Lease(id) => {
                    if !self.has(Rule::Reaper) {
                        continue;
                    }
                    if let Some(mut job) = self.ledger.job(*id)?
                        && job.state == State::Leased
                    {
                        let suspect = self.suspect(&job);
                        self.lose(&mut job);
                        if let Some(holder) = &job.holder
                            && let Some(worker) = self.ledger.worker(&holder.worker)?
                        {
                            self.note_drained(&worker, job.id)?;
                            if !suspect {
                                counted.insert(holder.worker.clone(), worker);
                            }
                        }
                        if !self.has(Rule::ExpiryKeepsLease) {
                            job.holder = None;
                        }
                        self.put(job);
                    }
                }
                Timer::BackOff(id) => {
                    if let Some(mut job) = self.ledger.job(*id)?
                        && matches!(job.state, State::Waiting(Wait::BackOff(_)))
                    {
                        job.state = State::Queued;
                        self.put(job);
                    }
                }
                Timer::Quarantine(id) => {
                    if let Some(mut worker) = self.ledger.worker(id)?
                        && matches!(worker.standing, Standing::Quarantined(_))
                    {
                        worker.standing = Standing::Active;
                        self.put_worker(worker);
                    }
                }
            }
            self.changes.push(Change::Disarm(timer));
        }
        for (_, mut worker) in counted {
            // the same worker may have left its quarantine in this very tick
            if !self
                .changes
                .iter()
                .any(|c| matches!(c, Change::Worker(w) if w.id == worker.id))
            {
                self.note_end(&mut worker, true);
                self.put_worker(worker);
            }
        }
        Ok(Answer::Ticked { more })
    }
}
