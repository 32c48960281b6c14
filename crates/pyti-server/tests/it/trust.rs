//! Who may do what: joining, sessions, revocation, tokens, the local socket.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use pyti_command::rpc::{AnswerError, codes};
use pyti_command::trust::{Nonce, Scope, Signature};
use pyti_command::version::Range;
use pyti_command::work::{Claim, ClaimParams};
use pyti_command::worker::{ChallengeParams, Hello, HelloParams, SessionParams};
use pyti_command::{Nothing, Secret, admin, job, worker};
use pyti_dispatch::{Order, Standing};

use crate::support::{Running, Worker, data, decided, join_token, offers, sha256};

fn code(outcome: Result<impl std::fmt::Debug, AnswerError>) -> i32 {
    match outcome {
        Err(AnswerError::Rpc(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_join_token_lets_one_worker_in_once() {
    let running = Running::start();
    let token = join_token(&running);
    let mut first = Worker::new(running.stranger(), "w1");
    // without a token it waits
    assert_eq!(first.enrol(None).unwrap().standing, Standing::Pending);
    assert_eq!(code(first.session()), codes::NOT_APPROVED);
    assert_eq!(
        first.enrol(Some(token.secret.clone())).unwrap().standing,
        Standing::Active
    );
    // its answer was lost: the same again
    assert_eq!(
        first.enrol(Some(token.secret.clone())).unwrap().standing,
        Standing::Active
    );
    first.session().unwrap();
    first.hello();
    let second = Worker::new(running.stranger(), "w2");
    assert_eq!(code(second.enrol(Some(token.secret))), codes::FORBIDDEN);
    assert_eq!(code(second.enrol(Some(Secret::new("guess")))), codes::FORBIDDEN);
    // a name belongs to its key
    let thief = Worker::new(running.stranger(), "w1");
    assert_eq!(code(thief.enrol(None)), codes::CONFLICT);
    let token = join_token(&running);
    assert_eq!(code(thief.enrol(Some(token.secret.clone()))), codes::CONFLICT);
    // and the token was not used up by it
    assert_eq!(
        second.enrol(Some(token.secret)).unwrap().standing,
        Standing::Active
    );
}

#[test]
fn without_a_token_somebody_must_approve() {
    let running = Running::start();
    let mut worker = Worker::new(running.stranger(), "w1");
    assert_eq!(worker.enrol(None).unwrap().standing, Standing::Pending);
    assert_eq!(code(worker.session()), codes::NOT_APPROVED);
    let params = admin::WorkerParams {
        worker: "w1".parse().unwrap(),
    };
    assert_eq!(
        running.stranger().code::<admin::Approve>(&params),
        codes::UNAUTHORIZED
    );
    running.local().ok::<admin::Approve>(&params);
    worker.session().unwrap();
    worker.hello();
    assert!(worker.claim(0).orders.is_empty());
    let nobody = admin::WorkerParams {
        worker: "w9".parse().unwrap(),
    };
    assert_eq!(running.local().code::<admin::Approve>(&nobody), codes::NOT_FOUND);
}

#[test]
fn a_token_for_one_worker_is_for_no_other_and_can_be_taken_back() {
    let running = Running::start();
    let local = running.local();
    let make = |name: &str| {
        let made = local.ok::<admin::CreateJoin>(&admin::CreateJoinParams {
            valid_s: Some(60),
            worker: Some(name.parse().unwrap()),
        });
        let token: pyti_command::trust::JoinToken = made.token.expose().parse().unwrap();
        (made.id, token.secret)
    };
    let (id, secret) = make("w1");
    assert_eq!(
        code(Worker::new(running.stranger(), "w2").enrol(Some(secret.clone()))),
        codes::FORBIDDEN
    );
    assert_eq!(local.ok::<admin::Joins>(&Nothing {}).tokens.len(), 1);
    local.ok::<admin::RevokeJoin>(&admin::TokenParams { id: id.clone() });
    assert_eq!(
        local.code::<admin::RevokeJoin>(&admin::TokenParams { id }),
        codes::NOT_FOUND
    );
    assert_eq!(
        code(Worker::new(running.stranger(), "w1").enrol(Some(secret))),
        codes::FORBIDDEN
    );
    let (_, secret) = make("w1");
    assert!(Worker::new(running.stranger(), "w1").enrol(Some(secret)).is_ok());
}

#[test]
fn a_session_needs_a_fresh_signature_by_the_workers_own_key() {
    let running = Running::start();
    let mut worker = Worker::new(running.local(), "w1");
    worker.enrol(None).unwrap();
    let stranger = running.stranger();
    let ask = |nonce, signature| {
        stranger.code::<worker::Session>(&SessionParams {
            worker: "w1".parse().unwrap(),
            nonce,
            signature,
        })
    };
    let nonce = stranger
        .ok::<worker::Challenge>(&ChallengeParams {
            worker: "w1".parse().unwrap(),
        })
        .nonce;
    assert_eq!(ask(nonce, Signature([0; 64])), codes::UNAUTHORIZED);
    assert_eq!(ask(Nonce([1; 40]), Signature([2; 64])), codes::UNAUTHORIZED);
    // somebody who is not known is asked to sign like all others
    let unknown = Worker::new(running.stranger(), "nobody").session();
    assert_eq!(code(unknown), codes::UNAUTHORIZED);
    worker.session().unwrap();
    worker.hello();
    // a session that was made up, and one that is over
    let mut made_up = worker.client.clone();
    made_up.token = Some(Secret::new(format!("pyti-session-1.{}", "0".repeat(64))));
    let claim = ClaimParams {
        boot: 1,
        request: 1,
        slots: 1,
        wait_s: 0,
    };
    assert_eq!(made_up.code::<Claim>(&claim), codes::UNAUTHORIZED);
    assert_eq!(worker.client.code::<Claim>(&claim), 0);
    let token = worker.client.token.clone().unwrap();
    let hash = sha256(token.expose().as_bytes());
    let id = &hash.as_str()[..16];
    let kept = running
        .controller
        .store()
        .keep_get("session", id)
        .unwrap()
        .unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(&token.expose()["pyti-session-1.".len()..]));
    // ten minutes later
    running
        .controller
        .store()
        .keep_put("session", id, &kept, Some(1))
        .unwrap();
    assert_eq!(worker.client.code::<Claim>(&claim), codes::UNAUTHORIZED);
    worker.session().unwrap();
    assert_eq!(worker.client.code::<Claim>(&claim), 0);
}

#[test]
fn a_revocation_acts_on_the_next_request_and_ends_an_open_long_poll() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    let lease = order.lease;
    let mut waiting = Worker::new(running.local(), "w1");
    waiting.client = worker.client.clone();
    let poll = std::thread::spawn(move || {
        let began = Instant::now();
        let outcome = waiting.client.code::<Claim>(&ClaimParams {
            boot: 1,
            request: 9,
            slots: 1,
            wait_s: 25,
        });
        (outcome, began.elapsed())
    });
    std::thread::sleep(Duration::from_millis(400));
    let revoked = running.local().ok::<admin::Revoke>(&admin::RevokeParams {
        worker: "w1".parse().unwrap(),
        retest: false,
    });
    assert_eq!(revoked.requeued, [order.job]);
    let (outcome, took) = poll.join().unwrap();
    assert_eq!(outcome, codes::REVOKED);
    assert!(took < Duration::from_secs(5), "{took:?}");
    // its session is still good for nothing
    assert_eq!(
        worker
            .client
            .code::<pyti_command::work::Renew>(&pyti_command::work::RenewParams { leases: vec![] }),
        codes::REVOKED
    );
    let put = worker.put(&lease, pyti_command::raw::StreamName::Events, 0, &decided(&order));
    assert_eq!(put.status, 403);
    assert_eq!(code(worker.session()), codes::REVOKED);
    assert_eq!(code(worker.enrol(None)), codes::REVOKED);
    // and its job is another's, uncounted
    let mut other = Worker::ready(&running, "w2");
    let order = other.claim(0).orders.remove(0);
    assert_eq!(running.local().get_job(order.job, 0).lost, 0);
}

#[test]
fn what_a_revoked_worker_delivered_is_tested_again_if_asked() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut worker = Worker::ready(&running, "w1");
    let order = worker.claim(0).orders.remove(0);
    worker.deliver(order.lease, &decided(&order));
    let revoked = running.local().ok::<admin::Revoke>(&admin::RevokeParams {
        worker: "w1".parse().unwrap(),
        retest: true,
    });
    assert_eq!((revoked.delivered, revoked.retested), (vec![order.job], 1));
    let mut other = Worker::ready(&running, "w2");
    let again = other.claim(0).orders.remove(0);
    assert_eq!(again.key.generation, 1);
}

#[test]
fn tokens_open_what_they_are_for_and_nothing_else() {
    let running = Running::start();
    let local = running.local();
    let make = |scopes: Vec<Scope>| {
        local.ok::<admin::CreateToken>(&admin::CreateTokenParams {
            name: "ci".to_owned(),
            scopes,
            valid_s: None,
        })
    };
    running.submit("six-1.0.tar.gz", b"an sdist");
    let (submitter, administrator) = (make(vec![Scope::Submit]), make(vec![Scope::Admin]));
    let mut client = running.stranger();
    let cancel = job::CancelParams {
        job: pyti_dispatch::JobId(1),
    };
    assert_eq!(client.code::<job::Cancel>(&cancel), codes::UNAUTHORIZED);
    assert_eq!(client.code::<admin::Status>(&Nothing {}), codes::UNAUTHORIZED);
    client.token = Some(submitter.token.clone());
    assert_eq!(client.code::<admin::Status>(&Nothing {}), codes::FORBIDDEN);
    assert_eq!(client.code::<job::Cancel>(&cancel), 0);
    client.token = Some(administrator.token.clone());
    assert_eq!(client.code::<admin::Status>(&Nothing {}), 0);
    // a worker's session is no administrator's token, and the other way round
    let worker = Worker::ready(&running, "w1");
    assert_eq!(worker.client.code::<admin::Status>(&Nothing {}), codes::FORBIDDEN);
    let claim = ClaimParams {
        boot: 1,
        request: 1,
        slots: 1,
        wait_s: 0,
    };
    assert_eq!(client.code::<Claim>(&claim), codes::FORBIDDEN);
    // one letter off, and taken back
    let text = administrator.token.expose();
    let wrong = format!(
        "{}{}",
        &text[..text.len() - 1],
        if text.ends_with('0') { '1' } else { '0' }
    );
    client.token = Some(Secret::new(wrong));
    assert_eq!(client.code::<admin::Status>(&Nothing {}), codes::UNAUTHORIZED);
    client.token = Some(administrator.token.clone());
    local.ok::<admin::RevokeToken>(&admin::TokenParams {
        id: administrator.id.clone(),
    });
    assert_eq!(client.code::<admin::Status>(&Nothing {}), codes::UNAUTHORIZED);
    let listed = local.ok::<admin::Tokens>(&Nothing {});
    assert_eq!(listed.tokens.len(), 1);
    // what is kept is no token
    let kept = local.ok::<admin::Tokens>(&Nothing {});
    assert!(!format!("{kept:?}").contains(&submitter.token.expose()["pyti-api-1.".len()..]));
    for file in ["pyti.db", "pyti.db-wal"] {
        let bytes = std::fs::read(data(&running).join(file)).unwrap();
        let secret = &submitter.token.expose().as_bytes()["pyti-api-1.".len()..];
        assert!(!bytes.windows(secret.len()).any(|w| w == secret), "{file}");
    }
}

#[test]
fn only_an_administrator_lets_a_package_speak_with_the_real_network() {
    let running = Running::start();
    running.submit("six-1.0.tar.gz", b"an sdist");
    let mut client = running.stranger();
    let made = running
        .local()
        .ok::<admin::CreateToken>(&admin::CreateTokenParams {
            name: "ci".to_owned(),
            scopes: vec![Scope::Submit],
            valid_s: None,
        });
    client.token = Some(made.token);
    let submit = |allow: &[&str]| job::SubmitParams {
        key: format!("allowing-{}", allow.len()),
        target: job::SubmitTarget::File {
            sha256: sha256(b"an sdist"),
        },
        python: Vec::new(),
        platform: None,
        isolation: None,
        options: pyti_command::order::Options {
            allow: allow.iter().map(ToString::to_string).collect(),
            ..Default::default()
        },
        priority: None,
        again: false,
    };
    assert_eq!(
        client.code::<job::Submit>(&submit(&["files.example:443"])),
        codes::FORBIDDEN
    );
    assert_eq!(client.code::<job::Submit>(&submit(&[])), 0);
    assert_eq!(
        running
            .local()
            .code::<job::Submit>(&submit(&["files.example:443"])),
        0
    );
}

#[test]
fn everything_that_matters_is_in_the_audit_log() {
    let running = Running::start();
    let local = running.local();
    join_token(&running);
    let worker = Worker::ready(&running, "w1");
    local.ok::<admin::OrderWorker>(&admin::OrderParams {
        worker: worker.id.clone(),
        order: Order::Hold,
    });
    let lines = local.ok::<admin::Audit>(&admin::AuditParams::default()).lines;
    let what: Vec<_> = lines
        .iter()
        .map(|line| (line.who.as_str(), line.what.as_str()))
        .collect();
    assert_eq!(
        what,
        [
            ("local", "worker.order"),
            ("local", "worker.enrol"),
            ("local", "join.create")
        ]
    );
}

#[test]
fn a_worker_that_is_held_waits_and_goes_on_when_resumed() {
    let running = Running::start();
    let mut worker = Worker::ready(&running, "w1");
    let local = running.local();
    let order = |order| {
        local.ok::<admin::OrderWorker>(&admin::OrderParams {
            worker: "w1".parse().unwrap(),
            order,
        })
    };
    order(Order::Hold);
    running.submit("six-1.0.tar.gz", b"an sdist");
    let claiming = std::thread::spawn(move || worker.claim(20));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!claiming.is_finished());
    let began = Instant::now();
    order(Order::Resume);
    assert_eq!(claiming.join().unwrap().orders.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn versions_of_the_protocol_are_negotiated() {
    let running = Running::start();
    let worker = Worker::ready(&running, "w1");
    let hello = |min, max| {
        worker.client.call::<Hello>(&HelloParams {
            protocol: Range { min, max },
            boot: 1,
            offers: offers(),
            version: "9.9".to_owned(),
        })
    };
    assert_eq!(hello(1, 7).unwrap().protocol, 1);
    let Err(AnswerError::Rpc(error)) = hello(2, 7) else {
        panic!()
    };
    assert_eq!(error.code, codes::NO_COMMON_VERSION);
    assert_eq!(error.data.unwrap().protocol, Some(Range { min: 1, max: 1 }));
}

#[test]
fn the_socket_is_its_owners_alone() {
    let running = Running::start();
    let mode = std::fs::metadata(&running.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = std::fs::metadata(data(&running)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // over TCP the same calls need a token
    assert_eq!(running.local().code::<admin::Status>(&Nothing {}), 0);
    assert_eq!(
        running.stranger().code::<admin::Status>(&Nothing {}),
        codes::UNAUTHORIZED
    );
}

#[test]
fn strangers_who_call_too_often_must_wait_and_others_need_not() {
    let running = Running::start();
    let stranger = running.stranger();
    let params = ChallengeParams {
        worker: "w1".parse().unwrap(),
    };
    let outcomes: Vec<i32> = (0..80)
        .map(|_| stranger.code::<worker::Challenge>(&params))
        .collect();
    assert!(outcomes.contains(&codes::RATE_LIMITED));
    assert_eq!(outcomes[0], 0);
    let mut ready = Worker::ready(&running, "w2");
    assert!(ready.claim(0).orders.is_empty());
    assert_eq!(running.local().code::<admin::Status>(&Nothing {}), 0);
}
