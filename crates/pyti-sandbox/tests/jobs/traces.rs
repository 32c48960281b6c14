//! What is recorded of processes, programs and files, and that the harmless form of each leaves no such act.

use pyti_model::effect::Exit;
use pyti_model::foreign::Foreign;
use pyti_model::trace::{Access, Deed, Origin, Result};
use serde_json::json;

use crate::recorded::{counted, executions, find, full, light, on, path, process, recorded, trace};
use crate::support::{Who, code, everybody, job, one, py, python, sh, stdout, with};

#[test]
fn processes_have_parents_programs_and_ends() {
    for who in everybody() {
        for form in ["light", "full"] {
            let script = "/bin/sh -c 'exit 3'; /bin/sh -c 'kill -9 $$'; sleep 0.02; true";
            let (answer, trace) = recorded(who, form, sh(script));
            assert_eq!(code(&answer), Some(0));
            let seen: Vec<_> = trace
                .processes
                .iter()
                .map(|p| {
                    let exit = p.ended.unwrap_or_else(|| panic!("{who:?} {form} {p:?}")).exit;
                    (p.number, p.parent, p.executable.lossy().into_owned(), exit)
                })
                .collect();
            let wanted = [
                (0, None, "/usr/bin/dash", Exit::Code(0)),
                (1, Some(0), "/usr/bin/dash", Exit::Code(3)),
                (2, Some(0), "/usr/bin/dash", Exit::Signal(9)),
                (3, Some(0), "/usr/bin/sleep", Exit::Code(0)),
            ];
            for (seen, wanted) in seen.iter().zip(wanted) {
                assert_eq!((seen.0, seen.1), (wanted.0, wanted.1), "{who:?} {form}");
                assert_eq!(seen.2, wanted.2, "{who:?} {form}");
                // who is reaped at once may leave no exit behind on kernels before 6.15
                assert!(
                    seen.3.is_none() || seen.3 == Some(wanted.3),
                    "{who:?} {form} {seen:?}"
                );
            }
            assert_eq!(trace.processes[0].ended.unwrap().exit, Some(Exit::Code(0)));
            assert_eq!(trace.processes[3].argv, ["sleep".into(), "0.02".into()]);
            for act in executions(&trace) {
                assert_eq!(act.result, Result::Done, "{form} {act:?}");
            }
            assert_eq!(executions(&trace).len(), 4, "{form}");
            let times: Vec<_> = trace.acts.iter().map(|act| act.at_us).collect();
            assert!(times.is_sorted());
        }
    }
}

#[test]
fn what_changed_was_done_and_what_was_undone_was_attempted() {
    let script = "mkdir d; echo x >d/a; mv d/a d/b; chmod 700 d/b; ln -s b d/l; echo x >gone; rm gone; \
                  rm /home/dev/old; cat d/b >/dev/null";
    let given = json!({"given": [["/home/dev/old", "x", 0o644]]});
    for form in ["light", "full"] {
        let (_, trace) = recorded(Who::Me, form, with(sh(script), given.clone()));
        let result = |wanted: &dyn Fn(&Deed) -> bool| {
            let acts = find(&trace, wanted);
            assert_eq!(acts.len(), 1, "{form} {acts:?}");
            acts[0].result.clone()
        };
        let at = |path: &'static str| move |deed: &Deed| crate::recorded::path(deed) == Some(&path.into());
        let writes = |deed: &Deed| matches!(deed, Deed::Open { access, .. } if access.create);
        assert_eq!(
            result(&|deed| matches!(deed, Deed::MakeFolder { .. })),
            Result::Done
        );
        assert_eq!(result(&|deed| matches!(deed, Deed::Rename { .. })), Result::Done);
        assert_eq!(result(&|deed| matches!(deed, Deed::Mode { .. })), Result::Done);
        assert_eq!(result(&|deed| matches!(deed, Deed::Link { .. })), Result::Done);
        assert_eq!(
            result(&|deed| at("/home/dev/gone")(deed) && writes(deed)),
            Result::Attempted
        );
        let removed =
            |path: &'static str| move |deed: &Deed| at(path)(deed) && matches!(deed, Deed::Remove { .. });
        assert_eq!(result(&removed("/home/dev/gone")), Result::Attempted);
        assert_eq!(result(&removed("/home/dev/old")), Result::Done);
        let read = |deed: &Deed| matches!(deed, Deed::Open { access, .. } if access.read && !access.create);
        let reads = find(&trace, |deed| at("/home/dev/d/b")(deed) && read(deed));
        assert_eq!(
            reads.len(),
            usize::from(form == "full"),
            "{form}: reading is seen in the full form only"
        );
        assert!(reads.iter().all(|act| act.result == Result::Attempted));
    }
}

#[test]
fn threads_belong_to_their_process_and_every_way_to_start_a_program_is_seen() {
    if !python() {
        return;
    }
    let script = "
import os, subprocess, threading
def work(n): open(f'/home/dev/t{n}', 'w').close()
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
os.waitpid(os.posix_spawn('/usr/bin/true', ['spawned'], {}), 0)
subprocess.run(['/usr/bin/true', 'vforked'], close_fds=False)
subprocess.run(['/usr/bin/true', 'forked'], preexec_fn=lambda: None)
pid = os.fork()
if pid == 0:
    threading.Thread(target=lambda: os.execv('/usr/bin/true', ['from a thread'])).start()
    import time; time.sleep(5)
os.waitpid(pid, 0)
";
    for form in ["light", "full"] {
        let (answer, trace) = recorded(Who::Me, form, py(script));
        assert_eq!(code(&answer), Some(0), "{answer}");
        for number in 0..8 {
            let acts = on(&trace, &format!("/home/dev/t{number}"));
            assert_eq!(acts.len(), 1);
            assert_eq!(acts[0].process, Some(0), "{form}");
        }
        for name in ["spawned", "vforked", "forked", "from a thread"] {
            let act = executions(&trace)
                .into_iter()
                .find(|act| matches!(&act.deed, Deed::Execute { argv, .. } if argv.contains(&name.into())))
                .unwrap_or_else(|| panic!("{form} {name}"));
            assert_eq!(act.result, Result::Done, "{form} {name}");
            let process = process(&trace, act);
            assert_eq!(
                (process.parent, &process.executable),
                (Some(0), &"/usr/bin/true".into())
            );
            assert!(process.ended.is_some());
        }
        assert_eq!(trace.processes.len(), 5, "{form} {:?}", trace.processes);
    }
}

#[test]
fn programs_without_a_name_and_written_ones_are_told_from_the_machines() {
    if !python() {
        return;
    }
    let script = "
import os, shutil
def run(what, *args):
    pid = os.fork()
    if pid == 0:
        what(*args)
    os.waitpid(pid, 0)
fd = os.memfd_create('payload')
os.write(fd, open('/usr/bin/true', 'rb').read())
run(os.execve, fd, ['by descriptor'], {})
run(os.execv, f'/proc/self/fd/{fd}', ['by proc'])
shutil.copy('/usr/bin/true', '/home/dev/copy')
run(os.execv, '/home/dev/copy', ['copied'])
run(os.execv, '/home/dev/given', ['given'])
run(os.execv, '/usr/bin/true', ['system'])
open('/home/dev/script', 'w').write('#!/bin/sh\\nexit 0\\n')
os.chmod('/home/dev/script', 0o755)
run(os.execv, '/home/dev/script', ['script'])
os.symlink('/usr/bin/true', '/home/dev/link')
run(os.execv, 'link', ['link'])
open('/home/dev/shm', 'w')
";
    let given = json!({"given": [["/home/dev/given", "#!/usr/bin/env true\n", 0o755]]});
    for form in ["light", "full"] {
        let (answer, trace) = recorded(Who::Me, form, with(py(script), given.clone()));
        assert_eq!(code(&answer), Some(0), "{answer}");
        let told = |name: &str| {
            executions(&trace)
                .into_iter()
                .find_map(|act| match &act.deed {
                    Deed::Execute {
                        argv, path, origin, ..
                    } if argv.first() == Some(&name.into()) => {
                        assert_eq!(act.result, Result::Done, "{form} {act:?}");
                        Some((path.lossy().into_owned(), *origin))
                    }
                    _ => None,
                })
                .unwrap_or_else(|| panic!("{form} {name}"))
        };
        for name in ["by descriptor", "by proc"] {
            assert_eq!(
                told(name),
                ("/memfd:payload (deleted)".to_owned(), Origin::Nameless),
                "{form} {name}"
            );
        }
        assert_eq!(
            told("copied"),
            ("/home/dev/copy".to_owned(), Origin::Written),
            "{form}"
        );
        assert_eq!(
            told("given"),
            ("/home/dev/given".to_owned(), Origin::Layer),
            "{form}"
        );
        assert_eq!(
            told("system"),
            ("/usr/bin/true".to_owned(), Origin::System),
            "{form}"
        );
        assert_eq!(
            told("script"),
            ("/home/dev/script".to_owned(), Origin::Written),
            "{form}"
        );
        assert_eq!(
            told("link"),
            ("/usr/bin/true".to_owned(), Origin::System),
            "{form}: links are followed"
        );
        let memory = find(&trace, |deed| {
            *deed
                == Deed::Memory {
                    name: "payload".into(),
                }
        });
        assert_eq!(memory.len(), 1);
    }
}

#[test]
fn a_search_along_the_path_is_one_act() {
    if !python() {
        return;
    }
    let script = "
import subprocess
for name in ['xclip-is-missing', 'true']:
    try: subprocess.run([name], env={'PATH': '/a:/b:/c:/usr/bin'})
    except FileNotFoundError: pass
";
    for form in ["light", "full"] {
        let (_, trace) = recorded(Who::Me, form, py(script));
        let tries: Vec<_> = executions(&trace)
            .into_iter()
            .filter(|act| act.process != Some(0))
            .collect();
        assert_eq!(tries.len(), 2, "{form} {tries:?}");
        // who ends before anybody looked has left nothing behind that tells
        assert!(
            matches!(&tries[0].result, Result::Attempted)
                || tries[0].result == Result::Failed("ENOENT".into()),
            "{form} {tries:?}"
        );
        assert!(
            path(&tries[0].deed)
                .unwrap()
                .lossy()
                .ends_with("/xclip-is-missing")
        );
        assert_eq!(tries[1].result, Result::Done);
        assert_eq!(
            counted(&trace, "execute_missing"),
            6,
            "{form}: three places each before the last"
        );
    }
}

#[test]
fn orphans_belong_to_the_leader_of_their_session() {
    if !python() {
        return;
    }
    let script = "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.1)
        open('/home/dev/late', 'w').close()
        os._exit(0)
    os._exit(0)
os.wait()
time.sleep(0.3)
";
    let trace = light(py(script));
    let late = on(&trace, "/home/dev/late");
    let orphan = process(&trace, late[0]);
    let leader = &trace.processes[orphan.parent.unwrap() as usize];
    assert_eq!(leader.parent, Some(0));
    let setsid = find(
        &trace,
        |deed| matches!(deed, Deed::Become { call, .. } if call == "setsid"),
    );
    assert_eq!(setsid[0].process, Some(leader.number));
}

#[test]
fn paths_are_made_absolute_against_the_right_folder() {
    if !python() {
        return;
    }
    let script = r"
import os, threading
os.makedirs('/home/dev/a/b')
fd = os.open('/home/dev/a', os.O_RDONLY)
os.close(os.open('by-fd', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
os.chdir('/home/dev/a/b')
open('../by-cwd', 'w').close()
pid = os.fork()
if pid == 0:
    os.chdir('/tmp')
    open('in-child', 'w').close()
    os._exit(0)
os.waitpid(pid, 0)
open('in-parent', 'w').close()
os.mkdir('x' * 255)
long = '/home/dev/' + '/'.join(['./' + 'y' * 200] * 19)
try: open(long, 'w')
except OSError: pass
open(b'/home/dev/\xff\xfe\x1b[2J', 'w').close()
try: open('/home/dev/' + 'z' * 5000, 'w')
except OSError: pass
";
    let (answer, trace) = recorded(Who::Me, "light", py(script));
    assert_eq!(code(&answer), Some(0), "{answer}");
    for wanted in [
        "/home/dev/a/by-fd",
        "/home/dev/a/by-cwd",
        "/tmp/in-child",
        "/home/dev/a/b/in-parent",
    ] {
        assert_eq!(on(&trace, wanted).len(), 1, "{wanted} {trace:?}");
    }
    let long = on(
        &trace,
        &format!("/home/dev/{}", vec!["y".repeat(200); 19].join("/")),
    );
    assert_eq!(long[0].result, Result::Attempted);
    let odd = find(&trace, |deed| {
        path(deed).is_some_and(|path| path.as_bytes() == b"/home/dev/\xff\xfe\x1b[2J")
    });
    assert_eq!(odd[0].result, Result::Done);
    let longest = trace
        .acts
        .iter()
        .filter_map(|act| path(&act.deed))
        .map(Foreign::len)
        .max();
    assert_eq!(longest, Some(4096), "what is longer than a path can be is cut");
}

#[test]
fn a_chase_of_the_working_folder_loses_nothing() {
    if !python() {
        return;
    }
    let script = "
import os, threading
for d in 'ab': os.makedirs(f'/tmp/{d}')
stop = False
def flip():
    while not stop:
        os.chdir('/tmp/a'); os.chdir('/tmp/b')
t = threading.Thread(target=flip); t.start()
for n in range(300): open(f'f{n}', 'w').close()
stop = True; t.join()
";
    let trace = light(py(script));
    // which of the folders it was is anybody's guess; that it was one of them is not
    let opened = find(
        &trace,
        |deed| matches!(deed, Deed::Open { path, .. } if path.lossy().starts_with("/tmp/") || path.lossy().starts_with("/home/dev/f")),
    );
    assert_eq!(opened.len(), 300);
}

#[test]
fn what_is_usual_is_counted_and_what_matters_is_not() {
    if !python() {
        return;
    }
    let script = "
import json, email.message, os
for name in 'lib.py', 'data.json', 'logo.png': open(f'/home/dev/venv/{name}').read()
open('/etc/passwd').read()
os.stat('/home/dev/.aws'); os.stat('/usr/lib'); os.listdir('/home/dev/.aws')
open('/home/dev/.aws/credentials').read()
";
    let given = json!({"given": [
        ["/home/dev/venv/lib.py", "x", 0o644], ["/home/dev/venv/data.json", "x", 0o644],
        ["/home/dev/venv/logo.png", "x", 0o644], ["/home/dev/.aws/credentials", "x", 0o600]
    ]});
    let trace = full(with(py(script), given));
    let opened: Vec<_> = trace
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Open { path, .. } if !path.lossy().starts_with("/proc") => Some(path.lossy().into_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(
        opened,
        [
            "/home/dev/venv/logo.png",
            "/etc/passwd",
            "/home/dev/.aws/credentials"
        ]
    );
    assert_eq!(counted(&trace, "open_environment"), 2);
    assert!(counted(&trace, "open_system") > 20);
    assert_eq!(on(&trace, "/home/dev/.aws").len(), 1, "the look");
    let listed = find(&trace, |deed| {
        *deed
            == Deed::List {
                path: "/home/dev/.aws".into(),
            }
    });
    assert_eq!(listed.len(), 1);
}

#[test]
fn a_watched_file_that_is_read_is_told_in_the_light_form_too() {
    let given = json!({
        "given": [["/home/dev/.netrc", "secret", 0o600], ["/home/dev/.pypirc", "secret", 0o600]],
        "watched": ["/home/dev", "/home/dev/.netrc", "/home/dev/.pypirc"],
        "trace": "light",
    });
    for (script, read) in [
        ("cat /home/dev/.netrc", true),
        ("ls -l /home/dev/.netrc; echo more >>/home/dev/.netrc", false),
    ] {
        let trace = trace(&one(Who::Me, with(sh(script), given.clone())));
        let access = Access {
            read: true,
            ..Access::default()
        };
        let deed = Deed::Open {
            path: "/home/dev/.netrc".into(),
            access,
        };
        let told = find(&trace, |seen| *seen == deed);
        assert_eq!(told.len(), usize::from(read), "{script}: {trace:?}");
        assert!(
            told.iter()
                .all(|act| act.result == Result::Done && act.process.is_none())
        );
        assert!(on(&trace, "/home/dev/.pypirc").is_empty());
    }
}

#[test]
fn many_short_processes_are_all_seen_and_ended() {
    for form in ["light", "full"] {
        let (answer, trace) = recorded(
            Who::Me,
            form,
            sh("i=0; while [ $i -lt 200 ]; do /usr/bin/true; i=$((i+1)); done; echo done"),
        );
        assert_eq!(stdout(&answer), "done\n");
        assert_eq!(trace.processes.len(), 201, "{form}");
        assert!(trace.processes.iter().all(|process| process.ended.is_some()));
        let done = executions(&trace)
            .into_iter()
            .filter(|act| act.result == Result::Done)
            .count();
        assert_eq!(done, 201, "{form}");
    }
}

#[test]
fn the_copy_store_tells_the_same() {
    let script = "cp /usr/bin/true written; sleep 0.02; ./written; ./given; echo x >new; rm old; mkdir d";
    let given = json!([
        ["/home/dev/given", "#!/bin/sh\nexit 0\n", 0o755],
        ["/home/dev/old", "x", 0o644]
    ]);
    let run = with(
        sh(script),
        json!({"trace": "light", "watched": ["/home/dev"], "given": given}),
    );
    let told: Vec<_> = ["overlay", "copy"]
        .into_iter()
        .map(|store| {
            let answer = job(Who::Me, &json!({"store": store, "groups": [[run]]})).remove(0);
            let trace = crate::recorded::trace(&answer);
            assert_eq!(trace.losses, [], "{store}");
            let told = trace.acts.into_iter().map(|act| match act.deed {
                Deed::Execute { path, origin, .. } => format!("{} {origin:?} {:?}", path.lossy(), act.result),
                deed => format!("{deed:?} {:?}", act.result),
            });
            told.collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(told[0], told[1]);
    for wanted in [
        "/home/dev/written Written Done",
        "/home/dev/given Layer Done",
        "/usr/bin/sleep System Done",
    ] {
        assert!(told[0].iter().any(|line| line == wanted), "{wanted}: {told:#?}");
    }
}
