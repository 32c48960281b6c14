//! Which version of the protocol two programs speak.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Versions that this program speaks. A version is added when a field changes its meaning or a new one must be understood;
/// fields that may be ignored come without.
pub const PROTOCOL: Range = Range { min: 1, max: 1 };

/// Versions of the protocol, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl Range {
    /// The newest version that both know.
    ///
    /// ```
    /// use pyti_command::version::Range;
    /// let ours = Range { min: 2, max: 4 };
    /// assert_eq!(ours.common(Range { min: 1, max: 3 }), Some(3));
    /// assert_eq!(ours.common(Range { min: 4, max: 9 }), Some(4));
    /// assert_eq!(ours.common(Range { min: 5, max: 9 }), None);
    /// assert_eq!(ours.common(Range { min: 9, max: 1 }), None);
    /// ```
    pub fn common(self, other: Self) -> Option<u32> {
        let (from, to) = (self.min.max(other.min), self.max.min(other.max));
        (from <= to).then_some(to)
    }
}
