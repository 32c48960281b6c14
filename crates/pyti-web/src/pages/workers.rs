//! Workers and queues: who is there, what waits and for how long, what was given up.

use askama::Template;
use axum::response::Response;
use pyti_dispatch::JobId;
use pyti_store::Store;
use serde::Serialize;

use super::front::Day;
use super::{Frame, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::moment;
use crate::query::Query;
use crate::site::Site;
use crate::views::JobView;
use crate::words;

/// Jobs that were given up, on one page.
const DEAD: u32 = 20;

#[derive(Template, Serialize)]
#[template(path = "workers.html")]
struct WorkersPage {
    #[serde(skip)]
    frame: Frame,
    workers: Vec<WorkerView>,
    queues: Vec<QueueView>,
    /// Jobs that were given up, newest first.
    dead: Vec<JobView>,
    next: Option<String>,
    /// The last 24 hours.
    day: Day,
}

/// A worker.
#[derive(Debug, Serialize)]
struct WorkerView {
    name: String,
    standing: &'static str,
    platform: String,
    interpreters: Vec<String>,
    isolations: Vec<String>,
    memory_mib: u32,
    slots: u16,
    /// Jobs that it has.
    holds: Vec<u64>,
    /// How many of its last eight works ended badly.
    bad_of_eight: u32,
    /// How often it was started.
    boot: u64,
}

impl WorkerView {
    fn tone(&self) -> &'static str {
        match self.standing {
            "active" => "good",
            "quarantined" => "bad",
            "revoked" => "none",
            _ => "mild",
        }
    }

    fn interpreters_words(&self) -> String {
        let words: Vec<String> = self.interpreters.iter().map(|i| words::interpreter(i)).collect();
        words.join(", ")
    }
}

/// A queue: jobs that need the same.
#[derive(Debug, Serialize)]
pub(crate) struct QueueView {
    pub(crate) platform: String,
    pub(crate) interpreter: String,
    pub(crate) isolation: String,
    pub(crate) memory_mib: u32,
    /// Jobs that can be had.
    pub(crate) queued: u64,
    /// Jobs that are being done.
    pub(crate) leased: u64,
    /// Jobs that wait for their file, or after a failure of ours.
    pub(crate) waiting: u64,
    /// Age of the oldest that can be had.
    pub(crate) oldest_ms: Option<u64>,
}

impl QueueView {
    pub(crate) fn words(&self) -> String {
        format!(
            "{} · {} · {}",
            words::interpreter(&self.interpreter),
            self.platform,
            self.isolation
        )
    }

    pub(crate) fn oldest(&self) -> String {
        self.oldest_ms.map_or_else(|| "–".to_owned(), moment::length)
    }
}

/// Every queue, the longest first.
pub(crate) fn queues(store: &Store) -> Result<Vec<QueueView>, Fault> {
    let now = store.now();
    let mut queues: Vec<QueueView> = store
        .queues()?
        .into_iter()
        .map(|queue| QueueView {
            platform: queue.needs.platform.to_string(),
            interpreter: queue.needs.interpreter.to_string(),
            isolation: queue.needs.isolation.to_string(),
            memory_mib: queue.needs.memory_mib,
            queued: queue.queued,
            leased: queue.leased,
            waiting: queue.waiting,
            oldest_ms: queue.oldest.map(|at| now.0.saturating_sub(at)),
        })
        .collect();
    queues
        .sort_by(|a, b| (b.queued + b.waiting, &a.interpreter).cmp(&(a.queued + a.waiting, &b.interpreter)));
    Ok(queues)
}

impl WorkersPage {
    fn rate(&self) -> String {
        let per_hour = self.day.results / 24;
        format!(
            "{} in 24 hours, {} an hour",
            words::count(self.day.results, "result"),
            words::number(per_hour)
        )
    }

    fn failures(&self) -> String {
        let ours = self.day.other;
        let share = |n: u64| (n * 100).checked_div(self.day.results).unwrap_or(0);
        format!(
            "{}% of them bad, {}% not attempted or ended by our fault",
            share(self.day.bad),
            share(ours)
        )
    }
}

pub(crate) async fn workers(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<u64>("before")?.map(JobId);
    let now_ms = moment::now_ms();
    let (workers, queues, dead, hours, now) = site
        .read(move |store| {
            let mut workers = Vec::new();
            for worker in store.workers()? {
                let holds = if worker.standing.may_write() {
                    store.held(&worker.id)?.iter().map(|job| job.id.0).collect()
                } else {
                    Vec::new()
                };
                workers.push(WorkerView {
                    name: worker.id.to_string(),
                    standing: worker.standing.word(),
                    platform: worker.offers.platform.to_string(),
                    interpreters: worker
                        .offers
                        .interpreters
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                    isolations: worker.offers.isolations.iter().map(ToString::to_string).collect(),
                    memory_mib: worker.offers.memory_mib,
                    slots: worker.offers.slots,
                    holds,
                    bad_of_eight: worker.health.bad(),
                    boot: worker.boot,
                });
            }
            Ok((
                workers,
                queues(store)?,
                store.dead_jobs(before, DEAD)?,
                store.hours(24, now_ms)?,
                store.now(),
            ))
        })
        .await?;
    let next = dead
        .last()
        .filter(|_| dead.len() == DEAD as usize)
        .map(|job| link(form, "/workers", &[("before", &job.id.to_string())]));
    let page = WorkersPage {
        frame: Frame::new(site, "Workers and queues", "workers", "/workers"),
        workers,
        queues,
        dead: dead.into_iter().map(|job| JobView::new(job, now)).collect(),
        next,
        day: Day::new(&hours, now_ms),
    };
    say(form, &page)
}
