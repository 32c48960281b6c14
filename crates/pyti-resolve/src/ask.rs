//! Asks a program of the machine who it is, for a limited time.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for an answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Most of an answer that is read, in bytes.
const ANSWER_CAP: u64 = 16 << 10;

/// What the command wrote to its standard output; it gets no environment but what it was given, and no input.
pub(crate) fn ask(command: &mut Command, limit: Duration) -> Result<Vec<u8>, String> {
    // The answer goes to a file, so that waiting never depends on who else holds a pipe open.
    let mut out = tempfile::tempfile().map_err(|e| format!("no temporary file: {e}"))?;
    let copy = out.try_clone().map_err(|e| e.to_string())?;
    let mut child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(copy)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot be started: {e}"))?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(3)),
        }
    };
    if !status.success() {
        return Err(format!("asked what it is, it ended with {status}"));
    }
    let mut bytes = Vec::new();
    out.rewind().map_err(|e| e.to_string())?;
    out.take(ANSWER_CAP)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hangs_is_not_waited_for_and_who_answers_is_heard() {
        let began = Instant::now();
        let hangs = ask(Command::new("/bin/sleep").arg("60"), Duration::from_millis(50));
        assert!(hangs.unwrap_err().contains("no answer"));
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(
            ask(Command::new("/bin/echo").arg("here"), TIME_LIMIT).unwrap(),
            b"here\n"
        );
        assert!(ask(&mut Command::new("/bin/false"), TIME_LIMIT).is_err());
    }
}
