//! What the service is told: a file (TOML), the environment, the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyti_store::Retention;
use serde::Deserialize;

use crate::error::ServerError;

/// Largest configuration file, bytes.
const FILE_BYTES: u64 = 1 << 20;

/// How connections over TCP are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not: for loopback, and behind a proxy that ends TLS.
    Off,
    /// By the controller's own authority; join tokens carry its fingerprint.
    Own,
    /// By a certificate that is given, PEM files.
    Given {
        /// The certificate and its chain.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// What the service is told. Every value has a default.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The folder of data.
    pub data: PathBuf,
    /// Where to listen over TCP.
    pub listen: Vec<SocketAddr>,
    /// The Unix socket of the local worker and of administrators.
    pub socket: PathBuf,
    /// Names that the service is known by, as browsers send them in `Host`, without ports. Loopback is always among them.
    pub hosts: Vec<String>,
    /// How connections over TCP are protected; none: off on loopback, else by our own authority.
    pub tls: Option<Tls>,
    /// Interpreters that files are tested on where nobody says otherwise: `3.13`.
    pub python: Vec<String>,
    /// Memory of one job, MiB: what a worker must have.
    pub memory_mib: u32,
    /// Largest file that is taken, bytes.
    pub max_file_bytes: u64,
    /// What one lease may bring, bytes as stored.
    pub quota_bytes: u64,
    /// Most bytes of a recording unpacked, all streams together.
    pub unpacked_bytes: u64,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one address.
    pub connections_each: usize,
    /// Recordings that are judged at once.
    pub judges: usize,
    /// Days that recordings of what failed are kept; none is for ever.
    pub long_days: Option<u32>,
    /// Days that recordings of what passed, and captured files, are kept.
    pub short_days: Option<u32>,
    /// Where backups go.
    pub backups: PathBuf,
    /// A folder with rules, in the place of those that are built in.
    pub rules: Option<PathBuf>,
    /// What the feeds are told, as it stands in the file.
    pub feed: Option<toml::Table>,
    /// What the pages are told, as it stands in the file.
    pub web: Option<toml::Table>,
}

/// The file, as written. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    listen: Option<Vec<String>>,
    socket: Option<PathBuf>,
    hosts: Option<Vec<String>>,
    tls: Option<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    python: Option<Vec<String>>,
    memory_mib: Option<u32>,
    max_file_mib: Option<u64>,
    quota_mib: Option<u64>,
    unpacked_mib: Option<u64>,
    connections: Option<usize>,
    connections_each: Option<usize>,
    judges: Option<usize>,
    long_days: Option<u32>,
    short_days: Option<u32>,
    backups: Option<PathBuf>,
    rules: Option<PathBuf>,
    feed: Option<toml::Table>,
    web: Option<toml::Table>,
}

impl ServeConfig {
    /// The defaults, for a folder of data.
    pub fn at(data: PathBuf) -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8021))],
            socket: data.join("pyti.sock"),
            hosts: Vec::new(),
            tls: None,
            python: Vec::new(),
            memory_mib: 2048,
            max_file_bytes: 200 << 20,
            quota_bytes: 256 << 20,
            unpacked_bytes: 1 << 30,
            connections: 1024,
            connections_each: 256,
            judges: 2,
            long_days: Some(365),
            short_days: Some(60),
            backups: data.join("backups"),
            rules: None,
            feed: None,
            web: None,
            data,
        }
    }

    /// From a folder of data, a file (by default `serve.toml` in that folder, if there is one), and the environment, which wins:
    /// `PYTI_SERVE_LISTEN`, `PYTI_SERVE_HOSTS` (both separated by commas) and `PYTI_SERVE_TLS`.
    pub fn find(
        data: &Path,
        file: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ServerError> {
        let beside = data.join("serve.toml");
        let path = file
            .map(Path::to_owned)
            .or_else(|| beside.is_file().then_some(beside));
        let mut config = match path {
            Some(path) => Self::read(data, &path)?,
            None => Self::at(data.to_owned()),
        };
        if let Some(listen) = env("PYTI_SERVE_LISTEN") {
            config.listen = addresses(listen.split(','))?;
        }
        if let Some(hosts) = env("PYTI_SERVE_HOSTS") {
            config.hosts = hosts.split(',').map(|host| host.trim().to_owned()).collect();
        }
        if let Some(tls) = env("PYTI_SERVE_TLS") {
            config.tls = Some(tls_of(&tls, None)?);
        }
        config.check()?;
        Ok(config)
    }

    fn read(data: &Path, path: &Path) -> Result<Self, ServerError> {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
            .map_err(ServerError::io(path))?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(data, base, &text).map_err(|error| match error {
            ServerError::Config(why) => ServerError::Config(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    /// From the text of a file; paths in it are relative to `base`.
    fn parse(data: &Path, base: &Path, text: &str) -> Result<Self, ServerError> {
        let file: File = toml::from_str(text).map_err(|error| ServerError::Config(error.to_string()))?;
        let mut config = Self::at(data.to_owned());
        let place = |path: PathBuf| base.join(path);
        if let Some(listen) = file.listen {
            config.listen = addresses(listen.iter().map(String::as_str))?;
        }
        let given = match (file.certificate, file.key) {
            (Some(certificate), Some(key)) => Some((place(certificate), place(key))),
            (None, None) => None,
            _ => {
                return Err(ServerError::Config(
                    "certificate and key belong together".to_owned(),
                ));
            }
        };
        config.tls = match (file.tls, given) {
            (Some(word), given) => Some(tls_of(&word, given)?),
            (None, Some((certificate, key))) => Some(Tls::Given { certificate, key }),
            (None, None) => None,
        };
        macro_rules! take {
            ($($field:ident),+) => { $( if let Some(value) = file.$field { config.$field = value; } )+ };
        }
        take!(hosts, python, memory_mib, connections, connections_each, judges);
        config.socket = file.socket.map_or(config.socket, place);
        config.backups = file.backups.map_or(config.backups, place);
        config.rules = file.rules.map(place);
        config.max_file_bytes = file.max_file_mib.map_or(config.max_file_bytes, |mib| mib << 20);
        config.quota_bytes = file.quota_mib.map_or(config.quota_bytes, |mib| mib << 20);
        config.unpacked_bytes = file.unpacked_mib.map_or(config.unpacked_bytes, |mib| mib << 20);
        let days = |days: Option<u32>, default| match days {
            None => default,
            Some(0) => None,
            Some(days) => Some(days),
        };
        config.long_days = days(file.long_days, config.long_days);
        config.short_days = days(file.short_days, config.short_days);
        config.feed = file.feed;
        config.web = file.web;
        Ok(config)
    }

    fn check(&self) -> Result<(), ServerError> {
        let wrong = |why: &str| Err(ServerError::Config(why.to_owned()));
        if self.judges == 0 || self.connections == 0 || self.connections_each == 0 {
            return wrong("judges, connections and connections-each are at least 1");
        }
        if self.quota_bytes == 0 || self.max_file_bytes == 0 || self.unpacked_bytes == 0 {
            return wrong("sizes are at least 1 MiB");
        }
        Ok(())
    }

    /// How long recordings are kept.
    pub fn retention(&self) -> Retention {
        let days = |days: Option<u32>| days.map(|days| Duration::from_hours(24 * u64::from(days)));
        Retention {
            long: days(self.long_days),
            short: days(self.short_days),
        }
    }

    /// How connections to this address are protected.
    pub fn tls_for(&self, address: &SocketAddr) -> Tls {
        match &self.tls {
            Some(tls) => tls.clone(),
            None if address.ip().is_loopback() => Tls::Off,
            None => Tls::Own,
        }
    }

    /// The addresses of a command line or a file, separated by commas.
    pub fn addresses(text: &str) -> Result<Vec<SocketAddr>, ServerError> {
        addresses(text.split(','))
    }
}

fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<SocketAddr>, ServerError> {
    texts
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().map_err(|_| {
                ServerError::Config(format!(
                    "{text:?} is no address to listen on; write 127.0.0.1:8021"
                ))
            })
        })
        .collect()
}

fn tls_of(word: &str, given: Option<(PathBuf, PathBuf)>) -> Result<Tls, ServerError> {
    match (word, given) {
        ("off", None) => Ok(Tls::Off),
        ("own", None) => Ok(Tls::Own),
        ("given", Some((certificate, key))) => Ok(Tls::Given { certificate, key }),
        ("given", None) => Err(ServerError::Config(
            "tls = \"given\" needs certificate and key".to_owned(),
        )),
        ("off" | "own", Some(_)) => Err(ServerError::Config(format!(
            "tls = {word:?} leaves no use for a certificate"
        ))),
        _ => Err(ServerError::Config(format!(
            "tls is off, own or given, not {word:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServeConfig, String> {
        ServeConfig::parse(Path::new("/data"), Path::new("/etc/pyti"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let config = parse(
            "listen = [\"0.0.0.0:443\"]\nhosts = [\"pyti.example\"]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n\
             short-days = 0\nmax-file-mib = 5\n[feed]\nx = 1\n",
        )
        .unwrap();
        assert_eq!(config.hosts, ["pyti.example"]);
        assert_eq!(
            config.tls_for(&config.listen[0]),
            Tls::Given {
                certificate: "/etc/pyti/c.pem".into(),
                key: "/etc/pyti/k.pem".into()
            }
        );
        assert_eq!((config.short_days, config.long_days), (None, Some(365)));
        assert_eq!(config.max_file_bytes, 5 << 20);
        assert!(config.feed.unwrap().contains_key("x"));
        assert_eq!(config.socket, Path::new("/data/pyti.sock"));
    }

    #[test]
    fn loopback_is_plain_and_everything_else_is_not() {
        let config = parse("").unwrap();
        assert_eq!(config.tls_for(&"127.0.0.1:1".parse().unwrap()), Tls::Off);
        assert_eq!(config.tls_for(&"[::1]:1".parse().unwrap()), Tls::Off);
        assert_eq!(config.tls_for(&"192.0.2.1:1".parse().unwrap()), Tls::Own);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "listen = [\"nowhere\"]",
            "lisen = []",
            "tls = \"maybe\"",
            "tls = \"given\"",
            "certificate = \"c.pem\"",
            "tls = \"off\"\ncertificate = \"c\"\nkey = \"k\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_environment_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("serve.toml"), "listen = [\"127.0.0.1:1\"]").unwrap();
        let none = |_: &str| None;
        let found = ServeConfig::find(folder.path(), None, &none).unwrap();
        assert_eq!(found.listen[0].port(), 1);
        let some = |name: &str| (name == "PYTI_SERVE_LISTEN").then(|| "127.0.0.1:2, [::1]:3".to_owned());
        let found = ServeConfig::find(folder.path(), None, &some).unwrap();
        assert_eq!(
            found.listen.iter().map(SocketAddr::port).collect::<Vec<_>>(),
            [2, 3]
        );
    }
}
