//! The default index, asked of the machine's own tools.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Env;

/// pip carries its default as a constant of its index model.
const PIP: &str = "from pip._internal.models import index\nprint(getattr(index, 'PyPI').simple_url)";

/// How long an answer is believed.
const DAY: Duration = Duration::from_hours(24);

/// The same as [`default_index`], from the folder's note when that is fresh.
pub(super) fn remembered(env: Env<'_>, folder: Option<&Path>) -> Option<(String, String)> {
    let Some(folder) = folder else {
        return default_index(env);
    };
    // another path may mean another pip with another default
    let path = env("PATH").unwrap_or_default();
    let note = folder.join("default-index");
    let fresh = fs::metadata(&note).ok().is_some_and(|meta| {
        meta.len() < 1 << 16
            && meta
                .modified()
                .is_ok_and(|time| time.elapsed().is_ok_and(|age| age < DAY))
    });
    if fresh
        && let Ok(text) = fs::read_to_string(&note)
        && let [url, origin, known] = text.lines().collect::<Vec<_>>()[..]
        && known == path
    {
        return Some((url.to_owned(), origin.to_owned()));
    }
    let (url, origin) = default_index(env)?;
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{url}\n{origin}\n{path}")?;
        file.persist(&note)?;
        Ok(())
    };
    // a note that cannot be written costs time only
    let _ = write();
    Some((url, origin))
}

/// The default of pip, else of uv, and which of them it was.
pub(super) fn default_index(env: Env<'_>) -> Option<(String, String)> {
    for python in ["python3", "python"] {
        if let Some(text) = run(env, python, &["-I", "-c", PIP], b"")
            && let Some(url) = address(&text)
        {
            return Some((url, "pip's default".into()));
        }
    }
    let arguments = [
        "-v",
        "pip",
        "compile",
        "--offline",
        "--no-config",
        "--no-cache",
        "-",
    ];
    let text = run(env, "uv", &arguments, b"pip\n")?;
    Some((address(&text)?, "uv's default".into()))
}

/// The first address in the text that looks like the root of a Simple API.
fn address(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || "`\"'<>(),".contains(c))
        .find_map(|word| {
            let end = word.find("/simple").map(|at| at + "/simple".len())?;
            word[..end]
                .starts_with("http")
                .then(|| format!("{}/", &word[..end]))
        })
}

/// Output and error output of a program that ends within ten seconds.
fn run(env: Env<'_>, program: &str, arguments: &[&str], input: &[u8]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["PATH", "HOME", "PYENV_ROOT", "PYENV_VERSION"] {
        if let Some(value) = env(name) {
            command.env(name, value);
        }
    }
    let mut child = command.spawn().ok()?;
    if let Some(mut pipe) = child.stdin.take() {
        // a program that does not want it is no failure
        let _ = pipe.write_all(input);
    }
    let mut outputs = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        outputs.push(std::thread::spawn(move || capped(pipe)));
    }
    if let Some(pipe) = child.stderr.take() {
        outputs.push(std::thread::spawn(move || capped(pipe)));
    }
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    Some(
        outputs
            .into_iter()
            .filter_map(|output| output.join().ok())
            .collect(),
    )
}

fn capped(pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // what was read before an error is used
    let _ = pipe.take(1 << 20).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_note_is_believed_for_the_same_path_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("default-index"),
            "http://note.invalid/simple/\npip's default\n/nowhere\n",
        )
        .unwrap();
        let env = |path: &'static str| move |name: &str| (name == "PATH").then(|| path.to_owned());
        assert_eq!(
            remembered(&env("/nowhere"), Some(dir.path())).unwrap().0,
            "http://note.invalid/simple/"
        );
        let other = remembered(&env("/elsewhere"), Some(dir.path()));
        assert!(other.is_none_or(|(url, _)| !url.contains("note.invalid")));
    }

    #[test]
    fn addresses_are_found_in_what_tools_print() {
        assert_eq!(
            address("DEBUG `https://example.invalid/simple/six/`\n").as_deref(),
            Some("https://example.invalid/simple/")
        );
        assert_eq!(
            address("https://example.invalid/simple\n").as_deref(),
            Some("https://example.invalid/simple/")
        );
        assert_eq!(address("No module named pip"), None);
    }
}
