//! Why no file of a version can be used, in the words of the outcome.

use pyti_model::distribution::FileKind;
use pyti_model::outcome::{ReasonCode, Status};
use uv_distribution_filename::WheelFilename;
use uv_pep440::Version;

use super::{Refusal, Wanted, lenient, python_fits, refuse};
use crate::names::ParsedName;
use crate::project::{Project, ProjectFile};

pub(super) fn explain(
    project: &Project,
    version: &Version,
    files: &[&ProjectFile],
    wanted: &Wanted<'_>,
    python: &Version,
) -> Refusal {
    let title = format!("{} {version}", project.name);
    if files.is_empty() {
        return refuse(
            Status::Broken,
            ReasonCode::NoFiles,
            format!("{title} has no files that can be looked at"),
        );
    }
    let kind = wanted.only;
    let of_kind: Vec<&ProjectFile> = files
        .iter()
        .copied()
        .filter(|file| kind.is_none_or(|kind| file.file_kind() == kind))
        .collect();
    if of_kind.is_empty() {
        let what = if kind == Some(FileKind::Wheel) {
            "wheel"
        } else {
            "sdist"
        };
        return refuse(Status::Skip, ReasonCode::Policy, format!("{title} has no {what}"));
    }
    if of_kind.iter().all(|file| !python_fits(file, python)) {
        let told = of_kind
            .iter()
            .find_map(|file| file.requires_python.clone())
            .unwrap_or_default();
        let code = if only_python2(&of_kind) {
            ReasonCode::Python2Only
        } else {
            ReasonCode::RequiresPython
        };
        return refuse(
            Status::Na,
            code,
            format!(
                "{title} needs Python {told}, this is {}",
                wanted.interpreter.version
            ),
        );
    }
    if of_kind.iter().all(|file| file.yanked.is_some())
        && wanted.specifiers.is_none_or(|text| !text.contains("=="))
    {
        return refuse(
            Status::Na,
            ReasonCode::Yanked,
            format!("{title} and every other usable version was yanked"),
        );
    }
    let wheels: Vec<&WheelFilename> = of_kind
        .iter()
        .filter(|file| python_fits(file, python))
        .filter_map(|file| match &file.kind {
            ParsedName::Wheel(name) => Some(name),
            ParsedName::Sdist(_) => None,
        })
        .collect();
    let all_for = |what: &str| {
        !wheels.is_empty()
            && wheels.iter().all(|name| {
                name.platform_tags()
                    .iter()
                    .all(|tag| tag.to_string().starts_with(what))
            })
    };
    let (code, detail) = if all_for("win") {
        (ReasonCode::WindowsOnly, "has wheels for Windows only")
    } else if all_for("macosx") {
        (ReasonCode::MacosOnly, "has wheels for macOS only")
    } else if !wheels.is_empty()
        && wheels
            .iter()
            .all(|name| name.python_tags().iter().all(|tag| is_python2(&tag.to_string())))
    {
        (ReasonCode::Python2Only, "has wheels for Python 2 only")
    } else {
        (
            ReasonCode::NoMatchingWheel,
            "has no wheel for this interpreter and platform, and no sdist",
        )
    };
    refuse(Status::Na, code, format!("{title} {detail}"))
}

fn is_python2(tag: &str) -> bool {
    ["py2", "cp2", "pp2"].iter().any(|start| tag.starts_with(start))
}

/// Whether what the files ask for leaves out every Python 3.
fn only_python2(files: &[&ProjectFile]) -> bool {
    files.iter().all(|file| {
        let Some(specifiers) = file.requires_python.as_deref().and_then(lenient) else {
            return false;
        };
        (0..40).all(|minor| !specifiers.contains(&Version::new([3, minor, 5])))
            && specifiers.contains(&Version::new([2, 7, 18]))
    })
}
