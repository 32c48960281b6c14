//! What the lens costs a resolution when everything is cached: the same uv, the same fifty projects, once over the lens
//! and once over a server that has the lens' answers ready in memory. Pairs in one run; prints min, median and max of
//! both, and the difference of the medians (target: at most 50 ms).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its result"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use common::{Server, Upload, index, metadata, wheel};
use pyti_index::{Lens, View};
use pyti_model::plan::Interpreter;
use pyti_resolve::uv::{Compile, UvCommand, compile};

const PROJECTS: usize = 50;
const ROUNDS: usize = 21;

fn main() {
    let found = pyti_resolve::interpreters::find(&|name| std::env::var(name).ok());
    let (Some(uv), Ok(python)) = (common::uv::uv(), pyti_resolve::interpreters::choose(&found, None)) else {
        eprintln!("SKIPPED: no CPython here, or no uv on PATH and pip could not fetch it");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&uv, &python));
}

async fn measure(uv: &Path, python: &Interpreter) {
    let (upstream, dir) = (Server::start().await, tempfile::tempdir().expect("a folder"));
    for n in 0..PROJECTS {
        // a tree: each asks for two more; every project has ten versions
        let requires: Vec<String> = [2 * n + 1, 2 * n + 2]
            .iter()
            .filter(|&&m| m < PROJECTS)
            .map(|m| format!("p{m}>=1"))
            .collect();
        let requires: Vec<&str> = requires.iter().map(String::as_str).collect();
        let name = format!("p{n}");
        let uploads: Vec<_> = (1..=10)
            .map(|version| {
                let version = format!("{version}.0");
                Upload {
                    metadata: Some(metadata(&name, &version, &requires)),
                    ..wheel(&name, &version, &requires, 5)
                }
            })
            .collect();
        upstream.project(&name, &uploads);
    }
    let lens = Lens::new(index(&upstream.url(), dir.path()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let lens_port = listener.local_addr().expect("an address").port();
    tokio::spawn(lens.clone().serve(listener));
    let path = lens.open_view(View::new(python.clone()));

    let lock = run(&command(uv, python, lens_port, &path), dir.path()).await;
    assert_eq!(lock.matches("[[packages]]").count(), PROJECTS, "{lock}");
    let ready_port = ready(lens_port, &path).await;

    let (mut over_lens, mut over_ready) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (port, times) in [(lens_port, &mut over_lens), (ready_port, &mut over_ready)] {
            let command = command(uv, python, port, &path);
            let began = Instant::now();
            run(&command, dir.path()).await;
            times.push(began.elapsed());
        }
    }
    let (ours, bare) = (
        told("over the lens", over_lens),
        told("answers ready", over_ready),
    );
    println!(
        "{PROJECTS} projects, beyond uv: {:.1?} (median; target 50 ms)",
        ours.saturating_sub(bare)
    );
}

fn told(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "{what}  min {:>8.1?}  median {median:>8.1?}  max {:>8.1?}",
        times[0],
        times[times.len() - 1]
    );
    median
}

fn command(uv: &Path, python: &Interpreter, port: u16, path: &str) -> UvCommand {
    compile(&Compile {
        uv: &uv.display().to_string(),
        python: &python.executable,
        index_url: &format!("http://127.0.0.1:{port}{path}"),
        requirements: &["p0".to_owned()],
        constraints: &[],
        pre: false,
        exclude_newer: None,
    })
    .expect("a plain requirement")
}

async fn run(command: &UvCommand, home: &Path) -> String {
    let mut child = tokio::process::Command::new(&command.argv[0])
        .args(&command.argv[1..])
        .env_clear()
        .envs(command.env.iter().cloned())
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("uv starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    tokio::io::AsyncWriteExt::write_all(&mut stdin, &command.stdin)
        .await
        .expect("uv reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("uv ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a lock is text")
}

type Ready = Arc<HashMap<String, (HeaderValue, HeaderValue, Vec<u8>)>>;

/// A server that has every answer of the lens in memory; gives its port.
async fn ready(lens_port: u16, path: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut answers = HashMap::new();
    for n in 0..PROJECTS {
        let page = format!("{path}p{n}/");
        let file = path.replace(
            "/simple/",
            &format!("/files/p{n}/p{n}-10.0-py3-none-any.whl.metadata"),
        );
        for path in [page, file] {
            let answer = client
                .get(format!("http://127.0.0.1:{lens_port}{path}"))
                .send()
                .await
                .expect("an answer");
            let header = |name| answer.headers().get(name).cloned().expect("a header");
            let (kind, cache) = (header(CONTENT_TYPE), header(CACHE_CONTROL));
            answers.insert(
                path,
                (kind, cache, answer.bytes().await.expect("a body").to_vec()),
            );
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().fallback(serve).with_state(Arc::new(answers));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // as the lens does
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn serve(State(answers): State<Ready>, request: Request) -> Response<axum::body::Body> {
    let Some((kind, cache, body)) = answers.get(request.uri().path()) else {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(body.clone().into());
    response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    response.headers_mut().insert(CACHE_CONTROL, cache.clone());
    response
}
