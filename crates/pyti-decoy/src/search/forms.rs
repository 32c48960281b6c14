//! How a secret looks when somebody wrote it down in another way, without the text around it being known.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Names of forms; [`super::scan::Pattern::form`] is a place in it.
pub(crate) const NAMES: [&str; 11] = [
    "raw",
    "reversed",
    "base64",
    "base64url",
    "base32",
    "hex",
    "rot13",
    "reversed of base64",
    "base85",
    "utf-16",
    "reversed of hex",
];

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Every form, with its place in [`NAMES`]. Base64 and base32 stand at each offset within their groups: what depends
/// on bytes before or behind the secret is cut off.
pub(crate) fn forms(secret: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = vec![(0, secret.to_vec()), (1, reversed(secret))];
    for before in 0..3 {
        let standard = base64(secret, before, false);
        let safe = base64(secret, before, true);
        out.push((7, reversed(&standard)));
        if safe != standard {
            out.push((3, safe));
        }
        out.push((2, standard));
    }
    for before in 0..5 {
        let upper = base32(secret, before);
        out.push((4, upper.to_ascii_lowercase()));
        out.push((4, upper));
    }
    let hex: Vec<u8> = secret
        .iter()
        .flat_map(|b| format!("{b:02x}").into_bytes())
        .collect();
    let upper = hex.to_ascii_uppercase();
    if upper != hex {
        out.push((5, upper));
    }
    out.push((10, reversed(&hex)));
    out.push((5, hex));
    out.push((6, secret.iter().map(|b| rot13(*b)).collect()));
    for before in 0..4 {
        for alphabet in [Base85::Git, Base85::Ascii] {
            out.push((8, base85(secret, before, alphabet)));
        }
    }
    out.push((9, secret.iter().flat_map(|b| [*b, 0]).collect()));
    out
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

/// Base64 of the secret behind `before` unknown bytes (0 to 2), without the characters that depend on others.
fn base64(secret: &[u8], before: usize, safe: bool) -> Vec<u8> {
    let mut padded = vec![0; before];
    padded.extend_from_slice(secret);
    let text = if safe {
        URL_SAFE_NO_PAD.encode(&padded)
    } else {
        STANDARD_NO_PAD.encode(&padded)
    };
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    text.into_bytes().get(first..last).unwrap_or_default().to_vec()
}

/// Base32 of the secret behind `before` unknown bytes (0 to 4), without the characters that depend on others.
fn base32(secret: &[u8], before: usize) -> Vec<u8> {
    let mut bits = 0u32;
    let mut held = 0;
    let mut out = Vec::new();
    for byte in std::iter::repeat_n(&0, before).chain(secret) {
        bits = (bits << 8 | u32::from(*byte)) & 0xffff;
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(BASE32[(bits >> held & 31) as usize]);
        }
    }
    out.split_off((before * 8).div_ceil(5).min(out.len()))
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

/// The two alphabets in use.
#[derive(Clone, Copy)]
enum Base85 {
    /// Git's, and Python's `b85encode`.
    Git,
    /// Adobe's, and Python's `a85encode`; its short form of zeros does not occur in secrets.
    Ascii,
}

/// Base85 of the whole groups of four bytes that begin after `skip` bytes (0 to 3) of the secret.
fn base85(secret: &[u8], skip: usize, alphabet: Base85) -> Vec<u8> {
    const GIT: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    let (groups, _) = secret.get(skip..).unwrap_or_default().as_chunks::<4>();
    let mut out = Vec::new();
    for group in groups {
        let number = u32::from_be_bytes(*group);
        for power in [85u32.pow(4), 85u32.pow(3), 85 * 85, 85, 1] {
            let digit = u8::try_from(number / power % 85).unwrap_or(0);
            out.push(match alphabet {
                Base85::Git => GIT[usize::from(digit)],
                Base85::Ascii => b'!' + digit,
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_pythons_base64_module_writes_them() {
        let forms = forms(b"s3cr3t-of-16-byt");
        let has = |form: u8, text: &str| {
            assert!(
                forms.contains(&(form, text.as_bytes().to_vec())),
                "{text} is none of {:?}",
                forms
                    .iter()
                    .filter(|f| f.0 == form)
                    .map(|f| String::from_utf8_lossy(&f.1).into_owned())
                    .collect::<Vec<_>>()
            );
        };
        has(0, "s3cr3t-of-16-byt");
        has(1, "tyb-61-fo-t3rc3s");
        // b64encode(b's3cr3t-of-16-byt') is czNjcjN0LW9mLTE2LWJ5dA==, behind one byte eHMzY3IzdC1vZi0xNi1ieXQ=
        has(2, "czNjcjN0LW9mLTE2LWJ5d");
        has(2, "MzY3IzdC1vZi0xNi1ieX");
        has(2, "zM2NyM3Qtb2YtMTYtYnl0");
        has(4, "OMZWG4RTOQWW6ZRNGE3C2YTZO");
        has(4, "omzwg4rtoqww6zrnge3c2ytzo");
        has(5, "7333637233742d6f662d31362d627974");
        has(6, "f3pe3g-bs-16-olg");
        has(8, "b2DRdGjuI)W-T!`En<0e");
        has(8, "F#.<H1NY3eAh>_q/Rj!I");
    }
}
