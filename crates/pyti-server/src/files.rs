//! Captured files: workers fetch what their jobs are about, and who may submit can bring files of their own.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use futures_util::StreamExt as _;
use pyti_command::Access;
use pyti_command::raw::LEASE_HEADER;
use pyti_dispatch::Lease;
use pyti_model::Digest;
use pyti_store::{Class, StoreError};
use tokio::sync::mpsc;

use crate::controller::Controller;
use crate::error::of_store;
use crate::http::{length, plain};
use crate::peer::Peer;
use crate::raw::{caller, held, status};

/// Bytes of one piece on the way.
const PIECE: usize = 64 << 10;
/// How long the next piece of an upload may take.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// `GET /file/v1/{sha256}`: for the worker whose job is about that file.
pub(crate) async fn get(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let Ok(sha256) = sha256.parse::<Digest>() else {
        return plain(StatusCode::NOT_FOUND, "no such file");
    };
    let lease = headers.get(LEASE_HEADER).and_then(|lease| lease.to_str().ok());
    let Some(lease) = lease.and_then(|lease| lease.parse::<Lease>().ok()) else {
        return plain(StatusCode::BAD_REQUEST, "expected PyTI-Lease: a lease");
    };
    let identity = match caller(&controller, &peer, &headers).await {
        Ok(identity) => identity,
        Err(response) => return response,
    };
    let job = match held(&controller, &identity, lease).await {
        Ok((_, job)) => job,
        Err(response) => return response,
    };
    let wanted = sha256.clone();
    let opened = controller
        .ask(move |store| {
            let about = crate::orders::about(store, &job)?;
            let belongs = about.is_some_and(|about| {
                let others = [about.companion.as_ref(), about.published.as_ref()];
                about.file.info.sha256 == wanted
                    || others
                        .into_iter()
                        .flatten()
                        .any(|file| file.info.sha256 == wanted)
            });
            if belongs {
                store.blobs().open_blob(&wanted).map(Some)
            } else {
                Ok(None)
            }
        })
        .await;
    let mut blob = match opened {
        Ok(Some(blob)) => blob,
        Ok(None) => return plain(StatusCode::FORBIDDEN, "this job is not about that file"),
        Err(error) => return status(&error),
    };
    let size = blob.size();
    let (pieces, coming) = mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    // no connection to the database is held while bytes go out
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE];
        loop {
            let sent = match blob.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => pieces.blocking_send(Ok(Bytes::copy_from_slice(&piece[..n]))),
                Err(error) => {
                    tracing::error!(%sha256, %error, "a captured file cannot be read");
                    // the answer is cut off, which its reader sees by the length
                    let _ = pieces.blocking_send(Err(error));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(coming, |mut coming| async move {
        coming.recv().await.map(|piece| (piece, coming))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    response
}

/// `PUT /file/v1/{sha256}?name=FILENAME`: for who may submit.
pub(crate) async fn put(
    State(controller): State<Arc<Controller>>,
    Extension(peer): Extension<Peer>,
    Path(sha256): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let Ok(sha256) = sha256.parse::<Digest>() else {
        return plain(StatusCode::BAD_REQUEST, "not a SHA-256 digest");
    };
    let identity = match caller(&controller, &peer, &headers).await {
        Ok(identity) => identity,
        Err(response) => return response,
    };
    if let Err(error) = identity.may(Access::Submit) {
        return status(&error);
    }
    let most = controller.config().max_file_bytes;
    if length(&headers).is_some_and(|length| length > most) {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "larger than a file may be");
    }
    let query = uri.query().unwrap_or_default();
    let name = url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "name")
        .map(|(_, name)| name.into_owned())
        .unwrap_or_default();
    let file = match crate::expand::described(&name, sha256.clone()) {
        Ok(file) => file,
        Err(why) => return plain(StatusCode::BAD_REQUEST, &why),
    };
    let folder = controller.config().data.join("incoming");
    let received = match receive(&folder, body, most).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    let stored = controller
        .ask(move |store| {
            let mut from = received.reopen().map_err(|source| StoreError::Io {
                path: folder.clone(),
                source,
            })?;
            let (digest, size) = store.blobs().put_from(&mut from)?;
            if digest != sha256 {
                return Ok(false);
            }
            store.captured(&pyti_store::FileInfo { size, ..file }, Class::Short)?;
            Ok(true)
        })
        .await;
    match stored {
        Ok(true) => {
            // it is there for good; that it is not noted who brought it is no reason to say otherwise
            let _ = controller
                .audit(&identity.name(), "file.put", name.chars().take(200).collect())
                .await;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok(false) => plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the bytes do not have this digest",
        ),
        Err(error) => status(&error),
    }
}

/// Writes a body into a file without a name that it keeps.
async fn receive(
    folder: &std::path::Path,
    body: Body,
    most: u64,
) -> Result<tempfile::NamedTempFile, Response<Body>> {
    let failed = |error: std::io::Error| {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        status(&of_store(if full {
            StoreError::Full
        } else {
            StoreError::Io {
                path: folder.to_owned(),
                source: error,
            }
        }))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut stream = body.into_data_stream();
    let mut size = 0_u64;
    loop {
        let piece = match tokio::time::timeout(PIECE_TIME, stream.next()).await {
            Err(_) => return Err(plain(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(plain(StatusCode::BAD_REQUEST, "the body was cut off")),
            Ok(Some(Ok(piece))) => piece,
        };
        size += piece.len() as u64;
        if size > most {
            return Err(plain(StatusCode::PAYLOAD_TOO_LARGE, "larger than a file may be"));
        }
        // pieces are small; the page cache takes them
        file.write_all(&piece).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    Ok(file)
}
