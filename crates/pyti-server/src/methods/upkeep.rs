//! For who runs the service: the store, and who did what.

use std::time::Duration;

use pyti_command::admin::{
    AuditAnswer, AuditLine, AuditParams, BackedUp, BackupParams, CheckParams, Checked, PruneParams,
    PrunedAnswer,
};
use pyti_command::rpc::RpcError;
use pyti_store::Retention;

use super::must;
use crate::rpc::Context;

/// Most problems that are told at once.
const PROBLEMS: usize = 1_000;

pub(crate) async fn check(context: Context, params: CheckParams) -> Result<Checked, RpcError> {
    let problems = context
        .controller
        .ask(move |store| store.check(params.deep))
        .await?;
    for problem in problems.iter().take(20) {
        tracing::error!(%problem, "the store is damaged");
    }
    Ok(Checked {
        problems: problems.iter().take(PROBLEMS).map(ToString::to_string).collect(),
    })
}

pub(crate) async fn backup(context: Context, params: BackupParams) -> Result<BackedUp, RpcError> {
    must(
        pyti_model::distribution::is_plain_file_name(&params.name),
        "a backup's name is a plain file name",
    )?;
    let folder = context.controller.config().backups.join(&params.name);
    let shown = folder.display().to_string();
    let backup = context.controller.ask(move |store| store.backup(&folder)).await?;
    context.audit("store.backup", params.name).await?;
    Ok(BackedUp {
        folder: shown,
        database_bytes: backup.database_bytes,
        blobs: backup.blobs,
        copied: backup.copied,
        unsound: backup.unsound,
    })
}

pub(crate) async fn prune(context: Context, params: PruneParams) -> Result<PrunedAnswer, RpcError> {
    let configured = context.controller.config().retention();
    let days = |days: Option<u32>, otherwise: Option<Duration>| match days {
        Some(days) => Some(Duration::from_hours(24 * u64::from(days))),
        None => otherwise,
    };
    let retention = Retention {
        long: days(params.long_days, configured.long),
        short: days(params.short_days, configured.short),
    };
    let pruned = context
        .controller
        .ask(move |store| store.prune(&retention))
        .await?;
    context
        .audit(
            "store.prune",
            format!("{} old, {} unnamed", pruned.old, pruned.orphans),
        )
        .await?;
    Ok(PrunedAnswer {
        old: pruned.old,
        orphans: pruned.orphans,
        bytes: pruned.bytes,
        segments: pruned.segments,
    })
}

pub(crate) async fn audit(context: Context, params: AuditParams) -> Result<AuditAnswer, RpcError> {
    let rows = context
        .controller
        .ask(move |store| store.audit_log(params.before, pyti_store::MOST))
        .await?;
    Ok(AuditAnswer {
        lines: rows
            .into_iter()
            .map(|row| AuditLine {
                id: row.id,
                at_ms: row.at_ms,
                who: row.who,
                what: row.what,
                detail: row.detail,
            })
            .collect(),
    })
}
