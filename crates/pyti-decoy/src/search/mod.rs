//! Finds the secrets of decoys in bytes, also when they were written down in another way first.

mod forms;
mod names;
mod scan;
mod streams;
mod views;

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};

use pyti_model::trace::Decoy;

use scan::{Pattern, Scanner};
use streams::Unpacker;

/// Shortest secret, and shortest form of one, that is searched for, bytes. Shorter ones occur by chance.
pub const SHORTEST: usize = 12;
/// A secret with fewer different bytes than this is not searched for: it occurs by chance.
const FEWEST_DIFFERENT: usize = 6;
/// Readings within readings: `base64 of gzip of base64` has three.
const DEEPEST: u8 = 4;
/// Readings one after another that only take out line breaks and escapes.
const MOST_REWRITTEN: u8 = 2;
/// Places at each of which a stream that has no head is looked for.
const BARE_OFFSETS: usize = 64;
/// Bytes that one search may unpack, besides [`BUDGET_FACTOR`] times what it was given.
const BUDGET: usize = 16 << 20;
/// See [`BUDGET`].
const BUDGET_FACTOR: usize = 16;

/// One decoy that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Its [`Decoy::id`].
    pub decoy: String,
    /// How it was written, the outermost first: `raw`, `base64`, `xor 0x41`, `gzip of base64`.
    pub encoding: String,
    /// Where it begins in the bytes that were searched; for what lay in a stream or a run of digits, where that begins;
    /// 0 when the whole was read in another way.
    pub offset: usize,
}

/// What a search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// What was found: one for each decoy and encoding, the first of them.
    pub hits: Vec<Hit>,
    /// Whether a cap was reached, so that not everything was unpacked: nothing found is no proof then.
    pub cut: bool,
}

/// The secrets of decoys in all their forms, ready to be searched for. Making it takes some milliseconds.
#[derive(Debug, Clone)]
pub struct Needles {
    ids: Vec<String>,
    plain: Scanner,
    /// The same in lower case, for names.
    lower: Scanner,
}

/// One way in which bytes were written.
#[derive(Debug, Clone, Copy)]
enum Layer {
    Named(&'static str),
    Xor(u8),
}

impl Layer {
    fn word(&self) -> String {
        match self {
            Self::Named(name) => (*name).to_owned(),
            Self::Xor(key) => format!("xor {key:#04x}"),
        }
    }
}

/// Bytes that are to be searched.
struct Reading {
    /// How it was come by, the outermost first.
    layers: Vec<Layer>,
    /// Where in the bytes that were given it begins; `None` for these themselves.
    offset: Option<usize>,
    depth: u8,
    /// How many of the last layers only took out line breaks and escapes.
    rewritten: u8,
    bytes: Vec<u8>,
}

impl Needles {
    /// Takes the secrets of these decoys. Those that are too short or too plain to be told from chance are left out.
    pub fn new(decoys: &[Decoy]) -> Self {
        let mut ids = Vec::new();
        let mut patterns = Vec::new();
        let mut lowered = Vec::new();
        let mut seen = BTreeSet::new();
        for (owner, decoy) in (0..).zip(decoys) {
            ids.push(decoy.id.clone());
            for secret in &decoy.secrets {
                if !is_distinct(secret.as_bytes()) {
                    continue;
                }
                for (form, bytes) in forms::forms(secret.as_bytes()) {
                    // the same secret in two places tells of the first
                    if seen.insert(bytes.clone()) {
                        lowered.push(Pattern {
                            bytes: bytes.to_ascii_lowercase(),
                            owner,
                            form,
                        });
                        patterns.push(Pattern { bytes, owner, form });
                    }
                }
            }
        }
        Self {
            ids,
            plain: Scanner::new(patterns, SHORTEST),
            lower: Scanner::new(lowered, SHORTEST),
        }
    }

    /// What [`Self::look`] finds.
    pub fn search(&self, bytes: &[u8]) -> Vec<Hit> {
        self.look(bytes).hits
    }

    /// Searches bytes in all forms and under all one-byte XOR keys, without unpacking anything.
    pub fn plainly(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut search = Search::new(self, bytes.len());
        search.scan(&[], None, bytes);
        search.done().hits
    }

    /// Searches bytes, in all forms and under all one-byte XOR keys, and in what they hold when they are read as
    /// escapes, digits or compressed streams, these within each other. A decoy that lies there openly is not
    /// reported again from a deeper reading.
    pub fn look(&self, bytes: &[u8]) -> Looked {
        let mut search = Search::new(self, bytes.len());
        search.scan(&[], None, bytes);
        search.read(&[], None, 0, 0, bytes);
        search.run();
        search.done()
    }

    fn hit(&self, owner: u32, layers: &[Layer], form: u8, key: u8, offset: usize) -> Option<Hit> {
        let key = (key != 0).then_some(Layer::Xor(key));
        let mut words: Vec<String> = layers.iter().chain(&key).map(Layer::word).collect();
        // "base64" says all: what is in it lies there plainly
        if form != 0 || words.is_empty() {
            words.push(forms::NAMES.get(usize::from(form))?.to_string());
        }
        Some(Hit {
            decoy: self.ids.get(owner as usize)?.clone(),
            encoding: words.join(" of "),
            offset,
        })
    }
}

fn is_distinct(secret: &[u8]) -> bool {
    secret.len() >= SHORTEST && secret.iter().collect::<BTreeSet<_>>().len() >= FEWEST_DIFFERENT
}

/// Whether digits and escapes are looked for: in what is mostly text, and in all that is short and came from outside.
fn is_worth_reading(depth: u8, bytes: &[u8]) -> bool {
    let short = bytes.len() < 4096;
    let printable = views::printable_percent(bytes);
    printable >= 80 || depth == 0 && (short || printable >= 50)
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// One search under way.
struct Search<'a> {
    needles: &'a Needles,
    waiting: VecDeque<Reading>,
    /// Decoys found, and at which depth first.
    found_at: Vec<Option<u8>>,
    hits: Vec<Hit>,
    left: usize,
    /// Digests of what was read.
    seen: BTreeSet<u64>,
    cut: bool,
    room: Vec<u8>,
    unpacker: Unpacker,
    depth: u8,
}

impl<'a> Search<'a> {
    fn new(needles: &'a Needles, length: usize) -> Self {
        Self {
            needles,
            waiting: VecDeque::new(),
            found_at: vec![None; needles.ids.len()],
            hits: Vec::new(),
            left: BUDGET + length.saturating_mul(BUDGET_FACTOR),
            seen: BTreeSet::new(),
            cut: false,
            room: Vec::new(),
            unpacker: Unpacker::default(),
            depth: 0,
        }
    }

    fn scan(&mut self, layers: &[Layer], offset: Option<usize>, bytes: &[u8]) {
        let Self {
            needles,
            found_at,
            hits,
            room,
            depth,
            ..
        } = self;
        needles.plain.scan(bytes, room, |found| {
            let pattern = needles.plain.pattern(found);
            let first = &mut found_at[pattern.owner as usize];
            if first.is_some_and(|first| first < *depth) {
                return;
            }
            *first = Some(*depth);
            let at = offset.unwrap_or(found.offset);
            if let Some(hit) = needles.hit(pattern.owner, layers, pattern.form, found.key, at)
                && !hits
                    .iter()
                    .any(|h| h.decoy == hit.decoy && h.encoding == hit.encoding)
            {
                hits.push(hit);
            }
        });
    }

    /// Searches what waits, the shallow before the deep.
    fn run(&mut self) {
        while let Some(reading) = self.waiting.pop_front() {
            self.depth = reading.depth;
            self.scan(&reading.layers, reading.offset, &reading.bytes);
            if reading.depth < DEEPEST {
                self.read(
                    &reading.layers,
                    reading.offset,
                    reading.depth,
                    reading.rewritten,
                    &reading.bytes,
                );
            }
        }
    }

    /// Queues everything that the bytes can be read as.
    fn read(&mut self, layers: &[Layer], offset: Option<usize>, depth: u8, rewritten: u8, bytes: &[u8]) {
        let mut add = |inner: &[Layer], at: usize, bytes: Vec<u8>, rewritten: u8| {
            // two ways may lead to one reading
            if bytes.len() < SHORTEST || !self.seen.insert(digest(&bytes)) {
                return;
            }
            let Some(left) = self.left.checked_sub(bytes.len()) else {
                self.cut = true;
                return;
            };
            self.left = left;
            let mut layers = layers.to_vec();
            layers.extend_from_slice(inner);
            self.waiting.push_back(Reading {
                layers,
                offset: Some(offset.unwrap_or(at)),
                depth: depth + 1,
                rewritten,
                bytes,
            });
        };
        let bare_offsets = if depth == 0 { BARE_OFFSETS } else { 1 };
        let (streams, spared) = self.unpacker.unpack(bytes, bare_offsets);
        let mut cut = spared;
        for stream in streams {
            cut |= stream.cut;
            add(&[Layer::Named(stream.name)], stream.offset, stream.bytes, 0);
        }
        let mut all = Vec::new();
        if is_worth_reading(depth, bytes) {
            all.extend(views::runs(bytes));
        }
        all.extend(views::without_zeros(bytes));
        for view in all {
            let name = view.name.map(Layer::Named);
            add(name.as_slice(), view.offset, view.bytes, 0);
        }
        if is_worth_reading(depth, bytes) && rewritten < MOST_REWRITTEN {
            for view in views::rewritten(bytes) {
                let name = view.name.map(Layer::Named);
                add(name.as_slice(), 0, view.bytes, rewritten + 1);
            }
        }
        if depth == 0 {
            for key in views::likely_keys(bytes) {
                add(&[Layer::Xor(key)], 0, bytes.iter().map(|b| b ^ key).collect(), 0);
            }
            for (from, key) in views::stream_keys(bytes) {
                if let Some(stream) = self.unpacker.under_key(&bytes[from..], key) {
                    cut |= stream.cut;
                    add(
                        &[Layer::Xor(key), Layer::Named(stream.name)],
                        from,
                        stream.bytes,
                        0,
                    );
                }
            }
            if streams::ends_reversed(bytes) {
                add(
                    &[Layer::Named("reversed")],
                    0,
                    bytes.iter().rev().copied().collect(),
                    0,
                );
            }
        }
        self.cut |= cut;
    }

    fn done(self) -> Looked {
        Looked {
            hits: self.hits,
            cut: self.cut,
        }
    }
}

#[cfg(test)]
mod tests;
