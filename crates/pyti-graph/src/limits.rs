//! What a task may use. Carried to the task's body, which enforces it.

use std::time::Duration;

/// Resource limits of a task; `None` means no limit.
///
/// The graph hands these over and does not enforce them: only the body knows
/// whether it starts a process, fills a disk or calls a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Time from start to end.
    pub wall: Option<Duration>,
    /// Time without a sign of life.
    pub idle: Option<Duration>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processes and threads alive at once.
    pub processes: Option<u64>,
    /// Disk in bytes.
    pub disk: Option<u64>,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self {
        wall: None,
        idle: None,
        cpu: None,
        memory: None,
        processes: None,
        disk: None,
    };

    /// These limits, with `defaults` where there is none.
    ///
    /// ```
    /// use pyti_graph::Limits;
    ///
    /// let task = Limits { memory: Some(1 << 30), ..Limits::NONE };
    /// let graph = Limits { memory: Some(2 << 30), processes: Some(512), ..Limits::NONE };
    /// let both = task.or(graph);
    /// assert_eq!((both.memory, both.processes), (Some(1 << 30), Some(512)));
    /// ```
    #[must_use]
    pub fn or(self, defaults: Self) -> Self {
        Self {
            wall: self.wall.or(defaults.wall),
            idle: self.idle.or(defaults.idle),
            cpu: self.cpu.or(defaults.cpu),
            memory: self.memory.or(defaults.memory),
            processes: self.processes.or(defaults.processes),
            disk: self.disk.or(defaults.disk),
        }
    }
}
