//! Errors in words.

use std::error::Error;

/// An error and what caused it, on one line: `cannot plant decoys: no space left on device`.
///
/// ```
/// let error: Box<dyn std::error::Error> = "no space".into();
/// assert_eq!(pyti_model::with_causes(&*error), "no space");
/// ```
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
