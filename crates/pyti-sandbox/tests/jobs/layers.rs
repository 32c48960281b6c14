//! What a command changed is a layer: exact, stackable, the same in both stores.

use crate::support::{self, code, everybody, job, sh, stdout, with};
use serde_json::{Value, json};

fn changes(answer: &Value) -> Vec<&str> {
    answer["changes"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// One suite for both stores.
fn conform(store: &str) {
    for who in everybody() {
        let order = json!({"store": store, "groups": [
            [sh("mkdir -p a/b; echo 1 >a/one; echo 2 >a/b/two; ln -s one a/link; mkfifo a/pipe; chmod 640 a/one")],
            [
                with(sh("echo more >>a/one; rm a/b/two; echo 3 >three; mv a/link a/moved"), json!({"lowers": [0]})),
                with(sh("rm -r a; mkdir a; echo new >a/new"), json!({"lowers": [0]})),
                with(sh("cat a/one; sleep 0.2; ls a"), json!({"lowers": [0]})),
            ],
            [
                with(sh("cat a/one three; ls a a/b; readlink a/moved"), json!({"lowers": [1, 0]})),
                with(sh("ls a"), json!({"lowers": [2, 0]})),
                with(sh("chmod 600 a/one; rm -r a/b; touch a/b"), json!({"lowers": [0]})),
            ],
            [with(sh("test -f a/b && stat -c %a a/one; head -c1 /etc/passwd"), json!({"lowers": [6, 0]}))],
        ]});
        let got = job(who, &order);
        let name = format!("{store} {who:?}");
        assert_eq!(
            changes(&got[0]),
            [
                "Added /home/dev/a",
                "Added /home/dev/a/b",
                "Added /home/dev/a/b/two",
                "Added /home/dev/a/link",
                "Added /home/dev/a/one",
                "Added /home/dev/a/pipe"
            ],
            "{name}"
        );
        assert_eq!(
            changes(&got[1]),
            [
                "Deleted /home/dev/a/b/two",
                "Deleted /home/dev/a/link",
                "Added /home/dev/a/moved",
                "Modified /home/dev/a/one",
                "Added /home/dev/three"
            ],
            "{name}"
        );
        let replaced = changes(&got[2]);
        for wanted in [
            "Added /home/dev/a/new",
            "Deleted /home/dev/a/one",
            "Deleted /home/dev/a/link",
        ] {
            assert!(replaced.contains(&wanted), "{name}: {wanted} in {replaced:?}");
        }
        assert_eq!(
            stdout(&got[3]),
            "1\nb\nlink\none\npipe\n",
            "{name}: beside the others, from the same state"
        );
        assert!(changes(&got[3]).is_empty(), "{name}: {:?}", changes(&got[3]));
        assert_eq!(
            stdout(&got[4]),
            "1\nmore\n3\na:\nb\nmoved\none\npipe\n\na/b:\none\n",
            "{name}"
        );
        assert_eq!(stdout(&got[5]), "new\n", "{name}");
        assert_eq!(
            (code(&got[7]), stdout(&got[7])),
            (Some(0), "600\nr"),
            "{name}: {}",
            got[7]
        );
    }
}

#[test]
fn the_overlay_store_conforms() {
    conform("overlay");
}

#[test]
fn the_copy_store_conforms() {
    conform("copy");
}

#[test]
fn given_files_are_there_and_are_no_change() {
    for who in everybody() {
        let run = with(
            sh("cat given; echo changed >>given; stat -c %a given"),
            json!({"given": [["/home/dev/given", "hello\n", 0o640]]}),
        );
        let answer = support::one(who, run);
        assert_eq!(stdout(&answer), "hello\n640\n", "{who:?}");
        assert_eq!(changes(&answer), ["Modified /home/dev/given"], "{who:?}");
    }
}

#[test]
fn results_come_back_up_to_their_cap() {
    for who in everybody() {
        let run = with(sh("echo result >/proc/self/fd/200"), json!({"results": true}));
        assert_eq!(support::one(who, run)["results"], "result\n", "{who:?}");
        let many = with(
            sh("head -c 5000 /dev/zero >/proc/self/fd/200"),
            json!({"results": true, "results_cap": 1000}),
        );
        assert_eq!(support::one(who, many)["results_dropped"], 4000, "{who:?}");
        let none = support::one(who, sh("ls /proc/self/fd"));
        assert!(!stdout(&none).contains("200"), "{none}");
    }
}

#[test]
fn standard_input_is_given_and_ends() {
    let text = "x".repeat(100_000);
    for who in everybody() {
        let run = json!({"argv": ["/usr/bin/wc", "-c"], "stdin": text});
        assert_eq!(stdout(&support::one(who, run)), "100000\n", "{who:?}");
    }
}

#[test]
fn a_command_that_is_not_there_ends_like_in_a_shell() {
    for who in everybody() {
        let answer = support::one(who, json!({"argv": ["no-such-program"]}));
        assert_eq!(code(&answer), Some(126), "{who:?}");
        assert!(
            answer["stderr"].as_str().unwrap().contains("no-such-program"),
            "{answer}"
        );
    }
}

#[test]
fn a_terminal_is_the_commands_own() {
    for who in everybody() {
        let run = with(
            sh("test -t 0 && test -t 1 && echo hello >/dev/tty; exit 5"),
            json!({"terminal": true}),
        );
        let answer = support::one(who, run);
        assert_eq!(
            (answer["screen"].as_str(), code(&answer)),
            (Some("hello\r\n"), Some(5)),
            "{who:?}: {answer}"
        );
        let without = support::one(
            who,
            sh("test -t 1 || echo none; (echo x >/dev/tty) 2>/dev/null || echo no tty"),
        );
        assert_eq!(stdout(&without), "none\nno tty\n", "{who:?}");
    }
}
