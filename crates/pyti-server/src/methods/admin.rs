//! For who runs the service: workers, tokens, queues, jobs.

use pyti_command::admin::{
    CreateJoinParams, CreateTokenParams, CreatedJoin, CreatedToken, JobParams, JobsAnswer, JobsParams,
    OrderParams, QueueView, QueuesAnswer, Requeued, RevokeParams, Revoked, StatusView, TokenParams,
    TokenView, TokensAnswer, WorkerParams, WorkerView, WorkersAnswer,
};
use pyti_command::method::Nothing;
use pyti_command::rpc::{RpcError, codes};
use pyti_command::trust::{JoinToken, PublicKey};
use pyti_dispatch::{Answer, JobId, JobStore as _, Message, Order};
use pyti_store::{Store, StoreError};

use super::{must, odd, refused};
use crate::controller::Controller;
use crate::error::{ServerError, of_store};
use crate::rpc::Context;
use crate::trust::{JOINS, Kept, Kind, TOKENS, make};
use crate::views;

const DAY_S: u64 = 86_400;
/// Most jobs of a worker that are looked at when it is revoked.
const DELIVERED: usize = 1_000;

pub(crate) async fn status(context: Context, _: Nothing) -> Result<StatusView, RpcError> {
    let controller = &context.controller;
    let figures = controller.store().figures();
    let free = rustix::fs::statvfs(&controller.config().data);
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: controller.started_ms,
        stopping: controller.stopping(),
        commits: figures.commits,
        works: figures.works,
        database_bytes: figures.database_bytes,
        wal_bytes: figures.wal_bytes,
        free_bytes: free.map_or(0, |free| free.f_bavail.saturating_mul(free.f_frsize)),
        to_capture: controller.captures(),
    })
}

pub(crate) async fn workers(context: Context, _: Nothing) -> Result<WorkersAnswer, RpcError> {
    let controller = &context.controller;
    let found = controller
        .ask(|store| {
            store
                .workers()?
                .into_iter()
                .map(|worker| {
                    let held = store.held(&worker.id)?;
                    let held = held
                        .iter()
                        .filter(|job| job.state == pyti_dispatch::State::Leased)
                        .count();
                    let key = store.worker_key(&worker.id)?;
                    Ok((worker, held, key))
                })
                .collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
    let workers = found
        .into_iter()
        .map(|(worker, held, key)| {
            let seen = controller.seen(&worker.id);
            WorkerView {
                standing: worker.standing,
                boot: worker.boot,
                bad: worker.health.bad(),
                held: u32::try_from(held).unwrap_or(u32::MAX),
                version: seen.as_ref().and_then(|seen| seen.version.clone()),
                heard_ms: seen.map(|seen| seen.heard_ms),
                key: key.and_then(|key| <[u8; 32]>::try_from(key).ok()).map(PublicKey),
                worker: worker.id,
                offers: worker.offers,
            }
        })
        .collect();
    Ok(WorkersAnswer { workers })
}

/// What workers may do has changed: those who wait look again.
fn changed(controller: &Controller) {
    controller.standings.send_modify(|count| *count += 1);
}

pub(crate) async fn approve(context: Context, params: WorkerParams) -> Result<Nothing, RpcError> {
    let worker = params.worker;
    let message = Message::Approve {
        worker: worker.clone(),
    };
    match context.controller.send(message).await? {
        Answer::Done => {
            context.audit("worker.approve", worker.to_string()).await?;
            changed(&context.controller);
            Ok(Nothing {})
        }
        Answer::Refused(refusal) => Err(of_worker(refusal)),
        other => Err(odd(&other)),
    }
}

/// Here an unknown worker is no question of who calls.
fn of_worker(refusal: pyti_dispatch::Refusal) -> RpcError {
    match refusal {
        pyti_dispatch::Refusal::UnknownWorker => RpcError::new(codes::NOT_FOUND, "no such worker"),
        other => refused(other),
    }
}

pub(crate) async fn order(context: Context, params: OrderParams) -> Result<Nothing, RpcError> {
    let message = Message::Order {
        worker: params.worker.clone(),
        order: params.order,
    };
    match context.controller.send(message).await? {
        Answer::Done => {
            let word = match params.order {
                Order::Hold => "hold",
                Order::Drain => "drain",
                Order::Resume => "resume",
            };
            context
                .audit("worker.order", format!("{}: {word}", params.worker))
                .await?;
            changed(&context.controller);
            Ok(Nothing {})
        }
        Answer::Refused(refusal) => Err(of_worker(refusal)),
        other => Err(odd(&other)),
    }
}

pub(crate) async fn revoke(context: Context, params: RevokeParams) -> Result<Revoked, RpcError> {
    let controller = &context.controller;
    let message = Message::Revoke {
        worker: params.worker.clone(),
    };
    let requeued = match controller.send(message).await? {
        Answer::Revoked { requeued } => requeued,
        Answer::Refused(refusal) => return Err(of_worker(refusal)),
        other => return Err(odd(&other)),
    };
    changed(controller);
    context.audit("worker.revoke", params.worker.to_string()).await?;
    let retest = params.retest;
    let (delivered, retested) = controller
        .ask(move |store| retest_of(store, &params.worker, retest))
        .await?;
    Ok(Revoked {
        requeued,
        delivered,
        retested,
    })
}

/// What a worker delivered, the first of it; and all of it done again if asked: how many jobs that made.
fn retest_of(
    store: &Store,
    worker: &pyti_dispatch::WorkerId,
    retest: bool,
) -> Result<(Vec<JobId>, u64), StoreError> {
    let (mut delivered, mut retested, mut after) = (Vec::new(), 0, None);
    loop {
        let rows = store.results_of_worker(worker, after, pyti_store::MOST)?;
        let Some(last) = rows.last() else {
            return Ok((delivered, retested));
        };
        after = Some(last.job);
        for row in rows {
            if delivered.len() < DELIVERED {
                delivered.push(row.job);
            }
            if retest
                && let Answer::Submitted { new: true, .. } = store.send(Message::Requeue { job: row.job })?
            {
                retested += 1;
            }
        }
        if !retest && delivered.len() >= DELIVERED {
            return Ok((delivered, retested));
        }
    }
}

/// Makes a token on a thread for blocking.
async fn made(
    context: &Context,
    kind: Kind,
    name: String,
    scopes: Vec<pyti_command::trust::Scope>,
    worker: Option<pyti_dispatch::WorkerId>,
    valid_s: u64,
) -> Result<(String, pyti_command::Secret, u64), RpcError> {
    let made = context
        .controller
        .ask(move |store| {
            Ok(make(
                store,
                kind,
                name,
                scopes,
                worker,
                valid_s.saturating_mul(1000),
            ))
        })
        .await?;
    made.map_err(|error| match error {
        ServerError::Store(error) => of_store(error),
        _ => RpcError::plain(codes::INTERNAL),
    })
}

pub(crate) async fn create_join(context: Context, params: CreateJoinParams) -> Result<CreatedJoin, RpcError> {
    let valid_s = params.valid_s.unwrap_or(DAY_S);
    must(
        (1..=31 * DAY_S).contains(&valid_s),
        "a join token is good for a month at most",
    )?;
    let name = params
        .worker
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let (id, secret, until_ms) = made(
        &context,
        Kind::Join,
        name.clone(),
        Vec::new(),
        params.worker,
        valid_s,
    )
    .await?;
    context.audit("join.create", format!("{id} {name}")).await?;
    let authority = context.controller.authority();
    let token = JoinToken { secret, authority }.text();
    Ok(CreatedJoin { id, token, until_ms })
}

pub(crate) async fn create_token(
    context: Context,
    params: CreateTokenParams,
) -> Result<CreatedToken, RpcError> {
    let name = params.name.trim().to_owned();
    must(
        (1..=64).contains(&name.len()) && !name.chars().any(char::is_control),
        "a token's name has 1 to 64 bytes and no control characters",
    )?;
    must(
        !params.scopes.is_empty(),
        "a token without scopes is good for nothing",
    )?;
    let valid_s = params.valid_s.unwrap_or(365 * DAY_S);
    must(
        (1..=10 * 365 * DAY_S).contains(&valid_s),
        "a token is good for ten years at most",
    )?;
    let words: Vec<_> = params.scopes.iter().map(|scope| scope.word()).collect();
    let what = format!("{name}: {}", words.join(", "));
    let (id, token, until_ms) = made(&context, Kind::Api, name, params.scopes, None, valid_s).await?;
    context.audit("token.create", format!("{id} {what}")).await?;
    Ok(CreatedToken { id, token, until_ms })
}

async fn listed(context: &Context, space: &'static str) -> Result<TokensAnswer, RpcError> {
    let tokens = context
        .controller
        .ask(move |store| {
            let mut tokens = Vec::new();
            let mut after = String::new();
            loop {
                let step = store.keep_list(space, &after, pyti_store::MOST)?;
                let Some((last, _)) = step.last() else {
                    return Ok(tokens);
                };
                after.clone_from(last);
                for (id, value) in step {
                    if let Ok(kept) = serde_json::from_slice::<Kept>(&value) {
                        tokens.push(TokenView {
                            id,
                            name: kept.name,
                            scopes: kept.scopes,
                            until_ms: kept.until_ms,
                        });
                    }
                }
            }
        })
        .await?;
    Ok(TokensAnswer { tokens })
}

pub(crate) async fn joins(context: Context, _: Nothing) -> Result<TokensAnswer, RpcError> {
    listed(&context, JOINS).await
}

pub(crate) async fn tokens(context: Context, _: Nothing) -> Result<TokensAnswer, RpcError> {
    listed(&context, TOKENS).await
}

async fn taken(
    context: &Context,
    space: &'static str,
    what: &'static str,
    id: String,
) -> Result<Nothing, RpcError> {
    let key = id.clone();
    let taken = context
        .controller
        .ask(move |store| store.keep_take(space, &key))
        .await?;
    if taken.is_none() {
        return Err(RpcError::new(codes::NOT_FOUND, "no such token"));
    }
    context.audit(what, id).await?;
    Ok(Nothing {})
}

pub(crate) async fn revoke_join(context: Context, params: TokenParams) -> Result<Nothing, RpcError> {
    taken(&context, JOINS, "join.revoke", params.id).await
}

pub(crate) async fn revoke_token(context: Context, params: TokenParams) -> Result<Nothing, RpcError> {
    taken(&context, TOKENS, "token.revoke", params.id).await
}

pub(crate) async fn queues(context: Context, _: Nothing) -> Result<QueuesAnswer, RpcError> {
    let (queues, workers, now) = context
        .controller
        .ask(|store| Ok((store.queues()?, store.workers()?, store.now().0)))
        .await?;
    let queues = queues
        .into_iter()
        .map(|queue| QueueView {
            workers: u32::try_from(
                workers
                    .iter()
                    .filter(|worker| worker.standing.may_write() && worker.offers.fit(&queue.needs))
                    .count(),
            )
            .unwrap_or(u32::MAX),
            needs: queue.needs,
            queued: queue.queued,
            leased: queue.leased,
            waiting: queue.waiting,
            oldest_ms: queue.oldest.map(|oldest| now.saturating_sub(oldest)),
        })
        .collect();
    Ok(QueuesAnswer { queues })
}

pub(crate) async fn jobs(context: Context, params: JobsParams) -> Result<JobsAnswer, RpcError> {
    let jobs = context
        .controller
        .ask(move |store| {
            let jobs = match &params.worker {
                Some(worker) => store.held(worker)?,
                None => store.dead_jobs(params.before, pyti_store::MOST)?,
            };
            jobs.into_iter()
                .take(pyti_store::MOST as usize)
                .map(|job| views::job(store, job))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    Ok(JobsAnswer { jobs })
}

pub(crate) async fn requeue(context: Context, params: JobParams) -> Result<Requeued, RpcError> {
    match context
        .controller
        .send(Message::Requeue { job: params.job })
        .await?
    {
        Answer::Submitted { job, new } => {
            context
                .audit("job.requeue", format!("{} as {job}", params.job))
                .await?;
            Ok(Requeued { job, new })
        }
        Answer::Refused(refusal) => Err(refused(refusal)),
        other => Err(odd(&other)),
    }
}
