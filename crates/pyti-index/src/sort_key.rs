//! Versions as bytes that compare as the versions do, for databases.

use uv_pep440::{LocalSegment, PrereleaseKind, Version};

/// Bytes that compare as PEP 440 says that the versions do.
///
/// ```
/// use std::str::FromStr;
/// use uv_pep440::Version;
/// let key = |text| pyti_index::sort_key(&Version::from_str(text).unwrap());
/// assert!(key("1.9") < key("1.10"));
/// assert!(key("1.0.dev1") < key("1.0a1") && key("1.0rc1") < key("1.0") && key("1.0") < key("1.0.post1"));
/// assert_eq!(key("1.0"), key("1.0.0"));
/// ```
pub fn sort_key(version: &Version) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    key.extend(version.epoch().to_be_bytes());
    let release = version.release();
    let significant = release.iter().rposition(|n| *n != 0).map_or(0, |at| at + 1);
    for segment in release.iter().take(significant) {
        key.push(1);
        key.extend(segment.to_be_bytes());
    }
    key.push(0);
    match version.pre() {
        Some(pre) => {
            key.push(match pre.kind {
                PrereleaseKind::Alpha => 1,
                PrereleaseKind::Beta => 2,
                PrereleaseKind::Rc => 3,
            });
            key.extend(pre.number.to_be_bytes());
        }
        // of a version without more, its development comes before its first alpha
        None if version.post().is_none() && version.dev().is_some() => key.push(0),
        None => key.push(4),
    }
    match version.post() {
        Some(post) => {
            key.push(1);
            key.extend(post.to_be_bytes());
        }
        None => key.push(0),
    }
    match version.dev() {
        Some(dev) => {
            key.push(0);
            key.extend(dev.to_be_bytes());
        }
        None => key.push(1),
    }
    let local = match version.local() {
        uv_pep440::LocalVersionSlice::Segments(segments) => segments,
        uv_pep440::LocalVersionSlice::Max => &[],
    };
    for segment in local {
        match segment {
            LocalSegment::String(text) => {
                key.push(1);
                key.extend(text.as_bytes());
                key.push(0);
            }
            LocalSegment::Number(number) => {
                key.push(2);
                key.extend(number.to_be_bytes());
            }
        }
    }
    key.push(0);
    key
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn keys_compare_as_versions_do() {
        let texts = [
            "0",
            "0.1.dev1",
            "0.1",
            "1.dev0",
            "1a1.dev1",
            "1a1",
            "1a1.post1.dev2",
            "1a1.post1",
            "1a2",
            "1b1",
            "1rc1",
            "1rc2",
            "1",
            "1.0",
            "1+abc",
            "1+abc.5",
            "1+abc.7",
            "1+5",
            "1.0.0+5.1",
            "1.post0.dev1",
            "1.post0",
            "1.post1",
            "1.0.1",
            "1.1.dev3",
            "1.1",
            "1.2",
            "1.10",
            "1.100",
            "2",
            "10",
            "1!0",
            "1!1.dev1",
            "2!0",
        ];
        for a in texts {
            for b in texts {
                let (x, y) = (Version::from_str(a).unwrap(), Version::from_str(b).unwrap());
                assert_eq!(sort_key(&x).cmp(&sort_key(&y)), x.cmp(&y), "{a} {b}");
            }
        }
    }
}
