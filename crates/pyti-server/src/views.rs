//! Jobs and results as the Command API shows them.

use pyti_command::job::JobView;
use pyti_command::result::{FindingView, ResultView};
use pyti_dispatch::{Job, Needs};
use pyti_store::{Env, FindingRow, ResultRow, Store, StoreError};

/// What a job needs, as the environment of its result.
pub(crate) fn env_of(needs: &Needs) -> Env {
    Env {
        platform: needs.platform.to_string(),
        interpreter: needs.interpreter.to_string(),
        isolation: needs.isolation.to_string(),
        options: String::new(),
    }
}

/// A result.
pub(crate) fn result(row: ResultRow, findings: Vec<FindingRow>) -> ResultView {
    ResultView {
        id: row.id,
        job: row.job,
        project: row.project,
        version: row.version,
        file: row.file,
        sha256: row.sha256,
        kind: row.kind,
        platform: row.env.platform,
        interpreter: row.env.interpreter,
        isolation: row.env.isolation,
        finished_ms: row.finished_ms,
        status: row.status,
        reason: row.reason,
        verdict: row.verdict,
        blame: row.blame,
        cost_ms: row.cost_ms,
        passed: row.passed,
        failed: row.failed,
        recording: row
            .recording
            .filter(|(_, _, kept)| *kept)
            .map(|(digest, ..)| digest),
        findings: findings
            .into_iter()
            .map(|finding| FindingView {
                rule: finding.rule,
                severity: finding.severity,
                active: finding.state == 1,
                sentence: finding.sentence,
            })
            .collect(),
    }
}

/// A job with what it came to.
pub(crate) fn job(store: &Store, job: Job) -> Result<JobView, StoreError> {
    let file = store.files(&job.key.file)?.into_iter().next();
    let result = match store.result_of(job.id)? {
        Some(row) => {
            let findings = store.findings(row.id)?;
            Some(self::result(row, findings))
        }
        None => None,
    };
    Ok(JobView {
        job: job.id,
        key: job.key,
        project: job.project,
        file: file.map(|file| file.info.name),
        needs: job.needs,
        priority: job.priority,
        state: job.state,
        ended: job.state.ended(),
        epoch: job.epoch,
        worker: job.holder.map(|holder| holder.worker),
        faults: job.faults,
        lost: job.lost,
        result,
    })
}
