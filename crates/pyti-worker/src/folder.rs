//! A folder with a project becomes an archive, so that it is treated like any sdist.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Most files that a project folder may hold.
const FILES: usize = 100_000;
/// Folders that are never part of a project: version control, environments, caches, build output.
const LEFT_OUT: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".venv",
    "venv",
    "__pycache__",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
    "target",
    ".eggs",
];

/// A packed folder.
pub(crate) struct Packed {
    pub(crate) archive: tempfile::NamedTempFile,
    pub(crate) filename: String,
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Packs the files of a project folder.
pub(crate) fn pack(folder: &Path, scratch: &Path) -> io::Result<Packed> {
    let folder = fs::canonicalize(folder)?;
    if !["pyproject.toml", "setup.py", "setup.cfg"]
        .iter()
        .any(|f| folder.join(f).is_file())
    {
        return Err(io::Error::other(
            "there is no pyproject.toml, setup.py or setup.cfg in it",
        ));
    }
    let (name, version) = identity(&folder);
    let top = format!("{}-{version}", name.replace('-', "_"));
    let archive = tempfile::NamedTempFile::new_in(scratch)?;
    let encoder = GzEncoder::new(archive.reopen()?, Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    tar.follow_symlinks(false);
    let mut files = 0;
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(folder.join(&relative))?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type()?;
            let path = relative.join(entry.file_name());
            if kind.is_dir() {
                let name = entry.file_name();
                if !LEFT_OUT.iter().any(|left| name == *left) {
                    folders.push(path);
                }
            } else if kind.is_file() || kind.is_symlink() {
                files += 1;
                if files > FILES {
                    return Err(io::Error::other(format!("it holds more than {FILES} files")));
                }
                tar.append_path_with_name(entry.path(), Path::new(&top).join(&path))?;
            }
        }
    }
    tar.into_inner()?.finish()?.sync_data()?;
    Ok(Packed {
        archive,
        filename: format!("{top}.tar.gz"),
        name,
        version,
    })
}

/// Name and version, as far as pyproject.toml says them; else the folder's name and `0`.
fn identity(folder: &Path) -> (String, String) {
    let mut text = String::new();
    if let Ok(file) = File::open(folder.join("pyproject.toml")) {
        let _ = file.take(1 << 20).read_to_string(&mut text);
    }
    let table: toml::Table = text.parse().unwrap_or_default();
    let field = |section: &[&str], key: &str| {
        let mut table = &table;
        for part in section {
            table = table.get(*part)?.as_table()?;
        }
        table.get(key)?.as_str().map(str::to_owned)
    };
    let fallback = folder
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = field(&["project"], "name")
        .or_else(|| field(&["tool", "poetry"], "name"))
        .unwrap_or(fallback);
    let version = field(&["project"], "version").or_else(|| field(&["tool", "poetry"], "version"));
    let plain = |text: String, other: &str| {
        let good: String = text
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
            .collect();
        if good.is_empty() { other.to_owned() } else { good }
    };
    let name = plain(name, "project")
        .to_ascii_lowercase()
        .replace(['_', '.'], "-");
    (name, plain(version.unwrap_or_default(), "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_packed_without_its_caches() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(
            root.join("pyproject.toml"),
            "[project]\nname = 'My.Thing'\nversion = '1.2'\n",
        )
        .unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::write(root.join(".git/config"), "").unwrap();
        fs::write(root.join("thing.py"), "").unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let packed = pack(root, scratch.path()).unwrap();
        assert_eq!(
            (packed.name.as_str(), packed.version.as_str()),
            ("my-thing", "1.2")
        );
        let decoder = flate2::read::GzDecoder::new(packed.archive.reopen().unwrap());
        let mut archive = tar::Archive::new(decoder);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(names.contains(&"my_thing-1.2/thing.py".to_owned()), "{names:?}");
        assert!(!names.iter().any(|n| n.contains(".git")), "{names:?}");
    }

    #[test]
    fn a_folder_without_a_project_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(pack(folder.path(), folder.path()).is_err());
    }
}
