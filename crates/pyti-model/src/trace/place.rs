//! Places of a recording: what findings point at.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One place of a recording: an envelope, and where it holds a list, a place in that (an act of a trace, a
/// change of a layer). Written `17` or `17.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    /// [`crate::event::Envelope::seq`].
    pub seq: u64,
    /// The place in its list.
    pub item: Option<u32>,
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Some(item) => write!(f, "{}.{item}", self.seq),
            None => write!(f, "{}", self.seq),
        }
    }
}

/// A text that names no place of a recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place of a recording, such as 17 or 17.4")]
pub struct NoEventRef(String);

impl FromStr for EventRef {
    type Err = NoEventRef;

    fn from_str(text: &str) -> std::result::Result<Self, NoEventRef> {
        let no = || NoEventRef(text.chars().take(40).collect());
        let (seq, item) = match text.split_once('.') {
            Some((seq, item)) => (seq, Some(item.parse().map_err(|_| no())?)),
            None => (text, None),
        };
        Ok(Self {
            seq: seq.parse().map_err(|_| no())?,
            item,
        })
    }
}

impl Serialize for EventRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for EventRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a place of the recording: number of the envelope, and place in its list",
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_recording_are_read_as_they_are_written() {
        for text in ["0", "17", "17.4"] {
            assert_eq!(text.parse::<EventRef>().unwrap().to_string(), text);
        }
        for text in ["", ".", "1.", "x", "1.2.3", "-1"] {
            assert!(text.parse::<EventRef>().is_err(), "{text}");
        }
    }
}
