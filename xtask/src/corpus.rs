//! The corpus: harmless packages that behave like harmful ones, run by the real program and compared with their table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use pyti_fixtures::corpus::{self, Package, Part, VARIABLE};
use pyti_fixtures::{Faults, LocalIndex};
use serde_json::Value;

use crate::{print, say};

/// Limits for the packages: enough for what waits a minute on purpose, and far below what a mistake could take.
const LIMITS: &str = "timeout = 150\ninactivity = 120\nmemory = \"1G\"\ndisk = \"256M\"\nprocesses = 128\n";
/// The uv that is fetched when none is there.
const UV: &str = "0.13.9";

/// What `cargo xtask corpus` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Only packages whose folders contain one of these
    names: Vec<String>,
    /// Packages at once
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Runs each without the variable that makes it act: all must be clean
    #[arg(long)]
    quiet_twin: bool,
    /// On this interpreter, in the place of the newest that is there
    #[arg(long)]
    python: Option<String>,
    /// Compares status and reasons only
    #[arg(long)]
    status_only: bool,
    /// This program, instead of building it
    #[arg(long)]
    pyti: Option<PathBuf>,
    /// Keeps the recordings in this folder
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Prints the tables of docs/corpus.md and runs nothing
    #[arg(long)]
    table: bool,
}

impl Options {
    /// All packages, by this program.
    pub(crate) fn whole(pyti: PathBuf) -> Self {
        Self {
            names: Vec::new(),
            jobs: 3,
            quiet_twin: false,
            status_only: false,
            python: None,
            pyti: Some(pyti),
            keep: None,
            table: false,
        }
    }
}

/// Runs packages of the corpus and compares.
pub(crate) fn run(options: &Options) -> Result<()> {
    let packages = corpus::build_all().context("the corpus cannot be built")?;
    if options.table {
        print(corpus::table(&packages).trim_end());
        return Ok(());
    }
    let pyti = crate::program(options.pyti.as_deref())?;
    let mut served: Vec<_> = packages.iter().map(|package| package.fixture.clone()).collect();
    served.push(pyti_fixtures::build("plain-backend")?);
    let tools = Tools::find()?;
    let index = LocalIndex::start(served, Faults::none())
        .and_then(|index| index.with_folder(&tools.wheels))
        .context("the local index cannot be started")?;
    let wanted: Vec<&Package> = packages
        .iter()
        .filter(|package| package.part != Part::Support)
        .filter(|package| {
            options.names.is_empty() || options.names.iter().any(|name| package.folder.contains(name))
        })
        .collect();
    if wanted.is_empty() {
        bail!("no package of the corpus is called so");
    }
    let scratch = tempfile::Builder::new().prefix("pyti-corpus-").tempdir()?;
    let place = Place::new(
        pyti,
        tools.uv,
        scratch.path(),
        options.keep.as_deref(),
        index.url(),
    )?;
    let began = Instant::now();
    let wrong = run_all(&wanted, &place, options);
    print(&format!(
        "{} packages, {wrong} wrong, {:.0} s",
        wanted.len(),
        began.elapsed().as_secs_f64()
    ));
    if wrong > 0 {
        bail!("{wrong} packages came to something else");
    }
    Ok(())
}

/// Runs them, so many at once, the slow ones first; prints rows in order as they are ready. Gives how many are wrong.
fn run_all(wanted: &[&Package], place: &Place, options: &Options) -> usize {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|at| !wanted[*at].slow);
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<Option<Row>>> = Mutex::new(wanted.iter().map(|_| None).collect());
    let printed = Mutex::new(0_usize);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(at) = order.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let row = Row::of(wanted[*at], place, options);
                    let (Ok(mut rows), Ok(mut printed)) = (rows.lock(), printed.lock()) else {
                        return;
                    };
                    rows[*at] = Some(row);
                    while let Some(Some(row)) = rows.get(*printed) {
                        print(&row.text);
                        *printed += 1;
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap_or_default();
    rows.iter()
        .filter(|row| row.as_ref().is_none_or(|row| !row.right))
        .count()
}

/// What one package came to.
struct Row {
    right: bool,
    text: String,
}

impl Row {
    fn of(package: &Package, place: &Place, options: &Options) -> Self {
        let began = Instant::now();
        let (seen, problems) = match place.run(package, options) {
            Ok(summary) => (
                Seen::of(&summary).to_string(),
                problems(package, &summary, options),
            ),
            Err(error) => ("nothing".to_owned(), vec![format!("{error:#}")]),
        };
        let mut text = format!(
            "{} {:<36} {:>5.1} s  {seen}",
            if problems.is_empty() { "ok   " } else { "WRONG" },
            package.folder,
            began.elapsed().as_secs_f64(),
        );
        for problem in &problems {
            let _ = write!(text, "\n      {problem}");
        }
        Self {
            right: problems.is_empty(),
            text,
        }
    }
}

/// What counts of a summary.
struct Seen {
    verdict: String,
    /// Rules that are active, not suppressed, and more than information.
    rules: BTreeSet<String>,
}

impl Seen {
    fn of(summary: &Value) -> Self {
        let files = summary["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let findings = files
            .iter()
            .flat_map(|file| file["findings"].as_array().into_iter().flatten());
        Self {
            verdict: summary["verdict"].as_str().unwrap_or("?").to_owned(),
            rules: findings
                .filter(|finding| finding["state"].as_str().is_none_or(|state| state == "active"))
                .filter(|finding| finding["suppressed"].is_null() && finding["severity"] != "info")
                .filter_map(|finding| finding["rule"].as_str().map(str::to_owned))
                .collect(),
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: Vec<_> = self.rules.iter().map(String::as_str).collect();
        write!(f, "{} [{}]", self.verdict, rules.join(" "))
    }
}

/// Where a summary differs from what the package must come to.
fn problems(package: &Package, summary: &Value, options: &Options) -> Vec<String> {
    let Some(expected) = &package.expected else {
        return vec!["its manifest expects nothing".into()];
    };
    let mut problems = Vec::new();
    if !options.quiet_twin {
        if summary["status"] != expected.status.word() {
            problems.push(format!(
                "status {} is not {}",
                summary["status"],
                expected.status.word()
            ));
        }
        let reasons = summary["reasons"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for reason in &expected.reasons {
            if !reasons.iter().any(|found| found["code"] == reason.word()) {
                problems.push(format!("there is no reason {}", reason.word()));
            }
        }
    }
    if options.status_only {
        return problems;
    }
    let seen = Seen::of(summary);
    let (verdict, findings, also) = match (options.quiet_twin, &package.quiet) {
        (false, _) => (
            expected.verdict,
            expected.findings.as_slice(),
            expected.also.as_slice(),
        ),
        (true, Some(quiet)) => (quiet.verdict, quiet.findings.as_slice(), [].as_slice()),
        (true, None) => (pyti_model::outcome::Verdict::Clean, [].as_slice(), [].as_slice()),
    };
    if seen.verdict != verdict.word() {
        problems.push(format!("verdict {} is not {}", seen.verdict, verdict.word()));
    }
    for rule in findings.iter().filter(|rule| !seen.rules.contains(*rule)) {
        problems.push(format!("{rule} found nothing"));
    }
    for rule in &seen.rules {
        if !findings.contains(rule) && !also.contains(rule) {
            problems.push(format!("{rule} found something: {}", sentence(summary, rule)));
        }
    }
    if let Some(missing) = summary["files"][0]["missing"].as_array()
        && !missing.is_empty()
        && !matches!(summary["status"].as_str(), Some("killed"))
    {
        problems.push(format!("missing: {}", Value::from(missing.clone())));
    }
    problems
}

/// What the first finding of a rule says.
fn sentence(summary: &Value, rule: &str) -> String {
    let files = summary["files"].as_array().into_iter().flatten();
    files
        .flat_map(|file| file["findings"].as_array().into_iter().flatten())
        .find(|finding| finding["rule"] == rule)
        .and_then(|finding| {
            let (phase, sentence) = (finding["phase"].as_str()?, finding["sentence"].as_str()?);
            Some(format!("({phase}) {sentence}"))
        })
        .unwrap_or_default()
}

/// Folders of a user who never was here before, and nothing of the machine's own configuration.
struct Place {
    pyti: PathBuf,
    uv: PathBuf,
    home: PathBuf,
    data: PathBuf,
    index: String,
}

impl Place {
    fn new(pyti: PathBuf, uv: PathBuf, scratch: &Path, keep: Option<&Path>, index: String) -> Result<Self> {
        let place = Self {
            pyti,
            uv,
            home: scratch.to_owned(),
            data: keep.map_or_else(|| scratch.join("data"), Path::to_owned),
            index,
        };
        fs::create_dir_all(scratch.join("tmp"))?;
        fs::create_dir_all(&place.data)?;
        fs::write(scratch.join("pyti.toml"), LIMITS)?;
        Ok(place)
    }

    /// `pyti run --json` of one package.
    fn run(&self, package: &Package, options: &Options) -> Result<Value> {
        let name = &package.fixture.name;
        let mut command = Command::new(&self.pyti);
        for (variable, _) in std::env::vars_os() {
            let variable = variable.to_string_lossy().into_owned();
            let foreign = ["PIP_", "UV_", "PYTI_", "XDG_", "PYTHON", "VIRTUAL_ENV"];
            if foreign.iter().any(|prefix| variable.starts_with(prefix)) {
                command.env_remove(variable);
            }
        }
        if std::env::var_os("PYENV_ROOT").is_none()
            && let Some(pyenv) = std::env::home_dir()
                .map(|home| home.join(".pyenv"))
                .filter(|path| path.is_dir())
        {
            command.env("PYENV_ROOT", pyenv);
        }
        command
            .args(["run", "--json", "-q", "--index-url", &self.index])
            .args(&package.arguments)
            .stdin(Stdio::null())
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("TMPDIR", self.home.join("tmp"))
            .env("PYTI_CONFIG", self.home.join("pyti.toml"))
            .env("PYTI_CACHE_DIR", self.home.join("cache"))
            .env("PYTI_DATA_DIR", &self.data)
            .env("PYTI_UV", &self.uv)
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("UV_NO_CONFIG", "1");
        if let Some(python) = &options.python {
            command.args(["--python", python]);
        }
        if !options.quiet_twin {
            command.arg("--env").arg(format!("{VARIABLE}={name}"));
        }
        let output = command.arg(name).output().context("pyti cannot be started")?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "pyti gave no object and ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })
    }
}

/// What comes from outside: the local index has no tools.
struct Tools {
    /// `PYTI_UV`, the uv on PATH when its version suits, or one that pip fetches.
    uv: PathBuf,
    /// Wheels of pytest and of what it needs.
    wheels: PathBuf,
}

impl Tools {
    fn find() -> Result<Self> {
        let base = crate::bench::target_folder()?;
        let base = base.parent().unwrap_or(&base).join("tmp/corpus");
        Ok(Self {
            uv: match uv_that_is_there() {
                Some(uv) => uv,
                None => once(
                    &base.join("uv"),
                    &format!("uv=={UV}"),
                    &["install", "--no-deps", "--target"],
                )?
                .join("bin/uv"),
            },
            wheels: once(&base.join("wheels"), "pytest", &["download", "--dest"])?,
        })
    }
}

fn uv_that_is_there() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PYTI_UV") {
        return Some(named.into());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|folder| folder.join("uv"))
        .find(|path| {
            let version = Command::new(path).arg("--version").output();
            version.is_ok_and(|out| out.stdout.starts_with(b"uv 0.13."))
        })
}

/// A folder that pip fills once.
fn once(folder: &Path, requirement: &str, command: &[&str]) -> Result<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.to_owned());
    }
    say(&format!("fetching {requirement}"));
    let growing = folder.with_extension("part");
    let done = Command::new("python3")
        .args(["-m", "pip", "--quiet", "--disable-pip-version-check"])
        .args(command)
        .arg(&growing)
        .arg(requirement)
        .stdout(Stdio::null())
        .status()
        .context("pip, which fetches tools, cannot be started")?;
    if !done.success() {
        bail!("pip, which fetches {requirement}, ended with {done}");
    }
    fs::rename(&growing, folder).with_context(|| format!("{} cannot be renamed", growing.display()))?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(quiet_twin: bool) -> Options {
        Options {
            names: Vec::new(),
            jobs: 1,
            quiet_twin,
            python: None,
            status_only: false,
            pyti: None,
            keep: None,
            table: false,
        }
    }

    fn summary(verdict: &str, findings: &Value) -> Value {
        json!({"status": "load", "reasons": [], "verdict": verdict, "files": [{"findings": findings}]})
    }

    #[test]
    fn what_is_expected_is_right_and_anything_else_is_not() {
        let package = corpus::build("09-looks-for-wallets").unwrap();
        let right = json!([{"rule": "wallets-probed", "severity": "high", "state": "active"}]);
        let more = json!([
            {"rule": "wallets-probed", "severity": "high", "state": "active"},
            {"rule": "home-swept", "severity": "high", "state": "active", "phase": "import", "sentence": "It read."},
        ]);
        let acting = |verdict, findings| problems(&package, &summary(verdict, findings), &options(false));
        assert_eq!(acting("suspicious", &right), Vec::<String>::new());
        assert_eq!(
            acting("suspicious", &more),
            ["home-swept found something: (import) It read."]
        );
        assert_eq!(
            acting("clean", &json!([])),
            ["verdict clean is not suspicious", "wallets-probed found nothing"]
        );
    }

    #[test]
    fn what_does_not_count_is_not_compared() {
        let package = corpus::build("L02-looks-at-shadow").unwrap();
        let findings = json!([
            {"rule": "a", "severity": "info", "state": "active"},
            {"rule": "b", "severity": "high", "state": "shadow"},
            {"rule": "c", "severity": "high", "state": "active", "suppressed": "by somebody"},
        ]);
        assert!(problems(&package, &summary("clean", &findings), &options(false)).is_empty());
    }

    #[test]
    fn a_quiet_twin_is_clean_unless_its_manifest_says_otherwise() {
        let quiet = options(true);
        let wallets = corpus::build("09-looks-for-wallets").unwrap();
        assert!(problems(&wallets, &summary("clean", &json!([])), &quiet).is_empty());
        let found = json!([{"rule": "wallets-probed", "severity": "high", "state": "active"}]);
        assert_eq!(
            problems(&wallets, &summary("suspicious", &found), &quiet).len(),
            2
        );
        let jacks = corpus::build("26-jacks-commands").unwrap();
        assert_eq!(problems(&jacks, &summary("clean", &json!([])), &quiet).len(), 2);
    }

    #[test]
    fn a_recording_with_losses_is_not_right() {
        let package = corpus::build("L02-looks-at-shadow").unwrap();
        let mut summary = summary("clean", &json!([]));
        summary["files"][0]["missing"] = json!(["events were lost"]);
        assert_eq!(problems(&package, &summary, &options(false)).len(), 1);
    }
}
