//! `pyti runs`.

use std::time::Duration;

use crate::args::{RunsArgs, RunsCommand};
use crate::output::{Look, print};
use crate::recorded::all;

/// Lists, removes or prunes runs.
pub(crate) fn runs(args: RunsArgs, _: &Look) -> anyhow::Result<u8> {
    let runs = all()?;
    match args.command {
        None => {
            let mut text = String::new();
            for run in runs.list() {
                let file = &run.file;
                let status = file.status.as_deref().unwrap_or("-");
                if args.json {
                    let mut object = serde_json::to_value(file)?;
                    object["run"] = run.id.clone().into();
                    text.push_str(&format!("{object}\n"));
                } else {
                    let release = file.release.as_deref().unwrap_or("");
                    // to the second is enough for people
                    let when = file.when.get(..19).unwrap_or(&file.when);
                    let what = format!("{} {release}", file.name);
                    text.push_str(&format!(
                        "{:<6} {}Z  {status:<8} {what} · {}\n",
                        run.id, when, file.interpreter
                    ));
                }
            }
            if text.is_empty() && !args.json {
                crate::output::tell("no runs yet");
            }
            print(&text)?;
        }
        Some(RunsCommand::Rm { runs: names }) => {
            for name in names {
                runs.find(&name)?.remove()?;
            }
        }
        Some(RunsCommand::Prune { days }) => {
            let gone = runs.prune(Duration::from_secs(days * 86_400))?;
            print(&format!("{} runs removed", gone.len()))?;
        }
    }
    Ok(0)
}
