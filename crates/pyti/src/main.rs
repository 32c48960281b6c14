//! `pyti`: the command line of PyTI. Arguments in, text out; nothing is decided here.

mod admin;
mod against;
mod args;
mod audit;
mod cache;
mod caller;
mod carry;
mod config;
mod diff;
mod doctor;
mod image;
mod live;
mod output;
mod overrides;
mod perf;
mod recipe;
mod recorded;
mod run;
mod runs;
mod safety;
mod serve;
mod session;
mod shell;
mod shown;
mod side_by_side;
mod submit;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::output::say_error;

/// Exit code of our own errors.
pub(crate) const OWN_ERROR: u8 = 5;
/// Exit code of wrong use.
pub(crate) const USAGE: u8 = 2;

fn main() -> ExitCode {
    if pyti_vm::guest::is_init() {
        return pyti_vm::guest::main(pyti_agent::VERB);
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = hidden_verb(&arguments) {
        return code;
    }
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // nobody is left to tell when the terminal is gone
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say_error(&error);
            ExitCode::from(output::code_of(&error))
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn clock_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The program is its own helper: what runs in boxes is started by a hidden verb.
fn hidden_verb(arguments: &[OsString]) -> Option<ExitCode> {
    let verb = arguments.get(1)?.to_str()?;
    let rest = || arguments[2..].to_vec();
    Some(match verb {
        pyti_agent::VERB => pyti_agent::main(),
        pyti_sandbox::DOCTOR_VERB => match pyti_sandbox::doctor_inside() {
            Ok(()) => ExitCode::SUCCESS,
            // the host was told, or is gone
            Err(_) => ExitCode::from(OWN_ERROR),
        },
        pyti_archive::unpack::VERB => pyti_archive::unpack::main(rest()),
        pyti_archive::wheel::VERB => pyti_archive::wheel::main(rest()),
        pyti_archive::compare::VERB => pyti_archive::compare::main(rest()),
        "__compiler" => {
            let mut rest = rest().into_iter();
            let name = rest.next()?;
            pyti_archive::compilers::main(&name, &rest.collect::<Vec<_>>())
        }
        pyti_vm::vmm::VERB => pyti_vm::vmm::main(),
        pyti_discover::VERB => pyti_discover::main(rest()),
        pyti_services::VERB => pyti_services::main(rest()),
        pyti_services::SMTP_VERB => pyti_services::smtp(rest()),
        pyti_discover::survey::VERB => pyti_discover::survey::main(rest()),
        pyti_remote::carry::VERB => carry::main(),
        pyti_server::judging::VERB => pyti_server::judging::main(rest()),
        "__page" => pyti_web::page_main(),
        pyti_index::parse::VERB => pyti_index::parse::main(rest()),
        _ => return None,
    })
}

fn dispatch(args: Args) -> anyhow::Result<u8> {
    let look = output::Look::find(&args);
    match args.command {
        Command::Run(options) => run::run(*options, &look),
        Command::Report(options) => recorded::report(&options, &look),
        Command::Log(options) => recorded::log(&options),
        Command::Get(options) => recorded::get(&options),
        Command::Shell(options) => shell::shell(&options, &look),
        Command::Runs(options) => runs::runs(options, &look),
        Command::Diff(options) => diff::diff(&options, &look),
        Command::Audit(options) => audit::audit(&options, &look),
        Command::Judge(options) => safety::judge(&options, &look),
        Command::Explain(options) => safety::explain(&options, &look),
        Command::Rules(options) => safety::rules(&options),
        Command::Perf(options) => perf::perf(&options, &look),
        Command::Recipe(options) => recipe::recipe(&options, &look),
        Command::Override { command } => overrides::command(command),
        Command::Doctor => doctor::doctor(&look),
        Command::Serve(options) => serve::serve(&options),
        Command::Worker(options) => worker::worker(*options),
        Command::Submit(options) => submit::submit(&options, &look),
        Command::Status(options) => submit::status(&options, &look),
        Command::Watch(options) => submit::watch(&options, &look),
        Command::Admin(options) => admin::admin(options, &look),
        Command::Image(options) => image::image(options, &look),
        Command::Cache(options) => cache::cache(options),
        Command::Config(options) => config::command(&options),
        Command::Schema => {
            output::print(&serde_json::to_string_pretty(&pyti_box::schema::document())?)?;
            Ok(0)
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "pyti", &mut out);
            output::print(&String::from_utf8_lossy(&out))?;
            Ok(0)
        }
        Command::Man { folder } => {
            std::fs::create_dir_all(&folder)?;
            clap_mangen::generate_to(args::command(), &folder)?;
            Ok(0)
        }
    }
}
