//! Readings of a text: what it would be when its line breaks, escapes or digits were taken for what they stand for.

/// Shortest run of digits that is read, in characters.
const SHORTEST_RUN: usize = 20;

/// Keys that are tried on one text.
const MOST_KEYS: usize = 8;

/// Another reading of some bytes.
#[derive(Debug)]
pub(crate) struct View {
    /// How it was written; `None` when nothing but line breaks was taken out.
    pub(crate) name: Option<&'static str>,
    /// Where in the bytes that were read it begins.
    pub(crate) offset: usize,
    /// What it reads as.
    pub(crate) bytes: Vec<u8>,
}

impl View {
    fn whole(name: Option<&'static str>, bytes: Vec<u8>) -> Self {
        Self {
            name,
            offset: 0,
            bytes,
        }
    }
}

/// Keys of one byte under which the bytes would read most like text, the likeliest first; none when they do so already.
pub(crate) fn likely_keys(bytes: &[u8]) -> Vec<u8> {
    let mut often = [0usize; 256];
    for byte in bytes.iter().take(4096) {
        often[usize::from(*byte)] += 1;
    }
    let score = |key: u8| -> usize {
        let usual = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b' ' | b'\n' | b'\r' | b'\\' | b'"' | b'%' | b'+' | b'/' | b'='
                )
        };
        (0..=u8::MAX)
            .filter(usual)
            .map(|byte| often[usize::from(byte ^ key)])
            .sum()
    };
    let mut keys: Vec<(usize, u8)> = (1..=u8::MAX).map(|key| (score(key), key)).collect();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let sample = bytes.len().min(4096);
    if score(0) * 10 >= sample * 6 {
        return Vec::new();
    }
    let least = sample * 8 / 10;
    keys.iter()
        .take(MOST_KEYS)
        .filter(|(score, _)| *score > least)
        .map(|(_, key)| *key)
        .collect()
}

/// Keys under which some compressed stream would begin in the bytes, with the place: its first bytes differ in a
/// way that a key does not change.
pub(crate) fn stream_keys(bytes: &[u8]) -> Vec<(usize, u8)> {
    // two bytes alone say little, except at the beginning
    const ZLIB_OFFSETS: usize = 64;
    let mut out = Vec::new();
    for (offset, pair) in bytes.windows(2).enumerate() {
        let head: &[u8] = match pair[0] ^ pair[1] {
            0x94 => &[0x1f, 0x8b, 8],
            0x9d => &[0x28, 0xb5, 0x2f, 0xfd],
            0x1b => b"PK\x03\x04",
            0x79 if offset < ZLIB_OFFSETS => &[0x78, 0x01],
            0x26 if offset < ZLIB_OFFSETS => &[0x78, 0x5e],
            0xe4 if offset < ZLIB_OFFSETS => &[0x78, 0x9c],
            0xa2 if offset < ZLIB_OFFSETS => &[0x78, 0xda],
            _ => continue,
        };
        let key = pair[0] ^ head[0];
        let here = &bytes[offset..];
        if key != 0 && here.len() >= head.len() && here.iter().zip(head).all(|(b, h)| b ^ key == *h) {
            out.push((offset, key));
            if out.len() >= MOST_KEYS {
                break;
            }
        }
    }
    out
}

/// How much of the beginning is printable, percent: of random bytes it is 38.
pub(crate) fn printable_percent(bytes: &[u8]) -> usize {
    let sample = &bytes[..bytes.len().min(4096)];
    let printable = sample
        .iter()
        .filter(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r'))
        .count();
    printable * 100 / sample.len().max(1)
}

/// Readings with line breaks or escapes taken out, of what lies near one: elsewhere they would change nothing.
pub(crate) fn rewritten(bytes: &[u8]) -> Vec<View> {
    let readings = [
        (None, b'\n', joined as fn(&[u8]) -> Option<Vec<u8>>),
        (Some("escaped"), b'\\', unescaped),
        (Some("url"), b'%', |bytes| hex_after(bytes, b'%')),
        (Some("quoted-printable"), b'=', quoted_printable),
    ];
    readings
        .into_iter()
        .filter(|(_, mark, _)| bytes.contains(mark))
        .filter_map(|(name, _, read)| Some(View::whole(name, read(bytes)?)))
        .collect()
}

/// What a reading leaves as it is, this near to what it changes, stays; the rest is left out.
const REACH: usize = 512;

/// Bytes that are rewritten here and there.
#[derive(Default)]
struct Near {
    out: Vec<u8>,
    /// Behind the last change.
    changed: Option<usize>,
}

impl Near {
    fn change(&mut self, value: Option<u8>) {
        let from = self.changed.map_or(0, |at| at + REACH);
        let to = self.out.len().saturating_sub(REACH);
        if from < to {
            self.out.splice(from..to, [b'\n']);
        }
        self.out.extend(value);
        self.changed = Some(self.out.len());
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn done(mut self) -> Option<Vec<u8>> {
        self.out.truncate(self.changed? + REACH);
        Some(self.out)
    }
}

/// The bytes without zeros, when there are many: text of two or four bytes a character.
pub(crate) fn without_zeros(bytes: &[u8]) -> Option<View> {
    let rest: Vec<u8> = bytes.iter().copied().filter(|b| *b != 0).collect();
    let zeros = bytes.len() - rest.len();
    (zeros * 4 >= bytes.len()).then(|| View::whole(Some("utf-16"), rest))
}

/// Without line breaks behind what looks like a part of something longer, and the indentation behind them.
fn joined(bytes: &[u8]) -> Option<Vec<u8>> {
    const PART: usize = 16;
    let is_digit = |b: &u8| BASE64.values[usize::from(*b)] != NOT_A_DIGIT || *b == b'=';
    let mut near = Near::default();
    let mut is_joined = false;
    let mut lines = bytes.split(|b| *b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let line = if is_joined { line.trim_ascii_start() } else { line };
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        let is_last = lines.peek().is_none();
        is_joined = !is_last && bare.len() >= PART && bare[bare.len() - PART..].iter().all(is_digit);
        if is_joined {
            near.keep(bare);
            near.change(None);
        } else {
            near.keep(line);
            if !is_last {
                near.keep(b"\n");
            }
        }
    }
    near.done()
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    Some(nibble(*bytes.first()?)? << 4 | nibble(*bytes.get(1)?)?)
}

/// Replaces a mark and two hexadecimal digits by the byte that they name.
fn hex_after(bytes: &[u8], mark: u8) -> Option<Vec<u8>> {
    let mut near = Near::default();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match hex_pair(&bytes[at + 1..]) {
            Some(named) if *byte == mark => {
                near.change(Some(named));
                at += 3;
            }
            _ => {
                near.keep(&[*byte]);
                at += 1;
            }
        }
    }
    near.done()
}

/// Like it, of mail: lines that go on are joined too. Without such lines it is none.
fn quoted_printable(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut near = Near::default();
    let mut at = 0;
    let mut has_lines = false;
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let soft = if rest.starts_with(b"=\r\n") {
            3
        } else if rest.starts_with(b"=\n") {
            2
        } else {
            0
        };
        match hex_pair(&rest[1..]) {
            _ if soft > 0 => {
                near.change(None);
                has_lines = true;
                at += soft;
            }
            Some(named) if *byte == b'=' => {
                near.change(Some(named));
                at += 3;
            }
            _ => {
                near.keep(&[*byte]);
                at += 1;
            }
        }
    }
    near.done().filter(|_| has_lines)
}

/// Takes the escapes of JSON, C and Python for what they stand for.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut near = Near::default();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let (b'\\', Some(kind)) = (byte, bytes.get(at + 1)) {
            let (value, length) = escape(*kind, &bytes[at + 2..]);
            near.change(value);
            at += length;
        } else {
            near.keep(&[*byte]);
            at += 1;
        }
    }
    near.done()
}

/// The byte that an escape stands for, and its length with the backslash.
fn escape(kind: u8, rest: &[u8]) -> (Option<u8>, usize) {
    match kind {
        b'n' => (Some(b'\n'), 2),
        b'r' => (Some(b'\r'), 2),
        b't' => (Some(b'\t'), 2),
        b'\n' => (None, 2),
        b'x' if hex_pair(rest).is_some() => (hex_pair(rest), 4),
        b'u' if rest.starts_with(b"00") && hex_pair(&rest[2..]).is_some() => (hex_pair(&rest[2..]), 6),
        b'0'..=b'7' => {
            let digits = rest
                .iter()
                .take(2)
                .take_while(|b| matches!(b, b'0'..=b'7'))
                .count();
            let value = rest[..digits]
                .iter()
                .fold(u32::from(kind - b'0'), |sum, b| sum * 8 + u32::from(b - b'0'));
            (u8::try_from(value & 0xff).ok(), 2 + digits)
        }
        other => (Some(other), 2),
    }
}

/// A way to write bytes as digits.
struct Digits {
    name: &'static str,
    /// Value of each character; `NOT_A_DIGIT` for others.
    values: [u8; 256],
    /// Bits of a digit.
    bits: u32,
    /// Digits after which bytes and digits meet again.
    group: usize,
    /// What may stand between digits without ending a run.
    between: &'static [u8],
}

const NOT_A_DIGIT: u8 = 0xff;

const fn digits(sets: &[(&[u8], u8)]) -> [u8; 256] {
    let mut values = [NOT_A_DIGIT; 256];
    let mut set = 0;
    while set < sets.len() {
        let (characters, first) = sets[set];
        let mut at = 0;
        while at < characters.len() {
            #[expect(clippy::cast_possible_truncation, reason = "a set has at most 64 characters")]
            {
                values[characters[at] as usize] = first + at as u8;
            }
            at += 1;
        }
        set += 1;
    }
    values
}

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DECIMAL: &[u8] = b"0123456789";

static BASE64: Digits = Digits {
    name: "base64",
    values: digits(&[(UPPER, 0), (LOWER, 26), (DECIMAL, 52), (b"+/", 62), (b"-_", 62)]),
    bits: 6,
    group: 4,
    between: b"",
};
const fn base32(letters: &[u8]) -> Digits {
    Digits {
        name: "base32",
        values: digits(&[(letters, 0), (b"234567", 26)]),
        bits: 5,
        group: 8,
        between: b"",
    }
}
static BASE32: [Digits; 2] = [base32(UPPER), base32(LOWER)];
static HEX: Digits = Digits {
    name: "hex",
    values: digits(&[(DECIMAL, 0), (b"abcdef", 10), (b"ABCDEF", 10)]),
    bits: 4,
    group: 2,
    between: b" :,-",
};

/// Readings of each long run of base64, base32 or hexadecimal digits, at each place where a group may begin.
pub(crate) fn runs(bytes: &[u8]) -> Vec<View> {
    let mut out = Vec::new();
    for kind in [&HEX, &BASE32[0], &BASE32[1], &BASE64] {
        kind.read(bytes, &mut out);
    }
    out
}

impl Digits {
    fn read(&self, bytes: &[u8], out: &mut Vec<View>) {
        let mut at = 0;
        while at < bytes.len() {
            if self.values[usize::from(bytes[at])] == NOT_A_DIGIT {
                at += 1;
                continue;
            }
            let end = self.end(bytes, at);
            // most runs are words
            if end - at >= SHORTEST_RUN {
                let run: Vec<u8> = bytes[at..end]
                    .iter()
                    .map(|b| self.values[usize::from(*b)])
                    .filter(|value| *value != NOT_A_DIGIT)
                    .collect();
                for skip in 0..self.group.min(run.len()) {
                    out.push(View {
                        name: Some(self.name),
                        offset: at,
                        bytes: self.bytes(&run[skip..]),
                    });
                }
            }
            at = end.max(at + 1);
        }
    }

    /// The end of the run that begins here.
    fn end(&self, bytes: &[u8], start: usize) -> usize {
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            if self.values[usize::from(*byte)] == NOT_A_DIGIT
                && (!self.between.contains(byte) || self.between.contains(&bytes[at - 1]))
            {
                break;
            }
            at += 1;
        }
        at
    }

    fn bytes(&self, values: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(values.len() * self.bits as usize / 8);
        let mut held = 0u32;
        let mut bits = 0;
        for value in values {
            held = (held << self.bits | u32::from(*value)) & 0xffff;
            bits += self.bits;
            if bits >= 8 {
                bits -= 8;
                out.push(((held >> bits) & 0xff) as u8);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_three_languages() {
        let read = |bytes: &[u8]| unescaped(bytes).unwrap();
        assert_eq!(read(br#"a\/b\u0041\x42\103\n\"\\"#), b"a/bABC\n\"\\");
        assert_eq!(read(br"\u20ac\q\"), b"u20acq\\");
        assert_eq!(read(b"\\x4"), b"x4");
        assert_eq!(unescaped(b"plain"), None);
    }

    #[test]
    fn percent_signs_and_what_only_looks_like_them() {
        assert_eq!(hex_after(b"a%2Fb%2fc%zz%4", b'%').unwrap(), b"a/b/c%zz%4");
        assert_eq!(hex_after(b"100% of 7%", b'%'), None);
        assert_eq!(quoted_printable(b"a=3Db=\r\nc").unwrap(), b"a=bc");
        assert_eq!(quoted_printable(b"a=3Db"), None);
    }

    #[test]
    fn runs_are_read_at_each_place() {
        let views = runs(b"x=73656372-65742d6f-662d3136-2d6279;");
        assert!(
            views
                .iter()
                .any(|v| v.name == Some("hex") && v.bytes == b"secret-of-16-by")
        );
        assert!(runs(b"nothing long in here").is_empty());
    }

    #[test]
    fn line_breaks_go_with_their_indentation() {
        let part = "0123456789abcdef";
        let text = format!("{part}\r\n  {part}\n\tef gh\nnext");
        assert_eq!(
            joined(text.as_bytes()).unwrap(),
            format!("{part}{part}ef gh\nnext").as_bytes()
        );
        assert_eq!(joined(b"of prose\nnothing"), None);
    }

    #[test]
    fn what_is_far_from_any_change_is_left_out() {
        let far = "z".repeat(3 * REACH);
        let text = format!("{far}%41{far}%42{far}");
        let read = hex_after(text.as_bytes(), b'%').unwrap();
        let near = "z".repeat(REACH);
        assert_eq!(read, format!("\n{near}A{near}\n{near}B{near}").as_bytes());
    }
}
