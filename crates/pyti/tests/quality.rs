//! `pyti run --quality` on real wheels and sdists that are made here, each fault beside a twin without it.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pyti_fixtures::{Faults, LocalIndex};
use serde_json::Value;
use support::{Place, task, tools};

const METADATA: &str = "Metadata-Version: 2.1\nName: own\nVersion: 1.0\nSummary: Something\nAuthor: Somebody\n\
    Project-URL: Source, https://own.example\nClassifier: Programming Language :: Python :: 3\nLicense: MIT\nRequires-Python: >=3.8\n";
const GOOD_README: &str = "Own\n===\n\nSome *text*.\n";
const BAD_README: &str = "Own\n==\n\n.. no-such-directive::\n";

/// Writes a wheel of the files that standard input names, with a RECORD that is true.
const PACK: &str = "\
import base64, hashlib, json, sys, zipfile
record = ''
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    for name, text in json.load(sys.stdin):
        data = text.encode()
        archive.writestr(zipfile.ZipInfo(name), data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
        record += f'{name},sha256={digest},{len(data)}\\n'
    record += 'own-1.0.dist-info/RECORD,,\\n'
    archive.writestr(zipfile.ZipInfo('own-1.0.dist-info/RECORD'), record)
";

/// A wheel `own` 1.0 with these files, these fields more, and this description.
fn wheel(folder: &Path, files: &[(&str, &str)], more: &str, readme: &str) -> PathBuf {
    let path = folder.join("own-1.0-py3-none-any.whl");
    let metadata = format!("{METADATA}{more}\n{readme}");
    let fixed = [
        ("own-1.0.dist-info/METADATA", metadata.as_str()),
        (
            "own-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        ("own-1.0.dist-info/LICENSE", "MIT\n"),
    ];
    let all: Vec<_> = files.iter().chain(&fixed).collect();
    let mut python = Command::new("python3")
        .args(["-c", PACK])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input
        .write_all(serde_json::to_string(&all).unwrap().as_bytes())
        .unwrap();
    drop(input);
    assert!(python.wait().unwrap().success());
    path
}

fn index(folder: Option<&Path>) -> LocalIndex {
    let index = LocalIndex::start(Vec::new(), Faults::none()).unwrap();
    match folder {
        Some(folder) => index.with_folder(folder).unwrap(),
        None => index,
    }
}

/// What is said of a wheel.
fn quality(place: &Place, index: &LocalIndex, wheel: &Path) -> (Value, Value) {
    let path = wheel.to_str().unwrap();
    let object = place
        .run(index, ["--quality", "--no-watch", path])
        .code(0)
        .object();
    (
        object["files"][0]["quality"].clone(),
        task(&object, "quality").unwrap().clone(),
    )
}

fn rules(quality: &Value) -> Vec<&str> {
    let remarks = quality["remarks"].as_array().unwrap();
    remarks
        .iter()
        .map(|remark| remark["rule"].as_str().unwrap())
        .collect()
}

/// The files of a good wheel.
const GOOD: &[(&str, &str)] = &[
    (
        "own/__init__.py",
        "from own.other import value\n\n\ndef main(n: int = 1) -> int:\n    return value + n\n",
    ),
    ("own/other.py", "value = 1\n"),
    ("own/py.typed", ""),
    (
        "own-1.0.dist-info/entry_points.txt",
        "[console_scripts]\nown = own:main\n",
    ),
];

#[test]
fn faults_are_found_and_their_twins_are_not() {
    let test = "faults_are_found_and_their_twins_are_not";
    let Some(place) = Place::new(test) else { return };
    let linters = match tools::linters() {
        Ok(folder) => folder,
        Err(why) => return support::skipped(test, &why),
    };
    let index = index(Some(&linters));
    let (good, ended) = quality(&place, &index, &wheel(&place.work(), GOOD, "", GOOD_README));
    assert_eq!(rules(&good), Vec::<&str>::new(), "{good}");
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(good["score"]["parts"].as_array().unwrap().len(), 5);
    assert!(
        (good["score"]["points"].as_f64().unwrap() - 100.0).abs() < 0.01,
        "{good}"
    );

    let mut bad = GOOD.to_vec();
    bad[0].1 = "import stranger_of_ours\n\n\ndef other(n, items=[]):\n    return undefined_name\n";
    bad[2] = ("tests/__init__.py", "");
    bad.push(("own/__pycache__/x.cpython-313.pyc", "x"));
    let more = "Classifier: Programming Language :: Python :: 3.6\nLicense-Expression: MIT License\nRequires-Dist: (>=1)\n";
    let (found, ended) = quality_of_broken(&place, &index, &wheel(&place.work(), &bad, more, BAD_README));
    let rules = rules(&found);
    for rule in [
        "import-undeclared",
        "requirement-invalid",
        "classifier-contradicts-python",
        "licence-expression-invalid",
        "readme-does-not-render",
        "entry-point-dangling",
        "wheel-common-name",
        "wheel-bytecode",
        "ruff:F821",
        "ruff:B006",
    ] {
        assert!(rules.contains(&rule), "{rule} is not among {rules:?}");
    }
    assert_eq!(ended["result"], "success");
    let remarks = found["remarks"].as_array().unwrap();
    let undefined = remarks
        .iter()
        .find(|remark| remark["rule"] == "ruff:F821")
        .unwrap();
    assert_eq!(undefined["place"]["path"], "own/__init__.py");
    assert_eq!(undefined["place"]["line"], 5);
    assert_eq!(undefined["grade"], "error");
    assert!(
        found["score"]["points"].as_f64().unwrap() < 60.0,
        "{}",
        found["score"]
    );
}

/// The same for a wheel that does not import, or cannot be installed.
fn quality_of_broken(place: &Place, index: &LocalIndex, wheel: &Path) -> (Value, Value) {
    let path = wheel.to_str().unwrap();
    let ended = place.run(index, ["--quality", "--no-watch", "--skip", "import", path]);
    let object = ended.object();
    let quality = object["files"][0]["quality"].clone();
    assert!(quality.is_object(), "{object}");
    (quality, task(&object, "quality").unwrap().clone())
}

#[test]
fn a_project_is_asked_by_its_own_rules_too() {
    let test = "a_project_is_asked_by_its_own_rules_too";
    let Some(place) = Place::new(test) else { return };
    let folders = tools::linters().and_then(|linters| Ok((linters, tools::wheels()?)));
    let (linters, wheels) = match folders {
        Ok(folders) => folders,
        Err(why) => return support::skipped(test, &why),
    };
    let index = index(Some(&linters)).with_folder(&wheels).unwrap();
    let tree = place.work().join("own");
    fs::create_dir_all(tree.join("own")).unwrap();
    let project = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n[project]\nname = 'own'\nversion = '1.0'\n\
                   [tool.setuptools]\npackages = ['own']\n";
    fs::write(tree.join("own/__init__.py"), "import os\n").unwrap();
    let asked = |rules: &str| -> Option<u64> {
        fs::write(tree.join("pyproject.toml"), format!("{project}{rules}")).unwrap();
        let path = tree.to_str().unwrap();
        let object = place
            .run(&index, ["--quality", "--no-watch", "--skip", "test", path])
            .code(0)
            .object();
        object["files"][0]["quality"]["project_lint"].as_u64()
    };
    assert_eq!(asked("[tool.ruff.lint]\nselect = ['F']\n"), Some(1));
    assert_eq!(
        asked("[tool.ruff.lint]\nselect = ['F']\nignore = ['F401']\n"),
        Some(0)
    );
    assert_eq!(asked(""), None, "a project without rules has none");
}

#[test]
fn without_ruff_the_rest_is_said_and_the_score_tells_what_is_left_out() {
    let test = "without_ruff_the_rest_is_said_and_the_score_tells_what_is_left_out";
    let Some(place) = Place::new(test) else { return };
    let index = index(None);
    let (quality, ended) = quality(&place, &index, &wheel(&place.work(), GOOD, "", GOOD_README));
    assert_eq!(ended["result"], "warnings", "{ended}");
    assert_eq!(quality["score"]["parts"].as_array().unwrap().len(), 4);
    assert_eq!(quality["score"]["left_out"][0], "code: ruff was not asked");
    let missing = quality["missing"].to_string();
    assert!(
        missing.contains("ruff") && missing.contains("the description"),
        "{missing}"
    );
}

#[test]
fn another_file_under_the_name_of_ruff_is_not_used() {
    let test = "another_file_under_the_name_of_ruff_is_not_used";
    let Some(place) = Place::new(test) else { return };
    let linters = match tools::linters() {
        Ok(folder) => folder,
        Err(why) => return support::skipped(test, &why),
    };
    let fake = place.work().join("fake");
    fs::create_dir(&fake).unwrap();
    for entry in fs::read_dir(&linters).unwrap() {
        let name = entry.unwrap().file_name();
        let made = wheel(&place.work(), &[("ruff/__init__.py", "")], "", "");
        fs::rename(made, fake.join(name)).unwrap();
    }
    let index = index(Some(&fake));
    let (quality, ended) = quality(&place, &index, &wheel(&place.work(), GOOD, "", GOOD_README));
    assert_eq!(ended["result"], "warnings", "{ended}");
    assert_eq!(ended["reasons"][0]["code"], "hash_mismatch", "{ended}");
    assert_eq!(quality["score"]["left_out"][0], "code: ruff was not asked");
}
