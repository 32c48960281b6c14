//! What a command changed in the sources that it began with. It unpacks them into its own layer, so the layer's difference
//! shows all of them as new; what really changed is told by the tree that was unpacked before.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pyti_box::protocol::SOURCE;
use pyti_model::effect::{Change, Changed, Entry};
use pyti_sandbox::Layer;

use crate::job::open_in_layer;

/// Most bytes of a file that are compared; of a larger one only the size is.
const COMPARED: u64 = 4 << 20;

/// Leaves out what is as it was unpacked, and says of the rest that it was modified.
pub(crate) fn against(tree: &Layer, layer: &Layer, changes: Vec<Change>) -> Vec<Change> {
    changes
        .into_iter()
        .filter_map(|change| match unpacked(tree, layer, &change) {
            Was::NotThere => Some(change),
            Was::TheSame => None,
            Was::Another => Some(Change {
                what: Changed::Modified,
                ..change
            }),
        })
        .collect()
}

/// What a path was when the sources were unpacked.
enum Was {
    NotThere,
    TheSame,
    Another,
}

fn unpacked(tree: &Layer, layer: &Layer, change: &Change) -> Was {
    let path = change.path.as_str().filter(|path| {
        *path == SOURCE
            || path
                .strip_prefix(SOURCE)
                .is_some_and(|rest| rest.starts_with('/'))
    });
    let (Some(path), Changed::Added) = (path, change.what) else {
        return Was::NotThere;
    };
    match &change.entry {
        Some(Entry::File) => {
            // what cannot be opened was not unpacked as a plain file, so it is new
            let (Ok(Some(before)), Ok(Some(after))) = (open_in_layer(tree, path), open_in_layer(layer, path))
            else {
                return Was::NotThere;
            };
            if same(before, after) {
                Was::TheSame
            } else {
                Was::Another
            }
        }
        Some(Entry::Folder) => folder(tree, path),
        Some(Entry::Link(to)) => match std::fs::read_link(inside(tree, path)) {
            Ok(before) if before.as_os_str().as_encoded_bytes() == to.as_bytes() => Was::TheSame,
            Ok(_) => Was::Another,
            Err(_) => Was::NotThere,
        },
        _ => Was::NotThere,
    }
}

fn folder(tree: &Layer, path: &str) -> Was {
    match std::fs::symlink_metadata(inside(tree, path)) {
        Ok(metadata) if metadata.is_dir() => Was::TheSame,
        _ => Was::NotThere,
    }
}

fn inside(tree: &Layer, path: &str) -> std::path::PathBuf {
    tree.path()
        .join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
}

fn same(before: File, after: File) -> bool {
    let size = |file: &File| file.metadata().map(|m| m.len()).ok();
    let (Some(one), Some(other)) = (size(&before), size(&after)) else {
        return false;
    };
    if one != other || one > COMPARED {
        return one == other;
    }
    let read = |file: File| {
        let mut bytes = Vec::new();
        file.take(COMPARED).read_to_end(&mut bytes).ok().map(|_| bytes)
    };
    match (read(before), read(after)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}
