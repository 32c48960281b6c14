//! `pyti perf`: whether a release costs more than another, by interleaved rounds.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use pyti_judge::perf::{Difference, FEWEST, Seen, paired};
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::TaskResult;
use pyti_model::plan::{Plan, Watch};
use pyti_model::raw::{Costs, RawData, Test};
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::target::Target;
use pyti_worker::{PreparedJob, Request};
use serde_json::json;

use crate::args::PerfArgs;
use crate::config::{Config, Spoken};
use crate::output::{Look, Usage, print, tell};
use crate::run::{env, interpreters, runtime};
use crate::session::{Session, Showing};

/// What one round of one release came to.
#[derive(Debug, Clone, Default)]
struct Sample {
    start_s: Option<f64>,
    import_s: Option<f64>,
    memory: Option<f64>,
    tests_s: Option<f64>,
}

/// One release.
struct Release {
    plan: Plan,
    samples: Vec<Sample>,
    bytes: u64,
    tests: Option<String>,
}

/// Runs everything that was asked for.
pub(crate) fn perf(args: &PerfArgs, look: &Look) -> anyhow::Result<u8> {
    runtime()?.block_on(compare(args, look))
}

async fn compare(args: &PerfArgs, look: &Look) -> anyhow::Result<u8> {
    let python: Vec<String> = args.python.iter().cloned().collect();
    let config = Config::find(&Spoken {
        python: &python,
        index_url: args.index_url.as_deref(),
        ..Default::default()
    })?;
    let folders = pyti_worker::folders::Folders::find(&env)?;
    let interpreter = interpreters(&config, &folders)?
        .into_iter()
        .next()
        .context("there is no interpreter")?;
    let request = Request {
        pre: args.pre,
        limits: config.limits.clone(),
        max_bytes: config.max_size.value,
        watch: Watch::Off,
        // what is timed is timed by itself
        skip: vec!["start".to_owned(), "import".to_owned()],
        ..Request::plain(interpreter.clone())
    };
    let session = Session::open(&config, folders, args.offline, true, Showing::Nothing, look).await?;
    let mut now = release(&session, &args.target, &request).await?;
    let (name, version) = (now.plan.target.project.clone(), now.plan.target.version.clone());
    let other = match args.against.as_str() {
        "previous" => format!("{name}<{version}"),
        wanted => format!("{name}=={wanted}"),
    };
    let mut before = release(&session, &other, &request).await?;
    for number in 0..=args.rounds {
        // the first round warms the caches and finds the locks; later ones begin with the other release each time
        let order = if number % 2 == 0 {
            [&mut before, &mut now]
        } else {
            [&mut now, &mut before]
        };
        for release in order {
            if session.stop.is_stopped() {
                return Ok(130);
            }
            let sample = round(&session, release, args.tests).await?;
            if number > 0 {
                release.samples.push(sample);
            }
        }
        if !args.quiet && number > 0 {
            tell(&format!("round {number} of {}", args.rounds));
        }
    }
    let text = if args.json {
        as_json(args, &before, &now, &interpreter.title())?
    } else {
        as_text(args, &before, &now, &interpreter.title())
    };
    print(&text)?;
    Ok(0)
}

/// Finds a release and what is to be done with it.
async fn release(session: &Session<'_>, text: &str, request: &Request) -> anyhow::Result<Release> {
    let target: Target = text.parse()?;
    let prepared = session.worker.prepare(&target, request, &|_, _, _| ()).await?;
    for job in prepared.jobs {
        match job {
            PreparedJob::Plan(plan) if plan.run_tests => {
                return Ok(Release {
                    plan: *plan,
                    samples: Vec::new(),
                    bytes: 0,
                    tests: None,
                });
            }
            PreparedJob::Plan(_) => {}
            PreparedJob::Decided { outcome, .. } => {
                let why = outcome.reasons.first().map_or("", |reason| reason.code.meaning());
                bail!("{text} cannot be run here: {}: {why}", outcome.status.word());
            }
        }
    }
    Err(Usage(format!("{text} has nothing to be measured")).into())
}

/// Events of one job.
#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn heard(&self, envelope: &Envelope) {
        let keep = matches!(envelope.event, Event::Locked { .. } | Event::Ended { .. });
        if keep {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(envelope.event.clone());
        }
    }
}

/// One round of one release. What was locked is written into its plan: later rounds resolve nothing.
async fn round(session: &Session<'_>, release: &mut Release, tests: bool) -> anyhow::Result<Sample> {
    let heard = Arc::new(Heard::default());
    let recorder = Arc::new(Recorder::nowhere(Arc::clone(&heard) as Arc<dyn Listener>));
    let until = if tests { "test" } else { "cost" };
    session
        .worker
        .run(
            release.plan.clone(),
            Some(until.to_owned()),
            recorder,
            &session.stop,
        )
        .await?;
    let events = std::mem::take(&mut *heard.0.lock().unwrap_or_else(PoisonError::into_inner));
    let mut sample = Sample::default();
    let mut failed = None;
    for event in events {
        match event {
            Event::Locked { purpose, lock } => {
                release.plan.locks.insert(purpose, *lock);
            }
            Event::Ended {
                raw: Some(RawData::Costs(costs)),
                ..
            } => read_costs(&mut sample, release, &costs),
            Event::Ended {
                raw: Some(RawData::Test(test)),
                ..
            } => read_tests(&mut sample, release, *test),
            Event::Ended {
                task,
                result: TaskResult::Failure | TaskResult::Exception,
                ..
            } => {
                failed.get_or_insert(task);
            }
            _ => {}
        }
    }
    if sample.start_s.is_none() {
        let version = &release.plan.target.version;
        bail!(
            "{} {version} cannot be measured: the task {} ended badly",
            release.plan.target.project,
            failed.unwrap_or_else(|| "cost".to_owned())
        );
    }
    Ok(sample)
}

fn read_costs(sample: &mut Sample, release: &mut Release, costs: &Costs) {
    sample.start_s = costs.start_s.iter().copied().min_by(f64::total_cmp);
    sample.import_s = costs.import_cost_s();
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let memory = costs.import_memory_bytes as f64;
    sample.memory = (costs.import_memory_bytes > 0).then_some(memory);
    release.bytes = costs.bytes();
}

fn read_tests(sample: &mut Sample, release: &mut Release, test: Test) {
    // the sum over the tests: what the runner itself takes to start is nobody's
    if test.finished && test.counts.executed() > 0 {
        sample.tests_s = Some(test.cases.iter().map(|case| case.wall_s).sum());
    }
    release.tests = Some(test.counts.sentence());
    release.plan.recipe = Some(test.recipe);
}

/// What is compared: its name, its unit's factor and word, and where it is in a sample.
type Measure = (&'static str, f64, &'static str, fn(&Sample) -> Option<f64>);

const MEASURES: [Measure; 4] = [
    ("start-up", 1e3, "ms", |sample| sample.start_s),
    ("import", 1e3, "ms", |sample| sample.import_s),
    ("memory", 1e-6, "MB", |sample| sample.memory),
    ("tests", 1.0, "s", |sample| sample.tests_s),
];

fn compared(before: &Release, now: &Release) -> Vec<(Measure, Option<Difference>)> {
    let values = |release: &Release, of: fn(&Sample) -> Option<f64>| -> Vec<f64> {
        release
            .samples
            .iter()
            .map(|sample| of(sample).unwrap_or(f64::NAN))
            .collect()
    };
    MEASURES
        .into_iter()
        .filter(|(.., of)| now.samples.iter().any(|sample| of(sample).is_some()))
        .map(|measure| {
            let of = measure.3;
            (measure, paired(&values(before, of), &values(now, of)))
        })
        .collect()
}

fn as_text(args: &PerfArgs, before: &Release, now: &Release, interpreter: &str) -> String {
    let mut text = format!(
        " {} {} against {} · {interpreter} · {} rounds, interleaved\n",
        now.plan.target.project, now.plan.target.version, before.plan.target.version, args.rounds
    );
    for ((name, factor, unit, _), found) in compared(before, now) {
        let said = match &found {
            None => format!("too few rounds to tell: {FEWEST} are needed"),
            Some(found) => {
                let percent = |value: f64| format!("{:+.1} %", found.percent(value));
                let interval = format!("{} … {}", percent(found.low), percent(found.high));
                let verdict = match found.seen() {
                    Seen::Nothing => format!("no difference seen ({interval})"),
                    Seen::More => format!("more by {} ({interval})", percent(found.shift)),
                    Seen::Less => format!("less by {} ({interval})", percent(-found.shift)),
                };
                format!(
                    "{:.1} → {:.1} {unit}  {verdict}",
                    found.before * factor,
                    found.now * factor
                )
            }
        };
        text.push_str(&format!("   {name:<9} {said}\n"));
    }
    text.push_str(&format!(
        "   {:<9} {} → {} bytes, exactly\n",
        "size", before.bytes, now.bytes
    ));
    if let (Some(old), Some(new)) = (&before.tests, &now.tests) {
        text.push_str(&format!(
            "   the tests are each release's own: {old}; then {new}\n"
        ));
    }
    text.push_str("   intervals are of 95 %: one measure in twenty differs by chance\n");
    text
}

fn as_json(args: &PerfArgs, before: &Release, now: &Release, interpreter: &str) -> anyhow::Result<String> {
    let measures: serde_json::Map<String, serde_json::Value> = compared(before, now)
        .into_iter()
        .map(|((name, .., of), found)| {
            let samples = |release: &Release| release.samples.iter().map(of).collect::<Vec<_>>();
            let seen = found.as_ref().map(Difference::seen);
            let value = json!({
                "difference": found,
                "seen": seen,
                "samples": {"before": samples(before), "now": samples(now)},
            });
            (name.to_owned(), value)
        })
        .collect();
    let one = |release: &Release| {
        json!({
            "version": release.plan.target.version,
            "sha256": release.plan.target.sha256,
            "installed_bytes": release.bytes,
            "tests": release.tests,
        })
    };
    Ok(serde_json::to_string(&json!({
        "schema": "pyti.perf/1",
        "name": now.plan.target.project,
        "interpreter": interpreter,
        "rounds": args.rounds,
        "hash_seed": now.plan.hash_seed,
        "before": one(before),
        "now": one(now),
        "measures": measures,
    }))?)
}
