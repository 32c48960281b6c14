//! The front page: what comes in, what waits, what came out.

use askama::Template;
use axum::response::Response;
use pyti_model::outcome::Status;
use serde::Serialize;

use super::{Frame, QueueView, link, queues, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::moment;
use crate::site::{FeedLag, Site};
use crate::views::{FileView, ResultView};
use crate::words;

/// Results and uploads that the page begins with.
const RESULTS: u32 = 30;
const UPLOADS: u32 = 10;

#[derive(Template, Serialize)]
#[template(path = "front.html")]
struct Front {
    #[serde(skip)]
    frame: Frame,
    /// The newest results.
    results: Vec<ResultView>,
    /// Where older ones are.
    next: Option<String>,
    /// The newest files.
    uploads: Vec<FileView>,
    queues: Vec<QueueView>,
    feed: Feed,
    /// The last 24 hours.
    day: Day,
}

/// How far behind the feed is.
#[derive(Debug, Serialize)]
pub(crate) struct Feed {
    /// Events that are not expanded to jobs yet.
    pub(crate) open: u64,
    /// Age of the oldest of them.
    pub(crate) oldest_ms: Option<u64>,
    pub(crate) feeds: Vec<FeedLag>,
}

impl Feed {
    /// Whether there is a feed at all.
    fn is_there(&self) -> bool {
        self.open > 0 || !self.feeds.is_empty()
    }

    /// In one sentence.
    fn words(&self) -> String {
        let behind = self.feeds.iter().map(|feed| feed.behind_s * 1000).max();
        match (self.oldest_ms.max(behind), self.open) {
            (None | Some(0..1000), 0) => "up to date".to_owned(),
            (Some(ms), 0) => format!("{} behind", moment::length(ms)),
            (ms, open) => format!(
                "{} behind, {} to look at",
                moment::length(ms.unwrap_or(0)),
                words::count(open, "event")
            ),
        }
    }
}

/// Results of some hours.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Day {
    pub(crate) results: u64,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    /// Not attempted, or ended by our fault.
    pub(crate) other: u64,
    pub(crate) hours: Vec<Hour>,
}

/// One hour.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Hour {
    /// When it began.
    pub(crate) began: String,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) other: u64,
}

/// One bar of the picture, in its units.
pub(crate) struct Bar {
    pub(crate) x: usize,
    pub(crate) good: (u64, u64),
    pub(crate) bad: (u64, u64),
    pub(crate) other: (u64, u64),
    pub(crate) title: String,
}

impl Day {
    /// From counts of the hours before `now`, oldest first.
    pub(crate) fn new(counts: &[(u64, Status, u64)], now_ms: u64) -> Self {
        let now = now_ms / 3_600_000;
        let mut day = Self {
            hours: (0..24)
                .map(|n| Hour {
                    began: moment::rfc3339((now + 1 + n).saturating_sub(24) * 3_600_000),
                    ..Hour::default()
                })
                .collect(),
            ..Self::default()
        };
        for (hour, status, n) in counts {
            let at = (hour + 24)
                .checked_sub(now + 1)
                .and_then(|at| usize::try_from(at).ok());
            let Some(hour) = at.and_then(|at| day.hours.get_mut(at)) else {
                continue;
            };
            let (hour, all) = match words::tone(*status) {
                "good" => (&mut hour.good, &mut day.good),
                "bad" => (&mut hour.bad, &mut day.bad),
                _ => (&mut hour.other, &mut day.other),
            };
            *hour += n;
            *all += n;
            day.results += n;
        }
        day
    }

    /// Bars in a picture of 480 by 64.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let most = self.hours.iter().map(|h| h.good + h.bad + h.other).max();
        let most = most.unwrap_or(0).max(1);
        // what is there is seen, however little it is
        let scale = |n: u64| if n == 0 { 0 } else { (n * 62 / most).max(1) };
        self.hours
            .iter()
            .enumerate()
            .map(|(at, hour)| {
                let (good, bad, other) = (scale(hour.good), scale(hour.bad), scale(hour.other));
                let top = |heights: u64| 64_u64.saturating_sub(heights);
                Bar {
                    x: at * 20 + 2,
                    good: (top(good), good),
                    bad: (top(good + bad), bad),
                    other: (top(good + bad + other), other),
                    title: format!(
                        "{}:00 UTC: {} good, {} bad, {} else",
                        &hour.began[11..13],
                        hour.good,
                        hour.bad,
                        hour.other
                    ),
                }
            })
            .collect()
    }
}

/// How much waits now, in a few numbers: for pages that change by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Now {
    /// Jobs that wait.
    pub(crate) waiting: u64,
    /// Jobs that are being done.
    pub(crate) running: u64,
    /// Events of feeds that are no jobs yet.
    pub(crate) events: u64,
}

impl Now {
    fn of(queues: &[QueueView], events: u64) -> Self {
        Self {
            waiting: queues.iter().map(|queue| queue.queued + queue.waiting).sum(),
            running: queues.iter().map(|queue| queue.leased).sum(),
            events,
        }
    }
}

/// How much waits now.
pub(crate) fn now(store: &pyti_store::Store) -> Result<Now, Fault> {
    Ok(Now::of(&queues(store)?, store.feed_lag()?.0))
}

impl Front {
    fn now(&self) -> Now {
        Now::of(&self.queues, self.feed.open)
    }

    fn oldest(&self) -> Option<String> {
        let oldest = self.queues.iter().filter_map(|queue| queue.oldest_ms).max();
        oldest.map(moment::length)
    }

    fn results_words(&self) -> String {
        words::number(self.day.results)
    }
}

pub(crate) async fn front(site: &Site, form: Form) -> Result<Response, Fault> {
    let now = moment::now_ms();
    let (results, uploads, queues, lag, hours) = site
        .read(move |store| {
            Ok((
                store.latest(None, RESULTS)?,
                store.files_latest(None, UPLOADS)?,
                queues(store)?,
                store.feed_lag()?,
                store.hours(24, now)?,
            ))
        })
        .await?;
    let next = results
        .last()
        .filter(|_| results.len() == RESULTS as usize)
        .map(|row| link(form, "/results", &[("before", &row.id.to_string())]));
    let mut frame = Frame::new(site, "Every upload, tested", "front", "/index");
    frame.live = true;
    frame.atom = Some((
        "/verdicts.atom".to_owned(),
        "Suspicious and harmful uploads".to_owned(),
    ));
    let page = Front {
        frame,
        results: results.into_iter().map(Into::into).collect(),
        next,
        uploads: uploads.into_iter().map(Into::into).collect(),
        queues,
        feed: Feed {
            open: lag.0,
            oldest_ms: lag.1.map(|at| now.saturating_sub(at)),
            feeds: site.known_feeds().unwrap_or_default(),
        },
        day: Day::new(&hours, now),
    };
    say(form, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_fall_into_their_bars_and_others_are_left_out() {
        let now = 1000 * 3_600_000 + 5;
        let counts = [
            (1000, Status::Pass, 6),
            (1000, Status::Fail, 2),
            (977, Status::Skip, 1),
            (976, Status::Pass, 99),
            (1001, Status::Pass, 99),
        ];
        let day = Day::new(&counts, now);
        assert_eq!((day.results, day.good, day.bad, day.other), (9, 6, 2, 1));
        assert_eq!(day.hours[23].good, 6);
        assert_eq!(day.hours[0].other, 1);
        let bars = day.bars();
        assert_eq!(bars.len(), 24);
        assert!(
            bars.iter()
                .all(|bar| bar.x + 16 <= 480 && bar.good.0 + bar.good.1 == 64)
        );
    }
}
