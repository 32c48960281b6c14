//! How a worker takes jobs, keeps them and gives them back.

use std::time::{Duration, Instant};

use pyti_command::rpc::{RpcError, codes};
use pyti_command::work::{
    ClaimParams, Claimed, ReleaseParams, Released, RenewParams, Renewed, RenewedLease, WAIT_S,
};
use pyti_dispatch::{Answer, HowReleased, Idle, JobStore as _, LeaseAnswer, Message};
use tokio::sync::broadcast::error::RecvError;

use super::{must, odd, refused};
use crate::rpc::Context;

/// A claim looks again after this long, because some jobs become due by time alone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Most leases of one renewal.
const LEASES: usize = 256;

pub(crate) async fn claim(context: Context, params: ClaimParams) -> Result<Claimed, RpcError> {
    let worker = context.worker()?.clone();
    let controller = &context.controller;
    if params.wait_s > 0 && context.batch {
        return Err(RpcError::plain(codes::NOT_IN_A_BATCH));
    }
    let wait = Duration::from_secs(u64::from(params.wait_s.min(WAIT_S)));
    let until = Instant::now() + wait;
    let _permit = if params.wait_s > 0 {
        let permit = controller.waiting.try_acquire();
        Some(permit.map_err(|_| RpcError::plain(codes::BUSY).retry_after_ms(1_000))?)
    } else {
        None
    };
    controller.saw(&worker, |_| {});
    // before the first look, so that nothing is missed between a look and the wait for a change
    let mut wakes = controller.wakes.subscribe();
    let mut standings = controller.standings.subscribe();
    let mut stop = controller.stopped();
    loop {
        let (id, boot, request, slots) = (worker.clone(), params.boot, params.request, params.slots);
        let answer = controller
            .ask(move |store| store.claim(&id, boot, request, slots))
            .await?;
        let idle = match answer {
            Answer::Granted { grants, idle } if !grants.is_empty() => {
                let alone_from = controller.store().policy().alone_from;
                let orders = controller
                    .ask(move |store| {
                        grants
                            .iter()
                            .filter_map(|grant| crate::orders::order(store, grant, alone_from).transpose())
                            .collect::<Result<Vec<_>, _>>()
                    })
                    .await?;
                for order in &orders {
                    tracing::info!(job = %order.job, epoch = order.epoch, %worker, file = order.file.filename, "job given out");
                }
                return Ok(Claimed { orders, idle });
            }
            Answer::Granted { idle, .. } => idle,
            Answer::Refused(refusal) => return Err(refused(refusal)),
            other => return Err(odd(&other)),
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || controller.stopping() || idle == Some(Idle::Answered) {
            return Ok(Claimed {
                orders: Vec::new(),
                idle,
            });
        }
        let id = worker.clone();
        let offers = controller
            .ask(move |store| store.worker(&id))
            .await?
            .map(|worker| worker.offers);
        let look_again = tokio::time::sleep(left.min(LOOK_AGAIN));
        tokio::pin!(look_again);
        loop {
            tokio::select! {
                () = &mut look_again => break,
                _ = standings.changed() => break,
                () = crate::controller::over(&mut stop) => break,
                woken = wakes.recv() => match woken {
                    Ok(needs) if offers.as_ref().is_some_and(|offers| !offers.fit(&needs)) => {}
                    Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                },
            }
        }
    }
}

pub(crate) async fn renew(context: Context, params: RenewParams) -> Result<Renewed, RpcError> {
    let worker = context.worker()?.clone();
    must(params.leases.len() <= LEASES, "at most 256 leases at once")?;
    let message = Message::Renew {
        worker: worker.clone(),
        leases: params.leases.iter().map(|renewal| renewal.lease).collect(),
    };
    let answers = match context.controller.send(message).await? {
        Answer::Renewed(answers) => answers,
        Answer::Refused(refusal) => return Err(refused(refusal)),
        other => return Err(odd(&other)),
    };
    context.controller.saw(&worker, |seen| {
        let phases = params.leases.iter().zip(&answers);
        seen.phases = phases
            .filter(|(_, (_, answer))| *answer == LeaseAnswer::Ok)
            .map(|(renewal, _)| (renewal.lease, renewal.phase))
            .collect();
    });
    Ok(Renewed {
        leases: answers
            .into_iter()
            .map(|(lease, answer)| RenewedLease { lease, answer })
            .collect(),
    })
}

pub(crate) async fn release(context: Context, params: ReleaseParams) -> Result<Released, RpcError> {
    let worker = context.worker()?.clone();
    let message = Message::Release {
        worker: worker.clone(),
        lease: params.lease,
        how: if params.clean {
            HowReleased::Clean
        } else {
            HowReleased::Unclean
        },
    };
    match context.controller.send(message).await? {
        Answer::Lease(answer) => {
            let reason: String = params.reason.chars().take(200).collect();
            tracing::info!(%worker, clean = params.clean, reason, ?answer, "job given back");
            context.controller.saw(&worker, |seen| {
                seen.phases.remove(&params.lease);
            });
            Ok(Released { answer })
        }
        Answer::Refused(refusal) => Err(refused(refusal)),
        other => Err(odd(&other)),
    }
}
