//! What is told of a command at its end.

use std::io;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use pyti_model::effect::{Cost, Effect, Exit, Limit, Loss, Survivor};
use pyti_model::trace::Trace;
use pyti_trace::Recorded;

use super::{Outcome, Watch};
use crate::boxes::BoxError;
use crate::cgroup::{self, BoxGroup, GroupUse};
use crate::later::later;
use crate::meter::Alive;
use crate::network::BoxNetwork;

impl Watch<'_> {
    /// Puts together what is known, when everybody is gone.
    pub(super) fn finish(mut self) -> Result<Outcome, BoxError> {
        let used = self.wait();
        self.move_bytes();
        let wall_s = self.began.elapsed().as_secs_f64();
        let command = self.ended.map(|status| (status, self.ended_us));
        let recorded = self.recording.take().map(|recording| recording.finish(command));
        let Recorded { mut trace, denials } = recorded.unwrap_or_else(|| Recorded {
            trace: Trace::default(),
            denials: Vec::new(),
        });
        trace.form = self.command.trace;
        // nobody else holds it: the recording is over
        let network = self.network.take().and_then(Arc::into_inner);
        let network = network.map(BoxNetwork::finish).unwrap_or_default();
        if network.dropped > 0 {
            self.losses.push(Loss::Contacts {
                dropped: network.dropped,
            });
        }
        trace.losses.extend(network.losses);
        trace.counts.extend(network.counts);
        trace.acts.extend(network.acts);
        // each of the two is in order already, and what was at the same time stays as it was
        trace.acts.sort_by_key(|act| act.at_us);
        self.losses.extend(trace.losses.iter().cloned());
        if !self.started {
            return Err(BoxError::Ended);
        }
        let exit = match self.ended {
            Some(status) if libc::WIFSIGNALED(status) => Exit::Signal(libc::WTERMSIG(status)),
            Some(status) => Exit::Code(libc::WEXITSTATUS(status)),
            None => Exit::Signal(libc::SIGKILL),
        };
        if self.limit.is_none()
            && !exit.is_success()
            && self
                .slot
                .usage()
                .is_some_and(|(_, free, _, f)| free < 4096 || f == 0)
        {
            self.limit = Some(Limit::Disk);
        }
        let group = self.group;
        if self.limit.is_none()
            && !self.by_us
            && (group.killed > 0 || !exit.is_success() && cgroup::oom_kills() > self.oom_kills)
        {
            self.limit = Some(Limit::Memory);
        }
        // children that nobody waited for are only in the samples
        let missing = (self.peak.cpu_s - used.user_s - used.system_s).max(0.0);
        if self.limit.is_none() && used.largest_bytes > self.command.limits.memory_bytes {
            // it was over before anybody looked
            self.limit = Some(Limit::Memory);
        }
        let cost = Cost {
            wall_s,
            user_s: used.user_s + missing,
            system_s: used.system_s,
            peak_memory_bytes: self
                .peak
                .memory_bytes
                .max(used.largest_bytes)
                .max(group.peak_bytes),
            peak_processes: self.peak.tasks.max(1),
            begun: None,
            read_bytes: None,
            written_bytes: None,
            meter: group.meter,
        };
        let survivors = take(&mut self.survivors)
            .into_iter()
            .map(|Alive { pid, number, argv }| Survivor {
                pid: number,
                argv,
                ended_by_itself: !self.killed.contains(&pid),
            })
            .collect();
        let effect = Effect {
            argv: self.argv(),
            exit,
            limit: self.limit,
            cost,
            stdout: take(&mut self.stdout).finish(),
            stderr: take(&mut self.stderr).finish(),
            survivors,
            denials,
            contacts: network.contacts,
            losses: take(&mut self.losses),
        };
        let (results, results_dropped) = (take(&mut self.results), self.results_dropped);
        Ok(Outcome {
            effect,
            trace,
            results,
            results_dropped,
        })
    }

    /// The end of the first process. When it has said so itself, nobody waits for the kernel to take its mounts down.
    fn wait(&mut self) -> Used {
        self.reaped = true;
        let starter = self.starter.take();
        self.group = starter
            .as_ref()
            .filter(|_| self.metered)
            .and_then(|starter| starter.group())
            .map_or_else(GroupUse::default, BoxGroup::used);
        let init = self.init;
        if let Some(gone) = self.gone {
            later(move || {
                reap(init);
                drop(starter);
            });
            return Used {
                user_s: seconds(gone.user_us),
                system_s: seconds(gone.system_us),
                largest_bytes: u64::try_from(gone.largest_kib).unwrap_or(0) * 1024,
            };
        }
        let usage = reap(init);
        later(move || drop(starter));
        let micros = |t: libc::timeval| seconds(t.tv_sec * 1_000_000 + t.tv_usec);
        Used {
            user_s: micros(usage.ru_utime),
            system_s: micros(usage.ru_stime),
            largest_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        }
    }
}

/// What everybody in a box used together.
struct Used {
    user_s: f64,
    system_s: f64,
    /// Of the largest process.
    largest_bytes: u64,
}

fn seconds(micros: i64) -> f64 {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}

/// Waits for a process that is ours and was not waited for.
pub(super) fn reap(pid: i32) -> libc::rusage {
    let mut status = 0;
    // SAFETY: all-zero is a valid value; the call fills it in; both point at values that live
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        while libc::wait4(pid, &raw mut status, 0, &raw mut usage) == -1
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        usage
    }
}
