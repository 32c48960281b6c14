//! Methods by which a worker becomes known, proves who it is, and says what it has.

use pyti_dispatch::{Offers, Standing, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::methods;
use crate::secret::Secret;
use crate::trust::{ControllerId, Nonce, PublicKey, Signature};
use crate::version::Range;

methods! {
    /// Makes a worker known: with a join token at once, else somebody must approve it. Asked again with the same key, the same answer.
    Enrol = "worker.enrol", Anyone, reads: false, EnrolParams => Enrolled;
    /// Gives a text to sign, valid once and for a minute.
    Challenge = "worker.challenge", Anyone, reads: true, ChallengeParams => Challenged;
    /// Gives a session of ten minutes for a signature of `session_text`.
    Session = "worker.session", Anyone, reads: false, SessionParams => SessionAnswer;
    /// Says that a worker has started, what it has, and which protocol it speaks. First call of every start.
    Hello = "worker.hello", Worker, reads: false, HelloParams => Welcome;
}

/// Of `worker.enrol`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnrolParams {
    /// The name that it wants.
    pub worker: WorkerId,
    /// Its key; the private half never leaves the worker.
    pub key: PublicKey,
    /// The secret of a join token, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Secret>,
    /// What it has.
    pub offers: Offers,
}

/// Of `worker.enrol`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// The controller.
    pub controller: ControllerId,
    /// `pending` until somebody approves it.
    pub standing: Standing,
}

/// Of `worker.challenge`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChallengeParams {
    /// Who asks.
    pub worker: WorkerId,
}

/// Of `worker.challenge`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Challenged {
    /// The controller.
    pub controller: ControllerId,
    /// To be signed.
    pub nonce: Nonce,
}

/// Of `worker.session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionParams {
    /// Who asks.
    pub worker: WorkerId,
    /// What was given to be signed.
    pub nonce: Nonce,
    /// The signature of [`crate::trust::session_text`].
    pub signature: Signature,
}

/// Of `worker.session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SessionAnswer {
    /// For `Authorization: Bearer`.
    pub token: Secret,
    /// Seconds until it is over.
    pub valid_s: u32,
}

/// Of `worker.hello`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HelloParams {
    /// Versions of the protocol that it speaks.
    pub protocol: Range,
    /// Its own count of starts from 1 on, kept on its disk.
    pub boot: u64,
    /// What it has now.
    pub offers: Offers,
    /// Version of its program, for people.
    pub version: String,
}

/// Of `worker.hello`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The version of the protocol to speak from now on.
    pub protocol: u32,
    /// The controller.
    pub controller: ControllerId,
    /// Version of the controller's program, for people.
    pub version: String,
    /// Milliseconds after which a lease that is not renewed may go to another.
    pub lease_ms: u64,
    /// Milliseconds between two renewals.
    pub renew_ms: u64,
    /// Longest wait of one claim, seconds.
    pub wait_s: u32,
    /// What one lease may bring, bytes as stored.
    pub quota_bytes: u64,
    /// Most bytes of one segment, as stored.
    pub segment_bytes: u64,
    /// Most bytes of one segment, unpacked.
    pub unpacked_bytes: u64,
}
