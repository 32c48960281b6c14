//! Sentences about one case: a rule's template, filled with what happened.

use std::borrow::Cow;

use pyti_model::Foreign;
use pyti_model::trace::{DecoyPlace, Deed};

use super::facts::{Fact, Facts, line};

/// Characters of one value in a sentence.
const MOST: usize = 140;

/// A template: text, and places for values of a step.
#[derive(Debug, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value { step: usize, what: What },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    When,
    Path,
    From,
    Program,
    Argv,
    By,
    Host,
    Decoy,
    Encoding,
    Name,
    Text,
    Target,
    Number,
    Count,
    Result,
    Done,
}

/// What can stand between braces, and what it means.
#[cfg(test)]
pub(super) const PLACES: &[(&str, &str)] = &[
    ("When", "the phase: *While it was imported*"),
    ("path", "the path"),
    ("from", "the old name, for renames"),
    ("program", "the program that was executed"),
    ("argv", "its arguments"),
    ("by", "the program that did it"),
    ("host", "the host, else the address"),
    ("decoy", "the decoy and where it lies"),
    ("encoding", "how its secret was hidden"),
    ("name", "the name: of a call, a script, a limit"),
    ("text", "the text"),
    ("target", "what was asked for: verb and path"),
    ("number", "the number: bytes, seconds"),
    ("count", "how many facts there are of this step"),
    ("result", "what came of it"),
    ("what", "what was done, in words: *read /etc/hosts*"),
];

impl What {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "When" => Self::When,
            "path" => Self::Path,
            "from" => Self::From,
            "program" => Self::Program,
            "argv" => Self::Argv,
            "by" => Self::By,
            "host" => Self::Host,
            "decoy" => Self::Decoy,
            "encoding" => Self::Encoding,
            "name" => Self::Name,
            "text" => Self::Text,
            "target" => Self::Target,
            "number" => Self::Number,
            "count" => Self::Count,
            "result" => Self::Result,
            "what" => Self::Done,
            _ => return None,
        })
    }
}

impl Template {
    /// Reads a template: `{When}, {by} wrote {path}`, `{2.host}` for the second step.
    pub(super) fn new(text: &str, steps: usize) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some(close) = after.find('}') else {
                return Err("a { is not closed".to_owned());
            };
            let word = &after[1..close];
            let (step, name) = match word.split_once('.') {
                Some((step, name)) => (step.parse().unwrap_or(0), name),
                None => (1, word),
            };
            if step == 0 || step > steps.max(1) {
                return Err(format!("{{{word}}} names no step of this rule"));
            }
            let Some(what) = What::of(name) else {
                return Err(format!("{{{word}}} is nothing that can be said"));
            };
            parts.push(Part::Value { step: step - 1, what });
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills it. `steps` holds the facts of each step, the first of them speaks. What came from the package is made
    /// visible, cut, and never read as a template again.
    pub(super) fn fill(&self, facts: &Facts<'_>, steps: &[Vec<usize>], counts: &[usize]) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value { step, what } => {
                    let fact = steps
                        .get(*step)
                        .and_then(|of_step| of_step.first())
                        .and_then(|at| facts.all.get(*at));
                    match (what, fact) {
                        (What::Count, _) => {
                            out.push_str(&counts.get(*step).copied().unwrap_or(0).to_string());
                        }
                        (_, Some(fact)) => {
                            let value = value(*what, facts, fact);
                            out.push_str(if value.is_empty() { unknown(*what) } else { &value });
                        }
                        (_, None) => out.push_str(unknown(*what)),
                    }
                }
            }
        }
        out
    }
}

fn unknown(what: What) -> &'static str {
    match what {
        What::By => "a process",
        What::Host => "somebody",
        What::Decoy => "a decoy",
        _ => "something",
    }
}

fn value(what: What, facts: &Facts<'_>, fact: &Fact<'_>) -> String {
    match what {
        What::When => fact.phase.when().to_owned(),
        What::Path => path(fact),
        What::From => shown(fact.from.as_bytes()),
        What::Program => match fact.deed {
            Some(Deed::Execute { path, .. }) => shown(path.as_bytes()),
            _ => path(fact),
        },
        What::Argv => match fact.deed {
            Some(Deed::Execute { argv, .. }) => shown(&line(argv)),
            _ => shown(&fact.text),
        },
        What::By => {
            let place = facts.program_of(fact);
            shown(place.rsplit('/').next().unwrap_or(place).as_bytes())
        }
        What::Host => match (fact.hosts().first(), fact.address()) {
            (Some(host), _) => shown(host.as_bytes()),
            (None, Some((address, 0))) => address.to_string(),
            (None, Some((address, port))) => std::net::SocketAddr::new(address, port).to_string(),
            (None, None) => shown(fact.place.as_bytes()),
        },
        What::Decoy => decoy(fact),
        What::Encoding => match fact.text.as_ref() {
            b"raw" => "in plain text".to_owned(),
            other => format!("as {}", shown(other)),
        },
        What::Name => shown(fact.name.as_bytes()),
        What::Text => shown(&fact.text),
        What::Target => match fact.deed {
            Some(Deed::Converse(talk)) => talk.exchanges.first().map_or_else(String::new, |exchange| {
                let both = [exchange.verb.as_bytes(), exchange.target.as_bytes()].join(&b' ');
                shown(both.trim_ascii())
            }),
            _ => String::new(),
        },
        What::Number => fact.number.to_string(),
        What::Count => String::new(),
        What::Done => super::baseline::deed(fact).unwrap_or_default(),
        What::Result => match fact.came {
            super::facts::Outcome::Attempted => "tried",
            super::facts::Outcome::Done => "done",
            super::facts::Outcome::Failed => "without success",
            super::facts::Outcome::Refused => "refused by the box",
        }
        .to_owned(),
    }
}

fn path(fact: &Fact<'_>) -> String {
    match &fact.path {
        Some(path) => shown(path.as_bytes()),
        None => shown(fact.place.as_bytes()),
    }
}

fn decoy(fact: &Fact<'_>) -> String {
    let Some(decoy) = fact.decoy else {
        return shown(fact.name.as_bytes());
    };
    match &decoy.place {
        DecoyPlace::File(file) => shown(file.as_bytes()),
        DecoyPlace::Variable(name) => format!("the variable {}", shown(name.as_bytes())),
    }
}

/// Text of a package as it may be shown: made visible, and cut in the middle.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = Foreign::new(&bytes[..bytes.len().min(8 << 10)]).visible();
    cut(&text).into_owned()
}

fn cut(text: &str) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= MOST {
        return Cow::Borrowed(text);
    }
    let head: String = text.chars().take(MOST * 2 / 3).collect();
    let tail: String = text.chars().skip(count - MOST / 4).collect();
    Cow::Owned(format!("{head}…{tail}"))
}
