//! A watched folder: which files have come, and are whole.

use std::collections::BTreeMap;

use pyti_model::distribution::is_plain_file_name;

/// Endings of wheels and sdists.
const ENDINGS: [&str; 3] = [".whl", ".tar.gz", ".zip"];

/// What a file looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// In bytes.
    pub size: u64,
    /// When it was written last, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// What was seen so far. A file is taken when it looked the same twice: who copies it may still be writing.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    seen: BTreeMap<String, (Shape, bool)>,
}

impl Folder {
    /// One look: names of the files that are to be taken now. A file that was replaced is taken again.
    pub fn look(&mut self, listing: impl IntoIterator<Item = (String, Shape)>) -> Vec<String> {
        let mut now = BTreeMap::new();
        let mut whole = Vec::new();
        for (name, shape) in listing {
            if !is_plain_file_name(&name)
                || name.starts_with('.')
                || !ENDINGS.iter().any(|end| name.ends_with(end))
            {
                continue;
            }
            let taken = match self.seen.get(&name) {
                Some((before, taken)) if *before == shape => {
                    if !taken {
                        whole.push(name.clone());
                    }
                    true
                }
                _ => false,
            };
            now.insert(name, (shape, taken));
        }
        self.seen = now;
        whole
    }

    /// That file could not be taken; the next look tries again.
    pub fn again(&mut self, name: &str) {
        if let Some((_, taken)) = self.seen.get_mut(name) {
            *taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, size: u64, modified_ms: u64) -> (String, Shape) {
        (name.into(), Shape { size, modified_ms })
    }

    #[test]
    fn a_file_is_taken_once_when_it_has_stopped_growing() {
        let mut folder = Folder::default();
        assert_eq!(folder.look([at("a-1.tar.gz", 10, 1)]), [""; 0]);
        assert_eq!(folder.look([at("a-1.tar.gz", 20, 2)]), [""; 0]);
        assert_eq!(folder.look([at("a-1.tar.gz", 20, 2)]), ["a-1.tar.gz"]);
        assert_eq!(folder.look([at("a-1.tar.gz", 20, 2)]), [""; 0]);
    }

    #[test]
    fn one_that_was_replaced_or_could_not_be_taken_comes_again() {
        let mut folder = Folder::default();
        folder.look([at("a-1.zip", 10, 1)]);
        assert_eq!(folder.look([at("a-1.zip", 10, 1)]).len(), 1);
        folder.again("a-1.zip");
        assert_eq!(folder.look([at("a-1.zip", 10, 1)]).len(), 1);
        assert_eq!(folder.look([at("a-1.zip", 11, 5)]).len(), 0);
        assert_eq!(folder.look([at("a-1.zip", 11, 5)]).len(), 1);
        folder.look([]);
        assert_eq!(folder.look([at("a-1.zip", 11, 5)]).len(), 0);
    }

    #[test]
    fn other_files_are_left_alone() {
        let mut folder = Folder::default();
        let listing = || {
            [
                at("notes.txt", 1, 1),
                at(".a-1.tar.gz", 1, 1),
                at("a-1.tar.gz.part", 1, 1),
                at("b-1-py3-none-any.whl", 1, 1),
            ]
        };
        folder.look(listing());
        assert_eq!(folder.look(listing()), ["b-1-py3-none-any.whl"]);
    }
}
