//! Fills a store with results as they would come from an index, and measures: size of a result, every query of the pages, claims and
//! completions a second, and what readers cost.
//!
//! `cargo run --release -p pyti-store --example million -- [RESULTS] [FOLDER]`; the folder is deleted at the end unless it is named;
//! one that is named is filled up if it holds less.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::cast_possible_truncation, reason = "small random numbers")]

mod filling;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use filling::{BEGAN, CLAIMED, Fallible, Source, crowd};
use pyti_model::outcome::{ReasonCode, Verdict};
use pyti_store::{Options, Store};

fn median(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    format!(
        "{:8.3} {:8.3} {:8.3}",
        ms(times[0]),
        ms(times[times.len() / 2]),
        ms(times[times.len() - 1])
    )
}

fn measure(name: &str, mut ask: impl FnMut(u64) -> Fallible<usize>) {
    let (mut times, mut rows, mut failed) = (Vec::new(), 0, None);
    for n in 0..21 {
        let began = Instant::now();
        match ask(n) {
            Ok(n) => rows = n,
            Err(error) => failed = Some(error),
        }
        times.push(began.elapsed());
    }
    let failed = failed.map_or(String::new(), |error| format!("  (not always: {error})"));
    println!("  {name:<44} {} {rows:>6}{failed}", median(times));
}

fn pages(store: &Store, all: u64) -> Fallible<()> {
    let now = store
        .latest(None, 1)?
        .first()
        .map_or(BEGAN, |row| row.finished_ms);
    let biggest = store.project("lib-0")?.ok_or("no biggest project")?;
    let one = |n: u64| -> Fallible<pyti_store::ResultRow> {
        let id = i64::try_from((n + 1) * all / 23)?;
        Ok(store.result(id)?.ok_or("no result")?)
    };
    println!(
        "  {:<44} {:>8} {:>8} {:>8} {:>6}",
        "query, ms", "min", "median", "max", "rows"
    );
    measure("front: the latest 50", |_| Ok(store.latest(None, 50)?.len()));
    measure("front: queues", |_| Ok(store.queues()?.len()));
    measure("reasons of 24 hours", |_| {
        Ok(store.reasons_of_hours(24, now)?.len())
    });
    measure("reasons of 30 days", |_| {
        Ok(store.reasons_of_days(30, now)?.len())
    });
    measure("search", |n| Ok(store.search(&format!("lib-{n}"), 20)?.len()));
    measure("project: 50 results", |n| {
        Ok(store.project_results(one(n)?.project_id, None, 50)?.len())
    });
    measure("biggest project: 50 results", |_| {
        Ok(store.project_results(biggest, None, 50)?.len())
    });
    measure("biggest project: matrix of 50 releases", |_| {
        let versions = store.versions(biggest, None, 50)?;
        Ok(store.matrix(versions.iter().map(|v| v.id).collect())?.len())
    });
    measure("file: newest in every environment", |n| {
        Ok(store.file_current(one(n)?.file_id)?.len())
    });
    measure("file by its hash", |n| Ok(store.files(&one(n)?.sha256)?.len()));
    measure("result and its findings", |n| {
        let row = one(n)?;
        Ok(1 + store.findings(row.id)?.len())
    });
    measure("findings of a rule, 50", |n| {
        Ok(store.findings_by_rule(&format!("rule-{n}"), None, 50)?.len())
    });
    measure("findings of a severity, 50", |_| {
        Ok(store.findings_by_severity(3, None, 50)?.len())
    });
    measure("results of a verdict, 50", |_| {
        Ok(store.results_by_verdict(Verdict::Suspicious, None, 50)?.len())
    });
    measure("results of a reason, 50", |n| {
        let code = ReasonCode::ALL[n as usize % ReasonCode::ALL.len()];
        Ok(store.results_by_reason(code.word(), None, 50)?.len())
    });
    measure("page in the middle of everything", |_| {
        Ok(store.latest(Some(i64::try_from(all / 2)?), 50)?.len())
    });
    measure("export, 200", |n| {
        Ok(store.export(i64::try_from(n * 1000)?, 200)?.len())
    });
    Ok(())
}

/// Claims and completions a second, alone and beside readers who ask for one page a second each, in turns, because machines are
/// not equally busy at all times.
fn rates(store: &Store, next: &AtomicU64, all: u64) -> Fallible<()> {
    const READERS: [u64; 3] = [0, 20, 100];
    let mut rates = [const { Vec::new() }; 3];
    let (asked, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    for turn in 0..5 {
        for (readers, rates) in READERS.into_iter().zip(&mut rates) {
            let stop = AtomicBool::new(false);
            let began = Instant::now();
            let done = std::thread::scope(|scope| {
                for reader in 0..readers {
                    let (stop, asked, refused) = (&stop, &asked, &refused);
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(reader * 1000 / readers));
                        while !stop.load(Ordering::Relaxed) {
                            let answer = store.latest(None, 50);
                            let counter = if answer.is_ok() { asked } else { refused };
                            counter.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_secs(1));
                        }
                    });
                }
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_secs(4));
                    stop.store(true, Ordering::Relaxed);
                });
                let prefix = format!("r{}-{turn}-{readers}-", next.load(Ordering::Relaxed));
                let source = Source {
                    next,
                    end: u64::MAX,
                    all,
                    stop: &stop,
                };
                crowd(store, &prefix, 1, &source)
            })?;
            rates.push(done as f64 / began.elapsed().as_secs_f64());
        }
    }
    println!("  claimed one by one and completed, a second:  min, median, max of five turns");
    for (readers, rates) in READERS.into_iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        let (least, middle, most) = (rates[0], rates[2], rates[4]);
        println!("  {readers:>3} readers at a page a second {least:>18.0} {middle:>6.0} {most:>6.0}");
    }
    println!(
        "  {} pages served, {} refused",
        asked.into_inner(),
        refused.into_inner()
    );
    Ok(())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let all: u64 = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let named = arguments.next().map(PathBuf::from);
    let temporary = tempfile::tempdir()?;
    let folder = named.as_deref().unwrap_or(temporary.path());
    let store = Store::open(folder, Options::default())?;
    // a folder that was filled before is filled up
    let there = store
        .latest(None, 1)?
        .first()
        .map_or(0, |row| row.id.unsigned_abs());
    let next = AtomicU64::new(there);
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let source = Source {
        next: &next,
        end: all,
        all,
        stop: &stop,
    };
    let done = crowd(&store, &format!("w{there}-"), CLAIMED, &source)?;
    let took = began.elapsed().as_secs_f64();
    let figures = store.figures();
    println!(
        "{done} results in {took:.0} s ({:.0} a second), {:.1} works in a commit",
        done as f64 / took,
        figures.works as f64 / figures.commits as f64
    );
    let all = there.max(all);
    pages(&store, all)?;
    let began = Instant::now();
    let copy = tempfile::tempdir()?;
    // the blobs of this store are names only, so the backup cannot copy them
    let backup = store.backup(copy.path())?;
    println!("  backup of the database: {:.1} s", began.elapsed().as_secs_f64());
    let count = store.latest(None, 1)?.first().map_or(0, |row| row.id);
    let bytes = backup.database_bytes as f64;
    println!(
        "{count} results: {:.0} MB, {:.0} bytes a result all in (jobs, files, findings, indexes); write-ahead log {:.1} MB",
        bytes / 1e6,
        bytes / count as f64,
        size(&folder.join("pyti.db-wal")) as f64 / 1e6
    );
    rates(&store, &next, all)?;
    Ok(())
}
