//! pytest's configuration, from the first file that pytest would take.

use crate::declaration::{Project, strings};
use crate::ini::{self, Ini};
use crate::tree::{Tree, is_python};

/// What of the configuration matters here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where it was found.
    pub(crate) file: Option<String>,
    pub(crate) testpaths: Vec<String>,
    pub(crate) addopts: Vec<String>,
    pub(crate) python_files: Vec<String>,
    pub(crate) required_plugins: Vec<String>,
    /// `pythonpath` is set.
    pub(crate) pythonpath: bool,
    /// All keys that are set.
    pub(crate) keys: Vec<String>,
}

/// Reads it.
pub(crate) fn config(tree: &dyn Tree, project: &Project) -> Config {
    for file in ["pytest.toml", ".pytest.toml"] {
        if let Some(table) = tree.text(file).and_then(|text| text.parse::<toml::Table>().ok())
            && let Some(options) = table.get("pytest").and_then(toml::Value::as_table)
        {
            return of_toml(file, options);
        }
    }
    for file in ["pytest.ini", ".pytest.ini"] {
        if let Some(text) = tree.text(file)
            && let Some(config) = of_ini(file, &ini::read(&text), "pytest")
        {
            return config;
        }
    }
    if let Some(tool) = project.table(&["tool", "pytest"]) {
        let options = tool
            .get("ini_options")
            .and_then(toml::Value::as_table)
            .unwrap_or(tool);
        return of_toml("pyproject.toml", options);
    }
    of_ini("tox.ini", &project.tox_ini, "pytest")
        .or_else(|| of_ini("setup.cfg", &project.setup_cfg, "tool:pytest"))
        .unwrap_or_default()
}

fn of_toml(file: &str, options: &toml::Table) -> Config {
    let list = |key: &str| match options.get(key) {
        Some(toml::Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        other => strings(other),
    };
    Config {
        file: Some(file.to_owned()),
        testpaths: list("testpaths"),
        addopts: match options.get("addopts") {
            Some(toml::Value::String(text)) => words(text),
            other => strings(other),
        },
        python_files: list("python_files"),
        required_plugins: match options.get("required_plugins") {
            Some(toml::Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            other => strings(other),
        },
        pythonpath: options.contains_key("pythonpath"),
        keys: options.keys().cloned().collect(),
    }
}

fn of_ini(file: &str, ini: &Ini, section: &str) -> Option<Config> {
    let options = ini.get(section)?;
    let list = |key: &str| {
        options
            .get(key)
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    Some(Config {
        file: Some(file.to_owned()),
        testpaths: list("testpaths"),
        addopts: options.get("addopts").map(|text| words(text)).unwrap_or_default(),
        python_files: list("python_files"),
        required_plugins: list("required_plugins"),
        pythonpath: options.contains_key("pythonpath"),
        keys: options.keys().cloned().collect(),
    })
}

/// Words as a shell would see them.
pub(crate) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.extend(chars.next()),
            (None, '\'' | '"') => (quote, any) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (_, c) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether a file's name is one that pytest would take.
pub(crate) fn is_test_name(name: &str, patterns: &[String]) -> bool {
    if patterns.is_empty() {
        return is_python(name) && (name.starts_with("test_") || name.ends_with("_test.py"));
    }
    patterns.iter().any(|pattern| glob(pattern, name))
}

/// `*` and `?` only.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_globs_are_read() {
        assert_eq!(
            words("-m 'not stress' -q\n --x=\"a b\""),
            ["-m", "not stress", "-q", "--x=a b"]
        );
        assert!(glob("test_*.py", "test_a.py") && !glob("test_*.py", "atest_a.py"));
        assert!(glob("*", "x") && glob("a?c", "abc") && !glob("a?c", "ac"));
        assert!(is_test_name("a_test.py", &[]) && !is_test_name("a_tests.py", &[]));
    }
}
