//! When each task ran, and what it cost.

use pyti_judge::TaskRecord;
use pyti_model::outcome::TaskResult;

use crate::Job;
use crate::sentences::shown_str;
use crate::view;
use crate::words::{bytes, float, seconds};

/// Width of the picture in its own units; a page stretches it.
const WIDE: f64 = 1000.0;

/// One task's line. Positions are numbers of the picture's own units.
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) result: TaskResult,
    pub(crate) preparation: bool,
    pub(crate) x: String,
    pub(crate) wall_w: String,
    pub(crate) cpu_w: String,
    pub(crate) memory_w: String,
    pub(crate) wall: String,
    pub(crate) cpu: String,
    pub(crate) memory: String,
    /// The same in words.
    pub(crate) title: String,
}

/// The lines of a job, in order of their start. Tasks that never ran have none.
pub(crate) fn lanes(job: Job<'_>) -> Vec<Lane> {
    let mut tasks: Vec<(&TaskRecord, u64)> = job
        .record
        .tasks
        .iter()
        .filter_map(|task| task.started_us.map(|at| (task, at)))
        .collect();
    tasks.sort_by_key(|(_, at)| *at);
    let Some(first) = tasks.first().map(|(_, at)| *at) else {
        return Vec::new();
    };
    let last = tasks
        .iter()
        .map(|(task, at)| end(task, *at))
        .max()
        .unwrap_or(first);
    let whole = float(last.saturating_sub(first).max(1));
    let most_memory = float(
        tasks
            .iter()
            .map(|(task, _)| task.peak_memory_bytes)
            .max()
            .unwrap_or(0)
            .max(1),
    );
    tasks
        .into_iter()
        .map(|(task, at)| {
            let result = view::judged(job, task).0;
            let x = float(at - first) / whole * WIDE;
            let wall_w = (float(end(task, at) - at) / whole * WIDE).max(3.0).min(WIDE - x.min(WIDE - 3.0));
            // CPU of several processes can be more than the wall clock: the bar ends at the picture's end
            let cpu_s = if task.cpu_s.is_finite() { task.cpu_s.max(0.0) } else { 0.0 };
            let x = x.min(WIDE - 3.0);
            let cpu_w = (cpu_s * 1e6 / whole * WIDE).min(WIDE - x);
            let (wall, cpu, memory) = (seconds(task.wall_s), seconds(cpu_s), bytes(task.peak_memory_bytes));
            let name = shown_str(&task.name);
            let started = seconds(float(at - first) / 1e6);
            Lane {
                title: format!("{name}: {result}, began at {started}, took {wall}, {cpu} of CPU, {memory} of memory at most"),
                name,
                result,
                preparation: task.preparation,
                x: format!("{x:.1}"),
                wall_w: format!("{wall_w:.1}"),
                cpu_w: format!("{cpu_w:.1}"),
                memory_w: format!("{:.1}", float(task.peak_memory_bytes) / most_memory * 100.0),
                wall,
                cpu,
                memory,
            }
        })
        .collect()
}

/// When a task ended: as recorded, else by its wall-clock time, never before it began.
fn end(task: &TaskRecord, at: u64) -> u64 {
    task.ended_us.unwrap_or(at).max(at)
}
