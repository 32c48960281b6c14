//! A worker of the first version of the protocol, frozen: every text that it sends is written here as it was then, and the
//! controller of today must understand it. Nothing of our own client is used but the signature.

mod support;
#[path = "support/world.rs"]
mod world;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use pyti_fixtures::{Faults, LocalIndex};
use pyti_remote::key::Key;
use serde_json::{Value, json};
use support::service::Service;
use world::write_wheel;

/// HTTP as any client speaks it.
struct Frozen {
    socket: PathBuf,
    token: Option<String>,
}

impl Frozen {
    fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let token = self
            .token
            .as_ref()
            .map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{token}{headers}\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// A call, as text.
    fn call(&self, text: &str) -> Value {
        let (status, body) = self.http(
            "POST",
            "/rpc/v1",
            "Content-Type: application/json\r\n",
            text.as_bytes(),
        );
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    fn result(&self, text: &str) -> Value {
        let answer = self.call(text);
        assert!(answer["error"].is_null(), "{text}: {answer}");
        answer["result"].clone()
    }
}

const OFFERS: &str = r#"{"platform":"linux/x86_64","interpreters":["cpython-3.13"],"isolations":["sandbox"],"memory_mib":4096,"slots":2}"#;

#[test]
fn a_worker_of_the_first_protocol_does_a_job() {
    let wheels = tempfile::tempdir().unwrap();
    write_wheel(wheels.path(), "subject", "1.0", &[]);
    let index = LocalIndex::start(Vec::new(), Faults::none())
        .unwrap()
        .with_folder(wheels.path())
        .unwrap();
    let Some(mut service) = Service::new("an older client", index) else {
        return;
    };
    service.serve();
    let submitted: Value =
        serde_json::from_str(&service.told(&["submit", "subject", "--python", "3.13", "--json"])).unwrap();
    let job = &submitted["jobs"][0]["job"];
    let mut client = Frozen {
        socket: service.data().join("pyti.sock"),
        token: None,
    };
    let key = Key::at(&service.place.path().join("frozen-key")).unwrap();
    let public = key.public();

    // becoming known, over the local socket
    let enrolled = client.result(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"worker.enrol","params":{{"worker":"frozen","key":"{public}","offers":{OFFERS}}}}}"#
    ));
    assert_eq!(enrolled["standing"], "active");
    let controller = enrolled["controller"].as_str().unwrap();
    let challenge =
        client.result(r#"{"jsonrpc":"2.0","id":2,"method":"worker.challenge","params":{"worker":"frozen"}}"#);
    assert_eq!(challenge["controller"], controller);
    let nonce = challenge["nonce"].as_str().unwrap();
    let signature = key.sign(format!("pyti session 1\n{controller}\nfrozen\n{nonce}\n").as_bytes());
    let open = format!(
        r#"{{"jsonrpc":"2.0","id":3,"method":"worker.session","params":{{"worker":"frozen","nonce":"{nonce}","signature":"{signature}"}}}}"#
    );
    let session = client.result(&open);
    // a nonce is good once
    assert_eq!(client.call(&open)["error"]["code"], -32001);
    client.token = session["token"].as_str().map(str::to_owned);

    // versions: none in common, and one
    let hello = |range: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":4,"method":"worker.hello","params":{{"protocol":{range},"boot":1,"offers":{OFFERS},"version":"0.1.0"}}}}"#
        )
    };
    let none = client.call(&hello(r#"{"min":0,"max":0}"#));
    assert_eq!(none["error"]["code"], -32009);
    assert!(none["error"]["data"]["protocol"]["max"].as_u64().unwrap() >= 1);
    let welcome = client.result(&hello(r#"{"min":1,"max":1}"#));
    assert_eq!(welcome["protocol"], 1);
    for wanted in ["lease_ms", "renew_ms", "wait_s", "segment_bytes"] {
        assert!(welcome[wanted].as_u64().unwrap() > 0, "{wanted}");
    }

    // a job
    let claim = r#"{"jsonrpc":"2.0","id":5,"method":"work.claim","params":{"boot":1,"request":1,"slots":1,"wait_s":20}}"#;
    let claimed = client.result(claim);
    let order = &claimed["orders"][0];
    assert_eq!(order["job"], *job);
    assert_eq!(order["spec"]["environment"]["interpreter"], "cpython-3.13");
    assert_eq!(order["spec"]["run_tests"], true);
    assert_eq!(
        client.result(claim)["orders"][0]["lease"],
        order["lease"],
        "asked again"
    );
    let lease = order["lease"].as_str().unwrap();
    let sha256 = order["file"]["sha256"].as_str().unwrap();
    let (status, bytes) = client.http(
        "GET",
        &format!("/file/v1/{sha256}"),
        &format!("PyTI-Lease: {lease}\r\n"),
        b"",
    );
    assert_eq!(
        (status, bytes.len() as u64),
        (200, order["file"]["size"].as_u64().unwrap())
    );
    let renewed = client.result(&format!(
        r#"{{"jsonrpc":"2.0","id":6,"method":"work.renew","params":{{"leases":[{{"lease":"{lease}","phase":"running","next_seq":0}}]}}}}"#
    ));
    assert_eq!(renewed["leases"][0]["answer"], "ok");

    // its recording, as it was written then
    let file = &order["file"];
    let lines = format!(
        concat!(
            r#"{{"seq":0,"at_us":0,"event":"decided","file":{},"outcome":{{"status":"na","reasons":[{{"code":"no_matching_wheel","blame":"environment","detail":"subject"}}]}}}}"#,
            "\n",
            r#"{{"seq":1,"at_us":5,"event":"finished","interrupted":false}}"#,
            "\n"
        ),
        file
    );
    let segment = zstd_frame(lines.as_bytes());
    let digest = pyti_remote::sha256(&segment).to_string();
    let complete = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"work.complete","params":{{"lease":"{lease}","outcome":"ran","manifest":{{"events":[{{"sha256":"{digest}","size":{}}}]}}}}}}"#,
        segment.len()
    );
    let early = client.result(&complete);
    assert_eq!(
        (&early["answer"], &early["missing"][0]),
        (&json!("missing"), &json!("events/0"))
    );
    let header = format!("Content-Digest: sha-256=:{}:\r\n", base64_of(&digest));
    let path = format!("/raw/v1/{lease}/events/0");
    assert_eq!(client.http("PUT", &path, &header, &segment).0, 204);
    assert_eq!(
        client.http("PUT", &path, &header, &segment).0,
        204,
        "the same again"
    );
    let (status, next) = client.http("GET", &format!("/raw/v1/{lease}/events"), "", b"");
    assert_eq!((status, &*next), (200, &br#"{"next":1}"#[..]));
    assert_eq!(client.result(&complete)["answer"], "ok");
    let replayed = client.result(&complete)["answer"].clone();
    assert!(replayed == "ok" || replayed == "ended", "{replayed}");
    let view = client.result(&format!(
        r#"{{"jsonrpc":"2.0","id":8,"method":"job.get","params":{{"job":{job}}}}}"#
    ));
    assert_eq!(
        (&view["state"], &view["result"]["status"]),
        (&json!("done"), &json!("na"))
    );
    assert_eq!(service.results().len(), 1);
}

/// A frame with one raw block: no library is needed to write it.
fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    // one segment, a content size of four bytes
    frame.push(0b1010_0000);
    frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    // the last block, raw
    let header = (u32::try_from(bytes.len()).unwrap() << 3) | 1;
    frame.extend(&header.to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}

/// Hexadecimal digits as base64.
fn base64_of(hex: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for at in 0..4 {
            text.push(if at <= three.len() {
                char::from(LETTERS[(word >> (18 - 6 * at) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}
