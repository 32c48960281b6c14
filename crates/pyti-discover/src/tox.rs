//! What tox's default test environment wants: read from its files, never by tox.

use crate::declaration::{Project, strings};
use crate::ini;

/// Requirements of an environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Lines of `deps`, also `-r FILE`.
    pub(crate) deps: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) groups: Vec<String>,
    /// The commands, for evidence.
    pub(crate) commands: String,
}

/// Reads it from tox.ini, setup.cfg or pyproject.toml.
pub(crate) fn environment(project: &Project) -> Option<Environment> {
    let legacy = project
        .table(&["tool", "tox"])
        .and_then(|tox| tox.get("legacy_tox_ini")?.as_str())
        .map(ini::read);
    for (file, section) in [
        (Some(&project.tox_ini), "testenv"),
        (Some(&project.setup_cfg), "tox:testenv"),
        (legacy.as_ref(), "testenv"),
    ] {
        if let Some(keys) = file.and_then(|file| file.get(section)) {
            let value = |key: &str| keys.get(key).map(String::as_str).unwrap_or_default();
            let list = |key: &str| -> Vec<String> {
                ini::lines(value(key))
                    .filter_map(for_tests)
                    .flat_map(|line| {
                        line.split(',')
                            .map(|part| part.trim().to_owned())
                            .collect::<Vec<_>>()
                    })
                    .filter(|part| !part.is_empty() && !part.contains('{'))
                    .collect()
            };
            return Some(Environment {
                deps: ini::lines(value("deps"))
                    .filter_map(for_tests)
                    .filter(|d| !d.contains("{["))
                    .map(resolved)
                    .collect(),
                extras: list("extras"),
                groups: list("dependency_groups"),
                commands: value("commands").to_owned(),
            });
        }
    }
    let base = project.table(&["tool", "tox", "env_run_base"])?;
    Some(Environment {
        deps: strings(base.get("deps")),
        extras: strings(base.get("extras")),
        groups: strings(base.get("dependency_groups")),
        commands: base.get("commands").map(ToString::to_string).unwrap_or_default(),
    })
}

/// The line without its factors, when they are those of an environment that runs tests.
fn for_tests(line: &str) -> Option<&str> {
    let Some((factors, rest)) = line.split_once(": ").or_else(|| line.split_once(":\t")) else {
        return Some(line);
    };
    if factors.contains(['=', '<', '>', '/', '[', ' ']) {
        return Some(line);
    }
    factors
        .split([',', '-', '{', '}'])
        .any(|factor| matches!(factor.trim(), "test" | "tests" | "py" | "py3" | "unit" | "pytest"))
        .then(|| rest.trim())
}

fn resolved(line: &str) -> String {
    line.replace("{toxinidir}/", "").replace("{tox_root}/", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    #[test]
    fn factors_choose_lines() {
        let tree = MemoryTree::new([(
            "tox.ini",
            "[testenv]\ndeps =\n  pytest>=7\n  docs: sphinx\n  tests: mock\n  -r{toxinidir}/req.txt\nextras = test\ncommands = pytest\n",
        )]);
        let found = environment(&Project::read(&tree, &mut Vec::new())).unwrap();
        assert_eq!(found.deps, ["pytest>=7", "mock", "-rreq.txt"]);
        assert_eq!(found.extras, ["test"]);
        assert!(environment(&Project::default()).is_none());
    }
}
