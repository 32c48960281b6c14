use pyti_model::outcome::Status;

use super::*;
use crate::names::{normalise, parse_filename};
use crate::redacted::RedactedUrl;

fn python(version: &str) -> Interpreter {
    Interpreter {
        implementation: "cpython".into(),
        version: version.trim_end_matches('t').into(),
        free_threaded: version.ends_with('t'),
        executable: "/usr/bin/python3".into(),
        prefix: "/usr".into(),
        platform: "linux_x86_64".into(),
        has_headers: true,
        image: None,
    }
}

fn file(name: &str, filename: &str, requires: Option<&str>) -> ProjectFile {
    let kind = parse_filename(filename, &normalise(name).unwrap()).unwrap();
    ProjectFile {
        project: name.into(),
        filename: filename.into(),
        url: format!("http://127.0.0.1/{filename}").parse().unwrap(),
        version: kind.version().clone(),
        kind,
        sha256: None,
        size: Some(1000),
        requires_python: requires.map(str::to_owned),
        yanked: None,
        core_metadata: false,
        metadata_sha256: None,
        uploaded: None,
        provenance: None,
    }
}

fn project(files: &[(&str, Option<&str>)]) -> Project {
    Project {
        name: "x".into(),
        files: files
            .iter()
            .map(|(name, requires)| file("x", name, *requires))
            .collect(),
        versions: Vec::new(),
        status: None,
        index: RedactedUrl::new("http://127.0.0.1/simple/".parse().unwrap()),
        skipped: Vec::new(),
        serial: None,
    }
}

fn wanted<'a>(interpreter: &'a Interpreter, specifiers: Option<&'a str>) -> Wanted<'a> {
    Wanted {
        specifiers,
        pre: false,
        exclude_newer: None,
        interpreter,
        only: None,
        max_bytes: 200 << 20,
    }
}

fn refusal(project: &Project, version: &str, specifiers: Option<&str>) -> (Status, ReasonCode) {
    match choose(project, &wanted(&python(version), specifiers)) {
        Err(Refusal::Outcome(outcome)) => (outcome.status, outcome.reasons[0].code),
        other => panic!("{other:?}"),
    }
}

fn wheel_of(project: &Project, version: &str, specifiers: Option<&str>) -> String {
    choose(project, &wanted(&python(version), specifiers))
        .unwrap()
        .wheel
        .map(|file| file.filename)
        .unwrap_or_default()
}

#[test]
fn allowed_the_newest_that_this_interpreter_can_use() {
    let p = project(&[
        ("x-1.0-py3-none-any.whl", Some(">=3.8")),
        ("x-1.0.tar.gz", Some(">=3.8")),
        ("x-2.0-py3-none-any.whl", Some(">=3.12")),
        ("x-3.0rc1-py3-none-any.whl", None),
    ]);
    assert_eq!(wheel_of(&p, "3.11.9", None), "x-1.0-py3-none-any.whl");
    assert_eq!(wheel_of(&p, "3.13.0", None), "x-2.0-py3-none-any.whl");
    assert_eq!(
        wheel_of(&p, "3.13.0", Some("==3.0rc1")),
        "x-3.0rc1-py3-none-any.whl"
    );
    assert!(
        choose(&p, &wanted(&python("3.11.9"), None))
            .unwrap()
            .sdist
            .is_some()
    );
}

#[test]
fn denied_a_pinned_version_for_another_python() {
    let p = project(&[
        ("x-1.4.0-cp312-cp312-manylinux_2_17_x86_64.whl", Some(">=3.12")),
        ("x-1.3-py3-none-any.whl", None),
    ]);
    assert_eq!(
        refusal(&p, "3.11.2", Some("==1.4.0")),
        (Status::Na, ReasonCode::RequiresPython)
    );
    assert_eq!(
        wheel_of(&p, "3.12.0", Some("==1.4.0")),
        "x-1.4.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    );
}

#[test]
fn denied_platforms_have_their_words() {
    let windows = project(&[
        ("x-1-cp311-cp311-win_amd64.whl", None),
        ("x-1-cp311-cp311-win32.whl", None),
    ]);
    assert_eq!(
        refusal(&windows, "3.11.2", None),
        (Status::Na, ReasonCode::WindowsOnly)
    );
    let mac = project(&[("x-1-py3-none-macosx_11_0_arm64.whl", None)]);
    assert_eq!(refusal(&mac, "3.11.2", None), (Status::Na, ReasonCode::MacosOnly));
    let old = project(&[("x-1-cp36-cp36m-manylinux1_x86_64.whl", None)]);
    assert_eq!(
        refusal(&old, "3.11.2", None),
        (Status::Na, ReasonCode::NoMatchingWheel)
    );
    let two = project(&[("x-1-py2-none-any.whl", None)]);
    assert_eq!(
        refusal(&two, "3.11.2", None),
        (Status::Na, ReasonCode::Python2Only)
    );
    let two = project(&[("x-1.tar.gz", Some(">=2.6,<3"))]);
    assert_eq!(
        refusal(&two, "3.11.2", None),
        (Status::Na, ReasonCode::Python2Only)
    );
}

#[test]
fn denied_nothing_to_take() {
    let mut p = project(&[]);
    assert_eq!(refusal(&p, "3.11.2", None), (Status::Broken, ReasonCode::NoFiles));
    p.versions = vec!["1.1.6".into()];
    assert_eq!(
        refusal(&p, "3.11.2", Some("==1.1.6")),
        (Status::Broken, ReasonCode::NoFiles)
    );
    let mut p = project(&[("x-1-py3-none-any.whl", None)]);
    assert!(matches!(
        choose(&p, &wanted(&python("3.11.2"), Some("==2"))),
        Err(Refusal::NoVersion { .. })
    ));
    assert!(matches!(
        choose(&p, &wanted(&python("3.11.2"), Some("=2"))),
        Err(Refusal::BadSpecifier { .. })
    ));
    p.status = Some(crate::project::ProjectStatus {
        state: ProjectState::Quarantined,
        reason: None,
    });
    assert_eq!(
        refusal(&p, "3.11.2", None),
        (Status::Broken, ReasonCode::Quarantined)
    );
}

#[test]
fn denied_too_big_and_allowed_small() {
    let interpreter = python("3.11.2");
    let p = project(&[("x-1-py3-none-any.whl", None)]);
    let small = Wanted {
        max_bytes: 999,
        ..wanted(&interpreter, None)
    };
    let Err(Refusal::Outcome(outcome)) = choose(&p, &small) else {
        panic!()
    };
    assert_eq!(
        (outcome.status, outcome.reasons[0].code),
        (Status::Skip, ReasonCode::SizePolicy)
    );
    assert!(
        choose(
            &p,
            &Wanted {
                max_bytes: 1000,
                ..small
            }
        )
        .is_ok()
    );
}

#[test]
fn yanked_only_when_pinned_and_then_noted() {
    let mut p = project(&[("x-1-py3-none-any.whl", None), ("x-2-py3-none-any.whl", None)]);
    p.files[1].yanked = Some("oops".into());
    assert_eq!(wheel_of(&p, "3.11.2", None), "x-1-py3-none-any.whl");
    let chosen = choose(&p, &wanted(&python("3.11.2"), Some("==2"))).unwrap();
    assert_eq!(chosen.notes[0].code, ReasonCode::Yanked);
}

#[test]
fn the_best_wheel_wins() {
    let p = project(&[
        ("x-1-py3-none-any.whl", None),
        ("x-1-cp39-abi3-manylinux_2_17_x86_64.whl", None),
        ("x-1-cp313-cp313-manylinux_2_17_x86_64.whl", None),
        ("x-1-cp313-cp313t-manylinux_2_17_x86_64.whl", None),
        ("x-1-2-py3-none-any.whl", None),
    ]);
    assert_eq!(
        wheel_of(&p, "3.13.0", None),
        "x-1-cp313-cp313-manylinux_2_17_x86_64.whl"
    );
    assert_eq!(
        wheel_of(&p, "3.13.0t", None),
        "x-1-cp313-cp313t-manylinux_2_17_x86_64.whl"
    );
    assert_eq!(
        wheel_of(&p, "3.12.0", None),
        "x-1-cp39-abi3-manylinux_2_17_x86_64.whl"
    );
    assert_eq!(wheel_of(&p, "3.8.0", None), "x-1-2-py3-none-any.whl");
}

#[test]
fn interpreters_have_their_tags() {
    let pypy = Interpreter {
        implementation: "pypy".into(),
        ..python("3.11.2")
    };
    let arm = Interpreter {
        platform: "linux_aarch64".into(),
        ..python("3.11.2")
    };
    let fits = |interpreter: &Interpreter, filename: &str| {
        let ParsedName::Wheel(name) = file("x", filename, None).kind else {
            panic!()
        };
        is_compatible(&name, &tags_of(interpreter).unwrap())
    };
    assert!(fits(&pypy, "x-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl"));
    assert!(!fits(&pypy, "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"));
    assert!(fits(&arm, "x-1-cp311-cp311-manylinux_2_17_aarch64.whl"));
    assert!(!fits(&arm, "x-1-cp311-cp311-manylinux_2_17_x86_64.whl"));
    assert!(!fits(
        &python("3.13.0t"),
        "x-1-cp39-abi3-manylinux_2_17_x86_64.whl"
    ));
    assert!(
        tags_of(&Interpreter {
            platform: "win_amd64".into(),
            ..python("3.11.2")
        })
        .is_err()
    );
}

#[test]
fn only_one_kind() {
    let interpreter = python("3.11.2");
    let p = project(&[
        ("x-1-py3-none-any.whl", None),
        ("x-1.zip", None),
        ("x-1.tar.gz", None),
        ("x-2-py3-none-any.whl", None),
    ]);
    let chosen = choose(
        &p,
        &Wanted {
            only: Some(FileKind::Sdist),
            ..wanted(&interpreter, None)
        },
    )
    .unwrap();
    assert_eq!(
        (chosen.version.to_string(), chosen.sdist.unwrap().filename),
        ("1".into(), "x-1.tar.gz".into())
    );
}

#[test]
fn requires_python_as_uploads_have_it() {
    for (text, fits) in [
        (">=3.6.*", true),
        (">=2.7, !=3.0.*, !=3.1.*, <4,", true),
        ("<3", false),
        ("nonsense", true),
    ] {
        let file = file("x", "x-1.tar.gz", Some(text));
        assert_eq!(python_fits(&file, &Version::new([3, 11, 2])), fits, "{text}");
    }
}

#[test]
fn uploads_after_the_moment_are_not_seen() {
    assert!(is_before(Some("2024-01-01T00:00:00.5Z"), "2024-06-01T00:00:00Z"));
    assert!(!is_before(Some("2024-07-01T00:00:00Z"), "2024-06-01T00:00:00Z"));
    assert!(!is_before(None, "2024-06-01T00:00:00Z"));
}
