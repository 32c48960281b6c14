//! What all answers over HTTP have in common: the host that is asked for, limits of bodies, headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::{self, Next};
use axum::routing::{get, post, put};

use crate::controller::Controller;
use crate::peer::Peer;
use crate::{files, raw, rpc};

/// The routes of the controller itself, behind the look at the host.
pub(crate) fn router(controller: &Arc<Controller>, pages: Option<Router>) -> Router {
    let mut router = Router::new()
        .route("/rpc/v1", post(rpc::post))
        .route("/raw/v1/{lease}/{stream}", get(raw::next))
        .route("/raw/v1/{lease}/{stream}/{seq}", put(raw::put))
        .route("/file/v1/{sha256}", get(files::get).put(files::put))
        .with_state(Arc::clone(controller));
    if let Some(pages) = pages {
        router = router.merge(pages);
    }
    router.layer(middleware::from_fn_with_state(Arc::clone(controller), guard))
}

/// Lets through what is asked of a host that we are. A page of somebody else's that a browser was led to by its own DNS is not.
async fn guard(State(controller): State<Arc<Controller>>, request: Request, next: Next) -> Response<Body> {
    let local = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| matches!(peer, Peer::Unix { .. }));
    if !local {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next(), request.uri().authority()) {
            (Some(host), None, None) => host.to_str().ok().map(str::to_owned),
            // an absolute target must say the same
            (Some(host), None, Some(authority)) => host
                .to_str()
                .ok()
                .filter(|host| *host == authority.as_str())
                .map(str::to_owned),
            _ => None,
        };
        let Some(host) = host else {
            return plain(StatusCode::BAD_REQUEST, "one Host header is expected");
        };
        if !is_ours(&host, &controller.config().hosts, &controller.config().listen) {
            return plain(StatusCode::FORBIDDEN, "this is not a name of this service");
        }
    }
    let Ok(_permit) = controller.at_work.try_acquire() else {
        let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "too much to do just now");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a `Host` header names us: loopback, a configured name, or an address that we listen on.
fn is_ours(host: &str, names: &[String], listen: &[std::net::SocketAddr]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || is_port(port) => address,
            _ => return false,
        },
        None => match host.rsplit_once(':') {
            Some((name, port)) if is_port(&format!(":{port}")) && !name.contains(':') => name,
            Some(_) => return false,
            None => host,
        },
    };
    if name.eq_ignore_ascii_case("localhost") || names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    match name.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback() || listen.iter().any(|ours| ours.ip() == address),
        Err(_) => false,
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|port| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()))
}

/// A whole body of at most so many bytes. One that says that it is longer is refused before a byte of it is read.
pub(crate) async fn whole(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    time: Duration,
) -> Result<Bytes, Response<Body>> {
    let too_long = || {
        plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("at most {most} bytes are taken"),
        )
    };
    if length(headers).is_some_and(|length| length > most as u64) {
        return Err(too_long());
    }
    match tokio::time::timeout(time, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(if is_length_limit(&error) {
            too_long()
        } else {
            plain(StatusCode::BAD_REQUEST, "the body was cut off")
        }),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// What `Content-Length` says.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

/// An answer of plain text.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered() {
        let names = ["pyti.example".to_owned()];
        let listen = ["192.0.2.7:443".parse().unwrap()];
        let ours = |host: &str| is_ours(host, &names, &listen);
        for good in [
            "localhost",
            "localhost:8021",
            "127.0.0.1:8021",
            "127.0.0.1",
            "[::1]:8021",
            "[::1]",
            "pyti.example",
            "PyTI.Example:443",
            "192.0.2.7:443",
        ] {
            assert!(ours(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "pyti.example.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:",
            "localhost:x",
            "localhost:123456",
            "pyti.example@evil.example",
            "a:b:c",
            "pyti.example ",
        ] {
            assert!(!ours(bad), "{bad}");
        }
    }
}
