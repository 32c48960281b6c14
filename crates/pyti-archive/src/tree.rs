//! The tree that an archive becomes: what may be written is decided here, whatever the format.
//!
//! Files are created only below folders that were created here, so nothing is ever written through a link. Links
//! are remembered, and made at the very end: only those that stay inside, wherever their chain leads.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyti_model::Foreign;
use pyti_model::raw::{RefusedEntry, Unpack};

use crate::limits::Limits;
use crate::name::EntryPath;

/// 1980-01-02: zip, and so every wheel that is built from the tree, knows no earlier day.
const EARLIEST: u64 = 315_619_200;
/// 2107-01-01: nor a much later one.
const LATEST: u64 = 4_323_369_600;
/// Links that are followed one after the other; what Linux does.
const HOPS: usize = 40;

/// Why the whole archive is unusable.
#[derive(Debug)]
pub(crate) struct Fatal(pub(crate) String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Folder,
    File,
    Link(Vec<u8>),
}

/// A tree that is being written.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    /// Where entries are written until all is there.
    staging: PathBuf,
    destination: PathBuf,
    limits: &'a Limits,
    nodes: HashMap<EntryPath, Node>,
    folded: HashMap<Vec<u8>, EntryPath>,
    links: Vec<EntryPath>,
    entries: u64,
    report: Unpack,
}

impl<'a> Tree<'a> {
    /// Starts a tree that will be the content of `destination`, which is made when it is not there.
    pub(crate) fn new(destination: &Path, limits: &'a Limits) -> io::Result<Self> {
        fs::create_dir_all(destination)?;
        let staging = (0..100)
            .map(|n| destination.join(format!(".unpacking-{}-{n}", std::process::id())))
            .find(|path| fs::create_dir(path).is_ok())
            .ok_or_else(|| io::Error::other("no folder can be made in it"))?;
        Ok(Self {
            staging,
            destination: destination.to_owned(),
            limits,
            nodes: HashMap::new(),
            folded: HashMap::new(),
            links: Vec::new(),
            entries: 0,
            report: Unpack::default(),
        })
    }

    /// Counts one more entry, of any kind.
    pub(crate) fn count(&mut self) -> Result<(), Fatal> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Fatal(format!("more than {} entries", self.limits.entries)));
        }
        Ok(())
    }

    /// Remembers an entry that is not unpacked.
    pub(crate) fn refuse(&mut self, name: &[u8], why: impl Into<String>) {
        self.report.refused_total += 1;
        self.note(name, why);
    }

    /// Remembers something odd about an entry that was unpacked all the same.
    fn note(&mut self, name: &[u8], why: impl Into<String>) {
        if self.report.refused.len() < Limits::LISTED {
            let shown = &name[..name.len().min(1024)];
            self.report.refused.push(RefusedEntry {
                name: Foreign::new(shown),
                why: why.into(),
            });
        }
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, name: &[u8]) -> Result<(), Fatal> {
        match EntryPath::parse(name, self.limits) {
            Err(why) => self.refuse(name, why),
            Ok(None) => {}
            Ok(Some(path)) => match self.make_folders(path.parents().chain([path.clone()])) {
                Ok(()) => {}
                Err(Stop::Refuse(why)) => self.refuse(name, why),
                Err(Stop::Fatal(fatal)) => return Err(fatal),
            },
        }
        Ok(())
    }

    /// Adds a file of `size` bytes from `content`. Too few bytes are fatal: the archive was cut.
    pub(crate) fn file(&mut self, name: &[u8], new: &NewFile, content: &mut dyn Read) -> Result<(), Fatal> {
        if new.size > self.limits.file_bytes {
            let (size, cap) = (new.size, self.limits.file_bytes);
            return Err(Fatal(format!(
                "{} has {size} bytes, more than {cap}",
                Foreign::new(name).visible()
            )));
        }
        match self.try_file(name, new, content) {
            Ok(()) => Ok(()),
            Err(Stop::Refuse(why)) => {
                self.refuse(name, why);
                Ok(())
            }
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }

    fn try_file(&mut self, name: &[u8], new: &NewFile, content: &mut dyn Read) -> Result<(), Stop> {
        let path = self.claim(name)?;
        let target = path.under(&self.staging);
        let shown = || Foreign::new(name).visible();
        let mut file = create(&target, new.executable)
            .map_err(|e| Stop::Fatal(Fatal(format!("{} cannot be written: {e}", shown()))))?;
        let copied = copy(content, &mut file, new.size).map_err(|e| match e {
            CopyError::Read(e) => Stop::Fatal(Fatal(format!("{} cannot be read: {e}", shown()))),
            CopyError::Write(e) => Stop::Fatal(Fatal(format!("{} cannot be written: {e}", shown()))),
        })?;
        if copied != new.size {
            return Err(Stop::Fatal(Fatal(format!(
                "the archive ends within {}: {copied} of {} bytes",
                shown(),
                new.size
            ))));
        }
        if let Some(seconds) = new.modified {
            // only a convenience for build tools that compare times
            let _ = file.set_modified(clamped(seconds));
        }
        self.nodes.insert(path, Node::File);
        self.report.files += 1;
        self.report.bytes += copied;
        if self.report.bytes > self.limits.total_bytes {
            return Err(Stop::Fatal(Fatal(format!(
                "more than {} bytes of files",
                self.limits.total_bytes
            ))));
        }
        Ok(())
    }

    /// Adds a symbolic link; whether it stays inside is decided when all is known.
    pub(crate) fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Fatal> {
        let wrong = if target.is_empty() || target.contains(&0) || target.len() > self.limits.name_bytes {
            Some("a link to what is no path")
        } else if target.starts_with(b"/") {
            Some("a link to an absolute path")
        } else {
            None
        };
        if let Some(why) = wrong {
            self.refuse(name, why);
            return Ok(());
        }
        match self.claim(name) {
            Ok(path) => {
                self.nodes.insert(path.clone(), Node::Link(target.to_vec()));
                self.links.push(path);
                Ok(())
            }
            Err(Stop::Refuse(why)) => {
                self.refuse(name, why);
                Ok(())
            }
            Err(Stop::Fatal(fatal)) => Err(fatal),
        }
    }

    /// Adds a hard link, as a copy of a file that the archive has already given.
    pub(crate) fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Fatal> {
        let source = match EntryPath::parse(target, self.limits) {
            Ok(Some(path)) if self.nodes.get(&path) == Some(&Node::File) => path.under(&self.staging),
            Ok(_) => {
                self.refuse(name, "a hard link to what is no file of the archive");
                return Ok(());
            }
            Err(why) => {
                self.refuse(name, format!("a hard link out of the archive: {why}"));
                return Ok(());
            }
        };
        let opened = File::open(&source).and_then(|file| Ok((file.metadata()?, file)));
        let (meta, mut content) = opened.map_err(|e| {
            Fatal(format!(
                "{} cannot be read again: {e}",
                Foreign::new(target).visible()
            ))
        })?;
        let executable = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o100 != 0;
        self.file(
            name,
            &NewFile {
                size: meta.len(),
                executable,
                modified: None,
            },
            &mut content,
        )
    }

    /// Checks a name, and makes the folders above it.
    fn claim(&mut self, name: &[u8]) -> Result<EntryPath, Stop> {
        let path = EntryPath::parse(name, self.limits)
            .and_then(|path| path.ok_or_else(|| "it has no name".to_owned()))
            .map_err(Stop::Refuse)?;
        if let Some(node) = self.nodes.get(&path) {
            return Err(Stop::Refuse(match node {
                Node::Folder => "duplicate name: it is a folder already".into(),
                Node::File | Node::Link(_) => "duplicate name: the first one was kept".into(),
            }));
        }
        self.make_folders(path.parents())?;
        self.watch_case(&path);
        Ok(path)
    }

    fn make_folders(&mut self, folders: impl Iterator<Item = EntryPath>) -> Result<(), Stop> {
        for folder in folders {
            match self.nodes.get(&folder) {
                Some(Node::Folder) => continue,
                Some(Node::File) => return Err(Stop::Refuse("it lies below what is a file".into())),
                Some(Node::Link(_)) => return Err(Stop::Refuse("it would be written through a link".into())),
                None => {}
            }
            // folders that entries imply count too: deep names would make more of them than entries are allowed
            if self.nodes.len() as u64 >= self.limits.entries.saturating_mul(2) {
                return Err(Stop::Fatal(Fatal(format!(
                    "more than {} folders and files",
                    self.nodes.len()
                ))));
            }
            fs::create_dir(folder.under(&self.staging)).map_err(|e| {
                let shown = Foreign::new(folder.bytes()).visible();
                Stop::Fatal(Fatal(format!("folder {shown} cannot be made: {e}")))
            })?;
            self.watch_case(&folder);
            self.nodes.insert(folder, Node::Folder);
        }
        Ok(())
    }

    /// Notes two names that are one where case is ignored. Linux keeps both, and so do we.
    fn watch_case(&mut self, path: &EntryPath) {
        let other = self
            .folded
            .entry(path.folded())
            .or_insert_with(|| path.clone())
            .clone();
        if other != *path {
            let why = format!(
                "unpacked, but it differs only in case from {}",
                Foreign::new(other.bytes()).visible()
            );
            self.note(&path.bytes(), why);
        }
    }

    /// Makes the links, moves everything to its destination, and reports.
    pub(crate) fn finish(mut self) -> Unpack {
        let root = self.single_top();
        self.make_links(usize::from(root.is_some()));
        let source = root.as_ref().map_or_else(
            || self.staging.clone(),
            |top| self.staging.join(OsStr::from_bytes(top)),
        );
        if let Err(error) = move_content(&source, &self.destination) {
            self.report.fatal = Some(format!("the tree cannot be moved to its place: {error}").into());
        }
        self.report.root = root.map(Foreign::new);
        self.discard_staging();
        self.report
    }

    /// Gives up: nothing of the archive stays.
    pub(crate) fn abandon(mut self, fatal: &Fatal) -> Unpack {
        self.discard_staging();
        self.report.fatal = Some(Foreign::from(fatal.0.as_str()));
        self.report
    }

    fn discard_staging(&self) {
        // what is left over lies in the box's layer, and ends with it
        let _ = fs::remove_dir_all(&self.staging);
    }

    /// The one folder at the top. Beside it only leftovers of packers are allowed; they are dropped.
    fn single_top(&mut self) -> Option<Vec<u8>> {
        let tops: HashSet<&[u8]> = self.nodes.keys().map(EntryPath::top).collect();
        let (leftovers, others): (Vec<&[u8]>, Vec<&[u8]>) = tops
            .into_iter()
            .partition(|top| top.starts_with(b"._") || *top == b"pax_global_header");
        let [only] = others[..] else { return None };
        let is = |top: &[u8], node: &Node| {
            self.nodes.get(&EntryPath::from_components(&[top.to_vec()])) == Some(node)
        };
        if !is(only, &Node::Folder) || !leftovers.iter().all(|top| is(top, &Node::File)) {
            return None;
        }
        let only = only.to_vec();
        let mut leftovers: Vec<Vec<u8>> = leftovers.into_iter().map(<[u8]>::to_vec).collect();
        leftovers.sort();
        for name in &leftovers {
            self.refuse(name, "it lies beside the one folder of the archive");
            self.report.files = self.report.files.saturating_sub(1);
            if let Ok(meta) = fs::symlink_metadata(self.staging.join(OsStr::from_bytes(name))) {
                self.report.bytes = self.report.bytes.saturating_sub(meta.len());
            }
        }
        Some(only)
    }

    fn make_links(&mut self, base: usize) {
        for path in std::mem::take(&mut self.links) {
            let Some(Node::Link(target)) = self.nodes.get(&path).cloned() else {
                continue;
            };
            match self.leads(&path, base) {
                Leads::Inside => {
                    let made =
                        std::os::unix::fs::symlink(OsStr::from_bytes(&target), path.under(&self.staging));
                    if let Err(error) = made {
                        self.refuse(&path.bytes(), format!("the link cannot be made: {error}"));
                    }
                }
                Leads::Outside => self.refuse(&path.bytes(), "a link that leads out of the archive"),
                Leads::Nowhere => self.refuse(&path.bytes(), "a link that leads round in a circle"),
            }
        }
    }

    /// Where a link leads, through other links too. `base` components at the top cannot be climbed above.
    fn leads(&self, link: &EntryPath, base: usize) -> Leads {
        let (_, parents) = link.components().split_last().unwrap_or((&EMPTY, &[]));
        let mut here: Vec<Vec<u8>> = parents.to_vec();
        let mut ahead: Vec<Vec<u8>> = vec![link.components().last().cloned().unwrap_or_default()];
        let mut hops = 0;
        if here.len() < base {
            return Leads::Outside;
        }
        while let Some(step) = ahead.pop() {
            match &step[..] {
                b"" | b"." => {}
                b".." if here.len() <= base => return Leads::Outside,
                b".." => {
                    here.pop();
                }
                _ => {
                    here.push(step);
                    let Some(Node::Link(target)) = self.nodes.get(&EntryPath::from_components(&here)) else {
                        continue;
                    };
                    here.pop();
                    hops += 1;
                    if hops > HOPS || ahead.len() > 10_000 {
                        return Leads::Nowhere;
                    }
                    ahead.extend(target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                }
            }
        }
        Leads::Inside
    }
}

static EMPTY: Vec<u8> = Vec::new();

enum Leads {
    Inside,
    Outside,
    Nowhere,
}

enum Stop {
    Refuse(String),
    Fatal(Fatal),
}

/// A file that an entry wants to become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewFile {
    /// Bytes, as the entry says.
    pub(crate) size: u64,
    /// Whether it may be executed; no other bit of its mode is kept.
    pub(crate) executable: bool,
    /// Seconds since 1970 when it was changed last.
    pub(crate) modified: Option<u64>,
}

fn create(path: &Path, executable: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if executable { 0o755 } else { 0o644 })
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies at most `size` bytes, and tells a source that cannot be read from a disk that is full.
fn copy(from: &mut dyn Read, to: &mut File, size: u64) -> Result<u64, CopyError> {
    let mut buffer = vec![0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = match from.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(CopyError::Read(e)),
        };
        to.write_all(&buffer[..got]).map_err(CopyError::Write)?;
        left -= got as u64;
    }
    Ok(size - left)
}

fn clamped(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.clamp(EARLIEST, LATEST))
}

/// Moves what `source` holds into `destination`; nothing that is there already is replaced.
fn move_content(source: &Path, destination: &Path) -> io::Result<()> {
    let mut names = fs::read_dir(source)?
        .map(|entry| entry.map(|e| e.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let to = destination.join(&name);
        // also when it has the name of the staging folder
        if fs::symlink_metadata(&to).is_ok() {
            let shown = Foreign::new(name.into_vec()).visible();
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{shown} is there already"),
            ));
        }
        fs::rename(source.join(&name), to)?;
    }
    Ok(())
}
