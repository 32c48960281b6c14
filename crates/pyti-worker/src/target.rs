//! What can be run: a name, a release, a file, a folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A project of the index: `six`, `six==1.17.0`, `requests[socks]`.
    Project {
        /// As typed.
        name: String,
        /// Extras.
        extras: Vec<String>,
        /// The text after the name: `==1.17.0`, or nothing.
        specifiers: Option<String>,
    },
    /// A wheel or an sdist on this machine.
    File {
        /// Where it is.
        path: PathBuf,
        /// Extras, written behind the path: `./x.whl[extra]`.
        extras: Vec<String>,
    },
    /// A folder with a project.
    Folder {
        /// Where it is.
        path: PathBuf,
        /// Extras.
        extras: Vec<String>,
    },
}

/// A text that is no target.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no target: {why}")]
pub struct NoTarget {
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let error = |why| NoTarget {
            text: text.to_owned(),
            why,
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(error("it is empty"));
        }
        if trimmed.contains("://") {
            return Err(error(
                "addresses are not followed; download the file and give its path",
            ));
        }
        let (before, extras) =
            split_extras(trimmed).ok_or_else(|| error("the extras are not well-formed"))?;
        if looks_like_path(before) {
            let path = PathBuf::from(before);
            return Ok(if path.is_dir() {
                Self::Folder { path, extras }
            } else if path.exists() {
                Self::File { path, extras }
            } else {
                return Err(error("there is no such file or folder"));
            });
        }
        let end = before
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(before.len());
        let (name, mut rest) = before.split_at(end);
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !ends_well(name.chars().next()) || !ends_well(name.chars().last()) {
            return Err(error("a project's name begins and ends with a letter or digit"));
        }
        let after = &trimmed[before.len() + extras_length(trimmed, before)..];
        if rest.is_empty() {
            rest = after;
        }
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with(['=', '<', '>', '~', '!']) {
            return Err(error("after the name comes a version: name==1.0"));
        }
        Ok(Self::Project {
            name: name.to_owned(),
            extras,
            specifiers: (!rest.is_empty()).then(|| rest.to_owned()),
        })
    }
}

fn looks_like_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~'])
        || text.contains('/')
        || [".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz"]
            .iter()
            .any(|e| text.ends_with(e))
        || Path::new(text).join("pyproject.toml").exists() && text.contains(std::path::MAIN_SEPARATOR)
}

/// Splits `name[a,b]rest` into `name` and `[a, b]`; without brackets the whole text and nothing.
fn split_extras(text: &str) -> Option<(&str, Vec<String>)> {
    let Some(open) = text.find('[') else {
        return Some((text, Vec::new()));
    };
    let close = text[open..].find(']')? + open;
    let extras: Vec<_> = text[open + 1..close]
        .split(',')
        .map(|e| e.trim().to_owned())
        .collect();
    let good = |e: &String| {
        !e.is_empty()
            && e.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    extras.iter().all(good).then_some((&text[..open], extras))
}

fn extras_length(text: &str, before: &str) -> usize {
    if before.len() == text.len() {
        0
    } else {
        text[before.len()..].find(']').map_or(0, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, extras: &[&str], specifiers: Option<&str>) -> Target {
        Target::Project {
            name: name.into(),
            extras: extras.iter().map(ToString::to_string).collect(),
            specifiers: specifiers.map(str::to_owned),
        }
    }

    #[test]
    fn names_versions_and_extras() {
        assert_eq!("six".parse(), Ok(project("six", &[], None)));
        assert_eq!("six==1.17.0".parse(), Ok(project("six", &[], Some("==1.17.0"))));
        assert_eq!(
            "requests[socks, x]".parse(),
            Ok(project("requests", &["socks", "x"], None))
        );
        assert_eq!(
            "requests[socks]>=2,<3".parse(),
            Ok(project("requests", &["socks"], Some(">=2,<3")))
        );
        assert_eq!("Zope.Interface".parse(), Ok(project("Zope.Interface", &[], None)));
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_reason() {
        for bad in [
            "",
            " ",
            "-six",
            "six@http",
            "six six",
            "six[",
            "six[a b]",
            "./does-not-exist.whl",
            "http://x.invalid/a",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn files_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&file, b"").unwrap();
        let text = file.to_str().unwrap();
        assert!(matches!(text.parse(), Ok(Target::File { .. })));
        assert!(matches!(
            folder.path().to_str().unwrap().parse(),
            Ok(Target::Folder { .. })
        ));
        assert!(matches!(format!("{text}[x]").parse(), Ok(Target::File { extras, .. }) if extras == ["x"]));
    }
}
