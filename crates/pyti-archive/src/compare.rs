//! The verb `__compare`: does the wheel that was built here hold what the published one holds?
//!
//! What differs between any two builds is left out: RECORD, the generator in WHEEL, the order of fields in METADATA
//! and which version of the format it has. Extension modules are compared by name only: their bytes differ with
//! every compiler.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use pyti_model::Foreign;
use pyti_model::raw::WheelComparison;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::Limits;
use crate::metadata;
use crate::results::{self, Arguments, ParseError};
use crate::zipfile::{Kind, Zip};

/// The verb.
pub const VERB: &str = "__compare";
/// Bytes of results that are believed at most.
const RESULTS: usize = 4 << 20;
/// Files that are listed on each side.
const LISTED: usize = 2000;
/// Bytes of metadata files that are normalised; larger ones are compared as they are.
const NORMALISED: u64 = 4 << 20;

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How the files compare.
    pub comparison: WheelComparison,
    /// Why they could not be compared, if so.
    pub fatal: Option<Foreign>,
}

/// The command line of the verb. `results_fd` must be open in the new process.
pub fn argv(program: &str, built: &str, published: &str, results_fd: i32) -> Vec<String> {
    [
        program,
        VERB,
        "--results",
        &results_fd.to_string(),
        built,
        published,
    ]
    .map(str::to_owned)
    .into()
}

/// Runs the verb with the arguments after it.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut args = Arguments::new(args);
    let mut parse = || -> Result<(i32, String, String), String> {
        let option = args.value("--results")?;
        if option != "--results" {
            return Err(format!("--results is wanted, not {option}"));
        }
        Ok((
            args.descriptor(&option)?,
            args.value("BUILT")?,
            args.value("PUBLISHED")?,
        ))
    };
    match parse() {
        Ok((fd, built, published)) => results::write(
            fd,
            &compare(Path::new(&built), Path::new(&published), &Limits::default()),
            0,
        ),
        Err(why) => results::complain(results::BAD_ARGUMENTS, &format!("{VERB}: {why}")),
    }
}

/// Parses what the verb wrote.
pub fn parse(results: &[u8]) -> Result<Comparison, ParseError> {
    results::parse(VERB, results, RESULTS)
}

/// Compares two wheels.
pub fn compare(built: &Path, published: &Path, limits: &Limits) -> Comparison {
    let with = published
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut comparison = WheelComparison {
        with,
        ..WheelComparison::default()
    };
    let read = |path: &Path| prints(path, limits).map_err(|why| format!("{}: {why}", path.display()));
    let (built, published) = match (read(built), read(published)) {
        (Ok(built), Ok(published)) => (built, published),
        (Err(why), _) | (_, Err(why)) => {
            return Comparison {
                comparison,
                fatal: Some(why.into()),
            };
        }
    };
    let mut list = |into: fn(&mut WheelComparison) -> &mut Vec<Foreign>, name: &[u8]| {
        let list = into(&mut comparison);
        if list.len() < LISTED {
            list.push(Foreign::new(name));
        }
    };
    let mut same = 0;
    for (key, (name, print)) in &built {
        match published.get(key) {
            None => list(|c| &mut c.only_built, name),
            Some((_, other)) if other == print => same += 1,
            Some(_) => list(|c| &mut c.different, name),
        }
    }
    for (_, (name, _)) in published.iter().filter(|(key, _)| !built.contains_key(*key)) {
        list(|c| &mut c.only_published, name);
    }
    comparison.same = same;
    Comparison {
        comparison,
        fatal: None,
    }
}

/// What is compared of a file.
#[derive(Debug, PartialEq, Eq)]
enum Print {
    Content([u8; 32]),
    /// An extension module.
    NameOnly,
}

/// Every file by its name without what names the version, with the name as written.
type Prints = BTreeMap<Vec<u8>, (Vec<u8>, Print)>;

fn prints(path: &Path, limits: &Limits) -> Result<Prints, String> {
    let file = File::open(path).map_err(|e| format!("it cannot be opened: {e}"))?;
    let zip = Zip::open(file, limits)?;
    let mut prints = Prints::new();
    for entry in zip.entries.iter().filter(|entry| entry.kind == Kind::File) {
        let key = key(&entry.name);
        let print = match &key[..] {
            b"*.dist-info/RECORD" => continue,
            _ if key.ends_with(b".so") => Print::NameOnly,
            _ => {
                let shown = || Foreign::new(entry.name.as_slice()).visible();
                let content = zip.content(entry).map_err(|e| format!("{}: {e}", shown()))?;
                Print::Content(digest(&key, content, entry.size).map_err(|e| format!("{}: {e}", shown()))?)
            }
        };
        prints.entry(key).or_insert_with(|| (entry.name.clone(), print));
    }
    Ok(prints)
}

/// The folders at the top that carry name and version are written in more than one way.
fn key(name: &[u8]) -> Vec<u8> {
    let at = name.iter().position(|b| *b == b'/').unwrap_or(name.len());
    let (top, rest) = name.split_at(at);
    for suffix in [&b".dist-info"[..], b".data"] {
        if top.ends_with(suffix) && !rest.is_empty() {
            return [b"*", suffix, rest].concat();
        }
    }
    name.to_vec()
}

/// Bytes of a metadata file to what is compared of it.
type Normalise = fn(&[u8]) -> Vec<u8>;

fn digest(key: &[u8], mut content: impl Read, size: u64) -> io::Result<[u8; 32]> {
    let mut sum = Sha256::new();
    let normalise: Option<Normalise> = match key {
        b"*.dist-info/METADATA" => Some(metadata_without_order),
        b"*.dist-info/WHEEL" => Some(wheel_without_generator),
        _ => None,
    };
    if let Some(normalise) = normalise.filter(|_| size <= NORMALISED) {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        sum.update(normalise(&bytes));
    } else {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => sum.update(&buffer[..got]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(sum.finalize().into())
}

fn sorted_fields(bytes: &[u8], without: &[&str]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = metadata::fields(bytes)
        .into_iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .filter(|(key, _)| !without.contains(&key.as_str()))
        .map(|(key, value)| {
            let value: Vec<u8> = match key.as_str() {
                // requirements are written with and without blanks, brackets and either kind of quotes
                "requires-dist" => value
                    .into_iter()
                    .filter(|b| !matches!(b, b' ' | b'(' | b')'))
                    .map(|b| if b == b'\'' { b'"' } else { b })
                    .collect(),
                _ => value,
            };
            [key.as_bytes(), b":", &value].concat()
        })
        .collect();
    lines.sort();
    lines.join(&b'\n')
}

fn metadata_without_order(bytes: &[u8]) -> Vec<u8> {
    let fields = sorted_fields(
        bytes,
        &["metadata-version", "dynamic", "license-file", "description"],
    );
    [&fields[..], b"\n\n", metadata::body(bytes).trim_ascii()].concat()
}

fn wheel_without_generator(bytes: &[u8]) -> Vec<u8> {
    sorted_fields(bytes, &["generator", "build", "wheel-version"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_build_writes_differently_is_the_same() {
        let a =
            b"Metadata-Version: 2.1\nName: x\nRequires-Dist: y (>=1) ; extra == 'z'\nSummary: s\n\nText\n";
        let b = b"Metadata-Version: 2.4\nName: x\nSummary: s\nRequires-Dist: y>=1; extra == \"z\"\nDynamic: summary\n\nText";
        assert_eq!(metadata_without_order(a), metadata_without_order(b));
        assert_ne!(
            metadata_without_order(a),
            metadata_without_order(&a.replace_once(b"Text", b"Test"))
        );
        assert_eq!(
            wheel_without_generator(b"Wheel-Version: 1.0\nGenerator: a\nTag: t\n"),
            wheel_without_generator(b"Wheel-Version: 1.0\nGenerator: b\nTag: t\n")
        );
        assert_eq!(key(b"Foo-1.0.dist-info/METADATA"), b"*.dist-info/METADATA");
        assert_eq!(key(b"foo/x.dist-info"), b"foo/x.dist-info");
    }

    trait ReplaceOnce {
        fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
    }

    impl ReplaceOnce for [u8] {
        fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
            let at = self
                .windows(from.len())
                .position(|window| window == from)
                .unwrap();
            [&self[..at], to, &self[at + from.len()..]].concat()
        }
    }
}
