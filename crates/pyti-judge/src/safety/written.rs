//! Rules as they are written in files: TOML, before anything is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use pyti_model::finding::{Family, RuleState, Severity};
use pyti_model::trace::Origin;
use serde::de::{self, IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::facts::Outcome;
use super::kind::{Key, Kind, Phase, Within};

/// One value, or several of which one has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum OneOf<T> {
    #[default]
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> OneOf<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// By hand, because serde's untagged enums forget what was wrong.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = OneOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a list of values")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(OneOf::One)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(OneOf::One)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(OneOf::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                Ok(OneOf::Many(many))
            }
        }

        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

/// A file of rules.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    /// Patterns with a name, for `@name` in rules.
    #[serde(default)]
    pub(super) sets: BTreeMap<String, Spanned<Vec<String>>>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<Spanned<RawRule>>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) family: Family,
    pub(super) severity: Severity,
    #[serde(default = "active")]
    pub(super) state: RuleState,
    pub(super) since: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) phases: Vec<Phase>,
    /// Severity in some phases.
    #[serde(default, rename = "in", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) weights: BTreeMap<Phase, Severity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) behaviours: Vec<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) look_alikes: Vec<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mitre: Vec<String>,
    pub(super) sentence: String,
    pub(super) note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) within: Option<Within>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) each: Option<Key>,
    /// Of findings that weigh the same, the more telling are shown first: the higher number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) telling: u8,
    /// Rules that say less about the same events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) covers: Vec<String>,
    #[serde(rename = "step")]
    pub(super) steps: Vec<RawStep>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn active() -> RuleState {
    RuleState::Active
}

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ty,)+) => {
        /// What a step looks for; everything that is named has to hold.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct RawStep {
            $($(#[doc = $doc])+ #[serde(skip_serializing_if = "Emptiness::is_empty")] pub(super) $field: $kind,)+
        }

        /// The fields of a step, for the documentation.
        #[cfg(test)]
        pub(super) const STEP_FIELDS: &[(&str, &str)] = &[$((stringify!($field), concat!($($doc),+)),)+];
    };
}

trait Emptiness {
    fn is_empty(&self) -> bool;
}

impl<T> Emptiness for OneOf<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T> Emptiness for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

steps! {
    /// Kinds of facts.
    deed: OneOf<Kind>,
    /// Patterns of the path.
    path: OneOf<String>,
    /// Patterns that the path must not fit.
    not_path: OneOf<String>,
    /// Patterns of the old name, for renames.
    from: OneOf<String>,
    /// Patterns of the program that is executed; without `/` its last segment.
    program: OneOf<String>,
    /// Patterns that it must not fit.
    not_program: OneOf<String>,
    /// Patterns of the program that does it.
    by: OneOf<String>,
    /// Patterns that it must not fit.
    not_by: OneOf<String>,
    /// Regular expressions over the arguments, joined by spaces.
    argv: OneOf<String>,
    /// Regular expressions that must not be found in them.
    not_argv: OneOf<String>,
    /// Where the program that is executed comes from.
    origin: OneOf<Origin>,
    /// Whether standard streams of the program are internet sockets.
    sockets: Option<bool>,
    /// Patterns of a variable in the program's environment.
    variable: OneOf<String>,
    /// Patterns of the host.
    host: OneOf<String>,
    /// Patterns that no host of it must fit.
    not_host: OneOf<String>,
    /// `loopback`, `private`, `link_local`, `public`, `any` (not loopback), `simulated` (names' addresses in the box), or an address.
    address: OneOf<String>,
    /// Addresses that it must not be.
    not_address: OneOf<String>,
    /// Ports.
    port: OneOf<u16>,
    /// Ports that it must not be.
    not_port: OneOf<u16>,
    /// What was spoken.
    language: OneOf<String>,
    /// What was not spoken.
    not_language: OneOf<String>,
    /// Verbs of questions: `POST`.
    verb: OneOf<String>,
    /// Regular expressions over what was asked for: URL path and query.
    target: OneOf<String>,
    /// Regular expressions over what was sent.
    sent: OneOf<String>,
    /// Patterns of the name: of a call, a script, a limit, a name that was asked for.
    name: OneOf<String>,
    /// Patterns that it must not fit.
    not_name: OneOf<String>,
    /// Regular expressions over text: a process's new name, what a file holds, what the interpreter told.
    text: OneOf<String>,
    /// Permission bits, one of which is set.
    mode: Option<u32>,
    /// The least number: bytes of a file, longest label of a name, seconds.
    number: Option<u64>,
    /// What came of it; `any` when that does not matter.
    result: OneOf<Wanted>,
    /// Whose tool the decoy belongs to.
    tool: OneOf<String>,
    /// Whose it must not be.
    not_tool: OneOf<String>,
    /// Whether decoys count that much ordinary code reads.
    commonly_read: Option<bool>,
    /// Projects that may do it.
    not_project: OneOf<String>,
    /// How often.
    at_least: Option<u32>,
    /// What makes two of them different, when they are counted.
    distinct: Option<Key>,
    /// An earlier step, counted from 1, that has the same path.
    same_path_as: Option<usize>,
}

/// What has to have come of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    Attempted,
    Done,
    Failed,
    Refused,
    Any,
}

impl Wanted {
    pub(super) fn takes(self, outcome: Outcome) -> bool {
        match self {
            Self::Any => true,
            Self::Attempted => outcome == Outcome::Attempted,
            Self::Done => outcome == Outcome::Done,
            Self::Failed => outcome == Outcome::Failed,
            Self::Refused => outcome == Outcome::Refused,
        }
    }
}
