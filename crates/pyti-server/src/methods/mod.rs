//! The methods of the Command API.

pub(crate) mod admin;
pub(crate) mod complete;
pub(crate) mod job;
pub(crate) mod upkeep;
pub(crate) mod work;
pub(crate) mod worker;

use pyti_command::rpc::{RpcError, codes};
use pyti_dispatch::{Answer, Refusal};

/// A refusal of the queue, as it is told.
fn refused(refusal: Refusal) -> RpcError {
    let code = match refusal {
        Refusal::UnknownWorker => codes::UNAUTHORIZED,
        Refusal::NotApproved => codes::NOT_APPROVED,
        Refusal::Revoked => codes::REVOKED,
        Refusal::OtherBoot => codes::OTHER_BOOT,
        Refusal::UnknownJob => codes::NOT_FOUND,
        Refusal::NameTaken => codes::CONFLICT,
    };
    RpcError::new(code, refusal.to_string())
}

/// An answer that does not fit its question.
fn odd(answer: &Answer) -> RpcError {
    tracing::error!(?answer, "the queue gave an answer that does not fit");
    RpcError::plain(codes::INTERNAL)
}

/// What is taken only if it holds.
fn must(holds: bool, why: &str) -> Result<(), RpcError> {
    if holds {
        Ok(())
    } else {
        Err(RpcError::new(codes::INVALID_PARAMS, why))
    }
}
