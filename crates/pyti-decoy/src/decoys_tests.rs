use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::Needles;

use super::*;

/// 2026-11-25.
const NOW: i64 = 1_795_595_771;

fn of(entropy: u8) -> &'static Decoys {
    static MADE: [OnceLock<Decoys>; 3] = [const { OnceLock::new() }; 3];
    MADE[usize::from(entropy)]
        .get_or_init(|| Decoys::make(&[entropy; 32], "dev", "larsen-xps13-0a1b", NOW, None))
}

#[test]
fn the_same_for_the_same_and_nothing_alike_for_others() {
    let again = Decoys::make(&[1; 32], "dev", "larsen-xps13-0a1b", NOW, None);
    assert_eq!(of(1).decoys, again.decoys);
    assert_eq!(of(1).files, again.files);
    assert_eq!(of(1).variables, again.variables);
    let secrets = |d: &Decoys| -> BTreeSet<String> {
        d.decoys
            .iter()
            .filter(|d| d.family != "machine")
            .flat_map(|d| d.secrets.clone())
            .collect()
    };
    assert!(secrets(of(1)).is_disjoint(&secrets(of(2))));
    let order = |d: &Decoys| d.decoys.iter().map(|d| d.id.clone()).collect::<Vec<_>>();
    assert_ne!(order(of(1)), order(of(2)));
    let sizes = |d: &Decoys| {
        d.files
            .iter()
            .map(|f| (f.path.clone(), f.bytes.len()))
            .collect::<BTreeMap<_, _>>()
    };
    let (one, two) = (sizes(of(1)), sizes(of(2)));
    let alike = one
        .iter()
        .filter(|(path, size)| two.get(*path) == Some(size))
        .count();
    assert!(
        alike * 2 < one.len(),
        "{alike} of {} files have one size in both",
        one.len()
    );
}

#[test]
fn each_secret_lies_in_one_place_and_is_found_there() {
    for made in [of(0), of(1), of(2)] {
        let needles = Needles::new(&made.decoys);
        let variables: BTreeMap<&str, &str> = made
            .variables
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        for decoy in &made.decoys {
            let bytes = match &decoy.place {
                DecoyPlace::File(path) => {
                    let all = made.files.iter().chain(&made.machine.files);
                    let files: Vec<_> = all.filter(|f| f.path == *path).collect();
                    assert_eq!(files.len(), 1, "{path}");
                    files[0].bytes.clone()
                }
                DecoyPlace::Variable(name) => variables[name.as_str()].as_bytes().to_vec(),
            };
            assert!(!decoy.secrets.is_empty(), "{}", decoy.id);
            for secret in &decoy.secrets {
                // passwords of docker lie there as base64, which the search below reads
                let hidden = decoy.id == "docker.config";
                assert!(
                    hidden || bytes.windows(secret.len()).any(|w| w == secret.as_bytes()),
                    "{} does not hold {secret}",
                    decoy.id
                );
                assert!(
                    secret.len() >= crate::SHORTEST || decoy.family == "machine",
                    "{}",
                    decoy.id
                );
            }
            if decoy.secrets.iter().all(|s| s.len() >= crate::SHORTEST) {
                let found: BTreeSet<String> = needles.search(&bytes).into_iter().map(|h| h.decoy).collect();
                assert_eq!(found, BTreeSet::from([decoy.id.clone()]));
            }
        }
    }
}

#[test]
fn what_is_no_decoy_holds_no_secret() {
    let needles = Needles::new(&of(1).decoys);
    for file in &of(1).files {
        if of(1)
            .by_path(&file.path)
            .is_none_or(|d| d.place != DecoyPlace::File(file.path.clone()))
        {
            assert_eq!(needles.search(&file.bytes), [], "{}", file.path);
        }
    }
}

#[test]
fn paths_are_plain_and_below_home() {
    let made = of(1);
    let mut paths = BTreeSet::new();
    for file in &made.files {
        assert!(file.path.starts_with("/home/dev/"), "{}", file.path);
        assert!(
            !file.path.contains("//") && !file.path.contains(".."),
            "{}",
            file.path
        );
        assert!(paths.insert(&file.path), "{} twice", file.path);
        assert!(
            file.modified < NOW && file.modified > NOW - 86_400 * 900,
            "{}",
            file.path
        );
    }
    for file in &made.files {
        let under = |f: &&PlantedFile| f.path.starts_with(&format!("{}/", file.path));
        assert!(
            !made.files.iter().any(|f| under(&f)),
            "{} is file and folder",
            file.path
        );
    }
    let ids: BTreeSet<&str> = made.decoys.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids.len(), made.decoys.len(), "an id twice");
}

#[test]
fn the_index_is_the_one_in_use() {
    let made = Decoys::make(&[1; 32], "dev", "h", NOW, Some("packages.example.invalid"));
    let token = |made: &Decoys| {
        let decoy = made.decoys.iter().find(|d| d.id == "pypi.pypirc").unwrap();
        decoy
            .secrets
            .iter()
            .find(|s| s.starts_with("pypi-"))
            .unwrap()
            .clone()
    };
    assert_ne!(token(&made), token(of(1)));
    // the host at the head of the macaroon
    assert!(
        token(&made).starts_with("pypi-AgEYcGFja2FnZXMuZXhhbXBsZS5pbnZhbGlk"),
        "{}",
        token(&made)
    );
}

#[test]
fn folders_of_one_tool_lead_to_its_decoys() {
    let made = of(1);
    let id = |path: &str| made.by_path(path).map(|d| d.id.as_str());
    assert_eq!(id("/home/dev/.aws/credentials"), Some("aws.credentials"));
    assert_eq!(id("/home/dev/.aws"), Some("aws.credentials"));
    assert_eq!(id("/home/dev/.aws/"), Some("aws.credentials"));
    assert_eq!(id("/home/dev/.netrc"), Some("netrc.netrc"));
    for path in [
        "/home/dev",
        "/home/dev/.config",
        "/home/dev/projects",
        "/home",
        "/",
        "",
        "/home/dev/.aw",
    ] {
        assert_eq!(id(path), None, "{path}");
    }
    let watched = made.watched_paths();
    assert!(watched.iter().any(|w| w.path == "/home/dev/.aws" && w.folder));
    assert!(watched.iter().any(|w| w.path == "/home/dev/.netrc" && !w.folder));
    for w in &watched {
        assert!(made.by_path(&w.path).is_some(), "{}", w.path);
    }
}

#[test]
fn what_much_code_reads_is_marked() {
    for (id, common) in [
        ("netrc.netrc", true),
        ("git.config", true),
        ("shell.bashrc", true),
        ("aws.credentials", false),
    ] {
        let decoy = of(1).decoys.iter().find(|d| d.id == id).unwrap();
        assert_eq!(decoy.commonly_read, common, "{id}");
    }
}

#[test]
fn no_host_of_a_public_index_is_named() {
    // put together here, so that it stands nowhere
    let hosts = [
        ["pypi", "org"].join("."),
        ["npmjs", "org"].join("."),
        ["crates", "io"].join("."),
    ];
    for file in &of(1).files {
        let text = String::from_utf8_lossy(&file.bytes);
        for host in &hosts {
            assert!(!text.contains(host), "{} names {host}", file.path);
        }
    }
}

#[test]
fn the_machine_says_who_it_is() {
    let machine = &of(1).machine;
    let text = |path: &str| {
        let file = machine.files.iter().find(|f| f.path == path).unwrap();
        String::from_utf8(file.bytes.clone()).unwrap()
    };
    assert!(text("/etc/passwd").contains(&format!("dev:x:1000:1000:{},,,:/home/dev:", machine.full_name)));
    assert_eq!(text("/etc/hostname"), "larsen-xps13-0a1b\n");
    assert_eq!(text("/etc/machine-id").len(), 33);
    assert_ne!(machine.machine_id, of(2).machine.machine_id);
}
