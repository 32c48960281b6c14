//! The metadata of one wheel, by range requests and by fetching it whole, against a server on loopback with a
//! delay for each request. Prints min, median and max of both; real networks favour ranges more, because they are slower.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Server, Thing, index, wheel};

const ROUNDS: usize = 15;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for megabytes in [0, 1, 10, 50] {
        let upload = wheel("a", "1.0", &["b"], (megabytes << 20) + 100_000);
        for ranges in [true, false] {
            let mut times: Vec<Duration> = (0..ROUNDS)
                .map(|_| runtime.block_on(once(&upload, ranges)))
                .collect();
            times.sort();
            let how = if ranges { "ranges" } else { "whole " };
            println!(
                "{megabytes:>3} MB  {how}  min {:>9.2?}  median {:>9.2?}  max {:>9.2?}",
                times[0],
                times[ROUNDS / 2],
                times[ROUNDS - 1]
            );
        }
    }
}

async fn once(upload: &common::Upload, ranges: bool) -> Duration {
    let server = Server::start().await;
    server.project("a", std::slice::from_ref(upload));
    let file = Thing {
        ranges,
        stall: Duration::from_millis(5),
        ..Thing::new("x", upload.bytes.clone())
    };
    server.put(&format!("/files/{}", upload.filename), file);
    let dir = tempfile::tempdir().expect("a folder");
    let index = index(&server.url(), dir.path());
    let project = index.project("a").await.expect("a project");
    let begin = Instant::now();
    index.metadata(&project.files[0], None).await.expect("metadata");
    begin.elapsed()
}
