//! Answers `provide`: a lock of the index becomes files in the store and a lock of the box.

use std::path::Path;

use futures_util::stream::{self, StreamExt as _};
use pyti_box::protocol::{CACHE, ProvideOrder, Provided, VENV};
use pyti_index::{Entry, ProjectFile, View};
use pyti_model::outcome::{Blame, Reason, ReasonCode};
use pyti_resolve::lock::{self, BoxWheel, LockedPackage};

use crate::job::Within;
use crate::worker::Worker;

/// Files fetched at once.
const AT_ONCE: usize = 8;
/// Most bytes of all files of a lock.
const CLOSURE_CAP: u64 = 1 << 30;

/// How many files came from where.
#[derive(Default)]
struct Count {
    fetched: u32,
    cached: u32,
    built: u32,
}

struct Got {
    wheel: BoxWheel,
    from: From,
}

enum From {
    Fetched,
    Cached,
    Built,
}

impl Worker {
    pub(crate) async fn provide(&self, order: ProvideOrder, view: &View, within: Within) -> Provided {
        let interpreter = &view.interpreter;
        let mut provided = Provided {
            box_lock: String::new(),
            index_lock: order.index_lock.clone(),
            environment: String::new(),
            ready: false,
            packages: Vec::new(),
            fetched: 0,
            cached: 0,
            built: 0,
            left_out: order
                .view
                .as_deref()
                .map(|view| self.inner.lens.left_out(view))
                .unwrap_or_default(),
            problems: Vec::new(),
        };
        let locked = if order.index_lock.trim().is_empty() {
            Vec::new()
        } else {
            match lock::parse_index_lock(order.index_lock.as_bytes()) {
                Ok(lock) => lock.packages,
                Err(error) => {
                    let reason =
                        Reason::new(ReasonCode::Testbed, format!("the lock cannot be read: {error}"));
                    provided.problems.push(reason);
                    return provided;
                }
            }
        };
        let wanted: Vec<_> = locked
            .into_iter()
            .filter(|package| !order.without.contains(&package.name))
            .collect();
        let results: Vec<_> = stream::iter(wanted)
            .map(|package| {
                // a frozen lock names its files by digest: the index need not know them any more
                let kept = if order.view.is_none() {
                    self.kept(&package)
                } else {
                    None
                };
                async move {
                    match kept {
                        Some(wheel) => Ok(Got {
                            wheel,
                            from: From::Cached,
                        }),
                        None => self.one(package, view, within).await,
                    }
                }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut count, mut wheels) = (Count::default(), Vec::new());
        for result in results {
            match result {
                Ok(got) => {
                    match got.from {
                        From::Fetched => count.fetched += 1,
                        From::Cached => count.cached += 1,
                        From::Built => count.built += 1,
                    }
                    wheels.push(got.wheel);
                }
                Err(reason) => provided.problems.push(reason),
            }
        }
        (provided.fetched, provided.cached, provided.built) = (count.fetched, count.cached, count.built);
        provided.packages = wheels
            .iter()
            .map(|w| (w.name.clone(), w.version.clone()))
            .collect();
        provided.box_lock = lock::box_lock(&wheels, None);
        provided.environment = pyti_resolve::environment_key(&provided.box_lock, interpreter, VENV);
        provided.ready = self.inner.environments.has(&provided.environment);
        provided
    }

    /// A wheel of a frozen lock that is in the store.
    fn kept(&self, package: &LockedPackage) -> Option<BoxWheel> {
        let sha256 = package.sha256.clone().filter(|_| !package.is_placeholder)?;
        let path = self.inner.store.get(&sha256)?;
        (path.file_name()? == package.filename.as_str()).then(|| BoxWheel {
            name: package.name.clone(),
            version: package.version.clone(),
            filename: package.filename.clone(),
            path: self.in_box(&path),
            sha256,
            built_from: None,
        })
    }

    async fn one(&self, package: LockedPackage, view: &View, within: Within) -> Result<Got, Reason> {
        let download = |detail: String| Reason::new(ReasonCode::Download, detail);
        let (file, is_wheel) = self.find(&package, view).await.map_err(download)?;
        if file.size.is_some_and(|size| size > CLOSURE_CAP) {
            return Err(Reason::new(ReasonCode::SizePolicy, file.filename.clone()).blaming(Blame::Dependency));
        }
        if is_wheel {
            let known = file
                .sha256
                .as_ref()
                .is_some_and(|digest| self.inner.store.get(digest).is_some());
            let (digest, path) = self.inner.index.fetch(&file, &|_, _| ()).await.map_err(|e| {
                Reason::new(
                    e.reason().code,
                    format!("{}: {}", file.filename, pyti_model::with_causes(&e)),
                )
            })?;
            // a lock that was frozen, or is part of PyTI, means these bytes and no others
            if package.sha256.as_ref().is_some_and(|wanted| *wanted != digest) {
                let why = format!("{} has another digest than the lock", file.filename);
                return Err(Reason::new(ReasonCode::HashMismatch, why));
            }
            let wheel = BoxWheel {
                name: package.name,
                version: package.version,
                filename: file.filename.clone(),
                path: self.in_box(&path),
                sha256: digest,
                built_from: None,
            };
            return Ok(Got {
                wheel,
                from: if known { From::Cached } else { From::Fetched },
            });
        }
        let (built, fresh) = self.build_dependency(&file, &view.interpreter, within).await?;
        let path = self
            .inner
            .store
            .get(&built.sha256)
            .ok_or_else(|| download(built.filename.clone()))?;
        let wheel = BoxWheel {
            name: package.name,
            version: package.version,
            filename: built.filename,
            path: self.in_box(&path),
            sha256: built.sha256,
            built_from: file.sha256.clone(),
        };
        Ok(Got {
            wheel,
            from: if fresh { From::Built } else { From::Cached },
        })
    }

    /// The file that a line of a lock means: the lens named it, the index has it.
    async fn find(&self, package: &LockedPackage, view: &View) -> Result<(ProjectFile, bool), String> {
        let (name, version, filename) = (&package.name, &package.version, &package.filename);
        let entry = pyti_index::lens::resolve_entry(&self.inner.index, view, name, version, filename)
            .await
            .map_err(|e| pyti_model::with_causes(&e))?;
        match entry {
            Some(Entry::Wheel(file)) => Ok((file, true)),
            Some(Entry::Build(file)) => Ok((file, false)),
            Some(Entry::Offered(_)) => Err(format!("{filename} is the distribution under test itself")),
            None => Err(format!("{filename} is not in the index any more")),
        }
    }

    /// Where the box sees a file of the store.
    pub(crate) fn in_box(&self, path: &Path) -> String {
        let relative = path.strip_prefix(&self.inner.files).unwrap_or(path);
        format!("{CACHE}/{}", relative.display())
    }
}
