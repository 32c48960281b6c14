//! What really changed confirms what was attempted.

use std::collections::HashMap;

use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::trace::{Deed, Result, Trace};

use crate::keep::writes;

/// Marks as done every act whose effect is there at the end. What was done and undone again stays attempted: nobody
/// can tell any more.
pub fn confirm(trace: &mut Trace, changes: &[Change]) {
    let changed: HashMap<&[u8], &Change> = changes
        .iter()
        .map(|change| (change.path.as_bytes(), change))
        .collect();
    let is_there = |path: &[u8]| {
        changed
            .get(path)
            .is_some_and(|change| change.what != Changed::Deleted)
    };
    let is_gone = |path: &[u8]| {
        changed
            .get(path)
            .is_some_and(|change| change.what == Changed::Deleted)
    };
    for act in &mut trace.acts {
        if act.result != Result::Attempted {
            continue;
        }
        let done = match &act.deed {
            Deed::Open { path, access } => writes(*access) && is_there(path.as_bytes()),
            Deed::MakeFolder { path } => changed
                .get(path.as_bytes())
                .is_some_and(|change| change.what == Changed::Added && change.entry == Some(Entry::Folder)),
            Deed::MakeNode { path } => changed
                .get(path.as_bytes())
                .is_some_and(|change| change.entry == Some(Entry::Special)),
            Deed::Link { path, to, symbolic } => {
                changed
                    .get(path.as_bytes())
                    .is_some_and(|change| match &change.entry {
                        Some(Entry::Link(points)) => !symbolic || points == to,
                        Some(_) => !symbolic,
                        None => false,
                    })
            }
            Deed::Rename { to, .. } => is_there(to.as_bytes()),
            Deed::Remove { path, .. } => is_gone(path.as_bytes()),
            Deed::Mode { path, mode } => changed
                .get(path.as_bytes())
                .is_some_and(|change| change.mode == Some(*mode)),
            Deed::Truncate { path } => is_there(path.as_bytes()),
            _ => false,
        };
        if done {
            act.result = Result::Done;
        }
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::trace::{Access, Act};

    use super::*;

    fn change(path: &str, what: Changed, entry: Option<Entry>) -> Change {
        Change {
            path: path.into(),
            what,
            entry,
            size: None,
            mode: Some(0o755),
        }
    }

    fn result(deed: Deed, changes: &[Change]) -> Result {
        let mut trace = Trace {
            acts: vec![Act {
                at_us: 0,
                process: None,
                result: Result::Attempted,
                times: 1,
                deed,
            }],
            ..Trace::default()
        };
        confirm(&mut trace, changes);
        trace.acts.remove(0).result
    }

    #[test]
    fn what_is_there_was_done_and_what_is_not_was_attempted() {
        let changes = [
            change("/a", Changed::Added, Some(Entry::File)),
            change("/d", Changed::Added, Some(Entry::Folder)),
            change("/l", Changed::Added, Some(Entry::Link("/x".into()))),
            change("/gone", Changed::Deleted, None),
        ];
        let open = |path: &str, write: bool| Deed::Open {
            path: path.into(),
            access: Access {
                read: !write,
                write,
                ..Access::default()
            },
        };
        let link = |to: &str| Deed::Link {
            path: "/l".into(),
            to: to.into(),
            symbolic: true,
        };
        let remove = |path: &str| Deed::Remove {
            path: path.into(),
            folder: false,
        };
        let mode = |mode| Deed::Mode {
            path: "/a".into(),
            mode,
        };
        let pairs = [
            (open("/a", true), open("/b", true)),
            (open("/a", true), open("/a", false)),
            (open("/a", true), open("/gone", true)),
            (
                Deed::MakeFolder { path: "/d".into() },
                Deed::MakeFolder { path: "/a".into() },
            ),
            (link("/x"), link("/y")),
            (remove("/gone"), remove("/a")),
            (mode(0o755), mode(0o777)),
            (
                Deed::Rename {
                    from: "/z".into(),
                    to: "/a".into(),
                },
                Deed::Rename {
                    from: "/a".into(),
                    to: "/z".into(),
                },
            ),
        ];
        for (done, attempted) in pairs {
            assert_eq!(result(done.clone(), &changes), Result::Done, "{done:?}");
            assert_eq!(
                result(attempted.clone(), &changes),
                Result::Attempted,
                "{attempted:?}"
            );
        }
    }

    #[test]
    fn what_failed_or_was_refused_stays_so() {
        let mut trace = Trace {
            acts: vec![Act {
                at_us: 0,
                process: None,
                result: Result::Refused,
                times: 1,
                deed: Deed::MakeFolder { path: "/d".into() },
            }],
            ..Trace::default()
        };
        confirm(&mut trace, &[change("/d", Changed::Added, Some(Entry::Folder))]);
        assert_eq!(trace.acts[0].result, Result::Refused);
    }
}
