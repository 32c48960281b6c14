//! Requests: capped, repeated when that may help, with credentials of their host only.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::config::{Settings, credentials};
use crate::error::IndexError;
use crate::redacted::RedactedUrl;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) accept: Option<&'static str>,
    pub(crate) etag: Option<String>,
    pub(crate) range: Option<String>,
    /// Bytes as they are stored: no content coding.
    pub(crate) raw: bool,
    /// Sent with the request, which is then a POST of XML.
    pub(crate) body: Option<String>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) url: Url,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn etag(&self) -> Option<String> {
        self.header(ETAG).map(str::to_owned)
    }
}

pub(crate) struct Http {
    settings: Arc<Settings>,
    checked: Client,
    unchecked: Option<Client>,
}

/// Longest time for a page or metadata, all attempts together.
const WHOLE: Duration = Duration::from_mins(5);

type Cause = Box<dyn Error + Send + Sync>;

impl Http {
    pub(crate) fn new(settings: Arc<Settings>) -> Result<Self, IndexError> {
        // fails when the program has installed one already, which is as good
        let _ = rustls::crypto::ring::default_provider().install_default();
        let checked = client(&settings, true)?;
        let unchecked = if settings.trusted_hosts.is_empty() {
            None
        } else {
            Some(client(&settings, false)?)
        };
        Ok(Self {
            settings,
            checked,
            unchecked,
        })
    }

    fn request(&self, url: &Url, ask: &Ask) -> Result<RequestBuilder, IndexError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(IndexError::Scheme(RedactedUrl::new(url.clone())));
        }
        let host = url.host_str().unwrap_or("");
        let with_port = url
            .port_or_known_default()
            .map(|port| format!("{host}:{port}"))
            .unwrap_or_default();
        let trusted = self
            .settings
            .trusted_hosts
            .iter()
            .any(|name| name == host || *name == with_port || name == "*");
        let client = self
            .unchecked
            .as_ref()
            .filter(|_| trusted)
            .unwrap_or(&self.checked);
        let mut request = match &ask.body {
            None => client.get(url.clone()),
            Some(body) => client
                .post(url.clone())
                .header(CONTENT_TYPE, "text/xml")
                .body(body.clone()),
        };
        if url.username().is_empty()
            && url.password().is_none()
            && let Some((login, password)) = self.credentials_of(url)
        {
            request = request.basic_auth(login, Some(password));
        }
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(etag) = &ask.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(range) = &ask.range {
            request = request.header(RANGE, range);
        }
        if ask.raw || ask.range.is_some() {
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        Ok(request)
    }

    /// Credentials of the configured index on the same origin, else of the netrc file.
    fn credentials_of(&self, url: &Url) -> Option<(String, String)> {
        let configured = std::iter::once(&self.settings.index_url).chain(&self.settings.extra);
        if let Some(index) = configured
            .filter(|index| index.origin() == url.origin())
            .find(|index| !index.username().is_empty())
        {
            return Some((decode(index.username()), decode(index.password().unwrap_or(""))));
        }
        credentials(self.settings.netrc.as_deref()?, url.host_str()?)
    }

    /// Fetches a whole answer of at most `cap` bytes. Statuses 404, 410, 304, 206, 416 and success come back, others are errors.
    pub(crate) async fn get(&self, url: &Url, ask: &Ask, cap: u64) -> Result<Answer, IndexError> {
        let shown = RedactedUrl::new(url.clone());
        let work = self.repeat(&shown, || async {
            let response = self
                .request(url, ask)
                .map_err(Trial::Final)?
                .send()
                .await
                .map_err(|e| Trial::Again(Box::new(e.without_url())))?;
            let response = sort_status(response, &shown)?;
            let (status, headers, url) = (
                response.status(),
                response.headers().clone(),
                response.url().clone(),
            );
            let mut body = Vec::new();
            let mut response = response;
            if ask.range.is_some() && status == StatusCode::OK {
                // the server does not do ranges: the whole file is not wanted here
                return Ok(Answer {
                    status,
                    headers,
                    url,
                    body,
                });
            }
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|e| Trial::Again(Box::new(e.without_url())))?
            {
                if (body.len() + chunk.len()) as u64 > cap {
                    return Err(Trial::Final(IndexError::TooBig {
                        url: shown.clone(),
                        cap,
                    }));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer {
                status,
                headers,
                url,
                body,
            })
        });
        match tokio::time::timeout(WHOLE, work).await {
            Ok(result) => result,
            // a server that sends a byte now and then never runs into the time limit of a silent connection
            Err(elapsed) => Err(IndexError::Unreachable {
                url: shown.clone(),
                attempts: 1,
                source: Box::new(elapsed),
            }),
        }
    }

    /// Opens an answer for reading piece by piece; the caller caps it.
    pub(crate) async fn open(&self, url: &Url, ask: &Ask) -> Result<Response, IndexError> {
        let shown = RedactedUrl::new(url.clone());
        self.repeat(&shown, || async {
            let response = self
                .request(url, ask)
                .map_err(Trial::Final)?
                .send()
                .await
                .map_err(|e| Trial::Again(Box::new(e.without_url())))?;
            sort_status(response, &shown)
        })
        .await
    }

    pub(crate) fn retries(&self) -> u32 {
        self.settings.retries
    }

    async fn repeat<T, F: Future<Output = Result<T, Trial>>>(
        &self,
        url: &RedactedUrl,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, IndexError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let last = attempts > self.settings.retries;
            let wait = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Trial::Final(error)) => return Err(error),
                Err(Trial::Again(source)) if last => {
                    return Err(IndexError::Unreachable {
                        url: url.clone(),
                        attempts,
                        source,
                    });
                }
                Err(Trial::Busy(status, _)) if last => {
                    return Err(IndexError::Status {
                        url: url.clone(),
                        status: status.as_u16(),
                        attempts,
                    });
                }
                Err(Trial::Busy(_, Some(wait))) => wait.min(Duration::from_secs(10)),
                Err(Trial::Again(_) | Trial::Busy(_, None)) => pause(attempts),
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long to wait before the next attempt: 0.1 s, doubled each time, at most 5 s.
pub(crate) fn pause(attempts: u32) -> Duration {
    Duration::from_millis(100u64.saturating_mul(1 << attempts.saturating_sub(1).min(6)))
        .min(Duration::from_secs(5))
}

enum Trial {
    Final(IndexError),
    Again(Cause),
    Busy(StatusCode, Option<Duration>),
}

fn sort_status(response: Response, url: &RedactedUrl) -> Result<Response, Trial> {
    let status = response.status();
    match status.as_u16() {
        200..=299 | 304 | 404 | 410 | 416 => Ok(response),
        408 | 425 | 429 | 500..=599 => {
            let after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|v| v.to_str().ok()?.parse().ok());
            Err(Trial::Busy(status, after.map(Duration::from_secs)))
        }
        code => Err(Trial::Final(IndexError::Status {
            url: url.clone(),
            status: code,
            attempts: 1,
        })),
    }
}

fn client(settings: &Settings, checked: bool) -> Result<Client, IndexError> {
    let fail = |what: String| move |source: Cause| IndexError::Client { what, source };
    let mut builder = Client::builder()
        .user_agent(concat!("pyti/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.timeout.min(Duration::from_secs(30)))
        .read_timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::limited(5))
        .tcp_nodelay(true);
    if let Some(path) = &settings.certificate {
        let what = format!("certificates in {}", path.display());
        let pem = std::fs::read(path).map_err(|e| fail(what.clone())(Box::new(e)))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| fail(what)(Box::new(e)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = &settings.proxy {
        builder =
            builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(|e| fail("proxy".into())(Box::new(e)))?);
    }
    if !checked {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|e| fail("client".into())(Box::new(e)))
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
