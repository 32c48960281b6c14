//! A project: its releases by interpreters, and its history.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use pyti_store::{Env, Store};
use serde::Serialize;

use super::{Frame, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::query::Query;
use crate::site::Site;
use crate::views::{Answers, FileView, ResultView};
use crate::words;

/// Releases of one page, fewer where they have many files; files of one release, and results of its history.
const RELEASES: u32 = 8;
const FILES_IN_ALL: usize = 40;
const FILES: usize = 12;
const HISTORY: u32 = 20;

#[derive(Template, Serialize)]
#[template(path = "project.html")]
struct Project {
    #[serde(skip)]
    frame: Frame,
    name: String,
    /// How many files and environments have a result.
    tested: u64,
    /// The newest result of the newest release, for each answer the worst.
    newest: Option<Newest>,
    /// Environments of the matrix, in order.
    #[serde(skip)]
    columns: Vec<Column>,
    releases: Vec<Release>,
    /// Where older releases are.
    next: Option<String>,
    /// Results of all its files, newest first.
    history: Vec<ResultView>,
    /// Where older results are.
    next_history: Option<String>,
}

/// What the newest release came to.
#[derive(Debug, Serialize)]
pub(crate) struct Newest {
    pub(crate) version: crate::hostile::Hostile,
    pub(crate) works: pyti_model::outcome::Status,
    pub(crate) safe: pyti_model::outcome::Verdict,
}

impl Answers for Newest {
    fn status(&self) -> pyti_model::outcome::Status {
        self.works
    }

    fn verdict(&self) -> pyti_model::outcome::Verdict {
        self.safe
    }
}

struct Column {
    id: i64,
    title: String,
    env: Env,
}

#[derive(Serialize)]
struct Release {
    version: crate::hostile::Hostile,
    files: Vec<Row>,
    /// Files that are not listed.
    more: usize,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    file: FileView,
    /// The newest result in each environment.
    results: Vec<ResultView>,
}

impl Row {
    fn at(&self, column: &Column) -> Option<&ResultView> {
        self.results.iter().find(|result| result.env_id == column.id)
    }
}

fn weight(verdict: pyti_model::outcome::Verdict) -> u8 {
    use pyti_model::outcome::Verdict;
    match verdict {
        Verdict::NotJudged => 0,
        Verdict::Clean => 1,
        Verdict::Notable => 2,
        Verdict::Inconclusive => 3,
        Verdict::Suspicious => 4,
        Verdict::Harmful => 5,
    }
}

/// The answers for some results of one release: of *works?* the wheels' worst, since that is what a user gets; of *safe?* the worst of all.
fn newest(version: &str, results: &[ResultView]) -> Option<Newest> {
    let works = |kind: &str| {
        results
            .iter()
            .filter(|result| result.kind == kind)
            .map(|result| result.status)
            .max_by_key(|status| pyti_model::outcome::Status::ALL.iter().position(|s| s == status))
    };
    Some(Newest {
        version: version.into(),
        works: works("wheel").or_else(|| works("sdist"))?,
        safe: results
            .iter()
            .map(|result| result.verdict)
            .max_by_key(|verdict| weight(*verdict))?,
    })
}

/// What the newest release with results came to.
pub(crate) fn current(store: &Store, name: &str) -> Result<Option<Newest>, Fault> {
    let project = store
        .project(name)?
        .ok_or_else(|| Fault::NotFound(format!("no file of a project {name} was ever tested here")))?;
    for version in store.versions(project, None, RELEASES)? {
        let results: Vec<ResultView> = store
            .matrix(vec![version.id])?
            .into_iter()
            .flat_map(|(_, results)| results)
            .map(Into::into)
            .collect();
        if let Some(newest) = newest(&version.version, &results) {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

pub(crate) async fn project(site: &Site, name: String, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<i64>("before")?;
    let after = match query.get("after") {
        None => None,
        Some(text) => Some(unhex(text).ok_or(Fault::Bad("there is no such place in the releases"))?),
    };
    let first = after.is_none();
    let asked = name.clone();
    let (versions, files, more, history, tested) = site
        .read(move |store| {
            let project = store.project(&asked)?.ok_or_else(|| {
                Fault::NotFound(format!("no file of a project {asked} was ever tested here"))
            })?;
            let mut versions = store.versions(project, after, RELEASES)?;
            let (mut files, mut shown) = (Vec::new(), 0);
            for version in &versions {
                files.extend(store.matrix(vec![version.id])?);
                shown += 1;
                if files.len() >= FILES_IN_ALL {
                    break;
                }
            }
            let more = shown < versions.len() || versions.len() == RELEASES as usize;
            versions.truncate(shown);
            let history = store.project_results(project, before, HISTORY)?;
            Ok((versions, files, more, history, store.tested(project)?))
        })
        .await?;
    let path = format!("/projects/{name}");
    let next = versions
        .last()
        .filter(|_| more)
        .map(|version| link(form, &path, &[("after", &hex(&version.sort_key))]));
    let next_history = history
        .last()
        .filter(|_| history.len() == HISTORY as usize)
        .map(|row| {
            format!(
                "{}#history",
                link(form, &path, &[("before", &row.id.to_string())])
            )
        });
    let mut columns = BTreeMap::new();
    let mut by_version: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for (file, results) in files {
        for result in &results {
            columns.entry(result.env_id).or_insert_with(|| result.env.clone());
        }
        by_version.entry(file.version_id).or_default().push(Row {
            file: file.into(),
            results: results.into_iter().map(Into::into).collect(),
        });
    }
    let mut releases: Vec<Release> = versions
        .into_iter()
        .map(|version| {
            let mut files = by_version.remove(&version.id).unwrap_or_default();
            files.sort_by(|a, b| (b.file.kind, &a.file.name).cmp(&(a.file.kind, &b.file.name)));
            Release {
                version: version.version.into(),
                more: files.len().saturating_sub(FILES),
                files,
            }
        })
        .collect();
    let newest = releases.iter().filter(|_| first).find_map(|release| {
        let results: Vec<ResultView> = release.files.iter().flat_map(|row| row.results.clone()).collect();
        newest(release.version.raw(), &results)
    });
    if form == Form::Html {
        for release in &mut releases {
            release.files.truncate(FILES);
        }
    }
    let mut frame = Frame::new(site, name.clone(), "projects", &path);
    frame.atom = Some((format!("{path}.atom"), format!("Results of {name}")));
    let page = Project {
        frame,
        name,
        tested,
        newest,
        columns: titles(columns),
        releases,
        next,
        history: history.into_iter().map(Into::into).collect(),
        next_history,
    };
    say(form, &page)
}

/// Columns in order of their interpreters; platform and isolation are named where they differ.
fn titles(envs: BTreeMap<i64, Env>) -> Vec<Column> {
    let differ = |of: &dyn Fn(&Env) -> String| {
        let mut all: Vec<String> = envs.values().map(of).collect();
        all.sort();
        all.dedup();
        all.len() > 1
    };
    let platforms = differ(&|env| env.platform.clone());
    let isolations = differ(&|env| env.isolation.clone());
    let options = differ(&|env| env.options.clone());
    let mut columns: Vec<Column> = envs
        .into_iter()
        .map(|(id, env)| {
            let mut title = words::interpreter(&env.interpreter);
            for (named, text) in [
                (platforms, &env.platform),
                (isolations, &env.isolation),
                (options, &env.options),
            ] {
                if named && !text.is_empty() {
                    title.push_str(" · ");
                    title.push_str(&crate::hostile::Hostile::from(text.as_str()).plain());
                }
            }
            Column { id, title, env }
        })
        .collect();
    columns.sort_by_key(|column| std::cmp::Reverse(place(&column.env.interpreter)));
    columns
}

/// Something that sorts as versions of interpreters do.
fn place(label: &str) -> (bool, Vec<u32>, String) {
    let (name, version) = label.split_once('-').unwrap_or((label, ""));
    let numbers = version
        .split('.')
        .map(|part| part.trim_end_matches('t').parse().unwrap_or(0))
        .collect();
    (name == "cpython", numbers, label.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.len() > 1024 {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_ordered_as_versions_the_newest_first() {
        let env = |interpreter: &str| Env {
            platform: "linux/x86_64".into(),
            interpreter: interpreter.into(),
            isolation: "sandbox".into(),
            options: String::new(),
        };
        let envs = [
            (1, env("cpython-3.9")),
            (2, env("cpython-3.13")),
            (3, env("pypy-3.10")),
        ];
        let titles: Vec<_> = titles(envs.into()).into_iter().map(|c| c.title).collect();
        assert_eq!(titles, ["CPython 3.13", "CPython 3.9", "PyPy 3.10"]);
    }

    #[test]
    fn keys_survive_an_address() {
        assert_eq!(unhex(&hex(&[0, 1, 255])), Some(vec![0, 1, 255]));
        assert_eq!((unhex("0"), unhex("zz"), unhex("ää")), (None, None, None));
    }
}
