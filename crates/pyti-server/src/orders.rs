//! From a job to the order that a worker gets.

use pyti_command::order::{Spec, WorkOrder};
use pyti_dispatch::{Grant, Job, JobStore as _};
use pyti_model::{Distribution, FileKind};
use pyti_store::{File, Store, StoreError};

/// A file as workers know it.
fn distribution(file: &File) -> Distribution {
    Distribution {
        project: file.info.project.clone(),
        version: file.info.version.clone(),
        filename: file.info.name.clone(),
        kind: file.info.kind,
        sha256: file.info.sha256.clone(),
        size: file.info.size,
        yanked: file.state.yanked.then(String::new),
        uploaded: None,
        index: None,
    }
}

/// What a job is about: its specification, its file, and what belongs to the file.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) spec: Spec,
    pub(crate) file: File,
    pub(crate) companion: Option<File>,
    pub(crate) companion_lost: Option<String>,
    pub(crate) published: Option<File>,
}

/// What a job is about; `None` if its specification is not known or not ours.
pub(crate) fn about(store: &Store, job: &Job) -> Result<Option<About>, StoreError> {
    let Some(body) = store.spec(&job.key.spec)? else {
        return Ok(None);
    };
    let Ok(spec) = serde_json::from_slice::<Spec>(&body) else {
        return Ok(None);
    };
    let files = store.files(&job.key.file)?;
    let Some(file) = files.into_iter().find(|file| file.info.project == job.project) else {
        return Ok(None);
    };
    let (mut companion, mut companion_lost, mut published) = (None, None, None);
    for other in store.files_of_version(file.version_id)? {
        if other.info.sha256 == file.info.sha256 {
            continue;
        }
        match (file.info.kind, other.info.kind) {
            (FileKind::Wheel, FileKind::Sdist) if other.captured.is_some() => companion = Some(other),
            (FileKind::Wheel, FileKind::Sdist) => {
                companion_lost = Some(format!("{} is not stored", other.info.name));
            }
            (FileKind::Sdist, FileKind::Wheel) if other.captured.is_some() => {
                published.get_or_insert(other);
            }
            _ => {}
        }
    }
    if companion.is_some() {
        companion_lost = None;
    }
    Ok(Some(About {
        spec,
        file,
        companion,
        companion_lost,
        published,
    }))
}

/// The order of a grant; `None` if the job is no longer what was granted.
pub(crate) fn order(store: &Store, grant: &Grant, alone_from: u8) -> Result<Option<WorkOrder>, StoreError> {
    let Some(job) = store.job(grant.job)? else {
        return Ok(None);
    };
    let Some(about) = about(store, &job)? else {
        tracing::error!(job = %grant.job, "a job without specification or file cannot be done");
        return Ok(None);
    };
    Ok(Some(WorkOrder {
        job: grant.job,
        lease: grant.lease,
        epoch: grant.epoch,
        key: job.key,
        file: distribution(&about.file),
        companion: about.companion.as_ref().map(distribution),
        companion_lost: about.companion_lost,
        published: about.published.as_ref().map(distribution),
        spec: about.spec,
        alone: job.lost >= alone_from,
    }))
}
