//! The pages. Each is a value that a template shows and that is written as JSON.

mod about;
mod compare;
mod file;
mod findings;
mod front;
mod job;
mod project;
mod reasons;
mod results;
mod rules;
mod search;
mod workers;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::address::Form;
use crate::door::with;
use crate::fault::Fault;
use crate::query::encode;
use crate::site::Site;
use crate::statics;

pub(crate) use about::about;
pub(crate) use compare::{compare, compare_recordings};
pub(crate) use file::{file, result};
pub(crate) use findings::findings;
pub(crate) use front::{Now, front, now};
pub(crate) use job::job;
pub(crate) use project::{current, project};
pub(crate) use reasons::reasons;
pub(crate) use results::results;
pub(crate) use rules::{RuleCounts, rule, rules};
pub(crate) use search::search;
pub(crate) use workers::{QueueView, queues, workers};

/// Rows of a list.
pub(crate) const ROWS: u32 = 50;

/// What every page has around its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Of the page; text, not HTML.
    pub(crate) title: String,
    /// Of the service.
    pub(crate) site: String,
    /// Which part of the navigation it belongs to.
    pub(crate) here: &'static str,
    /// The same as JSON.
    pub(crate) json: String,
    /// A feed to subscribe to, with its title.
    pub(crate) atom: Option<(String, String)>,
    /// Whether the page changes by itself.
    pub(crate) live: bool,
    /// JSON for the script of the report.
    pub(crate) data: Option<String>,
    /// What was searched for.
    pub(crate) query: String,
    /// Version of style and scripts.
    pub(crate) v: &'static str,
}

impl Frame {
    pub(crate) fn new(site: &Site, title: impl Into<String>, here: &'static str, path: &str) -> Self {
        Self {
            title: title.into(),
            site: site.inner.settings.name.clone(),
            here,
            json: format!("{path}.json"),
            v: statics::version(),
            ..Self::default()
        }
    }
}

/// A page in the form that was asked for.
pub(crate) fn say(form: Form, page: &(impl Template + Serialize)) -> Result<Response, Fault> {
    match form {
        Form::Html => {
            let html = page
                .render()
                .map_err(|_| Fault::Broken("the page could not be rendered".to_owned()))?;
            Ok(with(StatusCode::OK, "text/html; charset=utf-8", html))
        }
        Form::Json => {
            let mut json = serde_json::to_vec(page)
                .map_err(|_| Fault::Broken("the page could not be written as JSON".to_owned()))?;
            json.push(b'\n');
            Ok(with(StatusCode::OK, "application/json", json))
        }
    }
}

/// The address of another part of a list, in the same form.
pub(crate) fn link(form: Form, path: &str, fields: &[(&str, &str)]) -> String {
    let suffix = match form {
        Form::Html => "",
        Form::Json => ".json",
    };
    let fields: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if fields.is_empty() {
        format!("{path}{suffix}")
    } else {
        format!("{path}{suffix}?{}", fields.join("&"))
    }
}

#[derive(Template)]
#[template(path = "apology.html")]
struct Apology<'a> {
    frame: Frame,
    what: String,
    hint: &'a str,
    code: u16,
}

/// A page that says why there is none.
pub(crate) fn apology(site: &Site, fault: &Fault) -> String {
    let title = match fault {
        Fault::NotFound(_) => "Not found",
        Fault::Bad(_) => "Not understood",
        Fault::Busy | Fault::TooLong => "Busy",
        Fault::Broken(_) => "Something is broken",
    };
    let page = Apology {
        frame: Frame::new(site, title, "", "/index"),
        what: fault.to_string(),
        hint: fault.hint(),
        code: fault.code().as_u16(),
    };
    page.render().unwrap_or_else(|_| "no page".to_owned())
}
