//! Which installed distribution brings which modules, by their RECORD.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use pyti_model::quality::Provider;

/// Bytes of a RECORD that are read at most.
const RECORD: u64 = 16 << 20;
/// Modules of one distribution that are listed.
const LISTED: usize = 300;
/// Distributions that are looked at.
const DISTRIBUTIONS: usize = 2_000;

/// Reads every RECORD of a site-packages.
pub(super) fn of(site_packages: &Path) -> Vec<Provider> {
    let entries = fs::read_dir(site_packages).into_iter().flatten().flatten();
    let mut found = BTreeMap::new();
    for entry in entries.take(DISTRIBUTIONS * 4) {
        let Ok(folder) = entry.file_name().into_string() else {
            continue;
        };
        let Some(name) = folder
            .strip_suffix(".dist-info")
            .and_then(|stem| stem.split('-').next())
        else {
            continue;
        };
        let mut text = Vec::new();
        let read =
            File::open(entry.path().join("RECORD")).and_then(|file| file.take(RECORD).read_to_end(&mut text));
        if read.is_ok() && found.len() < DISTRIBUTIONS {
            found.insert(normal(name), modules(&String::from_utf8_lossy(&text)));
        }
    }
    found
        .into_iter()
        .map(|(name, modules)| Provider { name, modules })
        .collect()
}

/// A project's name as PEP 503 normalises it.
fn normal(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Packages at the top, modules at the top, and what lies in namespaces.
fn modules(record: &str) -> Vec<String> {
    let paths: Vec<&str> = record
        .lines()
        .filter_map(|line| line.trim_start_matches('"').split([',', '"']).next())
        .filter(|path| !path.starts_with("../") && !path.starts_with('/') && !path.contains(".dist-info/"))
        .collect();
    let packages: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| {
            path.strip_suffix("/__init__.py")
                .or(path.strip_suffix("/__init__.pyi"))
        })
        .collect();
    let mut found = BTreeSet::new();
    for path in &paths {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, ending) = file.split_once('.').unwrap_or((file, ""));
        if !(matches!(ending, "py" | "pyi") || ending.ends_with("so") || ending.ends_with("pyd")) {
            continue;
        }
        let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let package = (1..=parts.len())
            .map(|n| parts[..n].join("/"))
            .find(|p| packages.contains(p.as_str()));
        let module = package.unwrap_or_else(|| {
            let mut parts = parts.clone();
            parts.push(stem);
            parts.join("/")
        });
        if found.len() < LISTED {
            found.insert(module.replace('/', ".").replace("-stubs", ""));
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_modules_and_namespaces_are_told() {
        let record = "yaml/__init__.py,,\nyaml/x.py,,\n_yaml/__init__.py,,\ngoogle/cloud/storage/__init__.py,,\n\
                      six.py,,\n../../bin/x,,\nfast.cpython-313-x86_64-linux-gnu.so,,\nPyYAML-1.dist-info/RECORD,,\nns/m.py,,\n";
        assert_eq!(
            modules(record),
            ["_yaml", "fast", "google.cloud.storage", "ns.m", "six", "yaml"]
        );
    }
}
