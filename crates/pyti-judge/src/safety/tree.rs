//! Who descends from whom, and which program a process runs at a moment.

use pyti_model::trace::{Process, Trace};

/// The processes of one command.
#[derive(Debug)]
pub(super) struct Tree {
    branches: Vec<Option<u32>>,
}

impl Tree {
    /// Under a harness each child of the command's own process is a branch of its own, and what the harness itself does
    /// belongs to all of them; else the whole command is one branch. Processes whose parent nobody knows are taken
    /// for children of the command's own.
    pub(super) fn of(trace: &Trace, harness: bool) -> Self {
        let count = trace.processes.len();
        if !harness {
            return Self {
                branches: vec![Some(0); count],
            };
        }
        let mut branches: Vec<Option<Option<u32>>> = vec![None; count];
        if let Some(first) = branches.first_mut() {
            *first = Some(None);
        }
        for start in 1..count {
            let mut way = Vec::new();
            let mut at = start;
            let branch = loop {
                if let Some(known) = branches[at] {
                    break known;
                }
                if way.contains(&at) && way.len() <= 64 || way.len() > count {
                    // nobody is his own ancestor; whoever says so belongs to everything
                    break None;
                }
                way.push(at);
                match parent(&trace.processes[at], count) {
                    Some(parent) if parent != 0 => at = parent,
                    _ => break u32::try_from(at).ok(),
                }
            };
            for process in way {
                branches[process] = Some(branch);
            }
        }
        Self {
            branches: branches.into_iter().map(Option::flatten).collect(),
        }
    }

    /// The branch of a process; `None` is part of every branch.
    pub(super) fn branch(&self, process: Option<u32>) -> Option<u32> {
        *self.branches.get(process? as usize)?
    }
}

fn parent(process: &Process, count: usize) -> Option<usize> {
    let parent = process.parent? as usize;
    (parent < count).then_some(parent)
}

/// The executable of a process, else of the nearest ancestor that has a known one.
pub(super) fn executable(trace: &Trace, process: u32) -> Option<&pyti_model::Foreign> {
    let mut at = process as usize;
    for _ in 0..trace.processes.len() {
        let process = trace.processes.get(at)?;
        if !process.executable.is_empty() {
            return Some(&process.executable);
        }
        at = parent(process, trace.processes.len())?;
    }
    None
}

/// Which program each process runs, while acts go by.
#[derive(Debug)]
pub(super) struct Running {
    now: Vec<Option<u32>>,
}

impl Running {
    pub(super) fn new(processes: usize) -> Self {
        Self {
            now: vec![None; processes],
        }
    }

    /// The process executed another program.
    pub(super) fn executes(&mut self, process: u32, program: u32) {
        if let Some(now) = self.now.get_mut(process as usize) {
            *now = Some(program);
        }
    }

    /// What the process runs: what it executed last, else what its parent ran when it was seen first. `None` when it
    /// is not known from what went by.
    pub(super) fn program(&mut self, trace: &Trace, process: u32) -> Option<u32> {
        let mut way = Vec::new();
        let mut at = process as usize;
        let found = loop {
            if let Some(program) = self.now.get(at)? {
                break *program;
            }
            way.push(at);
            if way.len() > self.now.len() {
                return None;
            }
            at = parent(trace.processes.get(at)?, self.now.len())?;
        };
        for process in way {
            self.now[process] = Some(found);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(parents: &[Option<u32>]) -> Trace {
        Trace {
            processes: (0..)
                .zip(parents)
                .map(|(number, parent)| Process {
                    number,
                    parent: *parent,
                    pid: 2,
                    began_us: 0,
                    ended: None,
                    executable: "/usr/bin/python3".into(),
                    argv: Vec::new(),
                })
                .collect(),
            ..Trace::default()
        }
    }

    #[test]
    fn a_harness_has_branches_and_others_have_one() {
        let trace = trace(&[None, Some(0), Some(1), Some(0), None]);
        let branches = |harness| -> Vec<Option<u32>> {
            let tree = Tree::of(&trace, harness);
            (0..5).map(|p| tree.branch(Some(p))).collect()
        };
        assert_eq!(branches(true), [None, Some(1), Some(1), Some(3), Some(4)]);
        assert_eq!(branches(false), [Some(0); 5]);
        assert_eq!(Tree::of(&trace, true).branch(Some(99)), None);
        assert_eq!(Tree::of(&trace, true).branch(None), None);
    }

    #[test]
    fn circles_of_parents_end() {
        let trace = trace(&[Some(0), Some(2), Some(1), Some(3), Some(77)]);
        let tree = Tree::of(&trace, true);
        assert_eq!(tree.branch(Some(1)), None);
        assert_eq!(tree.branch(Some(3)), None);
        assert_eq!(tree.branch(Some(4)), Some(4));
        assert_eq!(Running::new(5).program(&trace, 1), None);
    }

    #[test]
    fn a_child_runs_what_its_parent_ran_until_it_executes() {
        let trace = trace(&[None, Some(0), Some(1)]);
        let mut running = Running::new(3);
        running.executes(0, 7);
        assert_eq!(running.program(&trace, 2), Some(7));
        running.executes(1, 8);
        assert_eq!(
            (running.program(&trace, 2), running.program(&trace, 1)),
            (Some(7), Some(8))
        );
    }
}
