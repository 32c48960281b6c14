//! The corpus is complete, harmless and consistent with itself; nothing is run here.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use pyti_fixtures::corpus::{self, Package, Part};

/// Packages whose behaviour is that a file of theirs is there: they have no guard.
const ALWAYS: [&str; 4] = [
    "26-jacks-commands",
    "L29-has-known-pth",
    "L30-carries-signatures",
    "support-corpus-victim",
];
/// Calls that change what is not the package's own. Who has one must look for the box first.
const CHANGES: [&str; 8] = [
    "authorized_keys",
    ".bashrc",
    "os.rename(",
    "os.truncate(",
    "crontab",
    "systemd/user",
    "os.setsid(",
    "len(children)",
];

fn all() -> Vec<Package> {
    corpus::build_all().unwrap()
}

fn python(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![corpus::sources().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "py" || end == "pth") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn every_row_has_one_package() {
    let all = all();
    let rows = |part| {
        all.iter()
            .filter(|package| package.part == part)
            .map(|package| package.number)
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(Part::Behaviour), (1..=60).collect::<Vec<_>>());
    assert_eq!(rows(Part::LookAlike), (1..=31).collect::<Vec<_>>());
    let names: BTreeSet<_> = all.iter().map(|package| &package.fixture.name).collect();
    assert_eq!(names.len(), all.len(), "two packages have the same name");
}

#[test]
fn manifests_say_what_is_expected_and_why() {
    for package in all() {
        let folder = &package.folder;
        assert!(!package.title.is_empty() && !package.does.is_empty(), "{folder}");
        assert_eq!(
            package.expected.is_none(),
            package.part == Part::Support,
            "{folder}"
        );
        let Some(expected) = package.expected else {
            continue;
        };
        assert!(!expected.why.is_empty() && !package.phase.is_empty(), "{folder}");
        assert!(
            expected.findings.is_sorted() && expected.also.is_sorted(),
            "{folder}"
        );
        if package.part == Part::Behaviour && package.exception.is_none() {
            assert!(
                !expected.findings.is_empty(),
                "{folder} expects nothing and has no exception"
            );
        }
    }
}

#[test]
fn exceptions_are_few() {
    let exceptions = all().iter().filter(|package| package.exception.is_some()).count();
    assert!(exceptions <= 5, "{exceptions}");
}

#[test]
fn expected_rules_are_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let mut rules = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        rules += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    for package in all() {
        let quiet = package.quiet.into_iter().flat_map(|quiet| quiet.findings);
        let expected = package
            .expected
            .into_iter()
            .flat_map(|e| e.findings.into_iter().chain(e.also));
        for rule in expected.chain(quiet) {
            assert!(
                rules.contains(&format!("id = \"{rule}\"")),
                "{} expects {rule}, which is no rule",
                package.folder
            );
        }
    }
}

#[test]
fn the_page_has_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/corpus.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains(corpus::table(&all()).trim_end()),
        "docs/corpus.md is not what `cargo xtask corpus --table` prints"
    );
}

#[test]
fn nothing_acts_without_its_variable() {
    for package in all() {
        if ALWAYS.contains(&package.folder.as_str()) {
            continue;
        }
        let guard = format!("os.environ.get(\"PYTI_CORPUS\") == \"{}\"", package.fixture.name);
        let other = format!("os.environ.get(\"PYTI_CORPUS\") != \"{}\"", package.fixture.name);
        let texts = python(&package.folder);
        assert!(
            texts
                .iter()
                .any(|(_, text)| text.contains(&guard) || text.contains(&other)),
            "{} has no guard",
            package.folder
        );
    }
}

#[test]
fn what_changes_the_home_acts_in_a_box_only() {
    for package in all() {
        // what tests do they do to what they made
        if package.phase == "test" {
            continue;
        }
        for (path, text) in python(&package.folder) {
            if CHANGES.iter().any(|call| text.contains(call)) && !package.folder.starts_with("L30") {
                assert!(
                    text.contains("os.path.isdir(\"/.pyti\")"),
                    "{} looks for no box",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn only_reserved_names_and_addresses_are_contacted() {
    for package in all() {
        for (path, text) in python(&package.folder) {
            for address in addresses(&text) {
                assert!(
                    is_reserved(address),
                    "{}: {address} is somebody's",
                    path.display()
                );
            }
            for host in hosts(&text) {
                let good = [".example", ".test", ".invalid"]
                    .iter()
                    .any(|end| host.ends_with(end))
                    || host == "localhost"
                    || host.parse::<Ipv4Addr>().is_ok();
                assert!(good, "{}: {host} is somebody's", path.display());
            }
        }
    }
}

/// Texts of four numbers with dots.
fn addresses(text: &str) -> Vec<Ipv4Addr> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter_map(|word| word.trim_matches('.').parse().ok())
        .collect()
}

fn is_reserved(address: Ipv4Addr) -> bool {
    address.is_documentation()
        || address.is_loopback()
        || address.is_unspecified()
        || address == Ipv4Addr::new(169, 254, 169, 254)
}

/// Hosts of addresses on the web, and of pairs of host and port.
fn hosts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("://").skip(1) {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c));
        found.push(part[..end.unwrap_or(part.len())].to_owned());
    }
    for call in ["create_connection((\"", "getaddrinfo(\"", "SMTP(\""] {
        for part in text.split(call).skip(1) {
            let host = part.split('"').next().unwrap_or_default();
            found.push(host.trim_start_matches("%s.%d.").to_owned());
        }
    }
    found
}
