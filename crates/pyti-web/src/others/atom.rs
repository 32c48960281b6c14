//! Atom: results of a project, and uploads that were judged suspicious or harmful.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use pyti_model::outcome::Verdict;

use crate::door::{Asked, with};
use crate::fault::Fault;
use crate::moment;
use crate::site::Site;
use crate::views::{Answers as _, ResultView};

const ENTRIES: u32 = 40;

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed {
    title: String,
    /// Its own address, and that of the page that says the same.
    own: String,
    page: String,
    base: String,
    updated: String,
    entries: Vec<ResultView>,
}

fn say(
    title: String,
    asked: &Asked,
    own: &str,
    page: &str,
    entries: Vec<ResultView>,
) -> Result<Response, Fault> {
    let feed = Feed {
        title,
        own: format!("{}{own}", asked.base),
        page: format!("{}{page}", asked.base),
        base: asked.base.clone(),
        updated: entries
            .first()
            .map_or_else(|| moment::rfc3339(0), |entry| entry.finished.clone()),
        entries,
    };
    let xml = feed
        .render()
        .map_err(|_| Fault::Broken("the feed could not be written".to_owned()))?;
    Ok(with(StatusCode::OK, "application/atom+xml; charset=utf-8", xml))
}

pub(crate) async fn project_atom(site: &Site, name: String, asked: &Asked) -> Result<Response, Fault> {
    let project = name.clone();
    let rows = site
        .read(move |store| {
            let id = store.project(&project)?.ok_or_else(|| {
                Fault::NotFound(format!("no file of a project {project} was ever tested here"))
            })?;
            Ok(store.project_results(id, None, ENTRIES)?)
        })
        .await?;
    let page = format!("/projects/{name}");
    say(
        format!("{}: {name}", site.inner.settings.name),
        asked,
        &format!("{page}.atom"),
        &page,
        rows.into_iter().map(Into::into).collect(),
    )
}

pub(crate) async fn verdicts_atom(site: &Site, asked: &Asked) -> Result<Response, Fault> {
    let mut rows = site
        .read(|store| {
            let mut rows = store.results_by_verdict(Verdict::Harmful, None, ENTRIES)?;
            rows.extend(store.results_by_verdict(Verdict::Suspicious, None, ENTRIES)?);
            Ok(rows)
        })
        .await?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    rows.truncate(ENTRIES as usize);
    say(
        format!("{}: suspicious and harmful uploads", site.inner.settings.name),
        asked,
        "/verdicts.atom",
        "/findings",
        rows.into_iter().map(Into::into).collect(),
    )
}
