//! Which requirement lines may reach uv: a name, extras, a specifier, a marker, and nothing else.
//!
//! A direct reference makes uv reach out by itself (git is run, files are read), and options of requirement files
//! read other files; so they are refused here, each with why.

use std::str::FromStr;

use url::Url;
use uv_pep508::{Requirement, VersionOrUrl};

/// Requirement lines, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vetted {
    /// Lines for uv, in their canonical form.
    pub good: Vec<String>,
    /// Refused lines: `line: why`.
    pub refused: Vec<String>,
}

/// Longest line that is looked at.
const MAX_LINE: usize = 4096;

/// Sorts lines into those that uv may see and those that it may not. Empty lines and comments go.
pub fn vet(lines: &[String]) -> Vetted {
    let mut vetted = Vetted::default();
    for line in lines {
        let bare = strip_comment(line).trim();
        if bare.is_empty() {
            continue;
        }
        match one(bare) {
            Ok(good) => vetted.good.push(good),
            Err(why) => {
                let shown: String = bare
                    .chars()
                    .take(200)
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .collect();
                vetted.refused.push(format!("{shown}: {why}"));
            }
        }
    }
    vetted
}

fn strip_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").map_or(line, |at| &line[..at])
}

fn one(line: &str) -> Result<String, String> {
    if line.len() > MAX_LINE {
        return Err("the line is too long".into());
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err("it holds a line break".into());
    }
    if line.starts_with('-') {
        return Err("options of requirement files are not followed".into());
    }
    if line.ends_with('\\') {
        return Err("it goes on in another line".into());
    }
    if line.starts_with(['.', '/', '~']) || line.contains("://") && !line.contains('@') {
        return Err("paths and addresses are not followed".into());
    }
    let requirement = Requirement::<Url>::from_str(line).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or("not a requirement").to_owned()
    })?;
    match requirement.version_or_url {
        Some(VersionOrUrl::Url(_)) => Err("direct references are not followed".into()),
        _ => Ok(requirement.to_string()),
    }
}

/// Takes the direct reference out of a `Requires-Dist` line; `None` when it has none or cannot be read.
pub(crate) fn without_reference(line: &str) -> Option<String> {
    let mut requirement = Requirement::<Url>::from_str(line).ok()?;
    if !matches!(requirement.version_or_url, Some(VersionOrUrl::Url(_))) {
        return None;
    }
    requirement.clear_url();
    Some(requirement.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vet_one(line: &str) -> Vetted {
        vet(&[line.to_owned()])
    }

    #[test]
    fn allowed_lines_reach_uv() {
        for line in [
            "six",
            "six>=1.0",
            "requests[security,socks]>=2,<3",
            "tomli; python_version < '3.11'",
            "x==1!2.0+local",
            "zope.interface ~= 5.0 # why",
        ] {
            let vetted = vet_one(line);
            assert_eq!(
                (vetted.good.len(), vetted.refused.len()),
                (1, 0),
                "{line}: {vetted:?}"
            );
        }
        assert_eq!(vet_one("  # nothing"), Vetted::default());
    }

    #[test]
    fn denied_lines_do_not() {
        for line in [
            "-r /etc/hostname",
            "-c x",
            "-i http://example.invalid",
            "--find-links /x",
            "-e .",
            "./x",
            "/x",
            "~/x",
            "x @ https://example.invalid/x.whl",
            "x @ git+https://example.invalid/x",
            "x @ file:///x",
            "https://example.invalid/x.whl",
            "git+https://example.invalid/x@main",
            "six \\",
            "six\n-r /etc/hostname",
            "six --hash=sha256:00",
            "==1",
        ] {
            let vetted = vet_one(line);
            assert_eq!(
                (vetted.good.len(), vetted.refused.len()),
                (0, 1),
                "{line}: {vetted:?}"
            );
        }
    }
}
