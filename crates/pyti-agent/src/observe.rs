//! Watching what the package's own code does, by phase.
//!
//! *works?* is decided where nothing answers. So a command that spoke with the simulated network is run once more on the
//! silent one, from the same layers, and that run is what the task goes on with; both are in the recording. And a command
//! that touched a decoy while only writing was watched is run once more with everything watched.

use std::path::PathBuf;

use pyti_box::protocol::PROGRAM;
use pyti_graph::TaskError;
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::plan::Watch;
use pyti_model::trace::{Act, DecoyUse, Deed, Form, Result as Attempt, Trace};
use pyti_sandbox::{Command, Done, Lower, Network};

use crate::job::{Cx, Job};
use crate::planted;
use crate::planted::Planted;

/// Tests that took longer are not run again to see more of them.
const REPEATED_TESTS_S: f64 = 60.0;

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

impl Phase {
    fn form(self) -> Form {
        match self {
            Self::Build | Self::Test => Form::Light,
            // what an installer asks about thousands of times says nothing of the package, whose code does not run
            Self::Install => Form::Opens,
            Self::Use => Form::Full,
        }
    }

    fn silent(self) -> Network {
        match self {
            Self::Install => Network::None,
            _ => Network::Silent,
        }
    }

    fn is_simulated(self) -> bool {
        matches!(self, Self::Build | Self::Use)
    }
}

impl Job {
    /// Runs a command of the package in a box of its own, watches and records it.
    pub(crate) fn observe(
        &self,
        cx: &Cx<'_>,
        command: &mut Command,
        phase: Phase,
    ) -> Result<Done, TaskError> {
        command.network = phase.silent();
        let Some(planted) = self.planted()? else {
            return self.run(cx, command);
        };
        planted.furnish(command);
        match phase {
            Phase::Install => command.filled = planted::installed_into(),
            Phase::Build => {
                command.quiet = planted::environments();
                command.filled = planted::build_output();
            }
            Phase::Use | Phase::Test => command.quiet = planted::environments(),
        }
        command.trace = phase.form();
        let (plain_env, plain_binds) = (command.env.clone(), command.binds.clone());
        if phase.is_simulated() {
            command.network = Network::Simulate(planted.simulation.clone());
            planted.trust(command, self.own_certificates(command).as_deref());
        }
        let mut done = self.run(cx, command)?;
        let again = phase != Phase::Test || done.effect.cost.wall_s < REPEATED_TESTS_S;
        if command.trace == Form::Light && again && touched(&done.trace, planted) {
            command.trace = Form::Full;
            done = self.run(cx, command)?;
        }
        if phase.is_simulated() && spoke(&done.trace) {
            command.network = phase.silent();
            (command.env, command.binds) = (plain_env, plain_binds);
            command.trace = phase.form();
            done = self.run(cx, command)?;
        }
        Ok(done)
    }

    /// Records what the interpreter itself told. It is claimed by the process, and belongs to no process of the trace.
    pub(crate) fn tell_audits(&self, cx: &Cx<'_>, audits: Vec<(String, Foreign)>) {
        if self.order.plan.watch == Watch::Off || audits.is_empty() {
            return;
        }
        let act = |(name, text)| Act {
            at_us: 0,
            process: None,
            result: Attempt::Done,
            times: 1,
            deed: Deed::Audit { name, text },
        };
        self.events.send(Event::Traced {
            task: cx.task().to_string(),
            trace: Box::new(Trace {
                acts: audits.into_iter().map(act).collect(),
                ..Trace::default()
            }),
        });
    }

    /// certifi's file in the environment of a command, unless it belongs to what is tested.
    fn own_certificates(&self, command: &Command) -> Option<PathBuf> {
        if matches!(self.order.plan.target.project.as_str(), "certifi" | "pip") {
            return None;
        }
        let place = planted::certifi(&self.site_packages());
        let inside = place.strip_prefix("/").ok()?;
        let held = command.lowers.iter().any(|lower| match lower {
            Lower::Layer(layer) => layer.path().join(inside).is_file(),
            Lower::Folder(folder) => folder.join(inside).is_file(),
        });
        held.then_some(place)
    }
}

/// Takes out what our own program did in a command that it begins: it unpacks the sources, and then the package's turn
/// comes in the same process. Only what comes before that is ours; later, our program may be anybody's tool.
pub(crate) fn without_our_own(trace: &mut Trace, command: &Command) {
    if command.argv.first().is_none_or(|program| program != PROGRAM) {
        return;
    }
    let is_theirs = |act: &Act| {
        act.process == Some(0)
            && matches!(&act.deed, Deed::Execute { path, .. } if path.as_bytes() != PROGRAM.as_bytes())
    };
    let Some(at) = trace.acts.iter().position(is_theirs) else {
        return;
    };
    let mut number = 0;
    trace.acts.retain(|act| {
        number += 1;
        number > at || act.process != Some(0)
    });
}

/// Whether the simulated network heard anything.
fn spoke(trace: &Trace) -> bool {
    trace.acts.iter().any(|act| {
        matches!(
            act.deed,
            Deed::Resolve { .. } | Deed::Converse(_) | Deed::Packet { .. }
        )
    })
}

/// Whether a decoy was used that tells something.
fn touched(trace: &Trace, planted: &Planted) -> bool {
    let telling = |id: &str| planted.decoys.iter().any(|d| d.id == id && !d.commonly_read);
    trace.acts.iter().any(|act| match &act.deed {
        Deed::Decoy { decoy, used } => telling(decoy) && !matches!(used, DecoyUse::Printed { .. }),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use pyti_model::trace::{Origin, Result};

    use super::*;

    fn act(process: u32, deed: Deed) -> Act {
        Act {
            at_us: 0,
            process: Some(process),
            result: Result::Done,
            times: 1,
            deed,
        }
    }

    fn execute(path: &str) -> Deed {
        Deed::Execute {
            path: path.into(),
            argv: Vec::new(),
            argv_dropped: 0,
            cwd: "/".into(),
            variables: Vec::new(),
            origin: Origin::System,
            sockets: Vec::new(),
        }
    }

    fn folder(path: &str) -> Deed {
        Deed::MakeFolder { path: path.into() }
    }

    #[test]
    fn only_what_our_program_did_before_the_package_is_taken_out() {
        let mut trace = Trace {
            acts: vec![
                act(0, execute(PROGRAM)),
                act(0, folder("/home/dev/src")),
                act(0, execute("/home/dev/venv/bin/python")),
                act(0, folder("/tmp/a")),
                act(1, execute(PROGRAM)),
                act(1, folder("/tmp/b")),
            ],
            ..Trace::default()
        };
        without_our_own(&mut trace, &Command::new([PROGRAM, "__unpack"]));
        assert_eq!(trace.acts.len(), 4);
        let mut other = Trace {
            acts: vec![act(0, folder("/tmp/a")), act(0, execute("/bin/sh"))],
            ..Trace::default()
        };
        without_our_own(&mut other, &Command::new(["/home/dev/venv/bin/python"]));
        assert_eq!(other.acts.len(), 2);
    }
}
