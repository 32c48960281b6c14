//! Running tests by pytest, unittest or doctest.

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use pyti_model::raw::{Recipe, Runner, Test, TestCase, TestCounts, TestOutcome};
use serde::Deserialize;
use serde_json::json;

use crate::Invocation;
use crate::lines::{self, RawError};
use crate::summary;

/// Most passed tests that are listed; what is not plainly passed is always listed, up to ten times that.
const CASES: usize = 10_000;

/// What shall be run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The runner's arguments, after the layout of the tree is known.
    pub arguments: &'a [String],
    /// The source tree.
    pub tree: &'a str,
    /// The subject's top-level modules.
    pub subject_modules: &'a [String],
    /// Where the subject is installed.
    pub site_packages: &'a str,
}

/// The command.
pub fn argv(invocation: &Invocation<'_>, request: &Request<'_>) -> Vec<String> {
    let probe = match request.recipe.runner {
        Runner::Pytest => "pytest_boot.py",
        Runner::Unittest => "unittest_run.py",
        Runner::Doctest => "doctest_run.py",
        Runner::Zope | Runner::Django | Runner::Trial | Runner::Nose2 | Runner::Script => "script_run.py",
    };
    let config = json!({
        "tree": request.tree,
        "subjects": request.subject_modules,
        "site": request.site_packages,
        // the sources lie about: only what is installed may be imported all the same
        "runner": request.recipe.runner.word(),
        "pin": !request.recipe.sources.is_hidden(),
    });
    invocation.argv(
        probe,
        std::iter::once(config.to_string()).chain(
            request
                .arguments
                .iter()
                .map(|argument| argument.replace("{site}", request.site_packages)),
        ),
    )
}

/// Counts of a runner that told nothing of single tests, from the summary that it printed. It says so in `adjustments`.
pub fn from_text(test: &mut Test, said: &str) {
    let told = test.counts != TestCounts::default() || !test.collection_errors.is_empty();
    let own = matches!(
        test.recipe.runner,
        Runner::Zope | Runner::Django | Runner::Trial | Runner::Nose2 | Runner::Script
    );
    if told || !own {
        return;
    }
    if let Some(counts) = summary::read(said) {
        test.counts = counts;
        test.adjustments
            .push("the counts are those that the runner printed: it told nothing of single tests".to_owned());
    }
}

/// Variables that tests may gain from.
pub fn env() -> Vec<(String, String)> {
    [("PYTI", "1"), ("CI", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[derive(Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
enum Line {
    Version {
        version: Option<String>,
    },
    Case {
        id: String,
        outcomes: Vec<String>,
        #[serde(default)]
        wall_s: f64,
        #[serde(default)]
        cpu_s: Option<f64>,
        #[serde(default)]
        peak: Option<u64>,
        #[serde(default)]
        message: String,
        #[serde(default)]
        output: String,
        #[serde(default)]
        doctest: bool,
    },
    Subtest {},
    Deselected {
        n: u64,
    },
    CollectError {
        #[serde(rename = "where")]
        place: String,
        text: String,
    },
    Proof {
        name: String,
        file: String,
        #[serde(default)]
        installed: bool,
    },
    Subjects {},
    Adjust {
        text: String,
    },
    NoRunner {
        error: RawError,
    },
    Done {
        exit: i32,
    },
}

/// Reads what the runner said. The recipe and the source are the caller's to fill in.
///
/// `against_installed` is false when a subject's module came from elsewhere, and when tests ran and none of the subject's
/// modules was ever imported: with an empty `proof` that is no sign of a wrong copy, only of none.
pub fn parse(results: &[u8]) -> (Test, Option<Loss>) {
    let (lines, loss) = lines::read::<Line>(results);
    let mut test = Test {
        against_installed: true,
        ..Test::default()
    };
    let mut subjects = false;
    for line in lines {
        subjects |= matches!(line, Line::Subjects {});
        take(&mut test, line);
    }
    // tests that never met the subject in their own process prove nothing about it
    test.against_installed &= !(subjects && test.proof.is_empty() && test.counts.executed() > 0);
    (test, loss)
}

fn take(test: &mut Test, line: Line) {
    match line {
        Line::Version { version } => {
            test.runner_version = version.filter(|v| v.len() < 40 && v.bytes().all(|b| b.is_ascii_graphic()));
        }
        Line::Case {
            id,
            outcomes,
            wall_s,
            cpu_s,
            peak,
            message,
            output,
            doctest,
        } => {
            for word in &outcomes {
                let Some(outcome) = count(&mut test.counts, word) else {
                    continue;
                };
                if doctest {
                    test.counts.doctests += 1;
                }
                let cap = if outcome == TestOutcome::Passed {
                    CASES
                } else {
                    CASES * 10
                };
                if test.cases.len() >= cap {
                    test.cases_dropped += 1;
                    continue;
                }
                test.cases.push(TestCase {
                    id: Foreign::from(id.as_str()),
                    outcome,
                    wall_s: if wall_s.is_finite() { wall_s.max(0.0) } else { 0.0 },
                    cpu_s: cpu_s.filter(|s| s.is_finite() && *s >= 0.0),
                    peak_bytes: peak,
                    message: Foreign::from(message.as_str()),
                    output: Foreign::from(output.as_str()),
                });
            }
        }
        Line::Subjects {} => {}
        Line::Subtest {} => test.counts.subtests += 1,
        Line::Deselected { n } => test.counts.deselected += n,
        Line::CollectError { place, text } => {
            test.counts.errors += 1;
            if test.collection_errors.len() < 200 {
                test.collection_errors
                    .push((Foreign::from(place), Foreign::from(text)));
            }
        }
        Line::Proof {
            name,
            file,
            installed,
        } => {
            test.against_installed &= installed;
            test.proof.insert(name, Foreign::from(file));
        }
        Line::Adjust { text } => test.adjustments.push(text.chars().take(500).collect()),
        Line::NoRunner { error } => {
            let text = format!("{}: {}", error.class, error.message);
            test.collection_errors
                .push((Foreign::from("the runner"), Foreign::from(text)));
        }
        Line::Done { exit } => {
            test.finished = true;
            test.exit = Some(exit);
        }
    }
}

fn count(counts: &mut TestCounts, word: &str) -> Option<TestOutcome> {
    let (slot, outcome) = match word {
        "passed" => (&mut counts.passed, TestOutcome::Passed),
        "failed" => (&mut counts.failed, TestOutcome::Failed),
        "error" => (&mut counts.errors, TestOutcome::Error),
        "skipped" => (&mut counts.skipped, TestOutcome::Skipped),
        "xfailed" => (&mut counts.xfailed, TestOutcome::Xfailed),
        "xpassed" => (&mut counts.xpassed, TestOutcome::Xpassed),
        _ => return None,
    };
    *slot += 1;
    Some(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_cases_and_the_end() {
        let text = br#"{"e":"version","version":"9.1"}
{"e":"case","id":"t::a","outcomes":["passed"],"wall_s":0.1}
{"e":"case","id":"t::b","outcomes":["passed","error"],"wall_s":0.1,"message":"teardown"}
{"e":"deselected","n":31}
{"e":"proof","name":"x","file":"/home/dev/venv/x.py","installed":true}
garbage
{"e":"done","exit":1}
"#;
        let (test, loss) = parse(text);
        assert_eq!(
            (test.counts.passed, test.counts.errors, test.counts.deselected),
            (2, 1, 31)
        );
        assert!(test.finished && test.against_installed);
        assert_eq!(test.exit, Some(1));
        assert!(loss.is_some(), "the garbage is counted");
    }

    #[test]
    fn tests_without_any_proof_are_not_against_what_is_installed() {
        let case = r#"{"e":"case","id":"t::a","outcomes":["passed"]}"#;
        let subjects = r#"{"e":"subjects","n":1}"#;
        let proof = r#"{"e":"proof","name":"x","file":"/x.py","installed":true}"#;
        let against = |lines: &[&str]| parse(lines.join("\n").as_bytes()).0.against_installed;
        assert!(!against(&[case, subjects]));
        assert!(against(&[case, subjects, proof]));
        assert!(against(&[case]), "nothing can be imported");
        assert!(against(&[subjects]), "nothing ran");
    }

    #[test]
    fn without_the_end_it_has_not_finished() {
        let (test, _) = parse(b"{\"e\":\"case\",\"id\":\"a\",\"outcomes\":[\"passed\"]}\n");
        assert!(!test.finished);
    }
}
