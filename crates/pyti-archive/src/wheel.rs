//! The verb `__wheel`: what a wheel holds and says, read without installing it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pyti_model::raw::Metadata;
use pyti_model::{Digest, Foreign};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::Limits;
use crate::metadata;
use crate::modules::{Modules, pth_runs_code};
use crate::name::EntryPath;
use crate::results::{self, Arguments, ParseError};
use crate::zipfile::{Entry, Kind, Zip};

/// The verb.
pub const VERB: &str = "__wheel";
/// Bytes of results that are believed at most.
const RESULTS: usize = 16 << 20;
/// Files that are listed.
const FILES: usize = 20_000;
/// Fields of METADATA and entry points that are listed.
const LISTED: usize = 2_000;
/// Problems that are listed.
const PROBLEMS: usize = 100;
/// Bytes of METADATA that are handed on.
const METADATA_BYTES: usize = 1 << 20;
/// Bytes of other files that are read as a whole: RECORD, WHEEL, entry points, `.pth`.
const TEXT_BYTES: usize = 16 << 20;

/// What a wheel holds and says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WheelFacts {
    /// Its file name.
    pub filename: Foreign,
    /// Its core metadata.
    pub metadata: Metadata,
    /// The bytes of METADATA, at most 1 MiB.
    pub metadata_bytes: Foreign,
    /// Whether METADATA has more bytes than that.
    pub metadata_cut: bool,
    /// `Tag` lines of WHEEL.
    pub tags: Vec<Foreign>,
    /// `Root-Is-Purelib` of WHEEL.
    pub root_is_purelib: bool,
    /// `Generator` of WHEEL.
    pub generator: Foreign,
    /// Its files, at most 20,000.
    pub files: Vec<WheelFile>,
    /// All of its files.
    pub files_total: u64,
    /// All their bytes.
    pub bytes_total: u64,
    /// Importable names at the top.
    pub top_level: Vec<String>,
    /// All importable modules, dotted, without `__main__`.
    pub modules: Vec<String>,
    /// Console and GUI scripts: of its entry points, and those that it brings ready-made.
    pub scripts: Vec<Foreign>,
    /// `.pth` files that run code.
    pub executable_pth: Vec<Foreign>,
    /// Compiled extension modules.
    pub extensions: Vec<Foreign>,
    /// Header fields of METADATA, in order, at most 2,000.
    pub fields: Vec<(String, Foreign)>,
    /// Bytes of the description, in METADATA's body.
    pub description_bytes: u64,
    /// Its entry points, at most 2,000: group, name, what they point to.
    pub entry_points: Vec<(Foreign, Foreign, Foreign)>,
    /// The oldest and the newest date of its entries: `2020-02-02`.
    pub dates: Option<(String, String)>,
    /// What is wrong with it and does not make it useless: lies of RECORD, names that differ…
    pub problems: Vec<String>,
    /// Why it cannot be used, if so.
    pub fatal: Option<Foreign>,
}

/// A file of a wheel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelFile {
    /// Its path in the wheel.
    pub path: Foreign,
    /// Its bytes.
    pub size: u64,
    /// Its digest, when it could be read.
    pub sha256: Option<Digest>,
}

/// The command line of the verb. `results_fd` must be open in the new process.
pub fn argv(program: &str, file: &str, results_fd: i32) -> Vec<String> {
    [program, VERB, "--results", &results_fd.to_string(), file]
        .map(str::to_owned)
        .into()
}

/// Runs the verb with the arguments after it.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut args = Arguments::new(args);
    let mut parse = || -> Result<(i32, String), String> {
        let option = args.value("--results")?;
        if option != "--results" {
            return Err(format!("--results is wanted, not {option}"));
        }
        Ok((args.descriptor(&option)?, args.value("FILE")?))
    };
    match parse() {
        Ok((fd, file)) => results::write(fd, &read(Path::new(&file), &Limits::default()), 0),
        Err(why) => results::complain(results::BAD_ARGUMENTS, &format!("{VERB}: {why}")),
    }
}

/// Parses what the verb wrote.
pub fn parse(results: &[u8]) -> Result<WheelFacts, ParseError> {
    results::parse(VERB, results, RESULTS)
}

/// Reads a wheel. What cannot be used at all is told in the result's `fatal`.
pub fn read(file: &Path, limits: &Limits) -> WheelFacts {
    let filename = file.file_name().unwrap_or_default();
    let mut facts = WheelFacts {
        filename: Foreign::new(std::os::unix::ffi::OsStrExt::as_bytes(filename)),
        ..WheelFacts::default()
    };
    let opened = File::open(file).map_err(|e| format!("the wheel cannot be opened: {e}"));
    match opened.and_then(|file| Zip::open(file, limits)) {
        Ok(zip) => {
            if let Err(why) = Reader::default().read(&zip, &mut facts, limits) {
                facts.fatal = Some(why.into());
            }
        }
        Err(why) => facts.fatal = Some(why.into()),
    }
    facts.problems.truncate(PROBLEMS);
    facts
}

/// Reads the entries of one wheel.
#[derive(Default)]
struct Reader {
    /// Digest and size of every file.
    found: BTreeMap<Vec<u8>, ([u8; 32], u64)>,
    /// Contents of the small files that are looked into.
    texts: BTreeMap<Vec<u8>, Vec<u8>>,
    modules: Modules,
    scripts: BTreeSet<Vec<u8>>,
}

impl Reader {
    fn read(mut self, zip: &Zip, facts: &mut WheelFacts, limits: &Limits) -> Result<(), String> {
        facts.problems.extend(zip.odd.iter().cloned());
        let dates = zip.entries.iter().map(|entry| entry.date);
        facts.dates = dates
            .clone()
            .min()
            .zip(dates.max())
            .map(|(old, new)| (day(old), day(new)));
        for entry in zip.entries.iter().filter(|entry| entry.kind != Kind::Folder) {
            self.take(zip, entry, facts, limits);
        }
        facts.files_total = self.found.len() as u64;
        facts.bytes_total = self.found.values().map(|(_, size)| size).sum();
        facts.top_level = self.modules.top_level();
        facts.modules = self.modules.all();
        facts.extensions = self
            .modules
            .extensions
            .iter()
            .map(|path| Foreign::new(path.as_slice()))
            .collect();
        facts.files = self
            .found
            .iter()
            .take(FILES)
            .map(|(path, (digest, size))| WheelFile {
                path: Foreign::new(path.as_slice()),
                size: *size,
                sha256: Some(Digest::from(*digest)),
            })
            .collect();
        let result = self.dist_info(facts);
        facts.scripts = self
            .scripts
            .iter()
            .map(|name| Foreign::new(name.as_slice()))
            .collect();
        result
    }

    /// Reads one entry.
    fn take(&mut self, zip: &Zip, entry: &Entry, facts: &mut WheelFacts, limits: &Limits) {
        let shown = || Foreign::new(&entry.name[..entry.name.len().min(300)]).visible();
        let mut problem = |what: &str| facts.problems.push(format!("{}: {what}", shown()));
        let path = match EntryPath::parse(&entry.name, limits) {
            Ok(Some(path)) => path.bytes(),
            Ok(None) => return problem("it has no name"),
            Err(why) => return problem(&why),
        };
        if entry.kind != Kind::File {
            return problem("neither a file nor a folder");
        }
        if self.found.contains_key(&path) {
            return problem("duplicate name");
        }
        let place = place(&path);
        let keep = is_text(&path) || place.bare_library;
        let (digest, content) = match zip.content(entry).and_then(|content| digest(content, keep)) {
            Ok(read) => read,
            Err(error) => return problem(&error.to_string()),
        };
        self.found.insert(path.clone(), (digest, entry.size));
        if let Some(script) = place.script {
            self.scripts.insert(script.to_vec());
        }
        if let Some(inside) = place.site_packages {
            self.modules.take(inside, &mut |needle| {
                content.windows(needle.len()).any(|window| window == needle)
            });
            if !inside.contains(&b'/') && inside.ends_with(b".pth") && pth_runs_code(&content) {
                facts.executable_pth.push(Foreign::new(inside));
            }
        }
        if !place.bare_library && keep {
            self.texts.insert(path, content);
        }
    }

    /// Reads the `.dist-info` folder.
    fn dist_info(&mut self, facts: &mut WheelFacts) -> Result<(), String> {
        let folders: BTreeSet<&[u8]> = self
            .found
            .keys()
            .filter_map(|path| {
                path.split(|b| *b == b'/')
                    .next()
                    .filter(|top| top.len() < path.len())
            })
            .filter(|top| top.ends_with(b".dist-info"))
            .collect();
        let folders: Vec<Vec<u8>> = folders.into_iter().map(<[u8]>::to_vec).collect();
        let claimed = facts.filename.as_str().and_then(FileName::parse);
        let matching = folders.iter().find(|folder| {
            let stem = folder
                .strip_suffix(b".dist-info")
                .and_then(|stem| std::str::from_utf8(stem).ok());
            stem.and_then(|stem| stem.rsplit_once('-'))
                .is_some_and(|(name, version)| claimed.as_ref().is_some_and(|c| c.is(name, version)))
        });
        let Some(folder) = matching.or(folders.first()).cloned() else {
            return Err("it has no .dist-info folder".into());
        };
        if folders.len() > 1 {
            facts
                .problems
                .push(format!("it has {} .dist-info folders", folders.len()));
        }
        if matching.is_none() {
            let shown = Foreign::new(folder.as_slice()).visible();
            facts
                .problems
                .push(format!("{shown} is not the folder that the file name promises"));
        }
        let text = |name: &str| {
            self.texts
                .get(&[&folder[..], b"/", name.as_bytes()].concat())
                .map(Vec::as_slice)
        };
        let bytes = text("METADATA").ok_or("it has no METADATA")?;
        facts.metadata_cut = bytes.len() > METADATA_BYTES;
        facts.metadata_bytes = Foreign::new(&bytes[..bytes.len().min(METADATA_BYTES)]);
        facts.metadata = metadata::parse(facts.metadata_bytes.as_bytes());
        if facts.metadata_cut {
            facts
                .problems
                .push(format!("METADATA has more than {METADATA_BYTES} bytes"));
        }
        facts.fields = metadata::fields(facts.metadata_bytes.as_bytes())
            .into_iter()
            .take(LISTED)
            .map(|(name, value)| (name, value.into()))
            .collect();
        facts.description_bytes = metadata::body(bytes).trim_ascii().len() as u64;
        let wheel = text("WHEEL").ok_or("it has no WHEEL")?;
        wheel_file(wheel, claimed.as_ref(), facts);
        check_names(claimed.as_ref(), facts);
        let points = text("entry_points.txt").map(entry_points).unwrap_or_default();
        let scripts: Vec<Vec<u8>> = points
            .iter()
            .filter(|(group, _, _)| matches!(&group[..], b"console_scripts" | b"gui_scripts"))
            .map(|(_, name, _)| name.clone())
            .collect();
        let points = points.into_iter().take(LISTED);
        facts.entry_points = points.map(|(a, b, c)| (a.into(), b.into(), c.into())).collect();
        match text("RECORD") {
            Some(record) => check_record(record, &folder, &self.found, &mut facts.problems),
            None => facts.problems.push("it has no RECORD".into()),
        }
        self.scripts.extend(scripts);
        Ok(())
    }
}

/// Where a file of a wheel will be.
#[derive(Default)]
struct Place<'a> {
    site_packages: Option<&'a [u8]>,
    script: Option<&'a [u8]>,
    /// A library whose name does not tell whether it is a module.
    bare_library: bool,
}

fn place(path: &[u8]) -> Place<'_> {
    let mut parts = path.splitn(3, |b| *b == b'/');
    let (top, scheme, rest) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let mut place = Place::default();
    match (top.ends_with(b".data"), scheme, rest) {
        (true, Some(b"purelib" | b"platlib"), Some(rest)) => place.site_packages = Some(rest),
        (true, Some(b"scripts"), Some(rest)) => place.script = Some(rest),
        (true, Some(_), Some(_)) => {}
        _ => place.site_packages = Some(path),
    }
    place.bare_library = place.site_packages.is_some_and(|inside| {
        let file = inside.rsplit(|b| *b == b'/').next().unwrap_or_default();
        file.strip_suffix(b".so")
            .is_some_and(|stem| !stem.contains(&b'.') && !stem.is_empty())
    });
    place
}

/// Whether a file is looked into.
fn is_text(path: &[u8]) -> bool {
    let mut parts = path.split(|b| *b == b'/');
    let own = match (parts.next(), parts.next(), parts.next()) {
        (Some(folder), Some(file), None) => {
            folder.ends_with(b".dist-info")
                && matches!(file, b"METADATA" | b"WHEEL" | b"RECORD" | b"entry_points.txt")
        }
        _ => false,
    };
    own || path.ends_with(b".pth")
}

/// Digest of a content, and the content itself (its start) when it is wanted.
fn digest(mut from: impl Read, keep: bool) -> std::io::Result<([u8; 32], Vec<u8>)> {
    let (mut sum, mut kept, mut buffer) = (Sha256::new(), Vec::new(), vec![0; 64 << 10]);
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => return Ok((sum.finalize().into(), kept)),
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.update(&buffer[..got]);
        if keep && kept.len() < TEXT_BYTES {
            kept.extend(&buffer[..got]);
        }
    }
}

/// A wheel's file name, taken apart.
struct FileName {
    name: String,
    version: String,
    tags: BTreeSet<String>,
}

impl FileName {
    fn parse(filename: &str) -> Option<Self> {
        let parts: Vec<&str> = filename.strip_suffix(".whl")?.split('-').collect();
        let (5 | 6) = parts.len() else { return None };
        let [python, abi, platform] = parts[parts.len() - 3..] else {
            return None;
        };
        let mut tags = BTreeSet::new();
        for p in python.split('.') {
            for a in abi.split('.') {
                tags.extend(platform.split('.').map(|f| format!("{p}-{a}-{f}")));
            }
        }
        Some(Self {
            name: normalised(parts[0]),
            version: parts[1].to_owned(),
            tags,
        })
    }

    fn is(&self, name: &str, version: &str) -> bool {
        normalised(name) == self.name && same_version(version, &self.version)
    }
}

/// A project's name as PEP 503 normalises it.
fn normalised(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Whether two versions are equal by PEP 440; what is no version is compared as text. File names write `_` for `-`.
fn same_version(a: &str, b: &str) -> bool {
    let parsed = |text: &str| uv_pep440::Version::from_str(&text.replace('_', "-")).ok();
    match (parsed(a), parsed(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn wheel_file(bytes: &[u8], claimed: Option<&FileName>, facts: &mut WheelFacts) {
    for (key, value) in metadata::fields(bytes) {
        match key.to_ascii_lowercase().as_str() {
            "tag" if facts.tags.len() < 1000 => facts.tags.push(value.into()),
            "generator" => facts.generator = value.into(),
            "root-is-purelib" => facts.root_is_purelib = value.eq_ignore_ascii_case(b"true"),
            "wheel-version" if !value.starts_with(b"1.") => {
                facts.problems.push(format!(
                    "Wheel-Version {} is not 1.x",
                    Foreign::new(value).visible()
                ));
            }
            _ => {}
        }
    }
    let tags: BTreeSet<String> = facts.tags.iter().map(|tag| tag.lossy().into_owned()).collect();
    if claimed.is_some_and(|claimed| claimed.tags != tags) {
        facts
            .problems
            .push("the tags of WHEEL are not those of the file name".into());
    }
    if facts.root_is_purelib && !facts.extensions.is_empty() {
        facts
            .problems
            .push("WHEEL says that it is pure, and it holds extension modules".into());
    }
}

fn check_names(claimed: Option<&FileName>, facts: &mut WheelFacts) {
    let Some(claimed) = claimed else {
        return facts.problems.push("its file name is not that of a wheel".into());
    };
    let (name, version) = (facts.metadata.name.lossy(), facts.metadata.version.lossy());
    let mut lies = Vec::new();
    if normalised(&name) != claimed.name {
        lies.push(format!(
            "METADATA says name {}, the file name says {}",
            facts.metadata.name.visible(),
            claimed.name
        ));
    }
    if !same_version(&version, &claimed.version) {
        let said = facts.metadata.version.visible();
        lies.push(format!(
            "METADATA says version {said}, the file name says {}",
            claimed.version
        ));
    }
    facts.problems.extend(lies);
}

/// A date of a zip entry.
fn day((year, month, day): (u16, u16, u16)) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// Entry points: group, name, what it points to.
fn entry_points(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut group = Vec::new();
    let mut points = Vec::new();
    for line in bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if let Some(section) = line.strip_prefix(b"[").and_then(|line| line.strip_suffix(b"]")) {
            group = section.trim_ascii().to_vec();
        } else if !line.starts_with(b"#")
            && !group.is_empty()
            && let Some(at) = line.iter().position(|b| *b == b'=')
        {
            let (name, target) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
            points.push((group.clone(), name.to_vec(), target.to_vec()));
        }
    }
    points
}

/// Compares RECORD with the files that are there.
fn check_record(
    record: &[u8],
    folder: &[u8],
    found: &BTreeMap<Vec<u8>, ([u8; 32], u64)>,
    problems: &mut Vec<String>,
) {
    let shown = |path: &[u8]| Foreign::new(&path[..path.len().min(300)]).visible();
    let own = |name: &str| [folder, b"/", name.as_bytes()].concat();
    let unlisted = [own("RECORD"), own("RECORD.jws"), own("RECORD.p7s")];
    let mut named = BTreeSet::new();
    for row in csv(record) {
        let [path, hash, size] = &row[..] else {
            problems.push(format!("RECORD has a line of {} fields", row.len()));
            continue;
        };
        if !named.insert(path.clone()) {
            problems.push(format!("RECORD names {} twice", shown(path)));
        }
        let Some((digest, length)) = found.get(path) else {
            problems.push(format!("RECORD names {}, which is not there", shown(path)));
            continue;
        };
        if unlisted.contains(path) {
            continue;
        }
        match hash.strip_prefix(b"sha256=") {
            Some(hash) if hash == URL_SAFE_NO_PAD.encode(digest).as_bytes() => {}
            Some(_) => problems.push(format!("RECORD lies about the content of {}", shown(path))),
            None if hash.starts_with(b"sha384=") || hash.starts_with(b"sha512=") => {}
            None => problems.push(format!("RECORD has no good hash of {}", shown(path))),
        }
        if !size.is_empty() && *size != length.to_string().into_bytes() {
            problems.push(format!("RECORD lies about the size of {}", shown(path)));
        }
    }
    let missing = found
        .keys()
        .filter(|path| !named.contains(*path) && !unlisted.contains(path));
    problems.extend(
        missing
            .take(PROBLEMS)
            .map(|path| format!("RECORD does not name {}", shown(path))),
    );
}

/// Rows of comma-separated values; quotes as RFC 4180 has them.
fn csv(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), Vec::new(), false);
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                field.push(b'"');
            }
            b'"' => quoted = !quoted,
            b',' if !quoted => row.push(std::mem::take(&mut field)),
            b'\r' if !quoted => {}
            b'\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    row.push(field);
    rows.push(row);
    rows.retain(|row| row.len() > 1 || !row[0].is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_compared_as_the_standards_say() {
        let name = FileName::parse("Foo.Bar-1.0-1-py2.py3-none-any.whl").unwrap();
        assert!(name.is("foo_bar", "1.0.0"));
        assert!(!name.is("foo_baz", "1.0"));
        assert!(!name.is("foo_bar", "1.1"));
        assert_eq!(name.tags.len(), 2);
        assert!(FileName::parse("foo-1.0.whl").is_none());
        assert!(same_version("1.0-2", "1.0.post2"));
        assert!(same_version("1!2020.1.30", "1!2020.01.30"));
    }

    #[test]
    fn record_lines_may_be_quoted() {
        let rows = csv(b"\"a,\"\"b\"\".py\",x,1\r\nc,,\n\n");
        assert_eq!(
            rows,
            [
                vec![b"a,\"b\".py".to_vec(), b"x".to_vec(), b"1".to_vec()],
                vec![b"c".to_vec(), vec![], vec![]]
            ]
        );
    }

    #[test]
    fn entry_points_have_a_group_a_name_and_a_target() {
        let text =
            b"[console_scripts]\nfoo = a:b\n# no = x\n[other]\nbar = c:d\n[gui_scripts]\n baz=e:f [x]\n";
        let point = |g: &str, n: &str, t: &str| [g, n, t].map(|text| text.as_bytes().to_vec());
        let expected = [
            point("console_scripts", "foo", "a:b"),
            point("other", "bar", "c:d"),
            point("gui_scripts", "baz", "e:f [x]"),
        ];
        let found: Vec<_> = entry_points(text)
            .into_iter()
            .map(|(g, n, t)| [g, n, t])
            .collect();
        assert_eq!(found, expected);
    }
}
