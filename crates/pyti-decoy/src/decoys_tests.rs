use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::Needles;

use super::*;

/// 2026-11-25.
const NOW: i64 = 1_795_595_771;

fn of(entropy: u8) -> &'static Decoys {
    static MADE: [OnceLock<Decoys>; 3] = [const { OnceLock::new() }; 3];
    MADE[usize::from(entropy)].get_or_init(|| with(entropy, None))
}

/// Finding primes is slow without optimization, so it is done once for each.
fn with(entropy: u8, index_host: Option<&str>) -> Decoys {
    static PRIMES: [OnceLock<Primes>; 3] = [const { OnceLock::new() }; 3];
    let bytes = [entropy; 32];
    let primes =
        PRIMES[usize::from(entropy)].get_or_init(|| Primes::find(&mut Chance::new(&bytes, "primes")));
    Decoys::with_primes(primes, &bytes, "dev", "larsen-xps13-0a1b", NOW, index_host)
}

#[test]
fn the_same_for_the_same_and_nothing_alike_for_others() {
    let again = with(1, None);
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
            // its keys are bytes that are no text
            let is_binary = decoy.id == "browser.firefox-keys";
            assert_eq!(decoy.secrets.is_empty(), is_binary, "{}", decoy.id);
            if is_binary {
                continue;
            }
            for secret in &decoy.secrets {
                // these lie there as base64, which the search below reads
                let hidden = matches!(decoy.id.as_str(), "docker.config" | "kubernetes.config");
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
                let hits = needles.search(&bytes).into_iter().map(|h| h.decoy);
                // a key's comment names the machine
                let found: BTreeSet<String> = hits.filter(|id| !id.starts_with("machine.")).collect();
                let own = decoy.id.clone();
                let expected = BTreeSet::from_iter((decoy.family != "machine").then_some(own));
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn what_is_no_decoy_holds_no_secret() {
    let mut decoys = of(1).decoys.clone();
    decoys.retain(|d| d.family != "machine");
    let needles = Needles::new(&decoys);
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
    let made = with(1, Some("packages.example.invalid"));
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
    for folder in ["/home/dev/.aws", "/home/dev/.aws/", "/home/dev/.ssh"] {
        let family = made.by_path(folder).map(|d| d.family.as_str());
        assert!(matches!(family, Some("aws" | "ssh")), "{folder}");
    }
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
    assert!(!watched.iter().any(|w| w.path.starts_with("/etc")));
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

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(program: &str) {
    eprintln!("SKIPPED: {program} is not installed, so what it says of our files is not known");
}

/// Runs a program on files of a home, where it is installed.
fn checked_by(program: &str, run: impl FnOnce(&std::path::Path)) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        skipped(program);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in &of(1).files {
        let path = folder.path().join(file.path.strip_prefix("/home/dev/").unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &file.bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    run(folder.path());
}

/// What a command prints, when it succeeds.
fn output(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ssh_takes_its_keys() {
    checked_by("ssh-keygen", |home| {
        for kind in ["ed25519", "rsa"] {
            let private = home.join(format!(".ssh/id_{kind}"));
            let public = std::fs::read_to_string(home.join(format!(".ssh/id_{kind}.pub"))).unwrap();
            let told = output(
                std::process::Command::new("ssh-keygen")
                    .arg("-y")
                    .arg("-f")
                    .arg(&private),
            );
            assert_eq!(told.trim(), public.trim());
        }
        output(
            std::process::Command::new("ssh-keygen")
                .arg("-l")
                .arg("-f")
                .arg(home.join(".ssh/known_hosts")),
        );
    });
}

#[test]
fn openssl_takes_keys_and_certificates() {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    checked_by("openssl", |home| {
        let openssl = || std::process::Command::new("openssl");
        let adc = std::fs::read(home.join(".config/gcloud/application_default_credentials.json")).unwrap();
        let adc: serde_json::Value = serde_json::from_slice(&adc).unwrap();
        let key = home.join("adc.pem");
        std::fs::write(&key, adc["private_key"].as_str().unwrap()).unwrap();
        let told = output(openssl().args(["rsa", "-check", "-noout", "-in"]).arg(&key));
        assert!(told.contains("RSA key ok"), "{told}");

        let kube = std::fs::read_to_string(home.join(".kube/config")).unwrap();
        let field = |name: &str| {
            let line = kube
                .lines()
                .find_map(|l| l.trim().strip_prefix(&format!("{name}: ")))
                .unwrap();
            let path = home.join(name);
            std::fs::write(&path, decode(line)).unwrap();
            path
        };
        let (authority, client) = (
            field("certificate-authority-data"),
            field("client-certificate-data"),
        );
        output(
            openssl()
                .arg("verify")
                .arg("-CAfile")
                .arg(&authority)
                .arg(&client),
        );
        let of_certificate = output(openssl().args(["x509", "-noout", "-pubkey", "-in"]).arg(&client));
        let of_key = output(
            openssl()
                .args(["rsa", "-pubout", "-in"])
                .arg(field("client-key-data")),
        );
        assert_eq!(of_certificate, of_key);
    });
}

#[test]
fn python_opens_the_databases() {
    checked_by("python3", |home| {
        let script = r#"
import sqlite3, sys, pathlib
home = pathlib.Path(sys.argv[1])
seen = []
for path in sorted(p for p in home.rglob("*") if p.is_file()):
    if path.read_bytes()[:15] != b"SQLite format 3":
        continue
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        told = [row[0] for row in db.execute("pragma integrity_check")]
        assert told == ["ok"], (path, told)
        seen.append(path.name)
        for name, in db.execute("select name from sqlite_master where type = 'table'").fetchall():
            assert db.execute(f'select count(*) from "{name}"').fetchone()[0] > 0, (path, name)
        if path.name == "cookies.sqlite":
            value, = db.execute("select value from moz_cookies where id = 2").fetchone()
            assert len(value) == 32, value
            names = db.execute("select name, host from moz_cookies order by name, host").fetchall()
            assert names == sorted(names)
        if path.name == "Login Data":
            for value, in db.execute("select password_value from logins"):
                assert value.startswith(b"v11"), value
print(" ".join(seen))
"#;
        let told = output(
            std::process::Command::new("python3")
                .arg("-c")
                .arg(script)
                .arg(home),
        );
        for name in [
            "cookies.sqlite",
            "key4.db",
            "Login Data",
            "Cookies",
            "wallet.dat",
            "credentials.db",
        ] {
            assert!(told.contains(name), "{name} is not among {told}");
        }
    });
}

#[test]
fn json_is_json() {
    for file in &of(1).files {
        let name = file.path.rsplit_once('.').map_or("", |(_, end)| end);
        if name == "json" || file.path.contains("/.electrum/") || file.path.contains("/keystore/") {
            serde_json::from_slice::<serde_json::Value>(&file.bytes)
                .unwrap_or_else(|e| panic!("{}: {e}", file.path));
        }
    }
}
