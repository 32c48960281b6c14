//! JSON-RPC over HTTP: every standard error, batches, notifications, limits, hosts.

use pyti_command::job::{Cancel, CancelParams, Get, GetParams};
use pyti_command::rpc::{BATCH, BODY_BYTES, codes};
use pyti_dispatch::JobId;
use serde_json::{Value, json};

use crate::support::{Running, Worker};

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

#[test]
fn every_standard_error_is_told_with_its_id() {
    let running = Running::start();
    let ask = |body: &str| {
        let got = running.stranger().post(body.as_bytes());
        assert_eq!(got.status, 200, "{body}: {got:?}");
        got.json()
    };
    for (body, expected, id) in [
        ("{", codes::PARSE, Value::Null),
        ("[]", codes::INVALID_REQUEST, Value::Null),
        ("{\"id\": 5}", codes::INVALID_REQUEST, json!(5)),
        (
            r#"{"jsonrpc":"2.0","method":"no.such","id":"x"}"#,
            codes::METHOD_NOT_FOUND,
            json!("x"),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"job.get","params":{"job":"one"},"id":1}"#,
            codes::INVALID_PARAMS,
            json!(1),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"job.get","id":2}"#,
            codes::INVALID_PARAMS,
            json!(2),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"job.get","params":{"job":99},"id":3}"#,
            codes::NOT_FOUND,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"admin.status","id":4}"#,
            codes::UNAUTHORIZED,
            json!(4),
        ),
    ] {
        let answer = ask(body);
        assert_eq!(code(&answer), i64::from(expected), "{body}: {answer}");
        assert_eq!(answer["id"], id, "{body}");
        assert_eq!(answer["jsonrpc"], "2.0");
    }
    // and the twin: parameters by name and by place
    for good in [
        r#"{"jsonrpc":"2.0","method":"result.query","params":{"most":1},"id":9}"#,
        r#"{"jsonrpc":"2.0","method":"feed.status","params":[],"id":9}"#,
        r#"{"jsonrpc":"2.0","method":"rpc.discover","id":9}"#,
    ] {
        assert!(ask(good)["result"].is_object(), "{good}");
    }
}

#[test]
fn batches_are_answered_each_and_notifications_not_at_all() {
    let running = Running::start();
    let call = |id: u64| json!({"jsonrpc": "2.0", "method": "job.get", "params": {"job": 1}, "id": id});
    let notice = json!({"jsonrpc": "2.0", "method": "job.cancel", "params": {"job": 1}});
    let submitted = running.submit("six-1.0.tar.gz", b"an sdist");
    assert_eq!(submitted.jobs[0].job, JobId(1));
    let local = running.local();
    let got = local.post(json!([call(1), notice, 7, call(2)]).to_string().as_bytes());
    let answers = got.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((&answers[0]["id"], &answers[2]["id"]), (&json!(1), &json!(2)));
    assert_eq!(code(&answers[1]), i64::from(codes::INVALID_REQUEST));
    // the notification was parsed and changed nothing
    assert_eq!(answers[2]["result"]["state"], "queued");
    let got = local.post(json!([notice, notice]).to_string().as_bytes());
    assert_eq!((got.status, got.body.len()), (204, 0));
    let got = local.post(notice.to_string().as_bytes());
    assert_eq!((got.status, got.body.len()), (204, 0));
    // as a call it does
    local.ok::<Cancel>(&CancelParams { job: JobId(1) });
    assert!(local.get_job(JobId(1), 0).ended);
    let many: Vec<_> = (0..=BATCH as u64).map(call).collect();
    let got = local.post(Value::from(many).to_string().as_bytes());
    assert_eq!(code(&got.json()), i64::from(codes::INVALID_REQUEST));
    let many: Vec<_> = (0..BATCH as u64).map(call).collect();
    let got = local.post(Value::from(many).to_string().as_bytes());
    assert_eq!(got.json().as_array().unwrap().len(), BATCH);
}

#[test]
fn nothing_waits_in_a_batch() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let call = |wait: u32| json!([{"jsonrpc": "2.0", "method": "job.get", "params": {"job": 1, "wait_s": wait}, "id": 1}]);
    let local = running.local();
    let refused = local.post(call(5).to_string().as_bytes()).json();
    assert_eq!(code(&refused[0]), i64::from(codes::NOT_IN_A_BATCH));
    let taken = local.post(call(0).to_string().as_bytes()).json();
    assert!(taken[0]["result"].is_object());
    let worker = Worker::ready(&running, "w1");
    let claim = json!([{"jsonrpc": "2.0", "method": "work.claim", "id": 1,
        "params": {"boot": 1, "request": 1, "slots": 1, "wait_s": 5}}]);
    let refused = worker.client.post(claim.to_string().as_bytes()).json();
    assert_eq!(code(&refused[0]), i64::from(codes::NOT_IN_A_BATCH));
}

#[test]
fn bodies_have_an_end_a_kind_and_a_depth() {
    let running = Running::start();
    let stranger = running.stranger();
    let call = r#"{"jsonrpc":"2.0","method":"feed.status","id":1}"#;
    let padded = |n: usize| format!("{call}{}", " ".repeat(n - call.len()));
    assert_eq!(stranger.post(padded(BODY_BYTES).as_bytes()).status, 200);
    assert_eq!(stranger.post(padded(BODY_BYTES + 1).as_bytes()).status, 413);
    // without a length, too
    let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", BODY_BYTES + 1, padded(BODY_BYTES + 1));
    let head = "POST /rpc/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    assert_eq!(stranger.bytes(format!("{head}{chunk}").as_bytes()).status, 413);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","method":"feed.status","params":{}{},"id":1}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    assert_eq!(
        code(&stranger.post(deep.as_bytes()).json()),
        i64::from(codes::PARSE)
    );
    let form = stranger.send(
        "POST",
        "/rpc/v1",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        call.as_bytes(),
    );
    assert_eq!(form.status, 415);
    assert_eq!(stranger.send("GET", "/rpc/v1", &[], b"").status, 405);
    let kind = [("Content-Type", "application/json; charset=utf-8")];
    assert_eq!(
        stranger.send("POST", "/rpc/v1", &kind, call.as_bytes()).status,
        200
    );
}

#[test]
fn only_our_own_hosts_are_answered() {
    let running = Running::with(|config| config.hosts = vec!["pyti.example".to_owned()]);
    let stranger = running.stranger();
    let ask = |target: &str, hosts: &str| {
        let body = r#"{"jsonrpc":"2.0","method":"feed.status","id":1}"#;
        let head = format!(
            "POST {target} HTTP/1.1\r\n{hosts}Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stranger.bytes(format!("{head}{body}").as_bytes()).status
    };
    assert_eq!(ask("/rpc/v1", "Host: localhost\r\n"), 200);
    assert_eq!(ask("/rpc/v1", "Host: PYTI.example:8021\r\n"), 200);
    assert_eq!(ask("http://localhost/rpc/v1", "Host: localhost\r\n"), 200);
    assert_eq!(ask("/rpc/v1", "Host: evil.example\r\n"), 403);
    assert_eq!(ask("/rpc/v1", "Host: pyti.example.evil.example\r\n"), 403);
    assert_eq!(ask("/rpc/v1", ""), 400);
    assert_eq!(ask("/rpc/v1", "Host: localhost\r\nHost: evil.example\r\n"), 400);
    assert_eq!(ask("http://evil.example/rpc/v1", "Host: localhost\r\n"), 400);
}

#[test]
fn a_question_with_patience_is_answered_when_the_job_ends() {
    let running = Running::start();
    let job = running.submit("six-1.0.tar.gz", b"an sdist").jobs[0].job;
    let local = running.local();
    let waiting = std::thread::spawn(move || local.ok::<Get>(&GetParams { job, wait_s: 20 }));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!waiting.is_finished());
    running.local().ok::<Cancel>(&CancelParams { job });
    let began = std::time::Instant::now();
    assert!(waiting.join().unwrap().ended);
    assert!(began.elapsed().as_secs() < 10);
}
