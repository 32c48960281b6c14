//! Search: projects by the first letters of their names, files by their digest.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use pyti_model::Digest;
use serde::Serialize;

use super::{Frame, ROWS, link, say};
use crate::address::{Form, project_name};
use crate::door::{plain, set};
use crate::fault::Fault;
use crate::hostile::Hostile;
use crate::query::Query;
use crate::site::Site;

#[derive(Template, Serialize)]
#[template(path = "search.html")]
struct Search {
    #[serde(skip)]
    frame: Frame,
    query: Hostile,
    projects: Vec<String>,
    next: Option<String>,
}

pub(crate) async fn search(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let asked = query.get("q").unwrap_or_default().trim().to_owned();
    if let Ok(digest) = asked.parse::<Digest>() {
        let mut response = plain(StatusCode::SEE_OTHER, "");
        set(
            &mut response,
            LOCATION,
            &link(form, &format!("/files/{digest}"), &[]),
        );
        return Ok(response);
    }
    // half a name may end in a separator
    let prefix = project_name(asked.trim_end_matches(['-', '_', '.'])).unwrap_or_default();
    let after = query.get("after").map(str::to_owned);
    let rows = if prefix.is_empty() {
        Vec::new()
    } else {
        let prefix = prefix.clone();
        site.read(move |store| Ok(store.search_after(&prefix, after.as_deref(), ROWS)?))
            .await?
    };
    let next = rows
        .last()
        .filter(|_| rows.len() == ROWS as usize)
        .map(|(_, name)| link(form, "/search", &[("q", &prefix), ("after", name)]));
    let mut frame = Frame::new(site, "Search", "search", "/search");
    frame.json = link(Form::Json, "/search", &[("q", &asked)]);
    frame.query.clone_from(&asked);
    let page = Search {
        frame,
        query: asked.into(),
        projects: rows.into_iter().map(|(_, name)| name).collect(),
        next,
    };
    say(form, &page)
}
