//! Files of a job: from the store of this machine, or from the controller.

use std::io;

use pyti_index::FileStore;
use pyti_model::Distribution;
use pyti_model::distribution::is_plain_file_name;

use crate::backoff::Backoff;
use crate::client::ClientError;
use crate::link::{Link, LinkError};
use crate::spool::Entry;

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The controller does not give it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It may not be called so on a disk.
    #[error("its name is no name of a file")]
    Name,
    /// It cannot be kept.
    #[error("the store of files cannot be written")]
    Store(#[from] io::Error),
}

/// Puts a file of a job into the store, if it is not there. Its bytes are those of its digest, and no more than its size.
pub(crate) async fn fetch(
    link: &Link,
    files: &FileStore,
    entry: &Entry,
    file: &Distribution,
) -> Result<(), FetchError> {
    if files.get(&file.sha256).is_some() {
        return Ok(());
    }
    if !is_plain_file_name(&file.filename) {
        return Err(FetchError::Name);
    }
    let lease = entry.lease();
    let mut backoff = Backoff::default();
    loop {
        let got = link
            .once(|token| async move {
                let mut incoming =
                    tempfile::NamedTempFile::new_in(entry.folder()).map_err(ClientError::Write)?;
                link.client()
                    .fetch(&token, &lease, &file.sha256, file.size, incoming.as_file_mut())
                    .await?;
                Ok(incoming)
            })
            .await;
        match got {
            Ok(incoming) => {
                files.insert_file(incoming.path(), &file.filename)?;
                return Ok(());
            }
            Err(error) => {
                let wait = link.weigh(error, &mut backoff)?;
                tokio::time::sleep(wait).await;
            }
        }
    }
}
