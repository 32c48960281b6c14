//! The worker's side of the Raw Data API: answers the agent's questions and takes its events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyti_box::protocol::{
    BlobPart, CommitEnvironment, Happened, OpenTunnel, OpenView, OutputPart, ProvideFiles, PutBlob, Stored,
    TerminalOpened, TerminalOutput, TunnelData, TunnelPart, View, ViewOrder,
};
use pyti_box::rpc::{Handler, Method as _, Notification as _, Peer, RpcError, answer};
use pyti_index::Offered;
use pyti_model::Digest;
use pyti_model::distribution::is_plain_file_name;
use pyti_model::effect::Loss;
use pyti_model::event::{Envelope, Event};
use pyti_model::plan::Interpreter;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use crate::boxed::Carrier;
use crate::job::Within;
use crate::recording::Recorder;
use crate::terminal::{Input, Terminal};
use crate::tunnels::Tunnels;
use crate::worker::Worker;

/// Largest blob that is kept, bytes.
const BLOB_CAP: u64 = 1 << 30;

/// Answers the agent's questions and takes its events. The agent is not trusted: what it asks is parsed into types.
pub(crate) struct Desk {
    pub(crate) worker: Worker,
    pub(crate) interpreter: Interpreter,
    pub(crate) pre: bool,
    pub(crate) exclude_newer: Option<String>,
    pub(crate) stage: PathBuf,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) heard: AtomicU64,
    pub(crate) handle: Handle,
    pub(crate) blobs: Mutex<Option<Blob>>,
    /// Views that were opened, by their path.
    pub(crate) views: Mutex<HashMap<String, pyti_index::View>>,
    /// Environments that this job was told to make: it may leave no others.
    pub(crate) wanted: Mutex<HashSet<String>>,
    pub(crate) lost: Mutex<Option<String>>,
    pub(crate) closed: AtomicBool,
    pub(crate) terminal: Option<Arc<dyn Terminal>>,
    pub(crate) tunnels: Arc<Tunnels>,
    pub(crate) peer: OnceLock<Arc<Peer>>,
    pub(crate) within: Within,
    /// Puts files into a guest.
    pub(crate) carrier: Option<Arc<Carrier>>,
    /// What the box is, said by this side: a guest is not believed.
    pub(crate) facts: BTreeMap<String, String>,
}

pub(crate) struct Blob {
    file: tempfile::NamedTempFile,
    sha256: Digest,
    size: u64,
}

impl Desk {
    fn view(&self, order: ViewOrder) -> View {
        let offered = order
            .offered
            .into_iter()
            .map(|o| Offered {
                name: o.name,
                version: o.version,
                filename: o.filename,
                metadata: o.metadata.as_bytes().to_vec(),
                sha256: Some(o.sha256),
            })
            .collect();
        let builder = Builder {
            worker: self.worker.clone(),
            interpreter: self.interpreter.clone(),
            within: self.within,
        };
        let view = pyti_index::View {
            interpreter: self.interpreter.clone(),
            offered,
            pre: self.pre,
            exclude_newer: self.exclude_newer.clone(),
            build_budget: 5,
            builder: Some(Arc::new(builder)),
        };
        let path = self.worker.inner.lens.open_view(view.clone());
        lock(&self.views).insert(path.clone(), view);
        View { path }
    }

    fn put(&self, part: &BlobPart) -> Result<Stored, RpcError> {
        let inner = &self.worker.inner;
        let mut blobs = lock(&self.blobs);
        if part.offset == 0 {
            let file = tempfile::NamedTempFile::new_in(&inner.files).map_err(RpcError::failed)?;
            *blobs = Some(Blob {
                file,
                sha256: part.sha256.clone(),
                size: 0,
            });
        }
        let blob = blobs
            .as_mut()
            .filter(|b| b.sha256 == part.sha256 && b.size == part.offset);
        let Some(blob) = blob else {
            return Err(RpcError::bad_params("parts of a blob come in order"));
        };
        blob.size += part.bytes.len() as u64;
        if blob.size > BLOB_CAP {
            return Err(RpcError::failed("the blob is too big"));
        }
        blob.file
            .write_all(part.bytes.as_bytes())
            .map_err(RpcError::failed)?;
        if !part.last {
            return Ok(Stored { path: None });
        }
        let name = part
            .name
            .as_str()
            .filter(|name| is_plain_file_name(name))
            .ok_or_else(|| RpcError::bad_params("the name"))?;
        let Some(mut blob) = blobs.take() else {
            return Err(RpcError::bad_params("no blob"));
        };
        let digest = hash(blob.file.as_file_mut()).map_err(RpcError::failed)?;
        if digest != blob.sha256 {
            return Err(RpcError::bad_params("the blob's digest is another one"));
        }
        let (_, path) = inner
            .store
            .insert_file(blob.file.path(), name)
            .map_err(RpcError::failed)?;
        let path = self.worker.in_box(&path);
        if let Some(carrier) = &self.carrier {
            carrier
                .deliver(std::iter::once(path.as_str()))
                .map_err(RpcError::failed)?;
        }
        Ok(Stored { path: Some(path) })
    }
}

impl Handler for Desk {
    fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            OpenView::NAME => answer::<OpenView>(params, |order| Ok(self.view(order))),
            ProvideFiles::NAME => answer::<ProvideFiles>(params, |order| {
                let views = lock(&self.views);
                let view = order.view.as_ref().and_then(|path| views.get(path)).cloned();
                drop(views);
                let view = view.unwrap_or_else(|| pyti_index::View::new(self.interpreter.clone()));
                let mut provided = self
                    .handle
                    .block_on(self.worker.provide(order, &view, self.within));
                if let Some(carrier) = &self.carrier {
                    // environments of this machine's cache are not there, and what a guest makes is not taken
                    provided.ready = false;
                    let wheels =
                        pyti_resolve::lock::parse_box_lock(&provided.box_lock).map_err(RpcError::failed)?;
                    carrier
                        .deliver(wheels.iter().map(|wheel| wheel.path.as_str()))
                        .map_err(RpcError::failed)?;
                    return Ok(provided);
                }
                if !provided.ready && !provided.environment.is_empty() {
                    lock(&self.wanted).insert(provided.environment.clone());
                }
                Ok(provided)
            }),
            CommitEnvironment::NAME => answer::<CommitEnvironment>(params, |key| {
                if self.carrier.is_some() || !lock(&self.wanted).contains(key.key.as_str()) {
                    return Err(RpcError::bad_params("this environment was not asked for"));
                }
                self.worker
                    .inner
                    .environments
                    .commit(&self.stage, &key.key)
                    .map_err(RpcError::failed)
            }),
            OpenTunnel::NAME => {
                answer::<OpenTunnel>(params, |order| self.tunnels.open(&order, self.peer.wait()))
            }
            PutBlob::NAME => answer::<PutBlob>(params, |part| self.put(&part)),
            other => Err(RpcError::no_such_method(other)),
        }
    }

    fn notification(&self, method: &str, params: Value) {
        match (method, &self.terminal) {
            (Happened::NAME, _) => {}
            (TunnelData::NAME, _) => {
                if let Ok(part) = serde_json::from_value::<TunnelPart>(params) {
                    self.tunnels.say(&part);
                }
                return;
            }
            (TerminalOpened::NAME, Some(terminal)) => {
                return terminal.opened(Input::new(Arc::clone(self.peer.wait())));
            }
            (TerminalOutput::NAME, Some(terminal)) => {
                if let Ok(part) = serde_json::from_value::<OutputPart>(params) {
                    terminal.output(part.stream, part.bytes.as_bytes());
                }
                return;
            }
            _ => return,
        }
        match serde_json::from_value::<Envelope>(params) {
            Ok(mut envelope) => {
                if let Event::Opened { machine } = &mut envelope.event {
                    machine.extend(self.facts.clone());
                }
                self.heard.fetch_add(1, Ordering::AcqRel);
                self.recorder.record_at(envelope.at_us, envelope.event);
            }
            Err(error) => {
                let why = format!("an event cannot be read: {error}");
                self.recorder.record(Event::Lost {
                    task: None,
                    what: Loss::Channel { why },
                });
            }
        }
    }

    fn closed(&self, why: Option<&str>) {
        self.closed.store(true, Ordering::Release);
        self.tunnels.close();
        *lock(&self.lost) = why.map(str::to_owned);
    }
}

/// Builds metadata that cannot be read, for the lens.
struct Builder {
    worker: Worker,
    interpreter: Interpreter,
    within: Within,
}

impl pyti_index::MetadataBuilder for Builder {
    fn build<'a>(
        &'a self,
        sdist: &'a pyti_index::ProjectFile,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>> {
        Box::pin(async move {
            match self
                .worker
                .build_dependency(sdist, &self.interpreter, self.within)
                .await
            {
                Ok((built, _)) => Ok(built.metadata.into_bytes()),
                Err(reason) => Err(reason.detail.visible()),
            }
        })
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(file: &mut File) -> std::io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => hasher.update(&part[..read]),
        }
    }
    Ok(<[u8; 32]>::from(hasher.finalize()).into())
}
