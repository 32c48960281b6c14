//! The numbers of the queue.

use crate::job::Priority;
use crate::rules::Rules;

/// Second, minute and hour in the queue's unit.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// How long, how often, how many.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a lease lasts without a renewal, in milliseconds.
    pub lease_ms: u64,
    /// At so many losses a job is given up. Measured: of 3,000 jobs under chaos 155 died at 3, 38 at 5, 11 at 8.
    pub lost_cap: u8,
    /// From so many losses on a job runs alone on its worker.
    pub alone_from: u8,
    /// How long past its place a job that must run alone waits, in milliseconds, before workers empty themselves for it.
    pub alone_patience_ms: u64,
    /// At so many of our faults a job is given up.
    pub fault_cap: u8,
    /// Waiting after the first fault, in milliseconds; each further one waits ten times as long.
    pub back_off_ms: u64,
    /// Bad ends among a worker's last eight that put it into quarantine.
    pub quarantine_at: u32,
    /// The first quarantine in milliseconds; each further one is twice as long, up to 16 times.
    pub quarantine_ms: u64,
    /// Jobs of one answer to a claim.
    pub grants_at_once: usize,
    /// What one [`crate::Message::Tick`] does at most, so that no transaction grows without end.
    pub reap_at_once: usize,
    /// Which rules hold: all, outside of tests.
    pub rules: Rules,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lease_ms: 2 * MINUTE,
            lost_cap: 8,
            alone_from: 2,
            alone_patience_ms: 10 * MINUTE,
            fault_cap: 3,
            back_off_ms: MINUTE,
            quarantine_at: 5,
            quarantine_ms: 10 * MINUTE,
            grants_at_once: 16,
            reap_at_once: 256,
            rules: Rules::default(),
        }
    }
}

impl Policy {
    /// The window in which files of one project are counted, in milliseconds.
    pub const FAIR_WINDOW_MS: u64 = HOUR;
    /// Files of one project in that window that cost nothing.
    pub const FAIR_FREE: u32 = 4;
    /// No job waits behind one that came this much later, in milliseconds.
    pub const MAX_SLACK_MS: u64 = 30 * MINUTE + HOUR;

    /// How far behind the moment of its coming a job is placed, in milliseconds: by its class, and by how many files of the
    /// same project came in the hour before.
    pub fn slack_ms(priority: Priority, before: u32) -> u64 {
        let class = match priority {
            Priority::Interactive => 0,
            Priority::NewProject => 30 * SECOND,
            Priority::Popular => MINUTE,
            Priority::Release => 2 * MINUTE,
            Priority::Retest => 30 * MINUTE,
        };
        class + Self::crowd_ms(before)
    }

    /// The part of the slack that a project's own files cause.
    pub fn crowd_ms(before: u32) -> u64 {
        (u64::from(before.saturating_sub(Self::FAIR_FREE - 1)) * 30 * SECOND).min(HOUR)
    }

    /// Waiting after so many faults, in milliseconds.
    pub fn back_off(&self, faults: u8) -> u64 {
        self.back_off_ms
            .saturating_mul(10_u64.saturating_pow(u32::from(faults.saturating_sub(1))))
    }

    /// The length of a worker's next quarantine, in milliseconds.
    pub fn quarantine(&self, before: u8) -> u64 {
        self.quarantine_ms.saturating_mul(1 << before.min(4))
    }
}
