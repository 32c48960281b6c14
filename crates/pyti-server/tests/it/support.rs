//! A controller for a test, a client that is only bytes over a socket, and a worker that is only a key.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use pyti_command::raw::{Manifest, SegmentRef, StreamName, segment_path};
use pyti_command::rpc::{AnswerError, answer, call_text};
use pyti_command::trust::{PublicKey, Signature, session_text};
use pyti_command::work::{ClaimParams, Claimed, CompleteParams, Completed, WorkOutcome};
use pyti_command::worker::{ChallengeParams, EnrolParams, HelloParams, SessionParams};
use pyti_command::{Method, Secret, admin, job, version, work, worker};
use pyti_dispatch::{Lease, Offers, WorkerId};
use pyti_model::Digest;
use pyti_server::{Controller, ServeConfig, Served, Tls, serve};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

/// The program that judges.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_pyti-server-judge"))
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    Digest::from(<[u8; 32]>::try_from(hash.as_ref()).unwrap())
}

/// A controller that runs.
pub(crate) struct Running {
    pub(crate) controller: Arc<Controller>,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    served: Option<Served>,
    runtime: Option<tokio::runtime::Runtime>,
    _folder: Arc<tempfile::TempDir>,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    /// On a folder that is there already.
    pub(crate) fn on(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::of(folder, None, change)
    }

    /// With the index at this address.
    pub(crate) fn with_index(url: &str) -> Self {
        let overrides = pyti_index::Overrides {
            index_url: Some(url.to_owned()),
            ..Default::default()
        };
        let index = pyti_index::Settings::discover(&|_| None, &overrides).unwrap();
        Self::of(Arc::new(tempfile::tempdir().unwrap()), Some(index), |_| {})
    }

    /// With an index.
    pub(crate) fn of(
        folder: Arc<tempfile::TempDir>,
        index: Option<pyti_index::Settings>,
        change: impl FnOnce(&mut ServeConfig),
    ) -> Self {
        let mut config = ServeConfig::at(folder.path().join("data"));
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.tls = Some(Tls::Off);
        config.python = vec!["3.13".to_owned()];
        change(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let socket = config.socket.clone();
        let controller = Controller::open(config, &program(), index).unwrap();
        let served = runtime
            .block_on(async {
                controller.start()?;
                serve(&controller, None).await
            })
            .unwrap();
        Self {
            address: served.addresses[0],
            controller,
            socket,
            served: Some(served),
            runtime: Some(runtime),
            _folder: folder,
        }
    }

    /// Somebody on this machine.
    pub(crate) fn local(&self) -> Client {
        Client {
            to: To::Unix(self.socket.clone()),
            token: None,
        }
    }

    /// Somebody over TCP.
    pub(crate) fn stranger(&self) -> Client {
        Client {
            to: To::Tcp(self.address),
            token: None,
        }
    }

    /// Puts a file and makes a job of it.
    pub(crate) fn submit(&self, name: &str, bytes: &[u8]) -> job::Submitted {
        let digest = sha256(bytes);
        let put = self
            .local()
            .send("PUT", &format!("/file/v1/{digest}?name={name}"), &[], bytes);
        assert_eq!(put.status, 204, "{}", put.text());
        self.local().ok::<job::Submit>(&job::SubmitParams {
            key: format!("key-{name}"),
            target: job::SubmitTarget::File { sha256: digest },
            python: Vec::new(),
            platform: None,
            isolation: None,
            options: pyti_command::order::Options::default(),
            priority: None,
            again: false,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.controller.stop();
        if let (Some(runtime), Some(served)) = (self.runtime.take(), self.served.take()) {
            runtime.block_on(served.ended());
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

#[derive(Clone)]
enum To {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A client: one connection for each request.
#[derive(Clone)]
pub(crate) struct Client {
    to: To,
    pub(crate) token: Option<Secret>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

trait Both: std::io::Read + std::io::Write + Send {}
impl<T: std::io::Read + std::io::Write + Send> Both for T {}

impl Client {
    /// Somebody on this machine, of a controller in another process.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self {
            to: To::Unix(socket),
            token: None,
        }
    }

    fn connect(&self) -> std::io::Result<Box<dyn Both>> {
        let time = Some(Duration::from_mins(1));
        match &self.to {
            To::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(time)?;
                Ok(Box::new(stream))
            }
            To::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(time)?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Bytes out, bytes in.
    pub(crate) fn bytes(&self, request: &[u8]) -> Got {
        // nobody is there: an answer without a status
        let Ok(mut stream) = self.connect() else {
            return read(b"");
        };
        // it may be answered and closed before all of it is read
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&piece[..n]),
            }
        }
        read(&answer)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {}\r\n", token.expose()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.bytes(&[head.as_bytes(), body].concat())
    }

    pub(crate) fn post(&self, body: &[u8]) -> Got {
        self.send("POST", "/rpc/v1", &[("Content-Type", "application/json")], body)
    }

    pub(crate) fn call<M: Method>(&self, params: &M::Params) -> Result<M::Answer, AnswerError> {
        let got = self.post(&call_text::<M>(7, params).unwrap());
        if got.status != 200 {
            return Err(AnswerError::Strange(format!("{got:?}")));
        }
        answer::<M>(7, &got.body)
    }

    pub(crate) fn ok<M: Method>(&self, params: &M::Params) -> M::Answer {
        self.call::<M>(params)
            .unwrap_or_else(|error| panic!("{}: {error}", M::NAME))
    }

    pub(crate) fn code<M: Method>(&self, params: &M::Params) -> i32 {
        match self.call::<M>(params) {
            Err(AnswerError::Rpc(error)) => error.code,
            Err(other) => panic!("{}: {other}", M::NAME),
            Ok(_) => 0,
        }
    }

    pub(crate) fn get_job(&self, job: pyti_dispatch::JobId, wait_s: u32) -> job::JobView {
        self.ok::<job::Get>(&job::GetParams { job, wait_s })
    }
}

fn read(answer: &[u8]) -> Got {
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let Some(at) = split else {
        return Got {
            status: 0,
            head: String::from_utf8_lossy(answer).into_owned(),
            body: Vec::new(),
        };
    };
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = &answer[at + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Got {
        status,
        body: if chunked { unchunk(body) } else { body.to_vec() },
        head,
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[at + 2..at + 2 + size]);
        body = &body[at + 2 + size + 2..];
    }
    whole
}

/// A worker that is only a key and numbers.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) id: WorkerId,
    key: Ed25519KeyPair,
    pub(crate) boot: u64,
    pub(crate) request: u64,
}

pub(crate) fn offers() -> Offers {
    Offers {
        platform: "linux/x86_64".parse().unwrap(),
        interpreters: ["cpython-3.13".parse().unwrap()].into(),
        isolations: ["sandbox".parse().unwrap()].into(),
        memory_mib: 4096,
        slots: 4,
    }
}

impl Worker {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        Self {
            client,
            id: name.parse().unwrap(),
            key: Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap(),
            boot: 1,
            request: 0,
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.key.public_key().as_ref().try_into().unwrap())
    }

    pub(crate) fn enrol(&self, join: Option<Secret>) -> Result<worker::Enrolled, AnswerError> {
        let mut client = self.client.clone();
        client.token = None;
        client.call::<worker::Enrol>(&EnrolParams {
            worker: self.id.clone(),
            key: self.public(),
            join,
            offers: offers(),
        })
    }

    pub(crate) fn session(&mut self) -> Result<(), AnswerError> {
        self.client.token = None;
        let asked = self.client.ok::<worker::Challenge>(&ChallengeParams {
            worker: self.id.clone(),
        });
        let text = session_text(&asked.controller, &self.id, &asked.nonce);
        let signature = self.key.sign(&text);
        let session = self.client.call::<worker::Session>(&SessionParams {
            worker: self.id.clone(),
            nonce: asked.nonce,
            signature: Signature(signature.as_ref().try_into().unwrap()),
        })?;
        self.client.token = Some(session.token);
        Ok(())
    }

    pub(crate) fn hello(&self) -> worker::Welcome {
        self.client.ok::<worker::Hello>(&HelloParams {
            protocol: version::PROTOCOL,
            boot: self.boot,
            offers: offers(),
            version: "test".to_owned(),
        })
    }

    /// A worker over the Unix socket that is ready to work.
    pub(crate) fn ready(running: &Running, name: &str) -> Self {
        let mut worker = Self::new(running.local(), name);
        worker.enrol(None).unwrap();
        worker.session().unwrap();
        worker.hello();
        worker
    }

    pub(crate) fn claim(&mut self, wait_s: u32) -> Claimed {
        self.request += 1;
        self.client.ok::<work::Claim>(&ClaimParams {
            boot: self.boot,
            request: self.request,
            slots: 1,
            wait_s,
        })
    }

    pub(crate) fn put(&self, lease: &Lease, stream: StreamName, seq: u32, bytes: &[u8]) -> Got {
        self.put_as(lease, stream, seq, bytes, &sha256(bytes))
    }

    pub(crate) fn put_as(
        &self,
        lease: &Lease,
        stream: StreamName,
        seq: u32,
        bytes: &[u8],
        digest: &Digest,
    ) -> Got {
        let value = content_digest(digest);
        let path = segment_path(lease, stream, seq);
        self.client
            .send("PUT", &path, &[("Content-Digest", &value)], bytes)
    }

    pub(crate) fn complete(&self, lease: Lease, manifest: Manifest) -> Completed {
        self.client.ok::<work::Complete>(&CompleteParams {
            lease,
            outcome: WorkOutcome::Ran,
            manifest,
        })
    }

    /// Puts a recording as one segment and completes.
    pub(crate) fn deliver(&self, lease: Lease, recording: &[u8]) -> Completed {
        let put = self.put(&lease, StreamName::Events, 0, recording);
        assert_eq!(put.status, 204, "{}", put.text());
        self.complete(lease, manifest(&[recording]))
    }
}

pub(crate) fn content_digest(digest: &Digest) -> String {
    let bytes: Vec<u8> = (0..32)
        .map(|n| u8::from_str_radix(&digest.as_str()[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("sha-256=:{base64}:")
}

/// The manifest of a recording in these segments.
pub(crate) fn manifest(segments: &[&[u8]]) -> Manifest {
    let segments = segments.iter().map(|bytes| SegmentRef {
        sha256: sha256(bytes),
        size: bytes.len() as u64,
    });
    Manifest([(StreamName::Events, segments.collect())].into())
}

/// Lines of a recording, as one frame.
pub(crate) fn frame(lines: &[Value]) -> Vec<u8> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    zstd::bulk::compress(text.as_bytes(), 3).unwrap()
}

/// The recording of a file that was decided on without opening a box.
pub(crate) fn decided(order: &pyti_command::order::WorkOrder) -> Vec<u8> {
    let file = serde_json::to_value(&order.file).unwrap();
    let outcome = serde_json::json!({
        "status": "na",
        "reasons": [{"code": "windows_only", "blame": "package"}],
    });
    frame(&[
        serde_json::json!({"seq": 0, "at_us": 0, "event": "decided", "file": file, "outcome": outcome}),
        serde_json::json!({"seq": 1, "at_us": 5, "event": "finished", "interrupted": false}),
    ])
}

pub(crate) fn join_token(running: &Running) -> pyti_command::trust::JoinToken {
    let made = running.local().ok::<admin::CreateJoin>(&admin::CreateJoinParams {
        valid_s: None,
        worker: None,
    });
    made.token.expose().parse().unwrap()
}

/// A folder for what a test looks at afterwards.
pub(crate) fn data(running: &Running) -> &Path {
    running.controller.config().data.as_path()
}

impl Worker {
    /// Session and hello, if the controller is there.
    pub(crate) fn try_begin(&mut self) -> bool {
        self.client.token = None;
        let Ok(asked) = self.client.call::<worker::Challenge>(&ChallengeParams {
            worker: self.id.clone(),
        }) else {
            return false;
        };
        let text = session_text(&asked.controller, &self.id, &asked.nonce);
        let signature = self.key.sign(&text);
        let Ok(session) = self.client.call::<worker::Session>(&SessionParams {
            worker: self.id.clone(),
            nonce: asked.nonce,
            signature: Signature(signature.as_ref().try_into().unwrap()),
        }) else {
            return false;
        };
        self.client.token = Some(session.token);
        let hello = HelloParams {
            protocol: version::PROTOCOL,
            boot: self.boot,
            offers: offers(),
            version: "test".to_owned(),
        };
        self.client.call::<worker::Hello>(&hello).is_ok()
    }
}
