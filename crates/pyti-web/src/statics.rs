//! Files that never change while the program runs: style and scripts. Their addresses carry their digest, so browsers keep them.

use std::sync::LazyLock;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Static {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) text: &'static str,
}

const ALL: [Static; 5] = [
    Static {
        name: "report.css",
        kind: "text/css; charset=utf-8",
        text: pyti_report::STYLE,
    },
    Static {
        name: "site.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../static/site.css"),
    },
    Static {
        name: "report.js",
        kind: "text/javascript; charset=utf-8",
        text: pyti_report::SCRIPT,
    },
    Static {
        name: "live.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../static/live.js"),
    },
    Static {
        name: "icon.svg",
        kind: "image/svg+xml",
        text: include_str!("../static/icon.svg"),
    },
];

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Static> {
    ALL.iter().find(|one| one.name == name)
}

/// Something that changes when any of them does; for their addresses.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        for one in &ALL {
            one.text.hash(&mut hasher);
        }
        format!("{:012x}", hasher.finish() & 0xffff_ffff_ffff)
    });
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_is_inline_or_from_elsewhere() {
        for one in &ALL {
            for word in ["eval(", "innerHTML", "document.write", "//cdn", "@import"] {
                assert!(!one.text.contains(word), "{} has {word}", one.name);
            }
        }
        assert!(find("site.css").is_some() && find("nothing").is_none());
    }
}
