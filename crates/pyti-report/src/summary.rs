//! The object that `--json` prints.

use pyti_model::summary::{FileSummary, SUMMARY_SCHEMA, Summary, TaskSummary};

use crate::Run;
use crate::findings;
use crate::view::{self, filename, judged, kind, kind_word};

/// One target on one interpreter, for other programs. `recording`: where the recording is.
pub fn summary(run: &Run<'_>, recording: Option<&str>) -> Summary {
    let (status, reasons) = view::outcome(run);
    let mut assessed = crate::quality::of_run(run);
    let mut tasks = Vec::new();
    let mut files = Vec::new();
    for (n, job) in run.jobs.iter().enumerate() {
        let word = kind_word(kind(*job));
        for task in &job.record.tasks {
            let (result, reasons) = judged(*job, task);
            tasks.push(TaskSummary {
                id: format!("{word}/{}", task.name),
                result,
                reasons: reasons.to_vec(),
                wall_s: task.wall_s,
                cpu_s: task.cpu_s,
                peak_memory_bytes: task.peak_memory_bytes,
            });
        }
        if let Some(file) = &job.record.file {
            files.push(FileSummary {
                filename: filename(*job),
                kind: file.kind,
                status: job.judgement.outcome.status,
                reasons: job.judgement.outcome.reasons.clone(),
                verdict: findings::verdict(job),
                findings: job.found.map(|found| found.findings.clone()).unwrap_or_default(),
                missing: job.found.map(|found| found.missing.clone()).unwrap_or_default(),
                quality: assessed.remove(&n),
            });
        }
    }
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        run: run.id.to_owned(),
        name: run.name.to_owned(),
        version: run.version.map(str::to_owned),
        python: run.python.to_owned(),
        isolation: run.isolation.to_owned(),
        status,
        reasons: reasons.to_vec(),
        verdict: view::verdict(run),
        tests: view::headline(run)
            .and_then(view::tests)
            .copied()
            .unwrap_or_default(),
        services: view::headline(run)
            .and_then(|job| job.record.test())
            .map(|test| test.services.clone())
            .unwrap_or_default(),
        tasks,
        files,
        recording: recording.map(str::to_owned),
    }
}
