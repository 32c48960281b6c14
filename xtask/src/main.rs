//! What people run to test, bench and package PyTI: `cargo xtask test`, `bench`, `corpus`, `schema`, `crates`.

mod acceptance;
mod bench;
mod benign;
mod corpus;
mod graph;
mod guest;
mod needs;
mod recordings;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

/// Tasks of the PyTI repository.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need and runs them all
    Test {
        /// Install without asking (also when CI is set)
        #[arg(long)]
        yes: bool,
        /// Also those that take long, or need large packages
        #[arg(long)]
        all: bool,
        /// Only tests whose names contain this
        filter: Option<String>,
    },
    /// Measures PyTI against doing the same by hand, in pairs, in one run
    Bench {
        /// Rounds
        #[arg(long, default_value_t = 10)]
        rounds: u32,
        /// Only benchmarks whose names contain this
        filter: Option<String>,
    },
    /// Writes the JSON Schema into docs/, or checks that it is current
    Schema {
        /// Only check
        #[arg(long)]
        check: bool,
    },
    /// Runs real distributions of the configured index and compares with a table
    Acceptance(acceptance::Options),
    /// Runs the harmless packages that behave like harmful ones, and compares with their table
    Corpus(corpus::Options),
    /// Runs real distributions that harm nobody: none may be called suspicious or harmful
    Benign(benign::Options),
    /// Prints how big recordings are, by phase
    Recordings(recordings::Options),
    /// Kills a worker ten times and its controller five times while 200 distributions are tested: each has one result
    Chaos {
        /// Distributions, kills of the worker, kills of the controller
        #[arg(long, default_value = "200,10,5")]
        scale: String,
    },
    /// Builds the program for virtual machines, linked static, beside `pyti`
    Guest,
    /// Prints which crate needs which, and checks that arrows go down only
    Crates,
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Test { yes, all, filter } => test(yes, all, filter.as_deref()),
        Task::Bench { rounds, filter } => bench::run(rounds, filter.as_deref()),
        Task::Schema { check } => schema::run(check),
        Task::Acceptance(options) => acceptance::run(&options),
        Task::Corpus(options) => corpus::run(&options),
        Task::Benign(options) => benign::run(&options),
        Task::Recordings(options) => recordings::run(&options),
        Task::Chaos { scale } => chaos(&scale),
        Task::Guest => guest::build().map(|path| print(&path.display().to_string())),
        Task::Crates => graph::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn test(yes: bool, all: bool, filter: Option<&str>) -> Result<()> {
    needs::install(yes || std::env::var_os("CI").is_some(), all)?;
    if let Some(target) = std::env::current_exe()?.ancestors().nth(2) {
        needs::install_node(target)?;
    }
    graph::run()?;
    schema::run(true)?;
    let mut arguments = vec!["test", "--workspace", "--no-fail-fast"];
    if let Some(filter) = filter {
        arguments.push(filter);
    }
    let machines = if all { guest::machines()? } else { Vec::new() };
    cargo_with(&arguments, all, &machines)?;
    if filter.is_some() {
        return Ok(());
    }
    // the tests have built the program; beside this one it lies
    let program = std::env::current_exe()?.with_file_name("pyti");
    corpus::run(&corpus::Options::whole(program))
}

/// The test of killed workers and controllers, at the size that was asked for.
fn chaos(scale: &str) -> Result<()> {
    let numbers: Vec<&str> = scale.split(',').collect();
    let good = numbers.len() == 3
        && numbers
            .iter()
            .all(|number| number.parse::<u32>().is_ok_and(|n| n > 0));
    if !good {
        bail!("--scale {scale:?}: write JOBS,WORKER_KILLS,CONTROLLER_KILLS");
    }
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(program)
        .args([
            "test",
            "--release",
            "-p",
            "pyti",
            "--test",
            "chaos",
            "--",
            "--nocapture",
        ])
        .env("PYTI_CHAOS", scale)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the test ended with {status}");
    }
    Ok(())
}

/// The program that is asked for, else the one that is built now.
fn program(wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = wanted {
        return fs::canonicalize(path).with_context(|| format!("no program {}", path.display()));
    }
    cargo(&["build", "--release", "-p", "pyti"])?;
    Ok(bench::target_folder()?.join("pyti"))
}

/// Runs cargo on the workspace.
fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, false, &[])
}

/// The same; `all`: tests that take long are not skipped. `environment`: variables besides.
fn cargo_with(arguments: &[&str], all: bool, environment: &[(&str, PathBuf)]) -> Result<()> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    say(&format!("$ cargo {}", arguments.join(" ")));
    let mut command = Command::new(program);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    if all {
        command.env("PYTI_TEST_ALL", "1");
    }
    let status = command.args(arguments).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a task talks to who runs it")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "what a task found out is its output")]
fn print(text: &str) {
    println!("{text}");
}
