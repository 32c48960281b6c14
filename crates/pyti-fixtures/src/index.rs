//! A local index: the Simple API in JSON and HTML, core metadata, ranges, `ETag`, uploads with a changelog, and faults on request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::Fixture;
use crate::faults::{Fault, Faults};
use crate::http::{Head, Request};
use crate::journal::Journal;

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const PAGE: &str = "<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>\n";
/// When what is there from the start was uploaded.
const LONG_AGO: &str = "2020-09-13T12:26:40.000000Z";
/// Bytes that are sent at once.
const CHUNK: usize = 32 << 10;

/// A request that the index has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// GET or HEAD.
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The range that was asked for, as written.
    pub range: Option<String>,
    /// Whether it asked for nothing new (`If-None-Match`).
    pub conditional: bool,
}

/// One file that the index serves.
#[derive(Debug, Clone)]
struct Served {
    filename: String,
    bytes: Arc<Vec<u8>>,
    sha256: String,
    metadata: Option<Arc<Vec<u8>>>,
    huge_metadata: Option<u64>,
    requires_python: Option<String>,
    yanked: Option<String>,
    /// RFC 3339.
    uploaded: String,
}

/// Projects by normalised name.
type Catalog = BTreeMap<String, Vec<Served>>;

#[derive(Debug)]
struct Shared {
    catalog: Mutex<Catalog>,
    seen: Mutex<Vec<Seen>>,
    journal: Mutex<Journal>,
    quarantined: Mutex<BTreeSet<String>>,
    faults: Faults,
    stopping: AtomicBool,
}

impl Shared {
    fn catalog(&self) -> std::sync::MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantined(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.quarantined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps, unless the index stops.
    fn sleep(&self, time: Duration) {
        let step = Duration::from_millis(20);
        let mut left = time;
        while !left.is_zero() && !self.is_stopping() {
            thread::sleep(step.min(left));
            left = left.saturating_sub(step);
        }
    }
}

/// A local index. It ends when it is dropped.
#[derive(Debug)]
pub struct LocalIndex {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl LocalIndex {
    /// Serves fixtures on a free port of 127.0.0.1.
    pub fn start(fixtures: Vec<Fixture>, faults: Faults) -> io::Result<Self> {
        let mut catalog = Catalog::new();
        for fixture in fixtures {
            let files = catalog.entry(normalised(&fixture.name)).or_default();
            let metadata = Arc::new(fixture.metadata);
            for (filename, bytes) in fixture.files {
                let is_wheel = filename.strip_suffix(".whl").is_some();
                files.push(Served {
                    sha256: hex(&bytes),
                    bytes: Arc::new(bytes),
                    metadata: is_wheel.then(|| Arc::clone(&metadata)),
                    huge_metadata: fixture.huge_metadata.filter(|_| is_wheel),
                    requires_python: fixture.requires_python.clone(),
                    yanked: fixture.yanked.clone(),
                    uploaded: LONG_AGO.to_owned(),
                    filename,
                });
            }
        }
        // a project without files is one that the Simple API does not know
        catalog.retain(|_, files| !files.is_empty());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            catalog: Mutex::new(catalog),
            seen: Mutex::default(),
            journal: Mutex::default(),
            quarantined: Mutex::default(),
            faults,
            stopping: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.is_stopping() {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || {
                    // a client that goes away is no failure of the index
                    let _ = serve(&shared, stream);
                });
            }
        });
        Ok(Self {
            address,
            shared,
            accepting: Some(accepting),
        })
    }

    /// The same, and it serves the wheels and sdists of a folder too.
    pub fn with_folder(self, folder: &Path) -> io::Result<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)?
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let Some(filename) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                continue;
            };
            let Some(project) = project_of(&filename) else {
                continue;
            };
            let bytes = std::fs::read(&path)?;
            self.shared.catalog().entry(project).or_default().push(Served {
                filename,
                sha256: hex(&bytes),
                bytes: Arc::new(bytes),
                metadata: None,
                huge_metadata: None,
                requires_python: None,
                yanked: None,
                uploaded: LONG_AGO.to_owned(),
            });
        }
        Ok(self)
    }

    /// Takes an upload: the file is served from now on, and the changelog tells it.
    pub fn upload(&self, filename: &str, bytes: Vec<u8>) -> io::Result<()> {
        let (Some(project), Some(version)) = (project_of(filename), version_of(filename)) else {
            return Err(io::Error::other(format!("{filename} is no wheel and no sdist")));
        };
        let mut catalog = self.shared.catalog();
        let mut journal = self.shared.journal();
        let files = match catalog.entry(project.clone()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                journal.note(&project, None, "create".into());
                entry.insert(Vec::new())
            }
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
        };
        if !files
            .iter()
            .any(|file| version_of(&file.filename).as_ref() == Some(&version))
        {
            journal.note(&project, Some(&version), "new release".into());
        }
        files.push(Served {
            filename: filename.to_owned(),
            sha256: hex(&bytes),
            bytes: Arc::new(bytes),
            metadata: None,
            huge_metadata: None,
            requires_python: None,
            yanked: None,
            uploaded: jiff::Timestamp::now().to_string(),
        });
        let kind = if filename.strip_suffix(".whl").is_some() {
            "py3"
        } else {
            "source"
        };
        journal.note(&project, Some(&version), format!("add {kind} file {filename}"));
        Ok(())
    }

    /// Yanks a release.
    pub fn yank(&self, project: &str, version: &str, why: &str) {
        let mut catalog = self.shared.catalog();
        for file in catalog.get_mut(project).into_iter().flatten() {
            if version_of(&file.filename).as_deref() == Some(version) {
                file.yanked = Some(why.to_owned());
            }
        }
        self.shared
            .journal()
            .note(project, Some(version), "yank release".into());
    }

    /// Takes a file away.
    pub fn remove(&self, filename: &str) {
        let mut catalog = self.shared.catalog();
        for (project, files) in catalog.iter_mut() {
            let before = files.len();
            files.retain(|file| file.filename != filename);
            if files.len() < before {
                let version = version_of(filename);
                self.shared
                    .journal()
                    .note(project, version.as_deref(), format!("remove file {filename}"));
            }
        }
    }

    /// Quarantines a project: its page names no files any more, and says so.
    pub fn quarantine(&self, project: &str) {
        let _catalog = self.shared.catalog();
        self.shared.quarantined().insert(project.to_owned());
        self.shared
            .journal()
            .note(project, None, "project quarantined".into());
    }

    /// The address for `--index-url`.
    pub fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// How often something was asked whose path holds `part`.
    pub fn count(&self, part: &str) -> usize {
        self.shared
            .seen()
            .iter()
            .filter(|seen| seen.path.contains(part))
            .count()
    }
}

impl Drop for LocalIndex {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // wakes the thread that accepts
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// A body: bytes, and blanks after them.
struct Body {
    bytes: Arc<Vec<u8>>,
    length: u64,
}

impl Body {
    fn of(bytes: Vec<u8>) -> Self {
        Self::shared(Arc::new(bytes))
    }

    fn shared(bytes: Arc<Vec<u8>>) -> Self {
        Self {
            length: bytes.len() as u64,
            bytes,
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_mins(1)))?;
    let request = Request::read(&stream)?;
    shared.seen().push(Seen {
        method: request.method.clone(),
        path: request.path.clone(),
        range: request.header("range").map(str::to_owned),
        conditional: request.header("if-none-match").is_some(),
    });
    let faults = shared.faults.of(&request.path);
    if faults.contains(&Fault::Close) {
        return stream.shutdown(Shutdown::Both);
    }
    if faults.contains(&Fault::Stall) {
        while !shared.is_stopping() {
            shared.sleep(Duration::from_secs(1));
        }
        return Ok(());
    }
    let (head, body) = answer(shared, &request, &faults);
    send(shared, &mut stream, &request, &faults, head, &body)?;
    stream.shutdown(Shutdown::Write)
}

/// What is answered, before ranges and what goes wrong on the way.
fn answer(shared: &Shared, request: &Request, faults: &[Fault]) -> (Head, Body) {
    let text = |status: u16, text: &str| {
        (
            Head::new(status).with("Content-Type", "text/plain"),
            Body::of(text.as_bytes().to_vec()),
        )
    };
    for fault in faults {
        match fault {
            Fault::Status { code, .. } => return text(*code, "it is on purpose\n"),
            Fault::Html => {
                return (
                    Head::new(200).with("Content-Type", "text/html"),
                    Body::of(PAGE.into()),
                );
            }
            _ => {}
        }
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/pypi") => {
            return (
                Head::new(200).with("Content-Type", "text/xml; charset=UTF-8"),
                Body::of(shared.journal().answer(&request.body, faults).into_bytes()),
            );
        }
        ("GET", "/rss/updates.xml") => {
            return (
                Head::new(200).with("Content-Type", "text/xml; charset=UTF-8"),
                Body::of(shared.journal().rss().into_bytes()),
            );
        }
        _ => {}
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return text(405, "only GET and HEAD\n");
    }
    let catalog = shared.catalog();
    let no_metadata = faults.contains(&Fault::NoMetadata);
    if let Some(name) = request.path.strip_prefix("/files/") {
        let plain = name.strip_suffix(".metadata");
        let wanted = plain.unwrap_or(name);
        let Some(file) = catalog.values().flatten().find(|file| file.filename == wanted) else {
            return text(404, "no such file\n");
        };
        let head = Head::new(200).with("Content-Type", "application/octet-stream");
        return match (plain, &file.metadata) {
            (None, _) => (head, Body::shared(Arc::clone(&file.bytes))),
            (Some(_), Some(metadata)) if !no_metadata => {
                let mut body = Body::shared(Arc::clone(metadata));
                body.length = file.huge_metadata.unwrap_or(body.length);
                (head, body)
            }
            (Some(_), _) => text(404, "no metadata beside it\n"),
        };
    }
    let wants_json = request
        .header("accept")
        .is_some_and(|accept| accept.contains(JSON));
    let json = wants_json && !faults.contains(&Fault::NoJson);
    let page = |text: String| {
        (
            Head::new(200).with("Content-Type", if json { JSON } else { "text/html" }),
            Body::of(text.into_bytes()),
        )
    };
    let journal = shared.journal();
    let serials = |project: &str| (!faults.contains(&Fault::NoSerials)).then(|| journal.of(project));
    match request.path.strip_prefix("/simple/") {
        Some("") => page(root(&catalog, json, &serials)),
        Some(path) => {
            let name = path.trim_end_matches('/');
            let project = normalised(name);
            match catalog.get(&project) {
                None => text(404, "no such project\n"),
                Some(_) if name != project || !path.ends_with('/') => {
                    let (head, body) = text(301, "it is elsewhere\n");
                    (head.with("Location", format!("/simple/{project}/")), body)
                }
                Some(files) => {
                    let quarantined = shared.quarantined().contains(&project);
                    let files = if quarantined { &[] } else { files.as_slice() };
                    let meta = Meta {
                        serial: serials(&project),
                        quarantined,
                        no_metadata,
                    };
                    page(project_page(&project, files, json, &meta))
                }
            }
        }
        None => text(404, "nothing here\n"),
    }
}

/// What a page says beside its files.
struct Meta {
    serial: Option<u64>,
    quarantined: bool,
    no_metadata: bool,
}

fn root(catalog: &Catalog, json: bool, serials: &dyn Fn(&str) -> Option<u64>) -> String {
    if json {
        let projects: Vec<_> = catalog
            .keys()
            .map(|name| serde_json::json!({ "name": name, "_last-serial": serials(name) }))
            .collect();
        return serde_json::json!({ "meta": { "api-version": "1.1" }, "projects": projects }).to_string();
    }
    let mut html = "<!DOCTYPE html>\n<html><body>\n".to_owned();
    for name in catalog.keys() {
        let _ = writeln!(html, "<a href=\"/simple/{name}/\">{name}</a><br/>");
    }
    html + "</body></html>\n"
}

fn project_page(project: &str, files: &[Served], json: bool, meta: &Meta) -> String {
    let metadata = |file: &Served| {
        file.metadata
            .as_ref()
            .filter(|_| !meta.no_metadata)
            .map(|bytes| hex(bytes))
    };
    if json {
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                // the hash of metadata that never ends is nobody's to know
                let metadata = match metadata(file) {
                    Some(_) if file.huge_metadata.is_some() => serde_json::json!(true),
                    Some(sha256) => serde_json::json!({ "sha256": sha256 }),
                    None => serde_json::json!(false),
                };
                serde_json::json!({
                    "filename": file.filename,
                    "url": format!("/files/{}", file.filename),
                    "hashes": { "sha256": file.sha256 },
                    "size": file.bytes.len(),
                    "upload-time": file.uploaded,
                    "requires-python": file.requires_python,
                    "yanked": file.yanked.as_ref().map_or(serde_json::json!(false), |why| serde_json::json!(why)),
                    "core-metadata": metadata,
                })
            })
            .collect();
        let mut page =
            serde_json::json!({ "meta": { "api-version": "1.1" }, "name": project, "files": files });
        if let Some(serial) = meta.serial {
            page["meta"]["_last-serial"] = serial.into();
        }
        if meta.quarantined {
            page["project-status"] = serde_json::json!({ "status": "quarantined", "reason": "on purpose" });
        }
        return page.to_string();
    }
    let mut html = format!("<!DOCTYPE html>\n<html><head><title>{project}</title></head><body>\n");
    for file in files {
        let _ = write!(
            html,
            "<a href=\"/files/{}#sha256={}\"",
            file.filename, file.sha256
        );
        if let Some(python) = &file.requires_python {
            let _ = write!(html, " data-requires-python=\"{}\"", escaped(python));
        }
        if let Some(why) = &file.yanked {
            let _ = write!(html, " data-yanked=\"{}\"", escaped(why));
        }
        match metadata(file) {
            Some(_) if file.huge_metadata.is_some() => html.push_str(" data-core-metadata=\"true\""),
            Some(sha256) => {
                let _ = write!(html, " data-core-metadata=\"sha256={sha256}\"");
            }
            None => {}
        }
        let _ = writeln!(html, ">{}</a><br/>", file.filename);
    }
    html + "</body></html>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Sends an answer, as far as the faults let it.
fn send(
    shared: &Shared,
    stream: &mut TcpStream,
    request: &Request,
    faults: &[Fault],
    mut head: Head,
    body: &Body,
) -> io::Result<()> {
    let mut length = body.length;
    let (mut cut, mut pace, mut wrong) = (u64::MAX, None, false);
    for fault in faults {
        match fault {
            Fault::Huge { bytes } => length = length.max(*bytes),
            Fault::Truncate { after } => cut = *after,
            Fault::Slow { bytes_per_second } => pace = Some((*bytes_per_second).max(1)),
            Fault::WrongHash => wrong = true,
            _ => {}
        }
    }
    let (mut start, mut end) = (0, length);
    if head.status == 200 {
        if !faults.contains(&Fault::NoEtag) {
            let etag = format!("\"{}-{length}\"", &hex(&body.bytes)[..16]);
            if request.header("if-none-match") == Some(etag.as_str()) {
                return Head::new(304).with("ETag", etag).send(stream, 0);
            }
            head = head.with("ETag", etag);
        }
        if !faults.contains(&Fault::NoRanges) && request.path.starts_with("/files/") {
            head = head.with("Accept-Ranges", "bytes");
            if let Some((first, after)) = request.range(length) {
                (start, end, head.status) = (first, after, 206);
                head = head.with("Content-Range", format!("bytes {first}-{}/{length}", after - 1));
            } else if request.header("range").is_some() {
                return Head::new(416)
                    .with("Content-Range", format!("bytes */{length}"))
                    .send(stream, 0);
            }
        }
    }
    head.send(stream, end - start)?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let flipped = body.bytes.len() as u64 / 2;
    let stop = end.min(start.saturating_add(cut));
    let chunk = pace.map_or(CHUNK as u64, |pace| (pace / 10).max(1));
    while start < stop && !shared.is_stopping() {
        let upto = stop.min(start + chunk);
        let mut piece: Vec<u8> = Vec::with_capacity(CHUNK);
        let known = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.bytes.len());
        piece.extend(&body.bytes[known(start)..known(upto)]);
        piece.resize(usize::try_from(upto - start).unwrap_or(CHUNK), b' ');
        if wrong && (start..upto).contains(&flipped) {
            piece[usize::try_from(flipped - start).unwrap_or_default()] ^= 1;
        }
        stream.write_all(&piece)?;
        start = upto;
        if pace.is_some() {
            shared.sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// The project of a wheel's or sdist's file name.
fn project_of(filename: &str) -> Option<String> {
    let stem = filename
        .strip_suffix(".tar.gz")
        .or_else(|| filename.strip_suffix(".zip"));
    let name = match stem {
        Some(stem) => stem.rsplit_once('-')?.0,
        None => filename.strip_suffix(".whl")?.split('-').next()?,
    };
    Some(normalised(name))
}

/// The version in a wheel's or sdist's file name.
fn version_of(filename: &str) -> Option<String> {
    let stem = filename
        .strip_suffix(".tar.gz")
        .or_else(|| filename.strip_suffix(".zip"));
    let version = match stem {
        Some(stem) => stem.rsplit_once('-')?.1,
        None => filename.strip_suffix(".whl")?.split('-').nth(1)?,
    };
    Some(version.to_owned())
}

/// A project's name as PEP 503 normalises it.
fn normalised(name: &str) -> String {
    name.split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .to_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
