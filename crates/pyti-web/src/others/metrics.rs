//! Metrics for Prometheus, and whether the service is ready.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::Response;

use crate::door::{plain, with};
use crate::fault::Fault;
use crate::moment;
use crate::pages::queues;
use crate::site::Site;

/// One metric's head.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value: names of ours are plain, the rest is escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

pub(crate) async fn metrics(site: &Site) -> Result<Response, Fault> {
    let now = moment::now_ms();
    let (queues, workers, lag, hours, newest) = site
        .read(move |store| {
            let mut standings = std::collections::BTreeMap::<&'static str, u64>::new();
            for worker in store.workers()? {
                *standings.entry(worker.standing.word()).or_default() += 1;
            }
            Ok((
                queues(store)?,
                standings,
                store.feed_lag()?,
                store.hours(2, now)?,
                store.latest(None, 1)?.first().map_or(0, |row| row.id),
            ))
        })
        .await?;
    let figures = site.inner.store.figures();
    let mut out = String::new();
    head(&mut out, "pyti_results_total", "counter", "Results in the store.");
    let _ = writeln!(out, "pyti_results_total {newest}");
    head(
        &mut out,
        "pyti_results_hour",
        "gauge",
        "Results of the hour that runs and the one before, by status.",
    );
    let hour = now / 3_600_000;
    for (at, status, n) in hours {
        let which = if at == hour { "now" } else { "before" };
        let _ = writeln!(
            out,
            "pyti_results_hour{{status=\"{status}\",hour=\"{which}\"}} {n}"
        );
    }
    head(&mut out, "pyti_queue_jobs", "gauge", "Jobs by queue and state.");
    for queue in &queues {
        let of = format!(
            "platform=\"{}\",interpreter=\"{}\",isolation=\"{}\"",
            label(&queue.platform),
            label(&queue.interpreter),
            label(&queue.isolation)
        );
        for (state, n) in [
            ("queued", queue.queued),
            ("leased", queue.leased),
            ("waiting", queue.waiting),
        ] {
            let _ = writeln!(out, "pyti_queue_jobs{{{of},state=\"{state}\"}} {n}");
        }
    }
    head(
        &mut out,
        "pyti_queue_oldest_seconds",
        "gauge",
        "Age of the oldest job that can be had.",
    );
    for queue in &queues {
        let _ = writeln!(
            out,
            "pyti_queue_oldest_seconds{{platform=\"{}\",interpreter=\"{}\",isolation=\"{}\"}} {}",
            label(&queue.platform),
            label(&queue.interpreter),
            label(&queue.isolation),
            queue.oldest_ms.unwrap_or(0) / 1000
        );
    }
    head(&mut out, "pyti_workers", "gauge", "Workers by standing.");
    for (standing, n) in workers {
        let _ = writeln!(out, "pyti_workers{{standing=\"{standing}\"}} {n}");
    }
    head(
        &mut out,
        "pyti_feed_open_events",
        "gauge",
        "Events that are not jobs yet.",
    );
    let _ = writeln!(out, "pyti_feed_open_events {}", lag.0);
    head(
        &mut out,
        "pyti_feed_oldest_seconds",
        "gauge",
        "Age of the oldest of them.",
    );
    let oldest = lag.1.map_or(0, |at| now.saturating_sub(at) / 1000);
    let _ = writeln!(out, "pyti_feed_oldest_seconds {oldest}");
    head(
        &mut out,
        "pyti_feed_behind_seconds",
        "gauge",
        "Between what the index says and what was read of it.",
    );
    for feed in site.known_feeds().unwrap_or_default() {
        let _ = writeln!(
            out,
            "pyti_feed_behind_seconds{{feed=\"{}\"}} {}",
            label(&feed.feed),
            feed.behind_s
        );
    }
    for (name, kind, help, value) in [
        (
            "pyti_store_commits_total",
            "counter",
            "Transactions since the start.",
            figures.commits,
        ),
        (
            "pyti_store_works_total",
            "counter",
            "Works in them.",
            figures.works,
        ),
        (
            "pyti_store_reads_total",
            "counter",
            "Queries answered.",
            figures.reads,
        ),
        (
            "pyti_store_busy_total",
            "counter",
            "Queries refused because too many waited.",
            figures.busy,
        ),
        (
            "pyti_store_late_total",
            "counter",
            "Queries cut off because they took too long.",
            figures.late,
        ),
        (
            "pyti_store_database_bytes",
            "gauge",
            "Size of the database.",
            figures.database_bytes,
        ),
        (
            "pyti_store_wal_bytes",
            "gauge",
            "Size of the write-ahead log.",
            figures.wal_bytes,
        ),
        (
            "pyti_web_streams",
            "gauge",
            "Who follow results.",
            site.inner.tail.followers() as u64,
        ),
        (
            "pyti_web_kept_bytes",
            "gauge",
            "Rendered reports in memory.",
            site.inner.renderer.size().0 as u64,
        ),
        (
            "pyti_web_kept_pages",
            "gauge",
            "How many of them.",
            site.inner.renderer.size().1 as u64,
        ),
        (
            "pyti_up_seconds",
            "counter",
            "Since the start.",
            site.inner.started.elapsed().as_secs(),
        ),
    ] {
        head(&mut out, name, kind, help);
        let _ = writeln!(out, "{name} {value}");
    }
    for more in site.more_metrics() {
        out.push_str(&more);
    }
    Ok(with(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        out,
    ))
}

/// Ready: the store answers.
pub(crate) async fn ready(site: &Site) -> Result<Response, Fault> {
    if *site.inner.closed.borrow() {
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"));
    }
    match site.read(|store| Ok(store.latest(None, 1)?)).await {
        Ok(_) => Ok(plain(StatusCode::OK, "ready\n")),
        Err(_) => Ok(plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer\n",
        )),
    }
}
