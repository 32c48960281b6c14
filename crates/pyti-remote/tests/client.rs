//! The client against servers that lie, stall, say too much, or are somebody else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pyti_command::Secret;
use pyti_command::job::{Cancel, CancelParams};
use pyti_command::raw::StreamName;
use pyti_dispatch::{JobId, Lease};
use pyti_model::Digest;
use pyti_remote::address::Address;
use pyti_remote::client::{Client, ClientError};

/// A server that gives each connection the next of these answers, once it has read a head.
fn server(answers: Vec<Vec<u8>>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            whole(&mut stream);
            // who has heard enough goes
            let _ = stream.write_all(&answer);
        }
    });
    address.parse().unwrap()
}

fn head(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A head and its body: what is not read would break the connection when it is closed.
fn whole(stream: &mut impl std::io::Read) {
    let head = head(stream).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    answer
}

async fn cancel(client: &Client) -> Result<(), ClientError> {
    let params = CancelParams { job: JobId(1) };
    client
        .call::<Cancel>(None, &params, Duration::ZERO)
        .await
        .map(|_| ())
}

fn client(answers: Vec<Vec<u8>>) -> Client {
    Client::new(&server(answers), None).unwrap()
}

fn good(id: i64, padding: usize) -> Vec<u8> {
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"state\":\"queued\"}}{}}}",
        " ".repeat(padding)
    );
    answer("200 OK", "", text.as_bytes())
}

#[tokio::test]
async fn an_answer_may_be_long_but_not_too_long() {
    let client = client(vec![good(1, 0), good(2, 8 << 20), good(3, 4 << 20)]);
    cancel(&client).await.unwrap();
    let error = cancel(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Strange { .. }), "{error:?}");
    cancel(&client).await.unwrap();
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let refused = br#"{"jsonrpc":"2.0","id":2,"error":{"code":-32007,"message":"busy","data":{"retry_after_ms":1500}}}"#;
    let gone = br#"{"jsonrpc":"2.0","id":3,"error":{"code":-32003,"message":"worker revoked"}}"#;
    let client = client(vec![
        answer("200 OK", "", b"<html>restarting</html>"),
        answer("200 OK", "", refused),
        answer("200 OK", "", gone),
        answer(
            "503 Service Unavailable",
            "Retry-After: 7\r\n",
            b"come \x1b[2Jagain",
        ),
        answer("302 Found", "Location: http://127.0.0.1:1/\r\n", b""),
        answer(
            "200 OK",
            "",
            br#"{"jsonrpc":"2.0","id":77,"result":{"state":"queued"}}"#,
        ),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(),
    ]);
    let error = cancel(&client).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Strange { .. }) && error.passes(),
        "{error:?}"
    );
    let error = cancel(&client).await.unwrap_err();
    assert!(
        error.passes() && error.retry_after() == Some(Duration::from_millis(1500)),
        "{error:?}"
    );
    let error = cancel(&client).await.unwrap_err();
    assert!(!error.passes() && error.code() == Some(-32003), "{error:?}");
    let error = cancel(&client).await.unwrap_err();
    assert!(error.passes() && error.retry_after() == Some(Duration::from_secs(7)));
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
    let error = cancel(&client).await.unwrap_err();
    assert_eq!(error.status(), Some(302), "{error:?}");
    let error = cancel(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Strange { .. }), "{error:?}");
    let error = cancel(&client).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }) && error.passes(),
        "{error:?}"
    );
    // nobody is there any more
    let error = cancel(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_is_that_of_its_digest_or_nothing() {
    let bytes = b"the bytes".to_vec();
    let sha256 = pyti_remote::sha256(&bytes);
    let mut longer = bytes.clone();
    longer.extend(b" and more");
    let client = client(vec![
        answer("200 OK", "", &bytes),
        answer("200 OK", "", b"other bytes"),
        answer("200 OK", "", &longer),
        answer("404 Not Found", "", b"no such file"),
    ]);
    let (token, lease) = (Secret::new("token-of-a-test"), Lease([1; 16]));
    let mut got = Vec::new();
    client.fetch(&token, &lease, &sha256, 9, &mut got).await.unwrap();
    assert_eq!(got, bytes);
    for _ in 0..2 {
        let error = client
            .fetch(&token, &lease, &sha256, 9, &mut Vec::new())
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::OtherBytes(_)), "{error:?}");
    }
    let error = client
        .fetch(&token, &lease, &sha256, 9, &mut Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
    assert!(!format!("{error:?}").contains("token-of-a-test"));
}

#[tokio::test]
async fn segments_carry_their_digest_and_their_right() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = head(&mut stream);
        let mut body = [0; 3];
        stream.read_exact(&mut body).unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .unwrap();
        (head.to_ascii_lowercase(), body)
    });
    let client = Client::new(&address, None).unwrap();
    let lease = Lease([0xab; 16]);
    client
        .put_segment(
            &Secret::new("right"),
            &lease,
            StreamName::Events,
            3,
            b"abc".to_vec(),
        )
        .await
        .unwrap();
    let (head, body) = heard.join().unwrap();
    assert_eq!(&body, b"abc");
    assert!(
        head.starts_with(&format!("put /raw/v1/{lease}/events/3 ")),
        "{head}"
    );
    assert!(head.contains("authorization: bearer right\r\n"), "{head}");
    // SHA-256 of "abc" in base64; the head was made small above
    let digest = "content-digest: sha-256=:ungwv48bz+pbqudexa4ii7adyaowf3qctbd/yfiafa0=:";
    assert!(head.contains(digest), "{head}");
}

/// A server with an authority of its own, which speaks once on each connection. Gives the authority's fingerprint too.
fn tls_server(name: &str, connections: usize) -> (Address, Digest) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

    let own = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority: CertificateDer<'static> = params.self_signed(&own).unwrap().der().clone();
    let issuer = Issuer::new(params, own);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&leaf_key, &issuer)
        .unwrap();
    let fingerprint = pyti_remote::sha256(&authority);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), authority], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for _ in 0..connections {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            speak(&mut connection, &mut stream);
        }
    });
    (format!("https://127.0.0.1:{port}").parse().unwrap(), fingerprint)
}

fn speak(connection: &mut rustls::ServerConnection, stream: &mut TcpStream) {
    let mut tls = rustls::Stream::new(connection, stream);
    // who does not believe us says nothing
    if head(&mut tls).starts_with("POST /rpc/v1") {
        let _ = tls.write_all(&good(1, 0));
        let _ = tls.flush();
    }
}

#[tokio::test]
async fn only_the_authority_of_the_fingerprint_is_believed_and_only_for_its_name() {
    let (address, fingerprint) = tls_server("127.0.0.1", 3);
    cancel(&Client::new(&address, Some(&fingerprint)).unwrap())
        .await
        .unwrap();
    let other: Digest = "00".repeat(32).parse().unwrap();
    let error = cancel(&Client::new(&address, Some(&other)).unwrap())
        .await
        .unwrap_err();
    assert!(
        pyti_model::with_causes(&error).contains("UnknownIssuer"),
        "{error:?}"
    );
    // the usual authorities do not know it
    let error = cancel(&Client::new(&address, None).unwrap()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    // a certificate of the right authority for somebody else
    let (address, fingerprint) = tls_server("other.example", 1);
    let error = cancel(&Client::new(&address, Some(&fingerprint)).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}
