//! JSON-RPC 2.0: calls, batches, notifications, answers and errors, parsed with limits.

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Method;

/// Most bytes of one request.
pub const BODY_BYTES: usize = 256 << 10;
/// Most bytes of one answer that a client reads.
pub const ANSWER_BYTES: usize = 8 << 20;
/// Most calls of one batch.
pub const BATCH: usize = 20;
/// Deepest nesting of one request.
pub const DEPTH: usize = 32;
/// Longest name of a method, and longest text of an id, in bytes.
const NAME_BYTES: usize = 64;

/// Numbers of errors: those of JSON-RPC 2.0, and ours.
pub mod codes {
    /// The text is no JSON, is nested too deep, or is too long.
    pub const PARSE: i32 = -32700;
    /// It is JSON, and no call.
    pub const INVALID_REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters do not fit the method.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The controller failed.
    pub const INTERNAL: i32 = -32603;
    /// No session or token, or one that is over: take a new one.
    pub const UNAUTHORIZED: i32 = -32001;
    /// The token is good, and not for this.
    pub const FORBIDDEN: i32 = -32002;
    /// The worker was sent away for good.
    pub const REVOKED: i32 = -32003;
    /// There is no such thing.
    pub const NOT_FOUND: i32 = -32004;
    /// It contradicts what is there: a name that another has, a key that was used for something else.
    pub const CONFLICT: i32 = -32005;
    /// Too many calls: wait.
    pub const RATE_LIMITED: i32 = -32006;
    /// Too much to do just now: wait.
    pub const BUSY: i32 = -32007;
    /// The controller's disk is full. What was acknowledged is kept.
    pub const STORAGE_FULL: i32 = -32008;
    /// No version of the protocol is known to both.
    pub const NO_COMMON_VERSION: i32 = -32009;
    /// The worker has started anew since, or must say hello first.
    pub const OTHER_BOOT: i32 = -32010;
    /// Somebody must approve the worker first.
    pub const NOT_APPROVED: i32 = -32011;
    /// The controller stops: try again soon.
    pub const SHUTTING_DOWN: i32 = -32012;
    /// The index does not have it, or cannot be asked.
    pub const INDEX: i32 = -32013;
    /// A method that waits stands in a batch.
    pub const NOT_IN_A_BATCH: i32 = -32014;

    /// All, with a word for each.
    pub const ALL: &[(i32, &str)] = &[
        (PARSE, "parse error"),
        (INVALID_REQUEST, "invalid request"),
        (METHOD_NOT_FOUND, "method not found"),
        (INVALID_PARAMS, "invalid params"),
        (INTERNAL, "internal error"),
        (UNAUTHORIZED, "unauthorized"),
        (FORBIDDEN, "forbidden"),
        (REVOKED, "worker revoked"),
        (NOT_FOUND, "not found"),
        (CONFLICT, "conflict"),
        (RATE_LIMITED, "too many calls"),
        (BUSY, "busy"),
        (STORAGE_FULL, "storage full"),
        (NO_COMMON_VERSION, "no common version"),
        (OTHER_BOOT, "another start of this worker"),
        (NOT_APPROVED, "worker not approved yet"),
        (SHUTTING_DOWN, "shutting down"),
        (INDEX, "index"),
        (NOT_IN_A_BATCH, "not in a batch"),
    ];
}

/// The id of a call, given back with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Id {
    /// `null`: allowed, and of little use.
    Null,
    /// A whole number.
    Number(i64),
    /// A text of at most 64 bytes.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// What went wrong, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of [`codes`].
    pub code: i32,
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

/// More about an error, for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// Try again after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The versions of the protocol that the controller speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<crate::version::Range>,
}

impl RpcError {
    /// An error with a text.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The same, with the word of its code as its text.
    pub fn plain(code: i32) -> Self {
        let word = codes::ALL.iter().find(|(known, _)| *known == code);
        Self::new(code, word.map_or("error", |(_, word)| word))
    }

    /// The same, to be tried again after so many milliseconds.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.data.get_or_insert_default().retry_after_ms = Some(ms);
        self
    }
}

/// One call, not yet known to be of a method that exists.
#[derive(Debug)]
pub struct Call {
    /// Its id; a notification has none.
    pub id: Option<Id>,
    /// The name of the method.
    pub method: String,
    /// Its parameters: an object, or an array for those who give them by place.
    pub params: Option<Value>,
}

impl Call {
    /// The parameters of a method.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMS` if they do not fit.
    pub fn params<M: Method>(self) -> Result<M::Params, RpcError> {
        let params = self
            .params
            .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        serde_json::from_value(params)
            .map_err(|error| RpcError::new(codes::INVALID_PARAMS, error.to_string()))
    }
}

/// What a request holds.
#[derive(Debug)]
pub enum Incoming {
    /// One call. An error has the id that could be read.
    Single(Result<Call, (Option<Id>, RpcError)>),
    /// Several, at least one and at most [`BATCH`].
    Batch(Vec<Result<Call, (Option<Id>, RpcError)>>),
}

/// Reads a request. What is wrong with the whole of it is an error in the answer's place, with the id `null`.
pub fn parse(body: &[u8]) -> Result<Incoming, RpcError> {
    if body.len() > BODY_BYTES {
        return Err(RpcError::new(
            codes::PARSE,
            format!("a request has at most {BODY_BYTES} bytes"),
        ));
    }
    let text =
        std::str::from_utf8(body).map_err(|_| RpcError::new(codes::PARSE, "the request is not UTF-8"))?;
    if depth(text) > DEPTH {
        return Err(RpcError::new(
            codes::PARSE,
            format!("a request is nested at most {DEPTH} deep"),
        ));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| RpcError::new(codes::PARSE, error.to_string()))?;
    let calls = match value {
        Value::Array(calls) => calls,
        single => return Ok(Incoming::Single(call(single))),
    };
    if calls.is_empty() {
        return Err(RpcError::new(codes::INVALID_REQUEST, "an empty batch"));
    }
    if calls.len() > BATCH {
        return Err(RpcError::new(
            codes::INVALID_REQUEST,
            format!("a batch has at most {BATCH} calls"),
        ));
    }
    Ok(Incoming::Batch(calls.into_iter().map(call).collect()))
}

/// How deep a text of JSON is nested; total on every text.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[derive(Deserialize)]
struct RawCall {
    jsonrpc: String,
    method: String,
    #[serde(default)]
    params: Option<Value>,
    /// `None`: absent; JSON's `null` is `Some(null)`.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn call(value: Value) -> Result<Call, (Option<Id>, RpcError)> {
    let id_of = |value: Value| serde_json::from_value::<Id>(value).ok().filter(fits);
    let invalid = |id, why: String| Err((id, RpcError::new(codes::INVALID_REQUEST, why)));
    // kept for the answer to something that is no call
    let named = value.get("id").cloned();
    let raw: RawCall = match serde_json::from_value(value) {
        Ok(raw) => raw,
        Err(error) => return invalid(named.and_then(id_of), error.to_string()),
    };
    let id = match raw.id.map(id_of) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => {
            let why = format!("an id is a whole number or a text of at most {NAME_BYTES} bytes");
            return invalid(None, why);
        }
    };
    if raw.jsonrpc != "2.0" {
        return invalid(id, "jsonrpc must be \"2.0\"".to_owned());
    }
    if raw.method.len() > NAME_BYTES {
        return Err((id, RpcError::plain(codes::METHOD_NOT_FOUND)));
    }
    if raw
        .params
        .as_ref()
        .is_some_and(|params| !params.is_object() && !params.is_array())
    {
        return invalid(id, "params must be an object or an array".to_owned());
    }
    Ok(Call {
        id,
        method: raw.method,
        params: raw.params,
    })
}

fn fits(id: &Id) -> bool {
    match id {
        Id::Null | Id::Number(_) => true,
        Id::Text(text) => text.len() <= NAME_BYTES,
    }
}

/// An answer, to one call.
#[derive(Debug, Serialize)]
pub struct Reply {
    jsonrpc: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
    id: Option<Id>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Result(Value),
    Error(RpcError),
}

impl Reply {
    /// To a call of which the id could be read, or not.
    pub fn new(id: Option<Id>, outcome: Result<Value, RpcError>) -> Self {
        Self {
            jsonrpc: "2.0",
            outcome: match outcome {
                Ok(value) => Outcome::Result(value),
                Err(error) => Outcome::Error(error),
            },
            id,
        }
    }

    /// Whether it tells an error, and which.
    pub fn error(&self) -> Option<&RpcError> {
        match &self.outcome {
            Outcome::Result(_) => None,
            Outcome::Error(error) => Some(error),
        }
    }
}

/// The text of a call, for a client.
pub fn call_text<M: Method>(id: i64, params: &M::Params) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Out<'a, P> {
        jsonrpc: &'a str,
        id: i64,
        method: &'a str,
        params: &'a P,
    }
    serde_json::to_vec(&Out {
        jsonrpc: "2.0",
        id,
        method: M::NAME,
        params,
    })
}

/// Why a client has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The controller says no.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// What came is no answer to this call.
    #[error("no answer of a controller: {0}")]
    Strange(String),
}

/// Reads the answer to a call, for a client.
pub fn answer<M: Method>(id: i64, body: &[u8]) -> Result<M::Answer, AnswerError> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "A: DeserializeOwned"))]
    struct In<A> {
        jsonrpc: String,
        #[serde(default = "none")]
        result: Option<A>,
        #[serde(default)]
        error: Option<RpcError>,
        #[serde(default)]
        id: Option<Id>,
    }
    fn none<A>() -> Option<A> {
        None
    }
    let strange = |why: &str| AnswerError::Strange(why.to_owned());
    if body.len() > ANSWER_BYTES {
        return Err(strange("it is too long"));
    }
    let read: In<M::Answer> =
        serde_json::from_slice(body).map_err(|error| AnswerError::Strange(error.to_string()))?;
    if read.jsonrpc != "2.0" {
        return Err(strange("it is not JSON-RPC 2.0"));
    }
    match (read.error, read.result) {
        (Some(error), None) => Err(error.into()),
        (None, Some(result)) if read.id == Some(Id::Number(id)) => Ok(result),
        (None, Some(_)) => Err(strange("it answers another call")),
        _ => Err(strange("it has neither a result nor an error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> i32 {
        match parse(body.as_bytes()) {
            Err(error) | Ok(Incoming::Single(Err((_, error)))) => error.code,
            Ok(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_standard_error_of_the_envelope_and_its_twin() {
        for bad in [
            "",
            "{",
            "nul",
            "[1,",
            "{\"jsonrpc\": \"2.0\", \"method\"",
            "\u{feff}{}",
        ] {
            assert_eq!(code(bad), codes::PARSE, "{bad}");
        }
        for bad in [
            "1",
            "null",
            "\"x\"",
            "{}",
            "[]",
            r#"{"jsonrpc":"1.0","method":"a","id":1}"#,
            r#"{"jsonrpc":"2.0","method":1,"id":1}"#,
            r#"{"jsonrpc":"2.0","method":"a","params":3,"id":1}"#,
            r#"{"jsonrpc":"2.0","method":"a","params":"x"}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":1.5}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":{}}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
        ] {
            assert_eq!(code(bad), codes::INVALID_REQUEST, "{bad}");
        }
        for good in [
            r#"{"jsonrpc":"2.0","method":"a","id":1}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":"x","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"a","params":[]}"#,
            r#"{"jsonrpc":"2.0","method":"a","params":null,"id":-1}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":null}"#,
        ] {
            assert!(
                matches!(parse(good.as_bytes()), Ok(Incoming::Single(Ok(_)))),
                "{good}"
            );
        }
    }

    #[test]
    fn an_invalid_call_is_answered_with_its_id() {
        let Ok(Incoming::Single(Err((id, _)))) = parse(br#"{"jsonrpc":"2.0","id":7}"#) else {
            panic!()
        };
        assert_eq!(id, Some(Id::Number(7)));
    }

    #[test]
    fn batches_are_counted_and_each_call_stands_alone() {
        let one = r#"{"jsonrpc":"2.0","method":"a","id":1}"#;
        let batch = |n: usize| format!("[{}]", vec![one; n].join(","));
        assert!(matches!(parse(batch(BATCH).as_bytes()), Ok(Incoming::Batch(b)) if b.len() == BATCH));
        assert_eq!(code(&batch(BATCH + 1)), codes::INVALID_REQUEST);
        let Ok(Incoming::Batch(mixed)) = parse(format!("[{one},1,{{}}]").as_bytes()) else {
            panic!()
        };
        assert_eq!(
            mixed.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, false, false]
        );
    }

    #[test]
    fn length_and_depth_have_ends() {
        let padded = |n: usize| {
            let call = r#"{"jsonrpc":"2.0","method":"a","id":1}"#;
            format!("{call}{}", " ".repeat(n - call.len()))
        };
        assert!(parse(padded(BODY_BYTES).as_bytes()).is_ok());
        assert_eq!(code(&padded(BODY_BYTES + 1)), codes::PARSE);
        let deep = |n: usize| {
            let (open, close) = ("[".repeat(n), "]".repeat(n));
            format!(r#"{{"jsonrpc":"2.0","method":"a","id":1,"params":{open}{close}}}"#)
        };
        assert!(parse(deep(DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(code(&deep(DEPTH)), codes::PARSE);
        assert_eq!(code(&deep(100_000)), codes::PARSE);
        // brackets in texts do not count
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"a","id":1,"params":{{"x":"\"{}"}}}}"#,
            "[".repeat(500)
        );
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn answers_survive_text() {
        use crate::job::Cancel;
        let reply = Reply::new(Some(Id::Number(3)), Ok(serde_json::json!({"state": "cancelled"})));
        let text = serde_json::to_vec(&reply).unwrap();
        assert!(answer::<Cancel>(3, &text).is_ok());
        assert!(matches!(answer::<Cancel>(4, &text), Err(AnswerError::Strange(_))));
        let reply = Reply::new(None, Err(RpcError::plain(codes::BUSY).retry_after_ms(5)));
        let text = serde_json::to_vec(&reply).unwrap();
        let Err(AnswerError::Rpc(error)) = answer::<Cancel>(4, &text) else {
            panic!()
        };
        assert_eq!(
            (error.code, error.data.unwrap().retry_after_ms),
            (codes::BUSY, Some(5))
        );
    }
}
