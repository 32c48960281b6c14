//! For who wants something tested, and who wants to know what came of it.

use std::time::{Duration, Instant};

use pyti_command::feed::FeedStatus;
use pyti_command::job::{CancelAnswer, CancelParams, GetParams, JobView, SubmitParams, Submitted};
use pyti_command::method::Nothing;
use pyti_command::result::{QueryParams, Results};
use pyti_command::rpc::{RpcError, codes};
use pyti_command::work::WAIT_S;
use pyti_dispatch::{Answer, JobId, JobStore as _, Message};
use pyti_store::StoreError;
use tokio::sync::broadcast::error::RecvError;

use super::{must, odd, refused};
use crate::controller::Controller;
use crate::rpc::Context;
use crate::views;

pub(crate) async fn submit(context: Context, params: SubmitParams) -> Result<Submitted, RpcError> {
    must(
        (8..=64).contains(&params.key.len()) && params.key.bytes().all(|b| b.is_ascii_graphic()),
        "a key has 8 to 64 printable characters",
    )?;
    if !params.options.allow.is_empty() {
        // whoever lets a package speak with the real network speaks for the machine
        context.identity.may(pyti_command::Access::Admin)?;
    }
    let submitted = crate::expand::submit(&context.controller, &context.identity.name(), params).await?;
    let jobs: Vec<String> = submitted.jobs.iter().map(|job| job.job.to_string()).collect();
    let what = format!(
        "{} {}: jobs {}",
        submitted.project,
        submitted.version,
        jobs.join(" ")
    );
    context.audit("job.submit", what).await?;
    context.controller.to_capture.notify_one();
    Ok(submitted)
}

async fn view(controller: &Controller, id: JobId) -> Result<JobView, RpcError> {
    controller
        .ask(move |store| match store.job(id)? {
            Some(job) => views::job(store, job).map(Some),
            None => Ok(None),
        })
        .await?
        .ok_or_else(|| RpcError::new(codes::NOT_FOUND, "no such job"))
}

pub(crate) async fn get(context: Context, params: GetParams) -> Result<JobView, RpcError> {
    let controller = &context.controller;
    if params.wait_s == 0 {
        return view(controller, params.job).await;
    }
    if context.batch {
        return Err(RpcError::plain(codes::NOT_IN_A_BATCH));
    }
    let permit = controller.waiting.try_acquire();
    let _permit = permit.map_err(|_| RpcError::plain(codes::BUSY).retry_after_ms(1_000))?;
    let until = Instant::now() + Duration::from_secs(u64::from(params.wait_s.min(WAIT_S)));
    let mut ended = controller.ended.subscribe();
    let mut stop = controller.stopped();
    loop {
        let now = view(controller, params.job).await?;
        let left = until.saturating_duration_since(Instant::now());
        // one that has just been given up has its result in a moment
        let whole = now.ended && (now.result.is_some() || now.state == pyti_dispatch::State::Cancelled);
        if whole || left.is_zero() || controller.stopping() {
            return Ok(now);
        }
        let over = tokio::time::sleep(left.min(Duration::from_secs(5)));
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => break,
                () = crate::controller::over(&mut stop) => break,
                heard = ended.recv() => match heard {
                    Ok(job) if job != params.job => {}
                    Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => break,
                },
            }
        }
    }
}

pub(crate) async fn cancel(context: Context, params: CancelParams) -> Result<CancelAnswer, RpcError> {
    let message = Message::Cancel { job: params.job };
    match context.controller.send(message).await? {
        Answer::Cancelled(state) => {
            context.audit("job.cancel", params.job.to_string()).await?;
            let _ = context.controller.ended.send(params.job);
            Ok(CancelAnswer { state })
        }
        Answer::Refused(refusal) => Err(refused(refusal)),
        other => Err(odd(&other)),
    }
}

pub(crate) async fn query(context: Context, params: QueryParams) -> Result<Results, RpcError> {
    let filters = [
        params.project.is_some(),
        params.verdict.is_some(),
        params.reason.is_some(),
    ];
    must(
        filters.iter().filter(|given| **given).count() <= 1,
        "one of project, verdict and reason at a time",
    )?;
    must(
        params.after.is_none() || (params.before.is_none() && !filters.contains(&true)),
        "after goes alone: it follows all results",
    )?;
    let most = params.most.unwrap_or(50).clamp(1, pyti_store::MOST);
    let rows = context
        .controller
        .ask(move |store| {
            if let Some(after) = params.after {
                return store.export(after, most);
            }
            match (&params.project, params.verdict, &params.reason) {
                (Some(name), _, _) => match store.project(name)? {
                    Some(project) => store.project_results(project, params.before, most),
                    None => Ok(Vec::new()),
                },
                (None, Some(verdict), _) => store.results_by_verdict(verdict, params.before, most),
                (None, None, Some(reason)) => store.results_by_reason(reason, params.before, most),
                (None, None, None) => store.latest(params.before, most),
            }
        })
        .await?;
    let next = (rows.len() == most as usize)
        .then(|| rows.last().map(|row| row.id))
        .flatten();
    Ok(Results {
        results: rows
            .into_iter()
            .map(|row| views::result(row, Vec::new()))
            .collect(),
        next,
    })
}

pub(crate) async fn feed_status(context: Context, _: Nothing) -> Result<FeedStatus, RpcError> {
    let (open, oldest_ms) = context
        .controller
        .ask(|store| -> Result<_, StoreError> { store.feed_lag() })
        .await?;
    Ok(FeedStatus {
        feeds: context.controller.feeds(),
        open,
        oldest_ms,
    })
}
