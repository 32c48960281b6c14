//! DER: the bytes of keys and certificates.

use super::RsaKey;
use crate::date::Date;

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1);
    let digits = &length[first..];
    if content.len() >= 128 {
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
    }
    out.extend_from_slice(digits);
    out.extend_from_slice(content);
    out
}

/// A natural number, from bytes with the highest first.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let mut content = bytes[first..].to_vec();
    if content.first().is_none_or(|b| b & 0x80 != 0) {
        content.insert(0, 0);
    }
    tagged(2, &content)
}

pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(4, bytes)
}

pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(3, &[&[0], bytes].concat())
}

pub(crate) fn null() -> Vec<u8> {
    vec![5, 0]
}

/// An identifier whose bytes are known.
pub(crate) fn oid(bytes: &[u8]) -> Vec<u8> {
    tagged(6, bytes)
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

const COMMON_NAME: u8 = 3;
const ORGANIZATION: u8 = 10;

fn name(organization: Option<&str>, common: &str) -> Vec<u8> {
    let part = |kind: u8, text: &str| {
        let pair = sequence(&[oid(&[0x55, 0x04, kind]), tagged(0x0c, text.as_bytes())]);
        tagged(0x31, &pair)
    };
    let mut parts = Vec::new();
    parts.extend(organization.map(|text| part(ORGANIZATION, text)));
    parts.push(part(COMMON_NAME, common));
    sequence(&parts)
}

fn signed_with() -> Vec<u8> {
    const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    sequence(&[oid(RSA_SHA256), null()])
}

/// A certificate to be made.
pub(crate) struct Certificate<'a> {
    pub(crate) serial: [u8; 8],
    /// Name of the one that signs.
    pub(crate) issuer: &'a str,
    pub(crate) organization: Option<&'a str>,
    pub(crate) common_name: &'a str,
    /// Seconds since 1970.
    pub(crate) from: i64,
    pub(crate) days: i64,
    pub(crate) is_authority: bool,
}

impl Certificate<'_> {
    /// A certificate (X.509, version 3) of one key, signed with another.
    pub(crate) fn sign(&self, key: &RsaKey, with: &RsaKey) -> Vec<u8> {
        let time = |seconds: i64| tagged(0x17, Date::of(seconds).utc_time().as_bytes());
        let extension = |kind: u8, content: Vec<u8>| {
            let critical = vec![1, 1, 0xff];
            sequence(&[oid(&[0x55, 0x1d, kind]), critical, octets(&content)])
        };
        // for signatures and for wrapping keys; an authority's also for certificates
        let usage = if self.is_authority {
            vec![3, 2, 2, 0xa4]
        } else {
            vec![3, 2, 5, 0xa0]
        };
        let mut extensions = vec![extension(15, usage)];
        if self.is_authority {
            extensions.push(extension(19, sequence(&[vec![1, 1, 0xff]])));
        } else {
            const CLIENT: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
            let usage = octets(&sequence(&[oid(CLIENT)]));
            extensions.push(sequence(&[oid(&[0x55, 0x1d, 37]), usage]));
        }
        let body = sequence(&[
            tagged(0xa0, &integer(&[2])),
            integer(&self.serial),
            signed_with(),
            name(None, self.issuer),
            sequence(&[time(self.from), time(self.from + self.days * 86_400)]),
            name(self.organization, self.common_name),
            key.public(),
            tagged(0xa3, &sequence(&extensions)),
        ]);
        let signature = bits(&with.sign(&body));
        sequence(&[body, signed_with(), signature])
    }
}
