//! What an index tells about all its projects: from a real server, with everything that it can do wrong.

use pyti_fixtures::{Fault, Faults, LocalIndex};
use pyti_index::feeds::Places;
use pyti_index::{FileStore, Index, IndexError, Settings};
use url::Url;

struct World {
    index: Index,
    places: Places,
    _folder: tempfile::TempDir,
}

fn world(server: &LocalIndex) -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::parse(&server.url()).unwrap();
    let settings = Settings {
        retries: 1,
        timeout: std::time::Duration::from_secs(1),
        ..Settings::only(url.clone())
    };
    let store = FileStore::open(&folder.path().join("files")).unwrap();
    let index = Index::new(settings, store, &folder.path().join("cache"), false).unwrap();
    World {
        index,
        places: Places::beside(&url).unwrap(),
        _folder: folder,
    }
}

fn server(faults: Faults) -> LocalIndex {
    let server = LocalIndex::start(Vec::new(), faults).unwrap();
    server.upload("alpha-1.0.tar.gz", b"first".to_vec()).unwrap();
    server
        .upload("alpha-1.0-py3-none-any.whl", b"second".to_vec())
        .unwrap();
    server.upload("beta_two-0.1.tar.gz", b"third".to_vec()).unwrap();
    server
}

#[tokio::test]
async fn uploads_are_told() {
    let server = server(Faults::none());
    let world = world(&server);
    let changes = world
        .index
        .changes_since(&world.places.changelog, 0)
        .await
        .unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.project.as_str(), change.action.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("alpha", "create"),
            ("alpha", "new release"),
            ("alpha", "add source file alpha-1.0.tar.gz"),
            ("alpha", "add py3 file alpha-1.0-py3-none-any.whl"),
            ("beta-two", "create"),
            ("beta-two", "new release"),
            ("beta-two", "add source file beta_two-0.1.tar.gz"),
        ]
    );
    let newest = world.index.last_serial(&world.places.changelog).await.unwrap();
    assert_eq!(newest, changes.last().unwrap().serial);
    let none = world
        .index
        .changes_since(&world.places.changelog, newest)
        .await
        .unwrap();
    assert_eq!(none, []);
    assert_eq!(
        world.index.newest_projects(&world.places.newest).await.unwrap(),
        ["beta-two", "alpha"]
    );
    let root = world.index.root(&world.places.root, None).await.unwrap().unwrap();
    assert_eq!(root.projects[1], ("beta-two".into(), Some(newest)));
    // nothing new: nothing is sent
    assert_eq!(
        world.index.root(&world.places.root, root.etag).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_page_is_asked_for_anew_and_has_its_serial() {
    let server = server(Faults::none());
    let world = world(&server);
    let before = world.index.project("alpha").await.unwrap();
    server.upload("alpha-2.0.tar.gz", b"fourth".to_vec()).unwrap();
    assert_eq!(world.index.project("alpha").await.unwrap().files.len(), 2);
    let now = world.index.project_now("alpha").await.unwrap();
    assert_eq!(now.files.len(), 3);
    assert!(now.serial > before.serial);
}

#[tokio::test]
async fn what_is_no_feed_is_an_error_that_says_so() {
    for (fault, word) in [
        (Fault::Html, "no feed"),
        (Fault::Status { code: 405, times: 99 }, "405"),
        (Fault::Stall, "no answer"),
        (Fault::Truncate { after: 100 }, "no answer"),
        (Fault::Close, "no answer"),
    ] {
        let server = server(Faults::none().on("/pypi", fault).on("/rss", fault));
        let world = world(&server);
        let error = world
            .index
            .changes_since(&world.places.changelog, 0)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(word), "{fault:?}: {error}");
        assert!(!matches!(error, IndexError::Storage { .. }));
        let error = world
            .index
            .newest_projects(&world.places.newest)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(word), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn an_index_without_serials_has_a_root_without_them() {
    let server = server(Faults::none().on("/simple/", Fault::NoSerials));
    let world = world(&server);
    let root = world.index.root(&world.places.root, None).await.unwrap().unwrap();
    assert!(root.projects.iter().all(|(_, serial)| serial.is_none()));
    let alpha = world.index.project("alpha").await.unwrap();
    assert_eq!(alpha.serial, None);
}
