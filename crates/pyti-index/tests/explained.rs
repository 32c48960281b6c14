//! What a real uv says of a resolution that fails, and the sentence that is made of it.

mod common;

use common::world::World;
use common::{Upload, metadata, wheel};
use pyti_resolve::explain::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_name_is_explained() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &["nobody"], 5)]);
    for line in ["nobody", "a"] {
        let told = world.fails(&[line]).await;
        assert_eq!(
            told.kind,
            Kind::MissingName {
                name: "nobody".into()
            },
            "{}",
            told.uv
        );
        assert!(told.sentence.contains("no project nobody"), "{}", told.sentence);
        assert!(told.uv.contains("nobody was not found"), "{}", told.uv);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_version_is_explained() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &[], 5)]);
    world.server.project("b", &[wheel("b", "1.0", &["a>=9"], 5)]);
    for line in ["a>=2", "a==7.5", "b"] {
        let told = world.fails(&[line]).await;
        assert_eq!(told.kind, Kind::Unsatisfiable, "{line}: {}", told.uv);
        let wanted = if line == "b" { "a>=9" } else { line };
        let sentence = format!("{line} cannot be met: no version on the index suits {wanted}");
        assert_eq!(told.sentence, sentence, "{}", told.uv);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_is_too_old_is_explained() {
    let Some(world) = World::open().await else { return };
    let inside = metadata("b", "1.0", &[]) + "Requires-Python: >=3.98\n";
    world.server.project(
        "a",
        &[Upload {
            requires_python: Some(">=3.99"),
            ..wheel("a", "1.0", &[], 5)
        }],
    );
    world.server.project(
        "b",
        &[Upload {
            metadata: Some(inside),
            ..wheel("b", "1.0", &[], 5)
        }],
    );
    for (line, wants) in [("a", "Python>=3.99"), ("b", "Python>=3.98")] {
        let told = world.fails(&[line]).await;
        assert_eq!(
            told.kind,
            Kind::PythonTooOld { wants: wants.into() },
            "{}",
            told.uv
        );
        assert!(
            told.sentence.ends_with(&format!("{wants} is needed")),
            "{}",
            told.sentence
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_explained() {
    let Some(world) = World::open().await else { return };
    world.server.project("a", &[wheel("a", "1.0", &["c<2"], 5)]);
    world.server.project("b", &[wheel("b", "1.0", &["c>=2"], 5)]);
    world
        .server
        .project("c", &[wheel("c", "1.0", &[], 5), wheel("c", "2.0", &[], 5)]);
    for lines in [&["a", "b"][..], &["a", "c>=2"], &["c<2", "c>=2"]] {
        let told = world.fails(lines).await;
        assert_eq!(told.kind, Kind::Conflict, "{lines:?}: {}", told.uv);
        assert!(
            told.sentence
                .ends_with("together: c<2 and c>=2 exclude each other"),
            "{}\n{}",
            told.sentence,
            told.uv
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lens_that_is_down_is_explained() {
    let Some(mut world) = World::open().await else {
        return;
    };
    // a port where nobody listens
    world.port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let path = world.lens.open_view(world.view());
    let told = world.lock(&path, &["a"]).await.unwrap_err();
    assert_eq!(told.kind, Kind::Lens, "{}", told.uv);
    assert!(
        told.sentence.contains("could not be looked up"),
        "{}",
        told.sentence
    );
}
