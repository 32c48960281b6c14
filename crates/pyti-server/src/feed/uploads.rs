//! The lane of uploads: every file that a feed told is stored, whether a job wants it or not, and whatever the queue does.
//! Otherwise a queue would lose exactly what the index removes.

use std::sync::Arc;
use std::time::Duration;

use pyti_command::rpc::RpcError;
use pyti_feed::patience::{self, Next};
use pyti_store::Upload;
use tokio::task::JoinSet;

use super::{Feeds, pause};
use crate::controller::{Controller, now_ms};

/// How often it looks by itself.
const LOOK: Duration = Duration::from_secs(5);
/// Files at once.
const AT_ONCE: usize = 3;

/// Runs until the controller stops.
pub(super) async fn lane(controller: Arc<Controller>, feeds: Arc<Feeds>) {
    loop {
        match round(&controller).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => tracing::warn!(%error, "the lane of uploads could not look"),
        }
        if !pause(&controller, LOOK, Some(&feeds.to_store)).await {
            return;
        }
    }
}

/// Stores what is due; how many were tried.
async fn round(controller: &Arc<Controller>) -> Result<usize, RpcError> {
    let due = controller.ask(|store| store.uploads(now_ms(), 32)).await?;
    let tried = due.len();
    let mut at_work = JoinSet::new();
    for upload in due {
        if at_work.len() >= AT_ONCE
            && let Some(ended) = at_work.join_next().await
        {
            settled(ended)?;
        }
        at_work.spawn(one(Arc::clone(controller), upload));
    }
    while let Some(ended) = at_work.join_next().await {
        settled(ended)?;
    }
    Ok(tried)
}

fn settled(ended: Result<Result<(), RpcError>, tokio::task::JoinError>) -> Result<(), RpcError> {
    match ended {
        Ok(result) => result,
        Err(_) => Err(RpcError::plain(pyti_command::rpc::codes::INTERNAL)),
    }
}

async fn one(controller: Arc<Controller>, upload: Upload) -> Result<(), RpcError> {
    let Err(why) = crate::capture::store_file(&controller, &upload.file.info).await else {
        return Ok(());
    };
    let (id, name) = (upload.file.id, upload.file.info.name);
    match patience::after(upload.tries) {
        Next::Again(wait) => {
            tracing::warn!(file = name, why, "an upload was not stored yet");
            let due = now_ms().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            controller.ask(move |store| store.upload_defer(id, due)).await
        }
        Next::GiveUp => {
            tracing::warn!(file = name, why, "an upload could not be stored");
            controller.ask(move |store| store.upload_give_up(id)).await
        }
    }
}
