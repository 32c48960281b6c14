//! The door: who may ask, what is meant, and the headers of every answer.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use crate::address::{self, Address, Form, Page};
use crate::fault::Fault;
use crate::query::Query;
use crate::site::Site;
use crate::{others, pages};

/// Longest address, in bytes.
const ADDRESS: usize = 4096;
/// Of pages: everything is a file of ours, nothing stands inside the page, nothing may put it into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Of what came out of a box: nothing may happen in it.
const SANDBOX: &str =
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers for the site. GET and HEAD only. It takes every path that no other route of the same server has.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(answer))
        .route("/{*path}", get(answer))
        .with_state(site)
}

async fn answer(State(site): State<Site>, request: Request) -> Response {
    // nothing is read of a body; whoever sends one is answered all the same
    let (parts, _) = request.into_parts();
    let Some(host) =
        host(&parts.uri, &parts.headers).filter(|host| allowed(host, &site.inner.settings.hosts))
    else {
        return plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this service is not called by that name\n",
        );
    };
    let path_and_query = parts.uri.path_and_query().map_or("", |both| both.as_str());
    if path_and_query.len() > ADDRESS {
        return plain(StatusCode::URI_TOO_LONG, "the address is too long\n");
    }
    let text = |name: HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let address = address::read(parts.uri.path(), &text(ACCEPT));
    let form = match &address {
        Some(Address::Page(_, form)) => *form,
        _ => Form::Html,
    };
    let asked = Asked {
        last_event: text(HeaderName::from_static("last-event-id")).parse().ok(),
        base: site
            .inner
            .settings
            .address
            .clone()
            .unwrap_or_else(|| format!("http://{host}")),
    };
    let answered = match (address, Query::read(parts.uri.query().unwrap_or_default())) {
        (None, _) => Err(Fault::NotFound("there is no such page".to_owned())),
        (_, Err(error)) => Err(error.into()),
        (Some(address), Ok(query)) => {
            // streams go on for long; what comes before their first byte must not
            let answer = dispatch(&site, address, &query, &asked);
            tokio::time::timeout(site.inner.settings.longest, answer)
                .await
                .unwrap_or(Err(Fault::TooLong))
        }
    };
    answered.unwrap_or_else(|fault| failed(&site, &fault, form))
}

/// What else a request says.
pub(crate) struct Asked {
    /// The last result that a follower has heard of.
    pub(crate) last_event: Option<i64>,
    /// The address of this service.
    pub(crate) base: String,
}

async fn dispatch(site: &Site, address: Address, query: &Query, asked: &Asked) -> Result<Response, Fault> {
    match address {
        Address::Page(page, form) => match page {
            Page::Front => pages::front(site, form).await,
            Page::Search => pages::search(site, query, form).await,
            Page::Results => pages::results(site, query, form).await,
            Page::Project(name) => pages::project(site, name, query, form).await,
            Page::File(sha256) => pages::file(site, sha256, query, form).await,
            Page::OneResult(id) => pages::result(site, id, query, form).await,
            Page::Compare => pages::compare(site, query, form).await,
            Page::Findings => pages::findings(site, query, form).await,
            Page::Rules => pages::rules(site, form).await,
            Page::Rule(rule) => pages::rule(site, rule, query, form).await,
            Page::Reasons => pages::reasons(site, query, form).await,
            Page::Workers => pages::workers(site, query, form).await,
            Page::Job(id) => pages::job(site, id, form).await,
            Page::About => pages::about(site, form),
        },
        Address::ProjectAtom(name) => others::project_atom(site, name, asked).await,
        Address::VerdictsAtom => others::verdicts_atom(site, asked).await,
        Address::Badge(name, question) => others::badge(site, name, question).await,
        Address::Artifact(id, artifact) => others::artifact(site, id, artifact).await,
        Address::Stream => others::stream(site, query, asked),
        Address::Export => others::export(site, query),
        Address::Metrics => others::metrics(site).await,
        Address::Health => Ok(plain(StatusCode::OK, "ok\n")),
        Address::Ready => others::ready(site).await,
        Address::Static(one) => {
            let mut response = with(StatusCode::OK, one.kind, one.text);
            set(
                &mut response,
                CACHE_CONTROL,
                "public, max-age=31536000, immutable",
            );
            Ok(response)
        }
        Address::Moved(to) => {
            let mut response = plain(StatusCode::PERMANENT_REDIRECT, "");
            set(&mut response, LOCATION, &to);
            Ok(response)
        }
    }
}

/// By what name the service is called, with the port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str().to_owned());
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    // two of them are a game
    hosts.next().is_none().then(|| host.to_owned())
}

/// Whether a browser may call us so. Names of loopback are in the list too: what matters is that no other name is, since a page
/// of somebody else could have its own name lead here.
fn allowed(host: &str, names: &[String]) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    ["localhost", "127.0.0.1", "[::1]"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .any(|known| known.eq_ignore_ascii_case(name))
}

pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    // a value with a line break in it is no value, and is left out
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An answer of this kind, with what every answer of ours has.
pub(crate) fn with(code: StatusCode, kind: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        set(&mut response, name, value);
    }
    response
}

/// An answer in plain text.
pub(crate) fn plain(code: StatusCode, text: &'static str) -> Response {
    with(code, "text/plain; charset=utf-8", text)
}

/// Bytes that may come out of a box, as a file to keep, under a name that we made.
pub(crate) fn attachment(name: &str, kind: &str, body: impl Into<Body>) -> Response {
    let mut response = with(StatusCode::OK, kind, body);
    set(&mut response, CONTENT_SECURITY_POLICY, SANDBOX);
    set(
        &mut response,
        CONTENT_DISPOSITION,
        &format!("attachment; filename=\"{name}\""),
    );
    response
}

fn failed(site: &Site, fault: &Fault, form: Form) -> Response {
    let code = fault.code();
    let mut response = match form {
        Form::Html => with(code, "text/html; charset=utf-8", pages::apology(site, fault)),
        Form::Json => {
            let text = serde_json::json!({ "error": fault.to_string(), "hint": fault.hint() });
            with(code, "application/json", format!("{text}\n"))
        }
    };
    if code == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut response, RETRY_AFTER, "2");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_answered() {
        let names = ["pyti.example".to_owned()];
        for good in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "PyTI.example",
            "pyti.example:443",
        ] {
            assert!(allowed(good, &names), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost:x",
            "localhost:99999",
            "",
            "pyti.example@evil.example",
            "[::1",
        ] {
            assert!(!allowed(bad, &names), "{bad}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("localhost"));
        let uri = Uri::from_static("/");
        assert_eq!(host(&uri, &headers).as_deref(), Some("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(host(&uri, &headers), None);
        assert_eq!(host(&uri, &HeaderMap::new()), None);
    }
}
