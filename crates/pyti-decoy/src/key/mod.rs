//! Keys that are real and open nothing: RSA, Ed25519, and the files they come in.
//!
//! They are made to be read by thieves, not to protect anything: nothing here runs in constant time.

pub(crate) mod der;
mod ed25519;
mod number;
mod rsa;
mod ssh;

pub(crate) use rsa::{Primes, RsaKey};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::home::Home;

/// A text in base64 between two lines that say what it is.
pub(crate) struct Pem {
    pub(crate) text: String,
    lines: Vec<String>,
    width: usize,
}

impl Pem {
    pub(crate) fn new(label: &str, bytes: &[u8], width: usize) -> Self {
        let encoded = STANDARD.encode(bytes);
        let lines: Vec<String> = encoded
            .as_bytes()
            .chunks(width)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        let text = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        );
        Self { text, lines, width }
    }

    /// Up to two lines that hold nothing but what is secret, or the one in its middle; `from` and `to` are its place in
    /// the bytes.
    pub(crate) fn secret_lines(&self, from: usize, to: usize) -> Vec<&str> {
        let (first, last) = ((from * 4).div_ceil(3 * self.width), to * 4 / (3 * self.width));
        let inside: Vec<&str> = (first..last)
            .filter_map(|n| self.lines.get(n))
            .map(String::as_str)
            .take(2)
            .collect();
        if inside.is_empty() {
            let middle = usize::midpoint(from, to) * 4 / (3 * self.width);
            return self.lines.get(middle).map(String::as_str).into_iter().collect();
        }
        inside
    }
}

/// Where some bytes lie within others.
pub(crate) fn place(of: &[u8], within: &[u8]) -> (usize, usize) {
    let from = within.windows(of.len()).position(|w| w == of).unwrap_or(0);
    (from, from + of.len())
}

/// `~/.ssh`.
pub(crate) fn furnish(home: &mut Home<'_>, primes: &Primes) {
    ssh::furnish(home, primes);
}
