//! The system calls that the filter knows, by number on both architectures, and how their arguments are read.

use pyti_model::trace::Form;

use crate::filter::Arch;

/// When a call is trapped. Only what stands in registers can decide: memory can change after it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// Any of these bits is set in an argument.
    Bits(u8, u32),
    /// None of these bits is set in an argument.
    NoBits(u8, u32),
    /// An argument points somewhere.
    Points(u8),
    /// An argument is one of these.
    Is(u8, &'static [u32]),
    /// An argument is none of these.
    IsNot(u8, &'static [u32]),
}

/// Where a path stands: argument of the folder, argument of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) folder: Option<u8>,
    pub(crate) name: u8,
    /// The argument with `AT_EMPTY_PATH`, where there is one.
    pub(crate) flags: Option<u8>,
}

/// How arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Execute {
        at: At,
        argv: u8,
        env: u8,
    },
    /// The argument with the flags; `creat` has none.
    Open(At, Option<u8>),
    Look(At),
    /// The argument with the descriptor.
    List(u8),
    MakeFolder(At),
    MakeNode(At),
    Rename(At, At),
    Link(At, At),
    /// What it points to, and where it is.
    Symlink(u8, At),
    /// The argument with flags, or whether a folder is meant.
    Remove(At, Option<u8>, bool),
    Mode(At, u8),
    ModeOf(u8, u8),
    Owner(At),
    OwnerOf(u8),
    Truncate(At),
    /// The argument with the name.
    Memory(Option<u8>),
    Ptrace,
    /// Whether it writes.
    ForeignMemory(bool),
    TakeDescriptor,
    /// Target, signal.
    Signal(u8, u8),
    /// The target is a descriptor of a process.
    SignalByFd(u8, u8),
    Prctl,
    Become,
    Inquire,
    /// The first call of nearly every program: it tells only that the program runs.
    Started,
    Bind,
    Listen,
    Connect,
    SendTo,
    SendMessage,
    SendMessages,
    /// Refused and recorded.
    Refuse,
    /// Refused as if the kernel did not have it; nobody is told.
    Absent,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    numbers: [u16; 2],
    pub(crate) form: Form,
    pub(crate) when: When,
    pub(crate) read: Read,
}

impl Call {
    /// Its number; `None` where the architecture has no such call.
    pub(crate) fn number(&self, arch: Arch) -> Option<u32> {
        let number = match arch {
            Arch::X86_64 => self.numbers[0],
            Arch::Aarch64 => self.numbers[1],
        };
        (number != NONE).then_some(u32::from(number))
    }

    /// Whether a form traps it. What is refused is trapped in every form.
    pub(crate) fn is_in(&self, form: Form) -> bool {
        match self.form {
            // in the full form the loader's opens tell the same
            _ if self.read == Read::Started => form == Form::Light,
            Form::None => true,
            Form::Light => form != Form::None,
            Form::Opens => matches!(form, Form::Opens | Form::Full),
            Form::Full => form == Form::Full,
        }
    }
}

/// The call behind a number.
pub(crate) fn find(arch: Arch, number: u32) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number(arch) == Some(number))
}

const NONE: u16 = u16::MAX;

const fn at(name: u8) -> At {
    At {
        folder: None,
        name,
        flags: None,
    }
}

const fn in_folder(folder: u8, name: u8) -> At {
    At {
        folder: Some(folder),
        name,
        flags: None,
    }
}

const fn with_flags(folder: u8, name: u8, flags: u8) -> At {
    At {
        folder: Some(folder),
        name,
        flags: Some(flags),
    }
}

const fn call(name: &'static str, x86: u16, arm: u16, form: Form, when: When, read: Read) -> Call {
    Call {
        name,
        numbers: [x86, arm],
        form,
        when,
        read,
    }
}

const fn light(name: &'static str, x86: u16, arm: u16, read: Read) -> Call {
    call(name, x86, arm, Form::Light, When::Always, read)
}

const fn opens(name: &'static str, x86: u16, arm: u16, read: Read) -> Call {
    call(name, x86, arm, Form::Opens, When::Always, read)
}

const fn full(name: &'static str, x86: u16, arm: u16, read: Read) -> Call {
    call(name, x86, arm, Form::Full, When::Always, read)
}

const fn refused(name: &'static str, x86: u16, arm: u16) -> Call {
    call(name, x86, arm, Form::None, When::Always, Read::Refuse)
}

const fn absent(name: &'static str, number: u16) -> Call {
    call(name, number, number, Form::None, When::Always, Read::Absent)
}

/// Flags with which an open changes something: `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_TRUNC`, `O_APPEND`. The same
/// numbers on both architectures.
pub(crate) const WRITING: u32 = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000;
/// `AT_EMPTY_PATH`: a look at what is open already.
pub(crate) const EMPTY_PATH: u32 = 0x1000;
/// Options of `prctl` that change what a process is, with their names.
pub(crate) const PRCTL: &[(u32, &str)] = &[
    (4, "set_dumpable"),
    (15, "set_name"),
    (22, "set_seccomp"),
    (24, "drop_capability"),
    (28, "set_securebits"),
    (35, "set_mm"),
    (36, "set_child_subreaper"),
    (47, "set_ambient"),
    (0x5961_6d61, "set_ptracer"),
];
const PRCTL_NUMBERS: &[u32] = &[4, 15, 22, 24, 28, 35, 36, 47, 0x5961_6d61];
/// Signals of a runtime to its own threads: nothing, `SIGURG` (Go), the two of the C library.
const OWN_SIGNALS: &[u32] = &[0, 23, 32, 33];

/// All of them. What is hot stands first: the program is walked from the top.
pub(crate) const CALLS: &[Call] = &[
    call(
        "openat",
        257,
        56,
        Form::Light,
        When::Bits(2, WRITING),
        Read::Open(in_folder(0, 1), Some(2)),
    ),
    call(
        "open",
        2,
        NONE,
        Form::Light,
        When::Bits(1, WRITING),
        Read::Open(at(0), Some(1)),
    ),
    call(
        "newfstatat",
        262,
        79,
        Form::Full,
        When::NoBits(3, EMPTY_PATH),
        Read::Look(in_folder(0, 1)),
    ),
    full("stat", 4, NONE, Read::Look(at(0))),
    full("lstat", 6, NONE, Read::Look(at(0))),
    call(
        "statx",
        332,
        291,
        Form::Full,
        When::NoBits(2, EMPTY_PATH),
        Read::Look(in_folder(0, 1)),
    ),
    full("access", 21, NONE, Read::Look(at(0))),
    full("faccessat", 269, 48, Read::Look(in_folder(0, 1))),
    full("faccessat2", 439, 439, Read::Look(in_folder(0, 1))),
    full("readlink", 89, NONE, Read::Look(at(0))),
    full("readlinkat", 267, 78, Read::Look(in_folder(0, 1))),
    full("getdents64", 217, 61, Read::List(0)),
    full("getdents", 78, NONE, Read::List(0)),
    light("creat", 85, NONE, Read::Open(at(0), None)),
    light(
        "execve",
        59,
        221,
        Read::Execute {
            at: at(0),
            argv: 1,
            env: 2,
        },
    ),
    light(
        "execveat",
        322,
        281,
        Read::Execute {
            at: with_flags(0, 1, 4),
            argv: 2,
            env: 3,
        },
    ),
    light("rename", 82, NONE, Read::Rename(at(0), at(1))),
    light(
        "renameat",
        264,
        38,
        Read::Rename(in_folder(0, 1), in_folder(2, 3)),
    ),
    light(
        "renameat2",
        316,
        276,
        Read::Rename(in_folder(0, 1), in_folder(2, 3)),
    ),
    light("link", 86, NONE, Read::Link(at(0), at(1))),
    light(
        "linkat",
        265,
        37,
        Read::Link(with_flags(0, 1, 4), in_folder(2, 3)),
    ),
    light("symlink", 88, NONE, Read::Symlink(0, at(1))),
    light("symlinkat", 266, 36, Read::Symlink(0, in_folder(1, 2))),
    light("unlink", 87, NONE, Read::Remove(at(0), None, false)),
    light("unlinkat", 263, 35, Read::Remove(in_folder(0, 1), Some(2), false)),
    light("rmdir", 84, NONE, Read::Remove(at(0), None, true)),
    light("mkdir", 83, NONE, Read::MakeFolder(at(0))),
    light("mkdirat", 258, 34, Read::MakeFolder(in_folder(0, 1))),
    light("mknod", 133, NONE, Read::MakeNode(at(0))),
    light("mknodat", 259, 33, Read::MakeNode(in_folder(0, 1))),
    light("chmod", 90, NONE, Read::Mode(at(0), 1)),
    light("fchmod", 91, 52, Read::ModeOf(0, 1)),
    light("fchmodat", 268, 53, Read::Mode(in_folder(0, 1), 2)),
    light("fchmodat2", 452, 452, Read::Mode(with_flags(0, 1, 3), 2)),
    light("chown", 92, NONE, Read::Owner(at(0))),
    light("lchown", 94, NONE, Read::Owner(at(0))),
    light("fchown", 93, 55, Read::OwnerOf(0)),
    light("fchownat", 260, 54, Read::Owner(with_flags(0, 1, 4))),
    light("truncate", 76, 45, Read::Truncate(at(0))),
    light("memfd_create", 319, 279, Read::Memory(Some(0))),
    light("memfd_secret", 447, 447, Read::Memory(None)),
    light("ptrace", 101, 117, Read::Ptrace),
    light("process_vm_readv", 310, 270, Read::ForeignMemory(false)),
    light("process_vm_writev", 311, 271, Read::ForeignMemory(true)),
    light("pidfd_getfd", 438, 438, Read::TakeDescriptor),
    call(
        "kill",
        62,
        129,
        Form::Light,
        When::IsNot(1, &[0]),
        Read::Signal(0, 1),
    ),
    call(
        "tkill",
        200,
        130,
        Form::Light,
        When::IsNot(1, OWN_SIGNALS),
        Read::Signal(0, 1),
    ),
    call(
        "tgkill",
        234,
        131,
        Form::Light,
        When::IsNot(2, OWN_SIGNALS),
        Read::Signal(0, 2),
    ),
    call(
        "pidfd_send_signal",
        424,
        424,
        Form::Light,
        When::IsNot(1, &[0]),
        Read::SignalByFd(0, 1),
    ),
    light("rt_sigqueueinfo", 129, 138, Read::Signal(0, 1)),
    light("rt_tgsigqueueinfo", 297, 240, Read::Signal(0, 2)),
    call(
        "prctl",
        157,
        167,
        Form::Light,
        When::Is(0, PRCTL_NUMBERS),
        Read::Prctl,
    ),
    light("setuid", 105, 146, Read::Become),
    light("setgid", 106, 144, Read::Become),
    light("setreuid", 113, 145, Read::Become),
    light("setregid", 114, 143, Read::Become),
    light("setresuid", 117, 147, Read::Become),
    light("setresgid", 119, 149, Read::Become),
    light("setfsuid", 122, 151, Read::Become),
    light("setfsgid", 123, 152, Read::Become),
    light("setgroups", 116, 159, Read::Become),
    light("capset", 126, 91, Read::Become),
    light("setsid", 112, 157, Read::Become),
    call(
        "personality",
        135,
        92,
        Form::Light,
        When::IsNot(0, &[u32::MAX]),
        Read::Become,
    ),
    light("sched_setaffinity", 203, 122, Read::Become),
    opens("sched_getaffinity", 204, 123, Read::Inquire),
    opens("sysinfo", 99, 179, Read::Inquire),
    opens("uname", 63, 160, Read::Inquire),
    light("bind", 49, 200, Read::Bind),
    light("listen", 50, 201, Read::Listen),
    light("connect", 42, 203, Read::Connect),
    call("sendto", 44, 206, Form::Light, When::Points(4), Read::SendTo),
    light("sendmsg", 46, 211, Read::SendMessage),
    light("sendmmsg", 307, 269, Read::SendMessages),
    // done once by every program of a C library before it begins, and by nobody later: so a short program is known
    // to have been started
    light("set_tid_address", 218, 96, Read::Started),
    // their operations would pass the filter unseen
    absent("io_uring_setup", 425),
    absent("io_uring_enter", 426),
    absent("io_uring_register", 427),
    // their flags lie in memory, where they can be changed after they were looked at
    absent("clone3", 435),
    absent("openat2", 437),
    refused("mount", 165, 40),
    refused("umount2", 166, 39),
    refused("move_mount", 429, 429),
    refused("open_tree", 428, 428),
    refused("open_tree_attr", 467, 467),
    refused("mount_setattr", 442, 442),
    refused("fsopen", 430, 430),
    refused("fsconfig", 431, 431),
    refused("fsmount", 432, 432),
    refused("fspick", 433, 433),
    refused("pivot_root", 155, 41),
    refused("chroot", 161, 51),
    refused("unshare", 272, 97),
    refused("setns", 308, 268),
    refused("bpf", 321, 280),
    refused("perf_event_open", 298, 241),
    refused("userfaultfd", 323, 282),
    refused("add_key", 248, 217),
    refused("request_key", 249, 218),
    refused("keyctl", 250, 219),
    refused("init_module", 175, 105),
    refused("finit_module", 313, 273),
    refused("delete_module", 176, 106),
    refused("kexec_load", 246, 104),
    refused("kexec_file_load", 320, 294),
    refused("reboot", 169, 142),
    refused("swapon", 167, 224),
    refused("swapoff", 168, 225),
    refused("settimeofday", 164, 170),
    refused("clock_settime", 227, 112),
    refused("clock_adjtime", 305, 266),
    refused("acct", 163, 89),
    refused("quotactl", 179, 60),
    refused("quotactl_fd", 443, 443),
    refused("syslog", 103, 116),
    refused("open_by_handle_at", 304, 265),
    refused("fanotify_init", 300, 262),
    refused("iopl", 172, NONE),
    refused("ioperm", 173, NONE),
    // a thread or process is fine, a namespace is not
    call(
        "clone (new namespace)",
        56,
        220,
        Form::None,
        When::Bits(0, NEW_NAMESPACES),
        Read::Refuse,
    ),
    // a filter of one's own is fine, a listener would hide calls from ours
    call(
        "seccomp (new listener)",
        317,
        277,
        Form::None,
        When::Bits(1, NEW_LISTENER),
        Read::Refuse,
    ),
];

/// Namespaces that `clone` may be asked for in its flags.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(crate) const NEW_LISTENER: u32 = 1 << 3;

#[cfg(test)]
#[expect(
    clippy::print_stderr,
    reason = "a skipped test says so where a person reads it"
)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn header(path: &str) -> Option<BTreeMap<String, u32>> {
        let text = std::fs::read_to_string(path)
            .inspect_err(|error| eprintln!("SKIPPED: {path}: {error}"))
            .ok()?;
        let numbers = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("#define __NR")?;
            let (name, number) = rest
                .trim_start_matches("3264")
                .trim_start_matches('_')
                .split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        });
        Some(numbers.collect())
    }

    /// The kernel's own headers are compared with both columns; a call that a header is too old for is left out.
    #[test]
    fn both_tables_are_the_kernels() {
        let tables = [
            (Arch::X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
            (Arch::Aarch64, "/usr/include/asm-generic/unistd.h"),
        ];
        for (arch, path) in tables {
            let Some(known) = header(path) else { continue };
            let mut compared = 0;
            for call in CALLS {
                let name = call.name.split(' ').next().unwrap();
                let Some(wanted) = known
                    .get(name)
                    .or_else(|| known.get("fstatat").filter(|_| name == "newfstatat"))
                else {
                    continue;
                };
                assert_eq!(call.number(arch), Some(*wanted), "{arch:?} {name}");
                compared += 1;
            }
            assert!(compared > 90, "{arch:?}: only {compared} were compared");
        }
    }

    #[test]
    fn every_number_stands_in_the_table_once() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let mut seen = BTreeSet::new();
            for call in CALLS {
                if let Some(number) = call.number(arch) {
                    assert!(seen.insert(number), "{arch:?} {}", call.name);
                    assert_eq!(find(arch, number).unwrap().name, call.name);
                }
            }
        }
        assert_eq!(find(Arch::X86_64, 0), None, "read is never trapped");
    }

    #[test]
    fn what_is_hot_is_in_no_table() {
        let hot = [
            (0, 63),    // read
            (1, 64),    // write
            (3, 57),    // close
            (32, 23),   // dup
            (61, 260),  // wait4
            (60, 93),   // exit
            (231, 94),  // exit_group
            (230, 115), // clock_nanosleep
        ];
        for (x86, arm) in hot {
            assert_eq!(find(Arch::X86_64, x86), None, "{x86}");
            assert_eq!(find(Arch::Aarch64, arm), None, "{arm}");
        }
    }
}
