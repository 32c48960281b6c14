//! cost: what the distribution costs who uses it: start-up, import, memory, size on disk. Nothing is watched here.

use std::collections::BTreeMap;
use std::path::Path;

use pyti_box::protocol::VENV;
use pyti_graph::{Outcome, TaskError};
use pyti_model::raw::{Costs, FileSort, KindSize, RawData};
use pyti_probes::costs;
use pyti_sandbox::Lower;

use super::{INSTALLED, RUNTIME_ENVIRONMENT, install};
use crate::commands::{self, INVOCATION};
use crate::job::{Cx, Ended, bad_end};

/// Times that each start is timed, as far as the budget allows.
const ROUNDS: u32 = 5;
/// Seconds that one command may go on with further rounds.
const BUDGET_S: f64 = 2.0;
/// Files that are looked at.
const FILES: usize = 300_000;

/// Measures what the distribution costs.
pub(crate) fn cost(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    let bare = timed(cx, &[], vec![environment.lower.clone()])?;
    let with = timed(
        cx,
        &installed.facts.top_level,
        install::lowers(&installed, &environment),
    )?;
    let (mut found, how) = with;
    found.bare_s = bare.0.start_s;
    found.sizes = sizes(&installed.layer.path().join(VENV.trim_start_matches('/')));
    let below = match &environment.lower {
        Lower::Folder(folder) => folder.clone(),
        Lower::Layer(layer) => layer.path(),
    };
    let site = below.join(installed.site_packages.trim_start_matches('/'));
    for size in sizes(&site) {
        found.dependencies.files += size.files;
        found.dependencies.bytes += size.bytes;
    }
    let failed = found.failed.len();
    job.keep(cx, RawData::Costs(Box::new(found)));
    Ok(match how {
        Some(how) => Outcome::warnings(how),
        None if failed > 0 => Outcome::warnings(format!("{failed} modules cannot be imported")),
        None => Outcome::success(),
    })
}

/// Times of one set of layers, and how the command ended badly.
fn timed(cx: &Cx<'_>, modules: &[String], lowers: Vec<Lower>) -> Result<(Costs, Option<String>), TaskError> {
    let job = cx.context();
    let mut command = commands::package(job, costs::argv(&INVOCATION, modules, ROUNDS, BUDGET_S), lowers);
    commands::add_probes(job, &mut command)?;
    let done = job.run(cx, &mut command)?;
    let (found, loss) = costs::parse(&done.results);
    job.lost(cx, loss);
    Ok((found, bad_end(&done.effect)))
}

/// Sizes of the files below a folder, by kind.
fn sizes(root: &Path) -> Vec<KindSize> {
    let mut by_kind: BTreeMap<FileSort, (u64, u64)> = BTreeMap::new();
    let (mut folders, mut seen) = (vec![root.to_owned()], 0_usize);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && seen < FILES {
                seen += 1;
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                // uv's lock of the environment is not the package's
                if relative == ".lock" {
                    continue;
                }
                let size = by_kind.entry(sort(&relative)).or_default();
                size.0 += 1;
                size.1 += entry.metadata().map_or(0, |m| m.len());
            }
        }
    }
    by_kind
        .into_iter()
        .map(|(kind, (files, bytes))| KindSize { kind, files, bytes })
        .collect()
}

/// What an installed file is for, by its path in the environment.
fn sort(path: &str) -> FileSort {
    let parts: Vec<&str> = path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if parts.first() == Some(&"bin") && parts.len() == 2 {
        return FileSort::Scripts;
    }
    if parts
        .iter()
        .any(|part| part.ends_with(".dist-info") || part.ends_with(".egg-info"))
    {
        return FileSort::Metadata;
    }
    match ending {
        "pyc" => return FileSort::Bytecode,
        "pyi" => return FileSort::Types,
        _ if name == "py.typed" => return FileSort::Types,
        _ => {}
    }
    let folders = &parts[..parts.len().saturating_sub(1)];
    let tests = folders
        .iter()
        .any(|part| matches!(*part, "tests" | "test" | "testing_data"))
        || ending == "py"
            && (name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py");
    if tests {
        return FileSort::Tests;
    }
    match ending {
        "py" => FileSort::Source,
        "so" | "a" | "pyd" | "dylib" => FileSort::Compiled,
        _ if name.contains(".so.") => FileSort::Compiled,
        _ => FileSort::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_what_they_are_for() {
        for (path, expected) in [
            ("bin/flask", FileSort::Scripts),
            ("lib/python3.13/site-packages/a/b.py", FileSort::Source),
            (
                "lib/python3.13/site-packages/a/b.cpython-313-x86_64-linux-gnu.so",
                FileSort::Compiled,
            ),
            (
                "lib/python3.13/site-packages/a.libs/libz.so.1",
                FileSort::Compiled,
            ),
            ("lib/python3.13/site-packages/a/tests/data.json", FileSort::Tests),
            ("lib/python3.13/site-packages/a/test_b.py", FileSort::Tests),
            ("lib/python3.13/site-packages/a/testing.py", FileSort::Source),
            ("lib/python3.13/site-packages/a/py.typed", FileSort::Types),
            ("lib/python3.13/site-packages/a/b.pyi", FileSort::Types),
            (
                "lib/python3.13/site-packages/a/__pycache__/b.pyc",
                FileSort::Bytecode,
            ),
            (
                "lib/python3.13/site-packages/a-1.dist-info/RECORD",
                FileSort::Metadata,
            ),
            ("lib/python3.13/site-packages/a/logo.svg", FileSort::Data),
        ] {
            assert_eq!(sort(path), expected, "{path}");
        }
    }
}
