//! The hidden verb `__judge`: reads recordings, which are hostile, where nothing can be touched.
//!
//! On standard input come three things, each as pieces with their length before them: rules (JSON, empty for those that are
//! built in), the recording, and perhaps that of an empty package. The answer is one line of JSON.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use pyti_judge::safety::{self, Baseline, RuleSet};
use pyti_judge::{Fold, JobRecord};
use pyti_model::event::{Envelope, Event, RECORDING_VERSION};
use pyti_model::finding::{RuleState, Severity};
use pyti_model::outcome::TaskResult;
use pyti_model::plan::Watch;
use pyti_model::raw::RawData;
use serde::{Deserialize, Serialize};

use super::{Found, Judged, Planned};

/// The hidden verb.
pub const VERB: &str = "__judge";
/// Exit code of a child that cannot confine itself.
pub(super) const CANNOT_CONFINE: i32 = 5;
/// Address space, bytes.
const MEMORY: u64 = 4 << 30;
/// Processor seconds.
const CPU: u64 = 90;
/// Largest piece on the way in, bytes.
const PIECE: usize = 1 << 20;
/// Longest line of a recording, bytes.
const LINE: u64 = 64 << 20;
/// Largest window of zstd: 8 MiB.
const WINDOW_LOG: u32 = 23;
/// Most findings that are told.
const FINDINGS: usize = 256;

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// This.
    Judged(Box<Judged>),
    /// The recording is none, or broken.
    Unreadable(String),
}

/// Writes a stream in pieces; an empty one is its end.
pub(super) fn send(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let n = from.read(&mut piece)?;
        let length = u32::try_from(n).map_err(io::Error::other)?;
        to.write_all(&length.to_be_bytes())?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&piece[..n])?;
    }
}

/// A stream as it comes out of [`send`].
struct Pieces<'a, R> {
    from: &'a mut R,
    left: usize,
    over: bool,
}

impl<'a, R: Read> Pieces<'a, R> {
    fn new(from: &'a mut R) -> Self {
        Self {
            from,
            left: 0,
            over: false,
        }
    }
}

impl<R: Read> Read for Pieces<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.over {
            let mut length = [0; 4];
            self.from.read_exact(&mut length)?;
            self.left = u32::from_be_bytes(length) as usize;
            self.over = self.left == 0;
        }
        if self.over || buffer.is_empty() {
            return Ok(0);
        }
        let most = buffer.len().min(self.left);
        let n = self.from.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n;
        Ok(n)
    }
}

/// The verb: `__judge BYTES`, the most that the recordings may have unpacked.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let bytes = arguments.first().and_then(|text| text.to_str()?.parse().ok());
    let Some(bytes) = bytes else {
        return ExitCode::from(2);
    };
    if pyti_index::parse::shut_off_within(MEMORY, CPU).is_err() {
        return ExitCode::from(5);
    }
    let mut input = BufReader::with_capacity(PIECE, io::stdin().lock());
    let said = match judge(&mut input, bytes) {
        Ok(judged) => Said::Judged(Box::new(judged)),
        Err(why) => Said::Unreadable(why.chars().take(512).collect()),
    };
    let mut out = io::stdout().lock();
    let written = serde_json::to_writer(&mut out, &said)
        .map_err(io::Error::from)
        .and_then(|()| out.flush());
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn judge(input: &mut impl Read, bytes: u64) -> Result<Judged, String> {
    let mut text = Vec::new();
    Pieces::new(input)
        .read_to_end(&mut text)
        .map_err(|error| format!("the rules: {error}"))?;
    let own;
    let rules = if text.is_empty() {
        RuleSet::built_in()
    } else {
        let files: Vec<(String, String)> =
            serde_json::from_slice(&text).map_err(|error| format!("the rules: {error}"))?;
        own = RuleSet::load(&files).map_err(|error| format!("the rules: {error}"))?;
        &own
    };
    let mut left = bytes;
    let record = read(Pieces::new(input), &mut left)?;
    let judgement = pyti_judge::judge(&record);
    // there may be none, and one that cannot be read is as good as none: nothing is subtracted
    let baseline = read(Pieces::new(input), &mut left)
        .ok()
        .filter(|baseline| baseline.complete)
        .map(|baseline| Baseline::from_record(&baseline));
    let safe = safety::judge_safety(&record, rules, &[], baseline.as_ref());
    let cpu_s = record.tasks.iter().map(|task| task.cpu_s).sum();
    Ok(Judged {
        outcome: judgement.outcome,
        verdict: safe.verdict,
        findings: safe
            .findings
            .iter()
            .take(FINDINGS)
            .map(|finding| Found {
                rule: finding.rule.clone(),
                severity: match finding.severity {
                    Severity::Info => 0,
                    Severity::Low => 1,
                    Severity::Medium => 2,
                    Severity::High => 3,
                    Severity::Critical => 4,
                },
                state: match finding.state {
                    RuleState::Shadow => 0,
                    RuleState::Active => 1,
                    RuleState::Retired => 2,
                },
                sentence: finding.sentence.clone(),
                events: finding.events.iter().map(|event| event.seq).collect(),
            })
            .collect(),
        missing: safe.missing,
        rules: safe.rules,
        file: record.file.as_ref().map(|file| file.sha256.clone()),
        plan: record.plan.as_ref().map(|plan| Planned {
            interpreter: format!("{}-{}", plan.interpreter.implementation, plan.interpreter.short()),
            isolation: plan.isolation.word().to_owned(),
            run_tests: plan.run_tests,
            watched: plan.watch == Watch::On,
            extras: plan.extras.clone(),
            skip: plan.skip.clone(),
            env: plan.env.clone(),
            allow: plan.allow.clone(),
        }),
        complete: record.complete,
        interrupted: record.interrupted,
        cpu_s,
        wall_s: record.wall_s,
        tests: tests(&record),
        pyti: record.pyti.chars().take(64).collect(),
    })
}

/// Tests that passed and that did not, of the last attempt.
fn tests(record: &JobRecord) -> (u32, u32) {
    let counts = record.tasks.iter().rev().find_map(|task| match &task.raw {
        Some(RawData::Test(test)) if task.result != Some(TaskResult::Skipped) => Some(&test.counts),
        _ => None,
    });
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    counts.map_or((0, 0), |counts| {
        (
            small(counts.passed),
            small(counts.failed.saturating_add(counts.errors)),
        )
    })
}

/// Reads one recording; `left` is what may still be unpacked.
fn read(from: impl Read, left: &mut u64) -> Result<JobRecord, String> {
    let mut decoder = zstd::stream::read::Decoder::new(from).map_err(|error| error.to_string())?;
    decoder
        .window_log_max(WINDOW_LOG)
        .map_err(|error| error.to_string())?;
    let mut reader = BufReader::new(decoder.take(*left));
    let mut fold = Fold::new();
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        let n = (&mut reader)
            .take(LINE)
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("the recording is damaged: {error}"))?;
        if n == 0 {
            break;
        }
        *left = left.saturating_sub(n as u64);
        if *left == 0 {
            return Err("the recording is too long".to_owned());
        }
        let envelope: Envelope =
            serde_json::from_slice(&line).map_err(|error| format!("an event cannot be read: {error}"))?;
        if first {
            match &envelope.event {
                Event::Began { recording, .. } if recording.0 > RECORDING_VERSION.0 => {
                    return Err(format!(
                        "the recording has the form {}.{}",
                        recording.0, recording.1
                    ));
                }
                Event::Began { .. } | Event::Decided { .. } => {}
                _ => return Err("it does not begin as a recording does".to_owned()),
            }
            first = false;
        }
        fold.push(envelope);
    }
    if first {
        return Err("there is no recording".to_owned());
    }
    Ok(fold.finish())
}
