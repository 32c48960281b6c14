//! `pip.conf` on all its levels, and `uv.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ConfigError, Env, Values};

/// A configuration file larger than this is none.
const MAX_BYTES: u64 = 1 << 20;

/// What the files say: key → (value, file).
#[derive(Default)]
pub(super) struct Found {
    pub(super) values: Values,
}

/// Reads the files, weakest first, so that later ones win.
pub(super) fn read(env: Env<'_>) -> Result<Found, ConfigError> {
    let mut found = Found::default();
    for path in pip_files(env) {
        if let Some(text) = text(&path)? {
            ini(&text, &path, &mut found.values);
        }
    }
    for path in uv_files(env) {
        if let Some(text) = text(&path)? {
            uv(&text, &path, &mut found.values)?;
        }
    }
    Ok(found)
}

fn set(env: Env<'_>, name: &str) -> Option<PathBuf> {
    env(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn config_home(env: Env<'_>) -> Option<PathBuf> {
    set(env, "XDG_CONFIG_HOME").or_else(|| set(env, "HOME").map(|home| home.join(".config")))
}

/// pip's levels: global, user, site, and the file that the environment names. The null device there means none at all.
fn pip_files(env: Env<'_>) -> Vec<PathBuf> {
    let named = set(env, "PIP_CONFIG_FILE");
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = env("XDG_CONFIG_DIRS")
        .filter(|dirs| !dirs.is_empty())
        .unwrap_or_else(|| "/etc/xdg".into())
        .split(':')
        .map(|dir| Path::new(dir).join("pip/pip.conf"))
        .collect();
    files.push("/etc/pip.conf".into());
    files.extend(set(env, "HOME").map(|home| home.join(".pip/pip.conf")));
    files.extend(config_home(env).map(|dir| dir.join("pip/pip.conf")));
    files.extend(set(env, "VIRTUAL_ENV").map(|dir| dir.join("pip.conf")));
    files.extend(named);
    files
}

fn uv_files(env: Env<'_>) -> Vec<PathBuf> {
    if env("UV_NO_CONFIG").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")) {
        return Vec::new();
    }
    if let Some(file) = set(env, "UV_CONFIG_FILE") {
        return vec![file];
    }
    let mut files = vec![PathBuf::from("/etc/uv/uv.toml")];
    files.extend(config_home(env).map(|dir| dir.join("uv/uv.toml")));
    files
}

fn text(path: &Path) -> Result<Option<String>, ConfigError> {
    let bad = |why: String| ConfigError::BadFile {
        path: path.to_owned(),
        why,
    };
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() <= MAX_BYTES => fs::read_to_string(path)
            .map(Some)
            .map_err(|error| bad(error.to_string())),
        Ok(meta) if meta.is_file() => Err(bad(format!("{} bytes are too many", meta.len()))),
        _ => Ok(None),
    }
}

/// Python's configuration form as far as pip uses it: sections, `key = value` or `key: value`, values that go on
/// in indented lines. `[install]` is stronger than `[global]`.
fn ini(text: &str, path: &Path, values: &mut Values) {
    let mut sections: [Vec<(String, String)>; 2] = [Vec::new(), Vec::new()];
    let mut section = None;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = match name.trim() {
                "global" => Some(0),
                "install" => Some(1),
                _ => None,
            };
            continue;
        }
        let Some(section) = section else { continue };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = sections[section].last_mut() {
                value.push('\n');
                value.push_str(bare);
            }
        } else if let Some(at) = bare.find(['=', ':']) {
            let key = bare[..at].trim().to_ascii_lowercase().replace('_', "-");
            sections[section].push((key, bare[at + 1..].trim().to_owned()));
        }
    }
    for (key, value) in sections.into_iter().flatten() {
        let key = if key == "default-timeout" {
            "timeout".to_owned()
        } else {
            key
        };
        values.insert(key, (value.trim().to_owned(), path.display().to_string()));
    }
}

fn uv(text: &str, path: &Path, values: &mut Values) -> Result<(), ConfigError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::BadFile {
            path: path.to_owned(),
            why: error.message().to_owned(),
        })?;
    let mut put = |key: &str, value: String| {
        values.insert(key.to_owned(), (value, path.display().to_string()));
    };
    let list = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items
            .iter()
            .filter_map(toml::Value::as_str)
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    };
    let pip = table.get("pip").and_then(toml::Value::as_table);
    for table in [Some(&table), pip].into_iter().flatten() {
        for (theirs, ours) in [
            ("index-url", "index-url"),
            ("extra-index-url", "extra-index-url"),
            ("find-links", "find-links"),
            ("allow-insecure-host", "trusted-host"),
        ] {
            if let Some(value) = table.get(theirs).map(list).filter(|value| !value.is_empty()) {
                put(ours, value);
            }
        }
        let mut extra = Vec::new();
        for index in table
            .get("index")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let Some(url) = index.get("url").and_then(toml::Value::as_str) else {
                continue;
            };
            if index.get("default").and_then(toml::Value::as_bool) == Some(true) {
                put("index-url", url.to_owned());
            } else if index.get("explicit").and_then(toml::Value::as_bool) != Some(true) {
                extra.push(url);
            }
        }
        if !extra.is_empty() {
            put("extra-index-url", extra.join("\n"));
        }
    }
    Ok(())
}
