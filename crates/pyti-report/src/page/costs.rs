//! What a distribution costs who uses it, on the page: import time as an icicle, sizes, slowest tests, tasks.

use pyti_judge::JobRecord;
use pyti_model::effect::Cost;
use pyti_model::raw::{Costs, ImportNode, TestCase};

use crate::sentences::{self, shown, shown_str};
use crate::words::{bytes, count, float, number, seconds};

/// Height of a level of the icicle, pixels.
const LEVEL: u32 = 20;
/// Deepest level that is drawn.
const DEEPEST: u32 = 12;
/// Narrowest bar that is drawn, per cent of the width.
const NARROWEST: f64 = 0.4;
/// Bars that are drawn.
const BARS: usize = 400;
/// Rows of the tables.
const ROWS: usize = 15;

/// What is shown of the costs.
pub(crate) struct CostsPart {
    pub(crate) summary: String,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) height: u32,
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
    /// Module, its own time, its time with what it imports.
    pub(crate) slowest: Vec<(String, String, String)>,
    pub(crate) sizes: Vec<(&'static str, String, String)>,
    /// Test, wall, CPU, memory.
    pub(crate) tests: Vec<(String, String, String, String)>,
    /// Task, wall, CPU, memory, read, written, processes.
    pub(crate) tasks: Vec<Vec<String>>,
}

/// One import of the icicle. Positions are per cent of its width.
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) y: u32,
    pub(crate) w: String,
    /// `own`: of the distribution; `other`: of what it needs, or of Python.
    pub(crate) class: &'static str,
    pub(crate) name: String,
    pub(crate) title: String,
}

/// What is shown of a job's costs.
pub(crate) fn part(record: &JobRecord) -> Option<CostsPart> {
    let costs = record.costs()?;
    let own: Vec<&str> = record
        .install()
        .map(|install| install.top_level.iter().map(String::as_str).collect())
        .unwrap_or_default();
    let bars = icicle(&costs.imports, &own);
    let mut by_self: Vec<&ImportNode> = costs.imports.iter().collect();
    by_self.sort_by_key(|node| std::cmp::Reverse(node.self_us));
    Some(CostsPart {
        summary: sentences::costs(costs),
        facts: facts(costs),
        height: bars.iter().map(|bar| bar.y + LEVEL).max().unwrap_or(0),
        label: label(&by_self),
        bars,
        slowest: by_self
            .iter()
            .take(ROWS)
            .map(|node| (shown(&node.module), micro(node.self_us), micro(node.total_us)))
            .collect(),
        sizes: costs
            .sizes
            .iter()
            .map(|size| (size.kind.word(), number(size.files), bytes(size.bytes)))
            .chain((costs.dependencies.files > 0).then(|| {
                (
                    "what it needs besides",
                    number(costs.dependencies.files),
                    bytes(costs.dependencies.bytes),
                )
            }))
            .collect(),
        tests: slowest_tests(record),
        tasks: tasks(record),
    })
}

fn micro(us: u64) -> String {
    if us < 10_000 {
        format!("{:.1} ms", float(us) / 1000.0)
    } else {
        seconds(float(us) / 1e6)
    }
}

fn label(by_self: &[&ImportNode]) -> String {
    let words: Vec<String> = by_self
        .iter()
        .take(3)
        .map(|node| format!("{} {}", shown(&node.module), micro(node.self_us)))
        .collect();
    format!("import time as an icicle; most time itself: {}", words.join(", "))
}

fn least(times: &[f64]) -> Option<f64> {
    times.iter().copied().min_by(f64::total_cmp)
}

fn facts(costs: &Costs) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let times = |times: &[f64]| {
        let most = times.iter().copied().fold(0.0, f64::max);
        least(times).map(|least| {
            format!(
                "{:.1} ms at best, {:.1} ms at worst of {}",
                least * 1000.0,
                most * 1000.0,
                count(times.len() as u64, "time")
            )
        })
    };
    for (name, list) in [
        ("interpreter alone", &costs.bare_s),
        ("with it installed", &costs.start_s),
        ("with it imported", &costs.import_s),
    ] {
        facts.extend(times(list).map(|text| (name, text)));
    }
    if costs.import_memory_bytes > 0 {
        facts.push((
            "memory",
            format!(
                "{} with it imported, {} without",
                bytes(costs.import_memory_bytes),
                bytes(costs.start_memory_bytes)
            ),
        ));
        facts.push(("modules", number(costs.modules.into())));
    }
    if !costs.failed.is_empty() {
        let words: Vec<String> = costs.failed.iter().map(shown).collect();
        facts.push(("cannot be imported", crate::words::some(&words, 8)));
    }
    facts
}

/// Lays out a walk from the top: each import below who imports it, as wide as its time.
fn icicle(nodes: &[ImportNode], own: &[&str]) -> Vec<Bar> {
    let whole: u64 = nodes
        .iter()
        .filter(|node| node.depth == 0)
        .map(|node| node.total_us)
        .sum();
    if whole == 0 {
        return Vec::new();
    }
    let scale = 100.0 / float(whole);
    // where the next import of each level begins
    let mut next: Vec<f64> = vec![0.0];
    let mut bars = Vec::new();
    for node in nodes {
        let depth = node.depth as usize;
        if depth >= next.len() {
            // a level without the one above it cannot be placed
            if depth > next.len() {
                continue;
            }
            next.push(0.0);
        }
        let x = next[depth];
        let w = float(node.total_us) * scale;
        next[depth] = x + w;
        next.truncate(depth + 1);
        next.push(x);
        if w < NARROWEST || node.depth > DEEPEST || bars.len() >= BARS {
            continue;
        }
        let name = shown(&node.module);
        let top = name.split('.').next().unwrap_or_default();
        bars.push(Bar {
            x: format!("{:.2}", x.min(100.0)),
            y: node.depth * LEVEL,
            w: format!("{:.2}", w.min(100.0)),
            class: if own.contains(&top) { "own" } else { "other" },
            title: format!(
                "{name}: {} with what it imports, {} itself",
                micro(node.total_us),
                micro(node.self_us)
            ),
            name,
        });
    }
    bars
}

fn slowest_tests(record: &JobRecord) -> Vec<(String, String, String, String)> {
    let Some(test) = record.test() else {
        return Vec::new();
    };
    let mut cases: Vec<&TestCase> = test.cases.iter().filter(|case| case.wall_s > 0.0005).collect();
    cases.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
    let or_nothing = |text: Option<String>| text.unwrap_or_default();
    cases
        .iter()
        .take(ROWS)
        .map(|case| {
            (
                shown(&case.id),
                seconds(case.wall_s),
                or_nothing(case.cpu_s.map(seconds)),
                or_nothing(case.peak_bytes.map(bytes)),
            )
        })
        .collect()
}

fn tasks(record: &JobRecord) -> Vec<Vec<String>> {
    record
        .tasks
        .iter()
        .filter(|task| !task.effects.is_empty())
        .map(|task| {
            let costs = || task.last_effects().map(|effect| &effect.effect.cost);
            let sum = |of: fn(&Cost) -> Option<u64>| -> String {
                let known: Vec<u64> = costs().filter_map(of).collect();
                if known.is_empty() {
                    String::new()
                } else {
                    bytes(known.iter().sum())
                }
            };
            let begun: Vec<u64> = costs().filter_map(|cost| cost.begun).collect();
            let processes = if begun.is_empty() {
                format!(
                    "{} at once",
                    costs().map(|cost| cost.peak_processes).max().unwrap_or(0)
                )
            } else {
                number(begun.iter().sum())
            };
            vec![
                shown_str(&task.name),
                seconds(task.wall_s),
                seconds(task.cpu_s),
                bytes(task.peak_memory_bytes),
                sum(|cost| cost.read_bytes),
                sum(|cost| cost.written_bytes),
                processes,
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(module: &str, depth: u32, self_us: u64, total_us: u64) -> ImportNode {
        ImportNode {
            module: module.into(),
            depth,
            self_us,
            total_us,
        }
    }

    #[test]
    fn an_import_lies_below_who_imports_it_as_wide_as_its_time() {
        let nodes = [
            node("a", 0, 10, 60),
            node("a.b", 1, 20, 30),
            node("json", 2, 10, 10),
            node("a.c", 1, 20, 20),
            node("d", 0, 40, 40),
        ];
        let bars = icicle(&nodes, &["a"]);
        let places: Vec<(&str, u32, &str)> = bars
            .iter()
            .map(|bar| (bar.x.as_str(), bar.y, bar.w.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                ("0.00", 0, "60.00"),
                ("0.00", 20, "30.00"),
                ("0.00", 40, "10.00"),
                ("30.00", 20, "20.00"),
                ("60.00", 0, "40.00")
            ]
        );
        assert_eq!((bars[0].class, bars[2].class), ("own", "other"));
        assert!(icicle(&[], &[]).is_empty());
        assert_eq!(
            icicle(&[node("a", 3, 1, 1), node("b", 0, 1, 1)], &[]).len(),
            1,
            "one hangs in the air"
        );
    }
}
