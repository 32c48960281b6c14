//! What tox's default test environment wants and runs: read from its files, never by tox.

mod factors;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::commandline;
use crate::declaration::{Project, strings};
use crate::ini::{self, Ini};
use substitute::Substitution;

/// Requirements and commands of an environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Lines of `deps`, also `-r FILE` and `-c FILE`.
    pub(crate) deps: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) commands: Vec<String>,
    /// `set_env`.
    pub(crate) env: BTreeMap<String, String>,
    /// `change_dir`, relative to the tree.
    pub(crate) cwd: String,
    /// Its name.
    pub(crate) name: String,
    /// The file that it stands in, and a text that leads to its line.
    pub(crate) file: String,
    pub(crate) needle: String,
    /// Substitutions that lead back to themselves.
    pub(crate) loops: Vec<String>,
}

/// Reads it from tox.ini, setup.cfg, tox.toml or pyproject.toml, where tox looks for it in this order.
pub(crate) fn environment(project: &Project) -> Option<Environment> {
    let legacy = project
        .table(&["tool", "tox"])
        .and_then(|tox| tox.get("legacy_tox_ini")?.as_str())
        .map(ini::read);
    for (file, ini, prefix) in [
        ("tox.ini", Some(&project.tox_ini), ""),
        ("setup.cfg", Some(&project.setup_cfg), "tox:"),
        ("pyproject.toml", legacy.as_ref(), ""),
    ] {
        if let Some(found) = ini.and_then(|ini| of_ini(file, ini, prefix)) {
            return Some(found);
        }
    }
    project
        .table(&["tool", "tox"])
        .and_then(|tox| of_toml("pyproject.toml", tox))
        .or_else(|| of_toml("tox.toml", &project.tox_toml))
}

fn of_ini(file: &str, ini: &Ini, prefix: &str) -> Option<Environment> {
    let base = format!("{prefix}testenv");
    let start = format!("{base}:");
    let none = BTreeMap::new();
    let common = ini.get(&base).unwrap_or(&none);
    // sections and the names that each stands for
    let sections: Vec<(&String, Vec<String>)> = ini
        .keys()
        .filter_map(|key| Some((key, factors::expand(key.strip_prefix(&start)?))))
        .collect();
    if common.is_empty() && sections.is_empty() {
        return None;
    }
    let core = ini.get(&format!("{prefix}tox"));
    let listed = core
        .and_then(|keys| keys.get("envlist").or_else(|| keys.get("env_list")))
        .map(|text| factors::expand(text))
        .unwrap_or_default();
    let own: Vec<String> = sections.iter().flat_map(|(_, names)| names.clone()).collect();
    let read = |name: &str| of_section(file, ini, prefix, name, &sections, common);
    candidates(&listed, &own)
        .into_iter()
        .map(|name| read(&name))
        .min_by_key(rank)
        .or_else(|| Some(read("py")))
}

/// Names that may be the test environment, likely ones first.
fn candidates(listed: &[String], own: &[String]) -> Vec<String> {
    const MOST: usize = 40;
    // PyPy's environments often run only some of the tests
    let python = |name: &&String| {
        let factors = factors::of(name);
        factors.iter().any(|f| factors::is_python(f)) && !factors.iter().any(|f| f.starts_with("pypy"))
    };
    let mut names = vec!["py".to_owned()];
    // of several interpreters the last is the newest
    names.extend(listed.iter().rev().filter(python).cloned());
    names.extend(own.iter().filter(|name| likely(name)).cloned());
    names.extend(listed.iter().filter(|name| likely(name)).cloned());
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.truncate(MOST);
    names
}

fn likely(name: &str) -> bool {
    factors::of(name).iter().any(|f| {
        matches!(
            f.as_str(),
            "test" | "tests" | "unit" | "unittest" | "unittests" | "pytest" | "testing"
        )
    })
}

/// How little an environment looks like the one for tests: one that runs tests comes before one that does not, one with few
/// factors before one with many.
fn rank(environment: &Environment) -> (bool, usize) {
    let tests = environment
        .commands
        .iter()
        .any(|line| commandline::read(line).is_some());
    let known = |f: &&str| !factors::is_python(f) && !likely(f);
    (!tests, environment.name.split('-').filter(known).count())
}

fn of_section(
    file: &str,
    ini: &Ini,
    prefix: &str,
    name: &str,
    sections: &[(&String, Vec<String>)],
    common: &BTreeMap<String, String>,
) -> Environment {
    let base = format!("{prefix}testenv");
    let section = sections
        .iter()
        .find(|(_, names)| names.iter().any(|n| n == name))
        .map_or(base.as_str(), |(key, _)| key.as_str());
    let own = ini.get(section);
    let factors = factors::of(name);
    let mut substitution = Substitution {
        ini,
        prefix,
        section,
        loops: Vec::new(),
        steps: 0,
    };
    let mut value = |keys: &[&str]| -> Vec<String> {
        let text = keys
            .iter()
            .find_map(|key| own.and_then(|own| own.get(*key)).or_else(|| common.get(*key)))
            .cloned()
            .unwrap_or_default();
        // a condition stands before what it is about, also in a value that is referred to
        let text = substitution.of(&text.replace("\\\n", " "));
        ini::lines(&text)
            .filter_map(|line| factors::holds(line, &factors))
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let deps = value(&["deps"]).iter().map(|line| relative(line)).collect();
    let words = |lines: Vec<String>| -> Vec<String> {
        lines
            .iter()
            .flat_map(|line| line.split([',', ' ']))
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    let extras = words(value(&["extras"]));
    let groups = words(value(&["dependency_groups"]));
    let commands = value(&["commands"]).iter().map(|line| relative(line)).collect();
    let env = value(&["set_env", "setenv"])
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let cwd = value(&["change_dir", "changedir"]).join("");
    Environment {
        deps,
        extras,
        groups,
        commands,
        env,
        cwd: folder(&cwd),
        name: name.to_owned(),
        file: file.to_owned(),
        needle: format!("[{section}]"),
        loops: substitution.loops,
    }
}

/// What began with the folder of tox.ini begins with nothing now.
fn relative(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let word = match word.strip_prefix("-r/").or_else(|| word.strip_prefix("-c/")) {
            Some(rest) => format!("{}{rest}", &word[..2]),
            None if word.starts_with("/home/") || word.starts_with("/tmp") => word.to_owned(),
            None => word
                .strip_prefix('/')
                .map_or_else(|| word.to_owned(), str::to_owned),
        };
        words.push(word);
    }
    words.join(" ")
}

/// A folder of the tree; nothing when it lies elsewhere.
fn folder(text: &str) -> String {
    let text = text.trim().trim_matches('/');
    if text.split('/').any(|part| part == "..")
        || text.starts_with("tmp")
        || text.contains('{')
        || text == "."
    {
        String::new()
    } else {
        text.to_owned()
    }
}

fn of_toml(file: &str, tox: &toml::Table) -> Option<Environment> {
    let base = tox.get("env_run_base").and_then(Value::as_table);
    let environments = tox.get("env").and_then(Value::as_table);
    let own = environments
        .into_iter()
        .flatten()
        .filter_map(|(name, table)| Some((name, table.as_table()?)));
    let names: Vec<(&String, &toml::Table)> = own.collect();
    if base.is_none() && names.is_empty() {
        return None;
    }
    let read = |name: &str, table: Option<&toml::Table>| {
        let value = |keys: &[&str]| {
            keys.iter().find_map(|key| {
                table
                    .and_then(|t| t.get(*key))
                    .or_else(|| base.and_then(|b| b.get(*key)))
            })
        };
        Environment {
            deps: flat(value(&["deps"]), tox, 0)
                .into_iter()
                .map(|line| relative(&plain(&line)))
                .collect(),
            extras: strings(value(&["extras"])),
            groups: strings(value(&["dependency_groups"])),
            commands: value(&["commands"])
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|command| match command {
                    Value::Array(_) => flat(Some(command), tox, 0)
                        .iter()
                        .map(|word| quoted(&relative(&plain(word))))
                        .collect::<Vec<_>>()
                        .join(" "),
                    other => relative(&plain(other.as_str().unwrap_or_default())),
                })
                .filter(|line| !line.is_empty())
                .collect(),
            env: value(&["set_env"])
                .and_then(Value::as_table)
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), plain(value.as_str()?))))
                .collect(),
            cwd: value(&["change_dir"])
                .and_then(Value::as_str)
                .map(|text| folder(&plain(text)))
                .unwrap_or_default(),
            name: name.to_owned(),
            file: file.to_owned(),
            needle: if table.is_some() {
                format!("env.{name}")
            } else {
                "env_run_base".to_owned()
            },
            loops: Vec::new(),
        }
    };
    let mut all = vec![read("py", None)];
    all.extend(
        names
            .iter()
            .filter(|(name, _)| likely(name) || factors::of(name).contains("py"))
            .map(|(name, table)| read(name, Some(table))),
    );
    all.into_iter().min_by_key(rank)
}

/// The words of a list, with what stands in for arguments and references (tox 4).
fn flat(value: Option<&Value>, tox: &toml::Table, depth: usize) -> Vec<String> {
    let mut out = Vec::new();
    if depth > 6 {
        return out;
    }
    match value {
        Some(Value::String(text)) => out.extend(text.lines().map(|line| line.trim().to_owned())),
        Some(Value::Array(list)) => {
            for entry in list.iter().take(500) {
                out.extend(flat(Some(entry), tox, depth + 1));
            }
        }
        Some(Value::Table(table)) => {
            let reference: Vec<String> = strings(table.get("of"));
            if let Some((first, rest)) = reference.split_first() {
                let mut found = tox.get(first);
                for key in rest {
                    found = found.and_then(|value| value.get(key));
                }
                out.extend(flat(found, tox, depth + 1));
            } else {
                out.extend(flat(table.get("default"), tox, depth + 1));
            }
        }
        _ => {}
    }
    out.retain(|word| !word.is_empty());
    out
}

/// A value without tox's substitutions.
fn plain(text: &str) -> String {
    let ini = Ini::new();
    Substitution {
        ini: &ini,
        prefix: "",
        section: "",
        loops: Vec::new(),
        steps: 0,
    }
    .of(text)
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '"', '\\', ';', '|', '&']) {
        format!("'{}'", word.replace('\'', "'\\''"))
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(files: &[(&str, &str)]) -> Environment {
        environment(&Project::read(
            &MemoryTree::new(files.iter().copied()),
            &mut Vec::new(),
        ))
        .unwrap()
    }

    #[test]
    fn factors_choose_lines() {
        let found = of(&[(
            "tox.ini",
            "[testenv]\ndeps =\n  pytest>=7\n  docs: sphinx\n  py: mock\n  -r{toxinidir}/req.txt\nextras = test\ncommands = pytest {posargs}\n",
        )]);
        assert_eq!(found.deps, ["pytest>=7", "mock", "-rreq.txt"]);
        assert_eq!(
            (found.extras, found.commands),
            (vec!["test".to_owned()], vec!["pytest ".trim().to_owned()])
        );
        assert!(environment(&Project::default()).is_none());
    }

    #[test]
    fn the_environment_that_runs_tests_is_taken_with_what_it_inherits() {
        let found = of(&[(
            "tox.ini",
            "[tox]\nenvlist = lint, py{310,311}, docs\n[base]\ndeps = mock\n[testenv]\nset_env =\n  A = 1\n[testenv:py{310,311}]\ndeps =\n  {[base]deps}\n  six\nchangedir = {toxinidir}/test\ncommands =\n  find . -delete\n  python alltests.py\n[testenv:lint]\ncommands = ruff check\n",
        )]);
        assert_eq!((found.name.as_str(), found.cwd.as_str()), ("py311", "test"));
        assert_eq!(found.deps, ["mock", "six"]);
        assert_eq!(found.commands[1], "python alltests.py");
        assert_eq!(found.env["A"], "1");
        assert_eq!(found.needle, "[testenv:py{310,311}]");
    }

    #[test]
    fn toml_is_read_in_both_places() {
        let table = "env_list = ['3.12', 'lint']\n[env_run_base]\ndependency_groups = ['tests']\ncommands = [['pytest', '-v', { replace = 'posargs', default = ['tests'], extend = true }]]\n[env.lint]\ncommands = [['ruff']]\n";
        let found = of(&[("tox.toml", table)]);
        assert_eq!(
            (found.groups, found.commands),
            (vec!["tests".to_owned()], vec!["pytest -v tests".to_owned()])
        );
        let nested = table.replace("[env", "[tool.tox.env");
        let found = of(&[("pyproject.toml", &format!("[tool.tox]\n{nested}"))]);
        assert_eq!(found.commands, ["pytest -v tests"]);
    }

    #[test]
    fn loops_are_told_and_what_is_beside_them_is_taken() {
        let found = of(&[(
            "tox.ini",
            "[testenv]\ndeps =\n  pytest\n  {[testenv]deps}\ncommands = pytest {[x]a}\n[x]\na = {[x]b}\nb = {[x]a}\n",
        )]);
        assert_eq!(found.deps.first().map(String::as_str), Some("pytest"));
        assert_eq!(found.commands, ["pytest"]);
        assert!(!found.loops.is_empty());
    }

    #[test]
    fn a_folder_outside_of_the_tree_is_none() {
        let found = of(&[("tox.ini", "[testenv]\nchangedir = ../..\ncommands = pytest\n")]);
        assert_eq!(found.cwd, "");
        let found = of(&[(
            "setup.cfg",
            "[tox:testenv]\nchangedir = tests\ncommands = pytest\n",
        )]);
        assert_eq!(found.cwd, "tests");
    }
}
