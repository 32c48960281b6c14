//! An unmodified uv over the lens: the rules that concern it, one test each.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::{Server, Upload, index, interpreter, metadata, sdist, wheel};
use pyti_index::lens::resolve_entry;
use pyti_index::{BoxFuture, Entry, Index, Lens, MetadataBuilder, Offered, ProjectFile, View};

/// Skips loudly where uv cannot be had.
macro_rules! uv_or_skip {
    () => {
        match tokio::task::spawn_blocking(common::uv::uv).await.unwrap() {
            Some(uv) => uv,
            None => {
                eprintln!("SKIPPED: no uv 0.13 on PATH, and pip could not fetch it");
                return;
            }
        }
    };
}

struct World {
    server: Server,
    index: Index,
    lens: Arc<Lens>,
    port: u16,
    dir: tempfile::TempDir,
    uv: PathBuf,
}

impl World {
    async fn new(uv: PathBuf) -> Self {
        let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
        let index = index(&server.url(), dir.path());
        let lens = Lens::new(index.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(lens.clone().serve(listener));
        Self {
            server,
            index,
            lens,
            port,
            dir,
            uv,
        }
    }

    /// The lock, or uv's explanation.
    async fn compile(&self, path: &str, requirements: &str) -> Result<String, String> {
        let input = self.dir.path().join("in.txt");
        std::fs::write(&input, requirements).unwrap();
        let mut command = tokio::process::Command::new(&self.uv);
        command
            .args([
                "pip",
                "compile",
                "--no-config",
                "--no-build",
                "--python-version",
                "3.11",
                "--format",
                "pylock.toml",
                "--no-header",
            ])
            .arg("--cache-dir")
            .arg(self.dir.path().join("uv"))
            .arg("--default-index")
            .arg(format!("http://127.0.0.1:{}{path}", self.port))
            .arg(&input)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("NO_PROXY", "127.0.0.1");
        let out = command.output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if out.status.success() {
            Ok(text(out.stdout))
        } else {
            Err(text(out.stderr))
        }
    }
}

fn plain() -> View {
    View::new(interpreter())
}

fn locks(lock: &str, name: &str, version: &str) -> bool {
    lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_wheels_resolve_and_one_file_is_listed_for_a_version() {
    let world = World::new(uv_or_skip!()).await;
    let mut other = wheel("b", "1.0", &[], 5);
    other.filename = "b-1.0-py2.py3-none-any.whl".into();
    world.server.project("a", &[wheel("a", "1.0", &["b>=1"], 5)]);
    world.server.project(
        "b",
        &[
            wheel("b", "1.0", &[], 5),
            other,
            sdist("b", "1.0", &metadata("b", "1.0", &[])),
        ],
    );
    let path = world.lens.open_view(plain());
    let lock = world.compile(&path, "a\n").await.unwrap();
    assert!(locks(&lock, "a", "1.0") && locks(&lock, "b", "1.0"), "{lock}");
    assert_eq!(lock.matches("b-1.0").count(), 1, "{lock}");
    assert!(world.lens.left_out(&path).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdist_alone_is_listed_as_a_wheel_to_be_and_a_real_wheel_wins() {
    let world = World::new(uv_or_skip!()).await;
    world
        .server
        .project("only", &[sdist("only", "1.0", &metadata("only", "1.0", &[]))]);
    world.server.project(
        "both",
        &[
            sdist("both", "1.0", &metadata("both", "1.0", &[])),
            wheel("both", "1.0", &[], 5),
        ],
    );
    let view = View::new(interpreter());
    let path = world.lens.open_view(view.clone());
    let lock = world.compile(&path, "only\nboth\n").await.unwrap();
    let placeholder = "only-1.0-0sdist-py30-none-any.whl";
    assert!(
        lock.contains(placeholder)
            && lock.contains("both-1.0-py3-none-any.whl")
            && !lock.contains("both-1.0-0sdist"),
        "{lock}"
    );
    let entry = resolve_entry(&world.index, &view, "only", "1.0", placeholder)
        .await
        .unwrap();
    assert!(matches!(entry, Some(Entry::Build(file)) if file.filename == "only-1.0.tar.gz"));
    assert!(
        resolve_entry(&world.index, &view, "only", "2.0", placeholder)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_lying_metadata_makes_uv_take_another_version() {
    let world = World::new(uv_or_skip!()).await;
    let liar = Upload {
        metadata: Some(metadata("a", "0.0.0", &[])),
        ..wheel("a", "2.0", &[], 5)
    };
    let broken = Upload::new("a-3.0-py3-none-any.whl", b"no archive".to_vec());
    world
        .server
        .project("a", &[wheel("a", "1.0", &[], 5), liar, broken]);
    let path = world.lens.open_view(plain());
    let lock = world.compile(&path, "a\n").await.unwrap();
    assert!(locks(&lock, "a", "1.0"), "{lock}");
    let left = world.lens.left_out(&path);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].contains("0.0.0"), "{left:?}");
    // pinned, uv says so
    assert!(
        world
            .compile(&path, "a==2.0\n")
            .await
            .unwrap_err()
            .contains("invalid metadata")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_direct_references_are_taken_out() {
    let world = World::new(uv_or_skip!()).await;
    let port = world.server.port;
    world.server.project(
        "a",
        &[wheel(
            "a",
            "1.0",
            &[&format!("b @ http://127.0.0.1:{port}/secret/b-9.whl"), "c>=1"],
            5,
        )],
    );
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    world.server.project("c", &[wheel("c", "1.0", &[], 5)]);
    let path = world.lens.open_view(plain());
    let lock = world.compile(&path, "a\n").await.unwrap();
    assert!(locks(&lock, "b", "1.0") && locks(&lock, "c", "1.0"), "{lock}");
    assert_eq!(world.server.asked("/secret/"), 0);
    assert!(world.lens.left_out(&path)[0].contains("direct reference"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offered_file_takes_its_version_s_place() {
    let world = World::new(uv_or_skip!()).await;
    world.server.project("a", &[wheel("a", "1.0", &["gone"], 5)]);
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    let offered = |requires: &[&str]| Offered {
        name: "a".into(),
        version: "1.0".into(),
        filename: "a-1.0-py3-none-any.whl".into(),
        metadata: metadata("a", "1.0", requires).into_bytes(),
        sha256: None,
    };
    let view = View {
        offered: vec![offered(&["b"])],
        ..plain()
    };
    let path = world.lens.open_view(view.clone());
    let lock = world.compile(&path, "a==1.0\n").await.unwrap();
    assert!(locks(&lock, "b", "1.0"), "{lock}");
    assert!(matches!(
        resolve_entry(&world.index, &view, "a", "1.0", "a-1.0-py3-none-any.whl")
            .await
            .unwrap(),
        Some(Entry::Offered(_))
    ));
    // another content has another address; what uv cached under the first is not used
    let other = world.lens.open_view(View {
        offered: vec![offered(&[])],
        ..plain()
    });
    assert_ne!(path, other);
    assert!(!locks(
        &world.compile(&other, "a==1.0\n").await.unwrap(),
        "b",
        "1.0"
    ));
    assert_eq!(path, world.lens.open_view(view));
}

struct Builder;

impl MetadataBuilder for Builder {
    fn build<'a>(&'a self, sdist: &'a ProjectFile) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        // every version but the oldest asks for what there is not
        Box::pin(async move {
            let requires: &[&str] = if sdist.version.to_string() == "1" {
                &[]
            } else {
                &["b>5"]
            };
            Ok(metadata(&sdist.project, &sdist.version.to_string(), requires).into_bytes())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_built_within_a_budget() {
    let world = World::new(uv_or_skip!()).await;
    let old = |version: &str| sdist("a", version, &metadata("a", version, &[]).replace("2.2", "1.1"));
    let mut uploads: Vec<Upload> = (2..9).map(|n| old(&n.to_string())).collect();
    uploads.push(old("1"));
    world.server.project("a", &uploads);
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    let with = |build_budget| View {
        builder: Some(Arc::new(Builder)),
        build_budget,
        ..plain()
    };
    let path = world.lens.open_view(with(20));
    assert!(locks(&world.compile(&path, "a\n").await.unwrap(), "a", "1"));
    let path = world.lens.open_view(with(3));
    assert!(world.compile(&path, "a\n").await.is_err());
    assert!(
        world
            .lens
            .left_out(&path)
            .iter()
            .any(|line| line.contains("resolution_budget"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requires_python_yanked_and_pre_releases_are_uv_s_to_judge() {
    let world = World::new(uv_or_skip!()).await;
    let newer = Upload {
        requires_python: Some(">=3.99"),
        ..wheel("a", "2.0", &[], 5)
    };
    let yanked = Upload {
        yanked: true,
        ..wheel("a", "1.5", &[], 5)
    };
    world.server.project(
        "a",
        &[
            wheel("a", "1.0", &[], 5),
            yanked,
            newer,
            wheel("a", "1.9rc1", &[], 5),
        ],
    );
    let path = world.lens.open_view(plain());
    assert!(locks(&world.compile(&path, "a\n").await.unwrap(), "a", "1.0"));
    assert!(locks(
        &world.compile(&path, "a==1.5\n").await.unwrap(),
        "a",
        "1.5"
    ));
    assert!(locks(
        &world.compile(&path, "a>=1.9rc1\n").await.unwrap(),
        "a",
        "1.9rc1"
    ));
    assert!(
        world
            .compile(&path, "a==2.0\n")
            .await
            .unwrap_err()
            .contains("3.99")
    );
    assert!(world.compile(&path, "nobody\n").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_indexes_are_one_and_the_first_that_knows_the_name_wins() {
    let uv = uv_or_skip!();
    let (main, extra, dir) = (
        Server::start().await,
        Server::start().await,
        tempfile::tempdir().unwrap(),
    );
    main.project("a", &[wheel("a", "9.0", &[], 5)]);
    main.project("b", &[wheel("b", "1.0", &[], 5)]);
    extra.project("a", &[wheel("a", "1.0", &["b"], 5)]);
    let mut settings = common::settings(&main.url());
    settings.extra.push(extra.url().parse().unwrap());
    let store = pyti_index::FileStore::open(&dir.path().join("files")).unwrap();
    let index = Index::new(settings, store, &dir.path().join("cache"), false).unwrap();
    let lens = Lens::new(index.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(lens.clone().serve(listener));
    let world = World {
        server: main,
        index,
        lens,
        port,
        dir,
        uv,
    };
    let path = world.lens.open_view(plain());
    let lock = world.compile(&path, "a\n").await.unwrap();
    assert!(locks(&lock, "a", "1.0") && locks(&lock, "b", "1.0"), "{lock}");
}
