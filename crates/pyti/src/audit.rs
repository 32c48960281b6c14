//! `pyti audit`: every file of a closure is installed, started and imported under recording, and judged; one table.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyti_model::finding::Finding;
use pyti_model::outcome::{Status, Verdict};
use pyti_model::plan::{Installer, Interpreter, Watch};
use pyti_resolve::closure::{ClosureError, Pinned, closure};
use pyti_worker::Request;
use pyti_worker::folders::Folders;
use pyti_worker::runs::Run;
use serde::Serialize;

use crate::args::AuditArgs;
use crate::config::{Config, Spoken};
use crate::output::{Look, Usage, print};
use crate::recorded::{all, load_with};
use crate::run::{interpreters, runtime};
use crate::safety::{Judge, text_of};
use crate::session::{Piece, Session, Showing, Wanted};

/// Most bytes of a file of requirements.
const FILE_CAP: u64 = 64 << 20;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    version: String,
    /// The file that was looked at.
    filename: Option<String>,
    sha256: Option<String>,
    status: Status,
    verdict: Verdict,
    /// Whether an earlier recording of the same file was judged.
    cached: bool,
    run: String,
    findings: Vec<Finding>,
    missing: Vec<String>,
}

/// Audits a closure.
pub(crate) fn audit(args: &AuditArgs, look: &Look) -> anyhow::Result<u8> {
    let config = Config::find(&Spoken {
        python: args.python.as_slice(),
        jobs: args.jobs,
        index_url: args.index_url.as_deref(),
        ..Spoken::default()
    })?;
    let folders = Folders::find(&crate::run::env)?;
    let interpreter = interpreters(&config, &folders)?.remove(0);
    let mut wanted: BTreeMap<(String, String), Pinned> = BTreeMap::new();
    let mut left_out = 0;
    for path in &args.requirements {
        for pinned in closure(path, &interpreter, &|path| text_of(path, FILE_CAP)).map_err(refused)? {
            if pinned.applies {
                wanted.insert((pinned.name.clone(), pinned.version.clone()), pinned);
            } else {
                left_out += 1;
            }
        }
    }
    let judge = Judge::configured()?;
    let mut lines = Vec::new();
    let mut pieces = Vec::new();
    let earlier = if args.fresh { Vec::new() } else { all()?.list() };
    for pinned in wanted.values() {
        match known(pinned, &interpreter, &earlier, &judge) {
            Some(line) => lines.push(line),
            None => pieces.push(piece(pinned, &config, &interpreter)?),
        }
    }
    let (mut interrupted, mut own_error) = (false, false);
    if !pieces.is_empty() {
        let ran = runtime()?.block_on(async {
            let session = Session::open(
                &config,
                folders,
                args.offline,
                args.quiet || args.json,
                Showing::Nothing,
                look,
            )
            .await?;
            let session = Arc::new(session);
            let finished = session.all(pieces).await?;
            interrupted = session.stop.is_stopped();
            anyhow::Ok(finished)
        })?;
        for finished in ran {
            own_error |= finished.own_error;
            lines.push(line(&finished.run, &judge, false)?);
        }
    }
    lines.sort_by(|a, b| {
        rank(b.verdict)
            .cmp(&rank(a.verdict))
            .then_with(|| a.name.cmp(&b.name))
    });
    if args.json {
        for line in &lines {
            print(&serde_json::to_string(line)?)?;
        }
    } else {
        print(&table(&lines, left_out))?;
    }
    let mut statuses: Vec<_> = lines.iter().map(|line| (line.status, line.verdict)).collect();
    // a file whose hash is not one of those that were locked is another file
    for line in &lines {
        let pinned = wanted.get(&(line.name.clone(), line.version.clone()));
        if pinned.is_some_and(|pinned| !is_one_of(line.sha256.as_deref(), pinned)) {
            crate::output::tell(&format!(
                "error: {} {} has another file on the index than the one that was locked",
                line.name, line.version
            ));
            statuses.push((Status::Fail, line.verdict));
        }
    }
    Ok(pyti_judge::exit_code(&statuses, interrupted, own_error))
}

fn refused(error: ClosureError) -> anyhow::Error {
    let text = match error.hint() {
        Some(hint) => format!("{}\n  hint: {hint}", pyti_model::with_causes(&error)),
        None => pyti_model::with_causes(&error),
    };
    Usage(text).into()
}

fn piece(pinned: &Pinned, config: &Config, interpreter: &Interpreter) -> anyhow::Result<Piece> {
    let text = format!("{}=={}", pinned.name, pinned.version);
    Ok(Piece {
        target: Wanted::Target(text.clone(), text.parse()?),
        request: Request {
            interpreter: interpreter.clone(),
            isolation: pyti_model::plan::Isolation::Sandbox,
            only: None,
            skip: vec!["test".to_owned()],
            env: BTreeMap::new(),
            pre: true,
            exclude_newer: None,
            limits: config.limits.clone(),
            installer: Installer::Uv,
            max_bytes: config.max_size.value,
            hash_seed: 0,
            watch: Watch::On,
            exercise: false,
            allow: Vec::new(),
            repeat: 0,
            services: Vec::new(),
            overrides: Vec::new(),
            coverage: false,
            quality: false,
            pylint: false,
            first_only: true,
            guise: 0,
        },
    })
}

/// An earlier run of one of the files that were locked: its recording is judged again by today's rules.
fn known(pinned: &Pinned, interpreter: &Interpreter, earlier: &[Run], judge: &Judge) -> Option<Line> {
    if pinned.hashes.is_empty() {
        return None;
    }
    earlier
        .iter()
        .filter(|run| {
            run.file.name == pinned.name
                && run.file.release.as_deref() == Some(&pinned.version)
                && run.file.python == interpreter.short()
        })
        .filter_map(|run| line(run, judge, true).ok())
        .find(|line| line.verdict != Verdict::NotJudged && is_one_of(line.sha256.as_deref(), pinned))
}

fn is_one_of(sha256: Option<&str>, pinned: &Pinned) -> bool {
    match sha256 {
        None => true,
        Some(_) if pinned.hashes.is_empty() => true,
        Some(sha256) => pinned.hashes.iter().any(|hash| hash.as_str() == sha256),
    }
}

/// What a run says of the first of its files: the one that an installer would take.
fn line(run: &Run, judge: &Judge, cached: bool) -> anyhow::Result<Line> {
    let loaded = load_with(run, judge)?;
    let first = loaded.jobs.first().zip(loaded.found.first());
    let (record, status, found) = first
        .map(|((record, status), found)| (record, status, found))
        .ok_or_else(|| anyhow::anyhow!("run {} holds nothing", run.id))?;
    Ok(Line {
        name: run.file.name.clone(),
        version: run.file.release.clone().unwrap_or_default(),
        filename: record.file.as_ref().map(|file| file.filename.clone()),
        sha256: record.file.as_ref().map(|file| file.sha256.as_str().to_owned()),
        status: status.outcome.status,
        verdict: found.verdict,
        cached,
        run: run.id.clone(),
        findings: found.findings.clone(),
        missing: found.missing.clone(),
    })
}

/// Worst last.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Clean => 0,
        Verdict::NotJudged => 1,
        Verdict::Notable => 2,
        Verdict::Inconclusive => 3,
        Verdict::Suspicious => 4,
        Verdict::Harmful => 5,
    }
}

fn table(lines: &[Line], left_out: usize) -> String {
    let width = |column: fn(&Line) -> usize| lines.iter().map(column).max().unwrap_or(0);
    let name = width(|line| line.name.len());
    let version = width(|line| line.version.len());
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!(
            " {:<12}  {:<name$}  {:<version$}  {:<8}  {}\n",
            line.verdict.word(),
            line.name,
            line.version,
            line.status.word(),
            told(line)
        ));
    }
    let count = |wanted: Verdict| lines.iter().filter(|line| line.verdict == wanted).count();
    let mut counts: Vec<String> = Vec::new();
    for verdict in [
        Verdict::Harmful,
        Verdict::Suspicious,
        Verdict::Inconclusive,
        Verdict::Notable,
        Verdict::NotJudged,
        Verdict::Clean,
    ] {
        if count(verdict) > 0 {
            counts.push(format!("{} {}", count(verdict), verdict.word().replace('_', " ")));
        }
    }
    let cached = lines.iter().filter(|line| line.cached).count();
    text.push_str(&format!("\n {} releases: {}", lines.len(), counts.join(", ")));
    if cached > 0 {
        text.push_str(&format!(" · {cached} from earlier recordings"));
    }
    if left_out > 0 {
        text.push_str(&format!(" · {left_out} are for other platforms"));
    }
    text.push('\n');
    let worst = lines.iter().find(|line| !line.findings.is_empty());
    if let Some(worst) = worst {
        text.push_str(&format!(" look: pyti explain {} 1\n", worst.run));
    }
    text
}

fn told(line: &Line) -> String {
    let first = line.findings.first().map(|finding| finding.sentence.clone());
    let text = first
        .or_else(|| line.missing.first().cloned())
        .unwrap_or_default();
    let short: String = text.chars().take(100).collect();
    match line.findings.len() {
        0 | 1 => short,
        more => format!("{short} (and {} more)", more - 1),
    }
}
