//! `pyti.toml`, and where each value comes from: the command line, the environment, the file, the default.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Context as _;
use pyti_model::effect::Limits;
use serde::Deserialize;

use crate::args::ConfigArgs;
use crate::output::Usage;

/// The file, as written. Unknown keys are refused, so that a misspelt one is noticed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    /// Interpreters: `["3.11", "3.13"]`.
    pub(crate) python: Option<Vec<String>>,
    /// Seconds that a command may take.
    pub(crate) timeout: Option<u32>,
    /// Seconds without output or CPU use.
    pub(crate) inactivity: Option<u32>,
    /// Memory: `"2G"`.
    pub(crate) memory: Option<String>,
    /// Disk of a layer: `"2G"`.
    pub(crate) disk: Option<String>,
    /// Processes.
    pub(crate) processes: Option<u32>,
    /// Runs at once.
    pub(crate) jobs: Option<usize>,
    /// Largest distribution: `"200M"`.
    pub(crate) max_size: Option<String>,
    /// The index.
    pub(crate) index_url: Option<String>,
    /// A folder with rules, in the place of those that are built in.
    pub(crate) rules: Option<PathBuf>,
    /// A file with exceptions from rules.
    pub(crate) suppressions: Option<PathBuf>,
}

/// The folder of rules and the file of exceptions that the configuration names; relative to where it lies.
pub(crate) fn safety() -> anyhow::Result<(Option<PathBuf>, Option<PathBuf>)> {
    let (file, path) = read_file()?;
    let base = path.and_then(|path| path.parent().map(std::path::Path::to_owned));
    let place = |named: Option<PathBuf>| named.map(|named| base.clone().unwrap_or_default().join(named));
    Ok((place(file.rules), place(file.suppressions)))
}

/// One value and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Value<T> {
    pub(crate) value: T,
    pub(crate) from: String,
}

/// Everything that the configuration decides.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) python: Value<Vec<String>>,
    pub(crate) limits: Limits,
    pub(crate) jobs: Value<usize>,
    pub(crate) max_size: Value<u64>,
    pub(crate) index_url: Option<Value<String>>,
    lines: Vec<(String, String, String)>,
}

/// What the command line says; `None` where it says nothing.
#[derive(Debug, Default)]
pub(crate) struct Spoken<'a> {
    pub(crate) python: &'a [String],
    pub(crate) timeout: Option<u32>,
    pub(crate) memory: Option<&'a str>,
    pub(crate) jobs: Option<usize>,
    pub(crate) index_url: Option<&'a str>,
}

impl Config {
    /// Puts it together.
    pub(crate) fn find(spoken: &Spoken<'_>) -> anyhow::Result<Self> {
        let (file, path) = read_file()?;
        let origin = path.map_or_else(|| "default".to_owned(), |p| p.display().to_string());
        let mut lines = Vec::new();
        let defaults = Limits::default();
        let python = pick(
            (!spoken.python.is_empty()).then(|| spoken.python.to_vec()),
            file.python,
            Vec::new(),
            &origin,
        );
        let timeout = pick(spoken.timeout, file.timeout, defaults.wall_s, &origin);
        let inactivity = pick(None, file.inactivity, defaults.inactivity_s, &origin);
        let memory = sized(
            spoken.memory,
            file.memory.as_deref(),
            defaults.memory_bytes,
            &origin,
        )?;
        let disk = sized(None, file.disk.as_deref(), defaults.disk_bytes, &origin)?;
        let processes = pick(None, file.processes, defaults.processes, &origin);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = pick(spoken.jobs, file.jobs, cores, &origin);
        let max_size = sized(None, file.max_size.as_deref(), 200 << 20, &origin)?;
        let index_url = spoken
            .index_url
            .map(|url| Value {
                value: url.to_owned(),
                from: "command line".to_owned(),
            })
            .or_else(|| {
                file.index_url.map(|value| Value {
                    value,
                    from: origin.clone(),
                })
            });
        let shown = if python.value.is_empty() {
            "the newest found".to_owned()
        } else {
            python.value.join(", ")
        };
        line(&mut lines, "python", &shown, &python.from);
        line(
            &mut lines,
            "timeout",
            &format!("{} s", timeout.value),
            &timeout.from,
        );
        line(
            &mut lines,
            "inactivity",
            &format!("{} s", inactivity.value),
            &inactivity.from,
        );
        line(
            &mut lines,
            "memory",
            &format!("{} bytes", memory.value),
            &memory.from,
        );
        line(&mut lines, "disk", &format!("{} bytes", disk.value), &disk.from);
        line(&mut lines, "processes", &processes.value, &processes.from);
        line(&mut lines, "jobs", &jobs.value, &jobs.from);
        line(
            &mut lines,
            "max-size",
            &format!("{} bytes", max_size.value),
            &max_size.from,
        );
        let limits = Limits {
            wall_s: timeout.value,
            cpu_s: timeout.value,
            inactivity_s: inactivity.value.min(timeout.value),
            memory_bytes: memory.value,
            disk_bytes: disk.value,
            processes: processes.value,
            ..defaults
        };
        Ok(Self {
            python,
            limits,
            jobs,
            max_size,
            index_url,
            lines,
        })
    }
}

fn line(lines: &mut Vec<(String, String, String)>, name: &str, value: &dyn Display, from: &str) {
    lines.push((name.to_owned(), value.to_string(), from.to_owned()));
}

fn pick<T>(spoken: Option<T>, file: Option<T>, default: T, origin: &str) -> Value<T> {
    match (spoken, file) {
        (Some(value), _) => Value {
            value,
            from: "command line".to_owned(),
        },
        (None, Some(value)) => Value {
            value,
            from: origin.to_owned(),
        },
        (None, None) => Value {
            value: default,
            from: "default".to_owned(),
        },
    }
}

fn sized(spoken: Option<&str>, file: Option<&str>, default: u64, origin: &str) -> anyhow::Result<Value<u64>> {
    let parse =
        |text: &str| bytes(text).ok_or_else(|| Usage(format!("{text:?} is no size; write 512M or 2G")));
    Ok(pick(
        spoken.map(parse).transpose()?,
        file.map(parse).transpose()?,
        default,
        origin,
    ))
}

/// `512M`, `2G`, `1000000`; binary multiples.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['B', 'b']).trim_end_matches('i');
    let (digits, shift) = match text.chars().last()?.to_ascii_uppercase() {
        'K' => (&text[..text.len() - 1], 10),
        'M' => (&text[..text.len() - 1], 20),
        'G' => (&text[..text.len() - 1], 30),
        'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `PYTI_CONFIG`, else `pyti.toml` here or above, else the user's.
fn read_file() -> anyhow::Result<(ConfigFile, Option<PathBuf>)> {
    let named = std::env::var_os("PYTI_CONFIG").map(PathBuf::from);
    let path = match named {
        Some(path) => Some(path),
        None => here_or_above().or_else(users),
    };
    let Some(path) = path else {
        return Ok((ConfigFile::default(), None));
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = toml::from_str(&text).map_err(|e| Usage(format!("{} cannot be used: {e}", path.display())))?;
    Ok((file, Some(path)))
}

fn here_or_above() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join("pyti.toml"))
        .find(|path| path.is_file())
}

fn users() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(config.join("pyti/pyti.toml")).filter(|path| path.is_file())
}

/// `pyti config show`.
pub(crate) fn command(_: &ConfigArgs) -> anyhow::Result<u8> {
    let config = Config::find(&Spoken::default())?;
    let mut lines = config.lines;
    let overrides = pyti_index::config::Overrides {
        index_url: config.index_url.as_ref().map(|v| v.value.clone()),
        ..Default::default()
    };
    match pyti_index::config::Settings::discover(&crate::run::env, &overrides) {
        Ok(index) => {
            let from = config.index_url.map_or(index.origin.clone(), |v| v.from);
            lines.push((
                "index-url".to_owned(),
                pyti_index::RedactedUrl::new(index.index_url.clone()).to_string(),
                from,
            ));
        }
        Err(error) => lines.push(("index-url".to_owned(), format!("none: {error}"), String::new())),
    }
    let folders = pyti_worker::folders::Folders::find(&crate::run::env)?;
    lines.push((
        "cache".to_owned(),
        folders.cache().display().to_string(),
        "PYTI_CACHE_DIR or XDG".to_owned(),
    ));
    let width = lines
        .iter()
        .map(|(_, value, _)| value.chars().count())
        .max()
        .unwrap_or(0);
    let text: String = lines
        .iter()
        .map(|(name, value, from)| format!("{name:<12} {value:<width$}  {from}\n"))
        .collect();
    crate::output::print(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("2G"), Some(2 << 30));
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        assert_eq!(bytes("100"), Some(100));
        assert_eq!(bytes("x"), None);
        assert_eq!(bytes(""), None);
        assert_eq!(bytes("99999999999999T"), None);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<ConfigFile>("timeout = 5").is_ok());
        assert!(toml::from_str::<ConfigFile>("time-out = 5").is_err());
    }
}
