//! A worker as the queue knows it: what it has, whether it may, and how its work ended of late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::WorkerId;
use crate::job::Offers;

/// Whether a worker gets jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Waits for approval.
    Pending,
    /// Gets jobs.
    Active,
    /// Gets none until resumed; may finish.
    Held,
    /// Gets none and shall leave; may finish.
    Draining,
    /// Too much failed there; gets none for so many milliseconds, counted anew after a restart; may finish.
    Quarantined(u64),
    /// For ever out: nothing of it is taken.
    Revoked,
}

impl Standing {
    /// Whether what it sends is taken (L3).
    pub fn may_write(self) -> bool {
        !matches!(self, Self::Pending | Self::Revoked)
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Held => "held",
            Self::Draining => "draining",
            Self::Quarantined(_) => "quarantined",
            Self::Revoked => "revoked",
        }
    }
}

/// How the last works of a worker ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// One bit for each of the last eight ends, newest lowest; 1 is bad.
    pub ends: u8,
    /// Quarantines without a good end since.
    pub quarantines: u8,
    /// Comes from a quarantine and must prove itself, one job at a time.
    pub probation: bool,
    /// The boot whose losses were counted: one crash with many jobs is one bad end.
    pub counted_boot: u64,
}

impl Health {
    /// Notes one end.
    pub(crate) fn note(&mut self, bad: bool) {
        self.ends = self.ends << 1 | u8::from(bad);
        if !bad {
            self.probation = false;
            self.quarantines = 0;
        }
    }

    /// Bad ends among the last eight.
    pub fn bad(self) -> u32 {
        self.ends.count_ones()
    }
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub id: WorkerId,
    /// Whether it gets jobs.
    pub standing: Standing,
    /// What it has.
    pub offers: Offers,
    /// Its newest start; the worker counts them on its disk.
    pub boot: u64,
    /// The newest request of that start that was given a job.
    pub request: u64,
    /// How its work ended of late.
    pub health: Health,
}
