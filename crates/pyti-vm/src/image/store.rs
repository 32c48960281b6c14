//! Where images lie: one folder each, named by its digest, and a file for each name that says which.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pyti_model::Digest;
use pyti_model::image::InImage;
use pyti_model::plan::Interpreter;

use super::manifest::Manifest;
use super::tree;

/// Largest manifest that is read, bytes.
const CAP: u64 = 16 << 20;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is none of that name.
    #[error("there is no image {0:?}{1}; build it with: pyti image build {0}")]
    Unknown(String, String),
    /// The name cannot be one.
    #[error("{0:?} is no name for an image: use small letters, digits, '.', '-' and '_'")]
    Name(String),
    /// A file of it cannot be read or written.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] io::Error),
    /// Its manifest is not one, or not its own.
    #[error("the manifest of the image {0} is broken: {1}")]
    Manifest(String, String),
    /// There is no such interpreter in it.
    #[error("the image {name} has no interpreter {wanted}; it has {there}")]
    Interpreter {
        /// The image.
        name: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The part: `disk`, `folder`, `kernel`, `module erofs`.
    pub part: String,
    /// What is wrong with it.
    pub what: String,
}

/// One image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub sha256: Digest,
    /// What it is.
    pub manifest: Manifest,
    folder: PathBuf,
}

impl Image {
    /// The folder of its files.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The disk.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("root.erofs")
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its kernel's modules, each `NAME.ko`.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }

    /// What a plan says of it.
    pub fn reference(&self) -> InImage {
        InImage {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// Its interpreters, as a plan names them.
    pub fn interpreters(&self) -> Vec<Interpreter> {
        let mut all = self.manifest.interpreters.clone();
        for interpreter in &mut all {
            interpreter.image = Some(self.reference());
        }
        all
    }

    /// Compares every part with the manifest.
    pub fn verify(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |part: &str, found: io::Result<Digest>, wanted: &Digest| {
            let what = match found {
                Ok(found) if found == *wanted => return,
                Ok(found) => format!("its digest is {found} and not {wanted}"),
                Err(error) => error.to_string(),
            };
            problems.push(Problem {
                part: part.to_owned(),
                what,
            });
        };
        let manifest = &self.manifest;
        check("manifest", Ok(manifest.digest()), &self.sha256);
        check("disk", tree::file(&self.disk()), &manifest.disk);
        check("kernel", tree::file(&self.kernel()), &manifest.kernel.image);
        for (name, digest) in &manifest.kernel.modules {
            let path = self.modules().join(format!("{name}.ko"));
            check(&format!("module {name}"), tree::file(&path), digest);
        }
        check("folder", tree::digest(&self.root()), &manifest.tree);
        problems
    }
}

/// All images of one user.
#[derive(Debug, Clone)]
pub struct Images {
    folder: PathBuf,
}

impl Images {
    /// Those of this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One by its name, or by its digest.
    pub fn find(&self, name: &str) -> Result<Image, ImageError> {
        let sha256 = match name.parse::<Digest>() {
            Ok(digest) => digest,
            Err(_) => self.named(name)?,
        };
        let mut image = self.read(&sha256)?;
        if name.parse::<Digest>().is_err() {
            name.clone_into(&mut image.name);
        }
        Ok(image)
    }

    fn named(&self, name: &str) -> Result<Digest, ImageError> {
        check_name(name)?;
        let path = self.names().join(name);
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .map_err(|_| ImageError::Manifest(name.to_owned(), "its name leads nowhere".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let there: Vec<_> = self
                    .list()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|i| i.name)
                    .collect();
                let there = if there.is_empty() {
                    String::new()
                } else {
                    format!(" (there are: {})", there.join(", "))
                };
                Err(ImageError::Unknown(name.to_owned(), there))
            }
            Err(error) => Err(ImageError::File(path, error)),
        }
    }

    fn read(&self, sha256: &Digest) -> Result<Image, ImageError> {
        let folder = self.folder.join(sha256.as_str());
        let path = folder.join("manifest.json");
        let file = |error| ImageError::File(path.clone(), error);
        let size = fs::metadata(&path).map_err(file)?.len();
        if size > CAP {
            return Err(file(io::Error::other("it is too big")));
        }
        let bytes = fs::read(&path).map_err(file)?;
        let broken = |why: String| ImageError::Manifest(sha256.to_string(), why);
        let manifest = Manifest::read(&bytes).map_err(broken)?;
        if super::manifest::digest(&bytes) != *sha256 {
            return Err(broken("its digest is another one".to_owned()));
        }
        Ok(Image {
            name: sha256.as_str().chars().take(12).collect(),
            sha256: sha256.clone(),
            manifest,
            folder,
        })
    }

    /// All that have a name, by name.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let names = self.names();
        let entries = match fs::read_dir(&names) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ImageError::File(names, error)),
        };
        let mut all: Vec<_> = entries
            .flatten()
            .filter_map(|entry| self.find(&entry.file_name().to_string_lossy()).ok())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Takes what was built in a folder, and gives it a name. What had the name before keeps its digest.
    pub(crate) fn take(&self, built: &Path, manifest: &Manifest, name: &str) -> Result<Image, ImageError> {
        check_name(name)?;
        let sha256 = manifest.digest();
        let folder = self.folder.join(sha256.as_str());
        let file = |path: &Path| {
            let path = path.to_owned();
            move |error| ImageError::File(path, error)
        };
        fs::write(built.join("manifest.json"), manifest.bytes()).map_err(file(built))?;
        if !folder.is_dir() {
            fs::rename(built, &folder).map_err(file(&folder))?;
        }
        let names = self.names();
        fs::create_dir_all(&names).map_err(file(&names))?;
        let mut new = tempfile::NamedTempFile::new_in(&names).map_err(file(&names))?;
        io::Write::write_all(&mut new, format!("{sha256}\n").as_bytes()).map_err(file(&names))?;
        new.persist(names.join(name))
            .map_err(|error| ImageError::File(names.join(name), error.error))?;
        self.find(name)
    }

    /// Removes a name, and the image when no other name has it.
    pub fn remove(&self, name: &str) -> Result<(), ImageError> {
        let sha256 = self.named(name)?;
        let path = self.names().join(name);
        fs::remove_file(&path).map_err(|error| ImageError::File(path, error))?;
        if self.list()?.iter().all(|other| other.sha256 != sha256) {
            let folder = self.folder.join(sha256.as_str());
            fs::remove_dir_all(&folder).map_err(|error| ImageError::File(folder, error))?;
        }
        Ok(())
    }

    fn names(&self) -> PathBuf {
        self.folder.join("names")
    }
}

fn check_name(name: &str) -> Result<(), ImageError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(ImageError::Name(name.to_owned()))
    }
}

/// Whether a text can be the name of an image: it becomes a file's name.
pub fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() <= 60
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::manifest;
    use super::*;

    fn built(images: &Images, name: &str, change: impl FnOnce(&mut Manifest)) -> Image {
        let scratch = tempfile::tempdir_in(images.folder()).unwrap();
        let folder = scratch.path().join("built");
        fs::create_dir_all(folder.join("root/usr")).unwrap();
        fs::create_dir_all(folder.join("modules")).unwrap();
        fs::write(folder.join("root/usr/file"), "x").unwrap();
        fs::write(folder.join("root.erofs"), "disk").unwrap();
        fs::write(folder.join("vmlinuz"), "kernel").unwrap();
        fs::write(folder.join("modules/erofs.ko"), "module").unwrap();
        let mut manifest = manifest();
        manifest.tree = tree::digest(&folder.join("root")).unwrap();
        change(&mut manifest);
        images.take(&folder, &manifest, name).unwrap()
    }

    #[test]
    fn an_image_is_found_by_name_and_digest_and_goes_with_its_last_name() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(folder.path().to_owned());
        assert!(images.list().unwrap().is_empty());
        let one = built(&images, "base", |m| m.release = "one".to_owned());
        assert_eq!(images.find("base").unwrap().sha256, one.sha256);
        assert_eq!(images.find(one.sha256.as_str()).unwrap().sha256, one.sha256);
        assert_eq!(images.list().unwrap().len(), 1);
        let error = images.find("other").unwrap_err().to_string();
        assert!(
            error.contains("there are: base") && error.contains("pyti image build other"),
            "{error}"
        );
        let sha256 = one.sha256.clone();
        images.remove("base").unwrap();
        assert!(images.find(sha256.as_str()).is_err());
    }

    #[test]
    fn names_are_no_paths() {
        for bad in ["", "..", "a/b", ".hidden", "Upper", "a b", "-x"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_name("trixie-3.13"));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Images::new(folder.path().to_owned()).find("../etc/passwd"),
            Err(ImageError::Name(_))
        ));
    }

    #[test]
    fn what_was_changed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::new(folder.path().to_owned());
        let image = built(&images, "base", |_| {});
        assert_eq!(image.verify(), []);
        fs::write(image.disk(), "evil").unwrap();
        fs::write(image.root().join("usr/more"), "").unwrap();
        let parts: Vec<_> = image.verify().into_iter().map(|p| p.part).collect();
        assert_eq!(parts, ["disk", "folder"]);
        let manifest = folder.path().join(image.sha256.as_str()).join("manifest.json");
        fs::write(&manifest, "{}").unwrap();
        assert!(matches!(images.find("base"), Err(ImageError::Manifest(..))));
    }
}
