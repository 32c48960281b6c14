//! The worker: what all jobs share.

use std::path::PathBuf;
use std::sync::Arc;

use pyti_index::{FileStore, Index, IndexError, Lens};

use crate::built::BuiltWheels;
use crate::environments::Environments;
use crate::folders::{Folders, FoldersError};
use crate::tools::{self, ToolError, Uv};

/// What decides how a worker works.
pub struct Settings {
    /// The index, as configured.
    pub index: pyti_index::config::Settings,
    /// Nothing is fetched.
    pub offline: bool,
    /// Where things are kept.
    pub folders: Folders,
    /// The PyTI program itself: it is started again as the agent.
    pub program: PathBuf,
    /// Tasks at once in a job.
    pub at_once: u32,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A folder is missing.
    #[error(transparent)]
    Folders(#[from] FoldersError),
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A program is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The caches cannot be opened.
    #[error("cannot open the file store")]
    Store(#[source] std::io::Error),
}

/// Prepares and runs jobs. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) index: Index,
    pub(crate) lens: Arc<Lens>,
    pub(crate) store: FileStore,
    pub(crate) files: PathBuf,
    pub(crate) environments: Environments,
    pub(crate) environments_folder: PathBuf,
    pub(crate) built: BuiltWheels,
    pub(crate) uv: Uv,
    pub(crate) stage: PathBuf,
    pub(crate) baselines: PathBuf,
    pub(crate) images: pyti_vm::image::Images,
    pub(crate) machines_folder: PathBuf,
    pub(crate) machines: std::sync::OnceLock<crate::boxed::MachineOptions>,
    /// One build of a dependency at a time: two would make the same wheel twice.
    pub(crate) building: tokio::sync::Mutex<()>,
}

impl Worker {
    /// Opens the caches and finds uv, which may mean to fetch it once.
    pub async fn open(
        settings: Settings,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Self, WorkerError> {
        let folders = settings.folders.clone();
        let files = folders.files()?;
        let store = FileStore::open(&files).map_err(WorkerError::Store)?;
        let index = Index::new(
            settings.index.clone(),
            store.clone(),
            &folders.index()?,
            settings.offline,
        )?
        .with_parser(settings.program.clone());
        let uv = tools::uv(&index, &folders.tools()?, env).await?;
        let environments_folder = folders.environments()?;
        let stage = folders.stage()?;
        crate::scratch::sweep(&stage, std::time::SystemTime::now());
        let inner = Inner {
            lens: Lens::new(index.clone()),
            index,
            store,
            files,
            environments: Environments::new(environments_folder.clone()),
            environments_folder,
            built: BuiltWheels::new(folders.built()?),
            uv,
            stage,
            baselines: folders.baselines()?,
            images: pyti_vm::image::Images::new(folders.images()?),
            machines_folder: folders.machines()?,
            machines: std::sync::OnceLock::new(),
            building: tokio::sync::Mutex::new(()),
            settings,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The index client.
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// The files that jobs are made of.
    pub fn store(&self) -> &FileStore {
        &self.inner.store
    }
}
