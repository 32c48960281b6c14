//! What the words of a failed attempt show. They are a package's own and may say anything: they choose what is tried, never
//! what the result is.

use pyti_model::raw::{Test, TestOutcome};

use crate::tables;

/// Texts that are looked at.
const MOST: usize = 400;

/// Everything that an attempt said about what went wrong.
pub(super) fn texts(test: &Test, said: &str) -> Vec<String> {
    let mut texts: Vec<String> = test
        .collection_errors
        .iter()
        .map(|(_, text)| text.lossy().into_owned())
        .chain(
            test.cases
                .iter()
                .filter(|case| matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error))
                .map(|case| case.message.lossy().into_owned()),
        )
        .take(MOST)
        .collect();
    // what a runner printed besides is all there is when it told of no test
    if texts.is_empty() || !test.finished || test.counts.executed() == 0 {
        texts.push(said.to_owned());
    }
    texts
}

/// Modules that could not be imported, dotted, each once.
pub(super) fn missing_modules(texts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in texts {
        for rest in text.split("No module named ").skip(1).take(50) {
            let name: String = rest
                .trim_start_matches(['\'', '"'])
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
                .take(200)
                .collect();
            let name = name.trim_end_matches('.').to_owned();
            if !name.is_empty() && !names.contains(&name) && names.len() < 50 {
                names.push(name);
            }
        }
    }
    names
}

/// Plugins of pytest that are missing: the words that show it, and the plugin.
pub(super) fn missing_plugins(texts: &[String]) -> Vec<(String, &'static str)> {
    let mut found: Vec<(String, &'static str)> = Vec::new();
    let mut add = |word: String, plugin: &'static str| {
        if !found.iter().any(|(_, known)| *known == plugin) && found.len() < 10 {
            found.push((word, plugin));
        }
    };
    for text in texts {
        for rest in text.split("fixture '").skip(1).take(20) {
            let Some((name, rest)) = rest.split_once('\'') else {
                continue;
            };
            if rest.starts_with(" not found")
                && let Some(plugin) = tables::plugin_of_fixture(name)
            {
                add(format!("fixture '{name}' not found"), plugin);
            }
        }
        let asyncio = text.contains("async def functions are not natively supported")
            || text.contains("'asyncio' not found in `markers`")
            || text.contains("Unknown pytest.mark.asyncio");
        if asyncio {
            add("async tests need a plugin".to_owned(), "pytest-asyncio");
        }
        for rest in text.split("Unknown pytest.mark.").skip(1).take(20) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if let Some(plugin) = tables::plugin_of_mark(&name) {
                add(format!("unknown mark {name}"), plugin);
            }
        }
    }
    found
}

/// A file of what was taken away that the tests wanted to read.
pub(super) fn missing_source(texts: &[String], tree: &str, hidden: &[String]) -> Option<String> {
    for text in texts.iter().filter(|text| is_about_files(text)) {
        for path in hidden {
            for start in [format!("{tree}/{path}"), format!("'{path}"), format!("\"{path}")] {
                let at = text.match_indices(&start).find(|(at, start)| {
                    text[at + start.len()..].starts_with(['/', '\'', '"', '\n', ':', ' ', ','])
                });
                if let Some((at, _)) = at {
                    let whole: String = text[at..]
                        .trim_start_matches(['\'', '"'])
                        .chars()
                        .take_while(|c| !c.is_whitespace() && !matches!(c, '\'' | '"' | ':' | ','))
                        .take(200)
                        .collect();
                    let whole = whole.trim_start_matches(tree).trim_start_matches('/');
                    return Some(whole.to_owned());
                }
            }
        }
    }
    None
}

/// Whether a path is one of these, or lies in one.
pub(super) fn lies_in(path: &str, places: &[String]) -> bool {
    places.iter().any(|place| {
        path.strip_prefix(place.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn is_about_files(text: &str) -> bool {
    [
        "No such file or directory",
        "FileNotFoundError",
        "NotADirectoryError",
        "does not exist",
        "not found",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// The folder of the tree in which a module or package of this name lies: the shortest; none when there are too many to
/// know which is meant.
pub(super) fn folder_of(files: &[String], top: &str) -> Option<String> {
    let (file, package) = (format!("{top}.py"), format!("{top}/"));
    let mut folders: Vec<&str> = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".py")) {
        let folder = if let Some(folder) = path.strip_suffix(&file) {
            Some(folder)
        } else {
            path.find(&package).map(|at| &path[..at])
        };
        if let Some(folder) = folder.filter(|folder| folder.is_empty() || folder.ends_with('/')) {
            let folder = folder.trim_end_matches('/');
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders.sort_by_key(|folder| folder.len());
    (folders.len() <= 3).then(|| folders.first().map(|folder| (*folder).to_owned()))?
}

/// Whether a text has this canonical name of a distribution in it, as a word of its own.
pub(super) fn names(text: &str, name: &str) -> bool {
    let text = text.to_lowercase().replace(['_', '.'], "-");
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_part);
        let rest = &text[at + name.len()..];
        let mut after = rest.chars();
        // the end of a sentence looks like the dash of a longer name
        let after = match after.next() {
            Some('-') => after.next().is_some_and(char::is_alphanumeric),
            other => other.is_some_and(is_part),
        };
        !before && !after
    })
}

/// Whether everything that failed, failed for want of a network, a service or a display: other versions don't help.
pub(super) fn is_about_the_network(test: &Test) -> bool {
    const WORDS: &[&str] = &[
        "Connection refused",
        "Name or service not known",
        "Temporary failure in name resolution",
        "Network is unreachable",
        "No route to host",
        "nodename nor servname",
        "couldn't connect to display",
        "no display name",
        "timed out",
    ];
    let mut any = false;
    for case in test
        .cases
        .iter()
        .filter(|case| matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error))
        .take(MOST)
    {
        let text = case.message.lossy();
        if !WORDS.iter().any(|word| text.contains(word)) {
            return false;
        }
        any = true;
    }
    any && test.collection_errors.is_empty()
}
