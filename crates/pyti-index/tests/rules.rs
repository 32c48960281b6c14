//! The rules of resolving that concern uv and the lens, each with the commands that are really used. Their numbers are
//! those of docs/resolution.md; those that need boxes are tested where the boxes are.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::world::{Extra, World, has};
use common::{Upload, metadata, sdist, wheel};
use pyti_index::lens::resolve_entry;
use pyti_index::{BoxFuture, Entry, MetadataBuilder, ProjectFile, View};
use pyti_resolve::explain::Kind;
use pyti_resolve::uv::{Compile, compile};

/// Head and body of an answer of the lens.
fn get(stream: &mut std::net::TcpStream, path: &str) -> (String, String) {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: lens\r\nAccept: application/vnd.pypi.simple.v1+json\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .split('\r')
        .next()
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Builds metadata after a while.
struct Slow(Duration);

impl MetadataBuilder for Slow {
    fn build<'a>(&'a self, sdist: &'a ProjectFile) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        Box::pin(async move {
            tokio::time::sleep(self.0).await;
            Ok(metadata(&sdist.project, &sdist.version.to_string(), &["b"]).into_bytes())
        })
    }
}

/// An sdist whose metadata is not static: it must be built.
fn old_sdist(name: &str, version: &str) -> Upload {
    sdist(name, version, &metadata(name, version, &[]).replace("2.2", "1.1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_01_uv_asks_for_metadata_and_waits_while_it_is_made() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[old_sdist("a", "1.0")]);
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    let view = View {
        builder: Some(Arc::new(Slow(Duration::from_secs(2)))),
        ..world.view()
    };
    let path = world.lens.open_view(view);
    let began = Instant::now();
    let lock = world.lock(&path, &["a"]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(has(&lock, "a", "1.0") && has(&lock, "b", "1.0"), "{lock}");
    // what it asks is JSON that promises metadata, and no file is ever asked for
    let port = world.port;
    let (head, page) = tokio::task::spawn_blocking(move || {
        get(
            &mut std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(),
            &format!("{path}b/"),
        )
    })
    .await
    .unwrap();
    assert!(head.contains("application/vnd.pypi.simple.v1+json"), "{head}");
    assert!(page.contains("\"core-metadata\":true"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_01_no_answer_waits_for_an_acknowledgement() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &[], 5)]);
    let path = world.lens.open_view(world.view());
    let port = world.port;
    let times = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        get(&mut stream, &format!("{path}a/"));
        let mut times: Vec<_> = (0..21)
            .map(|_| {
                let began = Instant::now();
                get(&mut stream, &format!("{path}a/"));
                began.elapsed()
            })
            .collect();
        times.sort();
        times
    })
    .await
    .unwrap();
    // with Nagle's algorithm each would take 40 ms
    assert!(times[10] < Duration::from_millis(30), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_02_an_sdist_is_listed_as_a_wheel_to_be_only_where_no_wheel_serves() {
    let Some(world) = World::open().await else { return };
    let pkg = |name: &str| sdist(name, "1.0", &metadata(name, "1.0", &[]));
    let mut windows = wheel("elsewhere", "1.0", &[], 5);
    windows.filename = "elsewhere-1.0-cp313-cp313-win_amd64.whl".into();
    let yanked = Upload {
        yanked: true,
        ..wheel("yanked", "1.0", &[], 5)
    };
    world.server.project("only", &[pkg("only")]);
    world
        .server
        .project("both", &[pkg("both"), wheel("both", "1.0", &[], 5)]);
    world.server.project("elsewhere", &[pkg("elsewhere"), windows]);
    world.server.project("yanked", &[yanked]);
    let path = world.lens.open_view(world.view());
    let lock = world
        .lock(&path, &["only", "both", "elsewhere", "yanked==1.0"])
        .await
        .unwrap();
    for placeholder in [
        "only-1.0-0sdist-py30-none-any.whl",
        "elsewhere-1.0-0sdist-py30-none-any.whl",
    ] {
        assert!(lock.contains(placeholder), "{lock}");
    }
    assert!(
        !lock.contains("both-1.0-0sdist") && lock.contains("both-1.0-py3-none-any.whl"),
        "{lock}"
    );
    // a yanked wheel keeps its place when it is pinned, and is not taken otherwise
    assert!(lock.contains("yanked-1.0-py3-none-any.whl"), "{lock}");
    assert!(world.lock(&path, &["yanked"]).await.is_err());
    let found = resolve_entry(
        &world.index,
        &world.view(),
        "only",
        "1.0",
        "only-1.0-0sdist-py30-none-any.whl",
    )
    .await;
    assert!(matches!(found.unwrap(), Some(Entry::Build(file)) if file.filename == "only-1.0.tar.gz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_03_a_lock_holds_exactly_one_file_of_a_version() {
    let Some(world) = World::open().await else { return };
    let named = |filename: &str| Upload {
        filename: filename.into(),
        ..wheel("a", "1.0", &[], 5)
    };
    let yanked = Upload {
        yanked: true,
        ..named("a-1.0-1-py3-none-any.whl")
    };
    world.server.project(
        "a",
        &[
            yanked,
            named("a-1.0-py2.py3-none-any.whl"),
            named("a-1.0-py3-none-any.whl"),
            sdist("a", "1.0", ""),
        ],
    );
    let path = world.lens.open_view(world.view());
    let lock = world.lock(&path, &["a"]).await.unwrap();
    assert_eq!(
        lock.matches("name = \"a-1.0").count() + lock.matches("/a-1.0").count(),
        1,
        "{lock}"
    );
    assert!(!lock.contains("a-1.0-1-") && !lock.contains("sdist"), "{lock}");
}

#[test]
fn rule_04_only_parsed_lines_reach_uv() {
    let given = |line: &str, constraint: &str| {
        compile(&Compile {
            uv: "/uv",
            python: "/usr/bin/python3",
            index_url: "http://127.0.0.1:1/s/0/simple/",
            requirements: &[line.to_owned()],
            constraints: &[constraint.to_owned()],
            pre: false,
            exclude_newer: None,
        })
    };
    for bad in [
        "x @ https://files.example.invalid/x-1-py3-none-any.whl",
        "x @ git+https://code.example.invalid/x",
        "x @ file:///etc/hostname",
        "git+https://code.example.invalid/x#egg=x",
        "-r /etc/hostname",
        "-c /etc/hostname",
        "-i http://other.example.invalid/simple/",
        "--find-links /tmp",
        "-e .",
        "./x",
        "/x-1-py3-none-any.whl",
        "x>=1\n-r /etc/hostname",
    ] {
        assert!(given(bad, "x<2").is_err(), "{bad}");
        assert!(given("x", bad).is_err(), "{bad}");
        let vetted = pyti_index::requirements::vet(&[bad.to_owned()]);
        assert!(vetted.good.is_empty() && vetted.refused.len() == 1, "{bad}");
    }
    let good = given("x[y]>=1 ; python_version > '3'", "x<2").unwrap();
    assert!(String::from_utf8(good.stdin).unwrap().starts_with("x[y]>=1"));
    assert_eq!(good.files[0].1, b"x<2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_transitive_direct_reference_is_taken_out_and_recorded() {
    let Some(world) = World::open().await else { return };
    let line = format!(
        "b @ http://127.0.0.1:{}/secret/b-9.0-py3-none-any.whl",
        world.server.port
    );
    world.server.project("a", &[wheel("a", "1.0", &[&line], 5)]);
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    let path = world.lens.open_view(world.view());
    let lock = world.lock(&path, &["a"]).await.unwrap();
    assert!(has(&lock, "b", "1.0"), "{lock}");
    assert_eq!(world.server.asked("/secret/"), 0);
    assert!(
        world.lens.left_out(&path)[0].contains("direct reference"),
        "{:?}",
        world.lens.left_out(&path)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_metadata_that_lies_makes_uv_take_another_version() {
    let Some(world) = World::open().await else { return };
    let lies = |version: &str, name: &str, said: &str| Upload {
        metadata: Some(metadata(name, said, &[])),
        ..wheel("a", version, &[], 5)
    };
    world.server.project(
        "a",
        &[
            wheel("a", "1.0", &[], 5),
            lies("2.0", "a", "0.0.0"),
            lies("3.0", "other", "3.0"),
            Upload::new("a-4.0-py3-none-any.whl", b"no archive".to_vec()),
        ],
    );
    let path = world.lens.open_view(world.view());
    assert!(has(&world.lock(&path, &["a"]).await.unwrap(), "a", "1.0"));
    // our own reasons are kept
    let left = world.lens.left_out(&path).join("\n");
    assert!(
        left.contains("0.0.0") && left.contains("other") && left.contains("a-4.0"),
        "{left}"
    );
    // a pinned one is told
    for version in ["2.0", "3.0", "4.0"] {
        let told = world.fails(&[&format!("a=={version}")]).await;
        assert_eq!(
            told.kind,
            Kind::InvalidMetadata { name: "a".into() },
            "{}",
            told.uv
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_an_index_that_fails_ends_the_resolution_and_is_not_taken_for_a_missing_name() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &["b"], 5)]);
    let broken = common::Thing {
        first: vec![500; 100],
        ..common::Thing::new("text/plain", "")
    };
    world.server.put("/simple/b/", broken);
    let path = world.lens.open_view(world.view());
    let began = Instant::now();
    let told = world.lock(&path, &["a"]).await.unwrap_err();
    assert_eq!(told.kind, Kind::Lens, "{}", told.uv);
    // the client of the index has tried again; uv's own attempts would only add seconds
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(
        world
            .lens
            .left_out(&path)
            .iter()
            .any(|line| line.starts_with("b: ")),
        "{:?}",
        world.lens.left_out(&path)
    );
    // the index mended, the same view goes on
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    assert!(has(&world.lock(&path, &["a"]).await.unwrap(), "b", "1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_a_file_that_cannot_be_had_just_now_is_not_replaced_by_an_older_version() {
    let Some(world) = World::open().await else { return };
    let newest = Upload {
        metadata: Some(metadata("a", "2.0", &[])),
        ..wheel("a", "2.0", &[], 5)
    };
    world
        .server
        .project("a", &[wheel("a", "1.0", &[], 5), newest.clone()]);
    for file in [".metadata", ""] {
        let broken = common::Thing {
            first: vec![503; 100],
            ..common::Thing::new("text/plain", "")
        };
        world
            .server
            .put(&format!("/files/{}{file}", newest.filename), broken);
    }
    let path = world.lens.open_view(world.view());
    let told = world.lock(&path, &["a"]).await.unwrap_err();
    assert_eq!(told.kind, Kind::Lens, "{}", told.uv);
    // a file that is gone for good is left out
    for file in [".metadata", ""] {
        let gone = common::Thing {
            first: vec![404; 100],
            ..common::Thing::new("text/plain", "")
        };
        world
            .server
            .put(&format!("/files/{}{file}", newest.filename), gone);
    }
    assert!(has(&world.lock(&path, &["a"]).await.unwrap(), "a", "1.0"));
    assert!(
        world.lens.left_out(&path)[0].contains("a-2.0"),
        "{:?}",
        world.lens.left_out(&path)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_06_static_metadata_is_free_and_building_has_a_budget() {
    let Some(world) = World::open().await else { return };
    // forty versions that say statically that they need what there is not, and one that does not
    let mut uploads: Vec<_> = (2..42)
        .map(|n| sdist("a", &n.to_string(), &metadata("a", &n.to_string(), &["gone"])))
        .collect();
    uploads.push(sdist("a", "1", &metadata("a", "1", &[])));
    world.server.project("a", &uploads);
    let builder = || -> Option<Arc<dyn MetadataBuilder>> { Some(Arc::new(Slow(Duration::ZERO))) };
    let path = world.lens.open_view(View {
        build_budget: 0,
        builder: builder(),
        ..world.view()
    });
    // "gone" is unknown: uv goes back through all of them
    assert!(has(&world.lock(&path, &["a"]).await.unwrap(), "a", "1"));
    assert!(
        world.lens.left_out(&path).is_empty(),
        "{:?}",
        world.lens.left_out(&path)
    );

    let uploads: Vec<_> = (1..10).map(|n| old_sdist("c", &n.to_string())).collect();
    world.server.project("c", &uploads);
    let path = world.lens.open_view(View {
        build_budget: 3,
        builder: builder(),
        ..world.view()
    });
    // each needs b, which there is not: more builds than the budget allows
    let told = world.lock(&path, &["c"]).await.unwrap_err();
    let left = world.lens.left_out(&path);
    assert!(
        left.iter().all(|line| line.contains("resolution_budget")) && left.len() == 6,
        "{left:?} {}",
        told.uv
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_07_pages_are_never_stale_and_a_view_has_an_address_of_its_own() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &[], 5)]);
    let path = world.lens.open_view(world.view());
    assert_eq!(path, world.lens.open_view(world.view()));
    let other = View {
        pre: true,
        ..world.view()
    };
    assert_ne!(path, world.lens.open_view(other));
    let port = world.port;
    let (page, metadata) = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let page = get(&mut stream, &format!("{path}a/")).0;
        let file = path.replace("/simple/", "/files/a/a-1.0-py3-none-any.whl.metadata");
        (page, get(&mut stream, &file).0)
    })
    .await
    .unwrap();
    assert!(page.contains("cache-control: no-store"), "{page}");
    assert!(metadata.contains("immutable"), "{metadata}");
    // nothing of the upstream's headers
    assert!(
        !page.contains("etag") && !metadata.contains("etag"),
        "{page}{metadata}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_08_nothing_of_the_caller_s_environment_reaches_uv() {
    let Some(world) = World::open().await else { return };
    world
        .server
        .project("a", &[wheel("a", "1.0", &[], 5), wheel("a", "2.0", &[], 5)]);
    let path = world.lens.open_view(world.view());
    let constraint = world.dir.path().join("c.txt");
    std::fs::write(&constraint, "a<2\n").unwrap();
    let hostile = [("UV_CONSTRAINT", constraint.to_str().unwrap())];
    // what it would do
    let with = Extra {
        env: &hostile,
        ..Extra::default()
    };
    assert!(has(
        &world.lock_with(&path, &["a"], &with).await.unwrap(),
        "a",
        "1.0"
    ));
    // the command's environment is complete, and holds only what is meant
    assert!(has(&world.lock(&path, &["a"]).await.unwrap(), "a", "2.0"));
    let command = compile(&Compile {
        uv: "/uv",
        python: &world.python.executable,
        index_url: "http://127.0.0.1:1/s/0/simple/",
        requirements: &[],
        constraints: &[],
        pre: false,
        exclude_newer: None,
    })
    .unwrap();
    let mut names: Vec<_> = command.env.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let meant = [
        "HOME",
        "LANG",
        "NO_PROXY",
        "PATH",
        "TMPDIR",
        "UV_HTTP_RETRIES",
        "UV_HTTP_TIMEOUT",
        "UV_LINK_MODE",
        "UV_PYTHON_DOWNLOADS",
    ];
    assert_eq!(names, meant);
    assert!(command.env.contains(&("NO_PROXY".into(), "127.0.0.1".into())));
    assert!(command.argv.iter().any(|word| word == "--no-config"));
    // the interpreter is named by its real path
    let real = std::fs::canonicalize(&world.python.executable).unwrap();
    assert_eq!(real.to_str(), Some(world.python.executable.as_str()));
}

#[test]
fn rule_14_the_default_index_is_asked_of_the_machine_s_own_tools() {
    let code = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let asked = std::process::Command::new("python3").args(["-c", code]).output();
    let Some(asked) = asked.ok().filter(|output| output.status.success()) else {
        eprintln!("SKIPPED: no pip here");
        return;
    };
    let asked = String::from_utf8(asked.stdout)
        .unwrap()
        .trim()
        .trim_end_matches('/')
        .to_owned();
    let home = tempfile::tempdir().unwrap();
    let real = |name: &str| std::env::var(name).ok();
    let env = |name: &str| match name {
        "HOME" => Some(home.path().to_str().unwrap().to_owned()),
        "PATH" => real(name),
        "PIP_CONFIG_FILE" => Some("/dev/null".to_owned()),
        "PYENV_ROOT" => real(name).or_else(|| Some(format!("{}/.pyenv", real("HOME")?))),
        _ => None,
    };
    let settings = pyti_index::Settings::discover(&env, &pyti_index::Overrides::default()).unwrap();
    if settings.origin == "pip's default" {
        assert_eq!(settings.index_url.as_str().trim_end_matches('/'), asked);
    } else {
        eprintln!(
            "SKIPPED in part: this machine is configured ({})",
            settings.origin
        );
    }
    // what is said is stronger than what is asked
    let said = pyti_index::Overrides {
        index_url: Some("https://mirror.example.invalid/simple/".into()),
        ..Default::default()
    };
    let settings = pyti_index::Settings::discover(&env, &said).unwrap();
    assert_eq!(
        settings.index_url.as_str(),
        "https://mirror.example.invalid/simple/"
    );
}
