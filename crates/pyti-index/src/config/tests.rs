use std::collections::HashMap;
use std::fs;

use super::*;

fn discover(pairs: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, ConfigError> {
    let map: HashMap<String, String> = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Settings::discover(&|name| map.get(name).cloned(), overrides)
}

#[test]
fn the_environment_beats_files_and_uv_beats_pip() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join(".config/pip")).unwrap();
    fs::write(
        home.path().join(".config/pip/pip.conf"),
        "[global]\nindex-url = http://file.invalid/simple\nextra-index-url =\n  http://e1.invalid/s\n  http://e2.invalid/s/\ntimeout: 7\n[install]\ntrusted-host = file.invalid\n",
    )
    .unwrap();
    let home = home.path().to_str().unwrap();
    let from_file = discover(&[("HOME", home)], &Overrides::default()).unwrap();
    assert_eq!(from_file.index_url.as_str(), "http://file.invalid/simple/");
    assert!(from_file.origin.ends_with("pip.conf"));
    assert_eq!(from_file.extra.len(), 2);
    assert_eq!(from_file.timeout, Duration::from_secs(7));
    assert_eq!(from_file.trusted_hosts, ["file.invalid"]);
    let pip = discover(
        &[("HOME", home), ("PIP_INDEX_URL", "http://pip.invalid/simple")],
        &Overrides::default(),
    )
    .unwrap();
    assert_eq!(
        (pip.index_url.host_str(), pip.origin.as_str()),
        (Some("pip.invalid"), "PIP_INDEX_URL")
    );
    let uv = discover(
        &[
            ("HOME", home),
            ("PIP_INDEX_URL", "http://pip.invalid/"),
            ("UV_DEFAULT_INDEX", "http://uv.invalid/"),
        ],
        &Overrides::default(),
    )
    .unwrap();
    assert_eq!(uv.index_url.host_str(), Some("uv.invalid"));
    let given = Overrides {
        index_url: Some("http://given.invalid".into()),
        ..Overrides::default()
    };
    assert_eq!(
        discover(&[("HOME", home)], &given).unwrap().index_url.host_str(),
        Some("given.invalid")
    );
}

#[test]
fn uv_toml_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("uv.toml");
    fs::write(
        &file,
        "[[index]]\nurl='http://main.invalid/s'\ndefault=true\n[[index]]\nurl='http://more.invalid/s'\n",
    )
    .unwrap();
    let settings = discover(
        &[("UV_CONFIG_FILE", file.to_str().unwrap())],
        &Overrides::default(),
    )
    .unwrap();
    assert_eq!(settings.index_url.host_str(), Some("main.invalid"));
    assert_eq!(settings.extra[0].as_str(), "http://more.invalid/s/");
}

#[test]
fn denied_addresses_are_named_by_origin_and_not_shown() {
    let error = discover(
        &[("PIP_INDEX_URL", "ftp://user:secret@x.invalid/")],
        &Overrides::default(),
    )
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("PIP_INDEX_URL") && !text.contains("secret"),
        "{text}"
    );
    assert!(
        discover(
            &[],
            &Overrides {
                ignore_files: true,
                ..Overrides::default()
            }
        )
        .is_err()
    );
}
