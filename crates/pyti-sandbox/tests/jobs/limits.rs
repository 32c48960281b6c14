//! Every limit bites, and what stays below it passes. Nothing is left behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Who, code, command, everybody, is_root, job, limit, one, py, python, sh, stdout, with};
use serde_json::{Value, json};

fn limited(run: Value, limits: Value) -> Value {
    with(run, json!({"limits": limits}))
}

fn signal(answer: &Value) -> Option<i64> {
    answer["effect"]["exit"]["signal"].as_i64()
}

#[test]
fn wall_time_ends_a_command_that_hangs_and_not_one_that_ends() {
    for who in everybody() {
        let limits = json!({"wall_s": 1});
        let hangs = one(who, limited(sh("trap '' TERM INT HUP; sleep 60"), limits.clone()));
        assert_eq!(limit(&hangs), Some("wall"), "{who:?}: {hangs}");
        let ends = one(who, limited(sh("sleep 0.2"), limits));
        assert_eq!((limit(&ends), code(&ends)), (None, Some(0)), "{who:?}");
    }
}

#[test]
fn the_last_words_of_a_command_that_is_ended_are_kept() {
    if !python() {
        return;
    }
    let script =
        "import faulthandler, time; faulthandler.enable(); print('begun', flush=True); time.sleep(60)";
    let answer = one(Who::Me, limited(py(script), json!({"wall_s": 1})));
    assert_eq!(
        (limit(&answer), signal(&answer)),
        (Some("wall"), Some(6)),
        "{answer}"
    );
    assert_eq!(stdout(&answer), "begun\n");
    assert!(
        answer["stderr"]
            .as_str()
            .unwrap()
            .contains("Fatal Python error: Aborted"),
        "{answer}"
    );
}

#[test]
fn a_commands_memory_has_a_hard_limit_of_its_own_where_there_is_a_group() {
    if !python() {
        return;
    }
    // a memory file is nobody's resident page: no look at `/proc` sees it
    let fill = |mebibytes: u32| {
        format!(
            "import os; f = os.memfd_create('x'); b = b'x' * (1 << 20)\n\
             for _ in range({mebibytes}): os.write(f, b)\nprint('filled')"
        )
    };
    let limits = json!({"memory_bytes": 100 << 20, "wall_s": 20});
    let run = |mebibytes| one(Who::Me, limited(py(&fill(mebibytes)), limits.clone()));
    let (fits, hog) = (run(50), run(300));
    assert_eq!((limit(&fits), code(&fits)), (None, Some(0)), "{fits}");
    let meter = fits["effect"]["cost"]["meter"].as_str();
    if meter == Some("sampled") {
        eprintln!("SKIPPED: the hard limit of a command, because no control group can be made here");
        assert!(!is_root() || !std::path::Path::new("/sys/fs/cgroup/memory").exists());
        return;
    }
    assert!(
        fits["effect"]["cost"]["peak_memory_bytes"].as_u64().unwrap() > 50 << 20,
        "{fits}"
    );
    assert_eq!(limit(&hog), Some("memory"), "{hog}");
    assert_eq!(stdout(&hog), "");
}

#[test]
fn cpu_time_counts_for_all_processes() {
    let burn = |count: u32| format!("for i in $(seq {count}); do (while :; do :; done) & done; wait");
    for who in everybody() {
        let answer = one(who, limited(sh(&burn(2)), json!({"cpu_s": 1, "wall_s": 20})));
        assert_eq!(limit(&answer), Some("cpu"), "{who:?}: {answer}");
        let little = one(who, limited(sh("seq 1000 | wc -l"), json!({"cpu_s": 1})));
        assert_eq!(limit(&little), None, "{who:?}");
    }
}

#[test]
fn inactivity_ends_the_silent_and_not_the_talkative() {
    let limits = json!({"inactivity_s": 1, "wall_s": 20});
    let silent = one(Who::Me, limited(sh("sleep 30"), limits.clone()));
    assert_eq!(limit(&silent), Some("inactivity"), "{silent}");
    let talks = one(
        Who::Me,
        limited(sh("for i in 1 2 3 4 5; do echo $i; sleep 0.5; done"), limits),
    );
    assert_eq!((limit(&talks), code(&talks)), (None, Some(0)), "{talks}");
}

#[test]
fn memory_is_bounded_in_every_place_where_it_can_be_taken() {
    if !python() {
        return;
    }
    for who in everybody() {
        let limits = json!({"memory_bytes": 100 << 20, "wall_s": 20});
        for script in [
            "x = []\nwhile True: x.append(bytearray(1 << 20))",
            "import time\nf = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20)); f.flush()",
        ] {
            let hog = one(who, limited(py(script), limits.clone()));
            assert_eq!(limit(&hog), Some("memory"), "{who:?} {script}: {hog}");
        }
        let modest = one(who, limited(py("x = bytearray(20 << 20)"), limits));
        assert_eq!((limit(&modest), code(&modest)), (None, Some(0)), "{who:?}");
    }
}

#[test]
fn a_job_that_outgrows_its_group_loses_the_command_and_not_the_agent() {
    if !python() {
        return;
    }
    if !is_root() || !std::path::Path::new("/sys/fs/cgroup/memory/memory.oom_control").exists() {
        eprintln!("SKIPPED: the hard memory limit, because no control group can be made here");
        return;
    }
    let hog = "x = []\nwhile True: x.append(bytearray(1 << 20))";
    let order = json!({"memory_bytes": 150 << 20, "groups": [[py(hog)], [sh("echo next")]]});
    let answers = job(Who::Me, &order);
    assert_eq!(
        (limit(&answers[0]), signal(&answers[0])),
        (Some("memory"), Some(9)),
        "{}",
        answers[0]
    );
    assert_eq!(stdout(&answers[1]), "next\n", "the agent lives");
}

#[test]
fn a_fork_bomb_stays_in_its_box() {
    for who in everybody() {
        let limits = json!({"processes": 50, "wall_s": 10});
        let began = Instant::now();
        let bomb = one(
            who,
            limited(sh("bomb() { bomb | bomb & }; bomb; sleep 5"), limits.clone()),
        );
        assert!(began.elapsed() < Duration::from_secs(15), "{who:?}");
        let peak = bomb["effect"]["cost"]["peak_processes"].as_u64().unwrap();
        assert!(peak <= 60, "{who:?}: {bomb}");
        let few = one(
            who,
            limited(
                sh("for i in 1 2 3 4 5; do sleep 0.1 & done; wait; echo done"),
                limits,
            ),
        );
        assert_eq!((limit(&few), stdout(&few)), (None, "done\n"), "{who:?}");
    }
}

#[test]
fn a_full_disk_is_a_limit_and_half_a_disk_is_none() {
    for who in everybody() {
        let limits = json!({"disk_bytes": 8 << 20, "disk_inodes": 500});
        let bytes = one(
            who,
            limited(sh("head -c 20000000 /dev/zero >big"), limits.clone()),
        );
        assert_eq!(limit(&bytes), Some("disk"), "{who:?}: {bytes}");
        let files = one(
            who,
            limited(
                sh("i=0; while [ $i -lt 2000 ]; do : >f$i || exit 1; i=$((i+1)); done"),
                limits.clone(),
            ),
        );
        assert_eq!(limit(&files), Some("disk"), "{who:?}: {files}");
        let fits = one(who, limited(sh("head -c 1000000 /dev/zero >small"), limits));
        assert_eq!((limit(&fits), code(&fits)), (None, Some(0)), "{who:?}");
    }
}

#[test]
fn a_flood_of_output_is_cut_and_counted() {
    let flood = one(
        Who::Me,
        limited(sh("yes"), json!({"output_bytes": 4 << 20, "wall_s": 20})),
    );
    assert_eq!(limit(&flood), Some("output"), "{}", flood["effect"]["cost"]);
    let total = flood["effect"]["stdout"]["total"].as_u64().unwrap();
    assert!(total >= 4 << 20, "{total}");
    assert!(flood["stdout"].as_str().unwrap().len() < 600 << 10);
    let some = one(
        Who::Me,
        limited(sh("yes | head -c 1000000"), json!({"output_bytes": 4 << 20})),
    );
    assert_eq!(
        (limit(&some), some["effect"]["stdout"]["total"].as_u64()),
        (None, Some(1_000_000))
    );
}

#[test]
fn files_and_cores_are_bounded() {
    let answer = one(
        Who::Me,
        limited(
            sh("ulimit -c; ulimit -n; head -c 3000000 /dev/zero >f; stat -c %s f"),
            json!({"file_bytes": 1 << 20, "open_files": 77}),
        ),
    );
    assert_eq!(stdout(&answer), "0\n77\n1048576\n", "{answer}");
}

#[test]
fn who_outlives_the_command_is_listed_and_ended() {
    for who in everybody() {
        let run = with(
            sh("(setsid sleep 60 >/dev/null 2>&1 &) ; exit 3"),
            json!({"linger_s": 0.3}),
        );
        let began = Instant::now();
        let answer = one(who, run);
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(code(&answer), Some(3), "{who:?}");
        let survivor = &answer["effect"]["survivors"][0];
        assert!(survivor["argv"].to_string().contains("sleep"), "{answer}");
        assert_eq!(survivor["ended_by_itself"], false);
        assert!(
            survivor["pid"].as_i64().is_some_and(|pid| (2..50).contains(&pid)),
            "its number inside: {survivor}"
        );
        let soon = one(who, with(sh("(sleep 0.2 &); exit 0"), json!({"linger_s": 5.0})));
        assert_eq!(soon["effect"]["survivors"][0]["ended_by_itself"], true, "{soon}");
        let alone = one(who, sh("sleep 0.05 & wait"));
        assert!(alone["effect"]["survivors"].is_null(), "{alone}");
    }
}

#[test]
fn closed_outputs_and_killed_parents_end_like_anything_else() {
    for who in everybody() {
        let closed = one(who, sh("exec >&- 2>&- <&-; sleep 0.2; exit 4"));
        assert_eq!(code(&closed), Some(4), "{who:?}: {closed}");
        let killed = one(
            who,
            with(sh("sh -c 'kill -9 $PPID; sleep 30' "), json!({"linger_s": 0.2})),
        );
        assert_eq!(signal(&killed), Some(9), "{who:?}: {killed}");
        assert_eq!(limit(&killed), None, "{who:?}: its own doing is no limit");
        // PID 1 of the box cannot be killed from within
        let init = one(who, sh("kill -9 1; sleep 0.1; echo still here"));
        assert_eq!(stdout(&init), "still here\n", "{who:?}: {init}");
    }
}

#[test]
fn a_cancelled_command_ends_soon() {
    let began = Instant::now();
    let answer = one(Who::Me, with(sh("sleep 60"), json!({"cancel_after_s": 0.2})));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(signal(&answer), Some(9), "{answer}");
}

#[test]
fn commands_run_side_by_side() {
    let sleep = || sh("sleep 1");
    let began = Instant::now();
    job(
        Who::Me,
        &json!({"groups": [[sleep(), sleep(), sleep(), sleep()]]}),
    );
    assert!(
        began.elapsed() < Duration::from_millis(3500),
        "{:?}",
        began.elapsed()
    );
}

/// Processes of the whole machine that carry a mark on their command line.
fn alive(mark: &str) -> usize {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    folders
        .filter(|folder| {
            std::fs::read(folder.path().join("cmdline"))
                .is_ok_and(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
        })
        .count()
}

#[test]
fn a_killed_worker_leaves_no_process_and_no_mount() {
    for (number, who) in everybody().into_iter().enumerate() {
        let mark = format!("6{number}.{}", std::process::id());
        let order = json!({"groups": [[{"argv": ["/bin/sleep", mark]}]]});
        let mut host = command(who)
            .arg("host")
            .arg(order.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        // the worker itself carries the mark in its order, so the command is the second
        while alive(&mark) < 2 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(alive(&mark) >= 2, "{who:?}: the command has not started");
        host.kill().unwrap();
        host.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(3);
        while alive(&mark) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(alive(&mark), 0, "{who:?}");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.lines().any(|line| line.starts_with("pyti ")), "{mounts}");
    }
    // the next job takes away what the killed one could not
    one(Who::Me, sh("true"));
    for entry in std::fs::read_dir("/sys/fs/cgroup/memory")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(owner) = name.strip_prefix("pyti-").and_then(|rest| rest.split('-').next()) {
            assert!(
                std::path::Path::new("/proc").join(owner).exists(),
                "{name} is left behind"
            );
        }
    }
}

#[test]
fn a_killed_agent_takes_everything_with_it_and_the_worker_notices() {
    for (number, who) in everybody().into_iter().enumerate() {
        let mark = format!("7{number}.{}", std::process::id());
        let order = json!({"groups": [[{"argv": ["/bin/sleep", mark]}]]});
        let host = command(who)
            .arg("host")
            .arg(order.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while alive(&mark) < 2 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        // children belong to the thread that made them: look through all of the worker's threads
        let threads = std::fs::read_dir(format!("/proc/{}/task", host.id()))
            .unwrap()
            .flatten();
        let mut children =
            threads.map(|t| std::fs::read_to_string(t.path().join("children")).unwrap_or_default());
        let outer: i32 = children
            .find_map(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap();
        let agent = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        let killed = std::process::Command::new("kill")
            .args(["-9", agent.trim()])
            .status()
            .unwrap();
        assert!(killed.success(), "{who:?}: {agent}");
        let output = host.wait_with_output().unwrap();
        assert!(!output.status.success(), "{who:?}: the worker notices");
        assert_eq!(alive(&mark), 0, "{who:?}");
    }
}
