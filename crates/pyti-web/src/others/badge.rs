//! Badges: one for *works?*, one for *safe?*, never both in one.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::response::Response;

use crate::address::Question;
use crate::door::{set, with};
use crate::fault::Fault;
use crate::hostile::Hostile;
use crate::pages::current;
use crate::site::Site;
use crate::words;

#[derive(Template)]
#[template(path = "badge.svg")]
struct Badge {
    label: &'static str,
    word: String,
    title: Hostile,
    colour: &'static str,
    /// Widths of the two parts.
    left: usize,
    right: usize,
}

impl Badge {
    fn width(&self) -> usize {
        self.left + self.right
    }

    fn middle(&self) -> usize {
        self.left + self.right / 2
    }

    fn label_middle(&self) -> usize {
        self.left / 2
    }
}

/// Width of a text in the badge's size, about.
fn width(text: &str) -> usize {
    text.chars().count() * 7 + 14
}

fn colour(tone: &str) -> &'static str {
    match tone {
        "good" => "#1a6b3a",
        "bad" => "#a8201a",
        "mild" => "#7a4d00",
        _ => "#4b555d",
    }
}

pub(crate) async fn badge(site: &Site, name: String, question: Question) -> Result<Response, Fault> {
    let asked = name.clone();
    let newest = site
        .read(move |store| match current(store, &asked) {
            // an image that is not there says less than one that says so
            Err(Fault::NotFound(_)) => Ok(None),
            other => other,
        })
        .await?;
    let (label, word, tone, version) = match (question, &newest) {
        (Question::Works, Some(newest)) => (
            "works",
            newest.works.word().to_owned(),
            words::tone(newest.works),
            newest.version.plain(),
        ),
        (Question::Safe, Some(newest)) => (
            "safe",
            words::verdict_word(newest.safe).to_owned(),
            words::verdict_tone(newest.safe),
            newest.version.plain(),
        ),
        (Question::Works, None) => ("works", "not tested".to_owned(), "none", String::new()),
        (Question::Safe, None) => ("safe", "not judged".to_owned(), "none", String::new()),
    };
    let badge = Badge {
        label,
        title: format!("{name} {version}: {label}? {word}").into(),
        colour: colour(tone),
        left: width(label),
        right: width(&word),
        word,
    };
    let svg = badge
        .render()
        .map_err(|_| Fault::Broken("the badge could not be drawn".to_owned()))?;
    let mut response = with(StatusCode::OK, "image/svg+xml", svg);
    // it is made to be shown by others
    set(
        &mut response,
        HeaderName::from_static("cross-origin-resource-policy"),
        "cross-origin",
    );
    set(&mut response, CACHE_CONTROL, "public, max-age=300");
    Ok(response)
}
