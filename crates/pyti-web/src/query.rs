//! What stands behind the question mark.

use std::collections::BTreeMap;

/// Longest query, in bytes, and most fields.
const LONGEST: usize = 2048;
const MOST: usize = 16;

/// The fields of a query; of several with one name the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, String>);

/// A query that we do not take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAQuery;

impl Query {
    /// Reads `application/x-www-form-urlencoded` text.
    pub(crate) fn read(text: &str) -> Result<Self, NotAQuery> {
        if text.len() > LONGEST {
            return Err(NotAQuery);
        }
        let mut fields = BTreeMap::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if fields.len() == MOST {
                return Err(NotAQuery);
            }
            fields.entry(name).or_insert(value);
        }
        Ok(Self(fields))
    }

    /// A field that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A number, when the field is there; an error when it is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, NotAQuery> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| NotAQuery))
            .transpose()
    }
}

fn decode(text: &str) -> Result<String, NotAQuery> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || {
                    let digit = char::from(bytes.next().ok_or(NotAQuery)?).to_digit(16);
                    digit.and_then(|d| u8::try_from(d).ok()).ok_or(NotAQuery)
                };
                out.push(digit()? << 4 | digit()?);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| NotAQuery)
}

/// A value as it stands in an address.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_the_first_of_a_name_counts() {
        let query = Query::read("q=a%2Fb+c&q=d&before=12&empty=").unwrap();
        assert_eq!(query.get("q"), Some("a/b c"));
        assert_eq!(query.number::<i64>("before"), Ok(Some(12)));
        assert_eq!(query.get("empty"), None);
        assert_eq!(decode(&encode("ä <&>")).unwrap(), "ä <&>");
    }

    #[test]
    fn what_is_no_query_is_refused() {
        assert_eq!(Query::read("q=%zz"), Err(NotAQuery));
        assert_eq!(Query::read("q=%4"), Err(NotAQuery));
        assert_eq!(Query::read("q=%ff"), Err(NotAQuery));
        assert_eq!(Query::read(&"q".repeat(3000)), Err(NotAQuery));
        let many: String = (0..20).map(|n| format!("f{n}=1&")).collect();
        assert_eq!(Query::read(&many), Err(NotAQuery));
        assert_eq!(
            Query::read("before=x").unwrap().number::<i64>("before"),
            Err(NotAQuery)
        );
    }
}
