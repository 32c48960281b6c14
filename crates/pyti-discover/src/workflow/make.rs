//! The target for tests of a Makefile or justfile.

use std::collections::BTreeMap;

use super::Workflow;
use crate::tree::Tree;

/// Commands of a target that are looked at.
const MOST: usize = 40;

/// The target, where there is one.
pub(super) fn target(tree: &dyn Tree) -> Option<Workflow> {
    ["Makefile", "makefile", "GNUmakefile", "justfile", "Justfile"]
        .iter()
        .find_map(|file| of(file, &tree.text(file)?))
}

fn of(file: &str, text: &str) -> Option<Workflow> {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    let mut targets: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    let mut open: Option<&str> = None;
    for line in text.lines().take(20_000) {
        if line.starts_with(['\t', ' ']) {
            if let Some((_, commands)) = open.and_then(|name| targets.get_mut(name))
                && commands.len() < MOST
            {
                commands.push(line.trim());
            }
            continue;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        open = None;
        if let Some((name, value)) = line.split_once('=') {
            let name = name.trim().trim_end_matches([':', '?', '+']).trim();
            if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                variables.entry(name).or_insert(value.trim());
                continue;
            }
        }
        if let Some((name, needs)) = line.split_once(':') {
            let name = name.split_whitespace().next().unwrap_or_default();
            targets
                .entry(name)
                .or_insert_with(|| (needs.split_whitespace().collect(), Vec::new()));
            open = Some(name);
        }
    }
    let (name, first) = ["test", "tests", "unittest", "unit", "check", "pytest"]
        .iter()
        .find_map(|name| Some((*name, targets.get(name)?)))?;
    let mut flow = Workflow {
        rung: format!("the target {name}"),
        file: file.to_owned(),
        needle: format!("{name}:"),
        ..Workflow::default()
    };
    let mut steps = 0;
    // what it needs may be what runs them
    let needed = first.0.iter().filter_map(|name| targets.get(name));
    for line in needed.chain([first]).flat_map(|(_, commands)| commands) {
        let line = expanded(
            line.trim_start_matches(['@', '-', '+']),
            &variables,
            0,
            &mut steps,
        );
        match super::installs(&line) {
            Some(words) => flow.install(&words),
            None => flow.commands.push(line),
        }
    }
    flow.command().is_some().then_some(flow)
}

/// The line with its variables, as far as they are plain. What refers to itself ends.
fn expanded(line: &str, variables: &BTreeMap<&str, &str>, depth: usize, steps: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let close = match rest.chars().next() {
            Some('(') => ')',
            Some('{') => '}',
            _ => continue,
        };
        let Some(end) = rest.find(close) else { continue };
        let name = &rest[1..end];
        rest = &rest[end + 1..];
        let value = variables.get(name).copied().unwrap_or(match name {
            "PYTHON" | "PYTHON3" => "python",
            "PYTEST" => "pytest",
            "PIP" => "pip",
            _ => "",
        });
        *steps += 1;
        if depth < 8 && out.len() < 10_000 && *steps < 5000 {
            out.push_str(&expanded(value, variables, depth + 1, steps));
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_with_its_variables() {
        let found = of(
            "Makefile",
            "PY ?= python3\nRUN = $(PY) -m pytest\nLOOP = $(LOOP)x\n.PHONY: test\nlint:\n\truff\ntest: deps\n\t@echo $(LOOP)\n\t$(RUN) tests\ndeps:\n\tpip install mock\n",
        )
        .unwrap();
        assert_eq!(found.lines, ["mock"]);
        assert_eq!(found.command().unwrap().0, "python3 -m pytest tests");
        assert_eq!(of("Makefile", "test:\n\techo none\n"), None);
        let mut wide = String::from("k0 =\n");
        for n in 1..9 {
            wide.push_str(&format!("k{n} = {}\n", format!("$(k{})", n - 1).repeat(200)));
        }
        wide.push_str("test:\n\t$(k8) pytest\n");
        assert_eq!(
            of("Makefile", &wide).unwrap().command().unwrap().0.trim(),
            "pytest"
        );
    }
}
