//! The rules of the queue by name, so that each can be shown to be needed.
//!
//! The simulator of the tests runs with one rule left out and must find a case that goes wrong; a rule whose absence
//! nobody notices would be one too many, or one that is not tested.

/// One rule. L1 to L10 are the paragraphs of docs/queue.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// L1: the same key is the same job.
    UniqueSubmit,
    /// L1: a job that ended stays ended.
    EndedStaysEnded,
    /// L2: the same request gets the same answer.
    IdempotentClaim,
    /// L2: a request of a start that is over gets nothing.
    NewestBootClaims,
    /// L3: only the newest lease writes.
    NewestLease,
    /// L3: only the worker that a lease was given to writes with it.
    CallerHolds,
    /// L3: only a worker in good standing writes.
    ActiveOnly,
    /// L3: nothing is written to a job that ended.
    OpenOnly,
    /// L4: expiry lets others take the job and takes nothing from its holder.
    ExpiryKeepsLease,
    /// L4: a renewal takes an expired job back.
    RenewRevives,
    /// L4: the controller's monotonic clock decides. Kept by the caller.
    MonotonicClock,
    /// L4: a start gives every lease its full time again.
    FullTimeAtStart,
    /// L4: what expires is given to others.
    Reaper,
    /// L5: a result is taken when all of its segments are there.
    ManifestChecked,
    /// L5: segments are synced before the transaction. Kept by the caller.
    SyncBeforeCommit,
    /// L5: what is answered was committed. Kept by the caller.
    CommitBeforeAnswer,
    /// L5: asking again gets the same answer.
    SameAnswerAgain,
    /// L6: the worker's spool is synced before completion is sent. Kept by the worker.
    SpoolSynced,
    /// L6: the spool is kept until the answer came. Kept by the worker.
    SpoolUntilAnswered,
    /// L6: nothing runs twice inside one lease. Kept by the worker.
    OncePerLease,
    /// L7: giving back clean costs nothing.
    CleanReleaseFree,
    /// L7: a job that is lost too often is given up.
    LostCap,
    /// L7: a job that was lost before runs alone.
    RunAlone,
    /// L8: after our fault a job waits.
    BackOff,
    /// L8: the third fault ends it.
    FaultCap,
    /// L8: only our faults are tried again.
    OnlyOurFaultsRetry,
    /// L9: cancelling acts at once.
    CancelAtOnce,
    /// L10: revoking takes a worker's jobs from it.
    RevokeFrees,
    /// L10: and does not count against them.
    RevokeUncounted,
    /// The place in the queue is fixed when the job comes; priority is a head start.
    Ageing,
    /// Many files of one project do not push others back.
    FairShare,
    /// A worker gets only what it can run.
    Matching,
    /// A worker that is held or drained gets nothing new.
    HoldAndDrain,
    /// A worker whose failures jump gets nothing for a while.
    Quarantine,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::UniqueSubmit,
        Self::EndedStaysEnded,
        Self::IdempotentClaim,
        Self::NewestBootClaims,
        Self::NewestLease,
        Self::CallerHolds,
        Self::ActiveOnly,
        Self::OpenOnly,
        Self::ExpiryKeepsLease,
        Self::RenewRevives,
        Self::MonotonicClock,
        Self::FullTimeAtStart,
        Self::Reaper,
        Self::ManifestChecked,
        Self::SyncBeforeCommit,
        Self::CommitBeforeAnswer,
        Self::SameAnswerAgain,
        Self::SpoolSynced,
        Self::SpoolUntilAnswered,
        Self::OncePerLease,
        Self::CleanReleaseFree,
        Self::LostCap,
        Self::RunAlone,
        Self::BackOff,
        Self::FaultCap,
        Self::OnlyOurFaultsRetry,
        Self::CancelAtOnce,
        Self::RevokeFrees,
        Self::RevokeUncounted,
        Self::Ageing,
        Self::FairShare,
        Self::Matching,
        Self::HoldAndDrain,
        Self::Quarantine,
    ];
}

/// Which rules hold. Anything but all of them is for tests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules(u64);

impl Default for Rules {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl Rules {
    /// All but this one.
    #[must_use]
    pub fn without(rule: Rule) -> Self {
        Self(!(1 << rule as u8))
    }

    /// Whether a rule holds.
    pub fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u8 != 0
    }
}
