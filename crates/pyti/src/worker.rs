//! `pyti worker`: this machine carries out jobs of a controller.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use pyti_command::Secret;
use pyti_command::trust::JoinToken;
use pyti_command::worker::EnrolParams;
use pyti_dispatch::WorkerId;
use pyti_model::plan::Interpreter;
use pyti_remote::address::Address;
use pyti_remote::client::Client;
use pyti_remote::home::{Home, Membership};
use pyti_remote::link::{Link, LinkError, enrol};
use pyti_remote::news::{News, Newspaper};
use pyti_remote::offers;
use pyti_remote::work::{Hand, Settings};
use pyti_worker::Stop;
use pyti_worker::folders::Folders;

use crate::args::WorkerArgs;
use crate::config::{Config, Spoken};
use crate::output::{Usage, print, tell};
use crate::run::env;

/// Longest file with a token that is read, bytes.
const TOKEN_FILE: u64 = 4096;

/// `pyti worker`.
pub(crate) fn worker(args: WorkerArgs) -> anyhow::Result<u8> {
    crate::run::runtime()?.block_on(work(args))
}

async fn work(args: WorkerArgs) -> anyhow::Result<u8> {
    let address: Address = args.controller.parse().map_err(usage)?;
    let token = join_token(&args)?;
    let folders = Folders::find(&env)?;
    let config = Config::find(&Spoken {
        index_url: args.index_url.as_deref(),
        ..Default::default()
    })?;
    let interpreters = interpreters(&args.python, &folders)?;
    let slots = args.slots.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u16::try_from(cores.div_ceil(2)).unwrap_or(256).min(256)
    });
    let offers = offers::offers(&interpreters, slots, offers::memory_bytes())
        .context("this machine has nothing that could be offered")?;
    let data = match &args.data {
        Some(data) => data.clone(),
        None => folders.data().join("worker"),
    };
    let home = Arc::new(Home::open(&data)?);
    let news: Arc<dyn Newspaper> = Arc::new(Told { json: args.json });
    let stop = Stop::new();
    crate::session::stop_on_signal(stop.clone());
    let known = home.membership()?;
    let named = crate::caller::authority(args.authority.as_deref())?;
    // the newest word counts: a controller may have got another authority
    let authority = named
        .or_else(|| token.as_ref().and_then(|token| token.authority.clone()))
        .or_else(|| known.as_ref().and_then(|known| known.authority.clone()));
    let client = Client::new(&address, authority.as_ref())?;
    let membership = if let Some(known) = known {
        known
    } else {
        let params = EnrolParams {
            worker: name(&args)?,
            key: home.key.public(),
            join: token.map(|token| token.secret),
            offers: offers.clone(),
        };
        match enrol(&client, &home, &params, authority.as_ref(), &stop, news.as_ref()).await {
            Err(LinkError::Stopped) => return Ok(0),
            other => other?,
        }
    };
    let counters = home.start()?;
    let settings = Settings {
        program: std::env::current_exe().context("cannot find the program itself")?,
        files: folders.files()?,
        index_url: config.index_url.map(|value| value.value),
        offline: args.offline,
        offers: offers.clone(),
    };
    let link = Link::new(
        client,
        Arc::clone(&home),
        Membership {
            authority,
            ..membership
        },
        counters.boot,
        offers,
        stop.clone(),
        Arc::clone(&news),
    );
    Hand::new(link, home, settings, stop, news)?
        .work(counters)
        .await?;
    Ok(0)
}

fn usage(error: impl std::fmt::Display) -> Usage {
    Usage(error.to_string())
}

/// The token of who is new, from the first place that has one.
fn join_token(args: &WorkerArgs) -> anyhow::Result<Option<JoinToken>> {
    let text = match (&args.join, &args.join_file) {
        (Some(text), _) => Some(Secret::new(text.clone())),
        (None, Some(path)) => Some(token_in(path)?),
        (None, None) => env("PYTI_JOIN_TOKEN").map(Secret::new),
    };
    Ok(text
        .map(|text| text.expose().parse::<JoinToken>().map_err(usage))
        .transpose()?)
}

/// A token in a file, or on standard input.
pub(crate) fn token_in(path: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(TOKEN_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(TOKEN_FILE).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read the token in {}", path.display()))?;
    Ok(Secret::new(text.trim()))
}

/// What it is called: as it was told, or as the machine is.
fn name(args: &WorkerArgs) -> anyhow::Result<WorkerId> {
    if let Some(name) = &args.name {
        return Ok(name
            .parse()
            .map_err(|error| Usage(format!("--name {name:?}: {error}")))?);
    }
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let own = offers::name_of(&host);
    Ok(own.ok_or_else(|| {
        Usage(format!(
            "the machine's name {host:?} cannot be a worker's: give --name"
        ))
    })?)
}

/// The interpreters that are offered, one of each version.
fn interpreters(wanted: &[String], folders: &Folders) -> anyhow::Result<Vec<Interpreter>> {
    let found = pyti_resolve::interpreters::find_cached(&env, &folders.interpreters()?);
    if wanted.is_empty() {
        return Ok(found.interpreters);
    }
    wanted
        .iter()
        .map(|wish| Ok(pyti_resolve::interpreters::choose(&found, Some(wish))?))
        .collect()
}

/// Tells what happens on standard error, or as JSON on standard output.
struct Told {
    json: bool,
}

impl Newspaper for Told {
    fn tell(&self, news: &News) {
        if self.json {
            if let Ok(text) = serde_json::to_string(news) {
                // nobody is left to tell when standard output is gone
                let _ = print(&text);
            }
        } else {
            tell(&news.to_string());
        }
    }
}
