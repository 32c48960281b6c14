//! What is seen while it works: what runs now, for how long, and what was said last.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pyti_model::event::{Envelope, Event};
use pyti_worker::recording::Listener;

/// Shows events of one job: lines that move on a terminal, a line at each task's end elsewhere.
pub(crate) struct Live {
    prefix: String,
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<String, ProgressBar>>,
    quiet: bool,
}

impl Live {
    /// Shows the tasks of `prefix` (`six 3.13 wheel`) among these bars, or as plain lines.
    pub(crate) fn new(prefix: String, bars: Option<&MultiProgress>, quiet: bool) -> Self {
        Self {
            prefix,
            bars: bars.cloned(),
            running: Mutex::new(BTreeMap::new()),
            quiet,
        }
    }

    /// A set of bars on standard error.
    pub(crate) fn bars() -> MultiProgress {
        MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10))
    }

    /// A line that moves, or a plain line.
    pub(crate) fn say(&self, what: &str, text: &str) {
        if self.quiet {
            return;
        }
        if let Some(bars) = &self.bars {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let bar = running
                .entry(what.to_owned())
                .or_insert_with(|| bar(bars, &format!("{} {what}", self.prefix)));
            bar.set_message(text.to_owned());
        }
    }

    /// Ends a line.
    pub(crate) fn end(&self, what: &str) {
        if let Some(bar) = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(what)
        {
            bar.finish_and_clear();
        }
    }

    /// Ends all lines.
    pub(crate) fn end_all(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for bar in std::mem::take(&mut *running).into_values() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Listener for Live {
    fn heard(&self, envelope: &Envelope) {
        match &envelope.event {
            Event::Started { task, .. } => self.say(task, ""),
            Event::Progress { task, text, .. } => self.say(task, &text.visible()),
            Event::Ended {
                task, result, wall_s, ..
            } => {
                self.end(task);
                if self.bars.is_none() && !self.quiet {
                    crate::output::tell(&format!("{} {task}: {result} ({wall_s:.1} s)", self.prefix));
                }
            }
            _ => {}
        }
    }
}

fn bar(bars: &MultiProgress, prefix: &str) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner());
    let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.set_prefix(prefix.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
