//! Frozen plans in files.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use pyti_model::plan::{PLAN_VERSION, Plan};

/// The largest plan that is read, in bytes.
pub const PLAN_CAP: usize = 16 << 20;

/// A plan that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file could not be read or written.
    #[error("cannot use the plan {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Larger than [`PLAN_CAP`].
    #[error("the plan is larger than {PLAN_CAP} bytes")]
    TooLarge,
    /// Written by a newer version.
    #[error("the plan has version {0}, known is {PLAN_VERSION}")]
    Version(u64),
    /// Not a plan.
    #[error("the plan cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Parses a plan; the version is looked at before anything else.
pub fn parse(bytes: &[u8]) -> Result<Plan, PlanError> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u64,
    }
    if bytes.len() > PLAN_CAP {
        return Err(PlanError::TooLarge);
    }
    let head: Head = serde_json::from_slice(bytes)?;
    if head.version != u64::from(PLAN_VERSION) {
        return Err(PlanError::Version(head.version));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The plan as JSON, for people too.
pub fn render(plan: &Plan) -> Result<String, PlanError> {
    Ok(serde_json::to_string_pretty(plan)? + "\n")
}

/// Reads a plan from a file.
pub fn read(path: &Path) -> Result<Plan, PlanError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PLAN_CAP as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| PlanError::Io {
            path: path.to_owned(),
            source,
        })?;
    parse(&bytes)
}

/// Writes a plan, whole or not at all.
pub fn write(path: &Path, plan: &Plan) -> Result<(), PlanError> {
    let text = render(plan)?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    save().map_err(|source| PlanError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_and_strange_plans_are_refused() {
        assert!(matches!(parse(b"{\"version\": 99}"), Err(PlanError::Version(99))));
        assert!(matches!(
            parse(b"{\"version\": 1}"),
            Err(PlanError::Unreadable(_))
        ));
        assert!(matches!(
            parse(&vec![b' '; PLAN_CAP + 1]),
            Err(PlanError::TooLarge)
        ));
    }

    #[test]
    fn a_written_plan_comes_back() {
        let plan: Plan = serde_json::from_value(serde_json::json!({
            "version": PLAN_VERSION,
            "target": {
                "project": "a", "version": "1", "filename": "a-1.tar.gz", "kind": "sdist",
                "sha256": "a".repeat(64), "size": 1
            },
            "interpreter": {
                "implementation": "cpython", "version": "3.13.0", "free_threaded": false,
                "executable": "/usr/bin/python3", "prefix": "/usr", "platform": "linux_x86_64", "has_headers": true
            },
            "isolation": "sandbox",
            "run_tests": true,
            "limits": pyti_model::effect::Limits::default(),
            "hash_seed": 0
        }))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, &plan).unwrap();
        assert_eq!(read(&path).unwrap(), plan);
    }
}
