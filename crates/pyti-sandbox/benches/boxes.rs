//! What a box costs, beside plain fork and exec and beside bubblewrap: `cargo bench -p pyti-sandbox --bench boxes -- [ROUNDS]`.
//!
//! Each way runs `/bin/true` once in every round, one after the other, and is timed by this process, from the wish to the
//! answer that everything of it is gone. So only ratios within one run mean anything. A box is asked for in a job that is
//! open, as each task does it: the time includes asking and being answered over the job's channel.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command as Plain, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pyti_model::trace::Form;
use pyti_sandbox::{Command, Inside, Job, JobSpec, Network, enter, launch};

const VERB: &str = "__inside";
const TRUE: &str = "/usr/bin/true";
/// What bubblewrap makes of the same: all namespaces, `/usr` read-only, `/proc`, `/dev`; no layers, limits or filter.
const BWRAP: [&str; 15] = [
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
    TRUE,
];

type Failure = Box<dyn std::error::Error>;

/// How `/bin/true` is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Bubblewrap,
    Plain,
    /// In an open job; the letter tells the agent which box.
    Boxed(u8),
    /// A job opened, one box in it, the job closed.
    Job,
}

const WAYS: &[(&str, Way)] = &[
    ("bwrap --unshare-all", Way::Bubblewrap),
    ("fork+exec", Way::Plain),
    ("box, no network", Way::Boxed(b'n')),
    ("box, recorded (light form)", Way::Boxed(b'l')),
    ("box, silent network", Way::Boxed(b's')),
    ("job opened, a box, job closed", Way::Job),
];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let first = arguments.next();
    if first.as_deref() == Some(VERB) || std::env::args().nth(1).as_deref() == Some(VERB) {
        return inside(&mut enter()?);
    }
    let rounds: u32 = first.and_then(|text| text.parse().ok()).unwrap_or(100);
    let spec = JobSpec {
        binds: Vec::new(),
        program: std::env::current_exe()?,
        layers_bytes: 1 << 30,
        layers_inodes: 100_000,
        memory_bytes: 2 << 30,
        store: None,
        image: None,
        devices: Vec::new(),
    };
    let has_bwrap = Plain::new("bwrap")
        .args(BWRAP)
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_bwrap {
        say("SKIPPED: bubblewrap is not installed, or cannot run here (apt install bubblewrap)")?;
    }
    let ways: Vec<_> = WAYS
        .iter()
        .filter(|(_, way)| has_bwrap || *way != Way::Bubblewrap)
        .copied()
        .collect();
    let job = launch(&spec, VERB)?;
    let mut seconds = vec![Vec::new(); ways.len()];
    for round in 0..=rounds {
        for at in 0..ways.len() {
            // another one begins each time
            let at = (at + round as usize) % ways.len();
            let took = run(ways[at].1, &job, &spec)?;
            // the first round only warms caches
            if round > 0 {
                seconds[at].push(took.as_secs_f64());
            }
        }
    }
    say(&format!(
        "/bin/true, {rounds} rounds{:>32} {:>24}",
        "min    med    max ms", "ratio to the first, med"
    ))?;
    for (at, (name, _)) in ways.iter().enumerate() {
        let mut ratios: Vec<f64> = seconds[at].iter().zip(&seconds[0]).map(|(a, b)| a / b).collect();
        let (_, ratio, _) = spread(&mut ratios);
        let (low, middle, high) = spread(&mut seconds[at].clone());
        say(&format!(
            "  {name:<32} {:>6.2} {:>6.2} {:>6.1} {ratio:>17.2}",
            low * 1e3,
            middle * 1e3,
            high * 1e3
        ))?;
    }
    Ok(())
}

fn run(way: Way, job: &Job, spec: &JobSpec) -> Result<Duration, Failure> {
    let began = Instant::now();
    match way {
        Way::Bubblewrap => plain(Plain::new("bwrap").args(BWRAP))?,
        Way::Plain => plain(&mut Plain::new(TRUE))?,
        Way::Boxed(kind) => ask(job, kind)?,
        Way::Job => {
            let mut job = launch(spec, VERB)?;
            ask(&job, b'n')?;
            job.kill();
        }
    }
    Ok(began.elapsed())
}

fn plain(command: &mut Plain) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}

fn ask(job: &Job, kind: u8) -> Result<(), Failure> {
    let mut channel = job.channel()?;
    channel.write_all(&[kind])?;
    let mut answer = [0];
    channel.read_exact(&mut answer)?;
    match answer {
        [b'+'] => Ok(()),
        _ => Err(format!("the box failed: {:?}", job.complaint()).into()),
    }
}

/// Runs a box for each letter that comes.
fn inside(inside: &mut Inside) -> Result<(), Failure> {
    let mut kind = [0];
    while inside.channel.read_exact(&mut kind).is_ok() {
        let mut command = Command::new([TRUE]);
        if !Path::new(TRUE).exists() {
            command.argv = vec!["/bin/true".into()];
        }
        match kind {
            [b'l'] => command.trace = Form::Light,
            [b's'] => command.network = Network::Silent,
            _ => {}
        }
        let done = inside.boxes.run(&command, &AtomicBool::new(false))?;
        let good = done.effect.exit.is_success();
        drop(done);
        inside.channel.write_all(if good { b"+" } else { b"-" })?;
    }
    Ok(())
}

fn say(text: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(format!("{text}\n").as_bytes())
}

fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}
