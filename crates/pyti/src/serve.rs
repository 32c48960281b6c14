//! `pyti serve`: controller, pages and a local worker, on an empty machine with one command.

mod hand;
mod log;

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use pyti_server::{Controller, ServeConfig, ServerError};
use pyti_store::StoreError;
use pyti_web::FeedLag;
use pyti_worker::folders::Folders;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::ServeArgs;
use crate::config::{Config, Spoken};
use crate::output::{Usage, tell};
use crate::run::env;

/// How long the local worker may take to give its jobs back.
const GIVE_BACK: Duration = Duration::from_secs(30);

/// How often the pages hear of the feeds.
const FEEDS_TOLD: Duration = Duration::from_secs(5);

/// `pyti serve`.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<u8> {
    log::start(args.log)?;
    let data = match &args.data {
        Some(data) => std::path::absolute(data)?,
        None => Folders::find(&env)?.service(),
    };
    let mut config = ServeConfig::find(&data, args.config.as_deref(), &env).map_err(usage)?;
    if let Some(listen) = &args.listen {
        config.listen = ServeConfig::addresses(listen).map_err(usage)?;
    }
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let index = index(args)?;
    let controller = match Controller::open(config, &program, index) {
        Err(ServerError::Store(StoreError::InUse(folder))) => {
            anyhow::bail!("another controller serves {}", folder.display());
        }
        other => other?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(
            std::thread::available_parallelism()
                .map_or(2, usize::from)
                .clamp(2, 16),
        )
        .enable_all()
        .build()?;
    runtime.block_on(run(args, &controller, &program, &data))?;
    // nobody waits for what was abandoned
    runtime.shutdown_timeout(Duration::from_secs(2));
    Ok(0)
}

/// Wrong use, where it is the configuration's fault.
fn usage(error: ServerError) -> anyhow::Error {
    match error {
        ServerError::Config(why) => Usage(why).into(),
        other => other.into(),
    }
}

/// The index as pip and uv have it; without one, only files that are put here can be tested.
fn index(args: &ServeArgs) -> anyhow::Result<Option<pyti_index::Settings>> {
    let config = Config::find(&Spoken {
        index_url: args.index_url.as_deref(),
        ..Spoken::default()
    })?;
    let overrides = pyti_index::config::Overrides {
        index_url: config.index_url.as_ref().map(|v| v.value.clone()),
        remember_in: Some(Folders::find(&env)?.index()?),
        ..Default::default()
    };
    match pyti_index::config::Settings::discover(&env, &overrides) {
        Ok(settings) => Ok(Some(settings)),
        Err(error) => {
            tracing::warn!(%error, "no index: only files that are put here can be tested");
            Ok(None)
        }
    }
}

async fn run(
    args: &ServeArgs,
    controller: &Arc<Controller>,
    program: &Path,
    data: &Path,
) -> anyhow::Result<()> {
    // before anything is served, so that a stop in between is a stop
    let mut signals = Signals::listen()?;
    controller.start()?;
    let site = pages(controller, program)?;
    let served = pyti_server::serve(controller, Some(pyti_web::router(site.clone()))).await?;
    let telling = [
        tokio::spawn(tell_results(Arc::clone(controller), site.clone())),
        tokio::spawn(tell_feeds(Arc::clone(controller), site.clone())),
    ];
    for (address, tls) in served.addresses.iter().zip(&served.tls) {
        let scheme = if *tls { "https" } else { "http" };
        tracing::info!(%address, tls, "listening");
        if std::io::stderr().is_terminal() {
            tell(&format!("PyTI serves at {scheme}://{address}/"));
        }
    }
    tracing::info!(data = %data.display(), controller = %controller.id(), "serving");
    let hand = (!args.no_worker).then(|| {
        hand::Hand::start(
            program.to_owned(),
            controller.config().socket.clone(),
            data.join("worker"),
            args.index_url.clone(),
        )
    });
    signals.first().await;
    tracing::info!("stopping: jobs go back, free of charge; again to stop at once");
    let stopping = async {
        if let Some(hand) = hand {
            hand.stop(GIVE_BACK).await;
        }
        site.close();
        controller.stop();
        served.ended().await;
        for task in telling {
            task.abort();
        }
    };
    tokio::select! {
        () = stopping => tracing::info!("stopped"),
        () = signals.first() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// The pages, as the `[web]` of the configuration wants them.
fn pages(controller: &Controller, program: &Path) -> anyhow::Result<pyti_web::Site> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Web {
        name: Option<String>,
        address: Option<String>,
    }
    let config = controller.config();
    let web: Web = match &config.web {
        None => Web::default(),
        Some(table) => table
            .clone()
            .try_into()
            .map_err(|error| Usage(format!("[web]: {error}")))?,
    };
    let mut settings = pyti_web::Settings::of_program(program.to_owned());
    settings.hosts.clone_from(&config.hosts);
    settings.address = web.address;
    if let Some(name) = web.name {
        settings.name = name;
    }
    if let Some(folder) = &config.rules {
        settings.rules = Some(crate::safety::rule_files(folder)?);
    }
    Ok(pyti_web::Site::new(controller.store().clone(), settings))
}

/// Wakes who follows results as they are committed.
async fn tell_results(controller: Arc<Controller>, site: pyti_web::Site) {
    let mut results = controller.results();
    loop {
        match results.recv().await {
            Ok(result) => site.tell(result),
            // they look for themselves
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Tells the pages how far behind the feeds are: as far as the oldest event that has not become jobs yet.
async fn tell_feeds(controller: Arc<Controller>, site: pyti_web::Site) {
    loop {
        let troubles = controller.feed_troubles();
        if !troubles.is_empty()
            && let Ok((_, oldest)) = controller.ask(pyti_store::Store::feed_lag).await
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let behind_s = oldest.map_or(0, |oldest| now.as_secs().saturating_sub(oldest / 1000));
            let lags = troubles.into_iter().map(|(feed, trouble)| FeedLag {
                feed,
                behind_s,
                trouble,
            });
            site.feeds(lags.collect());
        }
        tokio::time::sleep(FEEDS_TOLD).await;
    }
}

/// What asks to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn first(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}
