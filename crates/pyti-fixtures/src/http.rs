//! As much HTTP/1.1 as an index needs: one request per connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest request head that is read.
const HEAD: u64 = 64 << 10;

/// The longest body that is read.
const BODY: u64 = 64 << 10;

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Decoded path, without the query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    /// What was sent with it.
    pub(crate) body: String,
}

impl Request {
    /// Reads a request.
    pub(crate) fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream.take(HEAD + BODY));
        let mut next = || {
            let mut line = String::new();
            match reader.read_line(&mut line)? {
                0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
            }
        };
        let first = next()?;
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default();
        let path = decoded(path.split(['?', '#']).next().unwrap_or_default());
        let mut headers = Vec::new();
        loop {
            let line = next()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let mut request = Self {
            method,
            path,
            headers,
            body: String::new(),
        };
        let length = request
            .header("content-length")
            .and_then(|length| length.parse::<u64>().ok())
            .unwrap_or(0);
        reader.take(length.min(BODY)).read_to_string(&mut request.body)?;
        Ok(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The range that is asked for, of a body of `length` bytes: first byte and the one after the last.
    pub(crate) fn range(&self, length: u64) -> Option<(u64, u64)> {
        let (from, to) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let (start, end) = match (from.trim(), to.trim()) {
            ("", last) => (length.saturating_sub(last.parse().ok()?), length),
            (first, "") => (first.parse().ok()?, length),
            (first, last) => (
                first.parse().ok()?,
                last.parse::<u64>().ok()?.saturating_add(1).min(length),
            ),
        };
        (start < end).then_some((start, end))
    }
}

/// `%2B` and the like.
fn decoded(path: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = path.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let hex = rest
            .get(..2)
            .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes = rest;
        match (first, hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                bytes = &rest[2..];
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer, but for its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Head {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it, announcing a body of `length` bytes.
    pub(crate) fn send(&self, stream: &mut impl Write, length: u64) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            206 => "Partial Content",
            301 => "Moved Permanently",
            304 => "Not Modified",
            404 => "Not Found",
            405 => "Method Not Allowed",
            416 => "Range Not Satisfiable",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            _ => "Odd",
        };
        let mut text = format!(
            "HTTP/1.1 {} {reason}\r\nConnection: close\r\nContent-Length: {length}\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        stream.write_all(text.as_bytes())
    }
}
