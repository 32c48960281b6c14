//! The stream of results: server-sent events whose ids are the numbers of results, so that whoever comes back misses none.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::unfold;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use crate::door::{Asked, with};
use crate::fault::Fault;
use crate::follow::News;
use crate::query::Query;
use crate::site::Site;
use crate::views::ResultView;

/// How often something is said when there is nothing to say.
const QUIET: Duration = Duration::from_secs(15);
/// Results that are read at once.
const STEP: u32 = 100;

struct Follower {
    site: Site,
    news: broadcast::Receiver<News>,
    /// Whether it hears of uploads and queues, too.
    all: bool,
    /// The last result that was told; none: whatever is there counts as told.
    last: Option<i64>,
    /// Whether the store has more than was told.
    behind: bool,
    greeted: bool,
    _permit: OwnedSemaphorePermit,
}

fn event(view: &ResultView) -> Vec<u8> {
    let json = serde_json::to_string(view).unwrap_or_default();
    format!("id: {}\nevent: result\ndata: {json}\n\n", view.id).into_bytes()
}

impl Follower {
    /// What is told next; nothing at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !self.greeted {
            self.greeted = true;
            return Some(b"retry: 2000\n\n".to_vec());
        }
        loop {
            let Some(last) = self.last else {
                let newest = self.site.read(|store| Ok(store.latest(None, 1)?)).await;
                match newest {
                    Ok(rows) => self.last = Some(rows.first().map_or(0, |row| row.id)),
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
                continue;
            };
            if self.behind {
                match self.site.read(move |store| Ok(store.export(last, STEP)?)).await {
                    Ok(rows) => {
                        self.behind = rows.len() == STEP as usize;
                        let views: Vec<ResultView> = rows.into_iter().map(Into::into).collect();
                        if let Some(newest) = views.last() {
                            self.last = Some(newest.id);
                            return Some(views.iter().flat_map(event).collect());
                        }
                    }
                    // nothing is lost: it is read again
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
                continue;
            }
            match tokio::time::timeout(QUIET, self.news.recv()).await {
                Err(_) => return Some(b":\n\n".to_vec()),
                Ok(Ok(News::Result(view))) if view.id > last => {
                    self.last = Some(view.id);
                    return Some(event(&view));
                }
                Ok(Ok(News::From(newest))) if newest > last => self.behind = true,
                Ok(Ok(News::Upload(file))) if self.all => return Some(passing("upload", &*file)),
                Ok(Ok(News::Now(now))) if self.all => return Some(passing("now", &*now)),
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }
}

/// An event that has no number: whoever misses it misses nothing that it cannot ask for.
fn passing(kind: &str, value: &impl serde::Serialize) -> Vec<u8> {
    let json = serde_json::to_string(value).unwrap_or_default();
    format!("event: {kind}\ndata: {json}\n\n").into_bytes()
}

/// Follows results; from `Last-Event-ID` or `after` on, else from now on. With `all`, uploads and how much waits are told, too.
pub(crate) fn stream(site: &Site, query: &Query, asked: &Asked) -> Result<Response, Fault> {
    let last = match asked.last_event {
        Some(last) => Some(last),
        None => query.number::<i64>("after")?,
    };
    let permit = site
        .inner
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Fault::Busy)?;
    let follower = Follower {
        // first listen, then read: what is committed in between is heard, and told once
        news: site.inner.tail.listen(),
        site: site.clone(),
        last,
        behind: last.is_some(),
        all: query.get("all").is_some(),
        greeted: false,
        _permit: permit,
    };
    let mut closed = site.inner.closed.subscribe();
    let events = unfold(
        (follower, closed.clone()),
        move |(mut follower, mut closed)| async move {
            let next = tokio::select! {
                next = follower.next() => next,
                _ = closed.wait_for(|closed| *closed) => None,
            };
            next.map(|bytes| (Ok::<_, std::io::Error>(bytes), (follower, closed)))
        },
    );
    if *closed.borrow_and_update() {
        return Err(Fault::Busy);
    }
    Ok(with(
        StatusCode::OK,
        "text/event-stream; charset=utf-8",
        Body::from_stream(events),
    ))
}
