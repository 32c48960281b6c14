//! What a project's own tools for its developers say of its tests: tox, nox, hatch, pdm, pixi, a Makefile, CI.
//!
//! All of it is read as text; nothing is run. Each gives the same: requirements, and command lines.

mod ci;
mod make;
mod nox;
mod tasks;

use std::collections::BTreeMap;

use crate::commandline::{self, Runs};
use crate::declaration::Project;
use crate::evidence;
use crate::tox;
use crate::tree::Tree;

/// What one tool says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Workflow {
    /// For people: `tox's environment py`.
    pub(crate) rung: String,
    /// Where it says so, and a text that leads to the line.
    pub(crate) file: String,
    pub(crate) needle: String,
    /// Requirement lines, also `-r FILE` and `-c FILE`.
    pub(crate) lines: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) commands: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: String,
    /// Services that it starts.
    pub(crate) services: Vec<String>,
    /// It is the authors' way to run tests, not only a hint.
    pub(crate) is_default: bool,
}

impl Workflow {
    /// Whether it says anything about requirements.
    pub(crate) fn wants(&self) -> bool {
        !self.lines.is_empty() || !self.extras.is_empty() || !self.groups.is_empty()
    }

    /// The first of its commands that runs tests, and the line as it stands there.
    pub(crate) fn command(&self) -> Option<(&str, Runs)> {
        self.commands
            .iter()
            .find_map(|line| Some((line.as_str(), commandline::read(line)?)))
    }

    /// Takes what `pip install` and its like would install.
    fn install(&mut self, words: &[String]) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| words.next().cloned());
            match option {
                "-r" | "--requirement" => self.line(value().map(|file| format!("-r{file}"))),
                "-c" | "--constraint" => self.line(value().map(|file| format!("-c{file}"))),
                "--group" => self.groups.extend(value().map(|group| {
                    let name = group.rsplit(':').next().unwrap_or(&group);
                    name.to_owned()
                })),
                "-e" | "--editable" => {
                    if let Some(place) = value() {
                        self.extras_of(&place);
                    }
                }
                "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "-t" | "--target"
                | "--python" | "--only-binary" | "--no-binary" | "--prefix" => drop(value()),
                _ if option.starts_with("-r") && !option.starts_with("--") => self.line(Some(word.clone())),
                _ if option.starts_with('-') => {}
                _ if word.starts_with('.') || word.starts_with('/') => self.extras_of(word),
                _ if word.contains(['$', '*', '{', '`']) || is_tool(word) => {}
                _ => self.line(Some(word.clone())),
            }
        }
    }

    fn line(&mut self, line: Option<String>) {
        let line =
            line.filter(|line| !self.lines.contains(line) && self.lines.len() < 200 && !line.contains('$'));
        self.lines.extend(line);
    }

    /// `.[test,dev]` wants extras.
    fn extras_of(&mut self, place: &str) {
        let inside = place.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        for extra in inside.map(|(inside, _)| inside).unwrap_or_default().split(',') {
            let extra = extra.trim();
            if !extra.is_empty()
                && !extra.contains(['$', '{'])
                && !self.extras.iter().any(|known| known == extra)
            {
                self.extras.push(extra.to_owned());
            }
        }
    }
}

/// What CI installs to install, and what measures or publishes.
fn is_tool(word: &str) -> bool {
    const TOOLS: &[&str] = &[
        "pip",
        "setuptools",
        "wheel",
        "build",
        "twine",
        "tox",
        "nox",
        "virtualenv",
        "coveralls",
        "codecov",
        "poetry",
        "pdm",
        "hatch",
        "uv",
        "pre-commit",
        "cibuildwheel",
        "tox-gh-actions",
        "tox-gh",
        "tox-uv",
        "install",
        "flit",
    ];
    let name = crate::requirements::canonical(word);
    TOOLS.contains(&name.as_str())
}

/// Everything that is there, the best first.
pub(crate) fn all(tree: &dyn Tree, project: &Project, rejected: &mut Vec<String>) -> Vec<Workflow> {
    let mut all = Vec::new();
    if let Some(found) = tox::environment(project) {
        for name in &found.loops {
            let place = evidence::place(tree, &found.file, &found.needle);
            rejected.push(format!("{place}: {{{name}}} leads back to itself"));
        }
        all.push(Workflow {
            rung: format!("tox's environment {}", found.name),
            file: found.file,
            needle: found.needle,
            lines: found.deps,
            extras: found.extras,
            groups: found.groups,
            commands: found.commands,
            env: found.env,
            cwd: found.cwd,
            services: Vec::new(),
            is_default: true,
        });
    }
    all.extend(nox::session(tree));
    all.extend(tasks::all(project));
    all.extend(make::target(tree));
    all.extend(ci::jobs(tree));
    all
}

/// A command line of pip and its like: what it installs.
fn installs(line: &str) -> Option<Vec<String>> {
    let mut words = crate::pytest::words(line.split(['|', ';']).next()?.split("&&").next()?.trim());
    for prefix in [
        &["python", "-m"][..],
        &["python3", "-m"],
        &["uv"],
        &["poetry", "run"],
        &["uv", "run"],
    ] {
        if words.len() > prefix.len() && words.iter().zip(prefix).all(|(word, part)| word == part) {
            words.drain(..prefix.len());
        }
    }
    let [program, verb, ..] = words.as_slice() else {
        return None;
    };
    let pip = program == "pip" || program == "pip3" || program == "$(PIP)";
    (pip && verb == "install").then(|| words.split_off(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_would_install_is_read() {
        let mut flow = Workflow::default();
        let words = installs(
            "python -m pip install -U pip pytest>=7 -r req.txt -e '.[test,dev]' --group tests -c c.txt $X",
        );
        flow.install(&words.unwrap());
        assert_eq!(flow.lines, ["pytest>=7", "-rreq.txt", "-cc.txt"]);
        assert_eq!(
            (flow.extras, flow.groups),
            (vec!["test".into(), "dev".into()], vec!["tests".to_owned()])
        );
        assert_eq!(installs("pip list"), None);
        assert_eq!(installs("uv pip install six").unwrap(), ["six"]);
    }
}
