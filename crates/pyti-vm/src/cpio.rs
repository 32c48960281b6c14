//! The archive that a kernel unpacks into its first root: cpio in the form "newc". Pure.
//!
//! The same entries give the same bytes: inode numbers count up, times are zero, everything is root's.
//! Source: `Documentation/driver-api/early-userspace/buffer-format.rst` of Linux.

/// Writes such an archive.
#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const DEVICE: u32 = 0o020_600;

impl Cpio {
    /// A folder.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// A file with these permissions.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, FILE | (mode & 0o7777), (0, 0), content);
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, DEVICE, (major, minor), &[]);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.pad(512);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let path = path.trim_start_matches('/');
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(b"070701");
        // inode, mode, uid, gid, links, mtime, size, device of the file, device itself, length of the name, checksum
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name,
            0,
        ];
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
    }

    fn pad(&mut self, to: usize) {
        let size = self.bytes.len().next_multiple_of(to);
        self.bytes.resize(size, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn skipped(what: &str) {
        eprintln!("\n!!! SKIPPED: {what}\n");
    }

    fn sample() -> Vec<u8> {
        let mut cpio = Cpio::default();
        cpio.folder("/dev");
        cpio.device("/dev/console", 5, 1);
        cpio.file("/init", 0o755, b"#!/bin/true\n");
        cpio.file("/empty", 0o644, b"");
        cpio.finish()
    }

    #[test]
    fn an_archive_has_its_form_and_is_the_same_each_time() {
        let bytes = sample();
        assert_eq!(bytes, sample());
        assert_eq!(bytes.len() % 512, 0);
        assert!(bytes.starts_with(b"070701"));
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 5);
        let at = text.find("init\0").unwrap();
        assert_eq!((at + 5).next_multiple_of(4), text.find("#!/bin/true").unwrap());
    }

    #[test]
    fn cpio_itself_reads_it() {
        let Ok(mut child) = Command::new("cpio")
            .args(["-it", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            skipped("cpio_itself_reads_it: there is no cpio here");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "dev\ndev/console\ninit\nempty\n"
        );
    }
}
