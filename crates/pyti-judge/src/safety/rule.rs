//! Rules: loaded, checked, shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use pyti_model::finding::{Family, RuleState, Severity};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::kind::{Key, Phase, Weights, Within};
use super::sentence::Template;
use super::step::{Sets, Step};
use super::written::{RawRule, RuleFile};

/// The files of rules that come with PyTI.
const BUILT_IN: &[(&str, &str)] = &[
    ("rules/sets.toml", include_str!("../../../../rules/sets.toml")),
    ("rules/access.toml", include_str!("../../../../rules/access.toml")),
    (
        "rules/persistence.toml",
        include_str!("../../../../rules/persistence.toml"),
    ),
    (
        "rules/execution.toml",
        include_str!("../../../../rules/execution.toml"),
    ),
    (
        "rules/network.toml",
        include_str!("../../../../rules/network.toml"),
    ),
    (
        "rules/evasion.toml",
        include_str!("../../../../rules/evasion.toml"),
    ),
    ("rules/impact.toml", include_str!("../../../../rules/impact.toml")),
];

/// A rule: what it looks for, what it means, and how much it weighs.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Its name, for ever: `decoy-read-then-contact`.
    pub id: String,
    /// Its title, for lists.
    pub title: String,
    /// What the behaviour is for.
    pub family: Family,
    /// How much it weighs.
    pub severity: Severity,
    /// How much it weighs in some phases.
    pub weights: Weights,
    /// How far it is trusted.
    pub state: RuleState,
    /// The version of PyTI that had it first.
    pub since: String,
    /// Where it looks; everywhere when empty.
    pub phases: Vec<Phase>,
    /// Numbers of the behaviours in `docs/rules.md`.
    pub behaviours: Vec<u8>,
    /// Numbers of the harmless look-alikes in `docs/rules.md` that it leaves alone.
    pub look_alikes: Vec<u8>,
    /// Techniques of MITRE ATT&CK.
    pub mitre: Vec<String>,
    /// The sentence for people, with places for the case.
    pub sentence: String,
    /// What it means, and what harmless code does that looks like it.
    pub note: String,
    /// How near to each other its steps have to be.
    pub within: Within,
    /// What makes a finding of its own.
    pub each: Option<Key>,
    /// Of findings that weigh the same, those with the higher number are shown first.
    pub telling: u8,
    /// Rules that say less about the same events: what they find there is left out beside this one.
    pub covers: Vec<String>,
    /// The file it was read from.
    pub file: String,
    #[serde(skip)]
    pub(super) template: Template,
    #[serde(skip)]
    pub(super) steps: Vec<Step>,
    #[serde(skip)]
    raw: RawRule,
}

impl Rule {
    /// How much it weighs in a phase. In tests everything weighs less, unless the rule says otherwise: authors' tests
    /// do on purpose what looks bad, and they run on nobody's machine but theirs.
    pub fn weight(&self, phase: Phase) -> Severity {
        if let Some(weight) = self.weights.get(&phase) {
            return *weight;
        }
        match (phase, self.severity) {
            (Phase::Test, Severity::Critical) => Severity::Medium,
            (Phase::Test, Severity::High) => Severity::Low,
            (Phase::Test, _) => Severity::Info,
            (_, severity) => severity,
        }
    }

    /// Whether it looks at what happens in a phase. What belongs to no known phase is looked at by all.
    pub fn looks_at(&self, phase: Phase) -> bool {
        self.phases.is_empty() || phase == Phase::Other || self.phases.contains(&phase)
    }

    /// Several lines about it, for people: everything that its file says.
    pub fn show(&self) -> String {
        let mut out = format!("{}: {}\n", self.id, self.title);
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                out.push_str(&format!("  {name:<12} {value}\n"));
            }
        };
        line("severity", self.severity.word().to_owned());
        let weights = self
            .weights
            .iter()
            .map(|(phase, severity)| format!("{} in {}", severity.word(), phase.word()));
        line("but", weights.collect::<Vec<_>>().join(", "));
        line("family", self.family.word().to_owned());
        line(
            "state",
            format!("{}, since {}", state_word(self.state), self.since),
        );
        line("phases", words(self.phases.iter().map(|phase| phase.word())));
        line(
            "within",
            if self.steps.len() > 1 {
                self.within.word().to_owned()
            } else {
                String::new()
            },
        );
        line("behaviours", words(self.behaviours.iter().map(u8::to_string)));
        line("look-alikes", words(self.look_alikes.iter().map(u8::to_string)));
        line("ATT&CK", words(self.mitre.iter()));
        line("covers", words(self.covers.iter()));
        line("file", self.file.clone());
        line("says", self.sentence.clone());
        line("note", self.note.split_whitespace().collect::<Vec<_>>().join(" "));
        for (number, step) in (1..).zip(&self.raw.steps) {
            let json = serde_json::to_value(step).unwrap_or_default();
            let fields = json
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{name} = {value}"));
            out.push_str(&format!(
                "  step {number}       {}\n",
                fields.collect::<Vec<_>>().join("\n               ")
            ));
        }
        out
    }
}

fn words<T: AsRef<str>>(words: impl Iterator<Item = T>) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(word.as_ref());
    }
    out
}

/// The word of a state, as in rules.
pub fn state_word(state: RuleState) -> &'static str {
    match state {
        RuleState::Shadow => "shadow",
        RuleState::Active => "active",
        RuleState::Retired => "retired",
    }
}

/// Something in a file of rules or suppressions that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule, where it is about one.
    pub rule: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// Everything that is wrong with a set of files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleErrors(pub Vec<RuleError>);

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// Line of a byte, from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

/// What a TOML reader says, with the line.
pub(super) fn unreadable(file: &str, text: &str, error: &toml::de::Error) -> RuleError {
    RuleError {
        file: file.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        rule: None,
        reason: error.message().lines().collect::<Vec<_>>().join(" "),
    }
}

/// Rules that judge together.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    digest: String,
}

static BUILT: LazyLock<Result<RuleSet, RuleErrors>> = LazyLock::new(|| RuleSet::load(BUILT_IN));
static NOTHING: LazyLock<RuleSet> = LazyLock::new(|| RuleSet {
    rules: Vec::new(),
    digest: "unreadable".to_owned(),
});

impl RuleSet {
    /// The rules that come with PyTI. A test proves that they can be read.
    pub fn built_in() -> &'static Self {
        BUILT.as_ref().unwrap_or(&NOTHING)
    }

    /// The files of the built-in rules: name and text.
    pub fn built_in_files() -> &'static [(&'static str, &'static str)] {
        BUILT_IN
    }

    /// Reads rules from texts; each has a name for messages. Sets of patterns are known in all of them.
    ///
    /// # Errors
    /// Everything that is wrong, each with file, line and rule.
    pub fn load(files: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Self, RuleErrors> {
        let mut errors = Vec::new();
        let mut sets = Sets::new();
        let mut raw = Vec::new();
        for (name, text) in files {
            let (name, text) = (name.as_ref(), text.as_ref());
            let file: RuleFile = match toml::from_str(text) {
                Ok(file) => file,
                Err(error) => {
                    errors.push(unreadable(name, text, &error));
                    continue;
                }
            };
            for (set, patterns) in file.sets {
                let line = line_of(text, patterns.span().start);
                let patterns = patterns.into_inner();
                let reason = if patterns.is_empty() || patterns.iter().any(String::is_empty) {
                    Some(format!("the set {set} is empty, or holds an empty pattern"))
                } else if patterns.iter().any(|pattern| pattern.starts_with('@')) {
                    Some(format!("the set {set} names another set, which sets cannot"))
                } else {
                    sets.insert(set.clone(), patterns)
                        .map(|_| format!("the set {set} is there twice"))
                };
                errors.extend(reason.map(|reason| RuleError {
                    file: name.to_owned(),
                    line,
                    rule: None,
                    reason,
                }));
            }
            for rule in file.rules {
                let line = line_of(text, rule.span().start);
                raw.push((name.to_owned(), line, rule.into_inner()));
            }
        }
        let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
        let mut covers = Vec::new();
        let ids: BTreeSet<String> = raw
            .iter()
            .map(|(_, _, raw): &(_, _, RawRule)| raw.id.clone())
            .collect();
        for (file, line, raw) in raw {
            let id = raw.id.clone();
            covers.extend(
                raw.covers
                    .iter()
                    .map(|other| (file.clone(), line, id.clone(), other.clone())),
            );
            let mut wrong = |reason: String| {
                errors.push(RuleError {
                    file: file.clone(),
                    line,
                    rule: Some(id.clone()),
                    reason,
                });
            };
            if let Some(other) = rules.get(&id) {
                wrong(format!("is there twice, also in {}", other.file));
                continue;
            }
            match check(raw, file.clone(), &sets) {
                Ok(rule) => {
                    rules.insert(id, rule);
                }
                Err(reasons) => reasons.into_iter().for_each(&mut wrong),
            }
        }
        for (file, line, id, covered) in covers {
            if !ids.contains(&covered) || covered == id {
                errors.push(RuleError {
                    file,
                    line,
                    reason: format!("it covers {covered}, and that is no other rule"),
                    rule: Some(id),
                });
            }
        }
        if !errors.is_empty() {
            errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            return Err(RuleErrors(errors));
        }
        let rules: Vec<Rule> = rules.into_values().collect();
        let digest = digest(&rules, &sets);
        Ok(Self { rules, digest })
    }

    /// The rules, by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that id.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.rules
            .binary_search_by(|rule| rule.id.as_str().cmp(id))
            .ok()
            .and_then(|at| self.rules.get(at))
    }

    /// SHA-256 of what the rules say, in hexadecimal. Order, comments and names of files do not change it.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn digest(rules: &[Rule], sets: &Sets) -> String {
    let raw: Vec<&RawRule> = rules.iter().map(|rule| &rule.raw).collect();
    let json = serde_json::to_vec(&(raw, sets)).unwrap_or_default();
    Sha256::digest(json)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn check(raw: RawRule, file: String, sets: &Sets) -> Result<Rule, Vec<String>> {
    let mut wrong = Vec::new();
    let is_word = |id: &str| {
        !id.is_empty()
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !id.starts_with('-')
            && !id.ends_with('-')
    };
    if !is_word(&raw.id) || raw.id.len() > 60 {
        wrong.push("an id is up to 60 lower-case letters, digits and inner hyphens".to_owned());
    }
    for (name, text) in [("title", &raw.title), ("note", &raw.note), ("since", &raw.since)] {
        if text.trim().is_empty() {
            wrong.push(format!("the {name} is empty"));
        }
    }
    if raw.behaviours.iter().any(|row| !(1..=60).contains(row)) {
        wrong.push("behaviours are numbers from 1 to 60".to_owned());
    }
    if raw.look_alikes.iter().any(|row| !(1..=31).contains(row)) {
        wrong.push("look_alikes are numbers from 1 to 31".to_owned());
    }
    if raw.phases.iter().collect::<BTreeSet<_>>().len() != raw.phases.len() {
        wrong.push("a phase is named twice".to_owned());
    }
    for technique in &raw.mitre {
        let mut parts = technique.strip_prefix('T').unwrap_or_default().split('.');
        let digits = |part: Option<&str>, count: usize| {
            part.is_some_and(|part| part.len() == count && part.bytes().all(|b| b.is_ascii_digit()))
        };
        let right = digits(parts.next(), 4) && parts.next().is_none_or(|part| digits(Some(part), 3));
        if !right || parts.next().is_some() {
            wrong.push(format!(
                "{technique:?} is no technique such as T1552 or T1552.001"
            ));
        }
    }
    let mut steps = Vec::new();
    for (number, step) in raw.steps.iter().enumerate() {
        match Step::new(step, number, sets) {
            Ok(step) => steps.push(step),
            Err(reason) => wrong.push(format!("step {}: {reason}", number + 1)),
        }
    }
    if raw.steps.is_empty() {
        wrong.push("it has no step".to_owned());
    }
    if raw.steps.len() > 6 {
        wrong.push("it has more than six steps".to_owned());
    }
    if raw.steps.len() < 2 && raw.steps.iter().all(|step| step.at_least.is_none()) && raw.within.is_some() {
        wrong.push("within says nothing where there is one step".to_owned());
    }
    let template = match Template::new(&raw.sentence, raw.steps.len()) {
        Ok(template) => template,
        Err(reason) => {
            wrong.push(format!("sentence: {reason}"));
            Template::default()
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Rule {
        id: raw.id.clone(),
        title: raw.title.clone(),
        family: raw.family,
        severity: raw.severity,
        weights: raw.weights.clone(),
        state: raw.state,
        since: raw.since.clone(),
        phases: raw.phases.clone(),
        behaviours: raw.behaviours.clone(),
        look_alikes: raw.look_alikes.clone(),
        mitre: raw.mitre.clone(),
        sentence: raw.sentence.clone(),
        note: raw.note.clone(),
        within: raw.within.unwrap_or(Within::Branch),
        each: raw.each,
        telling: raw.telling,
        covers: raw.covers.clone(),
        file,
        template,
        steps,
        raw,
    })
}
