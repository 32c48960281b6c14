//! Rendered reports: made in a child that is shut off, kept in memory by result and form. A result never changes, so what was rendered
//! holds as long as this program runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyti_model::Digest;
use pyti_store::{ResultRow, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::child::{Order, Wanted};
use crate::fault::Fault;
use crate::site::Settings;
use crate::words;

/// Most bytes of a recording, packed, that a page is made of.
const PACKED: u64 = 32 << 20;
/// Most bytes that a child may say.
const SAID: u64 = 64 << 20;
/// Children at once, and requests that may wait for them.
const AT_ONCE: usize = 2;
const WAITING: usize = 32;

/// How recordings are rendered.
#[derive(Debug, Clone)]
pub enum Render {
    /// By a program that calls [`crate::page_main`].
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

type Key = (i64, Wanted, i64);

#[derive(Debug, Default)]
struct Kept {
    pages: HashMap<Key, (Arc<Vec<u8>>, u64)>,
    bytes: usize,
    turn: u64,
}

/// Renders, and keeps.
#[derive(Debug)]
pub(crate) struct Renderer {
    render: Render,
    rules: Option<Vec<(String, String)>>,
    suppressions: Option<(String, String)>,
    longest: Duration,
    most: usize,
    kept: Mutex<Kept>,
    at_once: Semaphore,
    waiting: Semaphore,
}

impl Renderer {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            render: settings.render.clone(),
            rules: settings.rules.clone(),
            suppressions: settings.suppressions.clone(),
            longest: settings.longest,
            most: settings.kept,
            kept: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
        }
    }

    fn known(&self, key: &Key) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn += 1;
        let turn = kept.turn;
        kept.pages.get_mut(key).map(|(page, last)| {
            *last = turn;
            Arc::clone(page)
        })
    }

    fn keep(&self, key: Key, page: &Arc<Vec<u8>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if page.len() > self.most / 4 {
            return;
        }
        kept.turn += 1;
        let turn = kept.turn;
        if let Some((old, _)) = kept.pages.insert(key, (Arc::clone(page), turn)) {
            kept.bytes -= old.len();
        }
        kept.bytes += page.len();
        while kept.bytes > self.most {
            let oldest = kept.pages.iter().min_by_key(|(_, (_, last))| *last);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            if let Some((old, _)) = kept.pages.remove(&key) {
                kept.bytes -= old.len();
            }
        }
    }

    /// Bytes that are kept, and of how many pages.
    pub(crate) fn size(&self) -> (usize, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.bytes, kept.pages.len())
    }

    /// A result in this form; compared with `other`, where that is wanted.
    pub(crate) async fn get(
        &self,
        store: &Store,
        row: &ResultRow,
        other: Option<&ResultRow>,
        form: Wanted,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        let key = (row.id, form.clone(), other.map_or(0, |other| other.id));
        if let Some(page) = self.known(&key) {
            return Ok(page);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Fault::Busy)?;
        let _turn = self.at_once.acquire().await.map_err(|_| Fault::Busy)?;
        // somebody else may have had the same wish
        if let Some(page) = self.known(&key) {
            return Ok(page);
        }
        let page = tokio::time::timeout(self.longest, self.render(store, row, other, form))
            .await
            .map_err(|_| Fault::TooLong)??;
        let page = Arc::new(page);
        self.keep(key, &page);
        Ok(page)
    }

    async fn render(
        &self,
        store: &Store,
        row: &ResultRow,
        other: Option<&ResultRow>,
        form: Wanted,
    ) -> Result<Vec<u8>, Fault> {
        let recording = recording_of(row)?;
        let other = other.map(recording_of).transpose()?;
        let baseline = baseline_of(row);
        let store = store.clone();
        let bytes = tokio::task::spawn_blocking(move || -> Result<[Vec<u8>; 3], Fault> {
            let blob = |digest: &Digest| match store.blobs().read(digest, PACKED) {
                Err(pyti_store::StoreError::Invalid(_)) => Err(Fault::Broken(
                    "the recording is too big for a page; it can be downloaded".to_owned(),
                )),
                other => Ok(other?),
            };
            let baseline = baseline.map(|digest| blob(&digest)).and_then(Result::ok);
            Ok([
                blob(&recording)?,
                baseline.unwrap_or_default(),
                other.as_ref().map(blob).transpose()?.unwrap_or_default(),
            ])
        })
        .await
        .map_err(|_| Fault::Broken("the recording cannot be read".to_owned()))??;
        let order = Order {
            form,
            id: row.id.to_string(),
            name: row.project.clone(),
            version: row.version.clone(),
            interpreter: words::interpreter(&row.env.interpreter),
            python: row
                .env
                .interpreter
                .split_once('-')
                .map_or("", |(_, version)| version)
                .to_owned(),
            isolation: row.env.isolation.clone(),
            lengths: [
                bytes[0].len() as u64,
                bytes[1].len() as u64,
                bytes[2].len() as u64,
            ],
            rules: self.rules.clone(),
            suppressions: self.suppressions.clone(),
        };
        self.run(&order, &bytes).await
    }

    async fn run(&self, order: &Order, bytes: &[Vec<u8>; 3]) -> Result<Vec<u8>, Fault> {
        let broken = |what: &str| Fault::Broken(format!("the report could not be made: {what}"));
        let Render::Child { program, arguments } = &self.render;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| broken("its program cannot be started"))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(broken("its program has no pipes"));
        };
        let header = serde_json::to_vec(order).map_err(|_| broken("an order that is no JSON"))?;
        let give = async {
            let length = u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes();
            // one that ends early says why on its standard error
            let _ = stdin.write_all(&length).await;
            for part in std::iter::once(&header).chain(bytes) {
                if stdin.write_all(part).await.is_err() {
                    break;
                }
            }
            drop(stdin);
        };
        let (mut said, mut wrong) = (Vec::new(), Vec::new());
        let mut out = stdout.take(SAID + 1);
        let mut err = stderr.take(1024);
        let ((), read, _) = tokio::join!(give, out.read_to_end(&mut said), err.read_to_end(&mut wrong));
        if read.is_err() || said.len() as u64 > SAID {
            return Err(broken("it is too big"));
        }
        let status = child.wait().await.map_err(|_| broken("its program was lost"))?;
        if !status.success() {
            return Err(match status.code() {
                Some(3) => {
                    let why =
                        crate::hostile::Hostile::from(String::from_utf8_lossy(&wrong).trim().to_owned());
                    broken(&why.plain())
                }
                // memory, time, or something worse: the child is gone, nothing else
                _ => broken("its recording needs more memory or time than a page may"),
            });
        }
        Ok(said)
    }
}

fn recording_of(row: &ResultRow) -> Result<Digest, Fault> {
    match &row.recording {
        Some((digest, _, true)) => Ok(digest.clone()),
        Some((_, _, false)) => Err(Fault::NotFound("the recording is not kept any more".to_owned())),
        None => Err(Fault::NotFound("nothing was recorded".to_owned())),
    }
}

/// The recording of an empty package in the same circumstances, which is named beside the result.
fn baseline_of(row: &ResultRow) -> Option<Digest> {
    let more: serde_json::Value = serde_json::from_str(row.more.as_deref()?).ok()?;
    more.get("baseline")?.as_str()?.parse().ok()
}
