//! Recipes for tests, and what came of running them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;
use crate::outcome::Reason;
use crate::raw::Service;

/// One way to run the tests of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// What runs them.
    pub runner: Runner,
    /// Arguments for the runner, relative to the tree.
    pub arguments: Vec<String>,
    /// Requirement lines beside the distribution itself.
    pub requirements: Vec<String>,
    /// Extras of the distribution that the tests want.
    pub extras: Vec<String>,
    /// Why this: the rungs of the ladders that gave it.
    pub why: Vec<String>,
    /// It is run beside another recipe and its tests are added to that one's: doctests that the authors run too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub besides: bool,
    /// Where in the tree the rungs were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Services that the tests are likely to want: `postgresql`, `redis`, `xvfb`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Variables that the authors set for their tests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory, relative to the tree; empty for its root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// What the tests see of the sources that are installed too.
    #[serde(default, skip_serializing_if = "Sources::is_hidden")]
    pub sources: Sources,
    /// Its requirements are resolved as they were at this moment (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_newer: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A place in the tree that speaks for a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it says, with its rung: `requirements: dependency group test`.
    pub what: String,
    /// The file, relative to the tree.
    pub file: String,
    /// The line, from 1; 0 when the file as a whole says it.
    #[serde(default)]
    pub line: u32,
}

/// What tests see of the sources that are installed too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// They are taken away, so that nothing but the installed copy can be imported.
    #[default]
    Hidden,
    /// They stay, because tests read them as files; what is installed is still what the runner's process imports.
    Visible,
}

impl Sources {
    /// Whether they are taken away.
    pub fn is_hidden(&self) -> bool {
        *self == Self::Hidden
    }
}

/// What runs tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// pytest, through our own boot and plugin.
    #[default]
    Pytest,
    /// unittest, through our own runner.
    Unittest,
    /// doctest, of modules and text files.
    Doctest,
    /// zope.testrunner.
    Zope,
    /// Django's test command or runner.
    Django,
    /// twisted.trial.
    Trial,
    /// nose2.
    Nose2,
    /// A program of the authors' own: its tests are counted where it uses unittest, doctest or pytest; else from what it
    /// prints.
    Script,
}

impl Runner {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
            Self::Doctest => "doctest",
            Self::Zope => "zope",
            Self::Django => "django",
            Self::Trial => "trial",
            Self::Nose2 => "nose2",
            Self::Script => "script",
        }
    }

    /// For people: `zope.testrunner`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Zope => "zope.testrunner",
            Self::Django => "Django's runner",
            Self::Script => "its own script",
            other => other.word(),
        }
    }
}

/// Tests were run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// The recipe that gave the result.
    pub recipe: Recipe,
    /// Version of the runner: `9.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_version: Option<String>,
    /// Where the tests came from: file name of the sdist or wheel.
    pub source: String,
    /// Counts, with those of recipes that were run besides.
    pub counts: TestCounts,
    /// Each test that was not plainly passed, and passed ones as far as the cap allows.
    pub cases: Vec<TestCase>,
    /// Tests that are counted and not listed.
    pub cases_dropped: u64,
    /// Whether the runner said that it had finished. Without it, a good exit code means nothing.
    pub finished: bool,
    /// Exit code of the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// `__file__` of the subject's modules as the tests saw them.
    pub proof: BTreeMap<String, Foreign>,
    /// Whether every proof lies in the installed package.
    pub against_installed: bool,
    /// What was changed about the authors' configuration so that it could run, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<String>,
    /// Errors while collecting: place and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collection_errors: Vec<(Foreign, Foreign)>,
    /// All attempts in their order, the one that gave the result among them. Empty when there was only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Tests that did not come to the same when the same recipe was run again. Capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<Flaky>,
    /// Services that were wanted beside the tests, and what came of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
}

/// One attempt at running the tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The recipe, with what had been learnt.
    pub recipe: Recipe,
    /// Why it was made: `the first recipe`, `No module named 'yaml': PyYAML is added`.
    pub because: String,
    /// What the result makes of it.
    #[serde(rename = "use")]
    pub used: AttemptUse,
    /// How far it came.
    pub result: AttemptResult,
    /// Why it came no farther.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Counts.
    #[serde(default)]
    pub counts: TestCounts,
    /// Whether the runner said that it had finished.
    #[serde(default)]
    pub finished: bool,
    /// Exit code of the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Whether every proof lies in the installed package.
    #[serde(default)]
    pub against_installed: bool,
    /// Wall-clock seconds of the tests alone.
    #[serde(default)]
    pub wall_s: f64,
    /// Which of the task's commands it was, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<u32>,
    /// Some of what went wrong: tests and collection errors with the last line of each. Capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Foreign>,
}

/// What the result makes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptUse {
    /// The result is this attempt's.
    Taken,
    /// Its tests are counted besides.
    Added,
    /// It only shows what was tried.
    PassedOver,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The tests were run.
    Ran,
    /// Its requirements cannot be locked or fetched.
    NotLocked,
    /// What was locked cannot be installed.
    NotInstalled,
}

impl Attempt {
    /// In a sentence, for people. What came from outside in it is not made visible yet.
    pub fn sentence(&self) -> String {
        let came = match self.result {
            AttemptResult::NotLocked => "its requirements cannot be had".to_owned(),
            AttemptResult::NotInstalled => "its requirements cannot be installed".to_owned(),
            AttemptResult::Ran => self.counts.sentence(),
        };
        let unfinished = if self.result == AttemptResult::Ran && !self.finished {
            ", and the runner did not finish"
        } else {
            ""
        };
        let used = match self.used {
            AttemptUse::Taken => " (this is the result)",
            AttemptUse::Added => " (added)",
            AttemptUse::PassedOver => "",
        };
        format!(
            "{}, {}: {came}{unfinished}{used}",
            self.recipe.runner.title(),
            self.because
        )
    }
}

/// A test that did not come to the same in every run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaky {
    /// Its id, as the runner gives it.
    pub id: Foreign,
    /// What came of it in each run; nothing where it did not run.
    pub outcomes: Vec<Option<TestOutcome>>,
}

/// How many tests came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestCounts {
    /// Passed.
    pub passed: u64,
    /// Failed in the test itself.
    pub failed: u64,
    /// Errors in set-up or tear-down, or outside tests.
    pub errors: u64,
    /// Skipped.
    pub skipped: u64,
    /// Failed as expected.
    pub xfailed: u64,
    /// Passed although a failure was expected.
    pub xpassed: u64,
    /// Left out by the authors' configuration.
    pub deselected: u64,
    /// Subtests, counted apart.
    pub subtests: u64,
    /// Doctests, counted among the others too.
    pub doctests: u64,
}

impl TestCounts {
    /// Tests that ran: everything but skipped and deselected.
    pub fn executed(&self) -> u64 {
        self.passed + self.failed + self.errors + self.xfailed + self.xpassed
    }

    /// These and those together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
            xfailed: self.xfailed + other.xfailed,
            xpassed: self.xpassed + other.xpassed,
            deselected: self.deselected + other.deselected,
            subtests: self.subtests + other.subtests,
            doctests: self.doctests + other.doctests,
        }
    }

    /// `197 passed, 3 skipped`; what is zero is left out.
    pub fn sentence(&self) -> String {
        let parts: Vec<String> = [
            (self.failed, "failed"),
            (self.errors, "errors"),
            (self.passed, "passed"),
            (self.xpassed, "passed unexpectedly"),
            (self.skipped, "skipped"),
            (self.xfailed, "failed as expected"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        if parts.is_empty() {
            "no test was run".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestCase {
    /// Its id, as the runner gives it.
    pub id: Foreign,
    /// What came of it.
    pub outcome: TestOutcome,
    /// Wall-clock seconds, all phases.
    pub wall_s: f64,
    /// CPU seconds of the runner's process and of children that it waited for, where the runner could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Most memory of the runner's process up to its end, bytes, where this test raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Message or traceback, capped; the reason of a skip.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub message: Foreign,
    /// Captured output, capped.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub output: Foreign,
}

/// What came of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// It failed.
    Failed,
    /// Its set-up or tear-down failed.
    Error,
    /// It passed although a failure was expected.
    Xpassed,
    /// It failed as expected.
    Xfailed,
    /// It was skipped.
    Skipped,
    /// It passed.
    Passed,
}

impl TestOutcome {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Xpassed => "xpassed",
            Self::Xfailed => "xfailed",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_recipe_is_read_and_nothing_new_is_written_without_need() {
        let old = r#"{"runner":"pytest","arguments":["tests"],"requirements":[],"extras":[],"why":[]}"#;
        let recipe: Recipe = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&recipe).unwrap(), old);
        assert_eq!((recipe.sources, recipe.besides), (Sources::Hidden, false));
    }

    #[test]
    fn counts_are_added_and_told() {
        let some = TestCounts {
            passed: 2,
            skipped: 1,
            ..TestCounts::default()
        };
        assert_eq!(some.plus(some).sentence(), "4 passed, 2 skipped");
        assert_eq!(TestCounts::default().sentence(), "no test was run");
    }
}
