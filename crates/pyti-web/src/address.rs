//! Addresses: which page is meant, and in which form. Pure.

use pyti_model::Digest;

use crate::statics::{self, Static};

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    Front,
    Search,
    Results,
    Project(String),
    File(Digest),
    OneResult(i64),
    Compare,
    Findings,
    Rules,
    Rule(String),
    Reasons,
    Workers,
    Job(u64),
    About,
}

/// How a page is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
}

/// Which of the two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Works,
    Safe,
}

/// Something of one result, as a file to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Artifact {
    Recording,
    Report,
    Junit,
    Sarif,
    Stix,
    PackageAnalysis,
    Markdown,
    Csv,
    Log(Option<String>),
}

/// Everything that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Page(Page, Form),
    ProjectAtom(String),
    VerdictsAtom,
    Badge(String, Question),
    Artifact(i64, Artifact),
    Stream,
    Export,
    Metrics,
    Health,
    Ready,
    Static(&'static Static),
    /// The same thing has another address.
    Moved(String),
}

/// Normalizes a project's name; nothing, when it cannot be one.
pub(crate) fn project_name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let good = text.len() <= 200
        && text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.'));
    if !good {
        return None;
    }
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !name.ends_with('-') {
                name.push('-');
            }
        } else {
            name.push(c.to_ascii_lowercase());
        }
    }
    Some(name)
}

/// A name of ours: of a rule, of a task.
fn word(text: &str) -> Option<String> {
    let good = !text.is_empty()
        && text.len() <= 100
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    good.then(|| text.to_owned())
}

fn wants_json(accept: &str) -> bool {
    let first = accept
        .split(',')
        .map(|kind| kind.split(';').next().unwrap_or("").trim())
        .find(|kind| matches!(*kind, "text/html" | "application/json" | "application/xhtml+xml"));
    first == Some("application/json")
}

/// What an address means; `accept` is the header of that name.
pub(crate) fn read(path: &str, accept: &str) -> Option<Address> {
    if !path.starts_with('/') || path.contains('%') {
        // no address of ours needs an escape
        return None;
    }
    let (path, form) = match path.strip_suffix(".json") {
        Some(path) => (path, Form::Json),
        None if wants_json(accept) => (path, Form::Json),
        None => (path, Form::Html),
    };
    let page = |page| Some(Address::Page(page, form));
    let parts: Vec<&str> = path[1..].split('/').collect();
    match parts.as_slice() {
        ["" | "index"] => page(Page::Front),
        ["search"] => page(Page::Search),
        ["results"] => page(Page::Results),
        ["compare"] => page(Page::Compare),
        ["findings"] => page(Page::Findings),
        ["rules"] => page(Page::Rules),
        ["rules", rule] => page(Page::Rule(word(rule)?)),
        ["reasons"] => page(Page::Reasons),
        ["workers"] => page(Page::Workers),
        ["about"] => page(Page::About),
        ["jobs", id] => page(Page::Job(id.parse().ok()?)),
        ["files", sha256] => page(Page::File(sha256.parse().ok()?)),
        ["results", id] => page(Page::OneResult(id.parse().ok()?)),
        ["results", id, rest @ ..] => Some(Address::Artifact(id.parse().ok()?, artifact(rest, form)?)),
        ["projects", name] => {
            let (name, atom) = match name.strip_suffix(".atom") {
                Some(name) => (name, true),
                None => (*name, false),
            };
            let right = project_name(name)?;
            match (right == name, atom) {
                (true, true) => Some(Address::ProjectAtom(right)),
                (true, false) => page(Page::Project(right)),
                (false, _) => Some(Address::Moved(format!(
                    "/projects/{right}{}",
                    match (atom, form) {
                        (true, _) => ".atom",
                        (false, Form::Json) => ".json",
                        (false, Form::Html) => "",
                    }
                ))),
            }
        }
        ["projects", name, "works.svg"] => Some(Address::Badge(project_name(name)?, Question::Works)),
        ["projects", name, "safe.svg"] => Some(Address::Badge(project_name(name)?, Question::Safe)),
        ["verdicts.atom"] => Some(Address::VerdictsAtom),
        ["stream"] => Some(Address::Stream),
        ["results.jsonl"] => Some(Address::Export),
        ["metrics"] => Some(Address::Metrics),
        ["health"] => Some(Address::Health),
        ["ready"] => Some(Address::Ready),
        ["static", name] => statics::find(name).map(Address::Static),
        _ => None,
    }
}

fn artifact(rest: &[&str], form: Form) -> Option<Artifact> {
    Some(match (rest, form) {
        (["sarif"], Form::Json) => Artifact::Sarif,
        (["stix"], Form::Json) => Artifact::Stix,
        (["package-analysis"], Form::Json) => Artifact::PackageAnalysis,
        (["recording"], _) => Artifact::Recording,
        (["report.html"], _) => Artifact::Report,
        (["junit.xml"], _) => Artifact::Junit,
        (["report.md"], _) => Artifact::Markdown,
        (["events.csv"], _) => Artifact::Csv,
        (["log.txt"], _) => Artifact::Log(None),
        (["log", task], _) => Artifact::Log(Some(word(task.strip_suffix(".txt")?)?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(path: &str) -> Option<Address> {
        read(path, "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    #[test]
    fn every_page_has_an_address_and_a_second_one_for_json() {
        let sha = "ab".repeat(32);
        for (path, page) in [
            ("/search".to_owned(), Page::Search),
            ("/results".to_owned(), Page::Results),
            ("/results/7".to_owned(), Page::OneResult(7)),
            ("/projects/six".to_owned(), Page::Project("six".into())),
            (format!("/files/{sha}"), Page::File(sha.parse().unwrap())),
            ("/jobs/3".to_owned(), Page::Job(3)),
            ("/rules/a-b".to_owned(), Page::Rule("a-b".into())),
        ] {
            assert_eq!(
                html(&path),
                Some(Address::Page(page.clone(), Form::Html)),
                "{path}"
            );
            let json = Some(Address::Page(page, Form::Json));
            assert_eq!(html(&format!("{path}.json")), json, "{path}");
            assert_eq!(read(&path, "application/json"), json, "{path}");
        }
        assert_eq!(html("/"), Some(Address::Page(Page::Front, Form::Html)));
        assert_eq!(html("/index.json"), Some(Address::Page(Page::Front, Form::Json)));
    }

    #[test]
    fn what_is_no_address_is_nothing() {
        for path in [
            "",
            "x",
            "//",
            "/results/x",
            "/results/99999999999999999999",
            "/files/abc",
            "/projects/-x",
            "/projects/%3Cscript%3E",
            "/projects/a/b",
            "/static/../Cargo.toml",
            "/static/..",
            "/results/1/log/..%2f",
            "/results/1/nothing",
        ] {
            assert_eq!(html(path), None, "{path}");
        }
    }

    #[test]
    fn names_are_normalized_by_a_redirect() {
        assert_eq!(
            html("/projects/Foo_.Bar"),
            Some(Address::Moved("/projects/foo-bar".into()))
        );
        assert_eq!(
            html("/projects/Foo.atom"),
            Some(Address::Moved("/projects/foo.atom".into()))
        );
        assert_eq!(
            html("/projects/foo.atom"),
            Some(Address::ProjectAtom("foo".into()))
        );
    }

    #[test]
    fn a_browser_gets_html_and_a_program_that_asks_for_json_gets_it() {
        assert!(!wants_json("text/html,application/json;q=0.9"));
        assert!(wants_json("application/json, text/html"));
        assert!(!wants_json("*/*"));
    }
}
