//! Core metadata: `METADATA` of wheels, `PKG-INFO` of sdists.

use pyti_model::Foreign;
use pyti_model::raw::Metadata;

/// Values of one repeated field that are kept.
const VALUES: usize = 10_000;
/// Bytes of one value that are kept.
const VALUE_BYTES: usize = 8 << 10;

/// Reads core metadata. Fields that are missing stay empty; what is not text of headers gives nothing at all.
pub fn parse(bytes: &[u8]) -> Metadata {
    let fields = fields(bytes);
    let all = |name: &str| -> Vec<Foreign> {
        let named = fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named
            .map(|(_, value)| Foreign::new(value.as_slice()))
            .take(VALUES)
            .collect()
    };
    let first = |name: &str| {
        all(name)
            .into_iter()
            .next()
            .filter(|value| !matches!(value.as_bytes(), b"" | b"UNKNOWN"))
    };
    Metadata {
        name: first("Name").unwrap_or_default(),
        version: first("Version").unwrap_or_default(),
        requires_dist: all("Requires-Dist"),
        provides_extra: all("Provides-Extra"),
        requires_python: first("Requires-Python"),
        summary: first("Summary"),
        license: first("License-Expression").or_else(|| first("License")),
    }
}

/// Every header field in order, values unfolded to one line and capped.
pub(crate) fn fields(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok((headers, _)) = mailparse::parse_headers(bytes) else {
        return Vec::new();
    };
    headers
        .iter()
        .map(|header| {
            let words = header
                .get_value_raw()
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty());
            let mut value = words.collect::<Vec<_>>().join(&b' ');
            value.truncate(VALUE_BYTES);
            (header.get_key(), value)
        })
        .collect()
}

/// What follows the header fields: the description.
pub fn body(bytes: &[u8]) -> &[u8] {
    match mailparse::parse_headers(bytes) {
        Ok((_, start)) => bytes.get(start..).unwrap_or_default(),
        Err(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_written() {
        let metadata = parse(
            b"Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nRequires-Dist: a>1\nRequires-Dist: b ;\n  extra == 'x'\n\
              Provides-Extra: x\nSummary: \xff\xfe odd\nLicense: UNKNOWN\n\nName: not this\n",
        );
        assert_eq!(metadata.name, Foreign::from("Foo_Bar"));
        assert_eq!(
            metadata.requires_dist,
            [Foreign::from("a>1"), Foreign::from("b ; extra == 'x'")]
        );
        assert_eq!(metadata.summary, Some(Foreign::new(b"\xff\xfe odd".to_vec())));
        assert_eq!(metadata.license, None);
    }

    #[test]
    fn rubbish_gives_nothing() {
        assert_eq!(parse(b"\0\xff\n\n"), Metadata::default());
    }
}
