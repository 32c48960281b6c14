//! What a method is.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches the controller.
    Anyone,
    /// A worker with a session.
    Worker,
    /// Who may submit jobs: a token with that scope, or the local socket.
    Submit,
    /// An administrator: a token with that scope, or the local socket.
    Admin,
}

impl Access {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Worker => "worker",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }
}

/// A method of the Command API.
pub trait Method {
    /// As in JSON: `work.claim`.
    const NAME: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// Whether it changes nothing: only such a method is done when it comes as a notification or not at all.
    const READS: bool;
    /// What it is given, by name.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it answers.
    type Answer: Serialize + DeserializeOwned + JsonSchema + Send;
}

/// No parameters, or nothing to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// Declares methods: name in JSON, who may, whether it only reads, parameters, answer.
macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $access:ident, reads: $reads:literal, $params:ty => $answer:ty;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl $crate::Method for $name {
            const NAME: &'static str = $text;
            const SUMMARY: &'static str = concat!($($doc),+).trim_ascii();
            const ACCESS: $crate::Access = $crate::Access::$access;
            const READS: bool = $reads;
            type Params = $params;
            type Answer = $answer;
        }
    )+};
}
pub(crate) use methods;
