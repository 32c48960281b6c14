//! Importing every module, each with its own outcome.

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use pyti_model::raw::{Import, ImportOutcome, ModuleImport};
use serde::Deserialize;

use crate::Invocation;
use crate::lines::{self, RawError};

/// The command: top-level modules first, then the others, `limit_s` seconds each.
pub fn argv(
    invocation: &Invocation<'_>,
    top_level: &[String],
    modules: &[String],
    limit_s: u32,
) -> Vec<String> {
    let tops = serde_json::Value::from(top_level.to_vec()).to_string();
    let others = modules
        .iter()
        .filter(|module| !top_level.contains(module))
        // running a program is not importing it
        .filter(|module| !module.ends_with(".__main__") && module.as_str() != "__main__")
        .cloned();
    invocation.argv(
        "importer.py",
        [limit_s.to_string(), tops].into_iter().chain(others),
    )
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Module {
        module: String,
        outcome: String,
        #[serde(default)]
        top_level: bool,
        #[serde(default)]
        wall_s: f64,
        file: Option<String>,
        code: Option<i32>,
        signal: Option<i32>,
        error: Option<RawError>,
    },
    Audit {
        audit: String,
        #[serde(default)]
        text: String,
    },
    Finished {
        finished: bool,
    },
}

/// Reads what it said. Without its last word something is lost.
pub fn parse(results: &[u8]) -> (Import, Option<Loss>) {
    let (lines, mut loss) = lines::read::<Line>(results);
    let (mut modules, mut complete) = (Vec::new(), false);
    for line in lines {
        match line {
            Line::Audit { .. } => {}
            Line::Finished { finished } => complete |= finished,
            Line::Module {
                module,
                outcome,
                top_level,
                wall_s,
                file,
                code,
                signal,
                error,
            } => {
                let outcome = match outcome.as_str() {
                    "imported" => ImportOutcome::Imported,
                    "exited" => ImportOutcome::Exited {
                        code: code.unwrap_or(0),
                    },
                    "crashed" => ImportOutcome::Crashed {
                        signal: signal.unwrap_or(0),
                    },
                    "killed" => ImportOutcome::Killed,
                    _ => ImportOutcome::Raised {
                        error: error.unwrap_or_default().into(),
                    },
                };
                modules.push(ModuleImport {
                    module: Foreign::from(module),
                    top_level,
                    outcome,
                    wall_s: if wall_s.is_finite() { wall_s.max(0.0) } else { 0.0 },
                    file: file.map(Foreign::from),
                });
            }
        }
    }
    if !complete && loss.is_none() {
        loss = Some(Loss::Results { bytes: 0 });
    }
    (Import { modules }, loss)
}

/// What the interpreter told of code that was decoded and executed (PEP 578): name of the event, and where.
pub fn audits(results: &[u8]) -> Vec<(String, Foreign)> {
    lines::read::<Line>(results)
        .0
        .into_iter()
        .filter_map(|line| match line {
            Line::Audit { audit, text } => Some((audit, Foreign::from(text))),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_and_a_missing_end_is_a_loss() {
        let text = b"{\"module\":\"a\",\"outcome\":\"imported\",\"top_level\":true,\"wall_s\":0.5,\"file\":\"/x/a.py\"}\n\
                     {\"module\":\"a.b\",\"outcome\":\"crashed\",\"signal\":11,\"wall_s\":0.1,\"top_level\":false}\n";
        let (import, loss) = parse(text);
        assert_eq!(import.modules.len(), 2);
        assert_eq!(import.modules[1].outcome, ImportOutcome::Crashed { signal: 11 });
        assert!(loss.is_some());
        let whole = [
            &text[..],
            b"{\"audit\":\"exec\",\"text\":\"/x/a.py:3\"}\n{\"finished\":true}\n",
        ]
        .concat();
        assert_eq!(parse(&whole).1, None);
        assert_eq!(audits(&whole), [("exec".to_owned(), Foreign::from("/x/a.py:3"))]);
    }
}
