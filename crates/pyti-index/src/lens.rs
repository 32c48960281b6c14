//! Our view of the index, served on loopback to an unmodified uv.
//!
//! A view lists exactly one file for each version, chosen by us; metadata is checked before it is served; a version
//! that has only an sdist is listed as a wheel that does not exist yet (`NAME-VERSION-0sdist-py30-none-any.whl`: with `py30` a real
//! wheel always outranks it); what cannot be had is served as a body that is no metadata, so that uv backtracks. What
//! was left out or rewritten is kept with its reason.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyti_model::distribution::Digest;
use pyti_model::plan::Interpreter;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::IndexError;
use crate::index::Index;
use crate::metadata::MetadataBuilder;
use crate::names::{ParsedName, normalise};
use crate::project::ProjectFile;
use crate::select::{self, pick, python_of, tags_of};
use crate::store::digest_of;

mod serve;

/// Build tag and tags of a wheel that does not exist yet.
const PLACEHOLDER: &str = "-0sdist-py30-none-any.whl";

/// A file that exists only here; it takes the place of the index's entry for its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Normalised project name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Wheel file name.
    pub filename: String,
    /// Its metadata.
    pub metadata: Vec<u8>,
    /// Its digest, where the file is there already.
    pub sha256: Option<Digest>,
}

/// What a resolution shall see.
#[derive(Clone)]
pub struct View {
    /// The interpreter that is resolved for.
    pub interpreter: Interpreter,
    /// Files that exist only here.
    pub offered: Vec<Offered>,
    /// Whether pre-releases are asked for (uv decides on them; the view's address differs).
    pub pre: bool,
    /// Only files uploaded before that moment, RFC 3339.
    pub exclude_newer: Option<String>,
    /// How often metadata may be built in this view.
    pub build_budget: u32,
    /// Who builds it.
    pub builder: Option<Arc<dyn MetadataBuilder>>,
}

impl View {
    /// A plain view for that interpreter, with a budget of five builds and nobody to build.
    pub fn new(interpreter: Interpreter) -> Self {
        Self {
            interpreter,
            offered: Vec::new(),
            pre: false,
            exclude_newer: None,
            build_budget: 5,
            builder: None,
        }
    }

    /// The view's address: the same view has the same one, another view another one, so that what uv caches by address is never stale.
    fn digest(&self, index: &Index) -> String {
        let mut hasher = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        put(serde_json::to_string(&self.interpreter)
            .unwrap_or_default()
            .as_bytes());
        put(&[u8::from(self.pre)]);
        put(self.exclude_newer.as_deref().unwrap_or("").as_bytes());
        for url in index.settings().extra.iter().chain([&index.settings().index_url]) {
            put(url.as_str().as_bytes());
        }
        for offered in &self.offered {
            put(offered.filename.as_bytes());
            put(&offered.metadata);
            put(offered.sha256.as_ref().map_or("", Digest::as_str).as_bytes());
        }
        Digest::from(<[u8; 32]>::from(hasher.finalize())).as_str()[..24].to_owned()
    }
}

/// Serves views of an index.
pub struct Lens {
    index: Index,
    views: Mutex<HashMap<String, Arc<Open>>>,
}

/// A view that is being served.
struct Open {
    view: View,
    built: Mutex<u32>,
    left_out: Mutex<BTreeMap<String, String>>,
    /// What the pages listed: files are asked for right after their page, and reading a page again costs time.
    listed: Mutex<HashMap<String, Arc<Vec<Entry>>>>,
}

impl Open {
    fn note(&self, what: &str, why: impl Into<String>) {
        lock(&self.left_out).insert(what.to_owned(), why.into());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lens {
    /// A lens over that index.
    pub fn new(index: Index) -> Arc<Self> {
        Arc::new(Self {
            index,
            views: Mutex::default(),
        })
    }

    /// Serves until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        serve::run(self, listener).await
    }

    /// Serves connections that somebody else accepted, until no more can come.
    pub async fn serve_streams(self: Arc<Self>, streams: UnboundedReceiver<UnixStream>) -> io::Result<()> {
        serve::run_streams(self, streams).await
    }

    /// Opens a view and gives the path of its index: uv's index is `http://127.0.0.1:PORT` and that path.
    /// The same view opened again starts with a fresh budget and an empty list of what was left out.
    pub fn open_view(&self, view: View) -> String {
        let digest = view.digest(&self.index);
        let open = Open {
            view,
            built: Mutex::new(0),
            left_out: Mutex::default(),
            listed: Mutex::default(),
        };
        lock(&self.views).insert(digest.clone(), Arc::new(open));
        format!("/s/{digest}/simple/")
    }

    /// What a view (its path or digest) left out or rewrote so far, with why: `a-1.0.tar.gz: resolution_budget: …`. Where
    /// there is a word for the reason, it comes first.
    pub fn left_out(&self, view: &str) -> Vec<String> {
        let digest = view.strip_prefix("/s/").unwrap_or(view);
        let digest = digest.split('/').next().unwrap_or(digest);
        let open = lock(&self.views).get(digest).cloned();
        open.map(|open| {
            lock(&open.left_out)
                .iter()
                .map(|(what, why)| format!("{what}: {why}"))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Forgets a view.
    pub fn close_view(&self, view: &str) {
        let digest = view.strip_prefix("/s/").unwrap_or(view);
        lock(&self.views).remove(digest.split('/').next().unwrap_or(digest));
    }
}

/// The file of one version that a view lists.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A file that exists only here.
    Offered(Offered),
    /// A wheel of the index.
    Wheel(ProjectFile),
    /// An sdist of the index, which must be built.
    Build(ProjectFile),
}

impl Entry {
    /// The name that the view lists it under.
    pub fn filename(&self) -> String {
        match self {
            Self::Offered(offered) => offered.filename.clone(),
            Self::Wheel(file) => file.filename.clone(),
            Self::Build(file) => format!(
                "{}-{}{PLACEHOLDER}",
                file.kind.project().as_dist_info_name(),
                file.version
            ),
        }
    }

    /// The digest that the view lists it with: the file's own (an sdist's for what must be built), where it is known. Without one
    /// uv would fetch the file to compute it; then a stand-in is listed, the digest of the metadata or of the address.
    pub fn listed_digest(&self) -> String {
        match self {
            Self::Offered(offered) => offered
                .sha256
                .as_ref()
                .map_or_else(|| digest_of(&offered.metadata).to_string(), ToString::to_string),
            Self::Wheel(file) | Self::Build(file) => file.sha256.as_ref().map_or_else(
                || digest_of(file.url.as_str().as_bytes()).to_string(),
                ToString::to_string,
            ),
        }
    }
}

/// The files that a view lists for a project, oldest version first.
async fn entries(index: &Index, view: &View, name: &str) -> Result<Vec<Entry>, IndexError> {
    let offered: Vec<&Offered> = view
        .offered
        .iter()
        .filter(|offered| offered.name == name)
        .collect();
    let project = match index.project(name).await {
        Ok(project) => Some(project),
        Err(IndexError::UnknownProject { .. } | IndexError::Offline { .. }) if !offered.is_empty() => None,
        Err(error) => return Err(error),
    };
    let mut list: BTreeMap<uv_pep440::Version, Entry> = BTreeMap::new();
    if let Some(project) = project
        && let (Ok(tags), Ok(python)) = (tags_of(&view.interpreter), python_of(&view.interpreter))
        && project
            .status
            .as_ref()
            .is_none_or(|status| status.state != crate::project::ProjectState::Quarantined)
    {
        let mut releases: BTreeMap<&uv_pep440::Version, Vec<&ProjectFile>> = BTreeMap::new();
        let seen = |file: &&ProjectFile| {
            view.exclude_newer
                .as_deref()
                .is_none_or(|moment| select::is_before(file.uploaded.as_deref(), moment))
        };
        for file in project.files.iter().filter(seen) {
            releases.entry(&file.version).or_default().push(file);
        }
        for (version, files) in releases {
            let best = pick(&files, &tags, &python);
            // where nothing can be used, one file is listed all the same: uv then says itself why it does not do
            let entry = match (best.wheel, best.sdist) {
                (Some(wheel), Some(sdist)) if wheel.yanked.is_some() && sdist.yanked.is_none() => Entry::Build(sdist.clone()),
                (Some(wheel), _) => Entry::Wheel(wheel.clone()),
                (None, Some(sdist)) => Entry::Build(sdist.clone()),
                (None, None) => match files.iter().find(|file| matches!(&file.kind, ParsedName::Wheel(name) if select::is_compatible(name, &tags))).or(files.first()) {
                    Some(file) if matches!(file.kind, ParsedName::Wheel(_)) => Entry::Wheel((*file).clone()),
                    Some(file) => Entry::Build((*file).clone()),
                    None => continue,
                },
            };
            list.insert(version.clone(), entry);
        }
    }
    for offered in offered {
        if let Ok(version) = offered.version.parse() {
            list.insert(version, Entry::Offered(offered.clone()));
        }
    }
    Ok(list.into_values().collect())
}

/// From a line of uv's lock back to the file. `None` when the view lists no such file.
pub async fn resolve_entry(
    index: &Index,
    view: &View,
    name: &str,
    version: &str,
    filename: &str,
) -> Result<Option<Entry>, IndexError> {
    let name = normalise(name).ok_or_else(|| IndexError::BadName(name.chars().take(100).collect()))?;
    let wanted: Option<uv_pep440::Version> = version.parse().ok();
    let found = entries(index, view, name.as_ref())
        .await?
        .into_iter()
        .find(|entry| {
            let version = match entry {
                Entry::Offered(offered) => offered.version.parse().ok(),
                Entry::Wheel(file) | Entry::Build(file) => Some(file.version.clone()),
            };
            entry.filename() == filename && version == wanted
        });
    Ok(found)
}
