//! Where PyTI keeps things (XDG base directories).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The folders of one user. `PYTI_CACHE_DIR` and `PYTI_DATA_DIR` move them.
#[derive(Debug, Clone)]
pub struct Folders {
    cache: PathBuf,
    data: PathBuf,
}

/// There is no place to keep things.
#[derive(Debug, thiserror::Error)]
pub enum FoldersError {
    /// Neither the variables of XDG nor HOME are set.
    #[error("there is no folder for the cache: neither PYTI_CACHE_DIR, XDG_CACHE_HOME nor HOME is set")]
    Homeless,
    /// A folder could not be made.
    #[error("cannot make the folder {0}")]
    Make(PathBuf, #[source] io::Error),
}

impl Folders {
    /// Finds them from the environment.
    pub fn find(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FoldersError> {
        let place = |own: &str, xdg: &str, home: &str| {
            env(own)
                .map(PathBuf::from)
                .or_else(|| {
                    env(xdg)
                        .filter(|v| Path::new(v).is_absolute())
                        .map(|v| Path::new(&v).join("pyti"))
                })
                .or_else(|| env("HOME").map(|v| Path::new(&v).join(home).join("pyti")))
                .ok_or(FoldersError::Homeless)
        };
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Ok(Self {
            cache: absolute(place("PYTI_CACHE_DIR", "XDG_CACHE_HOME", ".cache")?),
            data: absolute(place("PYTI_DATA_DIR", "XDG_DATA_HOME", ".local/share")?),
        })
    }

    /// These two, for tests.
    pub fn at(cache: PathBuf, data: PathBuf) -> Self {
        Self { cache, data }
    }

    /// What can be fetched or made again.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// What cannot.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The data of a service of this user: the controller's folder.
    pub fn service(&self) -> PathBuf {
        self.data.join("service")
    }

    /// Content-addressed distributions.
    pub fn files(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("files"))
    }

    /// Environments by key.
    pub fn environments(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("environments"))
    }

    /// What the index said.
    pub fn index(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("index"))
    }

    /// Which wheel was built from which sdist.
    pub fn built(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("built"))
    }

    /// Recordings of empty packages.
    pub fn baselines(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("baselines"))
    }

    /// Programs that were fetched: uv.
    pub fn tools(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("tools"))
    }

    /// What was found out about interpreters.
    pub fn interpreters(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("interpreters"))
    }

    /// Scratch folders of running jobs.
    pub fn stage(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("stage"))
    }

    /// Images.
    pub fn images(&self) -> Result<PathBuf, FoldersError> {
        make(self.data.join("images"))
    }

    /// Templates of virtual machines, and what was found out about this machine.
    pub fn machines(&self) -> Result<PathBuf, FoldersError> {
        make(self.cache.join("machines"))
    }

    /// Runs: recordings and what belongs to them.
    pub fn runs(&self) -> Result<PathBuf, FoldersError> {
        make(self.data.join("runs"))
    }
}

/// Makes a folder that a job's own user can pass through, whatever the umask.
fn make(path: PathBuf) -> Result<PathBuf, FoldersError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&path)
        .and_then(|()| {
            let mode = fs::metadata(&path)?.permissions().mode();
            if mode & 0o055 == 0o055 {
                Ok(())
            } else {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            }
        });
    match made {
        Ok(()) => Ok(path),
        Err(error) => Err(FoldersError::Make(path, error)),
    }
}
