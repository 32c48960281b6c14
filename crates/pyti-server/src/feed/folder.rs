//! A watched folder: an index that is no index.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use pyti_command::order::Options;
use pyti_command::rpc::RpcError;
use pyti_dispatch::Priority;
use pyti_feed::folder::{Folder, Shape};
use pyti_store::{Class, Expansion, FileInfo, StoreError};

use super::{Feeds, pause};
use crate::controller::Controller;
use crate::expand;

/// The name of this feed.
const FOLDER: &str = "folder";
/// Most entries of the folder that are looked at.
const MOST: usize = 100_000;

/// Runs until the controller stops.
pub(super) async fn watch(controller: Arc<Controller>, feeds: Arc<Feeds>, path: PathBuf) {
    let mut folder = Folder::default();
    loop {
        let place = path.clone();
        let listing = tokio::task::spawn_blocking(move || list(&place)).await;
        match listing {
            Ok(Ok(listing)) => {
                let count = listing.len();
                for name in folder.look(listing) {
                    if let Err(error) = take(&controller, &path, &name).await {
                        tracing::warn!(file = name, why = error.to_string(), "a file was not taken");
                        if error.may_pass() {
                            folder.again(&name);
                        }
                    }
                }
                feeds.heard(FOLDER, format!("{count} files there"));
            }
            Ok(Err(error)) => feeds.trouble(FOLDER, format!("cannot be read: {error}")),
            Err(_) => return,
        }
        let every = Duration::from_secs(feeds.config.folder_every_s.max(1));
        if !pause(&controller, every, None).await {
            return;
        }
    }
}

fn list(path: &Path) -> std::io::Result<Vec<(String, Shape)>> {
    let mut listing = Vec::new();
    for entry in std::fs::read_dir(path)?.take(MOST) {
        let entry = entry?;
        let meta = entry.metadata()?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !meta.is_file() {
            continue;
        }
        let modified = meta
            .modified()
            .ok()
            .and_then(|when| when.duration_since(UNIX_EPOCH).ok());
        let shape = Shape {
            size: meta.len(),
            modified_ms: modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        };
        listing.push((name, shape));
    }
    Ok(listing)
}

/// Why a file of the folder is not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("{0}")]
    Name(String),
    #[error("it is larger than {0} bytes")]
    Size(u64),
    #[error("{0}")]
    Ours(RpcError),
}

impl NotTaken {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Ours(_))
    }
}

impl From<RpcError> for NotTaken {
    fn from(error: RpcError) -> Self {
        Self::Ours(error)
    }
}

async fn take(controller: &Arc<Controller>, folder: &Path, name: &str) -> Result<(), NotTaken> {
    let info = expand::described(name, pyti_model::Digest::from([0; 32])).map_err(NotTaken::Name)?;
    let most = controller.config().max_file_bytes;
    let path = folder.join(name);
    let stored = controller
        .ask(move |store| -> Result<_, StoreError> {
            let io = |source| StoreError::Io {
                path: path.clone(),
                source,
            };
            let file = std::fs::File::open(&path).map_err(io)?;
            let (sha256, size) = store.blobs().put_from(&mut file.take(most + 1))?;
            if size > most {
                return Ok(None);
            }
            let info = FileInfo { sha256, size, ..info };
            store.captured(&info, Class::Long)?;
            Ok(Some(info))
        })
        .await?;
    let info = stored.ok_or(NotTaken::Size(most))?;
    let mut expansion = Expansion::default();
    for environment in expand::environments(controller, &[], None, None).await? {
        let spec = expand::spec(&environment, &Options::default(), true);
        let (job, hash, body) = expand::job(controller, &info, &spec, Priority::Release).await?;
        expansion.specs.push((hash, body));
        expansion.jobs.push(job);
    }
    let jobs = expansion.jobs.len();
    controller.ask(move |store| store.expand(expansion)).await?;
    tracing::info!(file = name, jobs, "a file appeared in the folder");
    Ok(())
}
