//! Sets of requirements by purpose.

use std::str::FromStr as _;

use pyti_model::foreign::Foreign;
use pyti_model::plan::Interpreter;
use pyti_model::raw::{BuildDeclaration, Metadata, Recipe, Runner};
use uv_pep508::{Requirement, VerbatimUrl, VersionOrUrl};

use crate::lock::IndexLock;

/// Longest requirement line, in bytes.
pub const LINE_CAP: usize = 8 << 10;

/// A line that is not given to uv.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("requirement {line:?} is refused: {why}")]
pub struct Refused {
    /// The line, cut.
    pub line: String,
    /// Why.
    pub why: String,
}

fn parsed(line: &str) -> Result<Requirement<VerbatimUrl>, Refused> {
    let refused = |why: &str| Refused {
        line: line.chars().take(200).collect(),
        why: why.to_owned(),
    };
    if line.len() > LINE_CAP {
        return Err(refused("too long"));
    }
    if line.trim_start().starts_with('-') {
        return Err(refused("an option, not a requirement"));
    }
    let requirement =
        Requirement::<VerbatimUrl>::from_str(line.trim()).map_err(|e| refused(&e.message.to_string()))?;
    if matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_))) {
        return Err(refused("a direct reference would bypass the index"));
    }
    Ok(requirement)
}

/// A parsed `name[extras] specifier; marker`, written again. URLs, paths and options are refused: uv would follow
/// them past the lens.
pub fn plain(line: &str) -> Result<String, Refused> {
    Ok(parsed(line)?.to_string())
}

fn is_named(line: &str, name: &str) -> bool {
    let wanted = uv_normalize::PackageName::from_str(name);
    matches!((parsed(line), wanted), (Ok(requirement), Ok(wanted)) if requirement.name == wanted)
}

fn push_new(lines: &mut Vec<String>, line: String) {
    if !line.trim().is_empty() && !lines.contains(&line) {
        lines.push(line);
    }
}

/// What a build needs: what is declared (setuptools, when nothing is), and what the hook asked besides.
pub fn build_set(declaration: &BuildDeclaration, from_hook: &[Foreign]) -> Vec<String> {
    let mut lines = Vec::new();
    if !declaration.declared && declaration.requires.is_empty() {
        lines.push("setuptools".to_owned());
    }
    for line in &declaration.requires {
        push_new(&mut lines, line.trim().to_owned());
    }
    for line in from_hook {
        push_new(&mut lines, line.lossy().trim().to_owned());
    }
    lines
}

/// Sets to try one after the other. An undeclared build that fails with the newest setuptools gets a second attempt
/// with an older one, on interpreters before 3.12 only: later ones have no distutils for it.
pub fn build_attempts(declaration: &BuildDeclaration, interpreter: &Interpreter) -> Vec<Vec<String>> {
    let mut attempts = vec![build_set(declaration, &[])];
    let old = interpreter
        .version
        .parse::<uv_pep440::Version>()
        .is_ok_and(|v| v.release()[..] < [3, 12][..]);
    if !declaration.declared && old {
        attempts.push(vec!["setuptools<58".to_owned(), "wheel".to_owned()]);
    }
    attempts
}

/// The distribution itself: `name[extras]==version`.
pub fn runtime_set(name: &str, version: &str, extras: &[String]) -> Vec<String> {
    let mut extras = extras.to_vec();
    extras.sort();
    extras.dedup();
    let extras = if extras.is_empty() {
        String::new()
    } else {
        format!("[{}]", extras.join(","))
    };
    vec![format!("{name}{extras}=={version}")]
}

/// The extras between the brackets of a line.
fn extras_of(line: &str) -> Vec<String> {
    let inside = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(inside, _)| inside);
    inside
        .split(',')
        .map(|extra| extra.trim().to_owned())
        .filter(|extra| !extra.is_empty())
        .collect()
}

/// What the tests need, and constraints that keep what the runtime's lock chose. On a conflict the caller locks again
/// with the same requirements (the subject stays pinned) and no constraints.
pub fn test_set(metadata: &Metadata, recipe: &Recipe, runtime: &IndexLock) -> (Vec<String>, Vec<String>) {
    let (name, version) = (metadata.name.lossy(), metadata.version.lossy());
    let mut extras = recipe.extras.clone();
    for line in recipe.requirements.iter().filter(|line| is_named(line, &name)) {
        extras.extend(extras_of(line));
    }
    let mut lines = runtime_set(&name, &version, &extras);
    for line in &recipe.requirements {
        // The tree may name its own distribution, for its extras; only the one under test counts.
        if !is_named(line, &name) {
            push_new(&mut lines, line.trim().to_owned());
        }
    }
    if recipe.runner == Runner::Pytest && !is_named(&lines[0], "pytest") {
        // A marker may switch a declared pytest off; without a bound of its own this line takes nothing away.
        push_new(&mut lines, "pytest".to_owned());
    }
    let constraints = runtime
        .packages
        .iter()
        .map(|p| format!("{}=={}", p.name, p.version))
        .collect();
    (lines, constraints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_lines_pass() {
        assert_eq!(
            plain("Foo_Bar[b,a] >=1 ; python_version>'3'")
                .unwrap()
                .split('>')
                .next(),
            Some("foo-bar[b,a]")
        );
        for bad in [
            "x @ https://example.invalid/x.whl",
            "x @ file:///etc",
            "-r /etc/hostname",
            "./here",
            "a\n-r b",
            "",
        ] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_by_purpose() {
        let legacy = BuildDeclaration::default();
        assert_eq!(
            build_set(&legacy, &[Foreign::new("wheel")]),
            ["setuptools", "wheel"]
        );
        let declared = BuildDeclaration {
            declared: true,
            requires: vec!["hatchling".into()],
            ..legacy
        };
        assert_eq!(build_set(&declared, &[Foreign::new("hatchling")]), ["hatchling"]);
        assert_eq!(runtime_set("a", "1", &["y".into(), "x".into()]), ["a[x,y]==1"]);
    }

    #[test]
    fn tests_keep_what_the_runtime_chose_and_the_subject_stays_pinned() {
        let metadata = Metadata {
            name: Foreign::new("A_b"),
            version: Foreign::new("1"),
            ..Metadata::default()
        };
        let recipe = Recipe {
            runner: Runner::Pytest,
            arguments: Vec::new(),
            requirements: vec!["mock".into(), "a-b>=9".into()],
            extras: vec!["test".into()],
            ..Recipe::default()
        };
        let locked = crate::lock::LockedPackage {
            name: "six".into(),
            version: "1.17.0".into(),
            filename: "six-1.17.0-py2.py3-none-any.whl".into(),
            url: None,
            sha256: None,
            is_placeholder: false,
            marker: None,
        };
        let (lines, constraints) = test_set(
            &metadata,
            &recipe,
            &IndexLock {
                packages: vec![locked],
            },
        );
        assert_eq!(lines, ["A_b[test]==1", "mock", "pytest"]);
        assert_eq!(constraints, ["six==1.17.0"]);
        let unittest = Recipe {
            runner: Runner::Unittest,
            ..recipe
        };
        assert_eq!(
            test_set(&metadata, &unittest, &IndexLock::default()).0,
            ["A_b[test]==1", "mock"]
        );
    }

    #[test]
    fn older_setuptools_only_before_3_12() {
        let mut python = Interpreter {
            implementation: "cpython".into(),
            version: "3.11.7".into(),
            free_threaded: false,
            executable: "/usr/bin/python3.11".into(),
            prefix: "/usr".into(),
            platform: "linux_x86_64".into(),
            has_headers: true,
            image: None,
        };
        let legacy = BuildDeclaration::default();
        assert_eq!(build_attempts(&legacy, &python).len(), 2);
        python.version = "3.12.0".into();
        assert_eq!(build_attempts(&legacy, &python).len(), 1);
        let one = crate::environment_key("", &python, "/home/dev/venv");
        assert_eq!(one, crate::environment_key("", &python, "/home/dev/venv"));
        python.free_threaded = true;
        assert_ne!(one, crate::environment_key("", &python, "/home/dev/venv"));
    }
}
