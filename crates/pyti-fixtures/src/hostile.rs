//! sdists that are not what they should be. Small, and harmless to who refuses them.

use crate::pack::{Tar, gzip};

/// The one that is about a wheel.
pub(crate) const LYING_RECORD: &str = "lying-record";

/// Ends an honest sdist in a hostile way. Nothing when `kind` is unknown.
pub(crate) fn finish(kind: &str, stem: &str, mut tar: Tar) -> Option<Vec<u8>> {
    let within = |name: &str| format!("{stem}/{name}").into_bytes();
    match kind {
        "traversal-archive" => tar.file(&within("../../../traversed.txt"), b"written outside\n"),
        "absolute-archive" => tar.file(b"/tmp/absolute.txt", b"written outside\n"),
        "symlink-out-archive" => {
            tar.special(b'2', &within("out"), b"../../..");
            tar.file(&within("out/through-the-link.txt"), b"written outside\n");
            tar.special(b'2', &within("passwd"), b"/etc/passwd");
            tar.special(b'1', &within("hard"), b"/etc/passwd");
        }
        "device-archive" => {
            tar.special(b'3', &within("device"), b"");
            tar.special(b'6', &within("pipe"), b"");
        }
        "duplicate-names" => tar.file(
            &within("duplicate_names.py"),
            b"raise SystemExit('the second one')\n",
        ),
        "case-tricks" => tar.file(&within("Case_Tricks.py"), b"OTHER = True\n"),
        "zip-bomb" => {
            // gzip members one after the other decompress to one stream: so 128 MiB need no time to make
            const PIECES: usize = 128;
            tar.header(b'0', &within("zeros"), b"", PIECES << 20);
            let mut bytes = gzip(&tar.open());
            let piece = gzip(&vec![0; 1 << 20]);
            for _ in 0..PIECES {
                bytes.extend(&piece);
            }
            bytes.extend(gzip(&[0; 1024]));
            return Some(bytes);
        }
        "many-entries" => {
            let mut bytes = gzip(&tar.open());
            let mut thousand = Tar::default();
            for n in 0..1000 {
                thousand.file(&within(&format!("empty/{n}")), b"");
            }
            let thousand = gzip(&thousand.open());
            for _ in 0..120 {
                bytes.extend(&thousand);
            }
            bytes.extend(gzip(&[0; 1024]));
            return Some(bytes);
        }
        "corrupt-archive" => {
            let mut bytes = gzip(&tar.finish());
            bytes.truncate(bytes.len() / 2);
            return Some(bytes);
        }
        _ => return None,
    }
    Some(gzip(&tar.finish()))
}
