//! What the words mean, and what there is for programs.

use askama::Template;
use axum::response::Response;
use pyti_model::outcome::{Status, Verdict};
use serde::Serialize;

use super::{Frame, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::hostile::Markup;
use crate::site::Site;
use crate::words;

#[derive(Template, Serialize)]
#[template(path = "about.html")]
struct About {
    #[serde(skip)]
    frame: Frame,
    statuses: Vec<Entry>,
    verdicts: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    word: &'static str,
    meaning: &'static str,
    #[serde(skip)]
    tag: Markup,
}

pub(crate) fn about(site: &Site, form: Form) -> Result<Response, Fault> {
    let page = About {
        frame: Frame::new(site, "What the words mean", "about", "/about"),
        statuses: Status::ALL
            .into_iter()
            .map(|status| Entry {
                word: status.word(),
                meaning: words::works_words(status),
                tag: words::works(status),
            })
            .collect(),
        verdicts: [
            Verdict::Clean,
            Verdict::Notable,
            Verdict::Suspicious,
            Verdict::Harmful,
            Verdict::Inconclusive,
            Verdict::NotJudged,
        ]
        .into_iter()
        .map(|verdict| Entry {
            word: verdict.word(),
            meaning: words::safe_words(verdict),
            tag: words::safe(verdict),
        })
        .collect(),
    };
    say(form, &page)
}
