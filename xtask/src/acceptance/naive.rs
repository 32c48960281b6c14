//! The naive way: install the distribution, install pytest, unpack the sdist, run pytest there. In a box of PyTI's,
//! without a network and with PyTI's lock of what it needs to run, so that nothing differs but the thought.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::Seen;

/// Seconds that it may take; as much as PyTI gives a command.
const LIMIT_S: u32 = 600;

/// What the naive way gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Naive {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// pytest's exit code; 124 when the time was over.
    pub(crate) exit: Option<i32>,
    /// The last line of pytest, or why it could not be tried.
    pub(crate) said: String,
}

impl Naive {
    pub(crate) fn words(&self) -> String {
        match self.exit {
            None => self.said.clone(),
            Some(0) => format!("{} passed", self.passed),
            Some(124) => "its time was over".to_owned(),
            Some(4) => "usage error".to_owned(),
            Some(5) => "no tests".to_owned(),
            Some(_) if self.passed == 0 && self.failed == 0 => "collection error".to_owned(),
            Some(_) => format!("{} passed, {} failed", self.passed, self.failed),
        }
    }
}

/// Runs it for what PyTI ran before.
pub(crate) fn run(pyti: &Path, seen: &Seen) -> Naive {
    let said = |said: &str| Naive {
        said: said.to_owned(),
        ..Naive::default()
    };
    if matches!(seen.status.as_str(), "" | "skip" | "na" | "broken") {
        return said("not tried");
    }
    if !seen.has_sdist {
        return said("no sdist");
    }
    match attempt(pyti, seen) {
        Ok(naive) => naive,
        Err(why) => said(&why),
    }
}

fn attempt(pyti: &Path, seen: &Seen) -> Result<Naive, String> {
    let kind = if seen.has_wheel { "wheel" } else { "sdist" };
    let plan = output(Command::new(pyti).args(["get", &seen.run, "plan", "--job", kind]))?;
    let mut plan: Value = serde_json::from_slice(&plan).map_err(|e| format!("no plan: {e}"))?;
    // everything is put where it belongs, and pytest only says its version: it is run by hand after that
    plan["recipe"] = json!({
        "runner": "pytest",
        "arguments": ["--version"],
        "requirements": ["pytest"],
        "extras": [],
        "why": ["the naive way"],
        "sources": "visible",
    });
    if let Some(locks) = plan["locks"].as_object_mut() {
        locks.remove("test");
    }
    plan["skip"] = json!(["start", "import", "scripts"]);
    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    std::fs::write(file.path(), plan.to_string()).map_err(|e| e.to_string())?;
    let ran = Command::new(pyti)
        .args(["run", "-q", "--json", "--no-watch", "--plan"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    let summary: Value =
        serde_json::from_slice(&ran.stdout).map_err(|_| "it cannot be installed with pytest".to_owned())?;
    let run = summary["run"].as_str().unwrap_or_default();
    let script = format!(
        "cd /home/dev/src && timeout -s INT -k 20 {LIMIT_S} pytest -q -p no:cacheprovider --color=no >/tmp/said 2>&1; echo exit=$?; tail -n 60 /tmp/said\n"
    );
    let mut child = Command::new(pyti)
        .args(["shell", "-q", run, "--after", "test"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, script.as_bytes()).map_err(|e| e.to_string())?;
    }
    let shell = child.wait_with_output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&shell.stdout);
    parse(&text).ok_or_else(|| "it cannot be installed with pytest".to_owned())
}

fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Reads what the shell printed: the exit code, and the last lines of pytest.
fn parse(text: &str) -> Option<Naive> {
    let exit = text
        .lines()
        .find_map(|line| line.strip_prefix("exit="))?
        .trim()
        .parse()
        .ok()?;
    let counts = |line: &str| {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_end_matches(','))
            .collect();
        let of = |names: &[&str]| -> u64 {
            words
                .windows(2)
                .filter(|pair| names.contains(&pair[1]))
                .filter_map(|pair| pair[0].parse::<u64>().ok())
                .sum()
        };
        (
            of(&["passed"]),
            of(&["failed", "error", "errors"]),
            of(&["skipped"]),
        )
    };
    let last = text
        .lines()
        .rev()
        .find(|line| line.contains(" in ") && counts(line) != (0, 0, 0));
    let (passed, failed, skipped) = last.map(counts).unwrap_or_default();
    // an error while collecting is no test that failed
    let collected = passed + skipped > 0 || exit == 1;
    Some(Naive {
        passed,
        failed: if collected { failed } else { 0 },
        skipped,
        exit: Some(exit),
        said: last
            .or(text.lines().rev().find(|line| !line.trim().is_empty()))
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_pytest_is_read() {
        let naive =
            parse("exit=1\nFAILED a.py::b\n2 failed, 10 passed, 3 skipped, 1 warning in 0.50s\n").unwrap();
        assert_eq!(
            (naive.passed, naive.failed, naive.skipped, naive.exit),
            (10, 2, 3, Some(1))
        );
        let broken = parse(
            "exit=2\nERROR tests/a.py\n!!! Interrupted: 1 error during collection !!!\n1 error in 0.10s\n",
        )
        .unwrap();
        assert_eq!((broken.passed, broken.failed), (0, 0));
        assert_eq!(broken.words(), "collection error");
        assert_eq!(
            parse("exit=5\nno tests ran in 0.00s\n").unwrap().words(),
            "no tests"
        );
        assert_eq!(
            parse("exit=4\nERROR: usage: pytest\n").unwrap().words(),
            "usage error"
        );
        assert_eq!(parse("nothing"), None);
    }
}
