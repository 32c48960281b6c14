//! What files hold that a command wrote: those that matter are shown, all are searched for secrets, within caps.

use std::io::{self, Read};

use pyti_box::protocol::{SOURCE, VENV};
use pyti_model::Digest;
use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::foreign::Foreign;
use pyti_model::trace::Written;
use pyti_sandbox::Layer;
use sha2::{Digest as _, Sha256};

use crate::job::open_in_layer;
use crate::tasks::build::OUT;

/// Most files that are told of.
const TOLD: usize = 200;
/// Most bytes of one file that are digested.
const DIGESTED: u64 = 32 << 20;
/// First bytes that are shown.
const PREVIEW: usize = 512;
/// The same of a `.pth` file.
const PTH: usize = 4096;
/// First bytes of each file that are searched, and of all together.
const SEARCHED: usize = 256 << 10;
const SEARCHED_IN_ALL: usize = 16 << 20;

/// What was read of the files of a layer.
#[derive(Default)]
pub(crate) struct Files {
    /// For the recording.
    pub(crate) told: Vec<Written>,
    /// First bytes of every file, for the search.
    pub(crate) searched: Vec<(Foreign, Vec<u8>)>,
}

/// Reads files that were added or changed.
pub(crate) fn read(layer: &Layer, changes: &[Change]) -> Files {
    let mut read = Files::default();
    let mut left = SEARCHED_IN_ALL;
    for change in changes {
        let is_file = change.entry == Some(Entry::File) && change.what != Changed::Deleted;
        let path = change.path.as_bytes();
        if !is_file || path.ends_with(b".pyc") || path.starts_with(b"/.pyti/") {
            continue;
        }
        let Some(path) = change.path.as_str() else {
            continue;
        };
        // a file that cannot be read any more is in the list of changes all the same
        let Ok(Some(mut file)) = open_in_layer(layer, path) else {
            continue;
        };
        let mut head = Vec::new();
        if file
            .by_ref()
            .take(SEARCHED as u64)
            .read_to_end(&mut head)
            .is_err()
        {
            continue;
        }
        let program = head.starts_with(b"\x7fELF") || head.starts_with(b"#!");
        if read.told.len() < TOLD
            && matters(path, program)
            && let Ok(sha256) = digest((&head[..]).chain(file.take(DIGESTED)))
        {
            read.told.push(Written {
                path: change.path.clone(),
                sha256,
                size: change.size.unwrap_or(head.len() as u64),
                // what runs at every start is kept whole, so that known texts can be told
                preview: Foreign::new(
                    &head[..head.len().min(if path.ends_with(".pth") { PTH } else { PREVIEW })],
                ),
                program,
            });
        }
        head.truncate(left);
        left -= head.len();
        read.searched.push((change.path.clone(), head));
    }
    read
}

/// Whether a file is worth telling of: what is in its own place is not, but for what runs by itself.
fn matters(path: &str, program: bool) -> bool {
    let own = [&format!("{VENV}/lib/"), &format!("{SOURCE}/"), &format!("{OUT}/")];
    let name = path.rsplit('/').next().unwrap_or("");
    let runs_by_itself = path.ends_with(".pth") || matches!(name, "sitecustomize.py" | "usercustomize.py");
    runs_by_itself || !own.iter().any(|own| path.starts_with(*own)) || (program && path.starts_with(VENV))
}

/// The digest of all that can be read.
pub(crate) fn digest(mut from: impl Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match from.read(&mut part)? {
            0 => break,
            read => hasher.update(&part[..read]),
        }
    }
    Ok(<[u8; 32]>::from(hasher.finalize()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_its_own_place_is_left_out_but_for_what_runs_by_itself() {
        let site = "/home/dev/venv/lib/python3.13/site-packages";
        assert!(!matters(&format!("{site}/six.py"), false));
        assert!(matters(&format!("{site}/six.pth"), false));
        assert!(matters(&format!("{site}/sitecustomize.py"), false));
        assert!(matters("/home/dev/.bashrc", false));
        assert!(matters("/tmp/x", false));
        assert!(!matters("/home/dev/src/setup.py", false));
    }
}
