//! What starting the interpreter and importing modules costs.

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use pyti_model::raw::{Costs, ImportNode};
use serde::Deserialize;
use serde_json::json;

use crate::Invocation;
use crate::lines;

/// Imports that are kept.
const NODES: usize = 5000;
/// Deepest import that is kept.
const DEEPEST: u32 = 200;

/// The command. Without modules only the interpreter's start is timed.
pub fn argv(invocation: &Invocation<'_>, modules: &[String], rounds: u32, budget_s: f64) -> Vec<String> {
    let config = json!({"modules": modules, "rounds": rounds, "budget_s": budget_s});
    invocation.argv("costs.py", [config.to_string()])
}

#[derive(Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
enum Line {
    Start { wall_s: f64, peak: u64 },
    Import { wall_s: f64, peak: u64 },
    Tree { mark: String, text: String },
    Done {},
}

/// Reads what it said. Sizes are the caller's to fill in.
pub fn parse(results: &[u8]) -> (Costs, Option<Loss>) {
    let (lines, loss) = lines::read::<Line>(results);
    let mut costs = Costs::default();
    let mut best: Option<Tree> = None;
    for line in lines {
        match line {
            Line::Start { wall_s, peak } => {
                costs.start_s.extend(sane(wall_s));
                costs.start_memory_bytes = costs.start_memory_bytes.max(peak);
            }
            Line::Import { wall_s, peak } => {
                costs.import_s.extend(sane(wall_s));
                costs.import_memory_bytes = costs.import_memory_bytes.max(peak);
            }
            Line::Tree { mark, text } => {
                let tree = tree(&mark, &text);
                if best.as_ref().is_none_or(|best| tree.total_us() < best.total_us()) {
                    best = Some(tree);
                }
            }
            Line::Done {} => {}
        }
    }
    if let Some(tree) = best {
        costs.modules = tree.modules;
        costs.failed = tree.failed;
        costs.imports_dropped = u32::try_from(tree.nodes.len().saturating_sub(NODES)).unwrap_or(u32::MAX);
        costs.imports = tree.nodes;
        costs.imports.truncate(NODES);
    }
    (costs, loss)
}

fn sane(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<ImportNode>,
    modules: u32,
    failed: Vec<Foreign>,
}

impl Tree {
    fn total_us(&self) -> u64 {
        self.nodes
            .iter()
            .filter(|node| node.depth == 0)
            .map(|node| node.total_us)
            .fold(0, u64::saturating_add)
    }
}

/// Reads what `-X importtime` wrote after our mark: an import after all that it imports, deeper ones indented by two
/// spaces. What the package wrote between is passed over.
fn tree(mark: &str, text: &str) -> Tree {
    let mut tree = Tree::default();
    let Some((_, text)) = text.split_once(&format!("{mark} begin")) else {
        return tree;
    };
    // subtrees that are complete and wait for who imported them, by depth
    let mut waiting: Vec<Vec<Vec<ImportNode>>> = Vec::new();
    for line in text.lines() {
        if let Some(ours) = line.strip_prefix(mark) {
            if let Some(name) = ours.strip_prefix(" failed ") {
                tree.failed.push(Foreign::from(name));
            } else if let Some(count) = ours.strip_prefix(" modules ") {
                tree.modules = count.parse().unwrap_or(0);
            }
            continue;
        }
        let Some(node) = node(line) else { continue };
        let depth = node.depth as usize;
        if waiting.len() < depth + 2 {
            waiting.resize_with(depth + 2, Vec::new);
        }
        let mut whole = vec![node];
        whole.extend(waiting[depth + 1].drain(..).flatten());
        waiting[depth].push(whole);
    }
    if let Some(tops) = waiting.into_iter().next() {
        tree.nodes = tops.into_iter().flatten().collect();
    }
    tree
}

/// `import time:       123 |        456 |   json.decoder`
fn node(line: &str) -> Option<ImportNode> {
    let rest = line.strip_prefix("import time:")?;
    let mut parts = rest.splitn(3, '|');
    let self_us = parts.next()?.trim().parse().ok()?;
    let total_us = parts.next()?.trim().parse().ok()?;
    let name = parts.next()?.strip_prefix(' ')?;
    let module = name.trim_start_matches(' ');
    let depth = u32::try_from((name.len() - module.len()) / 2).ok()?;
    (depth <= DEEPEST && !module.is_empty()).then(|| ImportNode {
        module: Foreign::from(module),
        depth,
        self_us,
        total_us,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_put_below_who_imports_them() {
        let text = "import time:       300 |        300 | site\n\nM begin\nimport time: self [us] | cumulative | imported package\n\
            import time:        10 |         10 |     json.scanner\n\
            package says: hello\n\
            import time:        20 |         30 |   json\n\
            import time:         5 |          5 |   re\n\
            import time:        40 |         75 | a\n\
            import time:         7 |          7 | b\n\
            \nM failed c\n\nM modules 5\n";
        let tree = tree("M", text);
        let told: Vec<(String, u32, u64)> = tree
            .nodes
            .iter()
            .map(|n| (n.module.visible(), n.depth, n.total_us))
            .collect();
        let expected = [
            ("a", 0, 75),
            ("json", 1, 30),
            ("json.scanner", 2, 10),
            ("re", 1, 5),
            ("b", 0, 7),
        ];
        assert_eq!(
            told,
            expected.map(|(name, depth, us)| (name.to_owned(), depth, us))
        );
        assert_eq!((tree.modules, tree.failed.len(), tree.total_us()), (5, 1, 82));
    }

    #[test]
    fn what_is_no_import_is_passed_over_and_without_our_mark_nothing_counts() {
        for bad in [
            "import time: x | 1 | a",
            "import time: 1 | 2",
            "import time: 1 | 2 | ",
            "import time: 99999999999999999999999 | 1 | a",
        ] {
            assert_eq!(node(bad), None, "{bad}");
        }
        assert_eq!(node(&format!("import time: 1 | 2 | {}a", " ".repeat(1000))), None);
        assert!(tree("M", "import time: 1 | 2 | a\n").nodes.is_empty());
    }

    #[test]
    fn the_quicker_tree_is_taken_and_times_that_are_none_are_not() {
        let text = br#"{"e":"start","wall_s":0.01,"peak":5}
{"e":"import","wall_s":-1,"peak":9}
{"e":"import","wall_s":0.05,"peak":7}
{"e":"tree","mark":"M","text":"M begin\nimport time: 1 | 9 | a\n"}
{"e":"tree","mark":"M","text":"M begin\nimport time: 1 | 4 | a\n"}
{"e":"done","exit":0}
"#;
        let (costs, loss) = parse(text);
        assert_eq!(
            (
                costs.import_s.len(),
                costs.imports[0].total_us,
                costs.import_memory_bytes
            ),
            (1, 4, 9)
        );
        assert!(loss.is_none());
    }
}
