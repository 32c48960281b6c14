//! Where a controller is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;

/// A controller's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `https://HOST[:PORT]`, or `http://` on this machine only.
    Web(Url),
    /// `unix:PATH`: a socket on this machine.
    Unix(PathBuf),
}

/// Text that is no address of a controller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a controller: {why}")]
pub struct NoAddress {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let no = |why| NoAddress {
            text: text.to_owned(),
            why,
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(no("after unix: comes the path of a socket"))
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        let url: Url = text
            .parse()
            .map_err(|_| no("write https://HOST:PORT or unix:PATH"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(no(
                "it holds a name or a password; tokens come by file or environment",
            ));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(no("it has a path; write the host and the port only"));
        }
        match url.scheme() {
            "https" => Ok(Self::Web(url)),
            "http" if is_here(&url) => Ok(Self::Web(url)),
            "http" => Err(no(
                "without TLS only this machine is spoken with, because tokens would be read on the way: write https://",
            )),
            _ => Err(no("write https://HOST:PORT or unix:PATH")),
        }
    }
}

fn is_here(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// What paths are put behind, without a slash at the end.
    pub(crate) fn base(&self) -> String {
        match self {
            Self::Web(url) => url.as_str().trim_end_matches('/').to_owned(),
            // the host is not looked at: the socket decides who answers
            Self::Unix(_) => "http://localhost".to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for good in [
            "https://pyti.example",
            "https://pyti.example:8443",
            "http://127.0.0.1:8443",
            "http://[::1]:80",
            "http://localhost:8443",
            "unix:/run/pyti/pyti.sock",
        ] {
            let address: Address = good.parse().unwrap();
            assert_eq!(address.to_string(), good.trim_end_matches(":80"));
        }
    }

    #[test]
    fn what_would_give_tokens_away_is_refused() {
        for bad in [
            "http://pyti.example",
            "http://10.0.0.1:8443",
            "http://127.0.0.1.example",
            "https://me:secret@pyti.example",
            "https://pyti.example/api",
            "https://pyti.example/?token=1",
            "ftp://pyti.example",
            "unix:",
            "pyti.example",
            "",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
