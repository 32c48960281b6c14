//! In which form a description is written.

use pyti_model::quality::WheelContents;

use crate::rules::field;

/// A form of descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `text/x-rst`, and what does not say what it is.
    Rst,
    /// `text/markdown`.
    Markdown,
    /// `text/plain`.
    Plain,
    /// Another one, that indexes refuse.
    Unknown,
}

/// The form that `Description-Content-Type` names.
pub fn form(wheel: &WheelContents) -> Form {
    let Some(kind) = field(wheel, "Description-Content-Type") else {
        return Form::Rst;
    };
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "text/markdown" => Form::Markdown,
        "text/x-rst" | "" => Form::Rst,
        "text/plain" => Form::Plain,
        _ => Form::Unknown,
    }
}
