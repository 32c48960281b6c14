//! What a web server answers: something plausible for what was asked, and nothing that does harm.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Place, metadata};
use crate::settings::Simulation;

/// A question, as far as an answer depends on it.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    /// Path and query, or a whole URL when the client takes us for a proxy.
    pub(crate) target: Vec<u8>,
    /// `Host`, or `:authority`.
    pub(crate) host: Option<Vec<u8>>,
    upgrade: bool,
    key: Option<Vec<u8>>,
    /// `Metadata-Flavor`, as Google wants it, and `Metadata`, as Azure does.
    pub(crate) google: bool,
    pub(crate) azure: bool,
}

impl Asked {
    /// A question, so far without header fields.
    pub(crate) fn new(verb: &str, target: &[u8]) -> Self {
        Self {
            verb: verb.to_owned(),
            target: target.to_vec(),
            ..Self::default()
        }
    }

    /// Takes note of a header field that answers depend on.
    pub(crate) fn note(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("upgrade") {
            self.upgrade = value.eq_ignore_ascii_case(b"websocket");
        } else if is("sec-websocket-key") {
            self.key = Some(value.to_vec());
        } else if is("metadata-flavor") {
            self.google = true;
        } else if is("metadata") {
            self.azure = true;
        }
    }

    /// The key of a handshake, when this is one.
    pub(crate) fn websocket_key(&self) -> Option<Vec<u8>> {
        (self.upgrade && self.verb == "GET")
            .then(|| self.key.clone())
            .flatten()
    }

    /// The path, without query.
    pub(crate) fn path(&self) -> &str {
        let target = std::str::from_utf8(&self.target).unwrap_or("/");
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        target.split(['?', '#']).next().unwrap_or("/")
    }

    /// The host that is meant, in lower case, without its port.
    pub(crate) fn host(&self, place: &Place) -> String {
        let target = std::str::from_utf8(&self.target).unwrap_or_default();
        let told = match target.split_once("://") {
            Some((_, rest)) => rest.split('/').next().unwrap_or_default().to_owned(),
            None => self
                .host
                .as_deref()
                .map(|host| String::from_utf8_lossy(host).into_owned())
                .unwrap_or_default(),
        };
        let host = if told.is_empty() {
            place.server_name()
        } else {
            authority(&told).0
        };
        host.to_ascii_lowercase()
    }
}

/// Host and port of `host:port`; port 443 where there is none.
pub(crate) fn authority(text: &str) -> (String, u16) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, port)) = rest.split_once(']')
    {
        return (
            host.to_owned(),
            port.trim_start_matches(':').parse().unwrap_or(443),
        );
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host.to_owned(), port.parse().unwrap_or(443)),
        _ => (text.to_owned(), 443),
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether it is one of the metadata service.
    pub(crate) metadata: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind,
            fields: Vec::new(),
            body: body.into(),
            metadata: false,
        }
    }

    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "application/json", body)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            404,
            "text/html; charset=utf-8",
            "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n",
        )
    }

    /// All header fields but those of the connection.
    pub(crate) fn all_fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("date", date(SystemTime::now()))];
        if !self.fields.iter().any(|(name, _)| *name == "server") {
            fields.push(("server", "nginx".to_owned()));
        }
        fields.push(("content-type", self.kind.to_owned()));
        fields.push(("content-length", self.body.len().to_string()));
        fields.extend(self.fields.iter().cloned());
        fields
    }

    /// The head of the answer, as HTTP/1.1 has it.
    pub(crate) fn head(&self, close: bool) -> String {
        let reason = match self.status {
            200 => "OK",
            201 => "Created",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            _ => "Not Found",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in self.all_fields() {
            // as most servers write them
            let mut upper = true;
            for c in name.chars() {
                head.push(if upper { c.to_ascii_uppercase() } else { c });
                upper = c == '-';
            }
            head.push_str(": ");
            head.push_str(&value);
            head.push_str("\r\n");
        }
        head.push_str(if close {
            "Connection: close\r\n\r\n"
        } else {
            "Connection: keep-alive\r\n\r\n"
        });
        head
    }
}

/// Answers a question.
pub(crate) fn answer(asked: &Asked, simulation: &Simulation, place: &Place) -> Answer {
    let host = asked.host(place);
    if let Some(answer) = metadata::answer(asked, &host, &simulation.credentials, place) {
        return answer;
    }
    let path = asked.path();
    match asked.verb.as_str() {
        "PUT" | "POST" | "PATCH" | "DELETE" => return Answer::json("{\"ok\":true}\n"),
        "OPTIONS" => {
            let mut answer = Answer::new(200, "text/plain", "");
            answer
                .fields
                .push(("allow", "GET, HEAD, POST, PUT, OPTIONS".to_owned()));
            return answer;
        }
        _ => {}
    }
    // an index of packages that has nothing: nothing of ours is installed by somebody's build
    if path.starts_with("/simple/") || (path.starts_with("/pypi/") && path.ends_with("/json")) {
        return Answer::not_found();
    }
    if let Some(answer) = who_am_i(&host, path) {
        return answer;
    }
    if path.starts_with("/bot") || path.contains("/api/") || path.ends_with("/json") {
        return Answer::json("{\"ok\":true,\"result\":[]}\n");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let (_, extension) = name.rsplit_once('.').unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => Answer::json("{\"ok\":true}\n"),
        "sh" | "bash" => Answer::new(200, "text/x-shellscript", "#!/bin/sh\n# nothing to do\nexit 0\n"),
        "py" => Answer::new(200, "text/x-python", "# nothing to do\n"),
        "ps1" | "bat" | "cmd" => Answer::new(200, "text/plain", "exit 0\r\n"),
        "js" => Answer::new(200, "text/javascript", "/* nothing to do */\n"),
        "css" => Answer::new(200, "text/css", "/* */\n"),
        "xml" | "rss" | "atom" => Answer::new(200, "application/xml", "<?xml version=\"1.0\"?>\n<ok/>\n"),
        "txt" | "md" | "cfg" | "ini" | "conf" | "csv" | "log" | "asc" => {
            Answer::new(200, "text/plain; charset=utf-8", "ok\n")
        }
        "yml" | "yaml" => Answer::new(200, "text/yaml", "ok: true\n"),
        "toml" => Answer::new(200, "text/plain; charset=utf-8", "ok = true\n"),
        "png" => Answer::new(200, "image/png", PIXEL),
        "gz" | "tgz" => Answer::new(200, "application/gzip", NO_BYTES_GZIP),
        "zip" | "whl" | "jar" => Answer::new(200, "application/zip", NO_FILES_ZIP),
        // a program that does nothing: what fetches and starts it shall be seen to do so
        "elf" | "bin" | "out" | "exe" | "so" => Answer::new(
            200,
            "application/octet-stream",
            "#!/bin/sh\n# nothing to do\nexit 0\n",
        ),
        _ if path.contains("/raw/") || host.starts_with("raw.") => {
            Answer::new(200, "text/plain; charset=utf-8", "ok\n")
        }
        _ => Answer::new(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><p>ok</p></body></html>\n",
        ),
    }
}

/// Services that tell a caller its address and place: out of the range for documentation.
fn who_am_i(host: &str, path: &str) -> Option<Answer> {
    const ADDRESS: &str = "203.0.113.24";
    let asked_for = [
        "ipify",
        "ipinfo",
        "icanhazip",
        "checkip",
        "ifconfig.",
        "ip-api",
        "myip",
        "ipapi",
        "whatismyip",
    ];
    if !asked_for.iter().any(|part| host.contains(part)) {
        return None;
    }
    let plain = path.ends_with("/ip")
        || ["ipify", "icanhazip", "checkip", "ifconfig."]
            .iter()
            .any(|h| host.contains(h));
    if plain && !path.contains("json") {
        return Some(Answer::new(200, "text/plain", format!("{ADDRESS}\n")));
    }
    Some(Answer::json(format!(
        "{{\"ip\":\"{ADDRESS}\",\"query\":\"{ADDRESS}\",\"status\":\"success\",\"hostname\":\"host-24.example\",\"city\":\"Amsterdam\",\
         \"region\":\"North Holland\",\"country\":\"NL\",\"countryCode\":\"NL\",\"loc\":\"52.37,4.89\",\"org\":\"AS64496 Example\",\
         \"timezone\":\"Europe/Amsterdam\"}}\n"
    )))
}

/// The answer to a handshake of a WebSocket.
pub(crate) fn upgrade(key: &[u8]) -> Vec<u8> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(context.finish());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// A time as HTTP writes it.
pub(crate) fn date(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // days are counted from the first of March of the year 0, so that leap days come last
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let word = |list: &[&'static str], at: u64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| list.get(at).copied())
            .unwrap_or("")
    };
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        word(&DAYS, days % 7),
        word(&MONTHS, month),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// One grey pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDATx\x9cch\0\0\0\x82\0\x81\
\x77\xcd\x72\xb6\0\0\0\0IEND\xaeB`\x82";
/// An empty file, packed.
const NO_BYTES_GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
/// An archive without files.
const NO_FILES_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_right() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 GMT");
        assert_eq!(at(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn the_handshake_is_the_one_of_the_standard() {
        let answer = String::from_utf8(upgrade(b"dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert!(
            answer.contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let cases = [
            ("a.example:8443", ("a.example", 8443)),
            ("a.example", ("a.example", 443)),
            ("[2001:db8::1]:80", ("2001:db8::1", 80)),
            ("2001:db8::1", ("2001:db8::1", 443)),
            ("", ("", 443)),
            ("a:x", ("a", 443)),
        ];
        for (text, (host, port)) in cases {
            assert_eq!(authority(text), (host.to_owned(), port), "{text}");
        }
    }
}
