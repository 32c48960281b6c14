//! pylint, on request: errors and warnings only, since the rest is ruff's already.

use std::collections::BTreeMap;

use pyti_model::foreign::Foreign;
use pyti_model::quality::{Lint, LintCase, Place, Profile, RuleCount, WheelContents};
use serde::Deserialize;

/// Version of pylint that PyTI pins.
pub const VERSION: &str = "4.1.4";
/// Cases that are kept.
const CASES: usize = 300;

/// Whether the pinned pylint and what it needs run on an interpreter: `3.13`.
pub fn runs_on(short: &str) -> bool {
    crate::at_least(short, (3, 11))
}

/// Asks for errors and fatal ones of everything at the top of the wheel. What it imports is not there, so questions
/// that need it are not asked.
pub fn argv(python: &str, wheel: &WheelContents) -> Vec<String> {
    let mut argv: Vec<String> = [
        python,
        "-P",
        "-m",
        "pylint",
        "--rcfile=/dev/null",
        "--exit-zero",
        "--output-format=json",
        "--disable=all",
        "--enable=E,F",
        "--disable=import-error,no-name-in-module,no-member",
        "--ignore=tests,test,_vendor,vendor,vendored,extern",
    ]
    .map(str::to_owned)
    .into();
    argv.push("--".to_owned());
    let files = wheel.files.iter().filter_map(|(path, _)| path.as_str());
    let mut tops: Vec<String> = files
        .filter_map(|path| match path.split_once('/') {
            Some((top, "__init__.py")) => Some(format!("./{top}")),
            None if path.ends_with(".py") => Some(format!("./{path}")),
            _ => None,
        })
        .collect();
    tops.sort_unstable();
    argv.extend(tops);
    argv
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "message-id", default)]
    id: String,
    #[serde(default)]
    path: String,
    line: Option<u32>,
    column: Option<u32>,
    #[serde(default)]
    message: String,
}

/// Reads an answer of pylint. `ended`: how it ended, when it ended badly.
pub fn parse(bytes: &[u8], ended: Option<Foreign>) -> Lint {
    let mut lint = Lint {
        tool: format!("pylint {VERSION}"),
        profile: Profile::Neutral,
        error: ended,
        ..Lint::default()
    };
    let Ok(said) = serde_json::from_slice::<Vec<Said>>(bytes) else {
        lint.error
            .get_or_insert_with(|| Foreign::from("its answer cannot be read"));
        return lint;
    };
    let mut counts = BTreeMap::<String, u64>::new();
    for one in said {
        if one.id.len() != 5 || !one.id.chars().all(|c| c.is_ascii_alphanumeric()) {
            continue;
        }
        lint.total += 1;
        *counts.entry(one.id.clone()).or_default() += 1;
        if lint.cases.len() < CASES {
            lint.cases.push(LintCase {
                rule: one.id,
                place: Place {
                    path: Foreign::from(one.path),
                    line: one.line,
                    column: one.column.map(|column| column.saturating_add(1)),
                },
                text: Foreign::from(one.message.chars().take(300).collect::<String>()),
                fixable: false,
            });
        }
    }
    lint.rules = counts
        .into_iter()
        .map(|(rule, times)| RuleCount { rule, times })
        .collect();
    lint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_rubbish_is_said() {
        let text = br#"[{"type":"error","module":"a","line":3,"column":4,"path":"a.py","symbol":"undefined-variable","message":"Undefined variable 'x'","message-id":"E0602"},{"message-id":"<b>"}]"#;
        let lint = parse(text, None);
        assert_eq!((lint.total, lint.cases[0].place.column), (1, Some(5)));
        assert!(parse(b"Traceback", None).error.is_some());
    }

    #[test]
    fn what_lies_at_the_top_is_asked_about() {
        let wheel = WheelContents {
            files: vec![
                ("a/__init__.py".into(), 1),
                ("a/b.py".into(), 1),
                ("c.py".into(), 1),
                ("d/x.txt".into(), 1),
            ],
            ..WheelContents::default()
        };
        let argv = argv("python", &wheel);
        assert_eq!(argv[argv.len() - 3..], ["--", "./a", "./c.py"]);
    }
}
