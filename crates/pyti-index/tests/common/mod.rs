//! A local index with faults on request, and what is needed to fill it.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::print_stderr,
    reason = "each test file uses a part; a skipped test says so"
)]

pub(crate) mod uv;
pub(crate) mod world;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use pyti_index::{FileStore, Index, Settings};
use pyti_model::plan::Interpreter;
use sha2::{Digest as _, Sha256};

/// One thing that the server has.
#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) kind: &'static str,
    pub(crate) body: Bytes,
    pub(crate) ranges: bool,
    pub(crate) etag: Option<&'static str>,
    /// Statuses answered first, one a request.
    pub(crate) first: Vec<u16>,
    /// Waits before the answer.
    pub(crate) stall: Duration,
    /// Ends the body after so many bytes, though it promised more.
    pub(crate) cut: Option<usize>,
}

impl Thing {
    pub(crate) fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            kind,
            body: body.into(),
            ranges: true,
            etag: None,
            first: Vec::new(),
            stall: Duration::ZERO,
            cut: None,
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Server {
    things: Arc<Mutex<HashMap<String, Thing>>>,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            ..Self::default()
        };
        let router = Router::new().fallback(serve).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/simple/", self.port)
    }

    pub(crate) fn put(&self, path: &str, thing: Thing) {
        self.things.lock().unwrap().insert(path.to_owned(), thing);
    }

    /// Requests so far: `GET /path status`.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self, part: &str) -> usize {
        self.log().iter().filter(|line| line.contains(part)).count()
    }

    /// Adds a project page with its files.
    pub(crate) fn project(&self, name: &str, files: &[Upload]) {
        let mut listed = Vec::new();
        for file in files {
            let mut entry = serde_json::json!({
                "filename": file.filename, "url": format!("../../files/{}", file.filename), "hashes": {"sha256": sha256(&file.bytes)},
                "size": file.bytes.len(), "upload-time": file.uploaded,
            });
            if let Some(metadata) = &file.metadata {
                entry["core-metadata"] = true.into();
                self.put(
                    &format!("/files/{}.metadata", file.filename),
                    Thing::new("text/plain", metadata.clone()),
                );
            }
            if let Some(requires) = file.requires_python {
                entry["requires-python"] = requires.into();
            }
            if file.yanked {
                entry["yanked"] = true.into();
            }
            listed.push(entry);
            self.put(
                &format!("/files/{}", file.filename),
                Thing::new("application/octet-stream", file.bytes.clone()),
            );
        }
        let page = serde_json::json!({"meta": {"api-version": "1.1"}, "name": name, "files": listed});
        self.put(
            &format!("/simple/{name}/"),
            Thing {
                etag: Some("\"1\""),
                ..Thing::new("application/vnd.pypi.simple.v1+json", page.to_string())
            },
        );
    }
}

async fn serve(State(server): State<Server>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let thing = {
        let mut things = server.things.lock().unwrap();
        let thing = things.get(&path).cloned();
        if let Some(thing) = things.get_mut(&path)
            && !thing.first.is_empty()
        {
            thing.first.remove(0);
        }
        thing
    };
    let headers = request.headers().clone();
    drop(request);
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut response = Response::builder();
    let (status, body) = match thing {
        None => (404, Body::empty()),
        Some(thing) if !thing.first.is_empty() => (thing.first[0], Body::empty()),
        Some(thing) => {
            tokio::time::sleep(thing.stall).await;
            response = response.header("content-type", thing.kind);
            if let Some(etag) = thing.etag {
                response = response.header("etag", etag);
            }
            if thing.etag.is_some() && header("if-none-match").as_deref() == thing.etag {
                (304, Body::empty())
            } else if let Some(range) = header("range").filter(|_| thing.ranges && !thing.body.is_empty()) {
                let total = thing.body.len();
                let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let (from, to) = if from.is_empty() {
                    (total.saturating_sub(to.parse().unwrap()), total)
                } else {
                    (
                        from.parse().unwrap(),
                        to.parse::<usize>().map_or(total, |to| (to + 1).min(total)),
                    )
                };
                response = response.header("content-range", format!("bytes {from}-{}/{total}", to - 1));
                (206, Body::from(thing.body.slice(from..to)))
            } else if let Some(cut) = thing.cut {
                response = response.header("content-length", thing.body.len());
                (200, Body::from_stream(Cut(Some(thing.body.slice(..cut)))))
            } else {
                (200, Body::from(thing.body))
            }
        }
    };
    server.log.lock().unwrap().push(format!("GET {path} {status}"));
    response
        .status(StatusCode::from_u16(status).unwrap())
        .body(body)
        .unwrap()
}

/// A body that breaks off.
struct Cut(Option<Bytes>);

impl futures_core::Stream for Cut {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(self.0.take().ok_or_else(|| std::io::Error::other("cut"))))
    }
}

/// A file to upload.
#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) filename: String,
    pub(crate) bytes: Bytes,
    pub(crate) metadata: Option<String>,
    pub(crate) requires_python: Option<&'static str>,
    pub(crate) yanked: bool,
    pub(crate) uploaded: &'static str,
}

impl Upload {
    pub(crate) fn new(filename: &str, bytes: Vec<u8>) -> Self {
        Self {
            filename: filename.to_owned(),
            bytes: bytes.into(),
            metadata: None,
            requires_python: None,
            yanked: false,
            uploaded: "2020-01-01T00:00:00Z",
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

pub(crate) fn metadata(name: &str, version: &str, requires: &[&str]) -> String {
    let mut text = format!("Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n");
    for line in requires {
        text.push_str("Requires-Dist: ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A zip archive of deflated entries.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let mut fields = Vec::new();
        for part in [
            &20u16.to_le_bytes()[..],
            &[0, 0],
            &8u16.to_le_bytes(),
            &[0, 0],
            &0x5821u16.to_le_bytes(),
            &crc.sum().to_le_bytes(),
            &u32::try_from(packed.len()).unwrap().to_le_bytes(),
            &u32::try_from(data.len()).unwrap().to_le_bytes(),
            &u16::try_from(name.len()).unwrap().to_le_bytes(),
            &[0, 0],
        ] {
            fields.extend_from_slice(part);
        }
        let offset = u32::try_from(out.len()).unwrap();
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&fields);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&packed);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, count) = (
        u32::try_from(out.len()).unwrap(),
        u16::try_from(entries.len()).unwrap(),
    );
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

/// Bytes that cannot be compressed.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

/// A wheel with so many bytes of ballast before its metadata.
pub(crate) fn wheel(name: &str, version: &str, requires: &[&str], ballast: usize) -> Upload {
    let folder = format!("{name}-{version}.dist-info/METADATA");
    let bytes = zip(&[
        (&format!("{name}.py"), &noise(ballast)),
        (&folder, metadata(name, version, requires).as_bytes()),
    ]);
    Upload::new(&format!("{name}-{version}-py3-none-any.whl"), bytes)
}

pub(crate) fn sdist(name: &str, version: &str, pkg_info: &str) -> Upload {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(pkg_info.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive
        .append_data(
            &mut header,
            format!("{name}-{version}/PKG-INFO"),
            pkg_info.as_bytes(),
        )
        .unwrap();
    Upload::new(
        &format!("{name}-{version}.tar.gz"),
        archive.into_inner().unwrap().finish().unwrap(),
    )
}

pub(crate) fn settings(url: &str) -> Settings {
    Settings {
        timeout: Duration::from_millis(1500),
        retries: 2,
        ..Settings::only(url.parse().unwrap())
    }
}

pub(crate) fn index(url: &str, dir: &Path) -> Index {
    let store = FileStore::open(&dir.join("files")).unwrap();
    Index::new(settings(url), store, &dir.join("cache"), false)
        .unwrap()
        .with_parser(parser())
}

pub(crate) fn parser() -> PathBuf {
    env!("CARGO_BIN_EXE_pyti-index-parser").into()
}

pub(crate) fn interpreter() -> Interpreter {
    Interpreter {
        implementation: "cpython".into(),
        version: "3.11.2".into(),
        free_threaded: false,
        executable: "python3".into(),
        prefix: "/usr".into(),
        platform: "linux_x86_64".into(),
        has_headers: false,
        image: None,
    }
}
