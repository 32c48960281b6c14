//! What it says of itself: the questions of pyroma, twine check and validate-pyproject.

use std::str::FromStr as _;

use pyti_model::Foreign;
use pyti_model::quality::{Quality, Remark, WheelContents};

use super::{field, fields, place, remark, requires_at_least};
use crate::readme::{Form, form};

pub(super) fn remarks(quality: &Quality, found: &mut Vec<Remark>) {
    let wheel = &quality.wheel;
    if wheel.metadata.is_empty() {
        return;
    }
    age(wheel, found);
    presence(wheel, found);
    python(wheel, found);
    classifiers(quality, found);
    licence(wheel, found);
    description(quality, found);
}

fn visible(text: &str) -> String {
    Foreign::from(text.chars().take(200).collect::<String>()).visible()
}

fn age(wheel: &WheelContents, found: &mut Vec<Remark>) {
    if let Some(version) = field(wheel, "Metadata-Version") {
        let numbers: Vec<u32> = version.split('.').filter_map(|n| n.trim().parse().ok()).collect();
        if numbers.as_slice() < [2, 1].as_slice() {
            let sentence = format!(
                "its metadata is of version {}, older than 2.1 of 2017",
                visible(&version)
            );
            found.push(remark("metadata-old", None, sentence));
        }
    }
    for name in ["Requires", "Provides", "Obsoletes", "Requires-External"] {
        if let Some(value) = field(wheel, name) {
            // this one is still in use
            if name != "Requires-External" {
                let sentence = format!("it has the field {name}: {}", visible(&value));
                found.push(remark("metadata-obsolete-field", None, sentence));
            }
        }
    }
}

fn presence(wheel: &WheelContents, found: &mut Vec<Remark>) {
    if field(wheel, "Summary").is_none() {
        found.push(remark("metadata-no-summary", None, "it has no summary"));
    }
    if wheel.description_bytes == 0 && field(wheel, "Description").is_none() {
        found.push(remark("metadata-no-description", None, "it has no description"));
    }
    let has = |names: &[&str]| names.iter().any(|name| field(wheel, name).is_some());
    if !has(&["Author", "Author-email", "Maintainer", "Maintainer-email"]) {
        found.push(remark("metadata-no-author", None, "it names nobody"));
    }
    if !has(&["Project-URL", "Home-page"]) {
        found.push(remark("metadata-no-urls", None, "it names no address"));
    }
    if !has(&["Classifier"]) {
        found.push(remark("metadata-no-classifiers", None, "it has no classifiers"));
    }
}

fn python(wheel: &WheelContents, found: &mut Vec<Remark>) {
    let Some(text) = field(wheel, "Requires-Python") else {
        found.push(remark(
            "requires-python-missing",
            None,
            "it does not say which interpreters it runs on",
        ));
        return;
    };
    if let Err(error) = uv_pep440::VersionSpecifiers::from_str(&text) {
        let why = error.to_string();
        let first = why.lines().next().unwrap_or_default();
        let sentence = format!("Requires-Python is {}: {}", visible(&text), visible(first));
        found.push(remark("requires-python-invalid", None, sentence));
        return;
    }
    let capped = text.split(',').map(str::trim).find(|part| {
        part.starts_with('<')
            || (part.starts_with("~=") && part.matches('.').count() == 1)
            || *part == "==3.*"
    });
    // `<4` harms nobody yet, and is written by some tools on their own
    if let Some(part) = capped.filter(|part| {
        !part.trim_start_matches(['<', '=', '~']).trim().starts_with('4') && part.starts_with('<')
    }) {
        let sentence = format!("Requires-Python has the upper bound {}", visible(part));
        found.push(remark("requires-python-capped", None, sentence));
    }
}

fn classifiers(quality: &Quality, found: &mut Vec<Remark>) {
    let wheel = &quality.wheel;
    let lowest = requires_at_least(wheel);
    let specifiers =
        field(wheel, "Requires-Python").and_then(|text| uv_pep440::VersionSpecifiers::from_str(&text).ok());
    for classifier in fields(wheel, "Classifier") {
        if !classifier.contains(" :: ") {
            let sentence = format!("the classifier {} has no parts", visible(&classifier));
            found.push(remark("classifier-malformed", None, sentence));
            continue;
        }
        if classifier == "Typing :: Typed" && quality.types.marked.is_empty() && quality.code_lines > 0 {
            let sentence = "it says Typing :: Typed and has no py.typed";
            found.push(remark("classifier-typed-without-marker", None, sentence));
        }
        let Some(version) = classifier.strip_prefix("Programming Language :: Python :: ") else {
            continue;
        };
        let numbers: Vec<u32> = version.split('.').filter_map(|n| n.parse().ok()).collect();
        let excluded = match numbers[..] {
            [2] => lowest.is_some_and(|lowest| lowest >= (3, 0)),
            [2, _] => lowest.is_some_and(|lowest| lowest >= (3, 0)),
            // any patch release counts: `>=3.8.1` is for 3.8
            [major, minor] => specifiers.as_ref().is_some_and(|all| {
                let lets_in =
                    |text: String| uv_pep440::Version::from_str(&text).is_ok_and(|v| all.contains(&v));
                ![0, 1, 2, 5, 10, 20, 99]
                    .iter()
                    .any(|patch| lets_in(format!("{major}.{minor}.{patch}")))
            }),
            _ => false,
        };
        if excluded {
            let wanted = field(wheel, "Requires-Python").unwrap_or_default();
            let sentence = format!(
                "a classifier names Python {}, and Requires-Python is {}",
                visible(version),
                visible(&wanted)
            );
            found.push(remark("classifier-contradicts-python", None, sentence));
        }
    }
}

fn licence(wheel: &WheelContents, found: &mut Vec<Remark>) {
    let expression = field(wheel, "License-Expression");
    let classified = fields(wheel, "Classifier").any(|text| text.starts_with("License :: "));
    if let Some(text) = &expression {
        if let Err(error) = spdx::Expression::parse_mode(text, spdx::ParseMode::STRICT) {
            let sentence = format!(
                "the licence expression {} is none: {}",
                visible(text),
                visible(&error.reason.to_string())
            );
            found.push(remark("licence-expression-invalid", None, sentence));
        }
        if classified {
            let sentence = "it has a licence expression and classifiers of licences";
            found.push(remark("licence-expression-and-classifier", None, sentence));
        }
    } else if field(wheel, "License").is_none() && !classified {
        found.push(remark(
            "licence-missing",
            None,
            "it does not say under which licence it is",
        ));
    }
    let words = ["licen", "copying", "copyright", "notice", "unlicense", "authors"];
    let has_text = wheel.files.iter().any(|(path, _)| {
        let path = path.lossy().to_lowercase();
        words.iter().any(|word| {
            path.rsplit('/').next().is_some_and(|file| file.contains(word)) || path.contains("/licenses/")
        })
    });
    if !has_text && wheel.files_total == wheel.files.len() as u64 {
        found.push(remark(
            "licence-file-missing",
            None,
            "no file in it holds the text of a licence",
        ));
    }
}

fn description(quality: &Quality, found: &mut Vec<Remark>) {
    let wheel = &quality.wheel;
    if form(wheel) == Form::Unknown {
        let kind = field(wheel, "Description-Content-Type").unwrap_or_default();
        let sentence = format!("its description is of the type {}", visible(&kind));
        found.push(remark("readme-type-unknown", None, sentence));
    }
    let Some(rendered) = &quality.rendered else { return };
    if let [first, rest @ ..] = &rendered.complaints[..] {
        let mut at = place(&Foreign::from("METADATA"));
        at.line = None;
        let line = first
            .line
            .map_or_else(String::new, |line| format!(" in line {line} of it"));
        let sentence = format!("its description does not render{line}: {}", first.text.visible());
        let mut told = remark("readme-does-not-render", Some(at), sentence);
        told.more = rest.len() as u64;
        found.push(told);
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::quality::{Complaint, Rendered};

    use super::super::tests::{broken, good, set};

    /// What is broken when a field has these values.
    fn of(name: &str, values: &[&str]) -> Vec<String> {
        let mut quality = good();
        set(&mut quality, name, values);
        broken(&quality)
    }

    const NOTHING: Vec<String> = Vec::new();

    #[test]
    fn old_metadata_is_told() {
        assert_eq!(of("Metadata-Version", &["1.1"]), ["metadata-old"]);
        assert_eq!(of("Metadata-Version", &["2.0"]), ["metadata-old"]);
        assert_eq!(of("Metadata-Version", &["2.1"]), NOTHING);
        assert_eq!(of("Requires", &["other"]), ["metadata-obsolete-field"]);
        assert_eq!(of("Requires-External", &["libpng"]), NOTHING);
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(of("Summary", &["UNKNOWN"]), ["metadata-no-summary"]);
        assert_eq!(of("Author", &[]), ["metadata-no-author"]);
        assert_eq!(of("Project-URL", &[]), ["metadata-no-urls"]);
        assert_eq!(of("Classifier", &[]), ["metadata-no-classifiers"]);
        let mut quality = good();
        quality.wheel.description_bytes = 0;
        assert_eq!(broken(&quality), ["metadata-no-description"]);
    }

    #[test]
    fn interpreters_are_checked() {
        assert_eq!(of("Requires-Python", &[]), ["requires-python-missing"]);
        assert_eq!(of("Requires-Python", &["three"]), ["requires-python-invalid"]);
        assert_eq!(
            of("Requires-Python", &[">=3.9,<3.13"]),
            ["requires-python-capped"]
        );
        assert_eq!(of("Requires-Python", &[">=3.9,<4"]), NOTHING);
        assert_eq!(of("Requires-Python", &[">=3.9.1"]), NOTHING);
    }

    #[test]
    fn classifiers_must_agree_with_the_rest() {
        let python = "Programming Language :: Python :: ";
        let of_python = |version: &str| of("Classifier", &[&format!("{python}{version}")]);
        assert_eq!(of_python("3.8"), ["classifier-contradicts-python"]);
        assert_eq!(of_python("3.9"), NOTHING);
        assert_eq!(of_python("2"), ["classifier-contradicts-python"]);
        assert_eq!(of_python("3"), NOTHING);
        assert_eq!(of_python("3 :: Only"), NOTHING);
        assert_eq!(of("Classifier", &["Beta"]), ["classifier-malformed"]);
        let mut quality = good();
        set(&mut quality, "Classifier", &["Typing :: Typed"]);
        assert_eq!(broken(&quality), NOTHING);
        quality.types.marked.clear();
        assert_eq!(broken(&quality), ["classifier-typed-without-marker"]);
    }

    #[test]
    fn licences_are_checked() {
        assert_eq!(
            of("License-Expression", &["MIT License"]),
            ["licence-expression-invalid"]
        );
        assert_eq!(
            of("License-Expression", &["MIT AND (Apache-2.0 OR BSD-3-Clause)"]),
            NOTHING
        );
        assert_eq!(of("License-Expression", &["LicenseRef-Proprietary"]), NOTHING);
        assert_eq!(of("License-Expression", &[]), ["licence-missing"]);
        let mut quality = good();
        set(&mut quality, "License-Expression", &[]);
        set(&mut quality, "License", &["MIT"]);
        assert_eq!(broken(&quality), NOTHING);
        let both = ["License :: OSI Approved :: MIT License"];
        assert_eq!(of("Classifier", &both), ["licence-expression-and-classifier"]);
        let mut quality = good();
        quality
            .wheel
            .files
            .retain(|(path, _)| !path.lossy().contains("LICENSE"));
        quality.wheel.files_total = quality.wheel.files.len() as u64;
        assert_eq!(broken(&quality), ["licence-file-missing"]);
    }

    #[test]
    fn descriptions_must_render() {
        assert_eq!(
            of("Description-Content-Type", &["text/html"]),
            ["readme-type-unknown"]
        );
        assert_eq!(
            of(
                "Description-Content-Type",
                &["text/markdown; charset=UTF-8; variant=GFM"]
            ),
            NOTHING
        );
        let mut quality = good();
        quality.rendered = Some(Rendered {
            by: "docutils".into(),
            complaints: Vec::new(),
        });
        assert_eq!(broken(&quality), NOTHING);
        quality.rendered = Some(Rendered {
            by: "docutils".into(),
            complaints: vec![Complaint {
                severity: 3,
                line: Some(3),
                text: "Unknown directive type".into(),
            }],
        });
        assert_eq!(broken(&quality), ["readme-does-not-render"]);
    }
}
