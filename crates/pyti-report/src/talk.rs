//! What was said on a connection, made readable, with the secrets of decoys found again in it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use pyti_model::Foreign;
use pyti_model::effect::Captured;
use pyti_model::trace::Conversation;

use crate::deeds::url;
use crate::seen::{Seen, Traced};
use crate::sentences::{shown, shown_str};
use crate::words::{bytes, number};

/// Bytes of one body that are shown.
const BODY: usize = 4096;
/// Bytes of a body that is no text, as hexadecimal numbers.
const HEX: usize = 512;
/// Exchanges of one conversation.
const EXCHANGES: usize = 20;
/// Header fields of one exchange.
const HEADERS: usize = 40;
/// Decoys of one conversation.
const DECOYS: usize = 50;
/// Shortest secret that is looked for: shorter ones are found by accident.
const SHORTEST: usize = 6;

/// A piece of text, with the decoy whose secret it is, if it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) decoy: Option<String>,
}

/// One question and its answer.
pub(crate) struct Talk {
    /// `POST https://collector.example/x`.
    pub(crate) line: Vec<Piece>,
    pub(crate) headers: Vec<(String, Vec<Piece>)>,
    pub(crate) headers_more: usize,
    pub(crate) body: Option<Body>,
    /// Status: `200`.
    pub(crate) answer: String,
}

/// Bytes that were sent.
pub(crate) struct Body {
    pub(crate) size: String,
    /// `text`, or `bytes` when it is no text.
    pub(crate) kind: &'static str,
    pub(crate) pieces: Vec<Piece>,
    /// What was left out; may be empty.
    pub(crate) left_out: String,
    /// The same decoded, where it is wholly encoded: how, and what.
    pub(crate) decoded: Option<(&'static str, Vec<Piece>)>,
}

/// A secret as it may stand in text.
pub(crate) struct Needle {
    text: String,
    decoy: String,
}

/// What to look for in what was sent by an act: the secrets that were found in it when it was recorded.
pub(crate) fn needles(seen: &Seen<'_>, traced: &Traced<'_>, act: u32) -> Vec<Needle> {
    let mut needles = Vec::new();
    for (decoy, _) in traced.carried(act).iter().take(DECOYS) {
        for secret in seen.decoy(decoy).iter().flat_map(|decoy| &decoy.secrets) {
            needles.extend(forms(secret).into_iter().map(|text| Needle {
                text,
                decoy: shown_str(decoy),
            }));
        }
    }
    // the longest first, so that none is marked within another
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.text.len()));
    needles
}

/// Decoys in what an act sent, by how they were hidden: `the decoys a and b, hidden by base64`.
pub(crate) fn hidden(traced: &Traced<'_>, act: u32) -> Vec<String> {
    let mut by_encoding: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (decoy, encoding) in traced.carried(act) {
        by_encoding.entry(encoding).or_default().insert(shown_str(decoy));
    }
    by_encoding
        .into_iter()
        .take(DECOYS)
        .map(|(encoding, decoys)| {
            let decoys: Vec<String> = decoys.into_iter().collect();
            let (noun, how) = match (decoys.len(), encoding) {
                (1, "raw") => ("decoy", "as it is".to_owned()),
                (_, "raw") => ("decoys", "as they are".to_owned()),
                (1, encoding) => ("decoy", format!("hidden by {}", shown_str(encoding))),
                (_, encoding) => ("decoys", format!("hidden by {}", shown_str(encoding))),
            };
            format!("the {noun} {}, {how}", crate::words::some(&decoys, 12))
        })
        .collect()
}

/// Pieces with what stands between decoys cut to its ends, so that these are seen in little room.
pub(crate) fn around_decoys(pieces: Vec<Piece>) -> Vec<Piece> {
    const KEPT: usize = 40;
    if pieces.iter().all(|piece| piece.decoy.is_none()) {
        return pieces;
    }
    let last = pieces.len() - 1;
    pieces
        .into_iter()
        .enumerate()
        .map(|(n, piece)| {
            let all = piece.text.chars().count();
            if piece.decoy.is_some() || all <= 3 * KEPT {
                return piece;
            }
            let head: String = piece.text.chars().take(KEPT).collect();
            let tail: String = piece.text.chars().skip(all - KEPT).collect();
            let left = number((all - 2 * KEPT) as u64);
            let text = match n {
                0 => format!("{head} … {tail}"),
                n if n == last => format!("{head} … ({left} more characters)"),
                _ => format!("{head} … {tail}"),
            };
            Piece { text, decoy: None }
        })
        .collect()
}

/// A secret as it is, and in the encodings that leave it findable in text.
fn forms(secret: &str) -> Vec<String> {
    let raw = secret.as_bytes();
    if raw.len() < SHORTEST || raw.len() > 4096 {
        return Vec::new();
    }
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        Foreign::from(secret).visible_lines(),
        secret.chars().rev().collect(),
        hex.to_uppercase(),
        hex,
        percent(raw),
    ];
    for shift in 0..3_usize {
        let bytes = [&[0_u8; 3][..shift], raw].concat();
        let begin = [0, 2, 3][shift];
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // the last character holds bits of what follows, unless the bytes fill it
            let end = text.len() - usize::from(bytes.len() % 3 != 0);
            forms.extend(text.get(begin..end).map(str::to_owned));
        }
    }
    forms.sort();
    forms.dedup();
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn percent(raw: &[u8]) -> String {
    raw.iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(*byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Text cut into pieces where a secret stands in it.
pub(crate) fn mark(text: &str, needles: &[Needle]) -> Vec<Piece> {
    let mut pieces = vec![Piece {
        text: text.to_owned(),
        decoy: None,
    }];
    for needle in needles {
        let mut next = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if piece.decoy.is_some() || !piece.text.contains(&needle.text) {
                next.push(piece);
                continue;
            }
            for (n, part) in piece.text.split(&needle.text).enumerate() {
                if n > 0 {
                    next.push(Piece {
                        text: needle.text.clone(),
                        decoy: Some(needle.decoy.clone()),
                    });
                }
                if !part.is_empty() {
                    next.push(Piece {
                        text: part.to_owned(),
                        decoy: None,
                    });
                }
            }
        }
        pieces = next;
    }
    pieces
}

/// Questions of a conversation, and how many are not among them.
pub(crate) fn talks(conversation: &Conversation, needles: &[Needle]) -> (Vec<Talk>, usize) {
    let talks = conversation
        .exchanges
        .iter()
        .take(EXCHANGES)
        .map(|exchange| Talk {
            line: mark(
                &format!(
                    "{} {}",
                    shown(&exchange.verb),
                    long(&url_whole(conversation, exchange))
                ),
                needles,
            ),
            headers: exchange
                .headers
                .iter()
                .take(HEADERS)
                .map(|(name, value)| (shown(name), mark(&long(&value.visible()), needles)))
                .collect(),
            headers_more: exchange.headers.len().saturating_sub(HEADERS),
            body: body(&exchange.body, needles),
            answer: shown_str(&exchange.answer),
        })
        .collect();
    (talks, conversation.exchanges.len().saturating_sub(EXCHANGES))
}

/// The address of an exchange without the fold of short texts, so that a secret in it is found.
fn url_whole(conversation: &Conversation, exchange: &pyti_model::trace::Exchange) -> String {
    let short = shown(&exchange.target);
    let whole = exchange.target.visible();
    let url = url(conversation, exchange);
    match url.strip_suffix(short.as_str()) {
        Some(head) => format!("{head}{whole}"),
        None => url,
    }
}

/// A long text, folded with its length.
fn long(text: &str) -> String {
    const MOST: usize = 1500;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MOST);
    format!("{}… ({} more)", &text[..end], bytes((text.len() - end) as u64))
}

/// Bytes that were sent, readable. `None` when there were none.
pub(crate) fn body(captured: &Captured, needles: &[Needle]) -> Option<Body> {
    if captured.total == 0 && captured.head.is_empty() {
        return None;
    }
    let raw = captured.head.as_bytes();
    let cut = raw.len().min(BODY);
    let head = Foreign::from(&raw[..cut]);
    let mut left_out = Vec::new();
    if captured.tail.len() + raw.len() > cut {
        left_out.push(format!(
            "{} not shown here",
            bytes((captured.tail.len() + raw.len() - cut) as u64)
        ));
    }
    if captured.dropped() > 0 {
        left_out.push(format!("{} not kept", bytes(captured.dropped())));
    }
    let (kind, text) = if is_text(head.as_bytes()) {
        ("text", head.visible_lines())
    } else {
        if raw.len() > HEX {
            left_out = vec![format!("{} of {} bytes shown", HEX, number(captured.total))];
        }
        ("bytes", hex_dump(&raw[..raw.len().min(HEX)]))
    };
    let whole = captured.head.len() == cut && captured.tail.is_empty() && captured.dropped() == 0;
    let decoded = (kind == "text")
        .then(|| decode(head.as_bytes()).or_else(|| whole.then(|| structured(head.as_bytes())).flatten()))
        .flatten()
        .map(|(how, text)| (how, mark(&text, needles)));
    Some(Body {
        size: bytes(captured.total),
        kind,
        pieces: mark(&text, needles),
        left_out: left_out.join(", "),
        decoded,
    })
}

/// Bytes as text, or as hexadecimal numbers where they are no text.
pub(crate) fn readable(raw: &[u8]) -> String {
    if is_text(raw) {
        Foreign::from(raw).visible_lines()
    } else {
        hex_dump(&raw[..raw.len().min(HEX)])
    }
}

/// Whether bytes are read best as text.
fn is_text(raw: &[u8]) -> bool {
    let odd: usize = raw
        .utf8_chunks()
        .map(|chunk| {
            let controls = chunk
                .valid()
                .chars()
                .filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
                .count();
            controls + chunk.invalid().len()
        })
        .sum();
    odd * 10 <= raw.len()
}

/// Lines of sixteen bytes: place, numbers, letters.
fn hex_dump(raw: &[u8]) -> String {
    let mut out = String::new();
    for (n, line) in raw.chunks(16).enumerate() {
        out.push_str(&format!("{:04x} ", n * 16));
        for i in 0..16 {
            match line.get(i) {
                Some(byte) => out.push_str(&format!(" {byte:02x}")),
                None => out.push_str("   "),
            }
        }
        out.push_str("  ");
        out.extend(line.iter().map(|byte| {
            if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '.'
            }
        }));
        out.push('\n');
    }
    out
}

/// What is wholly encoded in a common way and is text behind it.
fn decode(raw: &[u8]) -> Option<(&'static str, String)> {
    let text = std::str::from_utf8(raw).ok()?.trim();
    // a form's field may hold it
    let value = text.split_once('=').filter(|(name, value)| {
        !value.trim_end_matches('=').contains(['=', '&'])
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && value.len() >= 12
    });
    for candidate in [Some(text), value.map(|(_, value)| value)].into_iter().flatten() {
        if candidate.len() < 12 {
            continue;
        }
        let compact = candidate.trim_end_matches('=');
        if let Some(bytes) = unhex(candidate).filter(|bytes| is_printable(bytes)) {
            return Some(("hex", Foreign::from(bytes).visible_lines()));
        }
        let bytes = STANDARD
            .decode(candidate)
            .or_else(|_| STANDARD_NO_PAD.decode(compact))
            .or_else(|_| URL_SAFE_NO_PAD.decode(compact))
            .ok();
        if let Some(bytes) = bytes.filter(|bytes| is_printable(bytes)) {
            return Some(("base64", Foreign::from(bytes).visible_lines()));
        }
    }
    let plain = unpercent(text)?;
    is_printable(&plain).then(|| ("percent signs", Foreign::from(plain).visible_lines()))
}

/// JSON with a line for each value, where it is worth it.
fn structured(raw: &[u8]) -> Option<(&'static str, String)> {
    if raw.len() < 60 || !raw.starts_with(b"{") && !raw.starts_with(b"[") || raw.contains(&b'\n') {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(raw).ok()?;
    let text = serde_json::to_string_pretty(&value).ok()?;
    Some(("JSON", Foreign::from(text).visible_lines()))
}

fn is_printable(raw: &[u8]) -> bool {
    std::str::from_utf8(raw).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let raw = text.as_bytes();
    if !raw.len().is_multiple_of(2) {
        return None;
    }
    raw.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn unpercent(text: &str) -> Option<Vec<u8>> {
    let raw = text.as_bytes();
    let mut out = Vec::with_capacity(raw.len());
    let mut found = false;
    let mut at = 0;
    while at < raw.len() {
        let pair = raw.get(at + 1..at + 3).filter(|_| raw[at] == b'%');
        if let Some(byte) = pair.and_then(|pair| unhex(std::str::from_utf8(pair).ok()?)) {
            out.extend(byte);
            found = true;
            at += 3;
        } else {
            out.push(if raw[at] == b'+' { b' ' } else { raw[at] });
            at += 1;
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needle(text: &str) -> Vec<Needle> {
        let mut needles: Vec<Needle> = forms(text)
            .into_iter()
            .map(|text| Needle {
                text,
                decoy: "aws".into(),
            })
            .collect();
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.text.len()));
        needles
    }

    fn is_marked(text: &str) -> bool {
        mark(text, &needle("AKIA/SECRET+1"))
            .iter()
            .any(|piece| piece.decoy.is_some())
    }

    #[test]
    fn secrets_are_marked_in_their_common_disguises() {
        let secret = "AKIA/SECRET+1";
        for before in ["", "k", "ke", "key"] {
            let whole = format!("{before}{secret}&more");
            for text in [
                whole.clone(),
                STANDARD.encode(&whole),
                URL_SAFE_NO_PAD.encode(&whole),
                whole.bytes().map(|b| format!("{b:02x}")).collect(),
                format!("{before}AKIA%2FSECRET%2B1"),
                whole.chars().rev().collect(),
            ] {
                assert!(is_marked(&text), "{text}");
            }
        }
        for text in ["", "AKIA", "SECRET+1", "nothing of it"] {
            assert!(!is_marked(text), "{text}");
        }
    }

    #[test]
    fn marking_loses_no_text() {
        let text = "a AKIA/SECRET+1 b AKIA/SECRET+1";
        let pieces = mark(text, &needle("AKIA/SECRET+1"));
        assert_eq!(pieces.iter().map(|p| p.text.as_str()).collect::<String>(), text);
        assert_eq!(pieces.iter().filter(|p| p.decoy.is_some()).count(), 2);
    }

    fn captured(raw: &[u8]) -> Captured {
        Captured {
            head: Foreign::from(raw),
            tail: Foreign::default(),
            total: raw.len() as u64,
        }
    }

    #[test]
    fn bodies_are_text_or_bytes_and_decoded_where_they_are_wholly_encoded() {
        let plain = body(&captured(b"host=box&user=dev"), &[]).unwrap();
        assert_eq!((plain.kind, plain.decoded.is_none()), ("text", true));
        let encoded = body(&captured(b"aG9zdD1ib3gmdXNlcj1kZXY="), &[]).unwrap();
        let (how, pieces) = encoded.decoded.unwrap();
        assert_eq!((how, pieces[0].text.as_str()), ("base64", "host=box&user=dev"));
        let form = body(&captured(b"d=aG9zdD1ib3gmdXNlcj1kZXY="), &[]).unwrap();
        assert_eq!(form.decoded.unwrap().1[0].text, "host=box&user=dev");
        let binary = body(&captured(b"\x00\x01\x02\xffabc"), &[]).unwrap();
        assert_eq!(binary.kind, "bytes");
        assert!(binary.pieces[0].text.starts_with("0000  00 01 02 ff 61 62 63"));
        assert!(body(&Captured::default(), &[]).is_none());
        let percent = body(&captured(b"q=a%20b%26c"), &[]).unwrap();
        assert_eq!(percent.decoded.unwrap().1[0].text, "q=a b&c");
    }

    #[test]
    fn json_in_one_line_gets_lines() {
        let raw = format!("{{\"host\":\"{}\",\"b\":[1,2]}}", "x".repeat(60));
        let (how, pieces) = body(&captured(raw.as_bytes()), &[]).unwrap().decoded.unwrap();
        assert_eq!(how, "JSON");
        assert!(pieces[0].text.contains("\n  \"host\""), "{}", pieces[0].text);
        assert!(body(&captured(b"{\"a\":1}"), &[]).unwrap().decoded.is_none());
        let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
        assert!(body(&captured(deep.as_bytes()), &[]).unwrap().decoded.is_none());
    }

    #[test]
    fn decoys_are_seen_in_little_room() {
        let text = format!("{} AKIA/SECRET+1 {}", "a".repeat(500), "b".repeat(500));
        let pieces = around_decoys(mark(&text, &needle("AKIA/SECRET+1")));
        assert_eq!(pieces.len(), 3);
        assert!(pieces[0].text.len() < 100 && pieces[2].text.ends_with("more characters)"));
    }

    #[test]
    fn long_bodies_are_cut_and_say_so() {
        let long = body(&captured(&vec![b'x'; 70_000]), &[]).unwrap();
        assert!(long.left_out.contains("not shown here"), "{}", long.left_out);
        assert!(long.pieces[0].text.len() <= BODY);
    }
}
