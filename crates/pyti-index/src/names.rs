use std::str::FromStr;

use pyti_model::distribution::{FileKind, is_plain_file_name};
use uv_distribution_filename::{DistFilename, SourceDistFilename, WheelFilename};
use uv_normalize::PackageName;
use uv_pep440::Version;

/// A distribution's file name, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedName {
    /// A wheel with its tags.
    Wheel(WheelFilename),
    /// A source distribution.
    Sdist(SourceDistFilename),
}

impl ParsedName {
    /// Wheel or sdist.
    pub fn kind(&self) -> FileKind {
        match self {
            Self::Wheel(_) => FileKind::Wheel,
            Self::Sdist(_) => FileKind::Sdist,
        }
    }

    /// The version that the name says.
    pub fn version(&self) -> &Version {
        match self {
            Self::Wheel(wheel) => &wheel.version,
            Self::Sdist(sdist) => &sdist.version,
        }
    }

    /// The normalised project name.
    pub fn project(&self) -> &PackageName {
        match self {
            Self::Wheel(wheel) => &wheel.name,
            Self::Sdist(sdist) => &sdist.name,
        }
    }
}

/// Why a file name is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum NameProblem {
    /// It could leave its folder or hide.
    #[error("not a plain file name")]
    Unsafe,
    /// No wheel and no sdist: eggs, installers, rpm files.
    #[error("not a wheel or sdist")]
    OtherKind,
    /// It belongs to another project.
    #[error("belongs to {0}")]
    OtherProject(String),
    /// Its version or tags cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads a file's name as one of the project's. An sdist's name cannot be split without knowing the project:
/// `a-1-1.zip` is `a` 1.post1 or `a-1` 1.
pub fn parse_filename(filename: &str, project: &PackageName) -> Result<ParsedName, NameProblem> {
    if !is_plain_file_name(filename) {
        return Err(NameProblem::Unsafe);
    }
    let lower = filename.to_ascii_lowercase();
    let known = [
        ".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tar",
    ];
    if !known.iter().any(|ending| lower.ends_with(ending)) {
        return Err(NameProblem::OtherKind);
    }
    match DistFilename::try_from_filename_with_reason(filename, project) {
        Ok(DistFilename::WheelFilename(wheel)) if wheel.name == *project => Ok(ParsedName::Wheel(wheel)),
        Ok(DistFilename::WheelFilename(wheel)) => Err(NameProblem::OtherProject(wheel.name.to_string())),
        Ok(DistFilename::SourceDistFilename(sdist)) => Ok(ParsedName::Sdist(sdist)),
        // old uploads carry the epoch's exclamation mark as an escape
        Err(_) if filename.contains("%21") => parse_filename(&filename.replace("%21", "!"), project),
        Err(error) => Err(NameProblem::Unreadable(error.to_string())),
    }
}

/// Reads a file's name without knowing whose it is: the name of an sdist ends before its last hyphen.
pub fn parse_any(filename: &str) -> Result<ParsedName, NameProblem> {
    let unreadable = || NameProblem::Unreadable("the name has no version".to_owned());
    let name = if filename.ends_with(".whl") {
        filename.split('-').next()
    } else {
        [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip"]
            .iter()
            .find_map(|ending| filename.strip_suffix(ending))
            .and_then(|stem| stem.rsplit_once('-'))
            .map(|(name, _)| name)
    };
    let project = name.and_then(normalise).ok_or_else(unreadable)?;
    parse_filename(filename, &project)
}

/// A project's name, normalised.
pub(crate) fn normalise(name: &str) -> Option<PackageName> {
    if name.len() > 200 {
        None
    } else {
        PackageName::from_str(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(filename: &str, project: &str) -> Result<ParsedName, NameProblem> {
        parse_filename(filename, &normalise(project).unwrap())
    }

    #[test]
    fn allowed_names_that_break_parsers() {
        for (filename, project, version) in [
            ("python_dateutil-4.0.0.tar.gz", "python-dateutil", "4.0.0"),
            (
                "python-dateutil-2.9.0.post0.tar.gz",
                "python-dateutil",
                "2.9.0.post0",
            ),
            ("foursquare-1!2020.1.30.tar.gz", "foursquare", "1!2020.1.30"),
            ("foursquare-1%212020.1.30.tar.gz", "foursquare", "1!2020.1.30"),
            ("functools32-3.2.3-2.tar.gz", "functools32", "3.2.3.post2"),
            ("functools32-3.2.3-2.zip", "functools32", "3.2.3.post2"),
            ("zope.interface-5.0.0.tar.gz", "zope-interface", "5.0.0"),
            ("x-1.0-cp314-cp314t-manylinux_2_28_x86_64.whl", "x", "1.0"),
            ("x-1.0-cp39-abi3-musllinux_1_2_riscv64.whl", "x", "1.0"),
            ("x-1.0-cp315-cp315-manylinux_2_39_riscv64.whl", "x", "1.0"),
            ("x-1.0-1-py2.py3-none-any.whl", "x", "1.0"),
        ] {
            let parsed = parse(filename, project).unwrap_or_else(|e| panic!("{filename}: {e}"));
            assert_eq!(parsed.version().to_string(), version, "{filename}");
        }
    }

    #[test]
    fn denied_names_say_why() {
        assert!(matches!(parse("../x-1.0.tar.gz", "x"), Err(NameProblem::Unsafe)));
        assert!(matches!(parse("x-1.0\n.tar.gz", "x"), Err(NameProblem::Unsafe)));
        for other in [
            "x-1.0-py2.7.egg",
            "x-1.0.win32.exe",
            "x-1.0-1.noarch.rpm",
            "x-1.0.msi",
            "x-1.0.deb",
        ] {
            assert!(
                matches!(parse(other, "x"), Err(NameProblem::OtherKind)),
                "{other}"
            );
        }
        assert!(matches!(
            parse("y-1.0-py3-none-any.whl", "x"),
            Err(NameProblem::OtherProject(_))
        ));
        assert!(matches!(
            parse("x-one.tar.gz", "x"),
            Err(NameProblem::Unreadable(_))
        ));
    }
}
