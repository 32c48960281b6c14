//! Packages named by their behaviour, and a local index that serves them. For tests only.
//!
//! The sources lie in `fixtures/<behaviour>/`, as readable text, each with a `manifest.toml` that tells what `pyti`
//! shall find. Archives are made from them here, byte for byte the same every time, without Python. All are
//! harmless, whatever their names say; what exceeds a limit has a twin that stays within it.

pub mod corpus;
mod faults;
mod hostile;
mod http;
mod index;
mod journal;
mod manifest;
mod pack;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use faults::{Fault, Faults};
pub use index::{LocalIndex, Seen};
pub use manifest::Expected;

use manifest::{Kind, Manifest};

/// A fixture that cannot be built: its sources are wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("fixture {name}: {} cannot be read", path.display())]
    Read {
        /// The fixture.
        name: String,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its manifest is no manifest.
    #[error("fixture {name}: its manifest is wrong")]
    Manifest {
        /// The fixture.
        name: String,
        /// Why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Its folder's name does not say which row it belongs to.
    #[error("fixture {name}: its folder is not called NN-name, LNN-name or support-name")]
    Folder {
        /// The fixture.
        name: String,
    },
    /// Its manifest asks for a hostile archive that nobody makes.
    #[error("fixture {name}: nobody makes a hostile archive {kind}")]
    Hostile {
        /// The fixture.
        name: String,
        /// What it asks for.
        kind: String,
    },
}

/// One fixture: the files of one release, and what shall be found.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Project name, which is its behaviour.
    pub name: String,
    /// Version.
    pub version: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// File names and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// What `pyti` shall find.
    pub expected: Expected,
    /// Core metadata of its wheel, served beside it.
    pub metadata: Vec<u8>,
    /// What the index says of `Requires-Python`.
    pub requires_python: Option<String>,
    /// Why it was yanked, if it was.
    pub yanked: Option<String>,
    /// Bytes of metadata that the index sends in the place of [`Self::metadata`], padded without end.
    pub huge_metadata: Option<u64>,
}

impl Fixture {
    /// The file of that kind, `.whl` or `.tar.gz`.
    pub fn file(&self, suffix: &str) -> Option<&(String, Vec<u8>)> {
        self.files.iter().find(|(name, _)| name.ends_with(suffix))
    }

    /// Writes its files into a folder; gives their paths.
    pub fn write_to(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.files
            .iter()
            .map(|(name, bytes)| {
                let path = folder.join(name);
                fs::write(&path, bytes)?;
                Ok(path)
            })
            .collect()
    }
}

/// The folder with the sources of all fixtures.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// Names of all fixtures, sorted.
pub fn names() -> Result<Vec<String>, Error> {
    let root = sources();
    let read = |source| Error::Read {
        name: "*".into(),
        path: root.clone(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&root).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.join("manifest.toml").is_file() {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds every fixture.
pub fn build_all() -> Result<Vec<Fixture>, Error> {
    names()?.iter().map(|name| build(name)).collect()
}

/// Builds one fixture.
pub fn build(name: &str) -> Result<Fixture, Error> {
    let root = sources().join(name);
    let text = fs::read_to_string(root.join("manifest.toml")).map_err(|source| Error::Read {
        name: name.into(),
        path: root.join("manifest.toml"),
        source,
    })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|source| Error::Manifest {
        name: name.into(),
        source: Box::new(source),
    })?;
    packed(name, &root, manifest)
}

/// Packs the sources of a folder as its manifest says.
fn packed(name: &str, root: &Path, manifest: Manifest) -> Result<Fixture, Error> {
    let mut tree = Vec::new();
    read_tree(root, "", &mut tree).map_err(|(path, source)| Error::Read {
        name: name.into(),
        path,
        source,
    })?;
    tree.sort();
    let metadata = manifest.metadata(name);
    let stem = format!("{}-{}", name.replace('-', "_"), manifest.version);
    let mut files = Vec::new();
    for kind in &manifest.files {
        files.push(match kind {
            Kind::Wheel => {
                let mut contents = wheel_contents(&tree);
                contents.extend(manifest.dist_info(&stem, &metadata));
                let lie = manifest.hostile.as_deref() == Some(hostile::LYING_RECORD);
                (
                    format!("{stem}-{}.whl", manifest.tag),
                    pack::wheel(&stem, contents, lie),
                )
            }
            Kind::Sdist => (
                format!("{stem}.tar.gz"),
                sdist(name, &stem, &manifest, &metadata, &tree)?,
            ),
        });
    }
    Ok(Fixture {
        name: name.to_owned(),
        version: manifest.version,
        summary: manifest.summary,
        files,
        expected: manifest.expected,
        metadata,
        requires_python: manifest.requires_python,
        yanked: manifest.yanked,
        huge_metadata: manifest.huge_metadata,
    })
}

/// Path below the root, and content.
type Source = (String, Vec<u8>);

fn read_tree(folder: &Path, prefix: &str, into: &mut Vec<Source>) -> Result<(), (PathBuf, io::Error)> {
    let failed = |source| (folder.to_owned(), source);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = format!(
            "{prefix}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if name == "manifest.toml" || name.ends_with("__pycache__") {
            continue;
        }
        if path.is_dir() {
            read_tree(&path, &format!("{name}/"), into)?;
        } else {
            into.push((name, fs::read(&path).map_err(|source| (path.clone(), source))?));
        }
    }
    Ok(())
}

/// What the plain backend would put into the wheel: modules, packages and `.pth` files at the top.
fn wheel_contents(tree: &[Source]) -> Vec<Source> {
    let is_package = |top: &str| tree.iter().any(|(name, _)| *name == format!("{top}/__init__.py"));
    tree.iter()
        .filter(|(name, _)| {
            if let Some((top, _)) = name.split_once('/') {
                return top != "tests" && is_package(top);
            }
            let end = Path::new(name).extension().and_then(|end| end.to_str());
            let apart = matches!(name.as_str(), "setup.py" | "conftest.py") || name.starts_with("test_");
            end == Some("pth") || end == Some("py") && !apart
        })
        .cloned()
        .collect()
}

fn sdist(
    name: &str,
    stem: &str,
    manifest: &Manifest,
    metadata: &[u8],
    tree: &[Source],
) -> Result<Vec<u8>, Error> {
    let mut contents = tree.to_vec();
    let has = |wanted: &str| tree.iter().any(|(name, _)| name == wanted);
    if !has("pyproject.toml") && !has("setup.py") {
        contents.push(("pyproject.toml".into(), manifest::PLAIN_PYPROJECT.into()));
    }
    contents.push(("PKG-INFO".into(), metadata.to_vec()));
    contents.sort();
    let mut tar = pack::Tar::default();
    for (path, content) in &contents {
        tar.file(format!("{stem}/{path}").as_bytes(), content);
    }
    match manifest.hostile.as_deref() {
        None | Some(hostile::LYING_RECORD) => Ok(pack::gzip(&tar.finish())),
        Some(kind) => hostile::finish(kind, stem, tar).ok_or_else(|| Error::Hostile {
            name: name.to_owned(),
            kind: kind.to_owned(),
        }),
    }
}
