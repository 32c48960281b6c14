use proptest::prelude::*;

use super::*;
use crate::calls::CALLS;
use crate::memory::tests::Pages;

#[derive(Default)]
struct Made {
    memory: Pages,
}

impl Memory for Made {
    fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>> {
        self.memory.pieces(wanted)
    }
}

impl World for Made {
    fn folder(&self, fd: Option<i32>) -> Option<Vec<u8>> {
        match fd {
            None => Some(b"/home/dev".to_vec()),
            Some(5) => Some(b"/tmp/x".to_vec()),
            Some(6) => Some(b"/memfd:payload (deleted)".to_vec()),
            Some(_) => None,
        }
    }

    fn transport(&self, fd: i32) -> Transport {
        if fd == 3 { Transport::Tcp } else { Transport::Udp }
    }

    fn own_address(&self, _: i32) -> Option<Endpoint> {
        None
    }

    fn process(&self, fd: i32) -> Option<i32> {
        (fd == 9).then_some(77)
    }
}

fn made() -> Made {
    let mut made = Made::default();
    made.memory.put(0x1_0000, b"notes.txt\0");
    made.memory.put(0x1_1000, b"/etc/./passwd\0");
    made.memory.put(0x1_2000, b"\0");
    let list: Vec<u8> = [0x1_0000u64, 0x1_1000, 0]
        .iter()
        .flat_map(|n| n.to_ne_bytes())
        .collect();
    made.memory.put(0x1_3000, &list);
    made.memory.put(0x1_4000, b"LD_PRELOAD=/tmp/x.so\0");
    let list: Vec<u8> = [0x1_4000u64, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
    made.memory.put(0x1_5000, &list);
    made.memory
        .put(0x1_6000, &[2, 0, 0, 80, 203, 0, 113, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
    let header: Vec<u8> = [0x1_6000u64, 16].iter().flat_map(|n| n.to_ne_bytes()).collect();
    made.memory.put(0x1_7000, &header);
    made
}

fn run(name: &str, arguments: [u64; 6]) -> Decoded {
    let call = CALLS.iter().find(|call| call.name == name).unwrap();
    decode(call, &arguments, &made(), 42)
}

fn deed(name: &str, arguments: [u64; 6]) -> Deed {
    match run(name, arguments).seen {
        Seen::Deed(deed) => deed,
        other => panic!("{name}: {other:?}"),
    }
}

fn cwd() -> u64 {
    u64::from(libc::AT_FDCWD.cast_unsigned())
}

#[test]
fn opens_are_told_with_their_flags() {
    let flags = u64::from((libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL).cast_unsigned());
    let Deed::Open { path, access } = deed("openat", [cwd(), 0x1_0000, flags, 0, 0, 0]) else {
        panic!()
    };
    assert_eq!(path, "/home/dev/notes.txt".into());
    assert!(access.write && access.create && access.exclusive && !access.read);
    let Deed::Open { path, access } = deed("openat", [5, 0x1_0000, 0, 0, 0, 0]) else {
        panic!()
    };
    assert_eq!(path, "/tmp/x/notes.txt".into());
    assert!(access.read && !access.write);
    let Deed::Open { path, .. } = deed("openat", [7, 0x1_1000, 0, 0, 0, 0]) else {
        panic!()
    };
    assert_eq!(path, "/etc/passwd".into(), "an absolute path needs no folder");
    let folder = u64::from(libc::O_DIRECTORY.cast_unsigned());
    let Deed::Open { access, .. } = deed("openat", [cwd(), 0x1_0000, folder, 0, 0, 0]) else {
        panic!()
    };
    assert!(access.folder);
    let path = u64::from(libc::O_PATH.cast_unsigned());
    assert!(matches!(
        deed("openat", [cwd(), 0x1_0000, path, 0, 0, 0]),
        Deed::Look { .. }
    ));
}

#[test]
fn programs_are_told_by_path_and_by_descriptor() {
    let Seen::Execute(execution) = run("execve", [0x1_0000, 0x1_3000, 0x1_5000, 0, 0, 0]).seen else {
        panic!()
    };
    assert_eq!(execution.path, b"/home/dev/notes.txt");
    assert_eq!(execution.argv, ["notes.txt".into(), "/etc/./passwd".into()]);
    assert_eq!(execution.variables, [b"LD_PRELOAD".to_vec()]);
    assert_eq!(execution.cwd, b"/home/dev");
    let arguments = [6, 0x1_2000, 0x1_3000, 0, u64::from(EMPTY_PATH), 0];
    let Seen::Execute(execution) = run("execveat", arguments).seen else {
        panic!()
    };
    assert_eq!(execution.descriptor, Some(6));
    assert_eq!(execution.path, b"/memfd:payload (deleted)");
}

#[test]
fn calls_to_others_are_told_with_the_transport() {
    for (name, arguments, transport) in [
        ("connect", [3, 0x1_6000, 16, 0, 0, 0], Transport::Tcp),
        ("sendto", [4, 0, 0, 0, 0x1_6000, 16], Transport::Udp),
        ("sendmsg", [4, 0x1_7000, 0, 0, 0, 0], Transport::Udp),
        ("sendmmsg", [4, 0x1_7000, 1, 0, 0, 0], Transport::Udp),
    ] {
        let Seen::Calls(calls) = run(name, arguments).seen else {
            panic!("{name}")
        };
        assert_eq!(calls.len(), 1, "{name}");
        assert_eq!(calls[0].1, transport, "{name}");
    }
    assert_eq!(run("sendmsg", [4, 0x1_3ff8, 0, 0, 0, 0]).seen, Seen::Nothing);
}

#[test]
fn what_cannot_be_read_is_said_and_nothing_is_not() {
    assert!(run("openat", [cwd(), 0x9_9999, 0, 0, 0, 0]).unreadable);
    let nowhere = run("openat", [cwd(), 0, 0, 0, 0, 0]);
    assert_eq!((nowhere.seen, nowhere.unreadable), (Seen::Nothing, false));
    assert!(!run("openat", [cwd(), 0x1_0000, 0, 0, 0, 0]).unreadable);
}

#[test]
fn signals_to_itself_are_no_deed() {
    assert_eq!(run("kill", [42, 9, 0, 0, 0, 0]).seen, Seen::OwnSignal);
    assert_eq!(
        deed("kill", [(-1i64).cast_unsigned(), 9, 0, 0, 0, 0]),
        Deed::Signal {
            target: -1,
            signal: 9
        }
    );
    assert_eq!(
        deed("pidfd_send_signal", [9, 15, 0, 0, 0, 0]),
        Deed::Signal {
            target: 77,
            signal: 15
        }
    );
}

#[test]
fn changes_of_oneself_say_to_what() {
    for (name, arguments, call) in [
        ("prctl", [15, 0x1_0000, 0, 0, 0, 0], "prctl set_name"),
        ("prctl", [4, 0, 0, 0, 0, 0], "prctl set_dumpable 0"),
        ("setuid", [0, 0, 0, 0, 0, 0], "setuid 0"),
        ("setresuid", [0, u64::MAX, 5, 0, 0, 0], "setresuid 0 -1 5"),
        ("setsid", [0; 6], "setsid"),
    ] {
        let Deed::Become { call: said, .. } = deed(name, arguments) else {
            panic!("{name}")
        };
        assert_eq!(said, call);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Any arguments, over any memory: no panic, and no more kept than the caps allow.
    #[test]
    fn any_call_is_decoded(
        number in 0..CALLS.len(),
        arguments: [u64; 6],
        near in proptest::collection::vec((0usize..6, 0u64..0x8000), 0..6),
        pages in proptest::collection::vec((0u64..8, proptest::collection::vec(any::<u8>(), 0..600)), 0..8),
    ) {
        let mut world = made();
        for (page, bytes) in pages {
            world.memory.put(0x1_0000 + page * 4096, &bytes);
        }
        let mut arguments = arguments;
        for (index, offset) in near {
            arguments[index] = 0x1_0000 + offset;
        }
        let decoded = decode(&CALLS[number], &arguments, &world, 1);
        if let Seen::Execute(execution) = decoded.seen {
            prop_assert!(execution.argv.len() <= ARGUMENTS);
            prop_assert!(execution.argv.iter().map(Foreign::len).sum::<usize>() <= ALL_ARGUMENTS + ARGUMENT);
        }
    }
}
