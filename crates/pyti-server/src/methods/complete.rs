//! A worker delivers (L5): everything is there and synced, the controller judges, and then it is one transaction.

use std::sync::{Arc, PoisonError};

use pyti_command::raw::{Manifest, SEGMENTS, StreamName};
use pyti_command::rpc::{RpcError, codes};
use pyti_command::work::{CompleteParams, Completed, Taken, WorkOutcome};
use pyti_dispatch::{Answer, Completion, JobStore as _, Lease, LeaseAnswer, WorkerId};
use pyti_model::outcome::Blame;
use pyti_store::{NewResult, Segment, Store, StoreError};

use super::{must, odd, refused};
use crate::controller::{Controller, now_ms};
use crate::error::of_store;
use crate::judging::{self, Delivery, NotJudged};
use crate::orders::About;
use crate::raw::is_live;
use crate::rpc::Context;

/// A lease whose delivery is at work; others must wait for it.
struct Delivering<'a> {
    controller: &'a Controller,
    lease: Lease,
}

impl<'a> Delivering<'a> {
    fn begin(controller: &'a Controller, lease: Lease) -> Option<Self> {
        let mut delivering = controller
            .delivering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        delivering.insert(lease).then_some(Self { controller, lease })
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        let mut delivering = self
            .controller
            .delivering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        delivering.remove(&self.lease);
    }
}

/// Everything that the store knows of a lease's job.
enum Standing {
    /// The lease is not current: the queue says what it is worth.
    Over,
    /// Something is not there yet.
    Missing(Vec<String>),
    /// Everything is there and synced.
    Whole(Box<About>),
    /// Nobody knows what the job is about.
    Unknown,
}

pub(crate) async fn complete(context: Context, params: CompleteParams) -> Result<Completed, RpcError> {
    let worker = context.worker()?.clone();
    let controller = Arc::clone(&context.controller);
    must(
        params
            .manifest
            .0
            .values()
            .all(|segments| segments.len() <= SEGMENTS),
        "a stream has at most 4096 segments",
    )?;
    let lease = params.lease;
    let Some(_delivering) = Delivering::begin(&controller, lease) else {
        return Err(RpcError::plain(codes::BUSY).retry_after_ms(500));
    };
    let (id, manifest) = (worker.clone(), params.manifest.clone());
    let standing = controller
        .ask(move |store| standing(store, &id, lease, &manifest))
        .await?;
    let (blame, record) = match standing {
        // one that is over never becomes current again; if it could, this would be a fault of ours and no result
        Standing::Over | Standing::Unknown => (Some(Blame::Us), None),
        Standing::Missing(missing) => {
            return Ok(Completed {
                answer: Taken::Missing,
                missing,
            });
        }
        Standing::Whole(about) => {
            let record = judged(&controller, &worker, lease, *about, params).await?;
            (record.blame, Some(record))
        }
    };
    let completion = Completion {
        worker: worker.clone(),
        lease,
        blame,
        missing: Vec::new(),
    };
    let answer = controller
        .ask(move |store| {
            let answer = store.complete(completion, record)?;
            if matches!(answer, Answer::Lease(_))
                && let Err(error) = store.staging().forget(lease)
            {
                tracing::warn!(%error, "segments that are no longer needed were not deleted");
            }
            Ok(answer)
        })
        .await?;
    controller.saw(&worker, |seen| {
        seen.phases.remove(&lease);
    });
    match answer {
        Answer::Lease(answer) => Ok(Completed {
            answer: match answer {
                LeaseAnswer::Ok => Taken::Ok,
                LeaseAnswer::Ended => Taken::Ended,
                LeaseAnswer::Gone | LeaseAnswer::Cancelled => Taken::Gone,
            },
            missing: Vec::new(),
        }),
        Answer::Refused(refusal) => Err(refused(refusal)),
        other => Err(odd(&other)),
    }
}

fn standing(
    store: &Store,
    worker: &WorkerId,
    lease: Lease,
    manifest: &Manifest,
) -> Result<Standing, StoreError> {
    let Some(job) = store.job_of(lease)?.filter(|job| is_live(job, worker, lease)) else {
        return Ok(Standing::Over);
    };
    let mut segments = Vec::new();
    for (stream, named) in &manifest.0 {
        for (seq, segment) in (0_u32..).zip(named) {
            segments.push(Segment {
                stream: stream.label(),
                seq,
                digest: segment.sha256.clone(),
            });
        }
    }
    let missing = store.staging().missing(lease, &segments)?;
    if !missing.is_empty() {
        return Ok(Standing::Missing(missing));
    }
    Ok(match crate::orders::about(store, &job)? {
        Some(about) => Standing::Whole(Box::new(about)),
        None => Standing::Unknown,
    })
}

/// The record of a delivery, whatever it is worth.
async fn judged(
    controller: &Arc<Controller>,
    worker: &WorkerId,
    lease: Lease,
    about: About,
    params: CompleteParams,
) -> Result<NewResult, RpcError> {
    let environment = &about.spec.environment;
    let delivery = Delivery {
        lease,
        worker: worker.to_string(),
        file: about.file.info,
        env: pyti_store::Env {
            platform: environment.platform.to_string(),
            interpreter: environment.interpreter.to_string(),
            isolation: environment.isolation.to_string(),
            options: String::new(),
        },
        spec: about.spec,
        segments: StreamName::ALL
            .into_iter()
            .filter_map(|stream| Some((stream, params.manifest.0.get(&stream)?.len())))
            .collect(),
        finished_ms: now_ms(),
    };
    let fault = |delivery: Delivery, why: &str| {
        tracing::warn!(%worker, file = delivery.file.name, why, "a delivery is no result");
        judging::our_fault(
            delivery.file,
            delivery.env,
            delivery.finished_ms,
            &delivery.worker,
            why,
        )
    };
    if let WorkOutcome::Failed { why } = params.outcome {
        return Ok(fault(delivery, &format!("the worker failed: {why}")));
    }
    let Some(_turn) = controller.judge.turn().await else {
        return Err(RpcError::plain(codes::SHUTTING_DOWN).retry_after_ms(2_000));
    };
    let (judge, kept) = (Arc::clone(controller), delivery.clone());
    let outcome = tokio::task::spawn_blocking(move || judge.judge.judge(judge.store(), &kept)).await;
    match outcome {
        Ok(Ok(record)) => Ok(record),
        Ok(Err(NotJudged::Refused(why))) => Ok(fault(delivery, &why)),
        Ok(Err(NotJudged::Store(error))) => Err(of_store(error)),
        Ok(Err(NotJudged::Judge(why))) => {
            tracing::error!(why, "a recording could not be judged now");
            Err(RpcError::plain(codes::BUSY).retry_after_ms(5_000))
        }
        Err(_) => Err(RpcError::plain(codes::INTERNAL)),
    }
}
