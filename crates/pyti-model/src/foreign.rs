//! Text and bytes that came from a package.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that a package, an archive or a process in a box supplied: a path, an argument, a test's name, output.
///
/// It has no `Display`, so that it can't reach a terminal or a page by accident. [`Foreign::visible`] makes
/// control characters, bidirectional overrides and invalid UTF-8 visible; a page escapes the result besides.
///
/// In JSON it is a string when the bytes are UTF-8, else `{"base64": "…"}`: nothing is lost.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foreign(Vec<u8>);

impl Foreign {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, when it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with invalid UTF-8 replaced, for comparisons and look-ups. Not for showing: see [`Self::visible`].
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One line that is safe to show: what is invisible or moves the cursor is written as an escape.
    ///
    /// ```
    /// use pyti_model::Foreign;
    /// assert_eq!(Foreign::new("a\u{1b}[2Jb\n").visible(), "a\\u{1b}[2Jb\\n");
    /// assert_eq!(Foreign::new(b"\xff.py".to_vec()).visible(), "\\xff.py");
    /// ```
    pub fn visible(&self) -> String {
        self.escape(false)
    }

    /// Like [`Self::visible`], but line breaks and tabs stay: for output of several lines.
    pub fn visible_lines(&self) -> String {
        self.escape(true)
    }

    fn escape(&self, keep_lines: bool) -> String {
        use fmt::Write as _;
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' | '\t' if keep_lines => out.push(c),
                    '\n' => out.push_str("\\n"),
                    '\t' => out.push_str("\\t"),
                    '\r' => out.push_str("\\r"),
                    c if c.is_control() || is_deceptive(c) => {
                        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                    }
                    c => out.push(c),
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        out
    }
}

/// Characters that change how the text around them is read: bidirectional controls, invisible joiners, separators.
fn is_deceptive(c: char) -> bool {
    matches!(u32::from(c),
        0x00ad | 0x061c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb
        | 0xe0000..=0xe007f)
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.visible())
    }
}

impl From<&str> for Foreign {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Foreign {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<Vec<u8>> for Foreign {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Foreign {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form<'a> {
    Text(std::borrow::Cow<'a, str>),
    Bytes { base64: String },
}

impl Serialize for Foreign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => Form::Text(text.into()),
            None => Form::Bytes {
                base64: STANDARD.encode(&self.0),
            },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            Form::Bytes { base64 } => STANDARD.decode(base64).map(Self).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for Foreign {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Foreign".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "text or bytes that came from a package: a string when it is UTF-8, else base64",
            "oneOf": [
                { "type": "string" },
                { "type": "object", "properties": { "base64": { "type": "string" } },
                  "required": ["base64"], "additionalProperties": false }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_json() {
        for bytes in [&b"plain"[..], b"", b"\xff\x00\xfe", "\u{202e}x".as_bytes()] {
            let foreign = Foreign::new(bytes);
            let json = serde_json::to_string(&foreign).unwrap();
            assert_eq!(serde_json::from_str::<Foreign>(&json).unwrap(), foreign, "{json}");
        }
    }

    #[test]
    fn deceptive_text_is_made_visible_and_plain_text_is_left_alone() {
        assert_eq!(Foreign::from("a\u{202e}b").visible(), "a\\u{202e}b");
        assert_eq!(Foreign::from("naïve 日本 [x]").visible(), "naïve 日本 [x]");
        assert_eq!(Foreign::from("a\nb\r").visible_lines(), "a\nb\\r");
    }
}
