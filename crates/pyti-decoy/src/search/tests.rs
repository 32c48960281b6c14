use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use pyti_model::trace::DecoyPlace;

use super::*;

const SECRET: &str = "q7/Zr0PxW2mK9sLd+4vTfYb1NcHgJ5uEaQe8oXi3";

fn needles(secret: &str) -> Needles {
    Needles::new(&[Decoy {
        id: "it".into(),
        family: "x".into(),
        place: DecoyPlace::Variable("X".into()),
        secrets: vec![secret.into()],
        commonly_read: false,
    }])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|b| format!("{b:02x}").into_bytes())
        .collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    STANDARD.encode(bytes).into_bytes()
}

fn url(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|b| {
            if b.is_ascii_alphanumeric() {
                vec![*b]
            } else {
                format!("%{b:02X}").into_bytes()
            }
        })
        .collect()
}

/// A way to write something, and what its name is.
type Coding = (&'static str, fn(&[u8]) -> Vec<u8>);

/// All ways that are tested, alone and two by two.
const CODINGS: &[Coding] = &[
    ("raw", <[u8]>::to_vec),
    ("reversed", |b| b.iter().rev().copied().collect()),
    ("base64", base64),
    ("base64url", |b| URL_SAFE.encode(b).into_bytes()),
    ("hex", hex),
    ("url", url),
    ("xor 0x5a", |b| b.iter().map(|b| b ^ 0x5a).collect()),
    ("utf-16", |b| b.iter().flat_map(|b| [*b, 0]).collect()),
    ("gzip", gzip),
    ("zlib", zlib),
    ("deflate", deflate),
    ("zstd", zstandard),
    ("escaped", |b| {
        b.iter()
            .flat_map(|b| format!("\\x{b:02x}").into_bytes())
            .collect()
    }),
    ("wrapped", |b| {
        base64(b).chunks(19).collect::<Vec<_>>().join(&b"\r\n"[..])
    }),
];

fn document() -> Vec<u8> {
    format!("[default]\naws_access_key_id = AKIAXXXX\naws_secret_access_key = {SECRET}\nregion = eu-west-1\n")
        .into_bytes()
}

#[test]
fn each_encoding_has_its_name() {
    let needles = needles(SECRET);
    for (name, code) in CODINGS {
        let hits = needles.search(&code(&document()));
        let expected = match *name {
            "wrapped" | "base64url" => "base64",
            // of so short a text it leaves most as it is
            "zstd" => "raw",
            name => name,
        };
        assert!(hits.iter().any(|h| h.encoding == expected), "{name}: {hits:?}");
    }
}

#[test]
fn two_layers_of_all_kinds() {
    let needles = needles(SECRET);
    let mut missed = Vec::new();
    for (outer, first) in CODINGS {
        for (inner, second) in CODINGS {
            if *outer == "reversed" && matches!(*inner, "url" | "zlib" | "deflate" | "escaped") {
                continue;
            }
            // what has no mark that shows under a key, or too few letters to guess it by; zeros of a stream are lost with those of UTF-16
            let unmarked = matches!(
                (*outer, *inner),
                ("xor 0x5a", "deflate" | "escaped") | ("utf-16", "xor 0x5a" | "gzip" | "zlib" | "deflate")
            );
            if !unmarked && needles.search(&first(&second(&document()))).is_empty() {
                missed.push(format!("{outer} of {inner}"));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn names_of_layers_begin_outside() {
    let needles = needles(SECRET);
    let hits = needles.search(&base64(&gzip(&hex(&document()))));
    assert_eq!(hits[0].encoding, "base64 of gzip of hex");
    let hits = needles.search(&gzip(&base64(&zlib(&document()))));
    assert_eq!(hits[0].encoding, "gzip of base64 of zlib");
}

#[test]
fn what_lies_open_is_told_once() {
    let needles = needles(SECRET);
    let mut text = b"0123".to_vec();
    text.extend(document());
    text.extend(gzip(&document()));
    let hits = needles.search(&text);
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!(hits[0].encoding, "raw");
    assert_eq!(hits[0].offset, 4 + 10 + 29 + 24);
}

#[test]
fn what_is_too_plain_is_not_searched_for() {
    for secret in ["short", "aaaaaaaaaaaaaaaaaaaa", "ababababababababab"] {
        assert!(needles(secret).search(secret.as_bytes()).is_empty(), "{secret}");
    }
    assert_eq!(needles("s3cr3t-of-16-byt").search(b"s3cr3t-of-16-byt").len(), 1);
}

#[test]
fn a_bomb_is_told_and_ends() {
    let mut bomb = vec![0; 8 << 20];
    bomb.extend(document());
    let looked = needles(SECRET).look(&gzip(&gzip(&bomb)));
    assert!(looked.cut && looked.hits.is_empty());
    let harmless = vec![0; 1 << 20];
    assert!(!needles(SECRET).look(&gzip(&harmless)).cut);
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9+/_-]{20,64}".prop_filter("plain", |s| is_distinct(s.as_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn found_in_every_encoding_wherever_it_stands(
        secret in secret(), before in noise(), after in noise(), inner in noise(),
    ) {
        let needles = needles(&secret);
        for (name, code) in CODINGS {
            let plain = [&inner, secret.as_bytes(), &inner].concat();
            let text = [&before, &code(&plain)[..], &after].concat();
            let hits = needles.search(&text);
            prop_assert!(!hits.is_empty(), "{} of {:?} in {:?}", name, secret, text);
        }
    }

    #[test]
    fn found_in_names(secret in secret(), at in 1usize..19) {
        let needles = needles(&secret);
        let base32 = forms::forms(secret.as_bytes()).into_iter().find(|f| f.0 == 4).unwrap().1;
        let (a, b) = base32.split_at(at);
        let name = [a, b".", b, b".evil.example"].concat();
        prop_assert_eq!(&needles.search_name(&name)[0].encoding, "base32");
        prop_assert_eq!(&needles.search_name(&name.to_ascii_uppercase())[0].encoding, "base32");
        prop_assert_eq!(needles.search_name(b"www.evil.example"), vec![]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn never_found_in_random_bytes(
        secret in secret(), seed: u64,
    ) {
        let needles = needles(&secret);
        let mut state = seed | 1;
        let bytes: Vec<u8> = (0..(16 << 10)).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[4]
        }).collect();
        prop_assert_eq!(needles.search(&bytes), vec![]);
        let text: Vec<u8> = bytes.iter().map(|b| b"abcdefghijklmnopqrstuvwxyz ABCDE\n0123456789\"\\%="[usize::from(b % 47)]).collect();
        prop_assert_eq!(needles.search(&text), vec![]);
        prop_assert_eq!(needles.search(&base64(&bytes)), vec![]);
        prop_assert_eq!(needles.search_name(&hex(&bytes)), vec![]);
    }
}
