//! Segments and files: wrong digests, halves, too much, and what no lease is good for.

use pyti_command::raw::{NextSegment, SEGMENT_BYTES, StreamName, file_path, segment_path, stream_path};
use pyti_dispatch::Lease;

use crate::support::{Running, Worker, content_digest, frame, manifest, sha256};

fn ready() -> (Running, Worker, pyti_command::order::WorkOrder) {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    (running, worker, order)
}

#[test]
fn segments_are_immutable_and_what_their_digest_says() {
    let (running, worker, order) = ready();
    let lease = order.lease;
    let (one, two) = (frame(&["one".into()]), frame(&["two".into()]));
    let next = || {
        let got = worker
            .client
            .send("GET", &stream_path(&lease, StreamName::Events), &[], b"");
        serde_json::from_slice::<NextSegment>(&got.body).unwrap().next
    };
    assert_eq!(next(), 0);
    assert_eq!(worker.put(&lease, StreamName::Events, 0, &one).status, 204);
    assert_eq!(worker.put(&lease, StreamName::Events, 0, &one).status, 204);
    assert_eq!(worker.put(&lease, StreamName::Events, 0, &two).status, 409);
    let wrong = worker.put_as(&lease, StreamName::Events, 1, &two, &sha256(&one));
    assert_eq!(wrong.status, 422);
    assert_eq!(next(), 1);
    // no frame, two frames, half a frame
    for bad in [
        b"plain text".to_vec(),
        [one.clone(), two.clone()].concat(),
        two[..two.len() / 2].to_vec(),
    ] {
        assert_eq!(worker.put(&lease, StreamName::Events, 1, &bad).status, 422);
    }
    let path = segment_path(&lease, StreamName::Events, 1);
    assert_eq!(worker.client.send("PUT", &path, &[], &two).status, 400);
    let far = segment_path(&lease, StreamName::Events, 4096);
    let digest = content_digest(&sha256(&two));
    let put = worker
        .client
        .send("PUT", &far, &[("Content-Digest", &digest)], &two);
    assert_eq!(put.status, 413);
    for nowhere in [
        "/raw/v1/xyz/events/0",
        "/raw/v1/00000000000000000000000000000000/secrets/0",
    ] {
        let put = worker
            .client
            .send("PUT", nowhere, &[("Content-Digest", &digest)], &two);
        assert_eq!(put.status, 404, "{nowhere}");
    }
    let unknown = Lease([9; 16]);
    assert_eq!(worker.put(&unknown, StreamName::Events, 0, &one).status, 410);
    let mut stranger = running.stranger();
    let put = stranger.send("PUT", &path, &[("Content-Digest", &digest)], &two);
    assert_eq!(put.status, 401);
    stranger.token = worker.client.token.clone();
    let put = stranger.send("PUT", &path, &[("Content-Digest", &digest)], &two);
    assert_eq!(put.status, 204, "{}", put.text());
}

#[test]
fn half_a_segment_is_none() {
    let (running, worker, order) = ready();
    let one = frame(&["one".into()]);
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Digest: {}\r\nContent-Length: {}\r\n\r\n",
        segment_path(&order.lease, StreamName::Events, 0),
        worker.client.token.as_ref().unwrap().expose(),
        content_digest(&sha256(&one)),
        one.len()
    );
    {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(running.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&one[..one.len() / 2]).unwrap();
        // and the connection ends here
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let got = worker
        .client
        .send("GET", &stream_path(&order.lease, StreamName::Events), &[], b"");
    assert_eq!(got.json()["next"], 0);
    assert_eq!(worker.put(&order.lease, StreamName::Events, 0, &one).status, 204);
}

#[test]
fn ten_gigabytes_are_refused_before_a_byte_is_read() {
    let (running, worker, order) = ready();
    let began = std::time::Instant::now();
    for (length, status) in [(10_u64 << 30, 413), (SEGMENT_BYTES as u64 + 1, 413)] {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Digest: {}\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
            segment_path(&order.lease, StreamName::Events, 0),
            worker.client.token.as_ref().unwrap().expose(),
            content_digest(&sha256(b"")),
        );
        let got = running.stranger().bytes(head.as_bytes());
        assert_eq!(got.status, status, "{got:?}");
        assert!(!got.head.contains("100 Continue"));
    }
    let big = 10_u64 << 30;
    let put = format!(
        "PUT {}?name=six-2.0.tar.gz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {big}\r\n\r\n",
        file_path(&sha256(b""))
    );
    assert_eq!(running.local().bytes(put.as_bytes()).status, 413);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn a_lease_brings_at_most_its_quota() {
    let running = Running::with(|config| config.quota_bytes = 3000);
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let lease = worker.claim(0).orders.remove(0).lease;
    let noise = |n: u8| {
        let bytes: Vec<u8> = (0..30)
            .flat_map(|block: u8| {
                let hash = ring::digest::digest(&ring::digest::SHA256, &[n, block]);
                hash.as_ref().to_vec()
            })
            .collect();
        zstd::bulk::compress(&bytes, 1).unwrap()
    };
    let statuses: Vec<u16> = (0..4)
        .map(|n| {
            worker
                .put(&lease, StreamName::Events, u32::from(n), &noise(n))
                .status
        })
        .collect();
    assert_eq!(statuses, [204, 204, 204, 413]);
}

#[test]
fn a_file_is_only_for_who_works_on_it() {
    let (running, worker, order) = ready();
    running.submit("other-1.0.tar.gz", b"another sdist");
    let lease = order.lease.to_string();
    let get = |digest: &pyti_model::Digest, lease: &str| {
        worker
            .client
            .send("GET", &file_path(digest), &[("PyTI-Lease", lease)], b"")
            .status
    };
    assert_eq!(get(&order.file.sha256, &lease), 200);
    assert_eq!(get(&sha256(b"another sdist"), &lease), 403);
    assert_eq!(get(&order.file.sha256, "nonsense"), 400);
    assert_eq!(get(&order.file.sha256, &Lease([1; 16]).to_string()), 410);
    let path = file_path(&order.file.sha256);
    let stranger = running
        .stranger()
        .send("GET", &path, &[("PyTI-Lease", &lease)], b"");
    assert_eq!(stranger.status, 401);
    let other = Worker::ready(&running, "w2");
    let got = other.client.send("GET", &path, &[("PyTI-Lease", &lease)], b"");
    assert_eq!(got.status, 410);
}

#[test]
fn a_file_that_is_put_has_its_digest_and_a_name() {
    let running = Running::start();
    let digest = sha256(b"an sdist");
    let put = |client: &crate::support::Client, name: &str, bytes: &[u8]| {
        let path = format!("{}?name={name}", file_path(&digest));
        client.send("PUT", &path, &[], bytes).status
    };
    let local = running.local();
    assert_eq!(put(&running.stranger(), "six-1.0.tar.gz", b"an sdist"), 401);
    assert_eq!(put(&local, "six-1.0.tar.gz", b"something else"), 422);
    for bad in ["", "..%2Fsix-1.0.tar.gz", "six.exe", "six-1.0.tar.gz%0A"] {
        assert_eq!(put(&local, bad, b"an sdist"), 400, "{bad}");
    }
    assert_eq!(put(&local, "six-1.0.tar.gz", b"an sdist"), 204);
    assert_eq!(put(&local, "six-1.0.tar.gz", b"an sdist"), 204);
}

#[test]
fn a_manifest_names_everything_that_was_put() {
    let (running, worker, order) = ready();
    let recording = crate::support::decided(&order);
    assert_eq!(
        worker.put(&order.lease, StreamName::Events, 0, &recording).status,
        204
    );
    let more = frame(&["more".into()]);
    assert_eq!(worker.put(&order.lease, StreamName::Events, 1, &more).status, 204);
    worker.complete(order.lease, manifest(&[&recording]));
    let view = running.local().get_job(order.job, 0);
    assert_eq!((view.faults, view.result.is_none()), (1, true));
}
