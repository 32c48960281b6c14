//! ruff: with which rules it is asked, how its answer is read, and how heavy each of its rules is.

use std::collections::BTreeMap;

use pyti_model::foreign::Foreign;
use pyti_model::quality::{Grade, Lint, LintCase, Place, Profile, Quality, RuleCount};
use serde::Deserialize;

use crate::rules::requires_at_least;

/// Version of ruff that PyTI pins.
pub const VERSION: &str = "0.17.6";
/// Families of the neutral profile: pycodestyle, pyflakes, pylint, bugbear, security, upgrade.
const SELECT: &str = "E,W,F,PL,B,S,UP";
/// What is taste, or is right in too many places: lengths, counts of branches and arguments, numbers in comparisons,
/// imports in functions, assertions, variables of loops that are set again.
const IGNORE: &str = "E501,PLR09,PLR2004,PLC0415,PLW2901,S101";
/// Folders that hold no code of the project itself, or none that users run.
const EXCLUDE: &str = "tests,test,_vendor,_vendored,vendor,vendored,extern,_extern,node_modules";
/// Names that others add to those that are always there: gettext, `IPython`.
const ADDED: &[&str] = &["_", "get_ipython"];
/// Names that only Python 2 has: code for both asks which one it is.
const PYTHON_2: &[&str] = &[
    "apply",
    "basestring",
    "buffer",
    "cmp",
    "coerce",
    "execfile",
    "file",
    "intern",
    "long",
    "raw_input",
    "reduce",
    "reload",
    "unichr",
    "unicode",
    "xrange",
];
/// Cases that are kept.
const CASES: usize = 400;
/// Rules that are kept.
const RULES: usize = 500;
/// Bytes of one line of an answer.
const LINE: usize = 1 << 20;

/// Asks with the same rules for every project. What a release must run on decides which newer forms are advised.
pub fn neutral(program: &str, quality: &Quality, folder: &str) -> Vec<String> {
    let lowest = requires_at_least(&quality.wheel);
    let target = lowest.filter(|version| *version >= (3, 7));
    let mut argv: Vec<String> = [
        program,
        "check",
        "--isolated",
        "--no-cache",
        "--exit-zero",
        "--quiet",
    ]
    .map(str::to_owned)
    .into();
    let mut ignore = IGNORE.to_owned();
    if let Some((major, minor)) = target {
        argv.extend([
            "--target-version".to_owned(),
            format!("py{major}{}", minor.min(14)),
        ]);
    } else {
        ignore.push_str(",UP");
    }
    let mut names = ADDED.to_vec();
    if lowest.is_none_or(|version| version < (3, 0)) {
        names.extend(PYTHON_2);
    }
    argv.extend(["--config".to_owned(), format!("builtins = {names:?}")]);
    argv.extend(
        [
            "--output-format",
            "json-lines",
            "--select",
            SELECT,
            "--ignore",
            &ignore,
        ]
        .map(str::to_owned),
    );
    argv.extend(
        [
            "--extend-exclude",
            EXCLUDE,
            "--per-file-ignores",
            "__init__.py:F401",
        ]
        .map(str::to_owned),
    );
    argv.push(folder.to_owned());
    argv
}

/// Asks with the project's own rules, at the root of its tree.
pub fn of_project(program: &str, folder: &str) -> Vec<String> {
    let fixed = [
        "check",
        "--no-cache",
        "--exit-zero",
        "--quiet",
        "--no-fix",
        "--output-format",
        "json-lines",
    ];
    std::iter::once(program)
        .chain(fixed)
        .chain([folder])
        .map(str::to_owned)
        .collect()
}

#[derive(Deserialize)]
struct Said {
    code: Option<String>,
    #[serde(default)]
    filename: String,
    #[serde(default)]
    message: String,
    location: Option<Location>,
    fix: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Location {
    row: u32,
    column: u32,
}

/// Reads an answer of ruff, one JSON object a line. It is read as hostile: names and texts of files are in it.
/// `ended`: how ruff ended, when it ended badly.
pub fn parse(bytes: &[u8], folder: &str, profile: Profile, ended: Option<Foreign>) -> Lint {
    let mut lint = Lint {
        tool: format!("ruff {VERSION}"),
        profile,
        error: ended,
        ..Lint::default()
    };
    let (mut counts, mut unread) = (BTreeMap::<String, u64>::new(), 0_u64);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(said) = serde_json::from_slice::<Said>(&line[..line.len().min(LINE)]) else {
            unread += 1;
            continue;
        };
        let rule = said.code.unwrap_or_else(|| "invalid-syntax".to_owned());
        if !is_rule(&rule) {
            unread += 1;
            continue;
        }
        lint.total += 1;
        if counts.len() < RULES || counts.contains_key(&rule) {
            *counts.entry(rule.clone()).or_default() += 1;
        }
        // a few cases of each rule rather than many of one
        let of_rule = counts.get(&rule).copied().unwrap_or_default();
        if lint.cases.len() < CASES && of_rule <= 20 {
            let path = said.filename.strip_prefix(folder).unwrap_or(&said.filename);
            lint.cases.push(LintCase {
                rule,
                place: Place {
                    path: Foreign::from(path.trim_start_matches('/')),
                    line: said.location.as_ref().map(|l| l.row),
                    column: said.location.as_ref().map(|l| l.column),
                },
                text: Foreign::from(said.message.chars().take(300).collect::<String>()),
                fixable: said.fix.is_some(),
            });
        }
    }
    if unread > 0 && lint.error.is_none() {
        lint.error = Some(Foreign::from(format!(
            "{unread} lines of its answer cannot be read"
        )));
    }
    lint.rules = counts
        .into_iter()
        .map(|(rule, times)| RuleCount { rule, times })
        .collect();
    lint
}

fn is_rule(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.len() <= 40 && text.chars().all(good)
}

/// How heavy a rule of ruff is here: what is wrong in any program, what often is, and the rest.
pub fn grade(rule: &str) -> Grade {
    // names that are not there, syntax, formats that do not fit, what pylint calls an error
    const WRONG: &[&str] = &["invalid-syntax", "E9", "F5", "F63", "F70", "F82", "PLE"];
    // broken digests, silent certificates, shells, traps of the language. Running text and self-assignment are idioms
    // of code for many interpreters, and a note
    const RISKY: &[&str] = &[
        "F6", "F811", "F402", "F404", "F407", "B002", "B003", "B005", "B006", "B012", "B015", "B020", "B021",
        "B022", "B023", "B025", "B030", "B035", "B039", "E722", "W605", "S323", "S324", "S501", "S506",
        "S602", "S604", "S605", "PLW0120", "PLW0128", "PLW0129", "PLW0133", "PLW0711",
    ];
    let is = |list: &[&str]| list.iter().any(|start| rule.starts_with(start));
    // a field of a format that is not used, or a string without fields, harms nobody
    // nor is a method without `self` wrong in who describes an interface by it
    if matches!(rule, "F541" | "F522" | "F504" | "PLE0302") {
        Grade::Note
    } else if is(WRONG) {
        Grade::Error
    } else if is(RISKY) {
        Grade::Warning
    } else {
        Grade::Note
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::quality::WheelContents;

    use super::*;

    const LINE_OF_RUFF: &str = r#"{"cell":null,"code":"F401","end_location":{"column":10,"row":1},"filename":"/w/a.py","fix":{"applicability":"safe","edits":[]},"location":{"column":8,"row":1},"message":"`os` imported but unused","noqa_row":1,"url":"x"}"#;

    #[test]
    fn an_answer_is_read_line_by_line() {
        let text = format!("{LINE_OF_RUFF}\n{LINE_OF_RUFF}\n");
        let lint = parse(text.as_bytes(), "/w", Profile::Neutral, None);
        assert_eq!((lint.total, lint.rules[0].times, lint.cases.len()), (2, 2, 2));
        assert_eq!(lint.cases[0].place.path, Foreign::from("a.py"));
        assert!(lint.cases[0].fixable && lint.error.is_none());
    }

    #[test]
    fn rubbish_is_counted_and_not_believed() {
        let evil = r#"{"code":"<script>","filename":"a","message":"m"}"#;
        let text = format!("{LINE_OF_RUFF}\n{evil}\nnot json\n");
        let lint = parse(text.as_bytes(), "/w", Profile::Neutral, None);
        assert_eq!(lint.total, 1);
        assert_eq!(
            lint.error,
            Some(Foreign::from("2 lines of its answer cannot be read"))
        );
    }

    #[test]
    fn one_rule_does_not_fill_the_list() {
        let text = format!("{LINE_OF_RUFF}\n").repeat(100);
        let lint = parse(text.as_bytes(), "/w", Profile::Neutral, None);
        assert_eq!((lint.total, lint.cases.len()), (100, 20));
    }

    #[test]
    fn newer_forms_are_advised_only_where_they_can_be_used() {
        let quality = |requires: &str| Quality {
            wheel: WheelContents {
                metadata: vec![("Requires-Python".into(), requires.into())],
                ..WheelContents::default()
            },
            ..Quality::default()
        };
        let new = neutral("ruff", &quality(">=3.9"), "/w").join(" ");
        assert!(new.contains("--target-version py39") && !new.contains("S101,UP"));
        let old = neutral("ruff", &quality(">=2.7, !=3.0.*"), "/w").join(" ");
        assert!(!old.contains("--target-version") && old.contains("S101,UP"));
    }

    #[test]
    fn grades_are_by_what_can_go_wrong() {
        assert_eq!(grade("F821"), Grade::Error);
        assert_eq!(grade("B006"), Grade::Warning);
        assert_eq!(grade("F541"), Grade::Note);
        assert_eq!(grade("UP006"), Grade::Note);
    }
}
