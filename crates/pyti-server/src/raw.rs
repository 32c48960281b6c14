//! The Raw Data API: segments of recordings, immutable, bound to a lease.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use base64::Engine as _;
use pyti_command::raw::{NextSegment, SEGMENT_BYTES, SEGMENTS, StreamName};
use pyti_command::rpc::{RpcError, codes};
use pyti_dispatch::{Job, Lease, Mark, WorkerId};
use pyti_model::Digest;
use pyti_store::Put;

use crate::controller::Controller;
use crate::http::{json, plain, whole};
use crate::peer::Peer;
use crate::trust::{Identity, identify};

/// How long a segment may take on its way.
const BODY_TIME: Duration = Duration::from_mins(1);

/// An error of the Command API, as a status of HTTP.
pub(crate) fn status(error: &RpcError) -> Response<Body> {
    let status = match error.code {
        codes::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        codes::FORBIDDEN | codes::REVOKED | codes::NOT_APPROVED => StatusCode::FORBIDDEN,
        codes::NOT_FOUND => StatusCode::NOT_FOUND,
        codes::CONFLICT => StatusCode::CONFLICT,
        codes::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        codes::BUSY | codes::SHUTTING_DOWN => StatusCode::SERVICE_UNAVAILABLE,
        codes::STORAGE_FULL => StatusCode::INSUFFICIENT_STORAGE,
        codes::INVALID_PARAMS => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = plain(status, &error.message);
    let wait = error.data.as_ref().and_then(|data| data.retry_after_ms);
    if let Some(ms) = wait
        && let Ok(value) = ms.div_ceil(1000).to_string().parse()
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Who calls, for what is not JSON-RPC.
pub(crate) async fn caller(
    controller: &Controller,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Identity, Response<Body>> {
    let header = match headers.get(header::AUTHORIZATION).map(|header| header.to_str()) {
        Some(Err(_)) => return Err(status(&RpcError::plain(codes::UNAUTHORIZED))),
        Some(Ok(text)) => Some(text),
        None => None,
    };
    identify(controller, peer, header)
        .await
        .map_err(|error| status(&error))
}

/// The job that a worker holds with this lease just now.
pub(crate) async fn held(
    controller: &Controller,
    identity: &Identity,
    lease: Lease,
) -> Result<(WorkerId, Job), Response<Body>> {
    let Identity::Worker(worker) = identity else {
        return Err(status(&RpcError::plain(codes::UNAUTHORIZED)));
    };
    let job = controller
        .ask(move |store| store.job_of(lease))
        .await
        .map_err(|error| status(&error))?;
    job.filter(|job| is_live(job, worker, lease))
        .map(|job| (worker.clone(), job))
        .ok_or_else(|| plain(StatusCode::GONE, "this lease is not current"))
}

/// Whether a worker may still write to a job with this lease.
pub(crate) fn is_live(job: &Job, worker: &WorkerId, lease: Lease) -> bool {
    !job.state.ended()
        && job
            .newest(lease)
            .is_some_and(|holder| holder.worker == *worker && holder.mark == Mark::Live)
}

/// `Content-Digest: sha-256=:…:`, RFC 9530.
fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    let text = headers.get("content-digest")?.to_str().ok()?;
    let base64 = text.split(',').find_map(|part| {
        part.trim()
            .strip_prefix("sha-256=:")
            .and_then(|rest| rest.strip_suffix(':'))
    })?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    <[u8; 32]>::try_from(bytes).ok().map(Digest::from)
}

/// Whether bytes are exactly one frame of zstd; only its headers are read.
fn is_one_frame(bytes: &[u8]) -> bool {
    zstd::zstd_safe::find_frame_compressed_size(bytes).is_ok_and(|size| size == bytes.len())
}

/// `GET /raw/v1/{lease}/{stream}`
pub(crate) async fn next(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    Path((lease, stream)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let (Ok(lease), Some(stream)) = (lease.parse::<Lease>(), StreamName::of(&stream)) else {
        return plain(StatusCode::NOT_FOUND, "no such stream");
    };
    let identity = match caller(&controller, &peer, &headers).await {
        Ok(identity) => identity,
        Err(response) => return response,
    };
    if let Err(response) = held(&controller, &identity, lease).await {
        return response;
    }
    let next = controller
        .ask(move |store| Ok(store.staging().next_seq(lease, &stream.label())))
        .await;
    match next.map(|next| serde_json::to_vec(&NextSegment { next })) {
        Ok(Ok(text)) => json(StatusCode::OK, text),
        Ok(Err(_)) => plain(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        Err(error) => status(&error),
    }
}

/// `PUT /raw/v1/{lease}/{stream}/{seq}`
pub(crate) async fn put(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    Path((lease, stream, seq)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let (Ok(lease), Some(stream), Ok(seq)) = (
        lease.parse::<Lease>(),
        StreamName::of(&stream),
        seq.parse::<u32>(),
    ) else {
        return plain(StatusCode::NOT_FOUND, "no such segment");
    };
    if seq as usize >= SEGMENTS {
        return plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a stream has at most 4096 segments",
        );
    }
    let Some(digest) = content_digest(&headers) else {
        return plain(StatusCode::BAD_REQUEST, "expected Content-Digest: sha-256=:…:");
    };
    let identity = match caller(&controller, &peer, &headers).await {
        Ok(identity) => identity,
        Err(response) => return response,
    };
    if let Err(response) = held(&controller, &identity, lease).await {
        return response;
    }
    let bytes = match whole(&headers, body, SEGMENT_BYTES, BODY_TIME).await {
        Ok(bytes) => bytes,
        Err(response) => return response,
    };
    let put = controller
        .ask(move |store| {
            if !is_one_frame(&bytes) {
                return Ok(None);
            }
            store
                .staging()
                .put(lease, &stream.label(), seq, &digest, &bytes)
                .map(Some)
        })
        .await;
    match put {
        Ok(Some(Put::New | Put::Same)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(Some(Put::Other)) => plain(StatusCode::CONFLICT, "another segment has this number"),
        Ok(Some(Put::Damaged)) => plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the bytes do not have this digest",
        ),
        Ok(Some(Put::OverQuota)) => plain(StatusCode::PAYLOAD_TOO_LARGE, "the lease has brought what it may"),
        Ok(None) => plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a segment is exactly one frame of zstd",
        ),
        Err(error) => status(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_is_one_frame() {
        let frame = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
        let (one, two) = (frame("hello hello hello"), frame("again"));
        assert!(is_one_frame(&one));
        assert!(!is_one_frame(&[one.clone(), two].concat()));
        assert!(!is_one_frame(&one[..one.len() - 1]));
        assert!(!is_one_frame(&[one, vec![0]].concat()));
        assert!(!is_one_frame(b""));
        assert!(!is_one_frame(b"{\"not\": \"zstd\"}"));
    }

    #[test]
    fn digests_are_read_from_their_header() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-digest", text.parse().unwrap());
            content_digest(&headers)
        };
        let base64 = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        assert_eq!(of(&format!("sha-256=:{base64}:")), Some(Digest::from([7; 32])));
        assert_eq!(
            of(&format!("sha-512=:AAAA:, sha-256=:{base64}:")),
            Some(Digest::from([7; 32]))
        );
        for bad in ["", "sha-256=:AAAA:", "sha-256=AAAA", &format!("sha-1=:{base64}:")] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
