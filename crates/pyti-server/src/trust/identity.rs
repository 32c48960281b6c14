//! Who calls: nobody, a worker with a session, the holder of a token, or somebody on this machine.

use std::time::Instant;

use pyti_command::Access;
use pyti_command::rpc::{RpcError, codes};
use pyti_command::trust::Scope;
use pyti_command::worker::SessionAnswer;
use pyti_dispatch::{JobStore as _, Standing, WorkerId};
use pyti_store::{Store, StoreError};

use super::rates::{KNOWN, STRANGER};
use super::tokens::{self, Kind};
use crate::controller::Controller;
use crate::error::of_store;
use crate::peer::Peer;

/// How long a session lasts, seconds.
const SESSION_S: u32 = 600;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody in particular.
    Stranger,
    /// Root or the controller's own user, over the Unix socket.
    Local,
    /// A worker, in good standing a moment ago.
    Worker(WorkerId),
    /// The holder of an API token.
    Token { name: String, scopes: Vec<Scope> },
}

impl Identity {
    /// Who it is, for the audit log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stranger => "somebody".to_owned(),
            Self::Local => "local".to_owned(),
            Self::Worker(worker) => format!("worker {worker}"),
            Self::Token { name, .. } => format!("token {name}"),
        }
    }

    /// Whether it may call what is open to these.
    pub(crate) fn may(&self, access: Access) -> Result<(), RpcError> {
        let has = |scope: Scope| match self {
            Self::Local => true,
            Self::Token { scopes, .. } => scopes.contains(&scope) || scopes.contains(&Scope::Admin),
            Self::Stranger | Self::Worker(_) => false,
        };
        let good = match access {
            Access::Anyone => true,
            Access::Worker => matches!(self, Self::Worker(_)),
            Access::Submit => has(Scope::Submit),
            Access::Admin => has(Scope::Admin),
        };
        if good {
            Ok(())
        } else if *self == Self::Stranger {
            Err(RpcError::plain(codes::UNAUTHORIZED))
        } else {
            Err(RpcError::new(
                codes::FORBIDDEN,
                format!("{} may not: it is for {}", self.name(), access.word()),
            ))
        }
    }
}

/// Finds out who calls, by the `Authorization` header and the connection, and counts the call. The state of a worker is read
/// each time, so that a revocation acts at once.
pub(crate) async fn identify(
    controller: &Controller,
    peer: &Peer,
    header: Option<&str>,
) -> Result<Identity, RpcError> {
    let identity = match header {
        None if peer.is_local() => return Ok(Identity::Local),
        None => Identity::Stranger,
        Some(header) => {
            let text = header
                .strip_prefix("Bearer ")
                .ok_or_else(|| RpcError::plain(codes::UNAUTHORIZED))?
                .trim()
                .to_owned();
            let found = controller.ask(move |store| bearer(store, &text)).await?;
            match found {
                Ok(identity) => identity,
                Err(error) => {
                    // guessing is slow
                    count(controller, &peer.bucket(), true)?;
                    return Err(error);
                }
            }
        }
    };
    match &identity {
        Identity::Stranger => count(controller, &peer.bucket(), true)?,
        known => count(controller, &known.name(), false)?,
    }
    Ok(identity)
}

fn count(controller: &Controller, caller: &str, stranger: bool) -> Result<(), RpcError> {
    let rate = if stranger { STRANGER } else { KNOWN };
    controller
        .rates
        .take(caller, rate, Instant::now())
        .map_err(|wait| {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(1_000).max(1);
            RpcError::plain(codes::RATE_LIMITED).retry_after_ms(ms)
        })
}

fn bearer(store: &Store, text: &str) -> Result<Result<Identity, RpcError>, StoreError> {
    let unauthorized = || Ok(Err(RpcError::plain(codes::UNAUTHORIZED)));
    let Some(kind) = Kind::of(text) else {
        return unauthorized();
    };
    let Some((_, kept)) = tokens::look_up(store, kind, text)? else {
        return unauthorized();
    };
    if kind == Kind::Api {
        return Ok(Ok(Identity::Token {
            name: kept.name,
            scopes: kept.scopes,
        }));
    }
    let Ok(worker) = kept.name.parse::<WorkerId>() else {
        return unauthorized();
    };
    Ok(match store.worker(&worker)?.map(|worker| worker.standing) {
        None => Err(RpcError::plain(codes::UNAUTHORIZED)),
        Some(Standing::Revoked) => Err(RpcError::plain(codes::REVOKED)),
        Some(Standing::Pending) => Err(RpcError::plain(codes::NOT_APPROVED)),
        Some(_) => Ok(Identity::Worker(worker)),
    })
}

/// A session for a worker that has proved who it is.
pub(crate) async fn open_session(
    controller: &Controller,
    worker: &WorkerId,
) -> Result<SessionAnswer, RpcError> {
    let name = worker.to_string();
    let made = controller
        .ask(move |store| {
            Ok(tokens::make(
                store,
                Kind::Session,
                name,
                Vec::new(),
                None,
                u64::from(SESSION_S) * 1000,
            ))
        })
        .await?;
    match made {
        Ok((_, token, _)) => Ok(SessionAnswer {
            token,
            valid_s: SESSION_S,
        }),
        Err(crate::ServerError::Store(error)) => Err(of_store(error)),
        Err(_) => Err(RpcError::plain(codes::INTERNAL)),
    }
}
