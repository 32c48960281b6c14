//! A file, and one result of it: all that the HTML report has, from the same templates.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use pyti_model::Digest;
use pyti_store::{File, ResultRow, Store};
use serde::Serialize;

use super::{Frame, link, say};
use crate::address::Form;
use crate::child::{Page, Wanted};
use crate::fault::Fault;
use crate::hostile::Markup;
use crate::query::Query;
use crate::site::Site;
use crate::views::{Answers as _, FileView, FindingView, JobView, ResultView};

/// Results of the history, and jobs.
const HISTORY: u32 = 20;
const JOBS: u32 = 20;

#[derive(Template, Serialize)]
#[template(path = "file.html")]
struct FilePage {
    #[serde(skip)]
    frame: Frame,
    file: FileView,
    /// Files of the same content under another name.
    also: Vec<FileView>,
    /// The newest result in each environment.
    results: Vec<ResultView>,
    /// The result that is shown.
    result: Option<ResultView>,
    findings: Vec<FindingView>,
    /// Earlier and later results in the same environment.
    history: Vec<ResultView>,
    next_history: Option<String>,
    /// Jobs that have not ended.
    jobs: Vec<JobView>,
    /// What `pyti run --json` says of it.
    summary: Option<serde_json::Value>,
    /// Why there is no report.
    no_report: Option<String>,
    #[serde(skip)]
    report: Option<Markup>,
    /// Tasks that said something.
    #[serde(skip)]
    tasks: Vec<String>,
}

impl FilePage {
    /// Whether there is anything to take away.
    fn has_files(&self) -> bool {
        let recording = self.result.as_ref().and_then(|row| row.recording.as_ref());
        self.report.is_some() || recording.is_some_and(|recording| recording.kept)
    }
}

struct Known {
    file: File,
    also: Vec<File>,
    results: Vec<ResultRow>,
    chosen: Option<ResultRow>,
    findings: Vec<pyti_store::FindingRow>,
    history: Vec<ResultRow>,
    jobs: Vec<pyti_dispatch::Job>,
}

/// Which of its results is shown.
#[derive(Clone, Copy)]
enum Choice {
    Newest,
    Env(i64),
    Result(i64),
}

fn look(
    store: &Store,
    file: File,
    also: Vec<File>,
    choice: Choice,
    before: Option<i64>,
) -> Result<Known, Fault> {
    let mut results = store.file_current(file.id)?;
    results.sort_by_key(|row| std::cmp::Reverse(row.id));
    let chosen = match choice {
        Choice::Newest => results.first().cloned(),
        Choice::Env(env) => results.iter().find(|row| row.env_id == env).cloned(),
        Choice::Result(id) => match results.iter().find(|row| row.id == id) {
            Some(row) => Some(row.clone()),
            None => store.result(id)?,
        },
    };
    let (findings, history) = match &chosen {
        Some(row) => (
            store.findings(row.id)?,
            store.file_results(file.id, row.env_id, before, HISTORY)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    let mut jobs = store.jobs_of_file(&file.info.sha256, JOBS)?;
    jobs.retain(|job| !job.state.ended());
    Ok(Known {
        file,
        also,
        results,
        chosen,
        findings,
        history,
        jobs,
    })
}

/// The page of a file.
pub(crate) async fn file(site: &Site, sha256: Digest, query: &Query, form: Form) -> Result<Response, Fault> {
    let choice = query.number::<i64>("env")?.map_or(Choice::Newest, Choice::Env);
    let before = query.number::<i64>("before")?;
    let asked = sha256.clone();
    let known = site
        .read(move |store| {
            let mut files = store.files(&asked)?;
            if files.is_empty() {
                return Err(Fault::NotFound(
                    "no file of this content was ever tested here".to_owned(),
                ));
            }
            let file = files.remove(0);
            look(store, file, files, choice, before)
        })
        .await?;
    show(site, known, &format!("/files/{sha256}"), form).await
}

/// The page of one result.
pub(crate) async fn result(site: &Site, id: i64, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<i64>("before")?;
    let known = site
        .read(move |store| {
            let none = || Fault::NotFound(format!("there is no result {id}"));
            let row = store.result(id)?.ok_or_else(none)?;
            let file = store.file(row.file_id)?.ok_or_else(none)?;
            let mut also = store.files(&file.info.sha256)?;
            also.retain(|other| other.id != file.id);
            look(store, file, also, Choice::Result(id), before)
        })
        .await?;
    show(site, known, &format!("/results/{id}"), form).await
}

async fn show(site: &Site, known: Known, path: &str, form: Form) -> Result<Response, Fault> {
    let next_history = known
        .history
        .last()
        .filter(|_| known.history.len() == HISTORY as usize)
        .map(|row| format!("{}#history", link(form, path, &[("before", &row.id.to_string())])));
    let mut frame = Frame::new(
        site,
        format!(
            "{} {}",
            known.file.info.project,
            crate::hostile::Hostile::from(known.file.info.name.as_str()).plain()
        ),
        "projects",
        path,
    );
    let (mut report, mut tasks, mut summary, mut no_report) = (None, Vec::new(), None, None);
    if let Some(row) = &known.chosen {
        let wanted = match form {
            Form::Html => Wanted::Fragment,
            Form::Json => Wanted::Summary,
        };
        let store = &site.inner.store;
        match (site.inner.renderer.get(store, row, None, wanted).await, form) {
            (Ok(bytes), Form::Html) => {
                let page = page_of(&bytes)?;
                frame.data = Some(page.data);
                tasks = page.tasks;
                report = Some(Markup::ours(page.main));
            }
            (Ok(bytes), Form::Json) => {
                summary = Some(
                    serde_json::from_slice(&bytes)
                        .map_err(|_| Fault::Broken("the report could not be read".to_owned()))?,
                );
            }
            (Err(fault @ (Fault::Busy | Fault::TooLong)), _) => return Err(fault),
            // what the store knows is shown all the same
            (Err(fault), _) => no_report = Some(fault.to_string()),
        }
    }
    let now = site.inner.store.now();
    let page = FilePage {
        frame,
        file: known.file.into(),
        also: known.also.into_iter().map(Into::into).collect(),
        results: known.results.into_iter().map(Into::into).collect(),
        result: known.chosen.map(Into::into),
        findings: known.findings.into_iter().map(Into::into).collect(),
        history: known.history.into_iter().map(Into::into).collect(),
        next_history,
        jobs: known.jobs.into_iter().map(|job| JobView::new(job, now)).collect(),
        summary,
        no_report,
        report,
        tasks,
    };
    say(form, &page)
}

/// Reads what a child said. It has read hostile bytes, so it is not simply believed: markup that no template of ours makes is refused,
/// and the data is written anew.
fn page_of(bytes: &Arc<Vec<u8>>) -> Result<Page, Fault> {
    let strange = || Fault::Broken("the report is not as our templates make it".to_owned());
    let mut page: Page = serde_json::from_slice(bytes).map_err(|_| strange())?;
    if !is_ours(&page.main) {
        return Err(strange());
    }
    let data: serde_json::Value = serde_json::from_str(&page.data).map_err(|_| strange())?;
    page.data = data
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    page.tasks.retain(|task| {
        !task.is_empty()
            && task.len() <= 100
            && task
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    });
    Ok(page)
}

/// Whether a piece of HTML has no element that could act, lead elsewhere or end the page around it.
pub(super) fn is_ours(html: &str) -> bool {
    let lower = html.to_ascii_lowercase();
    ![
        "<script",
        "<iframe",
        "<object",
        "<embed",
        "<base",
        "<meta",
        "<link",
        "<form",
        "<style",
        "<!--",
        "<img",
        "</main",
        "</body",
        "<frame",
        "javascript:",
    ]
    .iter()
    .any(|bad| lower.contains(bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_template_makes_is_refused() {
        assert!(is_ours("<p class=\"x\">fine &lt;script&gt;</p>"));
        for bad in [
            "<SCRIPT src=x>",
            "<iframe>",
            "</main>",
            "<a href=\"javascript:x\">",
        ] {
            assert!(!is_ours(bad), "{bad}");
        }
        let page = |main: &str, data: &str| {
            let page = Page {
                title: String::new(),
                main: main.to_owned(),
                data: data.to_owned(),
                tasks: vec!["test".into(), "../x".into()],
            };
            page_of(&Arc::new(serde_json::to_vec(&page).unwrap()))
        };
        let good = page("<p>", "{\"a\":\"</script>\"}").unwrap();
        assert_eq!(good.data, "{\"a\":\"\\u003c/script\\u003e\"}");
        assert_eq!(good.tasks, ["test"]);
        assert!(page("<script>", "{}").is_err());
        assert!(page("<p>", "</script>").is_err());
        assert!(page_of(&Arc::new(b"x".to_vec())).is_err());
    }
}
