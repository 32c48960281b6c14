//! Real distributions from the configured index against a table of what they must come to, and against what running
//! pytest without any thought gives.

mod naive;
mod page;
mod seen;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::naive::Naive;
use self::seen::Seen;
use self::table::Row;
use crate::{bench, print, say};

/// What `cargo xtask acceptance` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Only targets that begin with one of these
    #[arg(long, num_args = 1..)]
    only: Vec<String>,
    /// Leaves out what was run before, by whichever program
    #[arg(long)]
    resume: bool,
    /// Counts the tests that run when the sdist, pytest and nothing else are installed, too; what was run before is not run again
    #[arg(long)]
    naive: bool,
    /// Distributions at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// This program, instead of building it
    #[arg(long)]
    pyti: Option<PathBuf>,
    /// Writes docs/acceptance.md from everything that was run so far
    #[arg(long)]
    write: bool,
    /// Runs nothing: shows what was run before
    #[arg(long)]
    show: bool,
}

/// Runs rows of `xtask/acceptance.toml`, and shows what is expected and what is seen.
pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = table::rows()?;
    let folder = bench::target_folder()?.join("acceptance");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let wanted: Vec<&Row> = rows
        .iter()
        .filter(|row| {
            options.only.is_empty()
                || options
                    .only
                    .iter()
                    .any(|name| row.target.starts_with(name.as_str()))
        })
        .collect();
    if wanted.is_empty() {
        bail!("no row of xtask/acceptance.toml begins so");
    }
    if !options.show {
        let pyti = crate::program(options.pyti.as_deref())?;
        each(&wanted, options.jobs, &|row| one(&pyti, row, options, &folder));
    }
    let shown: Vec<Shown<'_>> = wanted.iter().map(|row| Shown::read(row, &folder)).collect();
    print(&page::terminal(&shown));
    if options.write {
        let all: Vec<Shown<'_>> = rows.iter().map(|row| Shown::read(row, &folder)).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/acceptance.md");
        fs::write(&path, page::markdown(&all)).with_context(|| format!("cannot write {}", path.display()))?;
        say("wrote docs/acceptance.md");
    }
    let wrong = shown
        .iter()
        .filter(|one| one.seen.is_some() && !one.agrees())
        .count();
    if wrong > 0 {
        bail!("{wrong} distributions came to something else");
    }
    Ok(())
}

/// A row with what was seen of it.
pub(crate) struct Shown<'a> {
    row: &'a Row,
    seen: Option<Seen>,
    naive: Option<Naive>,
}

impl<'a> Shown<'a> {
    fn read(row: &'a Row, folder: &Path) -> Self {
        let read = |ending: &str| fs::read(place(folder, row, ending)).ok();
        Self {
            row,
            seen: read("json").and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            naive: read("naive.json").and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        }
    }

    /// Whether status, reason and count are as the table has them.
    fn agrees(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| seen.against(self.row).is_empty())
    }
}

fn place(folder: &Path, row: &Row, ending: &str) -> PathBuf {
    folder.join(format!("{}.{ending}", row.target))
}

/// Runs what is wanted of one row, and keeps it.
fn one(pyti: &Path, row: &Row, options: &Options, folder: &Path) {
    let kept = Shown::read(row, folder);
    let seen = match kept.seen {
        Some(seen) if options.resume || options.naive => seen,
        _ => {
            let seen = seen::run(pyti, row);
            keep(&place(folder, row, "json"), &seen);
            let problems = seen.against(row);
            let word = if problems.is_empty() { "ok   " } else { "WRONG" };
            say(&format!(
                "{word} {:<28} {} {}",
                row.target,
                seen.words(),
                problems.join("; ")
            ));
            seen
        }
    };
    if options.naive && !(options.resume && kept.naive.is_some()) {
        let naive = naive::run(pyti, &seen);
        say(&format!("naive {:<28} {}", row.target, naive.words()));
        keep(&place(folder, row, "naive.json"), &naive);
    }
}

fn keep<T: serde::Serialize>(path: &Path, what: &T) {
    let written = serde_json::to_vec_pretty(what)
        .map_err(std::io::Error::other)
        .and_then(|json| fs::write(path, json));
    if let Err(error) = written {
        say(&format!("cannot write {}: {error}", path.display()));
    }
}

/// Does something with every row, a few at once.
fn each(rows: &[&Row], jobs: usize, what: &(dyn Fn(&Row) + Sync)) {
    let next = AtomicUsize::new(0);
    let ended = Mutex::new(0_usize);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, 8) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    what(row);
                    *ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
                }
            });
        }
    });
}
