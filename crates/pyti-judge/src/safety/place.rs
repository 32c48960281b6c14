//! Paths of a box as rules name them, and patterns over them.

use pyti_model::Foreign;
use pyti_model::trace::DecoyPlace;

use crate::record::JobRecord;

/// Bytes of a path that are looked at: more than a kernel takes.
const MOST_PATH: usize = 4200;

/// Where things are in the boxes of one recording.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Segments of the home folder.
    home: Vec<String>,
    /// What the package put to the top of site-packages.
    own: Vec<String>,
}

impl Layout {
    /// The user's home is where the decoys lie.
    pub(super) fn of(record: &JobRecord) -> Self {
        let user = record.decoys.iter().find_map(|decoy| match &decoy.place {
            DecoyPlace::File(path) => path.strip_prefix("/home/")?.split('/').next(),
            DecoyPlace::Variable(_) => None,
        });
        let user = user.filter(|user| !user.is_empty()).unwrap_or("dev");
        let mut own = Vec::new();
        if let Some(install) = record.install() {
            own.extend(
                install
                    .top_level
                    .iter()
                    .filter(|name| !name.is_empty() && !name.contains(['/', '{']))
                    .cloned(),
            );
        }
        Self {
            home: vec!["home".to_owned(), user.to_owned()],
            own,
        }
    }

    /// The path as rules name it: `~/.bashrc`, `{site}/x.pth`, `{other}/environ`.
    ///
    /// What is no absolute path begins with `?/`, so that no package can make a name up that looks like one of ours.
    /// `pid` is the process that used it; `own` whether the package's own files are told apart from others'.
    pub(super) fn place(&self, path: &Foreign, pid: Option<i32>, own: bool) -> String {
        let bytes = path.as_bytes();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_PATH)]);
        if !text.starts_with('/') {
            return format!("?/{text}");
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        self.named(&segments, pid, own)
    }

    fn named(&self, segments: &[&str], pid: Option<i32>, own: bool) -> String {
        match segments {
            ["proc", who, rest @ ..] if is_process(who) => {
                if let ["root", inside @ ..] = rest {
                    return self.named(inside, pid, own);
                }
                let rest = match rest {
                    ["task", thread, rest @ ..] if is_process(thread) => rest,
                    rest => rest,
                };
                let is_self = !who.starts_with(|c: char| c.is_ascii_digit())
                    || pid.is_some_and(|pid| who.parse() == Ok(pid));
                joined(if is_self { "{self}" } else { "{other}" }, rest)
            }
            ["tmp", rest @ ..] | ["var", "tmp", rest @ ..] => joined("{tmp}", rest),
            ["root", rest @ ..] => self.in_home(rest, own),
            [home, user, rest @ ..] if *home == self.home[0] && *user == self.home[1] => {
                self.in_home(rest, own)
            }
            rest => {
                let mut out = joined("", rest);
                if out.is_empty() {
                    out.push('/');
                }
                out
            }
        }
    }

    fn in_home(&self, segments: &[&str], own: bool) -> String {
        match segments {
            ["venv", lib, python, "site-packages", rest @ ..]
                if matches!(*lib, "lib" | "lib64") && python.starts_with("py") =>
            {
                match rest {
                    [top, ..] if own && self.is_own(top) => joined("{own}", rest),
                    rest => joined("{site}", rest),
                }
            }
            ["venv", rest @ ..] => joined("{venv}", rest),
            ["src", rest @ ..] => joined("{src}", rest),
            rest => joined("~", rest),
        }
    }

    fn is_own(&self, top: &str) -> bool {
        self.own.iter().any(|own| {
            top.strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') && !rest.ends_with("-info"))
        })
    }
}

fn is_process(segment: &str) -> bool {
    matches!(segment, "self" | "thread-self")
        || !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn joined(head: &str, segments: &[&str]) -> String {
    let mut out = String::with_capacity(head.len() + segments.iter().map(|s| s.len() + 1).sum::<usize>());
    out.push_str(head);
    for segment in segments {
        out.push('/');
        out.push_str(segment);
    }
    out
}

/// A pattern over paths and names: `*` is anything but `/`, `**` is anything, `?` is one character but `/`.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    pattern: Vec<u8>,
    /// Bytes before the first wildcard.
    head: usize,
    /// Bytes after the last wildcard.
    tail: usize,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let bytes = pattern.as_bytes();
        let wild = |byte: &u8| matches!(byte, b'*' | b'?');
        let head = bytes.iter().position(wild).unwrap_or(bytes.len());
        let tail = bytes
            .iter()
            .rposition(wild)
            .map_or(bytes.len(), |at| bytes.len() - at - 1);
        Self {
            pattern: bytes.to_vec(),
            head,
            tail,
        }
    }

    pub(super) fn has_slash(&self) -> bool {
        self.pattern.contains(&b'/')
    }

    pub(super) fn takes(&self, text: &[u8]) -> bool {
        let pattern = self.pattern.as_slice();
        if !text.starts_with(&pattern[..self.head]) || !text.ends_with(&pattern[pattern.len() - self.tail..])
        {
            return false;
        }
        if self.head == pattern.len() {
            return text.len() == pattern.len();
        }
        let (mut p, mut t) = (self.head, self.head);
        // where to go on when it does not fit: the last `*` inside a segment, and the last `**`
        let mut star: Option<(usize, usize)> = None;
        let mut stars: Option<(usize, usize)> = None;
        loop {
            if pattern[p..].starts_with(b"**") {
                p += 2;
                stars = Some((p, t));
                star = None;
                continue;
            }
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                star = Some((p, t));
                continue;
            }
            match (pattern.get(p), text.get(t)) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b || *a == b'?' && *b != b'/' => {
                    p += 1;
                    t += 1;
                    continue;
                }
                _ => {}
            }
            if let Some((back, from)) = star
                && text.get(from).is_some_and(|byte| *byte != b'/')
            {
                star = Some((back, from + 1));
                (p, t) = (back, from + 1);
            } else if let Some((back, from)) = stars
                && from < text.len()
            {
                star = None;
                stars = Some((back, from + 1));
                (p, t) = (back, from + 1);
            } else {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            home: vec!["home".into(), "dev".into()],
            own: vec!["sample".into()],
        }
    }

    #[test]
    fn paths_get_the_names_that_rules_use() {
        let place = |path: &str| layout().place(&path.into(), Some(7), true);
        for (path, expected) in [
            ("/home/dev/.bashrc", "~/.bashrc"),
            ("/home/dev", "~"),
            ("/root/.ssh/id_rsa", "~/.ssh/id_rsa"),
            ("/home/dev//x/../.ssh/./id_rsa", "~/.ssh/id_rsa"),
            ("/home/other/.bashrc", "/home/other/.bashrc"),
            (
                "/home/dev/venv/lib/python3.11/site-packages/a.pth",
                "{site}/a.pth",
            ),
            (
                "/home/dev/venv/lib/python3.11/site-packages/sample/x.py",
                "{own}/sample/x.py",
            ),
            (
                "/home/dev/venv/lib/python3.11/site-packages/sample.py",
                "{own}/sample.py",
            ),
            (
                "/home/dev/venv/lib/python3.11/site-packages/sampler.py",
                "{site}/sampler.py",
            ),
            ("/home/dev/venv/bin/x", "{venv}/bin/x"),
            ("/home/dev/src/setup.py", "{src}/setup.py"),
            ("/tmp/a", "{tmp}/a"),
            ("/var/tmp/a", "{tmp}/a"),
            ("/proc/self/environ", "{self}/environ"),
            ("/proc/7/environ", "{self}/environ"),
            ("/proc/8/task/9/environ", "{other}/environ"),
            ("/proc/self/root/home/dev/.bashrc", "~/.bashrc"),
            ("/proc/cpuinfo", "/proc/cpuinfo"),
            ("/", "/"),
            ("/../..", "/"),
            ("{site}/x", "?/{site}/x"),
            ("~/.bashrc", "?/~/.bashrc"),
            ("", "?/"),
        ] {
            assert_eq!(place(path), expected, "{path}");
        }
    }

    #[test]
    fn patterns_take_what_they_say() {
        for (pattern, text, takes) in [
            ("~/.bashrc", "~/.bashrc", true),
            ("~/.bashrc", "~/.bashrc2", false),
            ("~/.ssh/id_*", "~/.ssh/id_rsa", true),
            ("~/.ssh/id_*", "~/.ssh/id_/rsa", false),
            ("**/.git/hooks/*", "{src}/a/.git/hooks/pre-commit", true),
            ("**/.git/hooks/*", "/.git/hooks/a/b", false),
            ("**", "", true),
            ("*", "", true),
            ("**/*.py", "/a/b/c.py", true),
            ("**/*.py", "/a/b/c.pyc", false),
            ("*.example", "a.example", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abbbc", true),
            ("a*b*c", "a/bc", false),
            ("**a*b", "/x/ay/az/ab", true),
            ("?.py", "a.py", true),
            ("?.py", "/.py", false),
            ("aba*aba", "aba", false),
        ] {
            assert_eq!(
                Glob::new(pattern).takes(text.as_bytes()),
                takes,
                "{pattern} {text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn patterns_agree_with_a_regular_expression(pattern in "[ab/*?]{0,7}", text in "[ab/]{0,9}") {
            let mut source = String::from("(?s-u)^");
            let mut rest = pattern.as_str();
            while let Some(c) = rest.chars().next() {
                if let Some(after) = rest.strip_prefix("**") {
                    source.push_str(".*");
                    rest = after;
                    continue;
                }
                source.push_str(match c {
                    '*' => "[^/]*",
                    '?' => "[^/]",
                    'a' => "a",
                    'b' => "b",
                    _ => "/",
                });
                rest = &rest[1..];
            }
            source.push('$');
            let regex = regex::bytes::Regex::new(&source).unwrap();
            proptest::prop_assert_eq!(Glob::new(&pattern).takes(text.as_bytes()), regex.is_match(text.as_bytes()));
        }
    }
}
