//! The pages say what is there: links lead somewhere, and dependencies, commands, options and variables are all told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    files
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root(), "md");
    pages.extend(files(&root().join("docs"), "md"));
    pages
}

/// Text without fenced blocks and without code in the line: nothing in them is a link.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Where links of a page lead that leave it and stay in the repository.
fn relative_links(text: &str) -> Vec<String> {
    let text = prose(text);
    let mut links = Vec::new();
    for (at, _) in text.match_indices("](") {
        let rest = &text[at + 2..];
        let Some(end) = rest.find(')') else { continue };
        let target = rest[..end].split('#').next().unwrap_or("");
        if !target.is_empty() && !target.contains(':') {
            links.push(target.to_owned());
        }
    }
    links
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        for link in relative_links(&read(&page)) {
            seen += 1;
            let target = page.parent().unwrap().join(&link);
            assert!(
                target.exists(),
                "{} links to {link}, which is not there",
                page.display()
            );
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn links_are_found_and_code_is_none() {
    let text =
        "[a](x.md#part), [b](https://example.invalid/) and `[c](y.md)`\n```\n[d](z.md)\n```\n[e](../w.md)";
    assert_eq!(relative_links(text), ["x.md", "../w.md"]);
}

#[test]
fn every_page_is_in_the_index_of_pages() {
    let links = relative_links(&read(&root().join("docs/README.md")));
    for page in files(&root().join("docs"), "md") {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || links.iter().any(|l| l == name),
            "docs/README.md does not link to {name}"
        );
    }
}

/// Names of crates from outside that a manifest needs.
fn external(manifest: &Path) -> BTreeSet<String> {
    let table: toml::Table = read(manifest).parse().unwrap();
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| table.get(*kind)?.as_table())
        .flatten()
        .filter(|(_, how)| how.get("path").is_none())
        .map(|(name, _)| name.clone())
        .filter(|name| !name.starts_with("pyti"))
        .collect()
}

#[test]
fn every_dependency_is_explained_and_every_explained_one_is_used() {
    let mut used = external(&root().join("xtask/Cargo.toml"));
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        used.extend(external(&entry.unwrap().path().join("Cargo.toml")));
    }
    let page = read(&root().join("docs/dependencies.md"));
    let tables = page.split("## Programs").next().unwrap();
    let told: BTreeSet<String> = tables
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    let missing: Vec<_> = used.difference(&told).collect();
    assert!(
        missing.is_empty(),
        "docs/dependencies.md does not say why these are here: {missing:?}"
    );
    let gone: Vec<_> = told.difference(&used).collect();
    assert!(
        gone.is_empty(),
        "docs/dependencies.md tells of crates that nobody uses: {gone:?}"
    );
}

#[test]
fn the_commands_of_the_readme_mean_one_program() {
    let readme = read(&root().join("README.md"));
    for command in ["cargo run --release -- run six", "cargo xtask test"] {
        assert!(
            readme.lines().any(|line| line == command),
            "README.md does not tell of `{command}`"
        );
    }
    // several crates have programs: without this, cargo does not know which one to run
    let workspace: toml::Table = read(&root().join("Cargo.toml")).parse().unwrap();
    let default = workspace["workspace"]
        .get("default-members")
        .and_then(|value| value.as_array());
    assert_eq!(
        default.map(|members| members.iter().filter_map(|m| m.as_str()).collect()),
        Some(vec!["crates/pyti"])
    );
    assert!(read(&root().join(".cargo/config.toml")).contains("xtask ="));
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("pyti"))
        .args(arguments)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// First words of the lines of a section of a help text.
fn listed<'a>(text: &'a str, section: &str) -> Vec<&'a str> {
    text.lines()
        .skip_while(|line| !line.starts_with(section))
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn commands_and_options_are_told() {
    let page = read(&root().join("docs/cli.md"));
    let general = help(&[]);
    let commands: Vec<_> = listed(&general, "Commands:")
        .into_iter()
        .filter(|c| *c != "help")
        .collect();
    assert!(commands.contains(&"run"), "{commands:?}");
    for command in commands {
        assert!(
            page.contains(&format!("`pyti {command}")),
            "docs/cli.md does not tell of `pyti {command}`"
        );
        for word in help(&[command]).split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            let is_option = word.len() > 3 && word.starts_with("--") && !word.ends_with('-');
            assert!(
                !is_option || ["--help", "--version"].contains(&word) || page.contains(word),
                "docs/cli.md does not tell of `pyti {command} {word}`"
            );
        }
    }
}

#[test]
fn variables_are_told() {
    // read by tests of documents, or set within a box for our own programs
    const OWN: &[&str] = &["PYTI_COMPILER_LOG", "PYTI_CORPUS"];
    let page = read(&root().join("docs/cli.md"));
    let mut folders: Vec<_> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|e| e == "rs") {
                let text = read(&entry.path());
                seen.extend(text.match_indices("\"PYTI_").map(|(at, _)| {
                    let name: String = text[at + 1..]
                        .chars()
                        .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                        .collect();
                    name
                }));
            }
        }
    }
    assert!(seen.contains("PYTI_CACHE_DIR"), "{seen:?}");
    for name in seen.iter().filter(|name| !OWN.contains(&name.as_str())) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/cli.md does not tell of {name}"
        );
    }
}
