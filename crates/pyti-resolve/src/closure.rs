//! Files that name a closure of exact releases: requirements.txt, pylock.toml (PEP 751), uv.lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use pyti_model::Digest;
use pyti_model::plan::Interpreter;
use serde::Deserialize;
use uv_pep508::{
    MarkerEnvironment, MarkerEnvironmentBuilder, MarkerTree, Requirement, VerbatimUrl, VersionOrUrl,
};

/// Most files that requirements may include.
const INCLUDED: usize = 100;
/// Most releases of a closure.
const RELEASES: usize = 20_000;

/// One release of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Digests that its file may have; none when the file says none.
    pub hashes: Vec<Digest>,
    /// Whether its marker holds for the interpreter.
    pub applies: bool,
}

/// Why a file is no closure.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not in its form.
    #[error("{0} cannot be read: {1}")]
    Form(PathBuf, String),
    /// A line names no exact release.
    #[error("{path}, line {line}: {text:?} {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its text, cut.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// It includes too much, or itself.
    #[error("{0} includes more than {INCLUDED} files, or itself")]
    Includes(PathBuf),
    /// It names too many releases.
    #[error("{0} names more than {RELEASES} releases")]
    TooMany(PathBuf),
}

impl ClosureError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Line { .. } => Some("lock it first: `uv pip compile requirements.in`, or `uv export`"),
            _ => None,
        }
    }
}

/// Reads a closure. `read` gives the text of a file; it is asked for the file itself and for those that it includes.
///
/// # Errors
///
/// See [`ClosureError`].
pub fn closure(
    path: &Path,
    interpreter: &Interpreter,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
) -> Result<Vec<Pinned>, ClosureError> {
    let environment = environment(interpreter);
    let text = read(path).map_err(|e| ClosureError::Read(path.to_owned(), e))?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let all = if name.ends_with(".toml") || name.ends_with(".lock") {
        locked(path, &text, environment.as_ref())?
    } else {
        let mut reader = Reader {
            read,
            environment: environment.as_ref(),
            open: 0,
            all: Vec::new(),
        };
        reader.file(path, &text)?;
        reader.all
    };
    if all.len() > RELEASES {
        return Err(ClosureError::TooMany(path.to_owned()));
    }
    let mut once: BTreeMap<(String, String), Pinned> = BTreeMap::new();
    for pinned in all {
        let key = (pinned.name.clone(), pinned.version.clone());
        once.entry(key)
            .and_modify(|known| {
                known.applies |= pinned.applies;
                known.hashes.extend(pinned.hashes.iter().cloned());
            })
            .or_insert(pinned);
    }
    Ok(once.into_values().collect())
}

/// What markers see of the interpreter; `None` when it is too odd to be described, and then every marker holds.
fn environment(interpreter: &Interpreter) -> Option<MarkerEnvironment> {
    let short: Vec<_> = interpreter.version.split('.').take(2).collect();
    let short = short.join(".");
    let (name, title) = match interpreter.implementation.as_str() {
        "pypy" => ("pypy", "PyPy"),
        _ => ("cpython", "CPython"),
    };
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: name,
        implementation_version: &interpreter.version,
        os_name: "posix",
        platform_machine: std::env::consts::ARCH,
        platform_python_implementation: title,
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: &interpreter.version,
        python_version: &short,
        sys_platform: "linux",
    })
    .ok()
}

fn holds(marker: MarkerTree, environment: Option<&MarkerEnvironment>) -> bool {
    environment.is_none_or(|environment| marker.evaluate(environment, &[]))
}

struct Reader<'a> {
    read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    environment: Option<&'a MarkerEnvironment>,
    open: usize,
    all: Vec<Pinned>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str) -> Result<(), ClosureError> {
        self.open += 1;
        if self.open > INCLUDED {
            return Err(ClosureError::Includes(path.to_owned()));
        }
        let (mut whole, mut first) = (String::new(), 1);
        for (number, line) in text.lines().enumerate() {
            if whole.is_empty() {
                first = number + 1;
            }
            if let Some(begun) = line.strip_suffix('\\') {
                whole.push_str(begun);
                whole.push(' ');
                continue;
            }
            whole.push_str(line);
            self.line(path, first, &std::mem::take(&mut whole))?;
        }
        self.line(path, first, &whole)
    }

    fn line(&mut self, path: &Path, number: usize, line: &str) -> Result<(), ClosureError> {
        let wrong = |why| ClosureError::Line {
            path: path.to_owned(),
            line: number,
            text: line.trim().chars().take(120).collect(),
            why,
        };
        // a comment begins at the line's begin or after a blank; a URL may hold the sign
        let line_text = if line.trim_start().starts_with('#') {
            ""
        } else {
            line.split(" #").next().unwrap_or("").trim()
        };
        if line_text.is_empty() {
            return Ok(());
        }
        let option = [
            "-r ",
            "--requirement ",
            "--requirement=",
            "-c ",
            "--constraint ",
            "--constraint=",
        ]
        .iter()
        .find_map(|name| line_text.strip_prefix(name).map(|rest| (*name, rest.trim())));
        if let Some((name, included)) = option {
            if name.starts_with("-c") || name.starts_with("--c") {
                return Ok(());
            }
            let included = path.parent().unwrap_or(Path::new("")).join(included);
            let text = (self.read)(&included).map_err(|e| ClosureError::Read(included.clone(), e))?;
            return self.file(&included, &text);
        }
        if line_text.starts_with("-e ") || line_text.starts_with("--editable") {
            return Err(wrong("is no release of an index"));
        }
        if line_text.starts_with('-') {
            // which index is asked is the configuration's to say
            return Ok(());
        }
        let mut words = line_text.split(" --hash=");
        let requirement = words.next().unwrap_or("").trim();
        let hashes = words
            .filter_map(|hash| hash.trim().strip_prefix("sha256:")?.parse().ok())
            .collect();
        let requirement =
            Requirement::<VerbatimUrl>::from_str(requirement).map_err(|_| wrong("is no requirement"))?;
        let specifiers = match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers.clone(),
            Some(VersionOrUrl::Url(_)) => return Err(wrong("is no release of an index")),
            None => return Err(wrong("names no version")),
        };
        let mut exact = specifiers.iter().filter(|s| {
            matches!(
                s.operator(),
                uv_pep440::Operator::Equal | uv_pep440::Operator::ExactEqual
            )
        });
        let (Some(specifier), None) = (exact.next(), exact.next()) else {
            return Err(wrong("names no exact version"));
        };
        self.all.push(Pinned {
            name: requirement.name.to_string(),
            version: specifier.version().to_string(),
            hashes,
            applies: holds(requirement.marker, self.environment),
        });
        Ok(())
    }
}

/// What pylock.toml and uv.lock have in common, and how they differ.
#[derive(Deserialize)]
struct Document {
    #[serde(default, alias = "package")]
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
    /// uv.lock: `{ virtual = "." }` and `{ editable = "." }` are the project itself.
    source: Option<toml::Table>,
}

#[derive(Deserialize)]
struct File {
    hash: Option<String>,
    hashes: Option<toml::Table>,
}

impl File {
    fn sha256(&self) -> Option<Digest> {
        let of_uv = self.hash.as_deref().and_then(|hash| hash.strip_prefix("sha256:"));
        let of_pep = || self.hashes.as_ref()?.get("sha256")?.as_str();
        of_uv.or_else(of_pep)?.parse().ok()
    }
}

fn locked(
    path: &Path,
    text: &str,
    environment: Option<&MarkerEnvironment>,
) -> Result<Vec<Pinned>, ClosureError> {
    let form = |why: String| ClosureError::Form(path.to_owned(), why);
    let document: Document = toml::from_str(text).map_err(|e| form(e.message().to_owned()))?;
    if document.packages.is_empty() {
        return Err(form("it names no package".to_owned()));
    }
    let mut all = Vec::new();
    for package in document.packages {
        let of_index = package
            .source
            .as_ref()
            .is_none_or(|source| source.contains_key("registry"));
        let Some(version) = package.version.filter(|_| of_index) else {
            continue;
        };
        let name = uv_normalize::PackageName::from_str(&package.name)
            .map_err(|_| form(format!("{:?} is no name", package.name)))?;
        let version = uv_pep440::Version::from_str(&version)
            .map_err(|_| form(format!("{version:?} of {name} is no version")))?;
        let applies = match &package.marker {
            None => true,
            Some(marker) => {
                let marker = MarkerTree::from_str(marker)
                    .map_err(|_| form(format!("{marker:?} of {name} is no marker")))?;
                holds(marker, environment)
            }
        };
        all.push(Pinned {
            name: name.to_string(),
            version: version.to_string(),
            hashes: package
                .wheels
                .iter()
                .chain(&package.sdist)
                .filter_map(File::sha256)
                .collect(),
            applies,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python() -> Interpreter {
        Interpreter {
            implementation: "cpython".into(),
            version: "3.12.4".into(),
            free_threaded: false,
            executable: "/usr/bin/python3".into(),
            prefix: "/usr".into(),
            platform: "linux_x86_64".into(),
            has_headers: true,
            image: None,
        }
    }

    fn read(files: &[(&str, &str)], path: &str) -> Result<Vec<Pinned>, ClosureError> {
        let files: BTreeMap<_, _> = files
            .iter()
            .map(|(name, text)| (PathBuf::from(name), (*text).to_owned()))
            .collect();
        closure(Path::new(path), &python(), &|path| {
            files
                .get(path)
                .cloned()
                .ok_or_else(|| std::io::ErrorKind::NotFound.into())
        })
    }

    fn names(pinned: &[Pinned]) -> Vec<(&str, &str, bool)> {
        pinned
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.applies))
            .collect()
    }

    #[test]
    fn requirements_with_hashes_comments_and_includes() {
        let hash = "a".repeat(64);
        let text = format!(
            "# all\n--index-url https://index.example/simple\nSix==1.17.0 \\\n    --hash=sha256:{hash}\n\
             -r more.txt\ncolorama==0.4.6 ; sys_platform == 'win32'  # not here\n"
        );
        let found = read(&[("r.txt", &text), ("more.txt", "attrs==26.1.0")], "r.txt").unwrap();
        assert_eq!(
            names(&found),
            [
                ("attrs", "26.1.0", true),
                ("colorama", "0.4.6", false),
                ("six", "1.17.0", true)
            ]
        );
        assert_eq!(found[2].hashes.len(), 1);
    }

    #[test]
    fn what_is_no_exact_release_is_refused_with_its_line() {
        for (text, why) in [
            ("\nsix>=1", "names no exact version"),
            ("six", "names no version"),
            ("-e .", "is no release of an index"),
            ("six @ https://files.example/six.whl", "is no release of an index"),
            ("!!", "is no requirement"),
        ] {
            let error = read(&[("r.txt", text)], "r.txt").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        assert!(matches!(
            read(&[("r.txt", "-r r.txt")], "r.txt"),
            Err(ClosureError::Includes(_))
        ));
    }

    #[test]
    fn both_locks_are_read() {
        let hash = "b".repeat(64);
        let pylock = format!(
            "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'six'\nversion = '1.17.0'\n\
             marker = \"python_version < '3'\"\n[[packages.wheels]]\nname = 'six.whl'\nhashes = {{ sha256 = '{hash}' }}\n"
        );
        let found = read(&[("pylock.toml", &pylock)], "pylock.toml").unwrap();
        assert_eq!(names(&found), [("six", "1.17.0", false)]);
        assert_eq!(found[0].hashes.len(), 1);
        let uv = format!(
            "version = 1\n[[package]]\nname = 'mine'\nversion = '0'\nsource = {{ virtual = '.' }}\n\
             [[package]]\nname = 'six'\nversion = '1.17.0'\nsource = {{ registry = 'https://index.example/simple' }}\n\
             wheels = [{{ url = 'https://files.example/six.whl', hash = 'sha256:{hash}' }}]\n"
        );
        let found = read(&[("uv.lock", &uv)], "uv.lock").unwrap();
        assert_eq!(names(&found), [("six", "1.17.0", true)]);
        assert!(read(&[("uv.lock", "version = 1")], "uv.lock").is_err());
    }
}
