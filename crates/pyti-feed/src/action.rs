//! The words of the changelog.

use pyti_model::distribution::is_plain_file_name;

/// What an event tells. The words are those of the software behind the public index; what is not understood is [`What::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A project was made.
    Created,
    /// A release was made; its files come as events of their own.
    Released,
    /// A file was uploaded.
    FileAdded {
        /// Its name.
        filename: String,
    },
    /// A file was taken away.
    FileRemoved {
        /// Its name.
        filename: String,
    },
    /// A release, or the whole project, was taken away.
    Removed,
    /// A release was yanked, or the opposite.
    Yanked,
    /// The project's standing changed: quarantined, archived, or back.
    Standing,
    /// Found by comparison, not told: something about the project is new.
    Compared,
    /// Owners, roles, documentation and the like: nothing to test.
    Other,
}

/// Our own word for what a comparison with the root found.
pub const COMPARED: &str = "compared";

impl What {
    /// Reads an action: `add py3 file six-1.17.0-py2.py3-none-any.whl`.
    pub fn of(action: &str) -> Self {
        let words: Vec<&str> = action.split_whitespace().collect();
        match words.as_slice() {
            ["create"] => Self::Created,
            ["new", "release"] => Self::Released,
            ["add", _, "file", filename] if is_plain_file_name(filename) => Self::FileAdded {
                filename: (*filename).to_owned(),
            },
            ["remove", "file", filename] if is_plain_file_name(filename) => Self::FileRemoved {
                filename: (*filename).to_owned(),
            },
            ["remove", "release" | "project"] | ["remove"] => Self::Removed,
            ["yank" | "unyank", "release"] => Self::Yanked,
            [COMPARED] => Self::Compared,
            words
                if words
                    .iter()
                    .any(|word| ["quarantine", "archive"].iter().any(|part| word.contains(part))) =>
            {
                Self::Standing
            }
            _ => Self::Other,
        }
    }

    /// Whether the project's page must be read because of it.
    pub fn matters(&self) -> bool {
        !matches!(self, Self::Other | Self::Created)
    }

    /// The file that the page must show before it is as new as the event.
    pub fn promised(&self) -> Option<&str> {
        match self {
            Self::FileAdded { filename } => Some(filename),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_understood_and_others_are_left_alone() {
        let added = |filename: &str| What::FileAdded {
            filename: filename.into(),
        };
        for (action, what) in [
            ("create", What::Created),
            ("new release", What::Released),
            (
                "add py3 file six-1.17.0-py2.py3-none-any.whl",
                added("six-1.17.0-py2.py3-none-any.whl"),
            ),
            ("add source file foo-1!2.tar.gz", added("foo-1!2.tar.gz")),
            (
                "remove file a-1.tar.gz",
                What::FileRemoved {
                    filename: "a-1.tar.gz".into(),
                },
            ),
            ("remove release", What::Removed),
            ("remove project", What::Removed),
            ("yank release", What::Yanked),
            ("unyank release", What::Yanked),
            ("project quarantined", What::Standing),
            ("unarchive", What::Standing),
            ("compared", What::Compared),
            ("add Owner alice", What::Other),
            ("docupdate", What::Other),
            ("", What::Other),
            ("add source file ../../etc/passwd", What::Other),
        ] {
            assert_eq!(What::of(action), what, "{action}");
        }
    }

    #[test]
    fn only_what_changes_files_is_expanded() {
        assert!(!What::of("add Owner alice").matters());
        assert!(!What::of("create").matters());
        assert!(What::of("remove release").matters());
        assert_eq!(What::of("add source file a-1.zip").promised(), Some("a-1.zip"));
    }
}
