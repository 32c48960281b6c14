//! The few Python files that run in a box, how they are called, and how what they say is read.
//!
//! They run on every interpreter from `CPython` 3.8 on and need nothing but its standard library. What they say comes
//! over a pipe of its own, one JSON object a line; code of the package runs in the same process and may forge or
//! spoil it, so everything is parsed as hostile and called *claimed by the process*.

pub mod costs;
pub mod cover;
pub mod exercise;
pub mod hook;
pub mod import;
mod lines;
pub mod readme;
pub mod start;
mod summary;
pub mod test;

/// Names and texts of the files.
pub fn files() -> &'static [(&'static str, &'static str)] {
    &[
        ("pyti_results.py", include_str!("../probes/pyti_results.py")),
        ("pyti_pin.py", include_str!("../probes/pyti_pin.py")),
        ("pyti_watch.py", include_str!("../probes/pyti_watch.py")),
        ("hook.py", include_str!("../probes/hook.py")),
        ("start.py", include_str!("../probes/start.py")),
        ("importer.py", include_str!("../probes/importer.py")),
        ("exercise.py", include_str!("../probes/exercise.py")),
        ("readme.py", include_str!("../probes/readme.py")),
        ("pytest_boot.py", include_str!("../probes/pytest_boot.py")),
        ("unittest_run.py", include_str!("../probes/unittest_run.py")),
        ("doctest_run.py", include_str!("../probes/doctest_run.py")),
        ("costs.py", include_str!("../probes/costs.py")),
        ("pyti_cover.py", include_str!("../probes/pyti_cover.py")),
        ("cover_report.py", include_str!("../probes/cover_report.py")),
        ("script_run.py", include_str!("../probes/script_run.py")),
    ]
}

/// How a probe is started.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The environment's interpreter.
    pub python: &'a str,
    /// The folder with [`files`].
    pub probes: &'a str,
    /// The descriptor for results.
    pub results_fd: i32,
}

impl Invocation<'_> {
    pub(crate) fn argv(&self, probe: &str, rest: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut argv = vec![
            self.python.to_owned(),
            format!("{}/{probe}", self.probes),
            self.results_fd.to_string(),
        ];
        argv.extend(rest);
        argv
    }
}

/// What a probe said cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// It said nothing.
    #[error("the probe said nothing")]
    Nothing,
    /// It said something else.
    #[error("what the probe said cannot be read")]
    Unreadable(#[source] serde_json::Error),
}
