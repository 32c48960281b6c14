//! Which index, and how it is reached: as pip and uv have it on this machine.
//!
//! Order, first hit wins: what was said on our own command line; uv's environment; pip's environment; `uv.toml`;
//! `pip.conf`; the default that the machine's own pip or uv carries, asked at run time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::redacted::RedactedUrl;

mod ask;
mod files;
mod netrc;

pub(crate) use netrc::credentials;

/// Looks a variable of the environment up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which index, and how it is reached.
#[derive(Clone)]
pub struct Settings {
    /// The main index: the root of its Simple API, ending in a slash.
    pub index_url: Url,
    /// Further indexes. They are asked first, as uv does; the first that knows a name wins.
    pub extra: Vec<Url>,
    /// A file of further certificates to trust (PEM).
    pub certificate: Option<PathBuf>,
    /// A proxy for everything; without it the usual variables hold.
    pub proxy: Option<Url>,
    /// A file of credentials by host.
    pub netrc: Option<PathBuf>,
    /// Hosts (`host` or `host:port`) whose certificates are not checked.
    pub trusted_hosts: Vec<String>,
    /// How long a connection may stay silent.
    pub timeout: Duration,
    /// How often a request is repeated after a failure that may pass.
    pub retries: u32,
    /// Folders and pages with more files (`--find-links`). Named in reports; not searched.
    pub find_links: Vec<String>,
    /// Where the index's address came from: `PIP_INDEX_URL`, a file, `pip's default`.
    pub origin: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extra: Vec<_> = self.extra.iter().cloned().map(RedactedUrl::new).collect();
        f.debug_struct("Settings")
            .field("index_url", &RedactedUrl::new(self.index_url.clone()))
            .field("extra", &extra)
            .field("certificate", &self.certificate)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// What was said on our own command line, or by a test.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The main index.
    pub index_url: Option<String>,
    /// Further indexes.
    pub extra_index_urls: Vec<String>,
    /// How long a connection may stay silent.
    pub timeout: Option<Duration>,
    /// A folder where the default of pip or uv is remembered for a day: asking starts an interpreter, some 90 ms.
    pub remember_in: Option<PathBuf>,
    /// Reads no configuration file of pip or uv and asks neither.
    pub ignore_files: bool,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An address that is none.
    #[error("{origin} holds no address of an index: {why}")]
    BadUrl {
        /// Where it was found.
        origin: String,
        /// What is wrong. Does not hold the address, which may carry credentials.
        why: String,
    },
    /// A file that cannot be read or understood.
    #[error("cannot read {}: {why}", path.display())]
    BadFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing names an index.
    #[error("no index is configured, and neither pip nor uv could be asked for its default")]
    NoIndex,
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } | Self::BadFile { .. } => "mend the value, or give --index-url",
            Self::NoIndex => "install pip (Debian: apt install python3-pip), or give --index-url",
        }
    }
}

impl Settings {
    /// Settings for one index and nothing else; the configuration of the machine is not read.
    pub fn only(index_url: Url) -> Self {
        Self {
            index_url: with_slash(index_url),
            extra: Vec::new(),
            certificate: None,
            proxy: None,
            netrc: None,
            trusted_hosts: Vec::new(),
            timeout: Duration::from_secs(30),
            retries: 3,
            find_links: Vec::new(),
            origin: "given".into(),
        }
    }

    /// Reads the configuration of the machine. Blocks: files are read, and without any configuration pip is run.
    pub fn discover(env: Env<'_>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let found = if overrides.ignore_files {
            files::Found::default()
        } else {
            files::read(env)?
        };
        let pick = |names: &[&str], key: &str| -> Option<(String, String)> {
            let from_env = names
                .iter()
                .find_map(|name| Some((env(name).filter(|v| !v.trim().is_empty())?, (*name).to_owned())));
            from_env.or_else(|| found.values.get(key).cloned())
        };
        let main = overrides
            .index_url
            .clone()
            .map(|url| (url, "--index-url".to_owned()))
            .or_else(|| {
                pick(
                    &["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"],
                    "index-url",
                )
            });
        let (address, origin) = match main {
            Some(found) => found,
            None if overrides.ignore_files => return Err(ConfigError::NoIndex),
            None => ask::remembered(env, overrides.remember_in.as_deref()).ok_or(ConfigError::NoIndex)?,
        };
        let mut settings = Self::only(parse_url(&address, &origin)?);
        settings.origin = origin;
        let extra = if overrides.extra_index_urls.is_empty() {
            pick(
                &["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"],
                "extra-index-url",
            )
            .map(|(list, origin)| (words(&list), origin))
            .unwrap_or_default()
        } else {
            (overrides.extra_index_urls.clone(), "--extra-index-url".to_owned())
        };
        for address in extra.0 {
            // uv's form is NAME=URL or URL
            let url = match address.split_once('=') {
                Some((name, url)) if !name.contains([':', '/']) => url,
                _ => &address,
            };
            settings.extra.push(with_slash(parse_url(url, &extra.1)?));
        }
        settings.certificate =
            pick(&["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"], "cert").map(|(path, _)| path.into());
        if let Some((proxy, origin)) = pick(&["PIP_PROXY"], "proxy") {
            let proxy = if proxy.contains("://") {
                proxy
            } else {
                format!("http://{proxy}")
            };
            settings.proxy = Some(Url::parse(&proxy).map_err(|e| ConfigError::BadUrl {
                origin,
                why: e.to_string(),
            })?);
        }
        settings.netrc = env("NETRC")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| Path::new(&home).join(".netrc")))
            .filter(|path| path.is_file());
        settings.trusted_hosts = pick(&["UV_INSECURE_HOST", "PIP_TRUSTED_HOST"], "trusted-host")
            .map(|(list, _)| words(&list))
            .unwrap_or_default();
        settings.find_links = pick(&["UV_FIND_LINKS", "PIP_FIND_LINKS"], "find-links")
            .map(|(list, _)| words(&list))
            .unwrap_or_default();
        let number = |names: &[&str], key: &str| {
            pick(names, key).and_then(|(text, _)| text.trim().parse::<f64>().ok())
        };
        if let Some(seconds) = number(
            &["UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT"],
            "timeout",
        ) {
            settings.timeout = Duration::from_secs_f64(seconds.clamp(1.0, 600.0));
        }
        if let Some(timeout) = overrides.timeout {
            settings.timeout = timeout;
        }
        if let Some((text, _)) = pick(&["UV_HTTP_RETRIES", "PIP_RETRIES"], "retries")
            && let Ok(retries) = text.trim().parse::<u32>()
        {
            settings.retries = retries.min(10);
        }
        Ok(settings)
    }
}

type Values = BTreeMap<String, (String, String)>;

fn words(list: &str) -> Vec<String> {
    list.split([' ', '\n', '\t', ','])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

fn parse_url(text: &str, origin: &str) -> Result<Url, ConfigError> {
    let bad = |why: String| ConfigError::BadUrl {
        origin: origin.to_owned(),
        why,
    };
    let url = Url::parse(text.trim()).map_err(|error| bad(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(bad(format!("the scheme {scheme} is not supported"))),
    }
}

#[cfg(test)]
mod tests;
