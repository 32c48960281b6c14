//! What a box hides and refuses, and that the harmless form of each passes.

use crate::support::{self, Who, code, everybody, is_root, job, one, py, python, sh, stdout, with};
use serde_json::json;

#[test]
fn a_command_runs_as_an_ordinary_user_without_powers() {
    for who in everybody() {
        let answer = one(
            who,
            sh("id -un; id -u; pwd; hostname; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"),
        );
        assert_eq!(code(&answer), Some(0), "{answer}");
        let said: Vec<&str> = stdout(&answer).lines().collect();
        assert_eq!(&said[..4], ["dev", "1000", "/home/dev", "workstation"], "{who:?}");
        for line in &said[4..] {
            let (name, value) = line.split_once(':').unwrap();
            let wanted = match name {
                "NoNewPrivs" => "1",
                "Seccomp" => "2",
                _ => "0000000000000000",
            };
            assert_eq!(value.trim(), wanted, "{who:?} {name}");
        }
    }
}

#[test]
fn denied_what_is_the_machines_allowed_what_is_the_boxs() {
    for who in everybody() {
        let answer = one(
            who,
            sh(
                "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /usr/bin/new /etc/ssl/new; do \
                (: >$f) 2>/dev/null && echo wrote $f; done; \
                cat /etc/shadow /proc/kcore >/dev/null 2>&1 && echo read; \
                for f in /tmp/a /home/dev/a /etc/a /var/tmp/a /dev/shm/a /run/a; do (: >$f) || echo cannot $f; done; true",
            ),
        );
        assert_eq!(stdout(&answer), "", "{who:?}: {answer}");
    }
}

#[test]
fn the_hosts_files_are_hidden_and_what_is_shown_is_there() {
    let secret = tempfile::tempdir().unwrap();
    std::fs::write(secret.path().join("secret"), "x").unwrap();
    for who in everybody() {
        let script = format!(
            "ls -A /root 2>/dev/null; ls -A {} 2>/dev/null; ls -d /work /sys /boot /layers /skeleton 2>/dev/null; ls /usr/bin/env",
            secret.path().display()
        );
        assert_eq!(stdout(&one(who, sh(&script))), "/usr/bin/env\n", "{who:?}");
        let processes = one(who, sh("ls -d /proc/[0-9]* | wc -l"));
        assert!(
            stdout(&processes).trim().parse::<u32>().unwrap() <= 5,
            "{who:?}: {processes}"
        );
    }
}

#[test]
fn a_prefix_in_a_closed_home_is_shown_when_asked_for_and_only_then() {
    let closed = tempfile::tempdir().unwrap();
    let prefix = closed.path().join("prefix");
    std::fs::create_dir(&prefix).unwrap();
    let program = prefix.join("program");
    std::fs::write(&program, "#!/bin/sh\necho from the prefix\n").unwrap();
    for path in [&program, &prefix] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let run = json!([[{"argv": [&program]}]]);
    let shown = json!({"binds": [{"source": &prefix, "target": &prefix, "writable": false}], "groups": &run});
    let answers = job(Who::Me, &shown);
    assert_eq!(stdout(&answers[0]), "from the prefix\n", "{answers:?}");
    let hidden = job(Who::Me, &json!({"groups": &run}));
    assert_eq!(code(&hidden[0]), Some(126), "{hidden:?}");
}

#[test]
fn a_refused_call_is_recorded_and_its_twin_is_not() {
    if !python() {
        return;
    }
    let call = |what: &str| {
        py(&format!(
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint({what}, ctypes.get_errno())"
        ))
    };
    for who in everybody() {
        let answer = one(who, call("libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)"));
        assert_eq!(stdout(&answer), "-1 1\n", "{who:?}");
        let denial = &answer["effect"]["denials"][0];
        assert_eq!(
            (denial["call"].as_str(), denial["times"].as_u64()),
            (Some("mount"), Some(1)),
            "{who:?}: {answer}"
        );
        assert!(
            denial["executable"]
                .as_str()
                .is_some_and(|path| path.contains("python3")),
            "{denial}"
        );
        for what in [
            "libc.unshare(0x10000000)",
            "libc.setns(0, 0)",
            "libc.chroot(b'/tmp')",
        ] {
            let answer = one(who, call(what));
            assert_eq!(
                answer["effect"]["denials"].as_array().map(Vec::len),
                Some(1),
                "{what}: {answer}"
            );
        }
        let harmless = one(who, call("libc.mkdir(b'/tmp/new', 0o755)"));
        assert_eq!(stdout(&harmless), "0 0\n");
        assert!(harmless["effect"]["denials"].is_null(), "{harmless}");
    }
}

#[test]
fn the_boxs_first_process_is_closed_to_the_command_and_its_own_children_are_open() {
    if !python() {
        return;
    }
    let script = "import os, time\nchild = os.fork()\nif child == 0: time.sleep(5); os._exit(0)\n\
        for pid in (1, child):\n for what in ('mem', 'fd/3'):\n  try: os.close(os.open(f'/proc/{pid}/{what}', os.O_WRONLY if what == 'mem' else os.O_PATH)); print('open')\n  \
        except FileNotFoundError: print('open, not there')\n  except OSError as e: print(e.errno)\nos.kill(child, 9)";
    for who in everybody() {
        let answer = one(who, py(script));
        assert_eq!(
            stdout(&answer),
            "13\n13\nopen\nopen, not there\n",
            "{who:?}: {answer}"
        );
    }
}

#[test]
fn odd_sockets_are_refused_and_ordinary_ones_are_not() {
    if !python() {
        return;
    }
    let script = "import socket\nfor family in (40, 38, 17, 1, 2, 10):\n try:\n  socket.socket(family, socket.SOCK_STREAM); print(family, 'ok')\n except OSError as e: print(family, e.errno)";
    for who in everybody() {
        assert_eq!(
            stdout(&one(who, py(script))),
            "40 97\n38 97\n17 97\n1 ok\n2 ok\n10 ok\n",
            "{who:?}"
        );
    }
}

#[test]
fn without_network_only_the_loopback_answers() {
    if !python() {
        return;
    }
    let script = "import socket\ns = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()).close(); print('loopback')\n\
        try: socket.create_connection(('203.0.113.5', 80), 1)\nexcept OSError as e: print(e.errno)";
    for who in everybody() {
        assert_eq!(stdout(&one(who, py(script))), "loopback\n101\n", "{who:?}");
    }
}

#[test]
fn the_agent_is_closed_to_what_it_never_does_and_boxes_are_heard() {
    let order = json!({"groups": [[sh("true")]]});
    let output = support::command(Who::Me)
        .arg("host")
        .arg(order.to_string())
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["facts"]["agent_keyctl"], "1", "EPERM: {said}");
    if !python() {
        return;
    }
    let script = "import ctypes, platform\n\
        ctypes.CDLL(None).syscall({'x86_64': 250, 'aarch64': 219}[platform.machine()], 11, -3, 0, 0)";
    let answer = one(Who::Me, py(script));
    assert_eq!(answer["effect"]["denials"][0]["call"], "keyctl", "{answer}");
}

#[test]
fn networks_that_were_made_ahead_go_to_nobody_who_wants_another() {
    let links = || sh("cut -d: -f1 -s /proc/net/dev | tr -d ' ' | sort | tr '\\n' ' '");
    let silent = || with(links(), json!({"network": "silent"}));
    let order = json!({"groups": [[silent()], [silent()], [links()], [silent()], [links()], [links()]]});
    for who in everybody() {
        let answers = job(who, &order);
        let seen: Vec<&str> = answers.iter().map(stdout).collect();
        let (alone, joined) = ("lo ", "eth0 lo ");
        assert_eq!(seen, [joined, joined, alone, joined, alone, alone], "{who:?}");
    }
}

#[test]
fn a_silent_network_loses_packets_and_records_who_was_called() {
    if !python() {
        return;
    }
    let script = "import socket, time\n\
        try: socket.getaddrinfo('db.example.invalid', 5432)\nexcept socket.gaierror as e: print(e.errno)\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('203.0.113.9', 514))\n\
        began = time.monotonic()\n\
        try: socket.create_connection(('203.0.113.5', 4444))\nexcept OSError as e: print(e.errno, 1 < time.monotonic() - began < 8)\n\
        try: socket.create_connection(('127.0.0.1', 1))\nexcept OSError as e: print(e.errno)";
    for who in everybody() {
        let answer = one(who, with(py(script), json!({"network": "silent"})));
        assert_eq!(stdout(&answer), "-2\n110 True\n111\n", "{who:?}: {answer}");
        let contacts = answer["effect"]["contacts"].to_string();
        for wanted in [
            "db.example.invalid",
            "203.0.113.9",
            "\"port\":514",
            "203.0.113.5",
            "\"port\":4444",
        ] {
            assert!(contacts.contains(wanted), "{who:?}: {wanted} in {contacts}");
        }
        assert!(!contacts.contains("127.0.0.1"), "{contacts}");
        let quiet = one(who, with(sh("true"), json!({"network": "silent"})));
        assert!(quiet["effect"]["contacts"].is_null(), "{quiet}");
    }
}

#[test]
fn the_lens_is_reached_from_its_network_and_from_no_other() {
    if !python() {
        return;
    }
    let script = "import socket\ntry: print(socket.create_connection(('127.0.0.1', LENS_PORT), 5).makefile().readline(), end='')\nexcept OSError as e: print(e.errno)";
    for who in everybody() {
        assert_eq!(
            stdout(&one(who, with(py(script), json!({"network": "lens"})))),
            "hello from the lens\n",
            "{who:?}"
        );
        assert_eq!(stdout(&one(who, py(script))), "111\n", "{who:?}");
    }
}

#[test]
fn the_doctor_finds_a_job_possible() {
    let said = support::command(Who::Me).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for (line, step) in said.lines().zip(["a job", "a command in a box"]) {
        assert!(line.contains("outcome: Ok") && line.contains(step), "{said}");
    }
    assert!(is_root() || everybody() == [Who::Me]);
}
