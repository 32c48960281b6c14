//! lock-*: requirements become a lock, by uv over the lens, and the worker fetches what is in it.

use pyti_box::protocol::{Offered, OpenView, ProvideFiles, ProvideOrder, Provided, UV, ViewOrder};
use pyti_graph::Outcome;
use pyti_model::effect::Exit;
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::plan::{Lock, Purpose};
use pyti_model::raw::{RawData, Resolve};
use pyti_resolve::explain::{self, Kind};
use pyti_resolve::uv;
use pyti_sandbox::Network;

use crate::commands;
use crate::job::{Cx, Ended, bad_end};

/// What was locked, and that its files are there.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    /// What is installed in the box.
    pub(crate) box_lock: String,
    /// Name of the environment made from it.
    pub(crate) environment: String,
    /// Whether that environment is in the cache.
    pub(crate) ready: bool,
    /// Packages: name and version.
    pub(crate) packages: Vec<(String, String)>,
    /// The same as a plan keeps it.
    pub(crate) frozen: Lock,
}

/// What shall be locked.
pub(crate) struct Wish {
    pub(crate) purpose: Purpose,
    pub(crate) requirements: Vec<String>,
    pub(crate) constraints: Vec<String>,
    pub(crate) offered: Vec<Offered>,
    /// The distribution under test, where it comes from the box and not from the index.
    pub(crate) without: Vec<String>,
    /// Only what was uploaded before this moment, beside what the plan says.
    pub(crate) exclude_newer: Option<String>,
}

/// How locking ended, other than well.
#[derive(Debug, Clone)]
pub(crate) enum Unlocked {
    /// uv says that it cannot be done: the task fails, or the caller tries something else.
    Impossible(Reason),
    /// Files are missing, cannot be built, or the lock cannot be read.
    Problems(Vec<Reason>),
}

/// Locks, and tells the raw data of it. The task's result is the caller's to decide.
pub(crate) fn lock(
    cx: &Cx<'_>,
    wish: &Wish,
) -> Result<(Result<Locked, Unlocked>, Resolve), pyti_graph::TaskError> {
    let job = cx.context();
    let mut raw = Resolve {
        purpose: wish.purpose,
        requirements: wish
            .requirements
            .iter()
            .map(|line| Foreign::from(line.as_str()))
            .collect(),
        refused: Vec::new(),
        locked: Vec::new(),
        fetched: 0,
        cached: 0,
        built: 0,
        explanation: None,
        left_out: Vec::new(),
    };
    // a frozen plan is not resolved again
    let frozen = job
        .order
        .plan
        .locks
        .get(&wish.purpose)
        .filter(|lock| lock.requirements == wish.requirements);
    let (index_lock, view) = if let Some(lock) = frozen {
        (lock.index_lock.clone(), None)
    } else if wish.requirements.is_empty() {
        (String::new(), None)
    } else {
        let view = job.peer.call::<OpenView>(&ViewOrder {
            offered: wish.offered.clone(),
        })?;
        match compile(cx, wish, &view.path)? {
            Ok(text) => (text, Some(view.path)),
            Err(unmet) => {
                raw.explanation = Some(unmet.words.clone());
                raw.left_out = left_out(cx, wish, view.path)?;
                return Ok((Err(Unlocked::Impossible(unmet.reason(&raw.left_out))), raw));
            }
        }
    };
    cx.progress("fetching what was locked");
    let provided = job.peer.call::<ProvideFiles>(&ProvideOrder {
        purpose: wish.purpose,
        requirements: wish.requirements.clone(),
        index_lock,
        view,
        without: wish.without.clone(),
    })?;
    raw.locked.clone_from(&provided.packages);
    raw.fetched = provided.fetched;
    raw.cached = provided.cached;
    raw.built = provided.built;
    raw.left_out.clone_from(&provided.left_out);
    if !provided.problems.is_empty() {
        return Ok((Err(Unlocked::Problems(provided.problems)), raw));
    }
    Ok((Ok(accept(cx, wish, provided)), raw))
}

fn accept(cx: &Cx<'_>, wish: &Wish, provided: Provided) -> Locked {
    let lock = Lock {
        requirements: wish.requirements.clone(),
        index_lock: provided.index_lock,
        box_lock: provided.box_lock.clone(),
        environment: provided.environment.clone(),
    };
    cx.context().events.send(Event::Locked {
        purpose: wish.purpose,
        lock: Box::new(lock.clone()),
    });
    Locked {
        frozen: lock,
        box_lock: provided.box_lock,
        environment: provided.environment,
        ready: provided.ready,
        packages: provided.packages,
    }
}

/// Runs uv in a box that can reach the lens and nothing else.
fn compile(cx: &Cx<'_>, wish: &Wish, view: &str) -> Result<Result<String, Unmet>, pyti_graph::TaskError> {
    let job = cx.context();
    let plan = &job.order.plan;
    let compile = uv::Compile {
        uv: UV,
        python: &plan.interpreter.executable,
        index_url: &format!("http://127.0.0.1:{}{view}", job.lens_port),
        requirements: &wish.requirements,
        constraints: &wish.constraints,
        pre: plan.pre,
        exclude_newer: wish.exclude_newer.as_deref().or(plan.exclude_newer.as_deref()),
    };
    let made = match uv::compile(&compile) {
        Ok(made) => made,
        Err(refused) => {
            return Ok(Err(Unmet {
                code: ReasonCode::Unresolvable,
                sentence: refused.to_string(),
                words: Foreign::default(),
            }));
        }
    };
    let mut command = commands::uv(job, made.argv, made.env, Network::Lens);
    command.stdin = made.stdin;
    commands::add_files(job, &mut command, &made.files)?;
    let done = job.run(cx, &mut command)?;
    if bad_end(&done.effect).is_none() {
        return Ok(Ok(done.effect.stdout.text()));
    }
    let explained = explain::explain(done.effect.stderr.text().as_bytes(), &wish.requirements);
    let code = match explained.kind {
        Kind::Lens => ReasonCode::Download,
        // uv says by its code whether it found no solution or could not look for one
        Kind::Crash if done.effect.exit != Exit::Code(1) => ReasonCode::Testbed,
        _ => ReasonCode::Unresolvable,
    };
    Ok(Err(Unmet {
        code,
        sentence: explained.sentence,
        words: Foreign::from(explained.uv),
    }))
}

/// Why there is no lock.
struct Unmet {
    code: ReasonCode,
    /// In one sentence of ours.
    sentence: String,
    /// In uv's own words.
    words: Foreign,
}

impl Unmet {
    /// The reason, with what the lens knows and uv cannot: why it left versions out.
    fn reason(&self, left_out: &[String]) -> Reason {
        let any = |code: ReasonCode| {
            let mark = format!(": {}: ", code.word());
            left_out.iter().any(|line| line.contains(&mark))
        };
        let code = match self.code {
            ReasonCode::Unresolvable if any(ReasonCode::ResolutionBudget) => ReasonCode::ResolutionBudget,
            ReasonCode::Download if any(ReasonCode::Storage) => ReasonCode::Storage,
            code => code,
        };
        let detail = match left_out {
            [] => self.sentence.clone(),
            [one] => format!("{} ({one})", self.sentence),
            [first, more @ ..] => format!(
                "{} ({first}; and {} more were left out)",
                self.sentence,
                more.len()
            ),
        };
        Reason::new(code, detail)
    }
}

/// What the lens left out of a view, with why. Asked as for a lock of nothing.
fn left_out(cx: &Cx<'_>, wish: &Wish, view: String) -> Result<Vec<String>, pyti_graph::TaskError> {
    let provided = cx.context().peer.call::<ProvideFiles>(&ProvideOrder {
        purpose: wish.purpose,
        requirements: wish.requirements.clone(),
        index_lock: String::new(),
        view: Some(view),
        without: wish.without.clone(),
    })?;
    Ok(provided.left_out)
}

/// Ends a task by how its locking ended.
pub(crate) fn conclude(cx: &Cx<'_>, raw: Resolve, unlocked: Unlocked) -> Outcome {
    let job = cx.context();
    job.keep(cx, RawData::Resolve(raw));
    match unlocked {
        Unlocked::Impossible(reason) => {
            job.because(cx, reason);
            Outcome::failure("its requirements cannot be met")
        }
        Unlocked::Problems(reasons) => {
            for reason in reasons {
                job.because(cx, reason);
            }
            Outcome::failure("what it needs cannot be had")
        }
    }
}

/// Locks, publishes and ends the task, where nothing else is to be tried.
pub(crate) fn lock_and_put(cx: &Cx<'_>, wish: &Wish, key: &pyti_graph::Key<Locked>) -> Ended {
    match lock(cx, wish)? {
        (Ok(locked), raw) => {
            cx.context().keep(cx, RawData::Resolve(raw));
            cx.put(key, locked)?;
            Ok(Outcome::success())
        }
        (Err(unlocked), raw) => Ok(conclude(cx, raw, unlocked)),
    }
}
