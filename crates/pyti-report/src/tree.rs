//! The processes of a command as a tree, and which of them matter.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::trace::{Deed, Origin, Trace};

use crate::deeds::{self, Kind};
use crate::seen::Traced;

/// Processes up to which nothing is folded.
const FEW: usize = 14;
/// Rows of a folded tree at most.
const MOST: usize = 80;
/// Processes on the way to one that matters.
const WAY: usize = 16;
/// Names in a line that stands for folded processes.
const NAMES: usize = 4;

/// A tree of processes. Parents come from a recording and may be wrong: every process has one place all the same.
pub(crate) struct Tree {
    /// Parent of each process, without cycles.
    parents: Vec<Option<usize>>,
    /// Depth of each process.
    depths: Vec<usize>,
    /// All processes, parents before their children, as they are shown.
    order: Vec<usize>,
}

/// One line of a tree that is shown.
pub(crate) enum Row {
    /// A process.
    Process {
        /// Its place in [`Trace::processes`].
        process: usize,
        /// How deep it is.
        depth: usize,
    },
    /// Processes that are folded.
    Folded {
        /// How deep they are.
        depth: usize,
        /// How many.
        number: usize,
        /// What they ran, most frequent first.
        names: String,
    },
}

impl Tree {
    /// The tree of a trace.
    pub(crate) fn of(trace: &Trace) -> Self {
        let all = trace.processes.len();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); all];
        let mut roots = Vec::new();
        for (n, process) in trace.processes.iter().enumerate() {
            match process.parent.and_then(|parent| usize::try_from(parent).ok()) {
                Some(parent) if parent < all && parent != n => children[parent].push(n),
                _ => roots.push(n),
            }
        }
        let mut tree = Self {
            parents: vec![None; all],
            depths: vec![0; all],
            order: Vec::with_capacity(all),
        };
        let mut placed = vec![false; all];
        for root in roots {
            tree.place(root, &children, &mut placed);
        }
        // parents in a circle: the first of them stands for the root
        for n in 0..all {
            tree.place(n, &children, &mut placed);
        }
        tree
    }

    fn place(&mut self, root: usize, children: &[Vec<usize>], placed: &mut [bool]) {
        if placed[root] {
            return;
        }
        placed[root] = true;
        let mut stack = vec![root];
        while let Some(n) = stack.pop() {
            self.order.push(n);
            for child in children[n].iter().rev() {
                if !placed[*child] {
                    placed[*child] = true;
                    self.parents[*child] = Some(n);
                    self.depths[*child] = self.depths[n] + 1;
                    stack.push(*child);
                }
            }
        }
    }

    /// All processes, parents before their children.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Parent of a process.
    pub(crate) fn parent(&self, process: usize) -> Option<usize> {
        self.parents.get(process).copied().flatten()
    }

    /// How deep a process is; the command's own is at 0.
    pub(crate) fn depth(&self, process: usize) -> usize {
        self.depths.get(process).copied().unwrap_or_default()
    }

    /// From the command's own process down to this one.
    pub(crate) fn path(&self, process: usize) -> Vec<usize> {
        if process >= self.parents.len() {
            return Vec::new();
        }
        let mut path = vec![process];
        let mut at = process;
        while let Some(parent) = self.parent(at) {
            path.push(parent);
            at = parent;
        }
        path.reverse();
        path
    }

    /// These processes and all above them.
    pub(crate) fn ways(&self, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut ways = BTreeSet::new();
        for n in wanted.iter().filter(|n| **n < self.parents.len()) {
            let mut at = Some(*n);
            // whoever is in it has all above in it, too
            while let Some(process) = at.filter(|process| ways.insert(*process)) {
                at = self.parent(process);
            }
        }
        ways
    }

    /// The tree folded to what matters: these processes, those that did something notable, and the way to them. The
    /// depth of a row counts the rows above it that are shown.
    pub(crate) fn folded(&self, traced: &Traced<'_>, wanted: &BTreeSet<usize>) -> Vec<Row> {
        let shown = self.shown(traced, wanted);
        let mut rows = Vec::new();
        let mut hidden: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        // the nearest process at or above each that is shown; parents come first in the order
        let mut nearest: Vec<Option<usize>> = vec![None; self.parents.len()];
        let mut depths: Vec<usize> = vec![0; self.parents.len()];
        for n in &self.order {
            let above = self.parent(*n).and_then(|parent| nearest[parent]);
            if shown.contains(n) {
                nearest[*n] = Some(*n);
                depths[*n] = above.map_or(0, |above| depths[above] + 1);
            } else {
                nearest[*n] = above;
                hidden.entry(above).or_default().push(*n);
            }
        }
        let fold = |parent: Option<usize>| {
            hidden.get(&parent).map(|processes| Row::Folded {
                depth: parent.map_or(0, |parent| depths[parent] + 1),
                number: processes.len(),
                names: names(traced.trace, processes),
            })
        };
        for n in self.order.iter().filter(|n| shown.contains(n)) {
            rows.push(Row::Process {
                process: *n,
                depth: depths[*n],
            });
            rows.extend(fold(Some(*n)));
        }
        rows.extend(fold(None));
        rows
    }

    fn shown(&self, traced: &Traced<'_>, wanted: &BTreeSet<usize>) -> BTreeSet<usize> {
        if self.order.len() <= FEW {
            return self.order.iter().copied().collect();
        }
        let notable = notable(traced);
        let mut shown: BTreeSet<usize> = self.order.first().copied().into_iter().collect();
        for n in wanted.iter().chain(&notable) {
            if shown.len() >= MOST {
                break;
            }
            let path = self.path(*n);
            // of a long way the beginning and the end
            let skip = path.len().saturating_sub(WAY);
            shown.extend(path.iter().take(WAY / 4));
            shown.extend(path.iter().skip(skip.max(WAY / 4)));
        }
        shown
    }
}

/// Processes that did something worth a line on its own.
fn notable(traced: &Traced<'_>) -> BTreeSet<usize> {
    traced
        .trace
        .acts
        .iter()
        .filter(|act| match Kind::of(act) {
            Kind::Decoy | Kind::Network | Kind::Refused => true,
            _ => matches!(
                &act.deed,
                Deed::Execute {
                    origin: Origin::Written | Origin::Nameless,
                    ..
                }
            ),
        })
        .filter_map(|act| act.process.and_then(|n| usize::try_from(n).ok()))
        .filter(|n| *n < traced.trace.processes.len())
        .collect()
}

/// What some processes ran, most frequent first: `cc1 ×8, as ×4`.
fn names(trace: &Trace, processes: &[usize]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for process in processes.iter().filter_map(|n| trace.processes.get(*n)) {
        *counts.entry(deeds::short_process(process).0).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let words: Vec<String> = counts
        .into_iter()
        .map(|(name, times)| {
            if times == 1 {
                name
            } else {
                format!("{name} ×{times}")
            }
        })
        .collect();
    crate::words::some(&words, NAMES)
}

#[cfg(test)]
mod tests {
    use pyti_judge::{JobRecord, RecordedTrace, TaskRecord};
    use pyti_model::trace::Process;

    use super::*;

    fn trace(parents: &[Option<u32>]) -> Trace {
        Trace {
            processes: parents
                .iter()
                .zip(0..)
                .map(|(parent, number)| Process {
                    number,
                    parent: *parent,
                    pid: 1,
                    began_us: 0,
                    ended: None,
                    executable: "/bin/sh".into(),
                    argv: Vec::new(),
                })
                .collect(),
            ..Trace::default()
        }
    }

    #[test]
    fn children_follow_their_parents() {
        let tree = Tree::of(&trace(&[None, Some(0), Some(0), Some(1)]));
        assert_eq!(tree.order(), [0, 1, 3, 2]);
        assert_eq!(tree.path(3), [0, 1, 3]);
        assert_eq!(tree.ways(&BTreeSet::from([3, 1, 9])), BTreeSet::from([0, 1, 3]));
        assert_eq!(tree.depth(3), 2);
    }

    #[test]
    fn a_long_chain_is_folded_and_its_end_is_there() {
        let parents: Vec<Option<u32>> = (0..8000).map(|n: u32| n.checked_sub(1)).collect();
        let record = JobRecord {
            tasks: vec![TaskRecord {
                traces: vec![RecordedTrace {
                    seq: 3,
                    attempt: 1,
                    trace: trace(&parents),
                }],
                ..TaskRecord::default()
            }],
            ..JobRecord::default()
        };
        let judgement = pyti_judge::judge(&record);
        let seen = crate::seen::Seen::of(&crate::Job::new(&record, &judgement));
        let traced = seen.traced(3).unwrap();
        let rows = traced.tree().folded(traced, &BTreeSet::from([7999]));
        assert!(rows.len() < 30, "{}", rows.len());
        assert!(
            rows.iter()
                .any(|row| matches!(row, Row::Process { process: 7999, depth } if *depth < 20))
        );
        let folded: usize = rows
            .iter()
            .map(|row| match row {
                Row::Folded { number, .. } => *number,
                Row::Process { .. } => 1,
            })
            .sum();
        assert_eq!(folded, 8000, "nobody is forgotten");
    }

    #[test]
    fn parents_that_cannot_be_lose_nobody() {
        for parents in [
            &[Some(1), Some(0)][..],
            &[Some(0)],
            &[Some(7), None],
            &[Some(2), Some(0), Some(1), Some(2)],
        ] {
            let tree = Tree::of(&trace(parents));
            let mut all = tree.order().to_vec();
            all.sort_unstable();
            assert_eq!(all, (0..parents.len()).collect::<Vec<_>>());
            for n in 0..parents.len() {
                assert!(tree.path(n).len() <= parents.len());
            }
        }
        assert!(Tree::of(&trace(&[])).path(3).is_empty());
    }
}
