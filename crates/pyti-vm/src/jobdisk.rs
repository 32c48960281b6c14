//! The read-only disk of one job: files that are known when it begins, at the places where its agent will see them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::qemu::JOB_DISK;

/// The package that has the program.
pub const PACKAGE: &str = "erofs-utils";

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The program is missing.
    #[error("there is no mkfs.erofs here: install the package {PACKAGE}")]
    Program,
    /// It failed.
    #[error("mkfs.erofs failed: {0}")]
    Failed(String),
    /// A file cannot be read or written.
    #[error("cannot make the job's disk")]
    File(#[from] io::Error),
    /// The files are more than a disk holds.
    #[error("the job's files are bigger than {} bytes", JOB_DISK)]
    TooBig,
}

/// Makes a disk of files: each from a place of this machine to a place on the disk.
pub fn make(scratch: &Path, files: &[(PathBuf, String)]) -> Result<PathBuf, DiskError> {
    let folder = scratch.join("job");
    fs::create_dir(&folder)?;
    let mut size = 0;
    for (from, to) in files {
        let to = folder.join(to.trim_start_matches('/'));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        // the same file system gives a second name, another one a copy
        if fs::hard_link(from, &to).is_err() {
            fs::copy(from, &to)?;
        }
        size += fs::metadata(&to)?.len();
    }
    if size >= JOB_DISK {
        return Err(DiskError::TooBig);
    }
    let disk = scratch.join("job.erofs");
    let output = Command::new("mkfs.erofs")
        .args(["--quiet", "--all-root"])
        .arg(&disk)
        .arg(&folder)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DiskError::Program),
        other => other?,
    };
    if !output.status.success() {
        return Err(DiskError::Failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    // as big as the one that a template saw
    File::options().write(true).open(&disk)?.set_len(JOB_DISK)?;
    fs::remove_dir_all(&folder)?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn skipped(what: &str) {
        eprintln!("\n!!! SKIPPED: {what}\n");
    }

    #[test]
    fn a_disk_holds_its_files_and_has_the_size_of_all() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("x");
        fs::write(&file, "hello").unwrap();
        match make(scratch.path(), &[(file, "/cache/aa/x".to_owned())]) {
            Ok(disk) => {
                assert_eq!(fs::metadata(&disk).unwrap().len(), JOB_DISK);
                let mut head = vec![0; 2048];
                io::Read::read_exact(&mut File::open(&disk).unwrap(), &mut head).unwrap();
                // the magic number of erofs, at 1024
                assert_eq!(head[1024..1028], 0xE0F5_E1E2_u32.to_le_bytes());
            }
            Err(DiskError::Program) => {
                skipped("a_disk_holds_its_files: there is no mkfs.erofs here");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
