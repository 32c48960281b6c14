//! L1 and L9: jobs come, and are called off.

use super::{Turn, refused};
use crate::id::JobId;
use crate::job::{Job, NewJob, Priority, State, Wait};
use crate::ledger::{Ledger, Timer};
use crate::message::{Answer, Change, Refusal};
use crate::policy::Policy;
use crate::rules::Rule;

impl<L: Ledger> Turn<'_, L> {
    pub(super) fn submit(&mut self, new: NewJob) -> Result<Answer, L::Error> {
        if let Some(mut known) = self.ledger.by_key(&new.key)?
            && self.has(Rule::UniqueSubmit)
        {
            if known.state.ended() && !self.has(Rule::EndedStaysEnded) {
                known.state = State::Queued;
                known.holder = None;
                self.put(known.clone());
            }
            return Ok(Answer::Submitted {
                job: known.id,
                new: false,
            });
        }
        let entered = self.ledger.base()?.max(self.now);
        let order_key = entered.0.saturating_add(self.slack(&new)?);
        let id = self.ledger.unused_id()?;
        self.changes.push(Change::Base(entered));
        self.put(Job {
            id,
            key: new.key,
            project: new.project,
            needs: new.needs,
            priority: new.priority,
            entered,
            order_key,
            state: if new.captured {
                State::Queued
            } else {
                State::Waiting(Wait::Capture)
            },
            epoch: 0,
            holder: None,
            faults: 0,
            lost: 0,
        });
        Ok(Answer::Submitted { job: id, new: true })
    }

    fn slack(&self, new: &NewJob) -> Result<u64, L::Error> {
        let before = if self.has(Rule::FairShare) {
            let since = self.now.0.saturating_sub(Policy::FAIR_WINDOW_MS);
            self.ledger.came_since(&new.project, crate::Monotonic(since))?
        } else {
            0
        };
        if self.has(Rule::Ageing) {
            return Ok(Policy::slack_ms(new.priority, before));
        }
        // what everybody does first: the class decides, however long one has waited
        let class = Priority::ALL.iter().position(|p| *p == new.priority).unwrap_or(0) as u64;
        Ok(class << 48)
    }

    pub(super) fn ready(&mut self, id: JobId) -> Result<Answer, L::Error> {
        let Some(mut job) = self.ledger.job(id)? else {
            return Ok(refused(Refusal::UnknownJob));
        };
        if job.state == State::Waiting(Wait::Capture) {
            job.state = State::Queued;
            self.put(job);
        }
        Ok(Answer::Done)
    }

    pub(super) fn requeue(&mut self, id: JobId) -> Result<Answer, L::Error> {
        let Some(job) = self.ledger.job(id)? else {
            return Ok(refused(Refusal::UnknownJob));
        };
        let newest = self.ledger.newest_generation(&job.key.file, &job.key.spec)?;
        let newest = newest.unwrap_or(job);
        if !newest.state.ended() {
            return Ok(Answer::Submitted {
                job: newest.id,
                new: false,
            });
        }
        let mut key = newest.key;
        key.generation = key.generation.saturating_add(1);
        self.submit(NewJob {
            key,
            project: newest.project,
            needs: newest.needs,
            priority: newest.priority,
            captured: true,
        })
    }

    pub(super) fn cancel(&mut self, id: JobId) -> Result<Answer, L::Error> {
        let Some(mut job) = self.ledger.job(id)? else {
            return Ok(refused(Refusal::UnknownJob));
        };
        let was = job.state;
        if was.ended() || (was == State::Leased && !self.has(Rule::CancelAtOnce)) {
            return Ok(Answer::Cancelled(was));
        }
        job.state = State::Cancelled;
        self.disarm_lease(id);
        self.changes.push(Change::Disarm(Timer::BackOff(id)));
        self.put(job);
        Ok(Answer::Cancelled(was))
    }
}
