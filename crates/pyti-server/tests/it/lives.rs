//! Controllers that die, that are two, that have no room, and that speak TLS.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyti_command::job::{Submit, SubmitParams, SubmitTarget};
use pyti_command::raw::{StreamName, file_path};
use pyti_command::result::{Query, QueryParams};
use pyti_command::work::{Claim, ClaimParams, Complete, CompleteParams, Taken, WorkOutcome};
use pyti_command::{Nothing, admin};
use pyti_dispatch::{JobId, State};
use pyti_server::{Controller, ServeConfig, ServerError, Tls, serve};
use pyti_store::StoreError;

use crate::support::{Client, Running, Worker, data, decided, join_token, manifest, program, sha256};

/// Names the folder of data of a controller in a process of its own.
const FOLDER: &str = "PYTI_TEST_SERVER_DATA";

fn config(folder: &Path) -> ServeConfig {
    let mut config = ServeConfig::at(folder.join("data"));
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.python = vec!["3.13".to_owned()];
    config
}

/// Not a test: the controller of the tests below, in a process that they kill.
#[test]
fn the_controller_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let controller = Controller::open(config(Path::new(&folder)), &program(), None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        controller.start().unwrap();
        let served = serve(&controller, None).await.unwrap();
        println!("@up");
        served.ended().await;
    });
}

fn start(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lives::the_controller_process", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("@up"))
    );
    child
}

fn wait_a_moment() {
    std::thread::sleep(Duration::from_millis(20));
}

fn submit(client: &Client, n: usize) -> JobId {
    let bytes = format!("an sdist {n}").into_bytes();
    let digest = sha256(&bytes);
    let path = format!("{}?name=sample{n}-1.0.tar.gz", file_path(&digest));
    while client.send("PUT", &path, &[], &bytes).status != 204 {
        wait_a_moment();
    }
    let params = SubmitParams {
        key: format!("submission-{n}"),
        target: SubmitTarget::File { sha256: digest },
        python: Vec::new(),
        platform: None,
        isolation: None,
        options: pyti_command::order::Options::default(),
        priority: None,
        again: false,
    };
    loop {
        match client.call::<Submit>(&params) {
            Ok(submitted) => return submitted.jobs[0].job,
            Err(_) => wait_a_moment(),
        }
    }
}

/// Works until it is told to stop; what was acknowledged is noted.
fn work(socket: PathBuf, name: &str, over: &AtomicBool, done: &Mutex<Vec<JobId>>) {
    let mut worker = Worker::new(Client::at(socket), name);
    while worker.enrol(None).is_err() {
        wait_a_moment();
    }
    let mut known = false;
    while !over.load(Ordering::Relaxed) {
        if !known {
            known = worker.try_begin();
            if !known {
                wait_a_moment();
                continue;
            }
        }
        worker.request += 1;
        let claim = ClaimParams {
            boot: worker.boot,
            request: worker.request,
            slots: 1,
            wait_s: 1,
        };
        let claimed = loop {
            match worker.client.call::<Claim>(&claim) {
                Ok(claimed) => break claimed,
                Err(_) if over.load(Ordering::Relaxed) => return,
                Err(_) => wait_a_moment(),
            }
        };
        for order in claimed.orders {
            let recording = decided(&order);
            let params = CompleteParams {
                lease: order.lease,
                outcome: WorkOutcome::Ran,
                manifest: manifest(&[&recording]),
            };
            loop {
                match worker
                    .client
                    .call::<Complete>(&params)
                    .map(|completed| completed.answer)
                {
                    Ok(Taken::Missing) => {
                        worker.put(&order.lease, StreamName::Events, 0, &recording);
                    }
                    Ok(Taken::Ok) => {
                        done.lock().unwrap().push(order.job);
                        break;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => wait_a_moment(),
                }
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill() {
    const JOBS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("data/pyti.sock");
    let mut child = start(folder.path());
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(Mutex::new(Vec::new()));
    let submitting = {
        let client = Client::at(socket.clone());
        std::thread::spawn(move || (0..JOBS).map(|n| submit(&client, n)).collect::<Vec<_>>())
    };
    let working: Vec<_> = ["w1", "w2"]
        .map(|name| {
            let (socket, over, done) = (socket.clone(), Arc::clone(&over), Arc::clone(&done));
            std::thread::spawn(move || work(socket, name, &over, &done))
        })
        .into();
    for round in 0..5 {
        std::thread::sleep(Duration::from_millis(150 + 170 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        child = start(folder.path());
    }
    let submitted = submitting.join().unwrap();
    let client = Client::at(socket);
    for job in &submitted {
        let mut view = client.get_job(*job, 0);
        for _ in 0..100 {
            if view.ended {
                break;
            }
            view = client.get_job(*job, 1);
        }
        assert_eq!(view.state, State::Done, "{view:?}");
        assert!(view.result.is_some());
    }
    over.store(true, Ordering::Relaxed);
    for thread in working {
        thread.join().unwrap();
    }
    let acknowledged: BTreeSet<_> = done.lock().unwrap().iter().copied().collect();
    assert_eq!(acknowledged, submitted.iter().copied().collect());
    let all = client.ok::<Query>(&QueryParams {
        after: Some(0),
        most: Some(200),
        ..QueryParams::default()
    });
    let results: BTreeSet<_> = all.results.iter().map(|result| result.job).collect();
    assert_eq!((all.results.len(), results.len()), (JOBS, JOBS));
    let checked = client.ok::<admin::CheckStore>(&admin::CheckParams { deep: true });
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_controller_is_refused() {
    let running = Running::start();
    let config = running.controller.config().clone();
    let second = Controller::open(config.clone(), &program(), None);
    assert!(matches!(second, Err(ServerError::Store(StoreError::InUse(_)))));
    // it did not take the socket of the first
    assert_eq!(running.local().code::<admin::Status>(&Nothing {}), 0);
}

#[test]
fn a_stop_ends_what_waits_and_what_is_there_is_there_afterwards() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let first = Running::on(Arc::clone(&folder), |_| {});
    let job = first.submit("six-1.0.tar.gz", b"an sdist").jobs[0].job;
    let mut worker = Worker::ready(&first, "w1");
    let order = worker.claim(0).orders.remove(0);
    let waiting = std::thread::spawn(move || {
        let claimed = worker.claim(25);
        (claimed, worker)
    });
    std::thread::sleep(Duration::from_millis(300));
    let began = std::time::Instant::now();
    drop(first);
    let (claimed, mut worker) = waiting.join().unwrap();
    assert!(claimed.orders.is_empty());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let second = Running::on(folder, |_| {});
    let token = worker.client.token.take();
    worker.client = second.local();
    worker.client.token = token;
    // the same session, the same lease
    assert_eq!(worker.deliver(order.lease, &decided(&order)).answer, Taken::Ok);
    assert_eq!(second.local().get_job(job, 5).state, State::Done);
}

/// Not a test: what the next one does where there is little room.
#[test]
fn the_process_with_a_full_disk() {
    let Some(folder) = std::env::var_os("PYTI_TEST_SERVER_FULL") else {
        return;
    };
    let folder = PathBuf::from(folder);
    std::fs::write(folder.join("ballast"), vec![1; 2 << 20]).unwrap();
    let controller = Controller::open(config(&folder), &program(), None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        controller.start().unwrap();
        serve(&controller, None).await.unwrap()
    });
    let client = Client::at(controller.config().socket.clone());
    let first = submit(&client, 0);
    let put = |n: usize| {
        let bytes: Vec<u8> = (0..4096_usize)
            .flat_map(|k| (k * 31 + n * 7919).to_le_bytes())
            .collect();
        let path = format!("{}?name=big{n}-1.0.tar.gz", file_path(&sha256(&bytes)));
        client.send("PUT", &path, &[], &bytes).status
    };
    let mut n = 0;
    let full = loop {
        n += 1;
        assert!(n < 2_000, "it does not get full");
        match put(n) {
            204 => {}
            other => break other,
        }
    };
    assert_eq!(full, 507);
    // reads go on, and what was acknowledged is there
    assert_eq!(client.get_job(first, 0).state, State::Queued);
    std::fs::remove_file(folder.join("ballast")).unwrap();
    assert_eq!(put(n), 204);
    submit(&client, 1);
    controller.stop();
    runtime.block_on(served.ended());
    println!("@held");
}

#[test]
fn a_full_disk_is_told_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=8m none \"$1\" && exec \"$2\" --exact lives::the_process_with_a_full_disk --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env("PYTI_TEST_SERVER_FULL", folder.path())
        .output();
    let Ok(output) = output else {
        println!("SKIPPED: no program `unshare` here, so there is no small file system to fill");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.starts_with("unshare:") || errors.starts_with("mount:") {
        println!("SKIPPED: no small file system to fill: {errors}");
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("@held"),
        "{text}\n{errors}"
    );
}

/// A call over TLS that trusts this certificate only, and the certificates that were shown.
fn over_tls(running: &Running, trusted: &[u8]) -> Result<(String, Vec<Vec<u8>>), String> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(trusted).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = std::net::TcpStream::connect(running.address).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, stream);
    let body = r#"{"jsonrpc":"2.0","method":"feed.status","id":1}"#;
    let head = format!(
        "POST /rpc/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tls.write_all(format!("{head}{body}").as_bytes())
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)
        .map_err(|error| error.to_string())?;
    let shown = tls.conn.peer_certificates().unwrap();
    Ok((answer, shown.iter().map(|c| c.to_vec()).collect()))
}

#[test]
fn tls_shows_the_authority_that_the_join_token_names() {
    let running = Running::with(|config| config.tls = Some(Tls::Own));
    let token = join_token(&running);
    let authority = std::fs::read(data(&running).join("tls/authority.pem")).unwrap();
    let (answer, shown) = over_tls(&running, &authority).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(shown.len(), 2);
    assert_eq!(Some(sha256(&shown[1])), token.authority);
    // another authority is not believed by who knows this one, and without TLS there is nothing
    let other = Running::with(|config| config.tls = Some(Tls::Own));
    let theirs = std::fs::read(data(&other).join("tls/authority.pem")).unwrap();
    assert!(over_tls(&running, &theirs).is_err());
    assert_ne!(running.stranger().post(b"{}").status, 200);
    // without TLS a token names no authority
    assert!(join_token(&Running::start()).authority.is_none());
}
