//! Submissions of what an index has: expanded, captured, and done.

use pyti_command::job::{Submit, SubmitParams, SubmitTarget, Submitted};
use pyti_command::raw::file_path;
use pyti_command::rpc::codes;
use pyti_fixtures::{Faults, LocalIndex};

use crate::support::{Running, Worker, decided};

fn submit(key: &str, target: &str) -> SubmitParams {
    SubmitParams {
        key: key.to_owned(),
        target: target.parse().unwrap(),
        python: Vec::new(),
        platform: Some("linux/x86_64".parse().unwrap()),
        isolation: None,
        options: pyti_command::order::Options::default(),
        priority: None,
        again: false,
    }
}

fn index() -> LocalIndex {
    let index = LocalIndex::start(Vec::new(), Faults::none()).unwrap();
    for version in ["1.0", "1.1"] {
        index
            .upload(
                &format!("sample-{version}-py3-none-any.whl"),
                format!("wheel {version}").into(),
            )
            .unwrap();
        index
            .upload(
                &format!("sample-{version}.tar.gz"),
                format!("sdist {version}").into(),
            )
            .unwrap();
    }
    index
}

fn names(submitted: &Submitted) -> Vec<&str> {
    submitted.jobs.iter().map(|job| job.file.as_str()).collect()
}

#[test]
fn a_name_becomes_the_files_that_a_user_would_get_and_they_are_captured() {
    let index = index();
    let running = Running::with_index(&index.url());
    let local = running.local();
    let submitted = local.ok::<Submit>(&submit("key-00001", "Sample"));
    assert_eq!(
        (submitted.project.as_str(), submitted.version.as_str()),
        ("sample", "1.1")
    );
    assert_eq!(
        names(&submitted),
        ["sample-1.1-py3-none-any.whl", "sample-1.1.tar.gz"]
    );
    let mut worker = Worker::ready(&running, "w1");
    let mut orders = Vec::new();
    for _ in 0..2 {
        orders.extend(worker.claim(20).orders);
    }
    orders.sort_by_key(|order| order.job);
    assert_eq!(orders.len(), 2);
    // the wheel's tests are in the sdist; the sdist's build is compared with the wheel, which has the tests
    assert!(orders[0].spec.run_tests && !orders[1].spec.run_tests);
    for order in &orders {
        let lease = order.lease.to_string();
        let get = |digest| {
            let path = file_path(digest);
            worker.client.send("GET", &path, &[("PyTI-Lease", &lease)], b"")
        };
        let kind = if order.spec.run_tests { "wheel" } else { "sdist" };
        assert_eq!(get(&order.file.sha256).text(), format!("{kind} 1.1"));
        if let Some(other) = order.companion.as_ref().or(order.published.as_ref()) {
            assert_eq!(get(&other.sha256).status, 200);
        }
        worker.deliver(order.lease, &decided(order));
    }
    // what was captured stays when the index takes it away
    index.remove("sample-1.1.tar.gz");
    let again = SubmitParams {
        again: true,
        ..submit("key-00002", orders[1].file.sha256.as_str())
    };
    let again = local.ok::<Submit>(&again);
    assert!(again.jobs[0].new);
    assert_eq!(worker.claim(10).orders.len(), 1);
}

#[test]
fn a_submission_is_done_once_by_its_key() {
    let index = index();
    let running = Running::with_index(&index.url());
    let local = running.local();
    let first = local.ok::<Submit>(&submit("key-00001", "sample==1.0"));
    assert_eq!(first.version, "1.0");
    assert!(first.jobs.iter().all(|job| job.new));
    assert_eq!(local.ok::<Submit>(&submit("key-00001", "sample==1.0")), first);
    // the same key for something else is a mistake
    assert_eq!(
        local.code::<Submit>(&submit("key-00001", "sample==1.1")),
        codes::CONFLICT
    );
    // another key finds the same jobs
    let other = local.ok::<Submit>(&submit("key-00002", "sample==1.0"));
    assert!(other.jobs.iter().all(|job| !job.new));
    assert_eq!(other.jobs[0].job, first.jobs[0].job);
    for bad in ["short", "has space", &"x".repeat(65)] {
        assert_eq!(
            local.code::<Submit>(&submit(bad, "sample")),
            codes::INVALID_PARAMS
        );
    }
}

#[test]
fn only_addresses_that_the_index_names_are_fetched() {
    let index = index();
    let running = Running::with_index(&index.url());
    let local = running.local();
    let page = running.controller.index().unwrap().clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let project = runtime.block_on(page.project("sample")).unwrap();
    let mut url = project.files[0].url.clone();
    url.set_fragment(None);
    let good = local.ok::<Submit>(&submit("key-00001", url.as_str()));
    assert_eq!(names(&good), [project.files[0].filename.as_str()]);
    let port = index.port();
    for (n, bad) in [
        "http://169.254.169.254/sample-1.0.tar.gz".to_owned(),
        format!("http://127.0.0.1:{port}/elsewhere/sample-1.0.tar.gz"),
        "file:///etc/sample-1.0.tar.gz".to_owned(),
        format!("http://127.0.0.1:{port}/"),
    ]
    .iter()
    .enumerate()
    {
        let code = local.code::<Submit>(&submit(&format!("key-bad-{n}"), bad));
        assert!(
            [codes::NOT_FOUND, codes::INVALID_PARAMS].contains(&code),
            "{bad}: {code}"
        );
    }
    for (n, target) in ["no-such-project", "sample==9"].iter().enumerate() {
        let code = local.code::<Submit>(&submit(&format!("key-none-{n}"), target));
        assert!(
            [codes::INDEX, codes::NOT_FOUND].contains(&code),
            "{target}: {code}"
        );
    }
    let unknown = SubmitTarget::File {
        sha256: crate::support::sha256(b"nothing"),
    };
    let params = SubmitParams {
        target: unknown,
        ..submit("key-00009", "x")
    };
    assert_eq!(local.code::<Submit>(&params), codes::NOT_FOUND);
}
