//! Runs one command in a box: `boxed [--silent] [--trace light|full] ARGV…`. It shows the three circles of the crate in one file.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pyti_model::trace::{Form, Trace};
use pyti_sandbox::{Bind, Command, JobSpec, Network, enter, launch};

const VERB: &str = "__inside";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|verb| verb == VERB) {
        return inside();
    }
    let spec = JobSpec {
        binds: std::env::var("BOXED_PREFIX")
            .ok()
            .map(|prefix| Bind {
                source: prefix.clone().into(),
                target: prefix.into(),
                writable: false,
            })
            .into_iter()
            .collect(),
        program: std::env::current_exe()?,
        layers_bytes: 1 << 30,
        layers_inodes: 100_000,
        memory_bytes: 2 << 30,
        store: None,
        image: std::env::var_os("BOXED_IMAGE").map(Into::into),
        devices: Vec::new(),
    };
    let job = launch(&spec, VERB)?;
    let mut channel = job.channel()?;
    channel.write_all(arguments[1..].join("\0").as_bytes())?;
    channel.shutdown(std::net::Shutdown::Write)?;
    let mut said = String::new();
    channel.read_to_string(&mut said)?;
    job.wait(Duration::from_secs(5));
    std::io::stdout().write_all(said.as_bytes())?;
    Ok(())
}

fn inside() -> Result<(), Box<dyn std::error::Error>> {
    let mut inside = enter()?;
    let mut order = String::new();
    inside.channel.read_to_string(&mut order)?;
    let mut argv: Vec<&str> = order.split('\0').collect();
    let silent = argv.first() == Some(&"--silent");
    if silent {
        argv.remove(0);
    }
    let form = match argv.first() {
        Some(&"--trace") => match argv.drain(..2).nth(1) {
            Some("full") => Form::Full,
            _ => Form::Light,
        },
        _ => Form::None,
    };
    let mut command = Command::new(argv);
    command.trace = form;
    if form != Form::None {
        command.env = vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("HOME".into(), "/home/dev".into()),
        ];
        command.watched = vec!["/home/dev".into()];
    }
    command.cwd = PathBuf::from("/home/dev");
    command.network = if silent { Network::Silent } else { Network::None };
    let answer = match inside.boxes.run(&command, &AtomicBool::new(false)) {
        Ok(done) => format!(
            "{}{}{:#?}\n{:#?}\n{}",
            done.effect.stdout.text(),
            done.effect.stderr.text(),
            (
                &done.effect.exit,
                &done.effect.limit,
                &done.effect.cost,
                &done.effect.denials,
                &done.effect.contacts
            ),
            done.changes,
            shown(&done.trace)
        ),
        Err(error) => format!("error: {error}: {:?}\n", std::error::Error::source(&error)),
    };
    inside.channel.write_all(answer.as_bytes())?;
    Ok(())
}

/// What was recorded, one line each.
fn shown(trace: &Trace) -> String {
    let processes = trace.processes.iter().map(|process| format!("{process:?}\n"));
    let acts = trace.acts.iter().map(|act| {
        let (process, result, deed) = (act.process, &act.result, &act.deed);
        format!(
            "{:>9} {process:?} {result:?} x{} {deed:?}\n",
            act.at_us, act.times
        )
    });
    let counts = trace
        .counts
        .iter()
        .map(|count| format!("{} {}\n", count.what, count.times));
    let mut text: String = processes.chain(acts).chain(counts).collect();
    for loss in &trace.losses {
        text.push_str(&format!("{loss:?}\n"));
    }
    text
}
