//! Indicators as a STIX 2.1 bundle: what to look for elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pyti_model::finding::Severity;
use pyti_model::outcome::Verdict;
use pyti_model::trace::{Act, Conversation, DecoyUse, Deed, Endpoint, Trace, Written};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{moment, text};
use crate::findings::{self, Found};
use crate::seen::{Proof, Seen};
use crate::sentences::shown_str;
use crate::{Run, deeds, view};

/// Namespace of identifiers of observables, as the standard gives it.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Indicators of one kind at most.
const MOST: usize = 200;

/// Something that can be looked for elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Clue {
    Domain(String),
    Url(String),
    Address(IpAddr),
    /// Digest, name.
    File(String, String),
}

/// Clues, with the rules and the techniques that they belong to.
type Clues = BTreeMap<Clue, (BTreeSet<String>, BTreeSet<String>)>;

/// Indicators of a run as a STIX 2.1 bundle. They come from what findings of at least medium weight name, and are what
/// the package asked for: addresses that the simulated network made up are not among them. Without such findings the
/// bundle only holds the tested files.
pub fn indicators(run: &Run<'_>) -> String {
    let when = run
        .jobs
        .iter()
        .find_map(|job| moment(&job.record.when))
        .unwrap_or("1970-01-01T00:00:00Z");
    let when = to_the_millisecond(when);
    let verdict = view::verdict(run);
    let mut bundle = Bundle::new(&when, verdict);
    let who = bundle.add(
        "identity",
        "pyti",
        &json!({ "name": "PyTI", "identity_class": "system", "description": "observed in a box without network" }),
        false,
    );
    bundle.author = Some(who);
    let release = format!("{} {}", shown_str(run.name), shown_str(run.version.unwrap_or("")));
    let bad = matches!(verdict, Verdict::Suspicious | Verdict::Harmful);
    for job in &run.jobs {
        let Some(file) = &job.record.file else { continue };
        let (digest, name) = (file.sha256.to_string(), view::filename(*job));
        bundle.file(&digest, &name, Some(file.size));
        if bad {
            let clue = Clue::File(digest, name);
            bundle.indicator(&clue, &format!("{release}: a file of the release"), &[]);
        }
    }
    let seen: Vec<Seen<'_>> = run.jobs.iter().map(Seen::of).collect();
    let mut clues = Clues::new();
    for found in findings::findings(run)
        .iter()
        .filter(|found| found.counts() && found.finding.severity >= Severity::Medium)
    {
        if let Some(seen) = seen.get(found.job) {
            for clue in of_finding(found, seen) {
                let entry = clues.entry(clue).or_default();
                entry.0.insert(shown_str(&found.finding.rule));
                entry
                    .1
                    .extend(found.finding.mitre.iter().filter(|id| is_technique(id)).cloned());
            }
        }
    }
    let clues = without_data(clues);
    for (clue, (rules, techniques)) in clues.iter().take(MOST) {
        let rules: Vec<String> = rules.iter().cloned().collect();
        let techniques: Vec<&str> = techniques.iter().map(String::as_str).collect();
        bundle.observable(clue);
        bundle.indicator(
            clue,
            &format!("{release}: {}", crate::words::some(&rules, 6)),
            &techniques,
        );
    }
    bundle.report(&release, run.id);
    let objects: Vec<Value> = bundle.objects.into_values().collect();
    text(&json!({
        "type": "bundle",
        "id": identifier("bundle", &format!("{}/{release}", run.id)),
        "objects": objects,
    }))
}

/// The identifier of an object of ours. The standard wants version 4, which is told by nothing but its mark: the bits
/// come from a digest, so that the same run gives the same bundle.
fn identifier(kind: &str, key: &str) -> String {
    let digest = Sha256::digest(format!("pyti/{kind}/{key}"));
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest[..16]);
    format!("{kind}--{}", uuid::Builder::from_random_bytes(bits).into_uuid())
}

/// A moment to the millisecond, as the standard wants it.
fn to_the_millisecond(when: &str) -> String {
    let (whole, part) = when
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((when.trim_end_matches('Z'), ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    format!("{whole}.{part}Z")
}

/// Many names that differ only in labels that carry data become the one name below which they are.
fn without_data(clues: Clues) -> Clues {
    /// Names below one other from which on they are told as one.
    const MANY: usize = 8;
    let below = |clue: &Clue| match clue {
        Clue::Domain(name) => carrier(name),
        _ => None,
    };
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for carrier in clues.keys().filter_map(below) {
        *times.entry(carrier).or_default() += 1;
    }
    let mut kept = Clues::new();
    for (clue, (rules, techniques)) in clues {
        let clue = match below(&clue).filter(|carrier| times.get(carrier).is_some_and(|n| *n >= MANY)) {
            Some(carrier) => Clue::Domain(carrier),
            None => clue,
        };
        let entry = kept.entry(clue).or_default();
        entry.0.extend(rules);
        entry.1.extend(techniques);
    }
    kept
}

/// The name below which a name is whose first labels are long or numbers.
fn carrier(name: &str) -> Option<String> {
    let labels: Vec<&str> = name.split('.').collect();
    let data = labels
        .iter()
        .take_while(|label| label.len() >= 16 || label.bytes().all(|byte| byte.is_ascii_digit()))
        .count();
    (data > 0 && labels.len() - data >= 2).then(|| labels[data..].join("."))
}

/// What the evidence of a finding names.
fn of_finding(found: &Found<'_>, seen: &Seen<'_>) -> BTreeSet<Clue> {
    let mut clues = BTreeSet::new();
    for place in &found.finding.events {
        match seen.at(*place) {
            Proof::Act(traced, _, act) => of_act(act, traced.trace, seen, &mut clues),
            Proof::Written(_, file) => {
                clues.insert(file_clue(file));
            }
            Proof::Change(_, change) => {
                clues.extend(holding(seen, change.path.as_bytes()));
            }
            Proof::Command(_) | Proof::Ran(..) | Proof::Other => {}
        }
    }
    clues
}

fn of_act(act: &Act, trace: &Trace, seen: &Seen<'_>, clues: &mut BTreeSet<Clue>) {
    match &act.deed {
        Deed::Resolve { name, .. } => clues.extend(domain(&name.lossy())),
        Deed::Converse(talk) => of_talk(talk, clues),
        Deed::Connect {
            to: Endpoint::Ip { address, .. },
            ..
        }
        | Deed::Send {
            to: Endpoint::Ip { address, .. },
        }
        | Deed::Packet {
            to: Endpoint::Ip { address, .. },
            ..
        } => clues.extend(public(*address).map(Clue::Address)),
        Deed::Decoy {
            used: DecoyUse::Sent { act, .. } | DecoyUse::Argument { act, .. },
            ..
        } => {
            let of = usize::try_from(*act).ok().and_then(|at| trace.acts.get(at));
            if let Some(Act {
                deed: Deed::Converse(talk),
                ..
            }) = of
            {
                of_talk(talk, clues);
            }
        }
        Deed::Decoy {
            used: DecoyUse::Written { path, .. },
            ..
        }
        | Deed::Open { path, .. }
        | Deed::Execute { path, .. }
        | Deed::Mode { path, .. } => clues.extend(holding(seen, path.as_bytes())),
        Deed::Rename { to, .. } => clues.extend(holding(seen, to.as_bytes())),
        _ => {}
    }
}

fn of_talk(talk: &Conversation, clues: &mut BTreeSet<Clue>) {
    let host = talk
        .host
        .as_ref()
        .or_else(|| talk.tls.as_ref().and_then(|tls| tls.server_name.as_ref()));
    match host.and_then(|host| domain(&host.lossy())) {
        Some(clue) => {
            clues.insert(clue);
        }
        None => clues.extend(public(talk.address).map(Clue::Address)),
    }
    for exchange in talk.exchanges.iter().take(50) {
        let url = deeds::url(talk, exchange);
        if url.starts_with("http://") || url.starts_with("https://") {
            // what follows a question mark often holds what was stolen, and differs each time
            let url = url.split(['?', '#']).next().unwrap_or_default();
            clues.extend(tidy_url(url).map(Clue::Url));
        }
    }
}

/// Files whose content was kept.
fn holding(seen: &Seen<'_>, path: &[u8]) -> Option<Clue> {
    seen.written
        .iter()
        .find(|(_, file)| file.path.as_bytes() == path)
        .map(|(_, file)| file_clue(file))
}

fn file_clue(file: &Written) -> Clue {
    let path = file.path.visible();
    let name = path.rsplit('/').next().unwrap_or_default();
    Clue::File(file.sha256.to_string(), shown_str(name))
}

/// A name that can be a domain's.
fn domain(name: &str) -> Option<Clue> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let fits = name.len() <= 253
        && name.contains('.')
        && name.parse::<IpAddr>().is_err()
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    fits.then_some(Clue::Domain(name))
}

/// An address that means something elsewhere: neither made up by the simulated network nor local.
fn public(address: IpAddr) -> Option<IpAddr> {
    let local = match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || (a == 198 && (b == 18 || b == 19))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    };
    (!local).then_some(address)
}

/// A URL of printable ASCII, whatever the package put into it.
fn tidy_url(url: &str) -> Option<String> {
    const LONGEST: usize = 2000;
    let mut out = String::new();
    for byte in url.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'\''
            )
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    (out.len() <= LONGEST).then_some(out)
}

fn is_technique(id: &str) -> bool {
    let (main, sub) = id.split_once('.').unwrap_or((id, ""));
    main.strip_prefix('T')
        .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        && sub.len() <= 3
        && sub.bytes().all(|byte| byte.is_ascii_digit())
}

/// Objects by their identifier: each once, in a fixed order.
struct Bundle<'a> {
    when: &'a str,
    verdict: Verdict,
    author: Option<String>,
    objects: BTreeMap<String, Value>,
    reported: BTreeSet<String>,
}

impl<'a> Bundle<'a> {
    fn new(when: &'a str, verdict: Verdict) -> Self {
        Self {
            when,
            verdict,
            author: None,
            objects: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// Adds a domain or relationship object; `key` tells it apart from others of its type.
    fn add(&mut self, kind: &str, key: &str, fields: &Value, reported: bool) -> String {
        let id = identifier(kind, key);
        let mut object = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": id,
            "created": self.when,
            "modified": self.when,
        });
        if let Some(author) = &self.author {
            object["created_by_ref"] = author.as_str().into();
        }
        self.put(&id, object, fields, reported);
        id
    }

    /// Adds an observable, whose identifier follows from what it is.
    fn observe(&mut self, kind: &str, contributing: &Value, fields: &Value) -> String {
        // keys are in order: `serde_json` sorts them, and each of ours has one or two
        let canonical = canonical(contributing);
        let id = format!("{kind}--{}", Uuid::new_v5(&OBSERVABLES, canonical.as_bytes()));
        let object = json!({ "type": kind, "spec_version": "2.1", "id": id });
        self.put(&id, object, fields, true);
        id
    }

    fn put(&mut self, id: &str, mut object: Value, fields: &Value, reported: bool) {
        if let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) {
            object.extend(fields.clone());
        }
        self.objects.entry(id.to_owned()).or_insert(object);
        if reported {
            self.reported.insert(id.to_owned());
        }
    }

    fn file(&mut self, digest: &str, name: &str, size: Option<u64>) {
        let identity = json!({ "hashes": { "SHA-256": digest }, "name": name });
        let mut fields = identity.clone();
        if let Some(size) = size {
            fields["size"] = size.into();
        }
        self.observe("file", &identity, &fields);
    }

    fn observable(&mut self, clue: &Clue) {
        match clue {
            Clue::Domain(name) => {
                let value = json!({ "value": name });
                self.observe("domain-name", &value, &value);
            }
            Clue::Url(url) => {
                let value = json!({ "value": url });
                self.observe("url", &value, &value);
            }
            Clue::Address(address) => {
                let value = json!({ "value": address.to_string() });
                let kind = if address.is_ipv4() {
                    "ipv4-addr"
                } else {
                    "ipv6-addr"
                };
                self.observe(kind, &value, &value);
            }
            Clue::File(digest, name) => self.file(digest, name, None),
        }
    }

    fn indicator(&mut self, clue: &Clue, why: &str, techniques: &[&str]) {
        let (pattern, name) = match clue {
            Clue::Domain(name) => (format!("[domain-name:value = '{}']", quoted(name)), name.clone()),
            Clue::Url(url) => (format!("[url:value = '{}']", quoted(url)), url.clone()),
            Clue::Address(address) => {
                let kind = if address.is_ipv4() {
                    "ipv4-addr"
                } else {
                    "ipv6-addr"
                };
                (format!("[{kind}:value = '{address}']"), address.to_string())
            }
            Clue::File(digest, name) => (format!("[file:hashes.'SHA-256' = '{digest}']"), name.clone()),
        };
        let kind = if self.verdict == Verdict::Harmful {
            "malicious-activity"
        } else {
            "anomalous-activity"
        };
        let fields = json!({
            "name": name,
            "description": format!("{why}. Seen in a box without network: tried, never carried out."),
            "indicator_types": [kind],
            "pattern": pattern,
            "pattern_type": "stix",
            "valid_from": self.when,
        });
        let id = self.add("indicator", &format!("{pattern}/{why}"), &fields, true);
        for technique in techniques {
            let fields = json!({
                "name": technique,
                "external_references": [{ "source_name": "mitre-attack", "external_id": technique }],
            });
            let target = self.add("attack-pattern", technique, &fields, true);
            let fields = json!({
                "relationship_type": "indicates",
                "source_ref": id,
                "target_ref": target,
            });
            self.add("relationship", &format!("{id}/{target}"), &fields, true);
        }
    }

    fn report(&mut self, release: &str, run: &str) {
        if self.reported.is_empty() {
            return;
        }
        let verdict = view::verdict_words(self.verdict);
        let fields = json!({
            "name": format!("{release}: {}", verdict.split(':').next().unwrap_or(verdict)),
            "report_types": ["indicator"],
            "published": self.when,
            "object_refs": self.reported.iter().collect::<Vec<_>>(),
        });
        self.add("report", &format!("{run}/{release}"), &fields, false);
    }
}

/// JSON with sorted keys and no spaces, as identifiers of observables are made of.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = Map::iter(map).collect();
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// Text inside a string of a pattern.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_observables_are_those_of_everybody() {
        let mut bundle = Bundle::new("2026-01-02T03:04:05Z", Verdict::Harmful);
        let value = json!({ "value": "198.51.100.3" });
        // as the reference implementation in Python makes them
        assert_eq!(
            bundle.observe("ipv4-addr", &value, &value),
            "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"
        );
        let file = json!({ "name": "a.whl", "hashes": { "SHA-256": "c".repeat(64) } });
        assert_eq!(
            bundle.observe("file", &file, &file),
            "file--276be2f7-1443-5f03-85ec-7f17399bf8b4"
        );
    }

    #[test]
    fn only_names_that_can_be_domains_are_indicators() {
        assert_eq!(
            domain("Collector.Example."),
            Some(Clue::Domain("collector.example".into()))
        );
        for bad in [
            "localhost",
            "a b.example",
            "198.51.100.3",
            "x'] OR [url.example",
            "",
            "a..b",
        ] {
            assert_eq!(domain(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_that_carry_data_are_told_as_one_and_a_single_long_one_is_not() {
        let domain = |n: u32| Clue::Domain(format!("{n:032x}.{n}.ns.collector.example"));
        let many: Clues = (0..20).map(|n| (domain(n), Default::default())).collect();
        let told: Vec<Clue> = without_data(many).into_keys().collect();
        assert_eq!(told, [Clue::Domain("ns.collector.example".into())]);
        let one = Clue::Domain("somebodys-long-application.hosting.example".into());
        let few: Clues = [(one.clone(), Default::default())].into();
        assert_eq!(without_data(few).into_keys().collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn addresses_of_the_simulation_are_no_indicators() {
        for local in [
            "198.18.0.7",
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "fe80::1",
        ] {
            assert_eq!(public(local.parse().unwrap()), None, "{local}");
        }
        for far in ["203.0.113.5", "2001:db8::1"] {
            assert!(public(far.parse().unwrap()).is_some(), "{far}");
        }
    }

    #[test]
    fn urls_are_plain_and_patterns_cannot_be_left() {
        assert_eq!(
            tidy_url("http://a.example/x'] OR").unwrap(),
            "http://a.example/x%27]%20OR"
        );
        assert_eq!(quoted("a'b\\"), "a\\'b\\\\");
        assert!(tidy_url(&"x".repeat(3000)).is_none());
    }

    #[test]
    fn moments_have_milliseconds() {
        assert_eq!(
            to_the_millisecond("2026-01-02T03:04:05Z"),
            "2026-01-02T03:04:05.000Z"
        );
        assert_eq!(
            to_the_millisecond("2026-01-02T03:04:05.1Z"),
            "2026-01-02T03:04:05.100Z"
        );
        assert_eq!(
            to_the_millisecond("2026-01-02T03:04:05.123456Z"),
            "2026-01-02T03:04:05.123Z"
        );
    }

    #[test]
    fn techniques_have_one_shape() {
        assert!(is_technique("T1552.001") && is_technique("T1041"));
        assert!(!is_technique("T15") && !is_technique("javascript:") && !is_technique("T1552.x"));
    }
}
