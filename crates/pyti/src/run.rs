//! `pyti run`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use pyti_judge::{JobRecord, Judgement};
use pyti_model::FileKind;
use pyti_model::plan::{Installer, Interpreter, Isolation, Watch, host_and_port};
use pyti_worker::Request;
use pyti_worker::folders::Folders;
use pyti_worker::target::Target;

use crate::args::{InstallerName, IsolationName, Only, RunArgs};
use crate::config::{Config, Spoken};
use crate::output::{Look, Usage};
use crate::session::{Piece, Session, Showing, Wanted};

/// A variable of the environment, when it is text.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tasks that can be left out; what needs them is left out too.
const TASKS: &[&str] = &[
    "unpack", "inspect", "build", "metadata", "install", "start", "import", "scripts", "exercise", "quality",
    "test", "coverage",
];

/// Jobs of a run, judged.
pub(crate) type Judged = (JobRecord, Judgement);

/// Runs everything that was asked for.
pub(crate) fn run(args: RunArgs, look: &Look) -> anyhow::Result<u8> {
    runtime()?.block_on(run_all(args, look))
}

/// What commands wait in that speak with the index and with boxes.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

async fn run_all(args: RunArgs, look: &Look) -> anyhow::Result<u8> {
    let config = Config::find(&Spoken {
        python: &args.python,
        timeout: args.timeout,
        memory: args.memory.as_deref(),
        jobs: args.jobs,
        index_url: args.index_url.as_deref(),
    })?;
    let folders = Folders::find(&env)?;
    let pieces = pieces(&args, &config, &folders)?;
    let showing = if args.json { Showing::Json } else { Showing::Report };
    let session = Arc::new(Session::open(&config, folders, args.offline, args.quiet, showing, look).await?);
    session.worker.use_machines(pyti_worker::MachineOptions {
        require_kvm: args.require_kvm,
    });
    let mut finished = session.all(pieces.clone()).await?;
    if args.against.is_some() || args.twice {
        let mut more = Vec::new();
        for first in &finished {
            let piece = &pieces[first.piece];
            if session.stop.is_stopped() {
                break;
            }
            if args.twice {
                more.extend(crate::against::guise(&session, piece, first, args.json).await?);
            }
            if let Some(wanted) = &args.against {
                crate::against::release(&session, piece, first, wanted, args.json).await?;
            }
        }
        finished.extend(more);
    }
    let statuses: Vec<_> = finished.iter().flat_map(|f| f.jobs.iter().copied()).collect();
    let own_error = finished.iter().any(|f| f.own_error);
    Ok(pyti_judge::exit_code(
        &statuses,
        session.stop.is_stopped(),
        own_error,
    ))
}

/// The interpreters that were asked for; the newest when none was.
pub(crate) fn interpreters(config: &Config, folders: &Folders) -> anyhow::Result<Vec<Interpreter>> {
    let found = pyti_resolve::interpreters::find_cached(&env, &folders.interpreters()?);
    let wanted: Vec<Option<&str>> = if config.python.value.is_empty() {
        vec![None]
    } else {
        config.python.value.iter().map(|v| Some(v.as_str())).collect()
    };
    let chosen = wanted
        .into_iter()
        .map(|wish| pyti_resolve::interpreters::choose(&found, wish))
        .collect::<Result<_, _>>()?;
    Ok(chosen)
}

/// Targets of a file, one a line.
pub(crate) fn targets_of(list: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// How jobs are shut in.
pub(crate) fn isolation(args: &RunArgs) -> Isolation {
    match args.isolation {
        None | Some(IsolationName::Sandbox) => Isolation::Sandbox,
        Some(IsolationName::Vm) => Isolation::Vm,
    }
}

/// The image whose interpreter is used: the one that is named, else for a virtual machine the one called so.
const DEFAULT_IMAGE: &str = "default";

/// The interpreters of an image that were asked for; its first when none was.
fn interpreters_in(image: &str, config: &Config) -> anyhow::Result<Vec<Interpreter>> {
    let image = crate::image::images()?.find(image)?;
    let found = pyti_resolve::interpreters::Found {
        interpreters: image.interpreters(),
        problems: Vec::new(),
    };
    if config.python.value.is_empty() {
        return Ok(found.interpreters.into_iter().take(1).collect());
    }
    let wanted = config.python.value.iter();
    let chosen: Result<Vec<_>, _> = wanted
        .map(|wish| pyti_resolve::interpreters::choose(&found, Some(wish)))
        .collect();
    chosen.with_context(|| format!("in the image {}", image.name))
}

/// Every target on every interpreter.
fn pieces(args: &RunArgs, config: &Config, folders: &Folders) -> anyhow::Result<Vec<Piece>> {
    if let Some(path) = &args.plan {
        let plan =
            pyti_resolve::planfile::read(path).with_context(|| format!("{} is no plan", path.display()))?;
        let request = request(args, config, plan.interpreter.clone())?;
        return Ok(vec![Piece {
            target: Wanted::Plan(Box::new(plan)),
            request,
        }]);
    }
    let mut texts = args.targets.clone();
    if let Some(list) = &args.list {
        texts.extend(targets_of(list)?);
    }
    let image = match (&args.image, isolation(args)) {
        (Some(image), _) => Some(image.as_str()),
        (None, Isolation::Sandbox) => None,
        (None, _) => Some(DEFAULT_IMAGE),
    };
    let interpreters = match image {
        Some(image) => interpreters_in(image, config)?,
        None => interpreters(config, folders)?,
    };
    let mut pieces = Vec::new();
    for text in texts {
        let target: Target = text.parse()?;
        for interpreter in &interpreters {
            let request = request(args, config, interpreter.clone())?;
            pieces.push(Piece {
                target: Wanted::Target(text.clone(), target.clone()),
                request,
            });
        }
    }
    Ok(pieces)
}

fn request(args: &RunArgs, config: &Config, interpreter: Interpreter) -> anyhow::Result<Request> {
    let mut env = BTreeMap::new();
    for pair in &args.env {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Usage(format!("--env {pair:?}: write NAME=VALUE")))?;
        env.insert(name.to_owned(), value.to_owned());
    }
    if let Some(unknown) = args.skip.iter().find(|name| !TASKS.contains(&name.as_str())) {
        return Err(Usage(format!(
            "--skip {unknown:?}: there are the tasks {}",
            TASKS.join(", ")
        ))
        .into());
    }
    for service in &args.services {
        if service != "none" && pyti_services::Wanted::read(service).is_none() {
            let known: Vec<&str> = pyti_services::catalogue::ALL.iter().map(|s| s.name).collect();
            return Err(Usage(format!("--service {service:?}: there are {}", known.join(", "))).into());
        }
    }
    for host in &args.allow {
        if host_and_port(host).is_none() {
            return Err(Usage(format!("--allow {host:?}: write HOST:PORT")).into());
        }
    }
    Ok(Request {
        interpreter,
        isolation: isolation(args),
        only: args.only.map(|only| match only {
            Only::Sdist => FileKind::Sdist,
            Only::Wheel => FileKind::Wheel,
        }),
        skip: args.skip.clone(),
        env,
        pre: args.pre,
        exclude_newer: args.exclude_newer.clone(),
        limits: config.limits.clone(),
        installer: match args.installer {
            InstallerName::Uv => Installer::Uv,
            InstallerName::Pip => Installer::Pip,
        },
        max_bytes: config.max_size.value,
        hash_seed: 0,
        watch: if args.no_watch { Watch::Off } else { Watch::On },
        exercise: args.exercise,
        allow: args.allow.clone(),
        repeat: args.repeat.unwrap_or(0),
        services: args.services.clone(),
        overrides: crate::overrides::registry()?,
        coverage: args.coverage,
        quality: (args.quality || args.pylint) && !args.skip.iter().any(|task| task == "quality"),
        pylint: args.pylint,
        first_only: false,
        guise: 0,
    })
}
