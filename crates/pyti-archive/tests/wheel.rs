//! Wheels that lie, each beside an honest one.

mod common;

use std::fmt::Write as _;

use common::{ZipEntry, put, zip};
use pyti_archive::Limits;
use pyti_archive::compare::compare;
use pyti_archive::wheel::{WheelFacts, read};
use pyti_model::Foreign;

const METADATA: &str = "Metadata-Version: 2.1\nName: Foo\nVersion: 1.0\nRequires-Dist: bar>1\n\nAbout it.\n";
const WHEEL: &str = "Wheel-Version: 1.0\nGenerator: by-hand 1\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

fn sha256(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(bytes))
}

/// Files of an honest wheel, with a right RECORD.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("foo/__init__.py".to_owned(), b"x = 1\n".to_vec()),
        ("foo/__main__.py".to_owned(), b"x = 1\n".to_vec()),
        ("foo.pth".to_owned(), b"/some/folder\n".to_vec()),
        ("foo-1.0.data/scripts/foo.sh".to_owned(), b"#!/bin/sh\n".to_vec()),
        ("foo-1.0.dist-info/METADATA".to_owned(), METADATA.into()),
        ("foo-1.0.dist-info/WHEEL".to_owned(), WHEEL.into()),
        (
            "foo-1.0.dist-info/entry_points.txt".to_owned(),
            b"[console_scripts]\nfoo=foo:x\n".to_vec(),
        ),
    ];
    record(&mut files);
    files
}

fn record(files: &mut Vec<(String, Vec<u8>)>) {
    let mut lines = String::new();
    for (name, content) in &*files {
        writeln!(lines, "{name},sha256={},{}", sha256(content), content.len()).unwrap();
    }
    lines.push_str("foo-1.0.dist-info/RECORD,,\n");
    files.push(("foo-1.0.dist-info/RECORD".to_owned(), lines.into()));
}

fn wheel(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    zip(&files
        .iter()
        .map(|(name, content)| ZipEntry::new(name.as_bytes(), content))
        .collect::<Vec<_>>())
}

fn facts(name: &str, bytes: &[u8]) -> WheelFacts {
    let dir = tempfile::tempdir().unwrap();
    read(&put(dir.path(), name, bytes), &Limits::default())
}

fn problems(files: &[(String, Vec<u8>)]) -> Vec<String> {
    let facts = facts("foo-1.0-py3-none-any.whl", &wheel(files));
    assert_eq!(facts.fatal, None);
    facts.problems
}

#[test]
fn allowed_an_honest_wheel() {
    let facts = facts("foo-1.0-py3-none-any.whl", &wheel(&files()));
    assert_eq!((facts.fatal.as_ref(), &facts.problems[..]), (None, &[][..]));
    assert_eq!(facts.metadata.name, "Foo".into());
    assert_eq!(facts.metadata_bytes, METADATA.into());
    assert_eq!(
        (&facts.top_level[..], &facts.modules[..]),
        (&["foo".to_owned()][..], &["foo".to_owned()][..])
    );
    assert_eq!(facts.scripts, [Foreign::from("foo"), Foreign::from("foo.sh")]);
    assert_eq!(facts.generator, "by-hand 1".into());
    assert_eq!((facts.files_total, facts.files.len()), (8, 8));
    assert!(facts.root_is_purelib && facts.executable_pth.is_empty());
    let json = serde_json::to_vec(&facts).unwrap();
    assert_eq!(pyti_archive::wheel::parse(&json).unwrap(), facts);
}

#[test]
fn denied_lies_of_record() {
    for (name, content, want) in [
        ("foo/__init__.py", &b"y = 2\n"[..], "content"),
        ("foo/__init__.py", b"longer than it was\n", "size"),
        ("foo-1.0.dist-info/RECORD", b"", "does not name"),
        ("foo-1.0.dist-info/RECORD", b"ghost.py,sha256=x,1\n", "not there"),
    ] {
        let mut files = files();
        files.iter_mut().find(|(n, _)| n == name).unwrap().1 = content.to_vec();
        let problems = problems(&files);
        assert!(
            problems.iter().any(|problem| problem.contains(want)),
            "{want}: {problems:?}"
        );
    }
}

#[test]
fn denied_other_names_than_the_file_name_says() {
    let bytes = wheel(&files());
    for name in [
        "bar-1.0-py3-none-any.whl",
        "foo-1.1-py3-none-any.whl",
        "foo-1.0-py2-none-any.whl",
        "foo.whl",
    ] {
        assert!(!facts(name, &bytes).problems.is_empty(), "{name}");
    }
    assert!(facts("Foo-1.0.0-py3-none-any.whl", &bytes).problems.is_empty());
}

#[test]
fn denied_wheels_without_what_makes_them_one() {
    for missing in ["METADATA", "WHEEL"] {
        let mut files = files();
        files.retain(|(name, _)| !name.ends_with(missing));
        let facts = facts("foo-1.0-py3-none-any.whl", &wheel(&files));
        assert!(facts.fatal.unwrap().lossy().contains(missing));
    }
    for bytes in [&b""[..], b"<html>", &wheel(&files()[..2])] {
        assert!(facts("foo-1.0-py3-none-any.whl", bytes).fatal.is_some());
    }
}

#[test]
fn denied_unsafe_and_duplicate_names() {
    let mut files = files();
    files.push(("../evil.py".to_owned(), b"".to_vec()));
    files.push(("foo/__init__.py".to_owned(), b"other".to_vec()));
    let problems = problems(&files);
    assert!(problems.iter().any(|p| p.contains("climbs out")), "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("duplicate")), "{problems:?}");
}

#[test]
fn pth_files_and_extensions_are_found() {
    let mut files = files();
    files.pop();
    files.push(("evil.pth".to_owned(), b"import os\n".to_vec()));
    files.push((
        "foo-1.0.data/platlib/_fast.so".to_owned(),
        b"\x7fELF PyInit__fast".to_vec(),
    ));
    files.push(("foo/libplain.so".to_owned(), b"\x7fELF".to_vec()));
    record(&mut files);
    let facts = facts("foo-1.0-py3-none-any.whl", &wheel(&files));
    assert_eq!(facts.executable_pth, [Foreign::from("evil.pth")]);
    assert_eq!(facts.extensions, [Foreign::from("_fast.so")]);
    assert_eq!(facts.top_level, ["_fast", "foo"]);
    assert!(facts.problems[0].contains("pure"), "{:?}", facts.problems);
}

#[test]
fn metadata_without_end_is_cut() {
    let mut files = files();
    files.pop();
    let huge = format!("{METADATA}{}", "x".repeat(2 << 20));
    files
        .iter_mut()
        .find(|(name, _)| name.ends_with("METADATA"))
        .unwrap()
        .1 = huge.into();
    record(&mut files);
    let facts = facts("foo-1.0-py3-none-any.whl", &wheel(&files));
    assert!(facts.metadata_cut);
    assert_eq!(
        (facts.metadata_bytes.len(), facts.metadata.name),
        (1 << 20, "Foo".into())
    );
}

#[test]
fn wheels_are_compared_without_what_every_build_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = files();
    other.pop();
    for (name, content) in &mut other {
        *name = name.replace("foo-1.0.", "Foo-1.0.");
        if name.ends_with("WHEEL") {
            *content = WHEEL.replace("by-hand 1", "by-another 2").into();
        }
    }
    let built = put(dir.path(), "foo-1.0-py3-none-any.whl", &wheel(&files()));
    let published = put(dir.path(), "Foo-1.0-py3-none-any.whl", &wheel(&other));
    let same = compare(&built, &published, &Limits::default());
    assert_eq!(same.fatal, None);
    assert!(same.comparison.is_same(), "{same:?}");
    assert_eq!(
        (same.comparison.same, same.comparison.with.as_str()),
        (7, "Foo-1.0-py3-none-any.whl")
    );

    other[0].1 = b"x = 2\n".to_vec();
    other[1].0 = "foo/new.py".to_owned();
    let published = put(dir.path(), "Foo-1.0-py3-none-any.whl", &wheel(&other));
    let differs = compare(&built, &published, &Limits::default()).comparison;
    assert_eq!(differs.different, [Foreign::from("foo/__init__.py")]);
    assert_eq!(differs.only_built, [Foreign::from("foo/__main__.py")]);
    assert_eq!(differs.only_published, [Foreign::from("foo/new.py")]);

    let broken = put(dir.path(), "broken.whl", b"<html>");
    assert!(compare(&built, &broken, &Limits::default()).fatal.is_some());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 128, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
    })]

    #[test]
    fn damaged_wheels_never_panic(at in 0..100_000_usize, with: u8, cut in 0..100_000_usize) {
        let mut bytes = wheel(&files());
        let at = at % bytes.len();
        bytes[at] = with;
        facts("foo-1.0-py3-none-any.whl", &bytes);
        bytes.truncate(cut % bytes.len());
        facts("foo-1.0-py3-none-any.whl", &bytes);
    }

    #[test]
    fn damaged_texts_never_panic(
        which in 0..4_usize, text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)
    ) {
        let name = ["METADATA", "WHEEL", "RECORD", "entry_points.txt"][which];
        let mut files = files();
        files.iter_mut().find(|(n, _)| n.ends_with(name)).unwrap().1 = text;
        facts("foo-1.0-py3-none-any.whl", &wheel(&files));
    }

    #[test]
    fn results_of_strangers_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = pyti_archive::wheel::parse(&bytes);
        let _ = pyti_archive::compare::parse(&bytes);
        let _ = pyti_archive::compilers::parse(&bytes);
        let _ = pyti_archive::metadata::parse(&bytes);
    }
}
