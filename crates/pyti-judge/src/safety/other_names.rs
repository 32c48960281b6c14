//! Other names of files: links and renames that traces show.

use std::collections::HashMap;

use pyti_model::Foreign;

/// Links that are followed one after the other.
const MOST_STEPS: usize = 8;
/// Names that are kept; a trace holds no more acts than that by far.
const MOST_NAMES: usize = 50_000;

/// Which names stand for which others. A name that was given is added to what is known of a file, it replaces nothing: so
/// that no link makes anything look harmless.
#[derive(Debug, Default)]
pub(super) struct OtherNames(HashMap<Vec<u8>, Vec<u8>>);

impl OtherNames {
    /// `name` stands for `target`, which may be relative to its folder.
    pub(super) fn note(&mut self, name: &Foreign, target: &Foreign) {
        if self.0.len() >= MOST_NAMES {
            return;
        }
        let name = clean(name.as_bytes());
        let target = match target.as_bytes() {
            absolute @ [b'/', ..] => clean(absolute),
            relative => {
                let folder = name.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                clean(&[&name[..folder], relative].join(&b'/'))
            }
        };
        // the root for everything, and a name for itself, say nothing
        if name.len() > 1 && target.len() > 1 && name != target {
            self.0.insert(name, target);
        }
    }

    /// What the path stands for, when that is something else.
    pub(super) fn real(&self, path: &Foreign) -> Option<Foreign> {
        if self.0.is_empty() || path.as_bytes().first() != Some(&b'/') {
            return None;
        }
        let mut path = clean(path.as_bytes());
        let mut found = false;
        for _ in 0..MOST_STEPS {
            let ends = (0..=path.len())
                .rev()
                .filter(|end| *end == path.len() || path[*end] == b'/');
            let mut ends = ends.take_while(|end| *end > 0);
            let Some((end, target)) = ends.find_map(|end| Some((end, self.0.get(&path[..end])?))) else {
                break;
            };
            let mut next = target.clone();
            next.extend_from_slice(&path[end..]);
            path = next;
            found = true;
            if path.len() > 8192 {
                break;
            }
        }
        found.then(|| Foreign::new(path))
    }
}

/// Without `.`, `..` and empty segments.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = vec![b'/'];
    out.extend(segments.join(&b'/'));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_circles_end() {
        let mut names = OtherNames::default();
        assert_eq!(names.real(&"/tmp/s/id_rsa".into()), None);
        names.note(&"/tmp/s".into(), &"/home/dev/.ssh".into());
        names.note(&"/tmp/t".into(), &"s".into());
        names.note(&"/tmp/up".into(), &"../home/dev".into());
        for (path, real) in [
            ("/tmp/s/id_rsa", "/home/dev/.ssh/id_rsa"),
            ("/tmp/./x/../s//id_rsa", "/home/dev/.ssh/id_rsa"),
            ("/tmp/t/id_rsa", "/home/dev/.ssh/id_rsa"),
            ("/tmp/up/.bashrc", "/home/dev/.bashrc"),
            ("/tmp/s", "/home/dev/.ssh"),
        ] {
            assert_eq!(names.real(&path.into()), Some(real.into()), "{path}");
        }
        assert_eq!(names.real(&"/tmp/ss/id_rsa".into()), None);
        names.note(&"/a".into(), &"/b".into());
        names.note(&"/b".into(), &"/a/a".into());
        names.note(&"/c".into(), &"/c".into());
        assert!(names.real(&"/a/x".into()).is_some());
        assert_eq!(names.real(&"/c/x".into()), None);
        assert_eq!(names.real(&"relative".into()), None);
    }
}
