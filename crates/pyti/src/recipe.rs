//! `pyti recipe`: how the tests of a distribution would be run, why so, and what was rejected. Nothing of it runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use pyti_model::FileKind;
use pyti_model::event::{Envelope, Event};
use pyti_model::foreign::Foreign;
use pyti_model::plan::{Installer, Watch};
use pyti_model::raw::{Inspection, RawData, Recipe, Runner};
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::target::Target;
use pyti_worker::{Prepared, PreparedJob, Request};
use serde_json::json;

use crate::args::RecipeArgs;
use crate::config::{Config, Spoken};
use crate::live::Live;
use crate::output::{Look, Usage, print};
use crate::run::env;
use crate::session::{Session, Showing};

/// Arguments of a recipe that are shown one by one.
const MOST: usize = 12;

/// `pyti recipe TARGET`.
pub(crate) fn recipe(args: &RecipeArgs, look: &Look) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (title, inspection) = runtime.block_on(inspect(args, look))?;
    let text = if args.json {
        serde_json::to_string(&json!({
            "schema": "pyti.recipe/1",
            "source": title,
            "recipes": inspection.recipes,
            "rejected": inspection.rejected,
            "importable": inspection.importable,
        }))?
    } else {
        told(&title, &inspection)
    };
    print(&text)?;
    Ok(0)
}

/// Reads the sdist in a box.
async fn inspect(args: &RecipeArgs, look: &Look) -> anyhow::Result<(String, Inspection)> {
    let wanted: Vec<String> = args.python.iter().cloned().collect();
    let config = Config::find(&Spoken {
        python: &wanted,
        index_url: args.index_url.as_deref(),
        ..Default::default()
    })?;
    let folders = pyti_worker::folders::Folders::find(&env)?;
    let found = pyti_resolve::interpreters::find_cached(&env, &folders.interpreters()?);
    let wish = config.python.value.first().map(String::as_str);
    let interpreter = pyti_resolve::interpreters::choose(&found, wish)?;
    let target: Target = args.target.parse()?;
    let session = Session::open(&config, folders, args.offline, true, Showing::Nothing, look).await?;
    let request = Request {
        interpreter,
        isolation: pyti_model::plan::Isolation::Sandbox,
        only: Some(FileKind::Sdist),
        skip: Vec::new(),
        env: BTreeMap::new(),
        pre: args.pre,
        exclude_newer: None,
        limits: config.limits.clone(),
        installer: Installer::Uv,
        max_bytes: config.max_size.value,
        hash_seed: 0,
        watch: Watch::Off,
        exercise: false,
        allow: Vec::new(),
        repeat: 0,
        services: Vec::new(),
        overrides: crate::overrides::registry()?,
        coverage: false,
        quality: false,
        pylint: false,
        first_only: false,
        guise: 0,
    };
    let live = Live::new(args.target.clone(), None, true);
    let progress = |name: &str, done: u64, _: Option<u64>| live.say("fetching", &format!("{name} {done}"));
    let prepared: Prepared = session.worker.prepare(&target, &request, &progress).await?;
    for job in prepared.jobs {
        let plan = match job {
            PreparedJob::Plan(plan) if plan.target.kind != FileKind::Wheel => plan,
            PreparedJob::Plan(_) => continue,
            PreparedJob::Decided { outcome, .. } => {
                let why: Vec<String> = outcome
                    .reasons
                    .iter()
                    .map(|reason| {
                        if reason.detail.is_empty() {
                            reason.code.meaning().to_owned()
                        } else {
                            format!("{}: {}", reason.code.meaning(), reason.detail.visible())
                        }
                    })
                    .collect();
                bail!("there is no source to read: {}", why.join("; "));
            }
        };
        let title = format!("{} {}", plan.target.project, plan.target.version);
        let heard = Arc::new(Heard::default());
        let recorder = Arc::new(Recorder::nowhere(Arc::clone(&heard) as Arc<dyn Listener>));
        session
            .worker
            .run(*plan, Some("inspect".to_owned()), recorder, &session.stop)
            .await?;
        let mut heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inspection = heard.take().context("its files cannot be read")?;
        return Ok((title, inspection));
    }
    Err(Usage(format!(
        "{} has no source distribution, where tests would be",
        args.target
    ))
    .into())
}

/// Keeps the inspection of a job.
#[derive(Default)]
struct Heard(Mutex<Option<Inspection>>);

impl Listener for Heard {
    fn heard(&self, envelope: &Envelope) {
        if let Event::Ended {
            raw: Some(RawData::Inspect(inspection)),
            ..
        } = &envelope.event
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((**inspection).clone());
        }
    }
}

/// Everything for people. All of it comes from a package and is made visible.
fn told(title: &str, inspection: &Inspection) -> String {
    let mut text = format!("{} · how its tests are run\n", seen(title));
    if inspection.recipes.is_empty() {
        text.push_str("\n there are no tests to run\n");
    }
    let others = inspection.recipes.iter().any(|recipe| !recipe.besides);
    for (number, recipe) in inspection.recipes.iter().enumerate() {
        let when = match (number, recipe.besides && others) {
            (_, true) => "its tests are added",
            (0, _) => "first",
            _ => "when those before come to nothing",
        };
        let _ = write!(text, "\n {}  {} · {when}\n", number + 1, recipe.runner.title());
        for (key, value) in facts(recipe, inspection) {
            if !value.is_empty() {
                let _ = writeln!(text, "    {key:<13} {value}");
            }
        }
        let evidence = recipe.evidence.iter().map(|evidence| {
            let place = match evidence.line {
                0 => seen(&evidence.file),
                line => format!("{}:{line}", seen(&evidence.file)),
            };
            (seen(&evidence.what), Some(place))
        });
        let bare = recipe
            .why
            .iter()
            .filter(|why| !recipe.evidence.iter().any(|evidence| evidence.what == **why))
            .map(|why| (seen(why), None));
        for (what, place) in evidence.chain(bare) {
            let place = place.map(|place| format!("  ← {place}")).unwrap_or_default();
            let _ = writeln!(text, "    because       {what}{place}");
        }
    }
    if !inspection.rejected.is_empty() {
        text.push_str("\n rejected\n");
        for line in &inspection.rejected {
            let _ = writeln!(text, "    {}", seen(line));
        }
    }
    text
}

/// What a recipe does, by key.
fn facts(recipe: &Recipe, inspection: &Inspection) -> Vec<(&'static str, String)> {
    let list = |words: &[String]| -> String {
        let shown: Vec<String> = words.iter().take(MOST).map(|word| seen(word)).collect();
        let more = words.len().saturating_sub(MOST);
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{rest}", shown.join(" "))
    };
    let lines = |words: &[String]| words.iter().map(|word| seen(word)).collect::<Vec<_>>().join(", ");
    let program = match recipe.runner {
        Runner::Pytest => "pytest",
        Runner::Unittest => "python -m unittest",
        Runner::Doctest => "doctest of",
        Runner::Zope => "zope-testrunner in",
        Runner::Trial => "trial",
        Runner::Nose2 => "nose2",
        Runner::Django | Runner::Script => "python",
    };
    let hidden: Vec<String> = if recipe.sources.is_hidden() {
        inspection.importable.values().cloned().collect()
    } else {
        Vec::new()
    };
    let layout = if hidden.is_empty() {
        "the tree as it is".to_owned()
    } else {
        format!("the tree without what is installed: {}", list(&hidden))
    };
    let env: Vec<String> = recipe
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    vec![
        (
            "command",
            format!("{program} {}", list(&recipe.arguments))
                .trim_end()
                .to_owned(),
        ),
        ("in", seen(&recipe.cwd)),
        ("requirements", lines(&recipe.requirements)),
        ("extras", lines(&recipe.extras)),
        ("layout", layout),
        ("services", lines(&recipe.services)),
        ("variables", lines(&env)),
    ]
}

/// A text of a package on one line, with what would not be seen made visible.
fn seen(text: &str) -> String {
    Foreign::from(text).visible()
}

#[cfg(test)]
mod tests {
    use pyti_model::raw::Evidence;

    use super::*;

    #[test]
    fn everything_is_told_and_nothing_speaks_to_the_terminal() {
        let inspection = Inspection {
            recipes: vec![
                Recipe {
                    arguments: vec!["tests".to_owned()],
                    requirements: vec!["pytest".to_owned(), "mock\u{1b}[2J".to_owned()],
                    why: vec![
                        "requirements: dependency group test".to_owned(),
                        "command: pytest".to_owned(),
                    ],
                    evidence: vec![Evidence {
                        what: "requirements: dependency group test".to_owned(),
                        file: "pyproject.toml".to_owned(),
                        line: 7,
                    }],
                    services: vec!["redis".to_owned()],
                    ..Recipe::default()
                },
                Recipe {
                    runner: Runner::Doctest,
                    besides: true,
                    ..Recipe::default()
                },
            ],
            rejected: vec!["command: x is passed over".to_owned()],
            importable: [("x".to_owned(), "src/x".to_owned())].into(),
            ..Inspection::default()
        };
        let text = told("x 1.0", &inspection);
        for wanted in [
            "1  pytest · first",
            "2  doctest · its tests are added",
            "command       pytest tests",
            "the tree without what is installed: src/x",
            "dependency group test  ← pyproject.toml:7",
            "because       command: pytest\n",
            "services      redis",
            "rejected\n    command: x is passed over",
        ] {
            assert!(text.contains(wanted), "{wanted}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(told("x 1.0", &Inspection::default()).contains("no tests"));
    }
}
