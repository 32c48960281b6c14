//! What a result leaves behind, as files to keep. All of it may hold what a package said, so each is an attachment under a name that
//! we make, and nothing may happen in it.

use axum::response::Response;
use pyti_store::Store;

use crate::address::Artifact;
use crate::child::Wanted;
use crate::door::attachment;
use crate::fault::Fault;
use crate::site::Site;

/// Most bytes of a recording that are given.
const RECORDING: u64 = 256 << 20;
const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

fn row(store: &Store, id: i64) -> Result<pyti_store::ResultRow, Fault> {
    store
        .result(id)?
        .ok_or_else(|| Fault::NotFound(format!("there is no result {id}")))
}

pub(crate) async fn artifact(site: &Site, id: i64, artifact: Artifact) -> Result<Response, Fault> {
    let (wanted, ending, kind) = match artifact {
        Artifact::Recording => return recording(site, id).await,
        Artifact::Report => (Wanted::Html, "html", BYTES),
        Artifact::Junit => (Wanted::Junit, "junit.xml", BYTES),
        Artifact::Sarif => (Wanted::Sarif, "sarif.json", JSON),
        Artifact::Stix => (Wanted::Stix, "stix.json", JSON),
        Artifact::PackageAnalysis => (Wanted::PackageAnalysis, "package-analysis.json", JSON),
        Artifact::Markdown => (Wanted::Markdown, "md", TEXT),
        Artifact::Csv => (Wanted::Csv, "events.csv", BYTES),
        Artifact::Log(task) => (Wanted::Log(task), "log.txt", TEXT),
    };
    let row = site.read(move |store| row(store, id)).await?;
    let bytes = site
        .inner
        .renderer
        .get(&site.inner.store, &row, None, wanted)
        .await?;
    Ok(attachment(
        &format!("pyti-result-{id}.{ending}"),
        kind,
        bytes.to_vec(),
    ))
}

async fn recording(site: &Site, id: i64) -> Result<Response, Fault> {
    let bytes = site
        .read(move |store| {
            let Some((digest, _, true)) = row(store, id)?.recording else {
                return Err(Fault::NotFound("the recording is not kept any more".to_owned()));
            };
            Ok(store.blobs().read(&digest, RECORDING)?)
        })
        .await?;
    Ok(attachment(&format!("pyti-result-{id}.jsonl.zst"), BYTES, bytes))
}
