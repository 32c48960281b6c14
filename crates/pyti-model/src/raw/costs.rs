//! What a distribution costs who uses it: start-up, import, size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;

/// Costs were measured, by starting the interpreter several times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// Wall-clock seconds of starting and ending the interpreter without the distribution, each time.
    pub bare_s: Vec<f64>,
    /// The same with the distribution installed, nothing imported.
    pub start_s: Vec<f64>,
    /// The same, and every top-level module imported.
    pub import_s: Vec<f64>,
    /// Most memory of the interpreter with nothing imported, bytes.
    pub start_memory_bytes: u64,
    /// Most memory with every top-level module imported, bytes.
    pub import_memory_bytes: u64,
    /// Modules that are loaded by importing the top-level modules.
    pub modules: u32,
    /// What each import took: those of the quickest time, in the order of a walk from the top. Capped.
    pub imports: Vec<ImportNode>,
    /// Imports beyond the cap.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub imports_dropped: u32,
    /// Top-level modules that cannot be imported; nothing is known of what they cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Foreign>,
    /// What the installation put there, by kind of file.
    pub sizes: Vec<KindSize>,
    /// What it needs besides: all packages of its environment together.
    pub dependencies: KindSize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// One import, as the interpreter timed it (`-X importtime`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportNode {
    /// Dotted name.
    pub module: Foreign,
    /// How deep it lies; 0 is what the probe itself imports.
    pub depth: u32,
    /// Microseconds in its own code.
    pub self_us: u64,
    /// Microseconds with everything that it imports.
    pub total_us: u64,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindSize {
    /// The kind.
    pub kind: FileSort,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What an installed file is for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FileSort {
    /// Python source.
    Source,
    /// Compiled extensions and shared libraries.
    Compiled,
    /// Tests that are installed with it.
    Tests,
    /// Stubs and markers for type checkers.
    Types,
    /// Byte code.
    Bytecode,
    /// Metadata of the distribution.
    Metadata,
    /// Programs in the environment's folder for them.
    Scripts,
    /// Everything else: data.
    #[default]
    Data,
}

impl FileSort {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "Python",
            Self::Compiled => "compiled",
            Self::Tests => "tests",
            Self::Types => "types",
            Self::Bytecode => "byte code",
            Self::Metadata => "metadata",
            Self::Scripts => "scripts",
            Self::Data => "data",
        }
    }
}

impl Costs {
    /// All that was installed of the distribution itself, bytes.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().map(|size| size.bytes).sum()
    }

    /// What importing adds to starting the interpreter, seconds: the least disturbed times of both.
    pub fn import_cost_s(&self) -> Option<f64> {
        Some((least(&self.import_s)? - least(&self.start_s)?).max(0.0))
    }

    /// What the installation adds to starting the interpreter, seconds.
    pub fn start_cost_s(&self) -> Option<f64> {
        Some(least(&self.start_s)? - least(&self.bare_s)?)
    }
}

/// The shortest time: what disturbs only ever adds.
fn least(times: &[f64]) -> Option<f64> {
    times
        .iter()
        .copied()
        .filter(|t| t.is_finite())
        .min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_disturbed_times_are_compared() {
        let costs = Costs {
            bare_s: vec![0.03, 0.01],
            start_s: vec![0.012, 0.9],
            import_s: vec![0.05, 0.052],
            ..Costs::default()
        };
        assert!((costs.import_cost_s().unwrap() - 0.038).abs() < 1e-9);
        assert!((costs.start_cost_s().unwrap() - 0.002).abs() < 1e-9);
        assert_eq!(Costs::default().import_cost_s(), None);
    }
}
