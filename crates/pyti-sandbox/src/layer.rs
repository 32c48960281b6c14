//! Layers: what a command changed, as a folder.
//!
//! A layer's folder is an overlay's *upper*: files as they are, deleted ones as character devices 0:0, replaced
//! folders with the attribute `user.overlay.opaque`. Both stores keep this one form:
//!
//! * [`StoreKind::Overlay`] mounts the layers as an overlay (`userxattr` on tmpfs: Linux 6.6);
//! * [`StoreKind::Copy`] copies them into one folder, notes what is there, and afterwards keeps what differs.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink,
};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::enter::c_path;
use crate::later::later;
use crate::sys;

/// How layers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// By the kernel.
    Overlay,
    /// By copying.
    Copy,
}

impl StoreKind {
    /// The word, for the records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Copy => "copy",
        }
    }
}

/// What a command changed, or files that were given. The files go when the last clone is dropped.
#[derive(Clone)]
pub struct Layer {
    inner: Arc<Slot>,
}

/// One folder below `/layers`, with a memory file system of its own when it has a size.
pub(crate) struct Slot {
    folder: PathBuf,
    mounted: bool,
}

impl Layer {
    pub(crate) fn new(slot: Slot) -> Self {
        Self {
            inner: Arc::new(slot),
        }
    }

    /// Its files, as the agent sees them.
    pub fn path(&self) -> PathBuf {
        self.inner.upper()
    }
}

impl Slot {
    /// A slot with a limit on bytes and files.
    pub(crate) fn sized(bytes: u64, inodes: u64) -> io::Result<Self> {
        let mut slot = Self::plain()?;
        let options =
            CString::new(format!("size={bytes},nr_inodes={inodes},mode=0755")).map_err(io::Error::other)?;
        sys::mount(
            c"pyti",
            &c_path(&slot.folder)?,
            c"tmpfs",
            libc::MS_NOSUID | libc::MS_NODEV,
            &options,
        )?;
        slot.mounted = true;
        slot.folders()?;
        Ok(slot)
    }

    /// A slot in the job's own memory.
    pub(crate) fn plain() -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let folder = PathBuf::from(format!("/layers/{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder)?;
        let slot = Self {
            folder,
            mounted: false,
        };
        slot.folders()?;
        Ok(slot)
    }

    fn folders(&self) -> io::Result<()> {
        for name in ["upper", "work", "root"] {
            let folder = self.folder.join(name);
            if !folder.exists() {
                fs::DirBuilder::new().mode(0o755).create(folder)?;
            }
        }
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Bytes and files in use.
    pub(crate) fn usage(&self) -> Option<(u64, u64, u64, u64)> {
        let path = c_path(&self.folder).ok()?;
        // SAFETY: the structure is filled in by the call, and read only after success
        unsafe {
            let mut stat: libc::statvfs = std::mem::zeroed();
            (libc::statvfs(path.as_ptr(), &raw mut stat) == 0).then(|| {
                let size = stat.f_frsize;
                (
                    (stat.f_blocks - stat.f_bfree) * size,
                    stat.f_bavail * size,
                    stat.f_files - stat.f_ffree,
                    stat.f_ffree,
                )
            })
        }
    }
}

impl Drop for Slot {
    /// Everything here is memory of the job: what cannot be removed goes with the job. Nobody waits for it.
    fn drop(&mut self) {
        let (folder, mounted) = (std::mem::take(&mut self.folder), self.mounted);
        later(move || {
            if mounted && let Ok(path) = c_path(&folder) {
                let _ = sys::detach(&path);
            }
            let _ = fs::remove_dir_all(&folder);
        });
    }
}

/// Tries an overlay as commands will have it, in a user namespace's own mount.
pub(crate) fn overlay_works() -> bool {
    let base = Path::new("/layers/probe");
    let attempt = || -> io::Result<()> {
        for name in ["lower/d", "upper", "work", "root"] {
            fs::create_dir_all(base.join(name))?;
        }
        std::fs::write(base.join("lower/d/f"), b"x")?;
        let data =
            c"lowerdir=/layers/probe/lower,upperdir=/layers/probe/upper,workdir=/layers/probe/work,userxattr";
        let root = c_path(&base.join("root"))?;
        sys::mount(c"overlay", &root, c"overlay", 0, data)?;
        let result =
            fs::remove_dir_all(base.join("root/d")).and_then(|()| fs::create_dir(base.join("root/d")));
        sys::detach(&root)?;
        result
    };
    let works = attempt().is_ok();
    let _ = fs::remove_dir_all(base);
    works
}

/// Copies a stack of layers, newest first, into one folder.
pub(crate) fn merge(lowers: &[PathBuf], into: &Path) -> io::Result<()> {
    for lower in lowers.iter().rev() {
        lay(lower, into)?;
    }
    Ok(())
}

fn lay(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata()?;
        let there = fs::symlink_metadata(&target).ok();
        if is_whiteout(&metadata) {
            remove(&target, there.as_ref())?;
            continue;
        }
        let stays =
            metadata.is_dir() && there.as_ref().is_some_and(fs::Metadata::is_dir) && !is_opaque(&source);
        if !stays {
            remove(&target, there.as_ref())?;
        }
        place(&source, &target, &metadata)?;
        if metadata.is_dir() {
            lay(&source, &target)?;
            set_time(&target, &metadata)?;
        }
    }
    Ok(())
}

/// Makes one entry like another; folders without what is in them.
fn place(source: &Path, target: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        if !target.is_dir() {
            fs::create_dir(target)?;
        }
        fs::set_permissions(
            target,
            fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o700),
        )
    } else if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)
    } else if kind.is_file() {
        fs::copy(source, target)?;
        set_time(target, metadata)
    } else if kind.is_fifo() {
        let path = c_path(target)?;
        // SAFETY: the path ends with a zero
        sys::check(libc::c_long::from(unsafe { libc::mkfifo(path.as_ptr(), 0o644) })).map(|_| ())
    } else {
        // a socket or device means nothing without its process
        Ok(())
    }
}

fn set_time(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    File::open(path)?.set_times(fs::FileTimes::new().set_modified(metadata.modified()?))
}

fn remove(path: &Path, there: Option<&fs::Metadata>) -> io::Result<()> {
    match there {
        None => Ok(()),
        Some(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Some(_) => fs::remove_file(path),
    }
}

/// What a folder held, so that it can be told later what changed.
pub(crate) struct Manifest {
    entries: std::collections::BTreeMap<PathBuf, Mark>,
}

#[derive(PartialEq, Eq)]
struct Mark {
    kind: u32,
    inode: u64,
    size: u64,
    mode: u32,
    changed: (i64, i64),
}

impl Mark {
    fn of(metadata: &fs::Metadata) -> Self {
        let folder = metadata.is_dir();
        Self {
            kind: metadata.mode() & libc::S_IFMT,
            inode: if folder { 0 } else { metadata.ino() },
            size: if folder { 0 } else { metadata.size() },
            mode: metadata.mode() & 0o7777,
            // a folder's own times change with what is in it
            changed: if folder {
                (0, 0)
            } else {
                (metadata.ctime(), metadata.ctime_nsec())
            },
        }
    }
}

impl Manifest {
    /// Notes everything below a folder.
    pub(crate) fn note(root: &Path) -> io::Result<Self> {
        let mut entries = std::collections::BTreeMap::new();
        note(root, Path::new(""), &mut entries)?;
        Ok(Self { entries })
    }

    /// Moves what differs from this into `upper`, in a layer's form.
    pub(crate) fn keep_changes(&self, root: &Path, upper: &Path) -> io::Result<()> {
        let now = Self::note(root)?;
        for (path, mark) in &now.entries {
            let before = self.entries.get(path);
            if before == Some(mark) {
                continue;
            }
            let target = upper.join(path);
            parents(root, upper, path)?;
            let source = root.join(path);
            let metadata = fs::symlink_metadata(&source)?;
            if metadata.is_dir() {
                place(&source, &target, &metadata)?;
                let replaced = before.is_some_and(|b| b.kind != mark.kind);
                if replaced {
                    make_opaque(&target)?;
                }
            } else if fs::rename(&source, &target).is_err() {
                place(&source, &target, &metadata)?;
            }
        }
        for path in self.entries.keys() {
            // what went with its folder, or with the folder's turning into a file, needs no mark of its own
            let folder = |mark: &Mark| mark.kind == libc::S_IFDIR;
            let parent_stays = path
                .parent()
                .is_none_or(|p| p == Path::new("") || now.entries.get(p).is_some_and(folder));
            if !now.entries.contains_key(path) && parent_stays {
                parents(root, upper, path)?;
                whiteout(&upper.join(path))?;
            }
        }
        Ok(())
    }
}

fn note(
    root: &Path,
    relative: &Path,
    into: &mut std::collections::BTreeMap<PathBuf, Mark>,
) -> io::Result<()> {
    for entry in fs::read_dir(root.join(relative))? {
        let entry = entry?;
        let path = relative.join(entry.file_name());
        let metadata = entry.metadata()?;
        let folder = metadata.is_dir();
        into.insert(path.clone(), Mark::of(&metadata));
        if folder {
            note(root, &path, into)?;
        }
    }
    Ok(())
}

/// Makes the folders above a path in the layer, as they are in the root.
fn parents(root: &Path, upper: &Path, path: &Path) -> io::Result<()> {
    let mut done = PathBuf::new();
    for part in path.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(part) = part else { continue };
        done.push(part);
        let target = upper.join(&done);
        if fs::symlink_metadata(&target).is_err() {
            fs::create_dir(&target)?;
            if let Ok(metadata) = fs::symlink_metadata(root.join(&done)) {
                fs::set_permissions(
                    &target,
                    fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o700),
                )?;
            }
        }
    }
    Ok(())
}

/// Whether an entry of a layer says that something was deleted.
pub(crate) fn is_whiteout(metadata: &fs::Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn whiteout(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the path ends with a zero
    sys::check(libc::c_long::from(unsafe {
        libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, 0)
    }))
    .map(|_| ())
}

/// Whether a folder of a layer hides the same folder of the layers below.
pub(crate) fn is_opaque(folder: &Path) -> bool {
    let Ok(path) = c_path(folder) else { return false };
    let mut value = [0u8; 4];
    // SAFETY: the buffer is as long as it is said to be
    let read = unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            c"user.overlay.opaque".as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    read == 1 && value[0] == b'y'
}

fn make_opaque(folder: &Path) -> io::Result<()> {
    let path = c_path(folder)?;
    // SAFETY: the value is one byte long
    let set = unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            c"user.overlay.opaque".as_ptr(),
            c"y".as_ptr().cast(),
            1,
            0,
        )
    };
    match sys::check(libc::c_long::from(set)) {
        // a tmpfs before 6.6 has no such attributes; what was below was removed by name then
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Names in a path that a layer may hold: no parent, nothing absolute.
pub(crate) fn inside(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => out.push(part),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}
