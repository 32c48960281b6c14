//! Rule 9: what uv judges well by itself, over the lens.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use common::world::{Extra, World, has, tools};
use common::{Upload, metadata, wheel};
use pyti_index::View;

#[tokio::test(flavor = "multi_thread")]
async fn rule_09_extras_markers_and_versions_are_uv_s_to_judge() {
    let Some(world) = World::open().await else { return };
    let a = metadata(
        "a",
        "1.0",
        &[
            "b ; extra == 'x'",
            "c ; python_version < '3'",
            "d ; python_version >= '3'",
        ],
    );
    let a = Upload {
        metadata: Some(format!("{a}Provides-Extra: x\n")),
        ..wheel("a", "1.0", &[], 5)
    };
    world.server.project("a", &[a]);
    world
        .server
        .project("b", &[wheel("b", "1!1.0", &[], 5), wheel("b", "2020.1", &[], 5)]);
    world.server.project(
        "d",
        &[
            wheel("d", "1.0", &[], 5),
            wheel("d", "1.0+local.1", &[], 5),
            wheel("d", "2.0rc1", &[], 5),
        ],
    );
    let path = world.lens.open_view(world.view());
    let lock = world.lock(&path, &["a[x]"]).await.unwrap();
    assert!(
        has(&lock, "b", "1!1.0") && has(&lock, "d", "1.0+local.1") && !lock.contains("name = \"c\""),
        "{lock}"
    );
    assert!(!world.lock(&path, &["a"]).await.unwrap().contains("name = \"b\""));
    let pre = Extra {
        pre: true,
        ..Extra::default()
    };
    assert!(has(
        &world.lock_with(&path, &["d"], &pre).await.unwrap(),
        "d",
        "2.0rc1"
    ));
    let constrained = Extra {
        constraints: &["d==1.0"],
        ..Extra::default()
    };
    assert!(world.lock_with(&path, &["d"], &constrained).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_09_requires_python_of_the_page_and_of_the_metadata_hold_also_in_old_spelling() {
    let Some(world) = World::open().await else { return };
    let of_file = Upload {
        requires_python: Some(">=3.99"),
        ..wheel("a", "3.0", &[], 5)
    };
    let inside = metadata("a", "2.0", &[]) + "Requires-Python: >=3.99\n";
    let of_metadata = Upload {
        metadata: Some(inside),
        ..wheel("a", "2.0", &[], 5)
    };
    let old = Upload {
        requires_python: Some(">=2.7.*"),
        ..wheel("a", "1.0", &["b (>=1.0)"], 5)
    };
    world.server.project("a", &[old, of_metadata, of_file]);
    world.server.project("b", &[wheel("b", "1.0", &[], 5)]);
    let path = world.lens.open_view(world.view());
    let lock = world.lock(&path, &["a"]).await.unwrap();
    assert!(has(&lock, "a", "1.0") && has(&lock, "b", "1.0"), "{lock}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_09_exclude_newer_goes_by_the_time_of_upload() {
    let Some(world) = World::open().await else { return };
    let newer = Upload {
        uploaded: "2024-01-01T00:00:00Z",
        ..wheel("a", "2.0", &[], 5)
    };
    world.server.project("a", &[wheel("a", "1.0", &[], 5), newer]);
    let moment = Some("2022-01-01T00:00:00Z");
    let view = View {
        exclude_newer: moment.map(str::to_owned),
        ..world.view()
    };
    let path = world.lens.open_view(view);
    let then = Extra {
        exclude_newer: moment,
        ..Extra::default()
    };
    assert!(has(
        &world.lock_with(&path, &["a"], &then).await.unwrap(),
        "a",
        "1.0"
    ));
    let now = world.lens.open_view(world.view());
    assert!(has(&world.lock(&now, &["a"]).await.unwrap(), "a", "2.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_09_older_interpreters_resolve_too() {
    let Some((uv, newest)) = tokio::task::spawn_blocking(tools).await.unwrap() else {
        eprintln!("SKIPPED: no CPython here, or no uv on PATH and pip could not fetch it");
        return;
    };
    let found = pyti_resolve::interpreters::find(&|name| std::env::var(name).ok());
    let mut tried = 0;
    for request in ["3.8", "3.9", "3.10", "3.11", "3.12"] {
        let Ok(python) = pyti_resolve::interpreters::choose(&found, Some(request)) else {
            continue;
        };
        let world = World::new((uv.clone(), python)).await;
        let inside = metadata("a", "2.0", &[]) + "Requires-Python: >=3.13\n";
        let newer = Upload {
            metadata: Some(inside),
            ..wheel("a", "2.0", &[], 5)
        };
        world.server.project("a", &[wheel("a", "1.0", &[], 5), newer]);
        let path = world.lens.open_view(world.view());
        assert!(
            has(&world.lock(&path, &["a"]).await.unwrap(), "a", "1.0"),
            "{request}"
        );
        tried += 1;
    }
    if tried == 0 {
        eprintln!("SKIPPED: no other interpreter than {} here", newest.version);
    }
}
