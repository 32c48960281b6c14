//! One job in a process of its own: the worker's side.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pyti_command::work::WorkOutcome;
use pyti_worker::Stop;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::carry::{Ended, RUNNING, STOP, Task, VERB};
use crate::spool::Entry;

/// How long a job may take to end in order.
const GRACE: Duration = Duration::from_secs(15);
/// How much is shown of what a process said before it died.
const LAST_WORDS: u64 = 600;

/// Carries out the job of a lease in a process of this program. `running` is called when a box is open.
pub(crate) async fn run(
    program: &Path,
    entry: &Entry,
    task: &Task,
    stop: &Stop,
    running: impl Fn(),
) -> io::Result<Ended> {
    let said = entry.folder().join("said");
    let mut child = Command::new(program)
        .arg(VERB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&said)?)
        // Ctrl-C is the worker's to hear
        .process_group(0)
        .env_remove("PYTI_JOIN_TOKEN")
        .env_remove("PYTI_TOKEN")
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a process without pipes"));
    };
    let mut line = serde_json::to_vec(task)?;
    line.push(b'\n');
    // a process that died at once is noticed below
    let _ = input.write_all(&line).await;
    let mut lines = BufReader::new(output).lines();
    let mut listening = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            heard = lines.next_line(), if listening => match heard {
                Ok(Some(line)) if line == RUNNING => running(),
                Ok(Some(_)) => {}
                _ => listening = false,
            },
            () = stop.stopped() => {
                let _ = input.write_all(format!("{STOP}\n").as_bytes()).await;
                if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
                    break status?;
                }
                child.start_kill()?;
                break child.wait().await?;
            }
        }
    };
    // open until now: its end would have ended the process
    drop(input);
    if stop.is_stopped() {
        return Ok(Ended::Interrupted);
    }
    Ok(Ended::read(entry).unwrap_or_else(|| {
        let words = last_words(&said);
        let colon = if words.is_empty() { "" } else { ": " };
        Ended::Done(WorkOutcome::Failed {
            why: format!("the job's process ended with {status}{colon}{words}"),
        })
    }))
}

/// The end of what was said, visible.
fn last_words(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    pyti_model::foreign::Foreign::from(text.trim()).visible()
}
