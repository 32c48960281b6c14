//! Which paths a task changed, by place.

use std::collections::BTreeMap;

use pyti_judge::TaskRecord;
use pyti_model::Foreign;
use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::trace::{Deed, Result, Written};

use super::lit::{self, Lit};
use super::safe::event_anchor;
use crate::deeds;
use crate::seen::Seen;
use crate::sentences::shown;
use crate::words::{bytes, counted};

/// Paths listed for one place.
const MOST: usize = 60;
/// Bytes of one file that are shown.
const PREVIEW: usize = 1500;

/// Where in the box a path lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    SitePackages,
    Environment,
    Source,
    Built,
    Home,
    Temporary,
    Ours,
    Elsewhere,
}

/// All places, in the order of the page: what is out of place comes first.
const PLACES: [Place; 8] = [
    Place::Elsewhere,
    Place::Home,
    Place::SitePackages,
    Place::Environment,
    Place::Source,
    Place::Built,
    Place::Temporary,
    Place::Ours,
];

impl Place {
    fn of(path: &Foreign) -> Self {
        let path = path.lossy();
        let within = |folder: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if within("/.pyti") {
            Self::Ours
        } else if within("/home/dev/venv") {
            if path.contains("/site-packages/") || path.ends_with("/site-packages") {
                Self::SitePackages
            } else {
                Self::Environment
            }
        } else if within("/home/dev/src") {
            Self::Source
        } else if within("/home/dev/dist") {
            Self::Built
        } else if within("/home/dev") {
            Self::Home
        } else if within("/tmp") || within("/var/tmp") || within("/dev/shm") {
            Self::Temporary
        } else {
            Self::Elsewhere
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::SitePackages => "site-packages",
            Self::Environment => "the rest of the environment",
            Self::Source => "the source tree",
            Self::Built => "the folder for built files",
            Self::Home => "the home folder",
            Self::Temporary => "temporary folders",
            Self::Ours => "PyTI's own folder",
            Self::Elsewhere => "elsewhere",
        }
    }

    fn is_out_of_place(self) -> bool {
        matches!(self, Self::Elsewhere | Self::Home)
    }
}

/// Changes in one place.
pub(crate) struct PlacePart {
    pub(crate) title: &'static str,
    pub(crate) odd: bool,
    /// Whether something in it is worth seeing at once: a file whose content was kept, out of place.
    pub(crate) open: bool,
    pub(crate) summary: String,
    pub(crate) paths: Vec<PathLine>,
    pub(crate) more: usize,
}

/// One changed path.
pub(crate) struct PathLine {
    pub(crate) anchor: Option<String>,
    pub(crate) class: String,
    pub(crate) what: &'static str,
    pub(crate) path: String,
    pub(crate) note: String,
    /// Permission bits: `755`; empty where they are not known.
    pub(crate) mode: String,
    /// Name and place on the page of the process that wrote it, where one was seen.
    pub(crate) who: Option<(String, Option<String>)>,
    /// What it holds, where that was kept.
    pub(crate) content: Option<ContentPart>,
}

/// What a file holds.
pub(crate) struct ContentPart {
    pub(crate) sha256: String,
    pub(crate) program: bool,
    pub(crate) preview: String,
    pub(crate) left_out: String,
}

/// What is known of a task's files beside their changes.
#[derive(Default)]
pub(crate) struct Known<'a> {
    contents: BTreeMap<&'a [u8], &'a Written>,
    writers: BTreeMap<&'a [u8], (String, Option<String>)>,
    /// Anchors, and classes that light them, of changes that are linked to.
    places: BTreeMap<&'a [u8], (String, String)>,
}

impl Known<'_> {
    /// Whether a finding names a change.
    fn is_lit(&self, change: &Change) -> bool {
        self.places
            .get(change.path.as_bytes())
            .is_some_and(|(_, class)| !class.is_empty())
    }

    /// Whether a change is worth a place before the others.
    fn matters(&self, change: &Change) -> bool {
        self.places.contains_key(change.path.as_bytes())
    }
}

impl<'a> Known<'a> {
    /// What a recording tells of the files of a task. `anchor`: where on the page a process of a trace is told.
    pub(crate) fn of(
        job: usize,
        record: &'a TaskRecord,
        seen: &Seen<'a>,
        lit: &Lit,
        anchor: &dyn Fn(u64, usize) -> Option<String>,
    ) -> Self {
        let mut known = Self::default();
        let task = record.name.as_str();
        for (place, change) in record.change_places.iter().zip(&record.changes) {
            let item = place.item.unwrap_or_default();
            let named = lit.place(place.seq, item);
            if named.is_some() || seen.content(task, &change.path).is_some() {
                known.places.insert(
                    change.path.as_bytes(),
                    (event_anchor(job, place.seq, item), lit::class(named)),
                );
            }
        }
        for (of, file) in &seen.written {
            if *of == task {
                known.contents.insert(file.path.as_bytes(), file);
            }
        }
        for traced in seen.traces.iter().filter(|traced| traced.task == task) {
            for act in &traced.trace.acts {
                let path = match &act.deed {
                    Deed::Open { path, access } if deeds::writes(*access) => path,
                    Deed::Rename { to, .. } => to,
                    Deed::Link { path, .. } | Deed::Remove { path, .. } => path,
                    _ => continue,
                };
                let process = act.process.and_then(|n| usize::try_from(n).ok());
                let Some(process) = process.filter(|_| !matches!(act.result, Result::Failed(_))) else {
                    continue;
                };
                let Some(one) = traced.trace.processes.get(process) else {
                    continue;
                };
                known
                    .writers
                    .entry(path.as_bytes())
                    .or_insert_with(|| (deeds::short_process(one).0, anchor(traced.seq, process)));
            }
        }
        known
    }
}

/// A change as one sentence, without a full stop.
pub(crate) fn change_sentence(change: &Change) -> String {
    let line = line(change, &Known::default());
    if line.note.is_empty() {
        format!("{} {}", line.what, line.path)
    } else {
        format!("{} {} ({})", line.what, line.path, line.note)
    }
}

/// A task's changes, by place; byte code is counted and not listed.
pub(crate) fn by_place(changes: &[Change], known: &Known<'_>) -> Vec<PlacePart> {
    let mut parts = Vec::new();
    for place in PLACES {
        let here: Vec<&Change> = changes
            .iter()
            .filter(|change| Place::of(&change.path) == place)
            .collect();
        if here.is_empty() {
            continue;
        }
        let (code, rest): (Vec<&Change>, Vec<&Change>) =
            here.into_iter().partition(|change| is_byte_code(change));
        let files: Vec<&&Change> = rest
            .iter()
            .filter(|change| change.entry != Some(Entry::Folder))
            .collect();
        let of = |what: Changed| files.iter().filter(|change| change.what == what).count() as u64;
        let mut words = Vec::new();
        for (n, word) in [
            (of(Changed::Added), "added"),
            (of(Changed::Modified), "changed"),
            (of(Changed::Deleted), "deleted"),
        ] {
            if n > 0 {
                words.push(format!("{} {word}", counted(n, "file", "files")));
            }
        }
        let size: u64 = files.iter().filter_map(|change| change.size).sum();
        if size > 0 {
            words.push(bytes(size));
        }
        if !code.is_empty() {
            words.push(format!(
                "{} of byte code",
                counted(code.len() as u64, "entry", "entries")
            ));
        }
        if words.is_empty() {
            words.push("folders only".to_owned());
        }
        // folders are only worth a line where nothing else is
        let mut listed: Vec<&Change> = if files.is_empty() {
            rest.clone()
        } else {
            files.iter().map(|change| **change).collect()
        };
        // folders that findings name, too
        listed.extend(rest.iter().filter(|change| {
            !files.is_empty() && change.entry == Some(Entry::Folder) && known.matters(change)
        }));
        listed.sort_by_key(|change| !known.matters(change));
        let open = listed
            .iter()
            .any(|change| known.matters(change) && (place.is_out_of_place() || known.is_lit(change)));
        parts.push(PlacePart {
            open,
            title: place.title(),
            odd: place.is_out_of_place(),
            summary: words.join(", "),
            more: listed.len().saturating_sub(MOST),
            paths: listed
                .into_iter()
                .take(MOST)
                .map(|change| line(change, known))
                .collect(),
        });
    }
    parts
}

fn is_byte_code(change: &Change) -> bool {
    let path = change.path.lossy();
    path.ends_with(".pyc") || path.ends_with("/__pycache__")
}

fn line(change: &Change, known: &Known<'_>) -> PathLine {
    let what = match change.what {
        Changed::Added => "added",
        Changed::Modified => "changed",
        Changed::Deleted => "deleted",
    };
    let mut notes = Vec::new();
    match &change.entry {
        Some(Entry::Link(target)) => notes.push(format!("link to {}", shown(target))),
        Some(Entry::Folder) => notes.push("folder".to_owned()),
        Some(Entry::Special) => notes.push("pipe, socket or device".to_owned()),
        Some(Entry::File) | None => {}
    }
    if let Some(size) = change.size.filter(|_| change.entry == Some(Entry::File)) {
        notes.push(bytes(size));
    }
    if let Some(mode) = change.mode {
        if mode & 0o6000 != 0 {
            notes.push(format!("set-id bits, mode {mode:o}"));
        } else if change.entry == Some(Entry::File) && mode & 0o111 != 0 {
            notes.push("executable".to_owned());
        }
    }
    let (anchor, class) = known
        .places
        .get(change.path.as_bytes())
        .map_or((None, String::new()), |(anchor, class)| {
            (Some(anchor.clone()), class.clone())
        });
    PathLine {
        anchor,
        class,
        what,
        path: shown(&change.path),
        note: notes.join(", "),
        mode: change
            .mode
            .filter(|_| change.entry == Some(Entry::File))
            .map_or_else(String::new, |mode| format!("{mode:o}")),
        who: known.writers.get(change.path.as_bytes()).cloned(),
        content: known
            .contents
            .get(change.path.as_bytes())
            .map(|written| content(written)),
    }
}

fn content(written: &Written) -> ContentPart {
    let raw = written.preview.as_bytes();
    let cut = raw.len().min(PREVIEW);
    let left = written.size.saturating_sub(cut as u64);
    ContentPart {
        sha256: written.sha256.to_string(),
        program: written.program,
        preview: crate::talk::readable(&raw[..cut]),
        left_out: if left > 0 {
            format!("{} more", bytes(left))
        } else {
            String::new()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str) -> Change {
        Change {
            path: path.into(),
            what: Changed::Added,
            entry: Some(Entry::File),
            size: Some(10),
            mode: Some(0o644),
        }
    }

    #[test]
    fn places_are_told_by_whole_folders() {
        let cases = [
            (
                "/home/dev/venv/lib/python3.13/site-packages/six.py",
                Place::SitePackages,
            ),
            ("/home/dev/venv/bin/x", Place::Environment),
            ("/home/dev/srcery", Place::Home),
            ("/home/dev/src/a", Place::Source),
            ("/home/dev/.bashrc", Place::Home),
            ("/tmpfile", Place::Elsewhere),
            ("/tmp/x", Place::Temporary),
            ("/etc/passwd", Place::Elsewhere),
            ("/.pyti/probes/x", Place::Ours),
        ];
        for (path, place) in cases {
            assert_eq!(Place::of(&path.into()), place, "{path}");
        }
    }

    #[test]
    fn what_is_out_of_place_comes_first_and_byte_code_is_counted() {
        let parts = by_place(
            &[
                change("/home/dev/venv/lib/python3.13/site-packages/a.py"),
                change("/home/dev/venv/lib/python3.13/site-packages/__pycache__/a.cpython-313.pyc"),
                change("/home/dev/.profile"),
            ],
            &Known::default(),
        );
        assert_eq!(parts[0].title, "the home folder");
        assert!(parts[0].odd);
        assert_eq!(parts[1].summary, "1 file added, 10 B, 1 entry of byte code");
        assert_eq!(parts[1].paths.len(), 1);
    }
}
