//! Feeds: how uploads become files that are stored and jobs that wait.
//!
//! * `changelog`: asks the index what happened; events and the cursor are one transaction
//! * `expander`: what waits is looked up on the projects' pages and becomes files and jobs
//! * `uploads`: files that were told are stored, whether a job wants them or not
//! * `folder`: a watched folder
//!
//! What is decided is decided in `pyti-feed`; here things are asked and written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyti_command::feed::FeedView;
use pyti_feed::config::{Feed, Filter};
use pyti_index::feeds::Places;
use tokio::sync::Notify;

use crate::controller::{Controller, now_ms};
use crate::error::ServerError;

mod changelog;
mod expander;
mod folder;
mod uploads;

/// The name under which the index's events are stored.
const INDEX: &str = "index";

/// What the tasks of the feeds share.
#[derive(Debug)]
pub(crate) struct Feeds {
    config: Feed,
    filter: Filter,
    /// Something was told: the expander has work.
    told: Notify,
    /// The changelog should be asked at once.
    hint: Notify,
    /// A file waits to be stored.
    to_store: Notify,
    shown: Mutex<BTreeMap<&'static str, Shown>>,
}

/// What people are shown of a feed.
#[derive(Debug, Clone)]
struct Shown {
    view: FeedView,
    /// Whether its state is a trouble.
    troubled: bool,
}

impl Feeds {
    /// From the `[feed]` table of the configuration.
    pub(crate) fn new(table: toml::Table) -> Result<Self, ServerError> {
        let wrong = |why: String| ServerError::Config(format!("[feed]: {why}"));
        let config: Feed = toml::Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
        let filter = Filter::new(&config.wanted).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            config,
            filter,
            told: Notify::new(),
            hint: Notify::new(),
            to_store: Notify::new(),
            shown: Mutex::default(),
        })
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<&'static str, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each feed is at.
    pub(crate) fn views(&self) -> Vec<FeedView> {
        self.shown().values().map(|shown| shown.view.clone()).collect()
    }

    /// Each feed, and what is wrong with it.
    pub(crate) fn troubles(&self) -> Vec<(String, Option<String>)> {
        let shown = self.shown();
        shown
            .values()
            .map(|shown| {
                let trouble = shown.troubled.then(|| shown.view.state.clone());
                (shown.view.name.clone(), trouble)
            })
            .collect()
    }

    fn note(&self, name: &'static str, note: impl FnOnce(&mut Shown)) {
        let mut all = self.shown();
        let shown = all.entry(name).or_insert_with(|| Shown {
            view: FeedView {
                name: name.to_owned(),
                cursor: None,
                state: "starting".to_owned(),
                heard_ms: None,
            },
            troubled: false,
        });
        note(shown);
    }

    /// Notes that a feed answered, and all is well.
    fn heard(&self, name: &'static str, state: impl Into<String>) {
        self.note(name, |shown| {
            shown.view.state = state.into();
            shown.view.heard_ms = Some(now_ms());
            shown.troubled = false;
        });
    }

    /// Notes what is wrong with a feed.
    fn trouble(&self, name: &'static str, what: String) {
        self.note(name, |shown| {
            shown.view.state = what;
            shown.troubled = true;
        });
    }
}

/// Starts everything that the configuration asks for.
pub(crate) fn spawn(controller: &Arc<Controller>, feeds: &Arc<Feeds>) -> Result<(), ServerError> {
    let both = || (Arc::clone(controller), Arc::clone(feeds));
    if let Some(path) = feeds.config.folder.clone() {
        let (controller, feeds) = both();
        tokio::spawn(folder::watch(controller, feeds, path));
    }
    if feeds.config.index {
        let index = controller.index().ok_or_else(|| {
            ServerError::Config("[feed] follows the index, and none is configured".to_owned())
        })?;
        let beside = Places::beside(&index.settings().index_url);
        let places = match (beside, &feeds.config.changelog) {
            (Some(places), changelog) => Places {
                changelog: changelog.clone().unwrap_or(places.changelog),
                newest: feeds.config.newest.clone().unwrap_or(places.newest),
                ..places
            },
            (None, _) => {
                return Err(ServerError::Config(
                    "[feed]: the index's address has no place beside it; name changelog and newest"
                        .to_owned(),
                ));
            }
        };
        let (controller, feeds) = both();
        tokio::spawn(changelog::follow(controller, feeds, places));
    }
    let (one, two) = (both(), both());
    tokio::spawn(expander::run(one.0, one.1));
    tokio::spawn(uploads::lane(two.0, two.1));
    Ok(())
}

/// Waits, or hears that the controller stops: then `false`.
async fn pause(controller: &Controller, time: Duration, sooner: Option<&Notify>) -> bool {
    let mut stop = controller.stopped();
    let sooner = async {
        match sooner {
            Some(sooner) => sooner.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = sooner => true,
        () = crate::controller::over(&mut stop) => false,
    }
}
