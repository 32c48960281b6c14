//! The rules: what each asks, and how it is told.

mod code;
mod contents;
mod dependencies;
mod metadata;
mod points;
mod typing;

use std::borrow::Cow;

use pyti_model::foreign::Foreign;
use pyti_model::quality::{Grade, Place, Quality, Remark, Side, WheelContents};

use crate::Beside;

/// A rule of ours. Those of linters are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How heavy it is.
    pub grade: Grade,
    /// Which side it is about.
    pub side: Side,
    /// What to do.
    pub advice: &'static str,
}

macro_rules! table {
    ($($id:literal $grade:ident $side:ident $advice:literal)*) => {
        &[$(Rule { id: $id, grade: Grade::$grade, side: Side::$side, advice: $advice }),*]
    };
}

/// All of them but those of the stable ABI and of linters.
const RULES: &[Rule] = table! {
    "wheel-record" Error Packaging "build the wheel again with a build backend, and change nothing in it afterwards"
    "wheel-reader" Warning Packaging "build the wheel again with a current build backend"
    "wheel-bytecode" Warning Packaging "leave __pycache__ and *.pyc out: each interpreter writes its own"
    "wheel-common-name" Warning Packaging "leave it out, or put it into the package: in site-packages it collides with others"
    "wheel-stray-module" Warning Packaging "leave it out of the wheel: it becomes importable for everybody"
    "wheel-clutter" Warning Packaging "leave it out of the wheel"
    "wheel-nested-archive" Warning Packaging "leave built distributions out of the wheel"
    "wheel-tests" Note Packaging "consider leaving the tests to the sdist"
    "wheel-empty" Warning Packaging "check what the build backend was told to pack"
    "wheel-pure-with-binaries" Error Packaging "build a wheel for its platform: an installer takes this one everywhere"
    "wheel-platform-without-binaries" Note Packaging "give a wheel without compiled files the tag py3-none-any"
    "wheel-differs-from-build" Warning Packaging "build both files of a release from the same tree: who reads the sdist reads something else"
    "wheel-dates-future" Warning Packaging "set SOURCE_DATE_EPOCH, or the clock of the machine that builds"
    "metadata-old" Warning Metadata "build with a current build backend: it writes metadata 2.1 or newer"
    "metadata-obsolete-field" Warning Metadata "nobody reads this field any more: drop it, or use Requires-Dist"
    "metadata-no-summary" Warning Metadata "give a description in one line"
    "metadata-no-description" Warning Metadata "give a readme: it is the project's page in an index"
    "metadata-no-author" Note Metadata "say who made it or who maintains it"
    "metadata-no-urls" Note Metadata "give the address of its sources or its documentation"
    "metadata-no-classifiers" Note Metadata "give classifiers: at least its status and its licence or interpreters"
    "requires-python-missing" Warning Metadata "say which interpreters it runs on: else old ones install what they cannot run"
    "requires-python-invalid" Error Metadata "write a set of version specifiers as PEP 440 has them"
    "requires-python-capped" Note Metadata "drop the upper bound: installers then go back to older releases that lack it"
    "classifier-contradicts-python" Warning Metadata "make classifiers and Requires-Python agree"
    "classifier-typed-without-marker" Warning Metadata "put py.typed into the package, or drop the classifier"
    "classifier-malformed" Warning Metadata "write it as in the index's list: parts with ` :: ` between them"
    "licence-missing" Warning Metadata "give a licence expression (PEP 639), or at least a classifier"
    "licence-expression-invalid" Error Metadata "write an SPDX expression: `MIT`, `Apache-2.0 OR BSD-3-Clause`"
    "licence-expression-and-classifier" Warning Metadata "drop the classifiers of licences: an expression replaces them (PEP 639)"
    "licence-file-missing" Note Metadata "put the text of the licence into the wheel: most licences ask for that"
    "readme-type-unknown" Error Metadata "use text/markdown, text/x-rst or text/plain"
    "readme-does-not-render" Error Metadata "mend the reStructuredText, or say text/markdown if it is that: indexes show it as plain text now, or refuse it"
    "entry-point-dangling" Error Packaging "mend the entry point or what it points to: it ends with an exception"
    "requirement-invalid" Error Dependencies "write a requirement as PEP 508 has it"
    "requirement-url" Error Dependencies "require a release: an index refuses direct references"
    "import-undeclared" Warning Dependencies "require the distribution, or make the import optional"
    "import-transitive" Warning Dependencies "require the distribution that is imported: the other may drop it at any time"
    "requirement-unused" Note Dependencies "drop the requirement if nothing needs it to be installed"
    "typing-unmarked" Note Typing "put an empty py.typed into the package: without it type checkers ignore the annotations"
    "typing-marked-thin" Note Typing "annotate the public functions: the marker py.typed promises that"
};

/// All rules of ours.
pub fn rules() -> &'static [Rule] {
    RULES
}

/// Everything that could be better, in no order.
pub(crate) fn remarks(quality: &Quality, beside: &Beside<'_>) -> Vec<Remark> {
    let mut found = Vec::new();
    contents::remarks(quality, beside, &mut found);
    crate::limited::remarks(quality, &mut found);
    points::remarks(quality, &mut found);
    metadata::remarks(quality, &mut found);
    dependencies::remarks(quality, &mut found);
    typing::remarks(quality, &mut found);
    code::remarks(quality, &mut found);
    found
}

/// A remark of one of our rules.
fn remark(id: &str, place: Option<Place>, sentence: impl Into<String>) -> Remark {
    // every id is in the table: a test reads the sources
    let rule = RULES.iter().find(|rule| rule.id == id);
    Remark {
        rule: id.to_owned(),
        grade: rule.map_or(Grade::Warning, |rule| rule.grade),
        side: rule.map_or(Side::Packaging, |rule| rule.side),
        place,
        sentence: sentence.into(),
        advice: rule.map_or("", |rule| rule.advice).to_owned(),
        more: 0,
    }
}

/// A remark about several files: the first is its place, the others are counted.
fn about(id: &str, paths: &[&Foreign], what: &str, found: &mut Vec<Remark>) {
    if let [first, rest @ ..] = paths {
        let sentence = format!("{} {what}", first.visible());
        let mut remark = remark(id, Some(place(first)), sentence);
        remark.more = rest.len() as u64;
        found.push(remark);
    }
}

fn place(path: &Foreign) -> Place {
    Place {
        path: path.clone(),
        line: None,
        column: None,
    }
}

/// The first value of a header field that says something.
pub(crate) fn field<'a>(wheel: &'a WheelContents, name: &str) -> Option<Cow<'a, str>> {
    fields(wheel, name).next()
}

/// All values of a header field that say something.
pub(crate) fn fields<'a>(wheel: &'a WheelContents, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    let name = name.to_owned();
    wheel
        .metadata
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(&name))
        .map(|(_, value)| value.lossy())
        .filter(|value| !matches!(value.trim(), "" | "UNKNOWN"))
}

/// The lowest Python that `Requires-Python` lets in: major and minor.
pub(crate) fn requires_at_least(wheel: &WheelContents) -> Option<(u32, u32)> {
    let text = field(wheel, "Requires-Python")?;
    let bounds = text.split(',').filter_map(|part| {
        let part = part.trim();
        let version = part
            .strip_prefix(">=")
            .or(part.strip_prefix("~="))
            .or(part.strip_prefix("=="))
            .or(part.strip_prefix('>'))?;
        let mut numbers = version
            .trim()
            .split('.')
            .map(|n| n.trim_end_matches('*').parse().ok());
        Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
    });
    bounds.max()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A wheel that no rule says anything about.
    pub(crate) fn good() -> Quality {
        let mut quality = Quality::default();
        quality.wheel = WheelContents {
            filename: "good-1.0-py3-none-any.whl".into(),
            files: [
                "good/__init__.py",
                "good/py.typed",
                "good-1.0.dist-info/METADATA",
                "good-1.0.dist-info/licenses/LICENSE",
            ]
            .map(|path| (path.into(), 10))
            .into(),
            files_total: 4,
            metadata: [
                ("Metadata-Version", "2.4"),
                ("Name", "good"),
                ("Version", "1.0"),
                ("Summary", "Something good"),
                ("Author", "Somebody"),
                ("Project-URL", "Source, https://good.example"),
                ("Classifier", "Programming Language :: Python :: 3.12"),
                ("License-Expression", "MIT OR Apache-2.0"),
                ("License-File", "LICENSE"),
                ("Requires-Python", ">=3.9"),
                ("Requires-Dist", "other>=1"),
                ("Description-Content-Type", "text/markdown"),
            ]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into(),
            description_bytes: 500,
            tags: vec!["py3-none-any".into()],
            root_is_purelib: true,
            top_level: vec!["good".into()],
            modules: vec!["good".into()],
            dates: Some(("2020-02-02".into(), "2020-02-02".into())),
            ..WheelContents::default()
        };
        quality.imports = vec![imported("other", pyti_model::quality::ImportKind::Hard)];
        quality.providers = vec![pyti_model::quality::Provider {
            name: "other".into(),
            modules: vec!["other".into()],
        }];
        quality.types.marked = vec!["good".into()];
        quality.types.functions = 4;
        quality.types.annotated = 4;
        quality.code_lines = 100;
        quality
    }

    pub(crate) fn imported(
        module: &str,
        kind: pyti_model::quality::ImportKind,
    ) -> pyti_model::quality::Imported {
        pyti_model::quality::Imported {
            module: module.into(),
            kind,
            place: Place {
                path: "good/__init__.py".into(),
                line: Some(1),
                column: None,
            },
            aside: false,
        }
    }

    /// Names of the rules that a wheel breaks.
    pub(crate) fn broken(quality: &Quality) -> Vec<String> {
        broken_beside(quality, &Beside::default())
    }

    pub(crate) fn broken_beside(quality: &Quality, beside: &Beside<'_>) -> Vec<String> {
        let mut rules: Vec<String> = remarks(quality, beside)
            .into_iter()
            .map(|remark| remark.rule)
            .collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// Sets a field of the metadata, in the place of those with its name.
    pub(crate) fn set(quality: &mut Quality, name: &str, values: &[&str]) {
        quality.wheel.metadata.retain(|(key, _)| key != name);
        for value in values {
            quality.wheel.metadata.push((name.to_owned(), (*value).into()));
        }
    }

    /// Adds a file.
    pub(crate) fn add(quality: &mut Quality, path: &str) {
        quality.wheel.files.push((path.into(), 10));
    }

    #[test]
    fn nothing_is_said_of_a_good_wheel() {
        assert_eq!(broken(&good()), Vec::<String>::new());
    }

    #[test]
    fn every_rule_that_is_told_is_in_the_table_and_the_other_way_round() {
        let sources = [
            include_str!("contents.rs"),
            include_str!("points.rs"),
            include_str!("metadata.rs"),
            include_str!("dependencies.rs"),
            include_str!("typing.rs"),
        ]
        .concat();
        for rule in RULES {
            assert!(
                sources.contains(&format!("\"{}\"", rule.id)),
                "nobody tells {}",
                rule.id
            );
        }
        for call in ["remark(", "about("] {
            for part in sources.split(call).skip(1) {
                let Some(id) = part
                    .trim_start()
                    .strip_prefix('"')
                    .and_then(|p| p.split('"').next())
                else {
                    continue;
                };
                assert!(RULES.iter().any(|rule| rule.id == id), "{id} is not in the table");
            }
        }
    }

    #[test]
    fn the_lowest_python_is_read() {
        let mut quality = good();
        for (text, lowest) in [
            (">=3.8", Some((3, 8))),
            (">=2.7, !=3.0.*", Some((2, 7))),
            ("~=3.10", Some((3, 10))),
            (">=3.9,<4", Some((3, 9))),
            ("<4", None),
        ] {
            set(&mut quality, "Requires-Python", &[text]);
            assert_eq!(requires_at_least(&quality.wheel), lowest, "{text}");
        }
    }
}
