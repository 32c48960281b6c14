//! pylock.toml (PEP 751): what the index gave, and what is installed in the box.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pyti_model::distribution::{Digest, is_plain_file_name};
use pyti_model::plan::Interpreter;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The largest lock that is read, in bytes.
pub const LOCK_CAP: usize = 4 << 20;
/// The most packages in a lock.
pub const PACKAGES_CAP: usize = 5_000;
/// End of the names under which the lens lists a release that has only an sdist.
pub const PLACEHOLDER: &str = "-0sdist-py30-none-any.whl";

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Larger than [`LOCK_CAP`] or [`PACKAGES_CAP`].
    #[error("the lock is too large ({0})")]
    TooLarge(String),
    /// No TOML, or not the form of PEP 751.
    #[error("the lock cannot be read: {0}")]
    Unreadable(String),
    /// Another version of the form.
    #[error("the lock has version {0:?}, known is 1.0")]
    Version(String),
    /// A package that has not exactly one file from an index.
    #[error("the lock's package {package:?} {why}")]
    Package {
        /// Its name.
        package: String,
        /// What is wrong with it.
        why: String,
    },
}

/// One package as the index gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Name of its file.
    pub filename: String,
    /// Where the lens serves it.
    pub url: Option<String>,
    /// Digest, where the lens said one.
    pub sha256: Option<Digest>,
    /// It is a wheel that does not exist yet: the sdist must be built.
    pub is_placeholder: bool,
    /// Environment marker, when it has one.
    pub marker: Option<String>,
}

/// What the index gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexLock {
    /// In the order of the lock.
    pub packages: Vec<LockedPackage>,
}

/// One wheel to be installed in a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxWheel {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The wheel's file name.
    pub filename: String,
    /// Absolute path in the box.
    pub path: String,
    /// Digest of the wheel.
    pub sha256: Digest,
    /// Digest of the sdist that it was built from by us.
    pub built_from: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    #[serde(default)]
    wheels: Vec<File>,
    sdist: Option<File>,
    vcs: Option<toml::Value>,
    directory: Option<toml::Value>,
    archive: Option<toml::Value>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    #[serde(default)]
    pyti: Ours,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ours {
    built_from: Option<Digest>,
}

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Default, Deserialize)]
struct Hashes {
    sha256: Option<Digest>,
}

fn document(text: &[u8]) -> Result<Vec<Package>, LockError> {
    if text.len() > LOCK_CAP {
        return Err(LockError::TooLarge(format!("{} bytes", text.len())));
    }
    let text = std::str::from_utf8(text).map_err(|e| LockError::Unreadable(e.to_string()))?;
    let document: Document =
        toml::from_str(text).map_err(|e| LockError::Unreadable(e.message().to_owned()))?;
    if document.lock_version != "1.0" {
        return Err(LockError::Version(document.lock_version));
    }
    if document.packages.len() > PACKAGES_CAP {
        return Err(LockError::TooLarge(format!(
            "{} packages",
            document.packages.len()
        )));
    }
    Ok(document.packages)
}

/// Name, version, marker, the one file, and the digest of the sdist that it was built from.
type OneFile = (String, String, Option<String>, File, Option<Digest>);

fn one_file(package: Package) -> Result<OneFile, LockError> {
    let wrong = |why: &str| LockError::Package {
        package: package.name.clone(),
        why: why.to_owned(),
    };
    if package.vcs.is_some() || package.directory.is_some() || package.archive.is_some() {
        return Err(wrong("comes from elsewhere than an index"));
    }
    let name = package
        .name
        .parse::<uv_normalize::PackageName>()
        .map_err(|_| wrong("has no valid name"))?
        .to_string();
    let version = package
        .version
        .as_deref()
        .and_then(|v| v.parse::<uv_pep440::Version>().ok())
        .ok_or_else(|| wrong("has no valid version"))?
        .to_string();
    if package.wheels.len() > 1 {
        return Err(wrong("has several wheels, the lens offers one"));
    }
    let missing = wrong("has no file");
    let built_from = package.tool.pyti.built_from;
    let file = package
        .wheels
        .into_iter()
        .next()
        .or(package.sdist)
        .ok_or(missing)?;
    Ok((name, version, package.marker, file, built_from))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads what uv printed.
pub fn parse_index_lock(text: &[u8]) -> Result<IndexLock, LockError> {
    let mut seen = BTreeSet::new();
    let mut packages = Vec::new();
    for package in document(text)? {
        let (name, version, marker, file, _) = one_file(package)?;
        let wrong = |why: &str| LockError::Package {
            package: name.clone(),
            why: why.to_owned(),
        };
        if !seen.insert((name.clone(), version.clone())) {
            return Err(wrong("is there twice"));
        }
        let from_url = || {
            let url = file.url.as_deref()?;
            let url = url.split(['?', '#']).next()?;
            Some(percent_decoded(url.rsplit('/').next()?))
        };
        let filename = file
            .name
            .clone()
            .or_else(from_url)
            .filter(|n| is_plain_file_name(n));
        let filename = filename.ok_or_else(|| wrong("has a file without a usable name"))?;
        packages.push(LockedPackage {
            is_placeholder: filename.ends_with(PLACEHOLDER),
            name,
            version,
            filename,
            url: file.url,
            sha256: file.hashes.sha256,
            marker,
        });
    }
    Ok(IndexLock { packages })
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Writes the lock of what is installed in a box; the same wheels give the same text, in any order.
pub fn box_lock(wheels: &[BoxWheel], requires_python: Option<&str>) -> String {
    let mut sorted: Vec<&BoxWheel> = wheels.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"pyti\"\n");
    if let Some(python) = requires_python {
        let _ = writeln!(text, "requires-python = {}", quoted(python));
    }
    if sorted.is_empty() {
        text.push_str("packages = []\n");
    }
    for wheel in sorted {
        let _ = write!(
            text,
            "\n[[packages]]\nname = {}\nversion = {}\nwheels = [{{ name = {}, path = {}, hashes = {{ sha256 = \"{}\" }} }}]\n",
            quoted(&wheel.name),
            quoted(&wheel.version),
            quoted(&wheel.filename),
            quoted(&wheel.path),
            wheel.sha256
        );
        if let Some(sdist) = &wheel.built_from {
            let _ = write!(text, "\n[packages.tool.pyti]\nbuilt-from = \"{sdist}\"\n");
        }
    }
    text
}

/// Reads a box lock, such as one of a plan that somebody else wrote.
pub fn parse_box_lock(text: &str) -> Result<Vec<BoxWheel>, LockError> {
    let mut wheels = Vec::new();
    for package in document(text.as_bytes())? {
        let (name, version, _, file, built_from) = one_file(package)?;
        let wrong = |why: &str| LockError::Package {
            package: name.clone(),
            why: why.to_owned(),
        };
        if file.url.is_some() {
            return Err(wrong("has an address; a box has none"));
        }
        let path = file.path.ok_or_else(|| wrong("has no path"))?;
        let tame = path.starts_with('/') && path.split('/').skip(1).all(is_plain_file_name);
        if !tame {
            return Err(wrong("has a path that is not absolute and plain"));
        }
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        let filename = file.name.unwrap_or_else(|| last.clone());
        if filename != last
            || std::path::Path::new(&filename)
                .extension()
                .is_none_or(|e| e != "whl")
        {
            return Err(wrong("has a file that is no wheel of that name"));
        }
        let sha256 = file.hashes.sha256.ok_or_else(|| wrong("has no SHA-256 digest"))?;
        wheels.push(BoxWheel {
            name,
            version,
            filename,
            path,
            sha256,
            built_from,
        });
    }
    Ok(wheels)
}

/// Name of the environment that this lock makes with this interpreter at this path; 64 hexadecimal digits.
pub fn environment_key(box_lock: &str, interpreter: &Interpreter, path: &str) -> String {
    let mut hash = Sha256::new();
    let free = if interpreter.free_threaded { "t" } else { "" };
    let fields = [
        "pyti environment 1",
        crate::uv::UV_VERSION,
        box_lock,
        &interpreter.implementation,
        &interpreter.version,
        free,
        &interpreter.executable,
        &interpreter.prefix,
        &interpreter.platform,
        path,
    ];
    for field in fields {
        // The length first, so that no two lists of fields give the same bytes.
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(name: &str) -> BoxWheel {
        let filename = format!("{name}-1.0-py3-none-any.whl");
        BoxWheel {
            name: name.into(),
            version: "1.0".into(),
            path: format!("/cache/{}/{filename}", "a".repeat(64)),
            filename,
            sha256: "a".repeat(64).parse().unwrap(),
            built_from: (name == "b").then(|| "c".repeat(64).parse().unwrap()),
        }
    }

    #[test]
    fn box_locks_come_back_and_do_not_depend_on_order() {
        let text = box_lock(&[wheel("b"), wheel("a")], Some(">=3.8"));
        assert_eq!(text, box_lock(&[wheel("a"), wheel("b")], Some(">=3.8")));
        assert_eq!(parse_box_lock(&text).unwrap(), [wheel("a"), wheel("b")]);
        assert!(parse_box_lock(&box_lock(&[], None)).unwrap().is_empty());
        for (from, to) in [
            ("/cache/", "/cache/../"),
            ("sha256 = ", "md5 = "),
            ("\"1.0\"\nc", "\"2.0\"\nc"),
        ] {
            assert!(parse_box_lock(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn index_locks_are_parsed_not_assumed() {
        let lock = |file: &str| {
            format!("lock-version = \"1.0\"\n[[packages]]\nname = \"A_b\"\nversion = \"1.0\"\n{file}\n")
                .into_bytes()
        };
        let good =
            "wheels = [{ url = \"http://127.0.0.1/f/a_b-1.0%2Bx-0sdist-py30-none-any.whl\", hashes = {} }]";
        let parsed = parse_index_lock(&lock(good)).unwrap();
        assert_eq!(parsed.packages[0].name, "a-b");
        assert_eq!(parsed.packages[0].filename, "a_b-1.0+x-0sdist-py30-none-any.whl");
        assert!(parsed.packages[0].is_placeholder);
        for bad in [
            "",
            "vcs = { type = \"git\" }",
            "wheels = [{ url = \"http://127.0.0.1/%2Fetc%2Fpasswd\" }]",
            "wheels = [{ name = \"../x.whl\" }]",
        ] {
            assert!(parse_index_lock(&lock(bad)).is_err(), "{bad}");
        }
        assert!(parse_index_lock(&vec![b' '; LOCK_CAP + 1]).is_err());
    }
}
