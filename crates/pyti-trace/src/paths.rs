//! Paths as text: nothing here looks at a file.

/// Joins a path to the folder that it starts from, and takes out `.`, `..` and doubled slashes. Links are not
/// followed, so `..` after a link may lead elsewhere in truth.
pub(crate) fn absolute(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(folder.len() + path.len() + 1);
    if !path.starts_with(b"/") {
        normalise(folder, &mut out);
    }
    normalise(path, &mut out);
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

fn normalise(path: &[u8], out: &mut Vec<u8>) {
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            part => {
                out.push(b'/');
                out.extend_from_slice(part);
            }
        }
    }
}

/// Whether a path is a folder or lies below it.
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || folder == b"/")
}

/// The last part of a path.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// What the kernel puts behind the name of a file that has none any more.
pub(crate) const DELETED: &[u8] = b" (deleted)";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_become_absolute() {
        let cases: &[(&str, &str, &str)] = &[
            ("/home/dev", "a", "/home/dev/a"),
            ("/home/dev", "../a", "/home/a"),
            ("/home/dev", "../../../../a", "/a"),
            ("/home/dev", "/etc//./passwd", "/etc/passwd"),
            ("/home/dev", "/", "/"),
            ("/", "..", "/"),
            ("/", "x/", "/x"),
            ("/home/dev", "", "/home/dev"),
        ];
        for (folder, path, wanted) in cases {
            let got = absolute(folder.as_bytes(), path.as_bytes());
            assert_eq!(got, wanted.as_bytes(), "{folder} {path}");
        }
    }

    #[test]
    fn below_means_below() {
        assert!(is_below(b"/usr/bin", b"/usr"));
        assert!(is_below(b"/usr", b"/usr"));
        assert!(is_below(b"/usr", b"/"));
        assert!(!is_below(b"/usrlocal", b"/usr"));
        assert_eq!(name(b"/a/b"), b"b");
        assert_eq!(name(b"b"), b"b");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_absolute_and_has_no_dots(folder: Vec<u8>, path: Vec<u8>) {
            let out = absolute(&folder, &path);
            prop_assert!(out.starts_with(b"/"));
            prop_assert!(out == b"/" || !out.ends_with(b"/"));
            prop_assert!(out.split(|b| *b == b'/').all(|part| part != b"." && part != b".."));
            prop_assert_eq!(absolute(b"/", &out), out.clone());
        }
    }
}
