//! The client against an index that has faults.

mod common;

use std::time::{Duration, Instant};

use common::{Server, Thing, Upload, index, metadata, sdist, settings, wheel};
use pyti_index::{BoxFuture, FileStore, Index, IndexError, MetadataBuilder, MetadataError, ProjectFile};
use pyti_model::outcome::{Blame, ReasonCode};

#[tokio::test(flavor = "multi_thread")]
async fn allowed_a_project_is_found_fetched_and_cached() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    server.project("a", &[wheel("a", "1.0", &[], 10)]);
    let first = index(&server.url(), dir.path());
    let project = first.project("A").await.unwrap();
    let (digest, path) = first.fetch(&project.files[0], &|_, _| ()).await.unwrap();
    assert_eq!(Some(&digest), project.files[0].sha256.as_ref());
    assert!(path.ends_with("a-1.0-py3-none-any.whl"));
    // a second client asks whether the page changed, and fetches nothing again
    let second = index(&server.url(), dir.path());
    let again = second.project("a").await.unwrap();
    second.fetch(&again.files[0], &|_, _| ()).await.unwrap();
    assert_eq!(server.asked("/simple/a/ 304"), 1);
    assert_eq!(server.asked("/files/a-1.0"), 1);
    // and offline all is there still
    let offline = Index::new(
        settings(&server.url()),
        FileStore::open(&dir.path().join("files")).unwrap(),
        &dir.path().join("cache"),
        true,
    )
    .unwrap();
    let third = offline.project("a").await.unwrap();
    offline.fetch(&third.files[0], &|_, _| ()).await.unwrap();
    assert!(matches!(
        offline.project("b").await,
        Err(IndexError::Offline { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_bytes_that_were_not_promised() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    server.project("a", &[wheel("a", "1.0", &[], 10), wheel("a", "2.0", &[], 10)]);
    let same_size = {
        let mut bytes = wheel("a", "1.0", &[], 10).bytes.to_vec();
        bytes[40] ^= 1;
        bytes
    };
    server.put("/files/a-1.0-py3-none-any.whl", Thing::new("x", same_size));
    server.put("/files/a-2.0-py3-none-any.whl", Thing::new("x", vec![0; 100_000]));
    let index = index(&server.url(), dir.path());
    let project = index.project("a").await.unwrap();
    let error = index.fetch(&project.files[0], &|_, _| ()).await.unwrap_err();
    assert!(matches!(error, IndexError::HashMismatch { .. }), "{error:?}");
    assert_eq!(
        (error.blame(), error.reason().code),
        (Blame::Environment, ReasonCode::HashMismatch)
    );
    assert!(matches!(
        index.fetch(&project.files[1], &|_, _| ()).await,
        Err(IndexError::SizeMismatch { .. })
    ));
    assert_eq!(index.store().size().unwrap().files, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_are_waited_out_and_others_are_told() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    for name in ["busy", "dead", "html", "slow", "big"] {
        server.project(name, &[]);
    }
    let page = || {
        Thing::new(
            "application/vnd.pypi.simple.v1+json",
            "{\"meta\":{},\"files\":[]}",
        )
    };
    server.put(
        "/simple/busy/",
        Thing {
            first: vec![500, 503],
            ..page()
        },
    );
    server.put(
        "/simple/dead/",
        Thing {
            first: vec![500; 20],
            ..page()
        },
    );
    server.put(
        "/simple/html/",
        Thing::new("application/json", "<html>Log in</html>"),
    );
    server.put("/simple/odd/", Thing::new("image/png", "x"));
    server.put(
        "/simple/slow/",
        Thing {
            stall: Duration::from_mins(1),
            ..page()
        },
    );
    server.put(
        "/simple/cut/",
        Thing {
            cut: Some(5),
            ..page()
        },
    );
    let index = index(&server.url(), dir.path());
    assert!(index.project("busy").await.is_ok());
    assert!(matches!(
        index.project("dead").await,
        Err(IndexError::Status {
            status: 500,
            attempts: 3,
            ..
        })
    ));
    assert!(matches!(
        index.project("html").await,
        Err(IndexError::NotAPage { .. })
    ));
    assert!(matches!(
        index.project("odd").await,
        Err(IndexError::NotAPage { .. })
    ));
    let begin = Instant::now();
    assert!(matches!(
        index.project("slow").await,
        Err(IndexError::Unreachable { .. })
    ));
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(matches!(
        index.project("cut").await,
        Err(IndexError::Unreachable { .. })
    ));
    let error = index.project("nobody").await.unwrap_err();
    assert_eq!(error.reason().code, ReasonCode::UnknownProject);
    assert!(matches!(
        index.project("../etc").await,
        Err(IndexError::BadName(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_without_files_is_told_from_an_unknown_one() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    server.put(
        "/pypi/pil/json",
        Thing::new("application/json", r#"{"info":{},"releases":{"1.1.6":[]}}"#),
    );
    let project = index(&server.url(), dir.path()).project("PIL").await.unwrap();
    assert_eq!(
        (project.files.len(), &project.versions[..]),
        (0, &["1.1.6".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_the_cheapest_way() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    let beside = Upload {
        metadata: Some(metadata("a", "1.0", &["beside"])),
        ..wheel("a", "1.0", &["inside"], 10)
    };
    let mut norange = wheel("c", "1.0", &["whole"], 300_000);
    norange.filename = "c-1.0-py3-none-any.whl".into();
    server.project("a", &[beside]);
    server.project("b", &[wheel("b", "1.0", &["ranged"], 3_000_000)]);
    server.project("c", &[norange.clone()]);
    server.put(
        "/files/c-1.0-py3-none-any.whl",
        Thing {
            ranges: false,
            ..Thing::new("x", norange.bytes)
        },
    );
    server.project("d", &[sdist("d", "1.0", &metadata("d", "1.0", &["static"]))]);
    let index = index(&server.url(), dir.path());
    for (name, requires, stored) in [
        ("a", "beside", 0),
        ("b", "ranged", 0),
        ("c", "whole", 1),
        ("d", "static", 2),
    ] {
        let project = index.project(name).await.unwrap();
        let bytes = index.metadata(&project.files[0], None).await.unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains(requires), "{name}");
        assert_eq!(index.store().size().unwrap().files, stored, "{name}");
    }
    // the directory and the metadata before the last 64 KB
    let early = common::noise(400_000);
    let text = metadata("e", "1.0", &["early"]);
    let bytes = common::zip(&[("e-1.0.dist-info/METADATA", text.as_bytes()), ("e.py", &early)]);
    server.project("e", &[Upload::new("e-1.0-py3-none-any.whl", bytes)]);
    let project = index.project("e").await.unwrap();
    assert!(
        String::from_utf8(index.metadata(&project.files[0], None).await.unwrap())
            .unwrap()
            .contains("early")
    );
    assert_eq!(server.asked("/files/e-1.0-py3-none-any.whl 206"), 2);
    assert_eq!(server.asked("/files/b-1.0-py3-none-any.whl 206"), 1);
}

struct Builder;

impl MetadataBuilder for Builder {
    fn build<'a>(&'a self, sdist: &'a ProjectFile) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        Box::pin(
            async move { Ok(metadata(&sdist.project, &sdist.version.to_string(), &["built"]).into_bytes()) },
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_dynamic_metadata_is_not_believed_but_built() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    let old = metadata("a", "1.0", &[]).replace("2.2", "2.1");
    server.project("a", &[sdist("a", "1.0", &old)]);
    let index = index(&server.url(), dir.path());
    let project = index.project("a").await.unwrap();
    assert!(matches!(
        index.metadata(&project.files[0], None).await,
        Err(MetadataError::MustBuild { .. })
    ));
    let bytes = index.metadata(&project.files[0], Some(&Builder)).await.unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("built"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beside_a_file_is_what_was_promised() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    let text = metadata("a", "1.0", &[]);
    for (name, digest, good) in [
        ("a", common::sha256(text.as_bytes()), true),
        ("b", common::sha256(b"other"), false),
    ] {
        let filename = format!("{name}-1.0-py3-none-any.whl");
        let page = serde_json::json!({"meta": {}, "files": [{"filename": filename, "url": format!("/files/{filename}"), "hashes": {}, "core-metadata": {"sha256": digest}}]});
        server.put(
            &format!("/simple/{name}/"),
            Thing::new("application/vnd.pypi.simple.v1+json", page.to_string()),
        );
        server.put(
            &format!("/files/{filename}.metadata"),
            Thing::new("text/plain", metadata(name, "1.0", &[])),
        );
        let index = index(&server.url(), dir.path());
        let project = index.project(name).await.unwrap();
        let result = index.metadata(&project.files[0], None).await;
        assert_eq!(result.is_ok(), good, "{result:?}");
        if let Err(error) = result {
            assert_eq!(error.reason().code, ReasonCode::HashMismatch);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_wheels_that_lie_or_are_none() {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    let liar = common::zip(&[("a-1.0.dist-info/METADATA", metadata("b", "1.0", &[]).as_bytes())]);
    let twice = common::zip(&[
        ("a-2.0.dist-info/METADATA", metadata("a", "2.0", &[]).as_bytes()),
        ("a-2.dist-info/METADATA", b"x"),
    ]);
    let bomb = common::zip(&[("a-3.0.dist-info/METADATA", &vec![b'x'; 12 << 20])]);
    let uploads = [
        ("1.0", liar),
        ("2.0", twice),
        ("3.0", bomb),
        ("4.0", b"garbage, no archive at all".to_vec()),
        ("5.0", Vec::new()),
    ];
    let uploads =
        uploads.map(|(version, bytes)| Upload::new(&format!("a-{version}-py3-none-any.whl"), bytes));
    server.project("a", &uploads);
    let index = index(&server.url(), dir.path());
    for file in &index.project("a").await.unwrap().files {
        let error = index.metadata(file, None).await.unwrap_err();
        assert!(
            matches!(
                error.reason().code,
                ReasonCode::BadMetadata | ReasonCode::BadArchive
            ),
            "{}: {error:?}",
            file.filename
        );
    }
}
