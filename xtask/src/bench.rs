//! Benchmarks in pairs: PyTI and the same by hand, one after the other, round by round. Machines are noisy, so only
//! ratios within one run mean anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, print, say};

/// One benchmark: a command of ours, and what it is measured against.
struct Pair {
    name: String,
    ours: Vec<String>,
    by_hand: Vec<String>,
}

/// Benchmarks of single crates, which print their own pairs: name, crate, bench.
const CRATES: [(&str, &str, &str); 4] = [
    ("box", "pyti-sandbox", "boxes"),
    ("trace", "pyti-sandbox", "trace"),
    ("resolution", "pyti-index", "resolution"),
    ("metadata", "pyti-index", "metadata"),
];

/// Builds the release program and measures. Without a filter everything is measured, also what crates measure.
pub(crate) fn run(rounds: u32, filter: Option<&str>) -> Result<()> {
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for (name, package, bench) in CRATES {
        if wanted(name) {
            print(&format!("{name}: cargo bench -p {package} --bench {bench}"));
            // those of the sandbox take the number of rounds; a box is over in no time
            let rounds = if name == "box" { rounds * 10 } else { rounds };
            let mut arguments = vec!["bench", "-q", "-p", package, "--bench", bench];
            let rounds = rounds.to_string();
            if package == "pyti-sandbox" {
                arguments.extend(["--", &rounds]);
            }
            cargo(&arguments)?;
        }
    }
    let whole_ones = [
        "box",
        "pyti run six",
        "pyti run click",
        "coverage of six",
        "coverage of click",
        "around the tests of six",
        "around the tests of attrs",
        "memory",
    ];
    if whole_ones.iter().any(|name| wanted(name)) {
        whole(rounds, &wanted)?;
    }
    Ok(())
}

/// What only the whole program can show.
fn whole(rounds: u32, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    cargo(&["build", "--release", "-p", "pyti"])?;
    cargo(&["build", "--release", "-p", "pyti-sandbox", "--examples"])?;
    let target = target_folder()?;
    let pyti = target.join("pyti");
    let scratch = tempfile::tempdir()?;
    let mut pairs = Vec::new();
    box_pairs(&target, &mut pairs);
    for (name, module) in [("six", "six"), ("click", "click")] {
        if wanted(&format!("pyti run {name} vs uv+pytest")) || wanted(&format!("coverage of {name}")) {
            run_pair(&pyti, name, module, scratch.path(), &mut pairs)?;
        }
    }
    print(&format!(
        "{:<34} {:>26} {:>26} {:>20}",
        "benchmark", "ours min/med/max ms", "by hand min/med/max ms", "ratio min/med/max"
    ));
    for pair in pairs.iter().filter(|pair| wanted(&pair.name)) {
        measure(pair, rounds, scratch.path())?;
    }
    for name in ["six", "attrs"] {
        if wanted(&format!("around the tests of {name}")) {
            around(&pyti, name, rounds, scratch.path())?;
        }
    }
    if wanted("memory") {
        memory(&pyti, scratch.path())?;
    }
    Ok(())
}

/// Where the release program lies.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let profile = exe.parent().context("xtask has no folder")?;
    Ok(profile
        .parent()
        .context("xtask has no target folder")?
        .join("release"))
}

/// A box opened and torn down, against bubblewrap where it is installed, and against plain fork and exec.
fn box_pairs(target: &Path, pairs: &mut Vec<Pair>) {
    let boxed = target.join("examples/boxed").display().to_string();
    let ours = vec![boxed, "/bin/true".to_owned()];
    pairs.push(Pair {
        name: "box /bin/true vs fork+exec".into(),
        ours: ours.clone(),
        by_hand: vec!["/bin/true".into()],
    });
    let bwrap = [
        "bwrap",
        "--unshare-all",
        "--ro-bind",
        "/usr",
        "/usr",
        "--symlink",
        "usr/lib",
        "/lib",
        "--symlink",
        "usr/lib64",
        "/lib64",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "/usr/bin/true",
    ];
    let has_bwrap = Command::new("bwrap")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if has_bwrap {
        let by_hand = bwrap.map(str::to_owned).into();
        pairs.push(Pair {
            name: "job+box /bin/true vs bwrap".into(),
            ours,
            by_hand,
        });
    } else {
        say("bubblewrap is not installed: that pair is left out (apt install bubblewrap)");
    }
}

/// `pyti run NAME` with warm caches, against uv and pytest by hand.
fn run_pair(pyti: &Path, name: &str, module: &str, scratch: &Path, pairs: &mut Vec<Pair>) -> Result<()> {
    let folders = |command: &mut Command| {
        command
            .env("PYTI_CACHE_DIR", scratch.join("cache"))
            .env("PYTI_DATA_DIR", scratch.join("data"));
    };
    let mut first = Command::new(pyti);
    first.args(["run", "-q", name, "--json"]);
    folders(&mut first);
    let output = first.output().context("cannot start pyti")?;
    if !output.status.success() {
        bail!(
            "pyti run {name} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let uv =
        find(&scratch.join("cache/tools"), "uv").map_or_else(|| "uv".to_owned(), |p| p.display().to_string());
    let sdist = find_sdist(&scratch.join("cache/files"), name).context("the sdist is not in the cache")?;
    // the same work: an environment, the wheel and what its tests need, an import, the tests, and a build of the sdist
    let script = format!(
        "set -e; d=$(mktemp -d); trap 'rm -rf $d' EXIT; cd $d; export UV_CACHE_DIR={cache}
         {uv} venv -q v; {uv} pip install -q --python v/bin/python {name} pytest
         v/bin/python -c 'import {module}'
         mkdir s; tar xf {sdist} -C s --strip-components=1; cd s; rm -rf {module}.py src/{module}
         ../v/bin/python -P -m pytest -q >/dev/null; cd ..
         tar xf {sdist}; {uv} build -q --wheel --out-dir o {sdist}",
        cache = scratch.join("uv-cache").display(),
        sdist = sdist.display(),
    );
    pairs.push(Pair {
        name: format!("pyti run {name} vs uv+pytest"),
        ours: vec![
            pyti.display().to_string(),
            "run".into(),
            "-q".into(),
            name.into(),
            "--json".into(),
        ],
        by_hand: vec!["/bin/sh".into(), "-c".into(), script],
    });
    let run = |more: &[&str]| {
        let mut argv = vec![pyti.display().to_string()];
        argv.extend(["run", "-q", name, "--json", "--only", "wheel", "--no-watch"].map(str::to_owned));
        argv.extend(more.iter().map(|&word| word.to_owned()));
        argv
    };
    pairs.push(Pair {
        name: format!("coverage of {name} vs without"),
        ours: run(&["--coverage"]),
        by_hand: run(&[]),
    });
    Ok(())
}

/// What PyTI adds around the tests of a pure distribution, caches warm: the whole run without the tests' own command.
fn around(pyti: &Path, name: &str, rounds: u32, scratch: &Path) -> Result<()> {
    let argv: Vec<String> = [
        &pyti.display().to_string(),
        "run",
        "-q",
        name,
        "--json",
        "--only",
        "wheel",
    ]
    .map(str::to_owned)
    .into();
    let (mut wholes, mut rests) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let began = Instant::now();
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .env("PYTI_CACHE_DIR", scratch.join("cache"))
            .env("PYTI_DATA_DIR", scratch.join("data"))
            .stdin(Stdio::null())
            .output()
            .context("cannot start pyti")?;
        let whole = began.elapsed().as_secs_f64();
        if !output.status.success() {
            bail!("pyti run {name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let tests: f64 = told["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|task| task["id"] == "wheel/test")
            .filter_map(|task| task["wall_s"].as_f64())
            .sum();
        // the first round warms the caches
        if round > 0 {
            wholes.push(whole);
            rests.push(whole - tests);
        }
    }
    wholes.sort_by(f64::total_cmp);
    rests.sort_by(f64::total_cmp);
    let show = |values: &[f64]| {
        format!(
            "{:.2}/{:.2}/{:.2} s",
            values[0],
            values[values.len() / 2],
            values[values.len() - 1]
        )
    };
    print(&format!(
        "around the tests of {name}: {} of {} min/med/max (target: at most 2 s)",
        show(&rests),
        show(&wholes)
    ));
    Ok(())
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == name {
                return Some(entry.path());
            }
        }
    }
    None
}

fn find_sdist(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if file.starts_with(&format!("{name}-")) && file.ends_with(".tar.gz") {
                return Some(entry.path());
            }
        }
    }
    None
}

fn measure(pair: &Pair, rounds: u32, scratch: &Path) -> Result<()> {
    let (mut ours, mut by_hand, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (a, b) = (time(&pair.ours, scratch)?, time(&pair.by_hand, scratch)?);
        // the first round only warms caches
        if round > 0 {
            ours.push(a.as_secs_f64() * 1e3);
            by_hand.push(b.as_secs_f64() * 1e3);
            ratios.push(a.as_secs_f64() / b.as_secs_f64());
        }
    }
    let show = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let middle = values[values.len() / 2];
        format!("{:.1}/{middle:.1}/{:.1}", values[0], values[values.len() - 1])
    };
    let (ours, by_hand, ratios) = (show(&mut ours), show(&mut by_hand), show(&mut ratios));
    print(&format!(
        "{:<34} {ours:>26} {by_hand:>26} {ratios:>20}",
        pair.name
    ));
    Ok(())
}

fn time(argv: &[String], scratch: &Path) -> Result<Duration> {
    let (program, arguments) = argv.split_first().context("a benchmark has no command")?;
    let began = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .env("PYTI_CACHE_DIR", scratch.join("cache"))
        .env("PYTI_DATA_DIR", scratch.join("data"))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let took = began.elapsed();
    if !output.status.success() {
        bail!(
            "{program} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(took)
}

/// Most memory of `pyti` itself while it runs; its boxes are processes of their own.
fn memory(pyti: &Path, scratch: &Path) -> Result<()> {
    let mut child = Command::new(pyti)
        .args(["run", "-q", "click", "--json"])
        .env("PYTI_CACHE_DIR", scratch.join("cache"))
        .env("PYTI_DATA_DIR", scratch.join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    print(&format!(
        "memory of pyti itself: {} MB at most (target: 60 MB)",
        peak / 1024
    ));
    Ok(())
}
