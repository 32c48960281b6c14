//! Calls to a controller: JSON-RPC and bytes, over TLS or over a socket on this machine.

use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use pyti_command::raw::{LEASE_HEADER, NextSegment, StreamName, file_path, segment_path, stream_path};
use pyti_command::rpc::{self, ANSWER_BYTES, AnswerError, BODY_BYTES, RpcError, codes};
use pyti_command::{Method, Secret};
use pyti_dispatch::Lease;
use pyti_model::Digest;
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::tls;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, beside what was asked to be waited for.
const ANSWER: Duration = Duration::from_secs(30);
/// How long nothing may come while bytes are fetched.
const SILENCE: Duration = Duration::from_mins(1);
/// Most bytes of an answer that only says why something is not done.
const WORDS: usize = 4096;

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there, or not whom we trust.
    #[error("the controller at {address} cannot be reached")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// TLS cannot be set up here.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The client cannot be made.
    #[error("no client can be made")]
    Setup(#[source] reqwest::Error),
    /// The controller answers a method with an error.
    #[error("the controller says: {0}")]
    Refused(RpcError),
    /// It answers bytes, or a call, with this status of HTTP.
    #[error("the controller answers {status} to {what}{}", said(.why))]
    Status {
        /// What was asked.
        what: String,
        /// The status.
        status: u16,
        /// Its words, visible and short.
        why: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// It is no answer.
    #[error("what answers at {address} is no controller that we understand: {why}")]
    Strange {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// Another controller answers than the one that the worker belongs to.
    #[error("another controller answers at {0}")]
    OtherController(String),
    /// A request would be longer than any controller takes.
    #[error("the request is too long: {0} bytes")]
    TooLong(usize),
    /// The bytes are others than those that were asked for.
    #[error("the controller gave other bytes than those of {0}")]
    OtherBytes(Digest),
    /// What was fetched cannot be written.
    #[error("cannot write what was fetched")]
    Write(#[source] std::io::Error),
}

fn said(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}

impl ClientError {
    /// Whether the same may work later, so that trying again makes sense.
    pub fn passes(&self) -> bool {
        match self {
            // a proxy's page while the controller restarts is strange, and passes
            Self::Unreachable { .. } | Self::Strange { .. } => true,
            Self::Refused(error) => matches!(
                error.code,
                codes::INTERNAL
                    | codes::RATE_LIMITED
                    | codes::BUSY
                    | codes::STORAGE_FULL
                    | codes::SHUTTING_DOWN
                    | codes::INDEX
            ),
            Self::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 507)
            }
            Self::OtherBytes(_)
            | Self::OtherController(_)
            | Self::Tls(_)
            | Self::Setup(_)
            | Self::TooLong(_)
            | Self::Write(_) => false,
        }
    }

    /// How long to wait at least, where that was told.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) => {
                let ms = error.data.as_ref()?.retry_after_ms?;
                Some(Duration::from_millis(ms))
            }
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The number of the error that a method was answered with.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Refused(error) => Some(error.code),
            _ => None,
        }
    }

    /// The status of HTTP, where it was not a success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Speaks with one controller. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    base: String,
    ids: std::sync::Arc<AtomicI64>,
}

impl Client {
    /// A client of the controller at that address. With a fingerprint, only that authority is believed; without, the usual ones.
    pub fn new(address: &Address, authority: Option<&Digest>) -> Result<Self, ClientError> {
        // another part of the program may have done it already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("pyti/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        builder = match address {
            Address::Unix(path) => builder.no_proxy().unix_socket(path.as_path()),
            // what is on this machine is not asked for over a proxy
            Address::Web(url) if url.scheme() == "http" => builder.no_proxy(),
            Address::Web(_) => match authority {
                Some(authority) => {
                    builder.tls_backend_preconfigured(tls::pinned(authority).map_err(ClientError::Tls)?)
                }
                None => builder,
            },
        };
        Ok(Self {
            http: builder.build().map_err(ClientError::Setup)?,
            address: address.to_string(),
            base: address.base(),
            ids: std::sync::Arc::new(AtomicI64::new(1)),
        })
    }

    /// The address, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            address: self.address.clone(),
            source: source.without_url(),
        }
    }

    fn strange(&self, why: impl Into<String>) -> ClientError {
        ClientError::Strange {
            address: self.address.clone(),
            why: why.into(),
        }
    }

    /// Calls a method. `wait` is what the controller was asked to wait itself.
    pub async fn call<M: Method>(
        &self,
        token: Option<&Secret>,
        params: &M::Params,
        wait: Duration,
    ) -> Result<M::Answer, ClientError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let body = rpc::call_text::<M>(id, params).map_err(|error| self.strange(error.to_string()))?;
        if body.len() > BODY_BYTES {
            return Err(ClientError::TooLong(body.len()));
        }
        let mut request = self
            .http
            .post(format!("{}/rpc/v1", self.base))
            .header("content-type", "application/json")
            .timeout(ANSWER + wait)
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(M::NAME.to_owned(), response).await);
        }
        let body = self.capped(response, ANSWER_BYTES).await?;
        rpc::answer::<M>(id, &body).map_err(|error| match error {
            AnswerError::Rpc(error) => ClientError::Refused(error),
            AnswerError::Strange(why) => self.strange(why),
        })
    }

    /// Puts a segment. `Ok` also when the same bytes are there already.
    pub async fn put_segment(
        &self,
        token: &Secret,
        lease: &Lease,
        stream: StreamName,
        seq: u32,
        bytes: Vec<u8>,
    ) -> Result<(), ClientError> {
        let path = segment_path(lease, stream, seq);
        self.put(token, &path, &format!("segment {}/{seq}", stream.word()), bytes)
            .await
    }

    /// Puts a file that shall be tested.
    pub async fn put_file(
        &self,
        token: Option<&Secret>,
        sha256: &Digest,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), ClientError> {
        let path = format!("{}?name={name}", file_path(sha256));
        let nobody = Secret::new("");
        self.put(token.unwrap_or(&nobody), &path, "the file", bytes).await
    }

    async fn put(&self, token: &Secret, path: &str, what: &str, bytes: Vec<u8>) -> Result<(), ClientError> {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&bytes));
        let mut request = self
            .http
            .put(format!("{}{path}", self.base))
            .header("content-digest", format!("sha-256=:{digest}:"))
            .header("content-type", "application/octet-stream")
            .timeout(SILENCE + Duration::from_secs(bytes.len() as u64 >> 15))
            .body(bytes);
        if !token.expose().is_empty() {
            request = request.bearer_auth(token.expose());
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(self.refused(what.to_owned(), response).await)
        }
    }

    /// The first number of a stream that the controller does not have.
    pub async fn next_segment(
        &self,
        token: &Secret,
        lease: &Lease,
        stream: StreamName,
    ) -> Result<u32, ClientError> {
        let response = self
            .http
            .get(format!("{}{}", self.base, stream_path(lease, stream)))
            .bearer_auth(token.expose())
            .timeout(ANSWER)
            .send()
            .await
            .map_err(|e| self.unreachable(e))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(format!("stream {}", stream.word()), response).await);
        }
        let body = self.capped(response, WORDS).await?;
        let next: NextSegment =
            serde_json::from_slice(&body).map_err(|error| self.strange(error.to_string()))?;
        Ok(next.next)
    }

    /// Fetches a captured file for a lease, at most so many bytes. The bytes are those of the digest, or it is an error.
    pub async fn fetch(
        &self,
        token: &Secret,
        lease: &Lease,
        sha256: &Digest,
        most: u64,
        into: &mut (dyn Write + Send),
    ) -> Result<(), ClientError> {
        let mut response = self
            .http
            .get(format!("{}{}", self.base, file_path(sha256)))
            .bearer_auth(token.expose())
            .header(LEASE_HEADER, lease.to_string())
            .send()
            .await
            .map_err(|e| self.unreachable(e))?;
        if response.status() != StatusCode::OK {
            return Err(self
                .refused(format!("the file {}", sha256.short()), response)
                .await);
        }
        let (mut hasher, mut got) = (Sha256::new(), 0_u64);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            got += chunk.len() as u64;
            if got > most {
                return Err(ClientError::OtherBytes(sha256.clone()));
            }
            hasher.update(&chunk);
            into.write_all(&chunk).map_err(ClientError::Write)?;
        }
        if Digest::from(<[u8; 32]>::from(hasher.finalize())) == *sha256 {
            Ok(())
        } else {
            Err(ClientError::OtherBytes(sha256.clone()))
        }
    }

    /// A whole answer, at most so long.
    async fn capped(&self, mut response: Response, most: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            if body.len() + chunk.len() > most {
                return Err(self.strange(format!("its answer has more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn refused(&self, what: String, response: Response) -> ClientError {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        let body = self.capped(response, WORDS).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let why = pyti_model::foreign::Foreign::from(text.trim()).visible();
        ClientError::Status {
            what,
            status,
            why: why.chars().take(300).collect(),
            retry_after,
        }
    }
}
