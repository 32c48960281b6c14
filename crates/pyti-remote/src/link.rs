//! A worker's line to its controller: enrolment, sessions of ten minutes, and calls that are tried until they are answered.

use std::future::Future;
use std::time::{Duration, Instant};

use pyti_command::rpc::codes;
use pyti_command::trust::session_text;
use pyti_command::version::PROTOCOL;
use pyti_command::worker::{
    Challenge, ChallengeParams, Enrol, EnrolParams, Hello, HelloParams, Session, SessionParams, Welcome,
};
use pyti_command::{Method, Secret};
use pyti_dispatch::{Offers, Standing};
use pyti_worker::Stop;
use tokio::sync::Mutex;

use crate::backoff::{Backoff, dice};
use crate::client::{Client, ClientError};
use crate::home::{Home, HomeError, Membership};
use crate::news::{News, Newspaper};

/// Why a worker can do nothing more for its controller.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It was stopped.
    #[error("stopped")]
    Stopped,
    /// The controller sent it away.
    #[error("this worker was revoked by {0}")]
    Revoked(String),
    /// No version of the protocol is known to both.
    #[error("{address} speaks no version of the protocol that this pyti knows ({ours}); it knows {theirs}")]
    Version {
        /// The controller.
        address: String,
        /// What we speak.
        ours: String,
        /// What it speaks.
        theirs: String,
    },
    /// It does not know this worker, or does not let it do what workers do.
    #[error("{address} does not accept this worker")]
    Unknown {
        /// The controller.
        address: String,
        /// What it says.
        #[source]
        source: ClientError,
    },
    /// Another process has started with the same key.
    #[error("another process has started with the key and the name of this worker")]
    Twin,
    /// Another controller answers than the one that this worker belongs to.
    #[error("{address} is another controller than the one that the data folder {folder} belongs to")]
    OtherController {
        /// Where it was looked for.
        address: String,
        /// The folder.
        folder: String,
    },
    /// It refuses even our word that a job failed here.
    #[error("the controller does not take what came of a job: {0}")]
    Refused(String),
    /// It refuses something for good.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The worker's folder cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    until: Instant,
}

/// The line.
pub struct Link {
    client: Client,
    home: std::sync::Arc<Home>,
    membership: Membership,
    greeting: HelloParams,
    token: Mutex<Option<Token>>,
    stop: Stop,
    news: std::sync::Arc<dyn Newspaper>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("client", &self.client)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

/// Waits between tries; `Err` when it was stopped meanwhile.
async fn pause(stop: &Stop, wait: Duration) -> Result<(), LinkError> {
    tokio::select! {
        () = stop.stopped() => Err(LinkError::Stopped),
        () = tokio::time::sleep(wait) => Ok(()),
    }
}

/// Makes a worker known to its controller, waiting for it to be there and for somebody to approve it.
pub async fn enrol(
    client: &Client,
    home: &Home,
    params: &EnrolParams,
    authority: Option<&pyti_model::Digest>,
    stop: &Stop,
    news: &dyn Newspaper,
) -> Result<Membership, LinkError> {
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        let answer = tokio::select! {
            () = stop.stopped() => return Err(LinkError::Stopped),
            answer = client.call::<Enrol>(None, params, Duration::ZERO) => answer,
        };
        match answer {
            Ok(enrolled) => {
                let membership = Membership {
                    controller: enrolled.controller,
                    authority: authority.cloned(),
                    worker: params.worker.clone(),
                };
                home.join(&membership)?;
                if enrolled.standing == Standing::Pending {
                    if !told {
                        news.tell(&News::Pending {
                            worker: params.worker.clone(),
                        });
                        told = true;
                    }
                } else {
                    news.tell(&News::Enrolled {
                        worker: params.worker.clone(),
                        controller: client.address().to_owned(),
                    });
                    return Ok(membership);
                }
                pause(stop, backoff.next(dice(), Some(Duration::from_secs(2)))).await?;
            }
            Err(error) if error.passes() => {
                let wait = backoff.next(dice(), error.retry_after());
                news.tell(&News::unreachable(&error, wait));
                pause(stop, wait).await?;
            }
            Err(error) if error.code() == Some(codes::REVOKED) => {
                return Err(LinkError::Revoked(client.address().to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Link {
    /// A line for an enrolled worker.
    pub fn new(
        client: Client,
        home: std::sync::Arc<Home>,
        membership: Membership,
        boot: u64,
        offers: Offers,
        stop: Stop,
        news: std::sync::Arc<dyn Newspaper>,
    ) -> Self {
        Self {
            client,
            home,
            membership,
            greeting: HelloParams {
                protocol: PROTOCOL,
                boot,
                offers,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            token: Mutex::new(None),
            stop,
            news,
        }
    }

    /// This worker's name.
    pub fn worker(&self) -> &pyti_dispatch::WorkerId {
        &self.membership.worker
    }

    /// The client below.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Says hello, as soon as the controller is there.
    pub async fn hello(&self) -> Result<Welcome, LinkError> {
        self.patiently(|| self.greet()).await
    }

    async fn greet(&self) -> Result<Welcome, ClientError> {
        self.with_token(|token| async move {
            self.client
                .call::<Hello>(Some(&token), &self.greeting, Duration::ZERO)
                .await
        })
        .await
    }

    /// A token that is good for a while yet.
    async fn token(&self) -> Result<Secret, ClientError> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(token.secret.clone());
        }
        let worker = self.membership.worker.clone();
        let challenge = ChallengeParams {
            worker: worker.clone(),
        };
        let given = self
            .client
            .call::<Challenge>(None, &challenge, Duration::ZERO)
            .await?;
        if given.controller != self.membership.controller {
            return Err(ClientError::OtherController(self.client.address().to_owned()));
        }
        // what is signed names our controller, so that nobody else can use it
        let text = session_text(&self.membership.controller, &worker, &given.nonce);
        let params = SessionParams {
            worker,
            nonce: given.nonce,
            signature: self.home.key.sign(&text),
        };
        let session = self.client.call::<Session>(None, &params, Duration::ZERO).await?;
        // renewed before it is over, so that no call meets the end
        let good = Duration::from_secs(u64::from(session.valid_s)) * 4 / 5;
        *held = Some(Token {
            secret: session.token.clone(),
            until: Instant::now() + good,
        });
        Ok(session.token)
    }

    /// Asks with a token, and once more with a new one when it was refused.
    async fn with_token<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        ask: impl Fn(Secret) -> F,
    ) -> Result<T, ClientError> {
        let token = self.token().await?;
        match ask(token.clone()).await {
            Err(error) if error.code() == Some(codes::UNAUTHORIZED) || error.status() == Some(401) => {
                let mut held = self.token.lock().await;
                if held.as_ref().is_some_and(|held| held.secret == token) {
                    *held = None;
                }
                drop(held);
                ask(self.token().await?).await
            }
            other => other,
        }
    }

    /// Asks once. A controller that does not know our start yet is greeted first.
    pub async fn once<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        ask: impl Fn(Secret) -> F,
    ) -> Result<T, ClientError> {
        match self.with_token(&ask).await {
            Err(error) if error.code() == Some(codes::OTHER_BOOT) => {
                self.greet().await?;
                self.with_token(&ask).await
            }
            other => other,
        }
    }

    /// Calls a method once.
    pub async fn call<M: Method>(&self, params: &M::Params, wait: Duration) -> Result<M::Answer, ClientError>
    where
        M::Params: Sync,
    {
        self.once(|token| async move { self.client.call::<M>(Some(&token), params, wait).await })
            .await
    }

    /// Asks until it is answered or refused for good.
    pub async fn patiently<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, LinkError> {
        let mut backoff = Backoff::default();
        loop {
            let answer = tokio::select! {
                () = self.stop.stopped() => return Err(LinkError::Stopped),
                answer = ask() => answer,
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let wait = self.weigh(error, &mut backoff)?;
                    pause(&self.stop, wait).await?;
                }
            }
        }
    }

    /// How long to wait before the same is tried again; an error when that makes no sense.
    pub fn weigh(&self, error: ClientError, backoff: &mut Backoff) -> Result<Duration, LinkError> {
        let address = self.client.address().to_owned();
        match error.code() {
            Some(codes::REVOKED) => return Err(LinkError::Revoked(address)),
            Some(codes::OTHER_BOOT) => return Err(LinkError::Twin),
            Some(codes::NO_COMMON_VERSION) => {
                let theirs = match &error {
                    ClientError::Refused(error) => error.data.as_ref().and_then(|data| data.protocol),
                    _ => None,
                };
                return Err(LinkError::Version {
                    address,
                    ours: range(Some(self.greeting.protocol)),
                    theirs: range(theirs),
                });
            }
            Some(codes::NOT_APPROVED) => {
                let wait = backoff.next(dice(), Some(Duration::from_secs(2)));
                self.news.tell(&News::Pending {
                    worker: self.membership.worker.clone(),
                });
                return Ok(wait);
            }
            _ => {}
        }
        if let ClientError::OtherController(address) = error {
            return Err(LinkError::OtherController {
                address,
                folder: self.home.folder().display().to_string(),
            });
        }
        let unknown = matches!(error.code(), Some(codes::UNAUTHORIZED | codes::FORBIDDEN))
            || matches!(error.status(), Some(401 | 403));
        if unknown {
            return Err(LinkError::Unknown {
                address,
                source: error,
            });
        }
        if !error.passes() {
            return Err(error.into());
        }
        let wait = backoff.next(dice(), error.retry_after());
        self.news.tell(&News::unreachable(&error, wait));
        Ok(wait)
    }
}

fn range(range: Option<pyti_command::version::Range>) -> String {
    range.map_or_else(
        || "others".to_owned(),
        |range| format!("{} to {}", range.min, range.max),
    )
}
