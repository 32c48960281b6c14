//! Calls of the command line to a controller: which one, by which right.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use pyti_command::rpc::codes;
use pyti_command::{Method, Secret};
use pyti_model::Digest;
use pyti_remote::address::Address;
use pyti_remote::backoff::{Backoff, dice};
use pyti_remote::client::{Client, ClientError};
use pyti_worker::folders::Folders;

use crate::args::ControllerArgs;
use crate::output::Usage;
use crate::run::env;
use crate::worker::token_in;

/// How often a call is tried again while the controller restarts or has no time.
const TRIES: u32 = 6;

/// Speaks with one controller.
pub(crate) struct Caller {
    client: Client,
    token: Option<Secret>,
}

/// A call that was refused, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerError {
    /// No right, or not this one.
    #[error("{address} does not let us: {why}")]
    NotAllowed {
        /// The controller.
        address: String,
        /// What it says.
        why: String,
    },
    /// Nobody is there.
    #[error("there is no controller at {address}")]
    Nobody {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<ClientError>,
    },
    /// Anything else.
    #[error(transparent)]
    Client(Box<ClientError>),
}

impl CallerError {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAllowed { .. } => Some(
                "on the controller's machine `--controller unix:PATH` needs no token; elsewhere put one of \
                 `pyti admin tokens create` into PYTI_TOKEN or --token-file",
            ),
            Self::Nobody { .. } => {
                Some("`pyti serve` starts one; --controller or PYTI_CONTROLLER names another")
            }
            Self::Client(_) => None,
        }
    }
}

/// The fingerprint of an authority that somebody named.
pub(crate) fn authority(text: Option<&str>) -> Result<Option<Digest>, Usage> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Usage(format!("--authority {text:?} is no SHA-256 digest")))
    })
    .transpose()
}

impl Caller {
    /// The controller that the command line or the environment names, else the one of this user.
    pub(crate) fn new(args: &ControllerArgs) -> anyhow::Result<Self> {
        let address: Address = match &args.controller {
            Some(text) => text.parse().map_err(|e| Usage(format!("{e}")))?,
            None => Address::Unix(Folders::find(&env)?.service().join("pyti.sock")),
        };
        let authority = authority(args.authority.as_deref())?;
        let token = match &args.token_file {
            Some(path) => Some(token_in(path)?),
            None => env("PYTI_TOKEN").map(Secret::new),
        };
        Ok(Self {
            client: Client::new(&address, authority.as_ref())?,
            token,
        })
    }

    /// Calls a method; while the controller is not there or busy, a few times.
    pub(crate) async fn call<M: Method>(
        &self,
        params: &M::Params,
        wait: Duration,
    ) -> Result<M::Answer, CallerError>
    where
        M::Params: Sync,
    {
        self.tried(|| self.client.call::<M>(self.token.as_ref(), params, wait))
            .await
    }

    /// Puts a file that shall be tested where the controller finds it.
    pub(crate) async fn put(&self, path: &PathBuf, most: u64) -> anyhow::Result<Digest> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+!".contains(&b))
        {
            return Err(Usage(format!("{} is not named like a distribution", path.display())).into());
        }
        let size = std::fs::metadata(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        if size > most {
            return Err(Usage(format!(
                "{} has {}; at most {} are taken",
                path.display(),
                pyti_report::bytes(size),
                pyti_report::bytes(most)
            ))
            .into());
        }
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let sha256 = pyti_remote::sha256(&bytes);
        let bytes = &bytes;
        self.tried(|| {
            self.client
                .put_file(self.token.as_ref(), &sha256, &name, bytes.clone())
        })
        .await?;
        Ok(sha256)
    }

    async fn tried<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, CallerError> {
        let mut backoff = Backoff::default();
        let mut tries = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            if error.passes() && tries < TRIES {
                tokio::time::sleep(backoff.next(dice(), error.retry_after())).await;
                continue;
            }
            let address = self.client.address().to_owned();
            return Err(match &error {
                ClientError::Unreachable { .. } => CallerError::Nobody {
                    address,
                    source: Box::new(error),
                },
                ClientError::Refused(refused)
                    if [codes::UNAUTHORIZED, codes::FORBIDDEN].contains(&refused.code) =>
                {
                    CallerError::NotAllowed {
                        address,
                        why: refused.message.clone(),
                    }
                }
                ClientError::Status {
                    status: 401 | 403,
                    why,
                    ..
                } => CallerError::NotAllowed {
                    address,
                    why: why.clone(),
                },
                _ => CallerError::Client(Box::new(error)),
            });
        }
    }
}
