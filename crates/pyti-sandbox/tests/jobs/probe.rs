//! What the tests start: `pyti-sandbox-probe host ORDER` opens a job and prints what its commands did, as JSON.

use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pyti_sandbox::sink::{Allow, Authority, Credentials, Simulation, trust_variables};
use pyti_sandbox::{Bind, Boxes, Command, JobSpec, Layer, Lower, Network, StoreKind, doctor, enter, launch};
use serde::Deserialize;
use serde_json::{Value, json};

const VERB: &str = "__agent";

type Failure = Box<dyn std::error::Error>;

/// What a test asks for.
#[derive(Deserialize)]
struct Order {
    store: Option<StoreKind>,
    #[serde(default)]
    binds: Vec<Bind>,
    /// Groups, one after the other; the commands of a group run at once.
    groups: Vec<Vec<Run>>,
    memory_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Run {
    argv: Vec<String>,
    /// Numbers of earlier commands whose layers this one stands on, newest first.
    #[serde(default)]
    lowers: Vec<usize>,
    #[serde(default)]
    given: Vec<(PathBuf, String, u32)>,
    #[serde(default)]
    network: String,
    /// Whether the simulated network's authority is trusted.
    #[serde(default)]
    trusting: bool,
    /// `HOST:PORT` that is let through a simulated network, to somebody who greets and repeats.
    allow: Option<(String, u16)>,
    #[serde(default)]
    limits: Value,
    #[serde(default)]
    results: bool,
    results_cap: Option<usize>,
    #[serde(default)]
    stdin: String,
    linger_s: Option<f32>,
    cancel_after_s: Option<f32>,
    #[serde(default)]
    terminal: bool,
    #[serde(default)]
    trace: pyti_model::trace::Form,
    #[serde(default)]
    watched: Vec<PathBuf>,
    quiet: Option<Vec<PathBuf>>,
    #[serde(default)]
    env: Vec<(String, String)>,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(VERB) => agent(),
        Some("host") => host(arguments.get(2).ok_or("an order is missing")?),
        Some(pyti_sandbox::DOCTOR_VERB) => pyti_sandbox::doctor_inside(),
        Some("doctor") => {
            let findings: Vec<String> = doctor().iter().map(|finding| format!("{finding:?}")).collect();
            Ok(std::io::stdout().write_all(findings.join("\n").as_bytes())?)
        }
        _ => Err("usage: pyti-sandbox-probe host ORDER".into()),
    }
}

fn host(text: &str) -> Result<(), Failure> {
    let order: Order = serde_json::from_str(text)?;
    let spec = JobSpec {
        binds: order.binds,
        program: std::env::current_exe()?,
        layers_bytes: 2 << 30,
        layers_inodes: 200_000,
        memory_bytes: order.memory_bytes.unwrap_or(3 << 30),
        store: order.store,
        image: None,
        devices: Vec::new(),
    };
    let mut job = launch(&spec, VERB).map_err(|error| format!("{error}; mend: {:?}", error.hint()))?;
    // a lens that greets whoever comes
    if let Some(lens) = job.take_lens() {
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = lens.accept() {
                let _ = stream.write_all(b"hello from the lens\n");
            }
        });
    }
    let mut channel = job.channel()?;
    channel.write_all(text.as_bytes())?;
    channel.shutdown(std::net::Shutdown::Write)?;
    let mut said = String::new();
    channel.read_to_string(&mut said)?;
    job.wait(Duration::from_secs(5));
    if said.is_empty() {
        return Err(format!("the agent said nothing: {:?}", job.complaint()).into());
    }
    Ok(std::io::stdout().write_all(said.as_bytes())?)
}

fn agent() -> Result<(), Failure> {
    let mut inside = enter()?;
    let mut text = String::new();
    inside.channel.read_to_string(&mut text)?;
    let order: Order = serde_json::from_str(&text)?;
    let (mut answers, mut layers): (Vec<Value>, Vec<Option<Layer>>) = (Vec::new(), Vec::new());
    for group in &order.groups {
        let (boxes, below, port) = (&inside.boxes, &layers, inside.lens_port);
        let done: Vec<(Value, Option<Layer>)> = std::thread::scope(|scope| {
            let running: Vec<_> = group
                .iter()
                .map(|one| scope.spawn(move || run(boxes, one, below, port)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or((json!({"error": "panic"}), None)))
                .collect()
        });
        for (answer, layer) in done {
            answers.push(answer);
            layers.push(layer);
        }
    }
    let mut facts = inside.boxes.facts();
    // SAFETY: asks for a list of keys, into nothing
    let asked = unsafe { libc::syscall(libc::SYS_keyctl, 11, -3, 0, 0) };
    let answer = if asked == -1 {
        std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
    } else {
        0
    };
    facts.insert("agent_keyctl".to_owned(), answer.to_string());
    inside
        .channel
        .write_all(json!({"answers": answers, "facts": facts}).to_string().as_bytes())?;
    Ok(())
}

fn run(boxes: &Boxes, one: &Run, layers: &[Option<Layer>], lens_port: u16) -> (Value, Option<Layer>) {
    let attempt = || -> Result<(Value, Layer), Failure> {
        let argv = one
            .argv
            .iter()
            .map(|word| word.replace("LENS_PORT", &lens_port.to_string()));
        let mut command = Command::new(argv);
        command.env = vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("HOME".into(), "/home/dev".into()),
        ];
        let more = one.env.iter().map(|(name, value)| (name.into(), value.into()));
        command.env.extend(more);
        command.trace = one.trace;
        command.watched.clone_from(&one.watched);
        if let Some(quiet) = &one.quiet {
            command.quiet.clone_from(quiet);
        }
        for number in &one.lowers {
            let layer = layers
                .get(*number)
                .and_then(Option::as_ref)
                .ok_or("no such layer")?;
            command.lowers.push(Lower::Layer(layer.clone()));
        }
        if !one.given.is_empty() {
            let files: Vec<_> = one
                .given
                .iter()
                .map(|(path, text, mode)| (path.clone(), text.clone().into_bytes(), *mode))
                .collect();
            command.lowers.push(Lower::Layer(boxes.layer_of(&files)?));
        }
        command.network = match one.network.as_str() {
            "silent" => Network::Silent,
            "simulate" => Network::Simulate(simulate(boxes, one, &mut command)?),
            "lens" => Network::Lens,
            _ => Network::None,
        };
        let mut limits = serde_json::to_value(&command.limits)?;
        if let (Some(limits), Some(asked)) = (limits.as_object_mut(), one.limits.as_object()) {
            limits.extend(asked.clone());
        }
        command.limits = serde_json::from_value(limits)?;
        command.results = one.results;
        command.results_cap = one.results_cap.unwrap_or(command.results_cap);
        command.stdin = one.stdin.clone().into_bytes();
        command.linger_s = one.linger_s.unwrap_or(command.linger_s);
        let mut master = None;
        if one.terminal {
            let (ours, theirs) = terminal()?;
            command.terminal = Some(theirs);
            master = Some(ours);
        }
        let cancel = AtomicBool::new(false);
        let cancel = &cancel;
        let done = std::thread::scope(|scope| {
            if let Some(after) = one.cancel_after_s {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_secs_f32(after));
                    cancel.store(true, std::sync::atomic::Ordering::Release);
                });
            }
            boxes.run(&command, cancel)
        })?;
        drop(command);
        let mut screen = Vec::new();
        if let Some(mut master) = master {
            // ends with an error when nobody holds the other end
            let _ = master.read_to_end(&mut screen);
        }
        let answer = json!({
            "screen": String::from_utf8_lossy(&screen),
            "effect": done.effect,
            "trace": done.trace,
            "acts": done.trace.acts,
            "counts": done.trace.counts,
            "stdout": done.effect.stdout.text(),
            "stderr": done.effect.stderr.text(),
            "results": String::from_utf8_lossy(&done.results),
            "results_dropped": done.results_dropped,
            "changes": done.changes.iter().map(|c| format!("{:?} {}", c.what, c.path.lossy())).collect::<Vec<_>>(),
        });
        Ok((answer, done.layer))
    };
    match attempt() {
        Ok((answer, layer)) => (answer, Some(layer)),
        Err(error) => (
            json!({"error": format!("{error}: {:?}", std::error::Error::source(error.as_ref()))}),
            None,
        ),
    }
}

/// A simulated network, and what makes programs trust it.
fn simulate(boxes: &Boxes, one: &Run, command: &mut Command) -> Result<Arc<Simulation>, Failure> {
    let authority = Arc::new(Authority::new()?);
    if one.trusting {
        let place = PathBuf::from("/home/dev/.trusted.pem");
        let layer = boxes.layer_of(&[(place, authority.bundle(None), 0o644)])?;
        command.lowers.push(Lower::Layer(layer));
        for (name, value) in trust_variables("/home/dev/.trusted.pem") {
            command.env.push((name.into(), value.into()));
        }
    }
    let mut simulation = Simulation::new(authority);
    simulation.credentials = Credentials {
        aws_role: "builder".to_owned(),
        aws_access_key_id: "ASIAEXAMPLE0000000001".to_owned(),
        aws_secret_access_key: "not-a-secret".to_owned(),
        ..Credentials::default()
    };
    if let Some((host, port)) = &one.allow {
        simulation.allow.push(Allow {
            host: host.clone(),
            port: *port,
            connect: Arc::new(|| {
                let (theirs, mut ours) = std::os::unix::net::UnixStream::pair()?;
                std::thread::spawn(move || {
                    let mut heard = [0; 100];
                    let length = ours.read(&mut heard).unwrap_or(0);
                    let _ = ours
                        .write_all(b"really: ")
                        .and_then(|()| ours.write_all(&heard[..length]));
                });
                Ok(theirs)
            }),
        });
    }
    Ok(Arc::new(simulation))
}

/// A new terminal: our end, and the command's.
fn terminal() -> std::io::Result<(std::fs::File, OwnedFd)> {
    let (mut ours, mut theirs) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are filled in on success, and owned at once
    unsafe {
        if libc::openpty(&raw mut ours, &raw mut theirs, none, none.cast(), none.cast()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((
            std::fs::File::from(OwnedFd::from_raw_fd(ours)),
            OwnedFd::from_raw_fd(theirs),
        ))
    }
}
