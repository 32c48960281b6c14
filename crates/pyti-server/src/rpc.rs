//! `POST /rpc/v1`: calls, batches and notifications come in, each is given to its method, answers go out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use pyti_command::rpc::{self, Call, Id, Incoming, Reply, RpcError, codes};
use pyti_command::{Method, admin, feed, job, openrpc, result, work, worker};
use serde_json::Value;

use crate::controller::Controller;
use crate::http::{json, plain, whole};
use crate::methods;
use crate::peer::Peer;
use crate::trust::{Identity, identify};

/// How long the body of a call may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What a method knows of its call besides the parameters.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) controller: Arc<Controller>,
    pub(crate) peer: Peer,
    pub(crate) identity: Identity,
    /// Whether it stands in a batch: then it may not wait.
    pub(crate) batch: bool,
}

impl Context {
    /// The worker that calls.
    pub(crate) fn worker(&self) -> Result<&pyti_dispatch::WorkerId, RpcError> {
        match &self.identity {
            Identity::Worker(worker) => Ok(worker),
            _ => Err(RpcError::plain(codes::UNAUTHORIZED)),
        }
    }

    /// Notes that who calls did something.
    pub(crate) async fn audit(&self, what: &'static str, detail: impl Into<String>) -> Result<(), RpcError> {
        self.controller
            .audit(&self.identity.name(), what, detail.into())
            .await
    }
}

pub(crate) async fn post(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind != Some("application/json") {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json");
    }
    let body = match whole(&headers, body, rpc::BODY_BYTES, BODY_TIME).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let incoming = match rpc::parse(&body) {
        Ok(incoming) => incoming,
        Err(error) => return replies(&Reply::new(None, Err(error))),
    };
    let authorization = headers.get(header::AUTHORIZATION).map(|header| header.to_str());
    let identity = match authorization {
        Some(Err(_)) => Err(RpcError::plain(codes::UNAUTHORIZED)),
        Some(Ok(header)) => identify(&controller, &peer, Some(header)).await,
        None => identify(&controller, &peer, None).await,
    };
    match incoming {
        Incoming::Single(call) => match one(&controller, peer, &identity, false, call).await {
            Some(reply) => replies(&reply),
            None => no_content(),
        },
        Incoming::Batch(calls) => {
            let mut all = Vec::with_capacity(calls.len());
            for call in calls {
                all.extend(one(&controller, peer, &identity, true, call).await);
            }
            if all.is_empty() {
                no_content()
            } else {
                replies(&all)
            }
        }
    }
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn replies(replies: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(replies) {
        Ok(text) => json(StatusCode::OK, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "an answer cannot be written")
        }
    }
}

/// One call; a notification has no answer, and is not done: nothing here is worth doing unheard.
async fn one(
    controller: &Arc<Controller>,
    peer: Peer,
    identity: &Result<Identity, RpcError>,
    batch: bool,
    call: Result<Call, (Option<Id>, RpcError)>,
) -> Option<Reply> {
    let mut call = match call {
        Ok(call) => call,
        Err((id, error)) => return Some(Reply::new(id, Err(error))),
    };
    let id = call.id.take()?;
    let outcome = match identity {
        Err(error) => Err(error.clone()),
        Ok(identity) => {
            let context = Context {
                controller: Arc::clone(controller),
                peer,
                identity: identity.clone(),
                batch,
            };
            dispatch(context, call).await
        }
    };
    if let Err(error) = &outcome
        && error.code == codes::INTERNAL
    {
        tracing::error!(%id, "a call failed");
    }
    Some(Reply::new(Some(id), outcome))
}

/// Checks who calls, reads the parameters, does it, and writes the answer.
async fn run<M: Method, F: Future<Output = Result<M::Answer, RpcError>>>(
    context: Context,
    call: Call,
    method: impl FnOnce(Context, M::Params) -> F,
) -> Result<Value, RpcError> {
    context.identity.may(M::ACCESS)?;
    if context.controller.stopping() && !M::READS && M::NAME != work::Complete::NAME {
        return Err(RpcError::plain(codes::SHUTTING_DOWN).retry_after_ms(2_000));
    }
    let params = call.params::<M>()?;
    let answer = method(context, params).await?;
    serde_json::to_value(answer).map_err(|_| RpcError::plain(codes::INTERNAL))
}

async fn dispatch(context: Context, call: Call) -> Result<Value, RpcError> {
    macro_rules! methods {
        ($($method:ty => $does:path),+ $(,)?) => {
            match call.method.as_str() {
                $(<$method>::NAME => run::<$method, _>(context, call, $does).await,)+
                openrpc::DISCOVER => Ok(openrpc::document()),
                _ => Err(RpcError::plain(codes::METHOD_NOT_FOUND)),
            }
        };
    }
    methods! {
        worker::Enrol => methods::worker::enrol,
        worker::Challenge => methods::worker::challenge,
        worker::Session => methods::worker::session,
        worker::Hello => methods::worker::hello,
        work::Claim => methods::work::claim,
        work::Renew => methods::work::renew,
        work::Complete => methods::complete::complete,
        work::Release => methods::work::release,
        job::Submit => methods::job::submit,
        job::Get => methods::job::get,
        job::Cancel => methods::job::cancel,
        result::Query => methods::job::query,
        feed::Status => methods::job::feed_status,
        admin::Status => methods::admin::status,
        admin::Workers => methods::admin::workers,
        admin::Approve => methods::admin::approve,
        admin::OrderWorker => methods::admin::order,
        admin::Revoke => methods::admin::revoke,
        admin::CreateJoin => methods::admin::create_join,
        admin::Joins => methods::admin::joins,
        admin::RevokeJoin => methods::admin::revoke_join,
        admin::CreateToken => methods::admin::create_token,
        admin::Tokens => methods::admin::tokens,
        admin::RevokeToken => methods::admin::revoke_token,
        admin::Queues => methods::admin::queues,
        admin::Jobs => methods::admin::jobs,
        admin::Requeue => methods::admin::requeue,
        admin::CheckStore => methods::upkeep::check,
        admin::Backup => methods::upkeep::backup,
        admin::Prune => methods::upkeep::prune,
        admin::Audit => methods::upkeep::audit,
    }
}
