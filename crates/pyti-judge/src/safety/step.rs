//! One step of a rule, checked and ready: what it takes of the facts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pyti_model::trace::{Deed, Origin};
use regex::bytes::{Regex, RegexBuilder};

use super::facts::{Fact, Facts, line};
use super::kind::{Key, Kind};
use super::place::Glob;
use super::written::{OneOf, RawStep, Wanted};

/// Bytes of what was sent that regular expressions look at; secrets are searched for elsewhere, in all of it.
const LOOKED_AT: usize = 4 << 10;

/// A step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kinds: Vec<Kind>,
    tests: Vec<Test>,
    pub(super) at_least: u32,
    pub(super) distinct: Option<Key>,
    /// Another step, from 0.
    pub(super) same_path_as: Option<usize>,
}

/// Patterns of one field. Each item of the list is a group: a set counts as one.
#[derive(Debug)]
struct Patterns(Vec<Vec<Glob>>);

impl Patterns {
    fn group(&self, text: &[u8]) -> Option<usize> {
        self.0
            .iter()
            .position(|group| group.iter().any(|glob| glob.takes(text)))
    }

    fn takes(&self, text: &[u8]) -> bool {
        self.group(text).is_some()
    }

    /// Programs: a pattern without `/` is for the last segment.
    fn program(&self, place: &str) -> Option<usize> {
        let base = place.rsplit('/').next().unwrap_or(place);
        self.0.iter().position(|group| {
            group.iter().any(|glob| {
                let text = if glob.has_slash() { place } else { base };
                glob.takes(text.as_bytes())
            })
        })
    }
}

#[derive(Debug)]
enum Address {
    Loopback,
    Private,
    LinkLocal,
    Public,
    Any,
    Simulated,
    One(IpAddr),
}

impl Address {
    fn takes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let private = match address {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        match self {
            Self::Loopback => address.is_loopback(),
            Self::Private => private,
            Self::LinkLocal => link_local,
            Self::Public => !private && !link_local && !address.is_loopback() && !address.is_unspecified(),
            // who connects to no address means this machine
            Self::Any => !address.is_loopback() && !address.is_unspecified(),
            Self::Simulated => match address {
                IpAddr::V4(v4) => v4.octets()[0] == 198 && v4.octets()[1] & 0xfe == 18,
                IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0x5afe],
            },
            Self::One(one) => *one == address,
        }
    }
}

#[derive(Debug)]
enum Test {
    Path(Patterns, bool),
    From(Patterns),
    Program(Patterns, bool),
    By(Patterns, bool),
    Argv(Vec<Regex>, bool),
    Origin(Vec<Origin>),
    Sockets(bool),
    Variable(Patterns),
    Host(Patterns, bool),
    Address(Vec<Address>, bool),
    Port(Vec<u16>, bool),
    Language(Vec<String>, bool),
    Verb(Vec<String>),
    Target(Vec<Regex>),
    Sent(Vec<Regex>),
    Name(Patterns, bool),
    Text(Vec<Regex>),
    Mode(u32),
    Number(u64),
    Result(Vec<Wanted>),
    Tool(Patterns, bool),
    Uncommon,
    NotProject(Vec<String>),
    Away,
}

/// What a name of a set stands for.
pub(super) type Sets = BTreeMap<String, Vec<String>>;

impl Step {
    /// Checks a step; says what is wrong with it.
    pub(super) fn new(raw: &RawStep, earlier: usize, sets: &Sets) -> Result<Self, String> {
        let kinds = raw.deed.as_slice().to_vec();
        if kinds.is_empty() {
            return Err("says no deed".to_owned());
        }
        let mut tests = Vec::new();
        results(raw, &kinds, &mut tests);
        let globs = |field: &'static str, value: &OneOf<String>| patterns(field, value, sets);
        for (want, field, value) in [(true, "path", &raw.path), (false, "not_path", &raw.not_path)] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::Path(patterns, want));
            }
        }
        if let Some(patterns) = globs("from", &raw.from)? {
            tests.push(Test::From(patterns));
        }
        for (want, field, value) in [
            (true, "program", &raw.program),
            (false, "not_program", &raw.not_program),
        ] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::Program(patterns, want));
            }
        }
        for (want, field, value) in [(true, "by", &raw.by), (false, "not_by", &raw.not_by)] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::By(patterns, want));
            }
        }
        for (want, field, value) in [(true, "host", &raw.host), (false, "not_host", &raw.not_host)] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::Host(patterns, want));
            }
        }
        for (want, field, value) in [(true, "name", &raw.name), (false, "not_name", &raw.not_name)] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::Name(patterns, want));
            }
        }
        for (want, field, value) in [(true, "tool", &raw.tool), (false, "not_tool", &raw.not_tool)] {
            if let Some(patterns) = globs(field, value)? {
                tests.push(Test::Tool(patterns, want));
            }
        }
        if let Some(patterns) = globs("variable", &raw.variable)? {
            tests.push(Test::Variable(patterns));
        }
        for (want, field, value) in [
            (true, "address", &raw.address),
            (false, "not_address", &raw.not_address),
        ] {
            if !value.is_none() {
                tests.push(Test::Address(addresses(field, value.as_slice())?, want));
            }
        }
        for (want, value) in [(true, &raw.port), (false, &raw.not_port)] {
            if !value.is_none() {
                tests.push(Test::Port(value.as_slice().to_vec(), want));
            }
        }
        if !raw.origin.is_none() {
            tests.push(Test::Origin(raw.origin.as_slice().to_vec()));
        }
        if let Some(sockets) = raw.sockets {
            tests.push(Test::Sockets(sockets));
        }
        for (want, value) in [(true, &raw.language), (false, &raw.not_language)] {
            if !value.is_none() {
                tests.push(Test::Language(value.as_slice().to_vec(), want));
            }
        }
        if !raw.verb.is_none() {
            tests.push(Test::Verb(raw.verb.as_slice().to_vec()));
        }
        if let Some(bits) = raw.mode {
            tests.push(Test::Mode(bits));
        }
        if let Some(least) = raw.number {
            tests.push(Test::Number(least));
        }
        if !raw.not_project.is_none() {
            tests.push(Test::NotProject(raw.not_project.as_slice().to_vec()));
        }
        if kinds.contains(&Kind::DecoyRead) && raw.commonly_read != Some(true) {
            tests.push(Test::Uncommon);
        }
        let is_net = |kind: &Kind| {
            matches!(
                kind,
                Kind::Connect | Kind::Send | Kind::Resolve | Kind::Converse | Kind::Packet
            )
        };
        if kinds.iter().any(is_net) && raw.address.is_none() && raw.path.is_none() {
            tests.push(Test::Away);
        }
        // what costs most comes last
        for (want, field, value) in [(true, "argv", &raw.argv), (false, "not_argv", &raw.not_argv)] {
            if let Some(regexes) = regexes(field, value)? {
                tests.push(Test::Argv(regexes, want));
            }
        }
        if let Some(regexes) = regexes("target", &raw.target)? {
            tests.push(Test::Target(regexes));
        }
        if let Some(regexes) = regexes("text", &raw.text)? {
            tests.push(Test::Text(regexes));
        }
        if let Some(regexes) = regexes("sent", &raw.sent)? {
            tests.push(Test::Sent(regexes));
        }
        let at_least = raw.at_least.unwrap_or(1);
        if at_least == 0 {
            return Err("at_least is 0, and nothing happens less than once".to_owned());
        }
        if raw.distinct.is_some() && at_least == 1 {
            return Err("distinct counts nothing without at_least".to_owned());
        }
        let same_path_as = match raw.same_path_as {
            Some(step) if step == 0 || step > earlier => {
                return Err(format!("same_path_as is {step}, and that is no earlier step"));
            }
            other => other.map(|step| step - 1),
        };
        Ok(Self {
            kinds,
            tests,
            at_least,
            distinct: raw.distinct,
            same_path_as,
        })
    }

    /// Whether the fact is what this step looks for.
    pub(super) fn takes(&self, facts: &Facts<'_>, fact: &Fact<'_>) -> bool {
        self.tests.iter().all(|test| test.takes(facts, fact))
    }

    /// What tells the fact from others when they are counted.
    pub(super) fn key(&self, key: Key, facts: &Facts<'_>, fact: &Fact<'_>) -> String {
        match key {
            Key::Path => fact.place.clone(),
            Key::Folder => fact
                .place
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_owned(),
            Key::Host => match fact.hosts().first() {
                Some(host) => host.clone().into_owned(),
                None => fact
                    .address()
                    .map(|(address, _)| address.to_string())
                    .unwrap_or_default(),
            },
            Key::Address => fact
                .address()
                .map(|(address, _)| address.to_string())
                .unwrap_or_default(),
            Key::Tool => fact.decoy.map(|decoy| decoy.family.clone()).unwrap_or_default(),
            Key::Decoy => fact
                .decoy
                .map_or_else(|| fact.name.clone().into_owned(), |decoy| decoy.id.clone()),
            Key::Name => fact.name.clone().into_owned(),
            Key::Pattern => self
                .tests
                .iter()
                .enumerate()
                .find_map(|(number, test)| Some(format!("{number}.{}", test.group(facts, fact)?)))
                .unwrap_or_default(),
        }
    }
}

impl Test {
    fn takes(&self, facts: &Facts<'_>, fact: &Fact<'_>) -> bool {
        match self {
            Self::Path(_, want) | Self::Program(_, want) | Self::By(_, want) | Self::Tool(_, want) => {
                self.group(facts, fact).is_some() == *want
            }
            Self::Host(_, want) | Self::Name(_, want) => self.group(facts, fact).is_some() == *want,
            Self::From(patterns) => patterns.takes(fact.from.as_bytes()),
            Self::Argv(regexes, want) => {
                let Some(Deed::Execute { argv, .. }) = fact.deed else {
                    // a process that outlived its command is known by its arguments
                    return any(regexes, &fact.text) == *want;
                };
                any(regexes, &line(argv)) == *want
            }
            Self::Origin(origins) => {
                matches!(fact.deed, Some(Deed::Execute { origin, .. }) if origins.contains(origin))
            }
            Self::Sockets(want) => {
                matches!(fact.deed, Some(Deed::Execute { sockets, .. }) if sockets.is_empty() != *want)
            }
            Self::Variable(patterns) => {
                matches!(fact.deed, Some(Deed::Execute { variables, .. })
                    if variables.iter().any(|name| patterns.takes(name.as_bytes())))
            }
            Self::Address(wanted, want) => {
                let takes = fact
                    .address()
                    .is_some_and(|(address, _)| wanted.iter().any(|wanted| wanted.takes(address)));
                takes == *want
            }
            Self::Port(ports, want) => fact.address().is_some_and(|(_, port)| ports.contains(&port)) == *want,
            Self::Language(languages, want) => {
                matches!(fact.deed, Some(Deed::Converse(talk)) if languages.contains(&talk.language)) == *want
            }
            Self::Verb(verbs) => matches!(fact.deed, Some(Deed::Converse(talk))
                if talk.exchanges.iter().any(|exchange| verbs.iter().any(|verb| verb.as_bytes() == exchange.verb.as_bytes()))),
            Self::Target(regexes) => matches!(fact.deed, Some(Deed::Converse(talk))
                if talk.exchanges.iter().any(|exchange| any(regexes, cut(exchange.target.as_bytes())))),
            Self::Sent(regexes) => matches!(fact.deed, Some(Deed::Converse(talk))
                if any(regexes, cut(talk.sent.head.as_bytes()))
                    || talk.exchanges.iter().any(|exchange| any(regexes, cut(exchange.body.head.as_bytes())))),
            Self::Text(regexes) => any(regexes, cut(&fact.text)),
            Self::Mode(bits) => fact.number & u64::from(*bits) != 0,
            Self::Number(least) => fact.number >= *least,
            Self::Result(wanted) => wanted.iter().any(|wanted| wanted.takes(fact.came)),
            Self::Uncommon => {
                fact.kind != Kind::DecoyRead || !fact.decoy.is_some_and(|decoy| decoy.commonly_read)
            }
            Self::NotProject(projects) => !facts
                .record
                .file
                .as_ref()
                .is_some_and(|file| projects.contains(&file.project)),
            Self::Away => {
                !fact.is_unix()
                    && fact
                        .address()
                        .is_none_or(|(address, _)| Address::Any.takes(address))
                    // the name that was asked for; what a message says of its host is up to who sends it
                    && (fact.kind != Kind::Resolve || fact.name != "localhost" && !fact.name.ends_with(".localhost"))
            }
        }
    }

    /// Which group of patterns took it, for fields of patterns.
    fn group(&self, facts: &Facts<'_>, fact: &Fact<'_>) -> Option<usize> {
        match self {
            Self::Path(patterns, _) => (!fact.place.is_empty())
                .then(|| patterns.group(fact.place.as_bytes()))
                .flatten(),
            Self::Program(patterns, _) => patterns.program(&fact.place),
            Self::By(patterns, _) => patterns.program(facts.program_of(fact)),
            Self::Host(patterns, _) => fact
                .hosts()
                .iter()
                .find_map(|host| patterns.group(host.as_bytes())),
            Self::Name(patterns, _) => patterns.group(fact.name.as_bytes()),
            Self::Tool(patterns, _) => patterns.group(fact.decoy?.family.as_bytes()),
            _ => None,
        }
    }
}

fn any(regexes: &[Regex], text: &[u8]) -> bool {
    regexes.iter().any(|regex| regex.is_match(text))
}

fn cut(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(LOOKED_AT)]
}

/// What may have come of it, where a rule says nothing: what did not work is no proof, but who calls somebody or
/// asks for what is refused has shown the intent.
fn results(raw: &RawStep, kinds: &[Kind], tests: &mut Vec<Test>) {
    if raw.result.as_slice().contains(&Wanted::Any) {
        return;
    }
    if !raw.result.is_none() {
        tests.push(Test::Result(raw.result.as_slice().to_vec()));
        return;
    }
    let intent = |kind: &Kind| {
        matches!(
            kind,
            Kind::Forbidden
                | Kind::Ptrace
                | Kind::ForeignMemory
                | Kind::Connect
                | Kind::Send
                | Kind::Resolve
                | Kind::Converse
                | Kind::Packet
                | Kind::DecoySent
                | Kind::DecoyArgument
        )
    };
    if !kinds.iter().any(intent) {
        tests.push(Test::Result(vec![Wanted::Attempted, Wanted::Done]));
    }
}

fn patterns(field: &str, value: &OneOf<String>, sets: &Sets) -> Result<Option<Patterns>, String> {
    if value.is_none() {
        return Ok(None);
    }
    let mut groups = Vec::new();
    for item in value.as_slice() {
        if let Some(name) = item.strip_prefix('@') {
            let Some(set) = sets.get(name) else {
                return Err(format!("{field} names the set @{name}, and there is none"));
            };
            groups.push(set.iter().map(|pattern| Glob::new(pattern)).collect());
        } else if item.is_empty() {
            return Err(format!("{field} holds an empty pattern"));
        } else {
            groups.push(vec![Glob::new(item)]);
        }
    }
    if groups.is_empty() {
        return Err(format!("{field} is an empty list, which nothing fits"));
    }
    Ok(Some(Patterns(groups)))
}

fn regexes(field: &str, value: &OneOf<String>) -> Result<Option<Vec<Regex>>, String> {
    if value.is_none() {
        return Ok(None);
    }
    let compiled = value.as_slice().iter().map(|source| {
        RegexBuilder::new(source)
            .unicode(false)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                format!(
                    "{field}: {source:?} is no regular expression: {}",
                    last.trim_start_matches("error: ")
                )
            })
    });
    compiled.collect::<Result<Vec<_>, _>>().map(Some)
}

fn addresses(field: &str, value: &[String]) -> Result<Vec<Address>, String> {
    value
        .iter()
        .map(|word| {
            Ok(match word.as_str() {
                "loopback" => Address::Loopback,
                "private" => Address::Private,
                "link_local" => Address::LinkLocal,
                "public" => Address::Public,
                "any" => Address::Any,
                "simulated" => Address::Simulated,
                other => Address::One(other.parse().map_err(|_| {
                    format!("{field}: {other:?} is neither an address nor loopback, private, link_local, public, simulated or any")
                })?),
            })
        })
        .collect()
}
