//! How a worker becomes known and proves who it is.

use std::time::Instant;

use pyti_command::raw::{SEGMENT_BYTES, UNPACKED_BYTES};
use pyti_command::rpc::{ErrorData, RpcError, codes};
use pyti_command::trust::session_text;
use pyti_command::version::PROTOCOL;
use pyti_command::work::WAIT_S;
use pyti_command::worker::{
    ChallengeParams, Challenged, EnrolParams, Enrolled, HelloParams, SessionAnswer, SessionParams, Welcome,
};
use pyti_dispatch::{Answer, JobStore as _, Message, Offers, Standing};
use pyti_store::{Joined, Joining};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::{must, odd, refused};
use crate::rpc::Context;
use crate::trust::{Kind, look_up, open_session};

/// Most interpreters or isolations of one worker.
const KINDS: usize = 64;

fn check_offers(offers: &Offers) -> Result<(), RpcError> {
    must(
        offers.interpreters.len() <= KINDS && offers.isolations.len() <= KINDS,
        "a worker names at most 64 interpreters and isolations",
    )?;
    must((1..=1024).contains(&offers.slots), "a worker has 1 to 1024 slots")
}

pub(crate) async fn enrol(context: Context, params: EnrolParams) -> Result<Enrolled, RpcError> {
    check_offers(&params.offers)?;
    let controller = &context.controller;
    let worker = params.worker.clone();
    let trusted = context.peer.is_local();
    let joined = controller
        .ask(move |store| {
            let mut token = None;
            if let Some(join) = &params.join {
                match look_up(store, Kind::Join, join.expose())? {
                    Some((id, kept)) if kept.worker.as_ref().is_none_or(|only| *only == params.worker) => {
                        token = Some(id);
                    }
                    // it may have been used by this very worker, whose answer was lost
                    _ => {
                        let known = store.worker_key(&params.worker)?;
                        if known.as_deref() != Some(&params.key.0[..]) {
                            return Ok(Joined::NoToken);
                        }
                    }
                }
            }
            store.join(Joining {
                worker: params.worker,
                key: params.key.0.to_vec(),
                offers: params.offers,
                token,
                trusted,
            })
        })
        .await?;
    match joined {
        Joined::Standing(Standing::Revoked) => Err(RpcError::plain(codes::REVOKED)),
        Joined::Standing(standing) => {
            context
                .audit("worker.enrol", format!("{worker}: {}", standing.word()))
                .await?;
            Ok(Enrolled {
                controller: controller.id,
                standing,
            })
        }
        Joined::NameTaken => Err(RpcError::new(
            codes::CONFLICT,
            "a worker of this name is enrolled with another key",
        )),
        Joined::NoToken => Err(RpcError::new(
            codes::FORBIDDEN,
            "this join token was used, is over, or was never given out",
        )),
    }
}

pub(crate) async fn challenge(context: Context, params: ChallengeParams) -> Result<Challenged, RpcError> {
    // whoever asks gets one, so that nobody learns which workers there are
    let nonce = context
        .controller
        .trust
        .nonce(&params.worker, Instant::now())
        .map_err(|_| RpcError::plain(codes::INTERNAL))?;
    Ok(Challenged {
        controller: context.controller.id,
        nonce,
    })
}

pub(crate) async fn session(context: Context, params: SessionParams) -> Result<SessionAnswer, RpcError> {
    let controller = &context.controller;
    let worker = params.worker.clone();
    let (key, known) = controller
        .ask(move |store| Ok((store.worker_key(&worker)?, store.worker(&worker)?)))
        .await?;
    let text = session_text(&controller.id, &params.worker, &params.nonce);
    let proved = key.is_some_and(|key| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&text, &params.signature.0)
            .is_ok()
    });
    if !proved
        || !controller
            .trust
            .take(&params.worker, &params.nonce, Instant::now())
    {
        tracing::warn!(worker = %params.worker, "a session was asked for without proof");
        return Err(RpcError::plain(codes::UNAUTHORIZED));
    }
    match known.map(|worker| worker.standing) {
        None => Err(RpcError::plain(codes::UNAUTHORIZED)),
        Some(Standing::Revoked) => Err(RpcError::plain(codes::REVOKED)),
        Some(Standing::Pending) => Err(RpcError::plain(codes::NOT_APPROVED)),
        Some(_) => open_session(controller, &params.worker).await,
    }
}

pub(crate) async fn hello(context: Context, params: HelloParams) -> Result<Welcome, RpcError> {
    let Some(protocol) = PROTOCOL.common(params.protocol) else {
        let mut error = RpcError::new(
            codes::NO_COMMON_VERSION,
            format!("this controller speaks {} to {}", PROTOCOL.min, PROTOCOL.max),
        );
        error.data = Some(ErrorData {
            protocol: Some(PROTOCOL),
            ..ErrorData::default()
        });
        return Err(error);
    };
    check_offers(&params.offers)?;
    let worker = context.worker()?.clone();
    let controller = &context.controller;
    let message = Message::Hello {
        worker: worker.clone(),
        boot: params.boot,
        offers: params.offers,
    };
    match controller.send(message).await? {
        Answer::Done => {}
        Answer::Refused(refusal) => return Err(refused(refusal)),
        other => return Err(odd(&other)),
    }
    let version: String = params.version.chars().take(64).collect();
    tracing::info!(%worker, boot = params.boot, version, "worker says hello");
    controller.saw(&worker, |seen| {
        seen.version = Some(version);
        seen.phases.clear();
    });
    let lease_ms = controller.store().policy().lease_ms;
    Ok(Welcome {
        protocol,
        controller: controller.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lease_ms,
        renew_ms: lease_ms / 4,
        wait_s: WAIT_S,
        quota_bytes: controller.config().quota_bytes,
        segment_bytes: SEGMENT_BYTES as u64,
        unpacked_bytes: UNPACKED_BYTES,
    })
}
