//! Secrets in names that are asked of a name server: without case, cut into labels, spread over several names.

use std::collections::BTreeMap;

use super::{Hit, Looked, Needles};

/// Longest text that is put together from names, bytes.
const LONGEST: usize = 1 << 20;

impl Needles {
    /// Searches one name. Case does not count, and labels are read as one text.
    pub fn search_name(&self, name: &[u8]) -> Vec<Hit> {
        self.search_names([name])
    }

    /// Searches names in the order in which they were asked for, each also as a part of a text that was spread over
    /// the names below one domain. [`Hit::offset`] is the place of the (first) name in what was given.
    pub fn search_names<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hit> {
        self.look_at_names(names).hits
    }

    /// Like [`Self::search_names`].
    pub(crate) fn look_at_names<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> Looked {
        let mut domains: BTreeMap<Vec<u8>, Spread> = BTreeMap::new();
        for (number, name) in names.into_iter().enumerate() {
            let labels: Vec<&[u8]> = name.split(|b| *b == b'.').filter(|l| !l.is_empty()).collect();
            // the last two are the domain that the questions go to
            let own = labels.len().saturating_sub(2);
            let domain = labels[own..].join(&b'.').to_ascii_lowercase();
            let spread = domains.entry(domain).or_default();
            // asked again for another record, or because no answer came
            if spread.last == name {
                continue;
            }
            spread.last = name.to_vec();
            // a name of one or two labels may be a secret itself
            let own = if own == 0 { labels.len() } else { own };
            spread.add(number, &labels[..own]);
        }
        let mut out = Looked::default();
        for spread in domains.values() {
            out.cut |= spread.cut;
            for text in [&spread.all, &spread.without_counters] {
                self.search_text(text, &mut out);
            }
        }
        out
    }

    fn search_text(&self, text: &Text, out: &mut Looked) {
        let mut add = |hit: Hit| {
            let hit = Hit {
                offset: text.name_at(hit.offset),
                ..hit
            };
            let known =
                |h: &Hit| h.decoy == hit.decoy && (h.encoding == hit.encoding || h.offset == hit.offset);
            if !out.hits.iter().any(known) {
                out.hits.push(hit);
            }
        };
        let looked = self.look(&text.bytes);
        for hit in looked.hits {
            add(hit);
        }
        let lowered = text.bytes.to_ascii_lowercase();
        self.lower.scan(&lowered, &mut Vec::new(), |found| {
            let pattern = self.lower.pattern(found);
            if let Some(hit) = self.hit(pattern.owner, &[], pattern.form, found.key, found.offset) {
                add(hit);
            }
        });
        out.cut |= looked.cut;
    }
}

/// What was asked for below one domain.
#[derive(Default)]
struct Spread {
    last: Vec<u8>,
    all: Text,
    /// Without labels that only number the parts: `7`, `c03`.
    without_counters: Text,
    cut: bool,
}

impl Spread {
    fn add(&mut self, number: usize, labels: &[&[u8]]) {
        if self.all.bytes.len() > LONGEST {
            self.cut = true;
            return;
        }
        self.all.begin(number);
        self.without_counters.begin(number);
        for label in labels {
            self.all.bytes.extend_from_slice(label);
            let is_counter = label.len() <= 5 && label.iter().any(u8::is_ascii_digit);
            if !is_counter {
                self.without_counters.bytes.extend_from_slice(label);
            }
        }
    }
}

/// Parts of names, one behind the other.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// Where the part of each name begins.
    starts: Vec<(usize, usize)>,
}

impl Text {
    fn begin(&mut self, number: usize) {
        self.starts.push((self.bytes.len(), number));
    }

    fn name_at(&self, offset: usize) -> usize {
        let behind = self.starts.partition_point(|(start, _)| *start <= offset);
        self.starts
            .get(behind.saturating_sub(1))
            .map_or(0, |(_, number)| *number)
    }
}
