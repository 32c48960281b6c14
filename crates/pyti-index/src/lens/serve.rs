//! The lens' HTTP face.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use mailparse::MailHeaderMap;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Entry, Lens, Open, entries, lock};
use crate::error::{IndexError, MetadataError};
use crate::metadata::check;
use crate::names::normalise;
use crate::project::ProjectFile;
use crate::requirements::without_reference;
use crate::select::lenient;

/// What uv takes for no metadata at all; it then goes on with another version.
const UNPARSABLE: &str = "this version was left out by the lens\n";

pub(super) async fn run(lens: Arc<Lens>, listener: TcpListener) -> io::Result<()> {
    axum::serve(Accept(listener), router(lens)).await
}

pub(super) async fn run_streams(lens: Arc<Lens>, streams: UnboundedReceiver<UnixStream>) -> io::Result<()> {
    axum::serve(Given(streams), router(lens)).await
}

fn router(lens: Arc<Lens>) -> Router {
    Router::new()
        .route("/s/{view}/simple/{name}/", get(page))
        .route("/s/{view}/files/{name}/{filename}", get(file))
        .with_state(lens)
}

/// Connections that come from a virtual machine, which somebody else passes on.
struct Given(UnboundedReceiver<UnixStream>);

impl axum::serve::Listener for Given {
    type Io = tokio::net::UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (tokio::net::UnixStream, ()) {
        loop {
            let Some(stream) = self.0.recv().await else {
                // no more will come; who serves is stopped by who started it
                std::future::pending::<()>().await;
                continue;
            };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = tokio::net::UnixStream::from_std(stream)
            {
                return (stream, ());
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Connections without delay; an error of one connection, or of too many open files, does not end the loop.
struct Accept(TcpListener);

impl axum::serve::Listener for Accept {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (TcpStream, std::net::SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // without it every answer waits 40 ms; a connection that refuses it still works
                    let _ = stream.set_nodelay(true);
                    return (stream, address);
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.0.local_addr()
    }
}

fn answer(status: StatusCode, kind: &'static str, cache: bool, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let cache = if cache {
        "max-age=31536000, immutable"
    } else {
        "no-store"
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn absent(why: impl Into<String>) -> Response<Body> {
    answer(
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        false,
        why.into(),
    )
}

fn open(lens: &Lens, view: &str) -> Option<Arc<Open>> {
    lock(&lens.views).get(view).cloned()
}

async fn page(State(lens): State<Arc<Lens>>, Path((view, name)): Path<(String, String)>) -> Response<Body> {
    let Some(open) = open(&lens, &view) else {
        return absent("no such view");
    };
    let Some(name) = normalise(&name) else {
        return absent("no project name");
    };
    let list = match entries(&lens.index, &open.view, name.as_ref()).await {
        Ok(list) => Arc::new(list),
        Err(IndexError::UnknownProject { .. }) => return absent("unknown project"),
        Err(error) => {
            // uv gives up the whole resolution on 5xx, and rightly: nothing was learned about the project
            open.note(
                name.as_ref(),
                format!("{}: {}", error.reason().code.word(), describe(&error)),
            );
            return answer(
                StatusCode::BAD_GATEWAY,
                "text/plain; charset=utf-8",
                false,
                error.to_string(),
            );
        }
    };
    lock(&open.listed).insert(name.to_string(), Arc::clone(&list));
    let files: Vec<_> = list.iter().map(|entry| listed(entry, name.as_ref())).collect();
    let page =
        json!({ "meta": { "api-version": "1.1" }, "name": name.as_ref(), "versions": [], "files": files });
    answer(
        StatusCode::OK,
        "application/vnd.pypi.simple.v1+json",
        false,
        page.to_string(),
    )
}

fn listed(entry: &Entry, project: &str) -> serde_json::Value {
    let filename = entry.filename();
    let mut value = json!({
        "filename": filename,
        "url": format!("../../files/{project}/{}", escape(&filename)),
        "hashes": { "sha256": entry.listed_digest() },
        "core-metadata": true,
    });
    if let Entry::Wheel(file) | Entry::Build(file) = entry {
        if let Some(size) = file.size {
            value["size"] = json!(size);
        }
        if let Some(requires) = file.requires_python.as_deref().and_then(lenient) {
            value["requires-python"] = json!(requires.to_string());
        }
        if let Some(reason) = &file.yanked {
            value["yanked"] = if reason.is_empty() {
                json!(true)
            } else {
                json!(reason)
            };
        }
        if let Some(uploaded) = &file.uploaded {
            value["upload-time"] = json!(uploaded);
        }
    } else {
        // a file without a time would be left out by --exclude-newer, and this one is what all is about
        value["upload-time"] = json!("1980-01-01T00:00:00Z");
    }
    value
}

fn escape(filename: &str) -> String {
    filename
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace('!', "%21")
        .replace('#', "%23")
        .replace('?', "%3F")
        .replace(' ', "%20")
}

async fn file(
    State(lens): State<Arc<Lens>>,
    Path((view, name, filename)): Path<(String, String, String)>,
) -> Response<Body> {
    let Some(open) = open(&lens, &view) else {
        return absent("no such view");
    };
    let Some(filename) = filename.strip_suffix(".metadata") else {
        return absent("the lens serves metadata only; files come from the store");
    };
    let Some(name) = normalise(&name) else {
        return absent("no project name");
    };
    let listed = lock(&open.listed).get(name.as_ref()).cloned();
    let list = match listed {
        Some(list) => list,
        None => match entries(&lens.index, &open.view, name.as_ref()).await {
            Ok(list) => Arc::new(list),
            Err(error) => return absent(error.to_string()),
        },
    };
    let Some(entry) = list.iter().find(|entry| entry.filename() == filename) else {
        return absent("no such file");
    };
    let invalid = || answer(StatusCode::OK, "text/plain; charset=utf-8", false, UNPARSABLE);
    let unavailable = |why: String| answer(StatusCode::BAD_GATEWAY, "text/plain; charset=utf-8", false, why);
    let (bytes, keep) = match entry {
        Entry::Offered(offered) => (offered.metadata.clone(), true),
        Entry::Wheel(file) => match lens.index.metadata(file, None).await {
            Ok(bytes) => (bytes, true),
            Err(error) => {
                open.note(
                    &file.filename,
                    format!("{}: {}", error.reason().code.word(), describe(&error)),
                );
                return if is_passing(&error) {
                    unavailable(describe(&error))
                } else {
                    invalid()
                };
            }
        },
        Entry::Build(file) => match sdist(&lens, &open, file).await {
            Ok(bytes) => (bytes, false),
            Err((why, passing)) => {
                open.note(&file.filename, why.as_str());
                return if passing { unavailable(why) } else { invalid() };
            }
        },
    };
    if let Entry::Offered(offered) = entry
        && let Ok(version) = offered.version.parse()
        && let Err(error) = check(&bytes, &offered.filename, &offered.name, &version)
    {
        open.note(&offered.filename, error.to_string());
        return invalid();
    }
    answer(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        keep,
        cleaned(&open, filename, bytes),
    )
}

/// Whether the failure says nothing about the file: the index is down, or our own disk is full. Then no other version
/// is to be taken in its place; the resolution ends.
fn is_passing(error: &MetadataError) -> bool {
    match error {
        MetadataError::Index(IndexError::Unreachable { .. } | IndexError::Storage { .. })
        | MetadataError::Parser { .. } => true,
        MetadataError::Index(IndexError::Status { status, .. }) => {
            *status >= 500 || matches!(status, 408 | 425 | 429)
        }
        _ => false,
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The metadata of an sdist; else why it cannot be had, and whether that may pass.
async fn sdist(lens: &Lens, open: &Open, file: &ProjectFile) -> Result<Vec<u8>, (String, bool)> {
    match lens.index.metadata(file, None).await {
        Ok(bytes) => return Ok(bytes),
        Err(MetadataError::MustBuild { why, .. }) if open.view.builder.is_none() => {
            return Err((format!("must be built: {why}"), false));
        }
        Err(MetadataError::MustBuild { .. }) => {}
        Err(error) => {
            let why = format!("{}: {}", error.reason().code.word(), describe(&error));
            return Err((why, is_passing(&error)));
        }
    }
    {
        let mut built = lock(&open.built);
        if *built >= open.view.build_budget {
            let why = format!(
                "resolution_budget: {} builds of metadata were spent",
                open.view.build_budget
            );
            return Err((why, false));
        }
        *built += 1;
    }
    lens.index
        .metadata(file, open.view.builder.as_deref())
        .await
        .map_err(|error| (describe(&error), is_passing(&error)))
}

/// Takes direct references out of the requirements: they are fatal to a resolution, and would lead uv past the lens.
fn cleaned(open: &Open, filename: &str, bytes: Vec<u8>) -> Vec<u8> {
    let Ok((headers, body)) = mailparse::parse_headers(&bytes) else {
        return bytes;
    };
    let references: Vec<(String, String)> = headers
        .get_all_values("Requires-Dist")
        .into_iter()
        .filter(|line| line.contains('@'))
        .filter_map(|line| without_reference(&line).map(|plain| (line, plain)))
        .collect();
    if references.is_empty() {
        return bytes;
    }
    let mut out = Vec::new();
    for parsed in &headers {
        let key = parsed.get_key();
        let mut value = parsed.get_value();
        if key.eq_ignore_ascii_case("Requires-Dist")
            && let Some((line, plain)) = references.iter().find(|(line, _)| *line == value)
        {
            open.note(
                filename,
                format!("the direct reference of {line:?} was taken out"),
            );
            value.clone_from(plain);
        }
        out.extend_from_slice(format!("{key}: {}\n", value.replace('\n', "\n        ")).as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(&bytes[body..]);
    out
}
