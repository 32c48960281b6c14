use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyti_model::distribution::Digest;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use url::Url;
use uv_normalize::PackageName;

use crate::caps;
use crate::config::Settings;
use crate::error::IndexError;
use crate::http::{Answer, Ask, Http, pause};
use crate::names::normalise;
use crate::project::{Project, ProjectFile};
use crate::redacted::RedactedUrl;
use crate::simple;
use crate::store::{FileStore, digest_of};

const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";
/// How long a page is taken from memory without asking again.
const IN_MEMORY: Duration = Duration::from_mins(5);
/// Most seconds that a page's own `max-age` is believed.
const MAX_AGE: u64 = 600;

/// A client of one or several indexes. Cheap to clone.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    store: FileStore,
    cache: PathBuf,
    offline: bool,
    http: OnceLock<Http>,
    parser: OnceLock<PathBuf>,
    pages: Mutex<HashMap<String, (Instant, Arc<Project>)>>,
    names: Mutex<BTreeSet<String>>,
    /// Projects whose pages shall be asked for whatever the cache holds.
    stale: Mutex<BTreeSet<String>>,
}

#[derive(Serialize, Deserialize)]
struct CachedHead {
    etag: Option<String>,
    html: bool,
    url: Url,
    fresh_until: u64,
}

impl Index {
    /// A client with those settings. Pages and metadata are kept in `cache_dir`, files in the store. When offline,
    /// only what is there already is used.
    pub fn new(
        settings: Settings,
        store: FileStore,
        cache_dir: &Path,
        offline: bool,
    ) -> Result<Self, IndexError> {
        for folder in ["pages", "metadata", "digests"] {
            std::fs::create_dir_all(cache_dir.join(folder))
                .map_err(IndexError::storage("make the index cache"))?;
        }
        let settings = Arc::new(settings);
        let names = std::fs::read_to_string(cache_dir.join("names")).unwrap_or_default();
        let inner = Inner {
            settings,
            store,
            cache: cache_dir.to_owned(),
            offline,
            http: OnceLock::new(),
            parser: OnceLock::new(),
            pages: Mutex::default(),
            stale: Mutex::default(),
            names: Mutex::new(
                names
                    .lines()
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Bytes of packages are read by that program, started as `PROGRAM __parse …` (see [`crate::parse`]). Without one, by
    /// a thread of this process. The first call counts.
    #[must_use]
    pub fn with_parser(self, program: PathBuf) -> Self {
        // a second program is ignored, as documented
        let _ = self.0.parser.set(program);
        self
    }

    /// The store that files go to.
    pub fn store(&self) -> &FileStore {
        &self.0.store
    }

    /// Whether only caches are used.
    pub fn offline(&self) -> bool {
        self.0.offline
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn parser(&self) -> Option<PathBuf> {
        self.0.parser.get().cloned()
    }

    pub(crate) fn http(&self) -> Result<&Http, IndexError> {
        if self.0.offline {
            return Err(IndexError::Offline {
                what: "what is asked for".into(),
            });
        }
        // made when first needed: reading the system's certificates takes milliseconds
        if let Some(http) = self.0.http.get() {
            return Ok(http);
        }
        let made = Http::new(self.0.settings.clone())?;
        Ok(self.0.http.get_or_init(|| made))
    }

    /// The project of that name, from the first index that knows it.
    pub async fn project(&self, name: &str) -> Result<Arc<Project>, IndexError> {
        let name = normalise(name).ok_or_else(|| IndexError::BadName(name.chars().take(100).collect()))?;
        if let Some((when, project)) = lock(&self.0.pages).get(name.as_ref())
            && when.elapsed() < IN_MEMORY
        {
            return Ok(project.clone());
        }
        let indexes: Vec<Url> = self
            .0
            .settings
            .extra
            .iter()
            .chain([&self.0.settings.index_url])
            .cloned()
            .collect();
        for index in &indexes {
            if let Some(project) = self.page(index, &name).await? {
                return Ok(self.known(project));
            }
        }
        for index in &indexes {
            if let Some(project) = self.legacy(index, &name).await {
                return Ok(self.known(project));
            }
        }
        Err(IndexError::UnknownProject {
            name: name.to_string(),
        })
    }

    /// The same, but what is remembered is asked for anew: the page as the index has it now.
    pub async fn project_now(&self, name: &str) -> Result<Arc<Project>, IndexError> {
        if let Some(name) = normalise(name) {
            lock(&self.0.pages).remove(name.as_ref());
            lock(&self.0.stale).insert(name.to_string());
        }
        self.project(name).await
    }

    fn known(&self, project: Project) -> Arc<Project> {
        let project = Arc::new(project);
        lock(&self.0.pages).insert(project.name.clone(), (Instant::now(), project.clone()));
        if lock(&self.0.names).insert(project.name.clone()) {
            // only suggestions need it
            let _ = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.0.cache.join("names"))
                .and_then(|mut file| file.write_all(format!("{}\n", project.name).as_bytes()));
        }
        project
    }

    pub(crate) fn names_seen(&self) -> Vec<String> {
        lock(&self.0.names).iter().cloned().collect()
    }

    async fn page(&self, index: &Url, name: &PackageName) -> Result<Option<Project>, IndexError> {
        let shown = RedactedUrl::new(index.clone());
        let bad = |why: String| IndexError::NotAPage {
            url: shown.clone(),
            why,
        };
        let url = index
            .join(&format!("{name}/"))
            .map_err(|error| bad(error.to_string()))?;
        let key = digest_of(url.as_str().as_bytes()).to_string();
        let cached = self.cached("pages", &key).and_then(|bytes| {
            let at = bytes.iter().position(|byte| *byte == b'\n')?;
            let head: CachedHead = serde_json::from_slice(&bytes[..at]).ok()?;
            Some((head, bytes[at + 1..].to_vec()))
        });
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        if self.0.offline {
            return match cached {
                Some((head, body)) => read_page(&head, body, name, &shown).await.map(Some),
                None if self.0.settings.extra.contains(index) => Ok(None),
                None => Err(IndexError::Offline {
                    what: name.to_string(),
                }),
            };
        }
        let stale = lock(&self.0.stale).remove(name.as_ref());
        if let Some((head, body)) = &cached
            && !stale
            && head.fresh_until > now
            && head.fresh_until <= now + MAX_AGE
        {
            return read_page(head, body.clone(), name, &shown).await.map(Some);
        }
        let etag = cached.as_ref().and_then(|(head, _)| head.etag.clone());
        let ask = Ask {
            accept: Some(ACCEPT),
            etag,
            ..Ask::default()
        };
        let answer = self.http()?.get(&url, &ask, caps::PAGE).await?;
        match (answer.status.as_u16(), cached) {
            (404 | 410, _) => Ok(None),
            (304, Some((mut head, body))) => {
                head.fresh_until = now + max_age(&answer);
                let project = read_page(&head, body.clone(), name, &shown).await?;
                self.keep_page(&key, &head, &body);
                Ok(Some(project))
            }
            (200, _) => {
                let html = match answer
                    .header(CONTENT_TYPE)
                    .and_then(|text| text.split(';').next())
                    .map(str::trim)
                {
                    Some("application/vnd.pypi.simple.v1+json" | "application/json") => false,
                    Some("application/vnd.pypi.simple.v1+html" | "text/html") => true,
                    other => return Err(bad(format!("content type {}", other.unwrap_or("missing")))),
                };
                let mut base = answer.url.clone();
                // credentials of a page are not those of the files that it names
                let _ = base.set_username("");
                let _ = base.set_password(None);
                let head = CachedHead {
                    etag: answer.etag(),
                    html,
                    url: base,
                    fresh_until: now + max_age(&answer),
                };
                let project = read_page(&head, answer.body.clone(), name, &shown).await?;
                self.keep_page(&key, &head, &answer.body);
                Ok(Some(project))
            }
            (status, _) => Err(IndexError::Status {
                url: RedactedUrl::new(url),
                status,
                attempts: 1,
            }),
        }
    }

    /// Keeps a page for the next time. Where that cannot be (a full disk), the next time costs a request more.
    fn keep_page(&self, key: &str, head: &CachedHead, body: &[u8]) {
        let Ok(mut bytes) = serde_json::to_vec(head) else {
            return;
        };
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        let _ = self.remember("pages", key, &bytes);
    }

    /// A project without files has no page; only the legacy JSON, where there is one, tells it from an unknown name.
    async fn legacy(&self, index: &Url, name: &PackageName) -> Option<Project> {
        let url = index.join(&format!("../pypi/{name}/json")).ok()?;
        let ask = Ask {
            accept: Some("application/json"),
            ..Ask::default()
        };
        let answer = self.http().ok()?.get(&url, &ask, caps::PAGE).await.ok()?;
        if answer.status.as_u16() != 200 {
            return None;
        }
        simple::from_legacy(&answer.body, name, &RedactedUrl::new(index.clone())).ok()
    }

    /// Brings a file into the store, and gives its digest and place. Where the index promises a digest or a size, the bytes were checked against them;
    /// where it promises none, the digest is computed, and holds for that address from then on.
    pub async fn fetch(
        &self,
        file: &ProjectFile,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<(Digest, PathBuf), IndexError> {
        let key = digest_of(file.url.as_str().as_bytes()).to_string();
        let promised = file.sha256.clone().or_else(|| {
            self.cached("digests", &key)
                .and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok())
        });
        if let Some(digest) = &promised
            && let Some(path) = self.0.store.get(digest)
        {
            return Ok((digest.clone(), path));
        }
        if self.0.offline {
            return Err(IndexError::Offline {
                what: file.filename.clone(),
            });
        }
        let mut attempt = 0;
        let (digest, path) = loop {
            attempt += 1;
            match self.download(file, promised.as_ref(), progress).await {
                Err(IndexError::Unreachable { .. }) if attempt <= self.http()?.retries() => {
                    tokio::time::sleep(pause(attempt)).await;
                }
                other => break other?,
            }
        };
        if file.sha256.is_none() {
            self.remember("digests", &key, digest.as_str().as_bytes())?;
        }
        Ok((digest, path))
    }

    async fn download(
        &self,
        file: &ProjectFile,
        promised: Option<&Digest>,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> Result<(Digest, PathBuf), IndexError> {
        let shown = RedactedUrl::new(file.url.clone());
        let mut response = self
            .http()?
            .open(
                &file.url,
                &Ask {
                    raw: true,
                    ..Ask::default()
                },
            )
            .await?;
        if response.status().as_u16() != 200 {
            return Err(IndexError::Status {
                url: shown,
                status: response.status().as_u16(),
                attempts: 1,
            });
        }
        let total = file.size.or_else(|| response.content_length());
        let cap = file.size.unwrap_or(caps::FILE).min(caps::FILE);
        let mut incoming = self
            .0
            .store
            .incoming()
            .map_err(IndexError::storage("write to the file store"))?;
        loop {
            let chunk = response.chunk().await.map_err(|e| IndexError::Unreachable {
                url: shown.clone(),
                attempts: 1,
                source: Box::new(e.without_url()),
            })?;
            let Some(chunk) = chunk else { break };
            if incoming.written + chunk.len() as u64 > cap {
                return Err(match file.size {
                    Some(promised) => IndexError::SizeMismatch {
                        filename: file.filename.clone(),
                        promised,
                        got: incoming.written + chunk.len() as u64,
                    },
                    None => IndexError::TooBig { url: shown, cap },
                });
            }
            incoming
                .write(&chunk)
                .map_err(IndexError::storage("write to the file store"))?;
            progress(incoming.written, total);
        }
        if let Some(promised) = file.size.filter(|size| *size != incoming.written) {
            return Err(IndexError::SizeMismatch {
                filename: file.filename.clone(),
                promised,
                got: incoming.written,
            });
        }
        let got = incoming
            .digest()
            .map_err(IndexError::storage("write to the file store"))?;
        if let Some(promised) = promised.filter(|promised| **promised != got) {
            return Err(IndexError::HashMismatch {
                filename: file.filename.clone(),
                promised: promised.clone(),
                got,
            });
        }
        incoming
            .keep(&file.filename)
            .map_err(IndexError::storage("write to the file store"))
    }

    /// What the cache holds. `key` is ours: hexadecimal digits.
    pub(crate) fn cached(&self, folder: &str, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.cache.join(folder).join(key)).ok()
    }

    pub(crate) fn remember(&self, folder: &str, key: &str, bytes: &[u8]) -> Result<(), IndexError> {
        let folder = self.0.cache.join(folder);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(bytes)?;
            file.persist(folder.join(key)).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(IndexError::storage("write the index cache"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn max_age(answer: &Answer) -> u64 {
    let Some(text) = answer.header(CACHE_CONTROL) else {
        return 0;
    };
    let mut words = text.split(',').map(str::trim);
    if words.clone().any(|word| word == "no-store" || word == "no-cache") {
        return 0;
    }
    words
        .find_map(|word| word.strip_prefix("max-age=")?.parse::<u64>().ok())
        .unwrap_or(0)
        .min(MAX_AGE)
}

async fn read_page(
    head: &CachedHead,
    body: Vec<u8>,
    name: &PackageName,
    index: &RedactedUrl,
) -> Result<Project, IndexError> {
    let (html, url, name, shown) = (head.html, head.url.clone(), name.clone(), index.clone());
    let read = move || {
        if html {
            simple::from_html(&body, &name, &url, &shown)
        } else {
            simple::from_json(&body, &name, &url, &shown)
        }
    };
    let result = match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(error.to_string()),
    };
    result.map_err(|why| IndexError::NotAPage {
        url: index.clone(),
        why,
    })
}
