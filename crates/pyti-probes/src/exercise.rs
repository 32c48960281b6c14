//! Calling exported functions with cheap arguments.

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use pyti_model::raw::Exercise;
use serde::Deserialize;

use crate::Invocation;
use crate::lines;

/// Most names that are listed of calls that ended badly.
const LISTED: usize = 100;

/// The command: at most `most` functions of these modules, `limit_s` seconds each.
pub fn argv(invocation: &Invocation<'_>, top_level: &[String], limit_s: u32, most: u32) -> Vec<String> {
    let rest = [limit_s.to_string(), most.to_string()];
    invocation.argv("exercise.py", rest.into_iter().chain(top_level.iter().cloned()))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Called {
        called: String,
        outcome: String,
    },
    Finished {
        finished: bool,
        #[serde(default)]
        left_out: u32,
    },
}

/// Reads what it said. Without its last word something is lost.
pub fn parse(results: &[u8]) -> (Exercise, Option<Loss>) {
    let (lines, mut loss) = lines::read::<Line>(results);
    let (mut raw, mut complete) = (Exercise::default(), false);
    for line in lines {
        match line {
            Line::Called { called, outcome } => {
                raw.called = raw.called.saturating_add(1);
                match outcome.as_str() {
                    "returned" => raw.returned = raw.returned.saturating_add(1),
                    "raised" => raw.raised = raw.raised.saturating_add(1),
                    _ if raw.ended_badly.len() < LISTED => raw.ended_badly.push(Foreign::from(called)),
                    _ => {}
                }
            }
            Line::Finished { finished, left_out } => {
                complete |= finished;
                raw.left_out = left_out;
            }
        }
    }
    if !complete && loss.is_none() {
        loss = Some(Loss::Results { bytes: 0 });
    }
    (raw, loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_and_a_missing_end_is_a_loss() {
        let text =
            b"{\"called\":\"a.f\",\"outcome\":\"returned\"}\n{\"called\":\"a.g\",\"outcome\":\"ended\"}\n";
        let (raw, loss) = parse(text);
        assert_eq!((raw.called, raw.returned, raw.ended_badly.len()), (2, 1, 1));
        assert!(loss.is_some());
        let whole = [&text[..], b"{\"finished\":true,\"left_out\":3}\n"].concat();
        let (raw, loss) = parse(&whole);
        assert_eq!((raw.left_out, loss), (3, None));
    }
}
