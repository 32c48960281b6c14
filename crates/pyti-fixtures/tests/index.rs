//! The local index speaks as an index does, and goes wrong as asked.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use pyti_fixtures::{Fault, Faults, Fixture, LocalIndex, build, build_all};

const JSON: &str = "Accept: application/vnd.pypi.simple.v1+json\r\n";

fn index(faults: Faults) -> (LocalIndex, Fixture) {
    let fixture = build("unittest-passes").unwrap();
    (LocalIndex::start(vec![fixture.clone()], faults).unwrap(), fixture)
}

/// Head (lower case) and body of an answer, as far as it came.
fn ask(index: &LocalIndex, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", index.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let at = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(at);
    (String::from_utf8_lossy(&answer).to_lowercase(), body)
}

fn wheel_path(fixture: &Fixture) -> String {
    format!("/files/{}", fixture.file(".whl").unwrap().0)
}

#[test]
fn pages_are_json_or_html_as_asked() {
    let (index, fixture) = index(Faults::none());
    let (head, body) = ask(&index, "/simple/unittest-passes/", JSON);
    assert!(
        head.contains("200 ok") && head.contains("vnd.pypi.simple.v1+json"),
        "{head}"
    );
    let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(page["files"].as_array().unwrap().len(), fixture.files.len());
    let (head, body) = ask(&index, "/simple/unittest-passes/", "");
    assert!(head.contains("text/html"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("#sha256="));
    assert!(
        ask(&index, "/simple/Unittest_Passes/", "")
            .0
            .contains("location: /simple/unittest-passes/")
    );
    assert!(ask(&index, "/simple/nobody/", "").0.contains("404"));
    assert!(ask(&index, "/simple/", JSON).1.starts_with(b"{"));
    assert_eq!(index.count("/simple/nobody"), 1);
}

#[test]
fn files_ranges_metadata_and_etags() {
    let (index, fixture) = index(Faults::none());
    let (path, whole) = (wheel_path(&fixture), &fixture.file(".whl").unwrap().1);
    let (head, body) = ask(&index, &path, "");
    assert_eq!(body, *whole);
    let (part, tail) = ask(&index, &path, "Range: bytes=-10\r\n");
    assert!(
        part.contains("206") && tail == whole[whole.len() - 10..],
        "{part}"
    );
    let (_, middle) = ask(&index, &path, "Range: bytes=5-9\r\n");
    assert_eq!(middle, whole[5..10]);
    assert!(ask(&index, &path, "Range: bytes=99999999-\r\n").0.contains("416"));
    assert_eq!(ask(&index, &format!("{path}.metadata"), "").1, fixture.metadata);
    let etag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    assert!(
        ask(&index, &path, &format!("If-None-Match: {etag}\r\n"))
            .0
            .contains("304")
    );
    assert_eq!(
        index
            .requests()
            .iter()
            .filter(|seen| seen.range.is_some())
            .count(),
        3
    );
}

#[test]
fn what_the_index_says_of_releases() {
    let index = LocalIndex::start(build_all().unwrap(), Faults::none()).unwrap();
    let page = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&ask(&index, &format!("/simple/{name}/"), JSON).1).unwrap()
    };
    assert!(page("yanked-release")["files"][0]["yanked"].is_string());
    assert_eq!(page("no-tests")["files"][0]["yanked"], false);
    assert_eq!(
        page("requires-python-future")["files"][0]["requires-python"],
        ">=3.99"
    );
    assert!(ask(&index, "/simple/no-files/", "").0.contains("404"));
    let html = String::from_utf8(ask(&index, "/simple/yanked-release/", "").1).unwrap();
    assert!(html.contains("data-yanked=\"it was wrong &lt;b&gt;"), "{html}");
}

#[test]
fn metadata_of_a_hundred_megabytes_is_streamed() {
    let fixture = build("huge-metadata").unwrap();
    let path = format!("{}.metadata", wheel_path(&fixture));
    let index = LocalIndex::start(vec![fixture], Faults::none()).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", index.port())).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
    let mut start = vec![0; 1 << 20];
    stream.read_exact(&mut start).unwrap();
    assert!(String::from_utf8_lossy(&start).contains("Content-Length: 104857600"));
}

#[test]
fn faults_of_the_answer() {
    let (healthy, fixture) = index(Faults::none());
    let path = wheel_path(&fixture);
    let good = ask(&healthy, &path, "").1;

    let (index, _) = index_with(Fault::Status { code: 503, times: 2 });
    let heads: Vec<_> = (0..3).map(|_| ask(&index, &path, "").0).collect();
    assert!(
        heads[0].contains("503") && heads[1].contains("503") && heads[2].contains("200"),
        "{heads:?}"
    );

    let (index, _) = index_with(Fault::WrongHash);
    let wrong = ask(&index, &path, "").1;
    assert_eq!(wrong.len(), good.len());
    assert_eq!(wrong.iter().zip(&good).filter(|(a, b)| a != b).count(), 1);

    let (index, _) = index_with(Fault::Truncate { after: 7 });
    assert_eq!(ask(&index, &path, "").1, good[..7]);

    let (index, _) = index_with(Fault::Html);
    assert!(
        ask(&index, "/simple/unittest-passes/", JSON)
            .1
            .starts_with(b"<!DOCTYPE")
    );

    let (index, _) = index_with(Fault::NoJson);
    assert!(
        ask(&index, "/simple/unittest-passes/", JSON)
            .0
            .contains("text/html")
    );

    let (index, _) = index_with(Fault::NoRanges);
    assert!(ask(&index, &path, "Range: bytes=0-1\r\n").0.contains("200 ok"));

    let (index, _) = index_with(Fault::NoEtag);
    assert!(!ask(&index, &path, "").0.contains("etag"));

    let (index, _) = index_with(Fault::NoMetadata);
    assert!(ask(&index, &format!("{path}.metadata"), "").0.contains("404"));

    let (index, _) = index_with(Fault::Huge { bytes: 1 << 20 });
    assert_eq!(ask(&index, &path, "").1.len(), 1 << 20);

    let (index, _) = index_with(Fault::Close);
    assert_eq!(ask(&index, &path, ""), (String::new(), Vec::new()));
}

fn index_with(fault: Fault) -> (LocalIndex, Fixture) {
    index(Faults::none().on("", fault))
}

#[test]
fn faults_of_time_and_the_index_ends_all_the_same() {
    let (index, fixture) = index_with(Fault::Stall);
    let mut stream = TcpStream::connect(("127.0.0.1", index.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    write!(stream, "GET /simple/ HTTP/1.1\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0]).is_err(), "nothing is answered");
    let start = Instant::now();
    drop(index);
    assert!(start.elapsed() < Duration::from_secs(2));

    let (index, _) = index_with(Fault::Slow {
        bytes_per_second: 5000,
    });
    let start = Instant::now();
    assert_eq!(
        ask(&index, &wheel_path(&fixture), "").1,
        fixture.file(".whl").unwrap().1
    );
    assert!(start.elapsed() > Duration::from_millis(100));
}

#[test]
fn a_fault_hits_only_where_it_shall() {
    let (index, fixture) = index(Faults::none().on(
        ".metadata",
        Fault::Status {
            code: 500,
            times: u32::MAX,
        },
    ));
    let path = wheel_path(&fixture);
    assert!(ask(&index, &format!("{path}.metadata"), "").0.contains("500"));
    assert!(ask(&index, &path, "").0.contains("200 ok"));
}

#[test]
fn a_folder_is_served_too() {
    let dir = tempfile::tempdir().unwrap();
    build("no-tests").unwrap().write_to(dir.path()).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not a distribution").unwrap();
    let (index, _) = index(Faults::none());
    let index = index.with_folder(dir.path()).unwrap();
    let (_, body) = ask(&index, "/simple/no-tests/", JSON);
    let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(page["files"].as_array().unwrap().len(), 2);
}

fn pip(index: &LocalIndex, folder: &Path, args: &[&str]) -> Option<std::process::Output> {
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "--isolated",
            "--disable-pip-version-check",
            "--no-cache-dir",
        ])
        .args(args)
        .args(["--index-url", &index.url()])
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env_remove("PYTHONPATH")
        .current_dir(folder)
        .output()
        .ok()?;
    if String::from_utf8_lossy(&output.stderr).contains("No module named pip") {
        return None;
    }
    Some(output)
}

#[test]
fn pip_takes_wheels_from_it_and_builds_sdists_with_the_plain_backend() {
    let dir = tempfile::tempdir().unwrap();
    let index = LocalIndex::start(build_all().unwrap(), Faults::none()).unwrap();
    let Some(output) = pip(&index, dir.path(), &["download", "--no-deps", "unittest-passes"]) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: pip_takes_wheels_from_it: python3 has no pip here"
        );
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = pip(
        &index,
        dir.path(),
        &["wheel", "sdist-only-dependency", "--no-binary", "only-an-sdist"],
    )
    .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for wheel in [
        "unittest_passes-1.0.0-py3-none-any.whl",
        "only_an_sdist-1.0.0-py3-none-any.whl",
        "sdist_only_dependency-1.0.0-py3-none-any.whl",
    ] {
        let path = dir.path().join(wheel);
        let facts = pyti_archive::wheel::read(&path, &pyti_archive::Limits::default());
        assert_eq!((facts.fatal, facts.problems), (None, Vec::new()), "{wheel}");
    }
    let output = pip(
        &index,
        dir.path(),
        &["wheel", "dynamic-requires", "in-tree-backend"],
    )
    .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for wheel in [
        "dynamic_requires-1.0.0-py3-none-any.whl",
        "in_tree_backend-1.0.0-py3-none-any.whl",
    ] {
        let facts = pyti_archive::wheel::read(&dir.path().join(wheel), &pyti_archive::Limits::default());
        assert_eq!((facts.fatal, facts.problems), (None, Vec::new()), "{wheel}");
    }
    assert!(index.count("/files/build_helper") > 0, "the hook asked for it");
    let output = pip(&index, dir.path(), &["download", "--no-deps", "lying-name"]).unwrap();
    assert!(!output.status.success(), "pip believes it");
}

#[test]
fn the_backend_builds_the_same_files_as_the_wheel_that_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let index = LocalIndex::start(build_all().unwrap(), Faults::none()).unwrap();
    let Some(output) = pip(
        &index,
        dir.path(),
        &[
            "wheel",
            "--no-deps",
            "pth-runs-code",
            "--no-binary",
            "pth-runs-code",
        ],
    ) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the_backend_builds_the_same: python3 has no pip here"
        );
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fixture = build("pth-runs-code").unwrap();
    let published = dir.path().join("published-1.0.0-py3-none-any.whl");
    std::fs::write(&published, &fixture.file(".whl").unwrap().1).unwrap();
    let built = dir.path().join("pth_runs_code-1.0.0-py3-none-any.whl");
    let found = pyti_archive::compare::compare(&built, &published, &pyti_archive::Limits::default());
    assert!(found.fatal.is_none() && found.comparison.is_same(), "{found:?}");
}
