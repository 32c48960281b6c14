//! A service on loopback with a few results, and a client that shows everything that came.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyti_dispatch::WorkerId;
use pyti_model::FileKind;
use pyti_store::{Env, FileInfo, Options, Store};
use pyti_web::{Render, Settings, Site};

use crate::fill::{self, Piece};

pub(crate) const WHEEL: &str = include_str!("../../../pyti-report/tests/data/six-wheel-1.0.jsonl");
pub(crate) const SDIST: &str = include_str!("../../../pyti-report/tests/data/six-sdist-1.0.jsonl");
const NOW: u64 = 1_790_000_000_000;

/// A service.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) site: Site,
    who: WorkerId,
    request: AtomicU64,
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

pub(crate) fn child() -> Render {
    Render::Child {
        program: env!("CARGO_BIN_EXE_pyti-page").into(),
        arguments: Vec::new(),
    }
}

pub(crate) fn packed(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

pub(crate) fn env(interpreter: &str) -> Env {
    Env {
        platform: "linux/x86_64".into(),
        interpreter: interpreter.into(),
        isolation: "sandbox".into(),
        options: String::new(),
    }
}

pub(crate) fn file(project: &str, version: &str, name: &str) -> FileInfo {
    FileInfo {
        project: project.into(),
        version: version.into(),
        sort_key: version.bytes().collect(),
        name: name.into(),
        sha256: fill::digest(name).unwrap(),
        size: 11_053,
        kind: if name.ends_with(".whl") {
            FileKind::Wheel
        } else {
            FileKind::Sdist
        },
        uploaded_ms: NOW,
    }
}

impl Server {
    /// An empty one.
    pub(crate) fn empty(options: Options, settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), options).unwrap();
        let site = Site::new(store.clone(), settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let router = pyti_web::router(site.clone());
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        let who = fill::enrol(&store, "north-1", &["cpython-3.13", "cpython-3.12"]).unwrap();
        Self {
            address,
            store,
            site,
            who,
            request: AtomicU64::new(0),
            _runtime: runtime,
            folder,
        }
    }

    /// One with two releases of six: results 1 to 4.
    pub(crate) fn with_six() -> Self {
        let server = Self::empty(Options::default(), Settings::new(child()));
        let wheel = |version: &str| file("six", version, &format!("six-{version}-py2.py3-none-any.whl"));
        server.put(wheel("1.16.0"), "cpython-3.13", WHEEL);
        server.put(wheel("1.17.0"), "cpython-3.13", WHEEL);
        server.put(wheel("1.17.0"), "cpython-3.12", WHEEL);
        server.put(file("six", "1.17.0", "six-1.17.0.tar.gz"), "cpython-3.13", SDIST);
        server
    }

    /// Puts a result with this recording; its number.
    pub(crate) fn put(&self, file: FileInfo, interpreter: &str, recording: &str) -> i64 {
        let n = self.request.fetch_add(1, Ordering::SeqCst) + 1;
        let piece = Piece {
            file,
            env: env(interpreter),
            generation: u32::try_from(n).unwrap(),
            finished_ms: NOW + n * 1000,
            recording: packed(recording),
            baseline: None,
        };
        fill::put(&self.store, &self.who, n, piece).unwrap()
    }

    /// Loses a blob, as a pruned or broken disk does.
    pub(crate) fn lose(&self, blob: &pyti_model::Digest) {
        let (head, tail) = blob.as_str().split_at(2);
        std::fs::remove_file(self.folder.path().join("blobs").join(head).join(tail)).unwrap();
    }

    /// Asks, as a browser does.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(path, &[("Host", "localhost"), ("Accept", "text/html,*/*;q=0.8")])
    }

    /// Asks for JSON.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let reply = self.ask(path, &[("Host", "localhost"), ("Accept", "application/json")]);
        assert_eq!(reply.code, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Asks with these headers.
    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut socket = self.open(path, headers);
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        Reply::read(&bytes)
    }

    /// A connection over which an answer comes. HTTP/1.0, so that the answer ends with it.
    pub(crate) fn open(&self, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        socket
            .write_all(format!("GET {path} HTTP/1.0\r\n{headers}\r\n").as_bytes())
            .unwrap();
        socket
    }
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) code: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let code = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            code,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}
