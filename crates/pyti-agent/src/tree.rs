//! Copying a layer's files out of the job's memory.

use std::fs::{self, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

/// Copies folders, files, links, modes and times. Byte code stays valid, because it names its source's time.
/// Anything else (pipes, devices, sockets) is left out: an environment has none.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            let metadata = fs::metadata(&source)?;
            let file = fs::File::options().write(true).open(&target)?;
            file.set_times(FileTimes::new().set_modified(metadata.modified()?))?;
            fs::set_permissions(&target, Permissions::from_mode(metadata.mode() & 0o755))?;
        }
    }
    let metadata = fs::metadata(from)?;
    fs::set_permissions(to, Permissions::from_mode(metadata.mode() & 0o755 | 0o700))
}

/// Marks a copy as complete; the cache takes nothing without the mark.
pub(crate) fn complete(folder: &Path) -> io::Result<()> {
    if folder.join("home").is_dir() {
        Ok(())
    } else {
        Err(io::Error::other("the environment has no home"))
    }
}
