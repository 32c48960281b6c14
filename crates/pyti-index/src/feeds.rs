//! What an index tells about all its projects at once: the serial changelog, the newest releases, the root of the Simple API.
//!
//! Only the changelog is free of gaps. The list of newest releases is a hint that something happened: entries roll off within
//! minutes, and a file that is added to an old release never shows. The root tells each project's last serial and so what
//! a changelog left out.

use reqwest::header::CONTENT_TYPE;
use url::Url;

use crate::caps;
use crate::error::IndexError;
use crate::http::{Answer, Ask};
use crate::index::Index;
use crate::redacted::RedactedUrl;

mod changelog;
mod newest;
mod root;

pub use changelog::Change;
pub use root::Root;

/// Where an index keeps its feeds.
#[derive(Clone, PartialEq, Eq)]
pub struct Places {
    /// XML-RPC (`changelog_since_serial`).
    pub changelog: Url,
    /// RSS of the newest releases.
    pub newest: Url,
    /// Root of the Simple API.
    pub root: Url,
}

impl Places {
    /// Beside the Simple API, where the index software that has feeds keeps them: `…/simple/` → `…/pypi`, `…/rss/updates.xml`.
    pub fn beside(index: &Url) -> Option<Self> {
        Some(Self {
            changelog: index.join("../pypi").ok()?,
            newest: index.join("../rss/updates.xml").ok()?,
            root: index.clone(),
        })
    }
}

impl Index {
    /// Everything that happened after that serial, in the index's order: serials may be skipped, and events may come
    /// in another order than their serials.
    pub async fn changes_since(&self, changelog: &Url, serial: u64) -> Result<Vec<Change>, IndexError> {
        let call = changelog::since(serial);
        let text = self.feed(changelog, Some(call)).await?.text();
        changelog::changes(&text).map_err(|why| not_a_feed(changelog, why))
    }

    /// The newest serial.
    pub async fn last_serial(&self, changelog: &Url) -> Result<u64, IndexError> {
        let text = self.feed(changelog, Some(changelog::last())).await?.text();
        changelog::number(&text).map_err(|why| not_a_feed(changelog, why))
    }

    /// Normalised names of the projects in the list of newest releases, newest first; each once.
    pub async fn newest_projects(&self, newest: &Url) -> Result<Vec<String>, IndexError> {
        let answer = self.feed(newest, None).await?;
        newest::projects(&answer.0.body).map_err(|why| not_a_feed(newest, why))
    }

    /// All projects with their last serials. Nothing when it is as it was at that `etag`.
    pub async fn root(&self, root: &Url, etag: Option<String>) -> Result<Option<Root>, IndexError> {
        let ask = Ask {
            accept: Some("application/vnd.pypi.simple.v1+json"),
            etag,
            ..Ask::default()
        };
        let answer = self.http()?.get(root, &ask, caps::FEED).await?;
        match answer.status.as_u16() {
            304 => Ok(None),
            200 => root::read(&answer.body, answer.etag())
                .map(Some)
                .map_err(|why| not_a_feed(root, why)),
            status => Err(refused(root, status)),
        }
    }

    async fn feed(&self, url: &Url, body: Option<String>) -> Result<Fed, IndexError> {
        let ask = Ask {
            accept: Some("text/xml, application/xml, application/rss+xml;q=0.9"),
            body,
            ..Ask::default()
        };
        let answer = self.http()?.get(url, &ask, caps::FEED).await?;
        if answer.status.as_u16() != 200 {
            return Err(refused(url, answer.status.as_u16()));
        }
        // a page for people, with status 200, is what many mirrors answer
        let kind = answer.header(CONTENT_TYPE).unwrap_or("").to_ascii_lowercase();
        if kind.contains("html") {
            return Err(not_a_feed(url, format!("content type {kind}")));
        }
        Ok(Fed(answer))
    }
}

/// A feed's answer.
struct Fed(Answer);

impl Fed {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.body).into_owned()
    }
}

fn refused(url: &Url, status: u16) -> IndexError {
    IndexError::Status {
        url: RedactedUrl::new(url.clone()),
        status,
        attempts: 1,
    }
}

fn not_a_feed(url: &Url, why: String) -> IndexError {
    IndexError::NotAFeed {
        url: RedactedUrl::new(url.clone()),
        why,
    }
}
