//! The filter of every command, as a classic BPF program that we write ourselves.
//!
//! Architecture first; then, call by call, whether the kernel shall seem not to have it, tell us, or refuse it; then
//! sockets of families that have no business in a box. Everything else is allowed at once: what is hot (read, write,
//! close, clone, wait, exit, sleep) is never trapped, and the kernel knows that without running the program.

use pyti_model::trace::Form;

use crate::calls::{CALLS, Call, NEW_LISTENER, Read, When};

/// A machine's system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86. Its 32-bit and x32 forms are killed.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// This machine's.
    pub const OWN: Self = if cfg!(target_arch = "x86_64") {
        Self::X86_64
    } else {
        Self::Aarch64
    };

    fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// `socket` and `socketpair`.
    fn sockets(self) -> [u32; 2] {
        match self {
            Self::X86_64 => [41, 53],
            Self::Aarch64 => [198, 199],
        }
    }
}

/// Numbers from here on are of the x32 form of x86-64.
const X32: u32 = 0x4000_0000;

const KILL: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const ERRNO: u32 = 0x0005_0000;

const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

fn op(code: u16, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    libc::sock_filter {
        code,
        jt: yes,
        jf: no,
        k: value,
    }
}

/// Offset of the low half of an argument in `struct seccomp_data`.
const fn argument(index: u8) -> u32 {
    16 + index as u32 * 8
}

/// The program for a form. Where nobody listens, nothing is told, and what is refused gets its error unseen.
pub fn program(arch: Arch, form: Form, listening: bool) -> Vec<libc::sock_filter> {
    let refuse = if listening {
        NOTIFY
    } else {
        ERRNO | libc::EPERM.cast_unsigned()
    };
    let absent = ERRNO | libc::ENOSYS.cast_unsigned();
    let no_family = ERRNO | libc::EAFNOSUPPORT.cast_unsigned();
    let mut p = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, arch.audit(), 1, 0),
        op(RETURN, KILL, 0, 0),
        op(LOAD, 0, 0, 0),
        op(AT_LEAST, X32, 0, 1),
        op(RETURN, KILL, 0, 0),
    ];
    for call in CALLS {
        let Some(number) = call.number(arch) else { continue };
        if !call.is_in(form) {
            continue;
        }
        let verdict = match call.read {
            Read::Absent => absent,
            Read::Refuse => refuse,
            _ if listening => NOTIFY,
            _ => continue,
        };
        let block = block(call, form, verdict);
        // blocks are a few instructions long
        p.push(op(EQUAL, number, 0, u8::try_from(block.len()).unwrap_or(u8::MAX)));
        p.extend(block);
    }
    let [socket, pair] = arch.sockets();
    p.extend([
        // sockets: local, IPv4, IPv6, and netlink for routes only
        op(EQUAL, socket, 1, 0),
        op(EQUAL, pair, 0, 9),
        op(LOAD, argument(0), 0, 0),
        op(EQUAL, libc::AF_UNIX.cast_unsigned(), 6, 0),
        op(EQUAL, libc::AF_INET.cast_unsigned(), 5, 0),
        op(EQUAL, libc::AF_INET6.cast_unsigned(), 4, 0),
        op(EQUAL, libc::AF_NETLINK.cast_unsigned(), 0, 2),
        op(LOAD, argument(2), 0, 0),
        op(EQUAL, libc::NETLINK_ROUTE.cast_unsigned(), 1, 0),
        op(RETURN, no_family, 0, 0),
        op(RETURN, ALLOW, 0, 0),
        op(RETURN, ALLOW, 0, 0),
    ]);
    p
}

/// Calls that the agent never makes. What it starts for boxes is started from threads without this filter, so that
/// a box's attempts are still told.
const NOT_THE_AGENTS: &[&str] = &[
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "add_key",
    "request_key",
    "keyctl",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "open_by_handle_at",
    "fanotify_init",
    "iopl",
    "ioperm",
    "ptrace",
    "process_vm_writev",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
];

/// The program for the agent's own threads: what they never need is refused. Other architectures' calls are killed.
pub fn agent_program(arch: Arch) -> Vec<libc::sock_filter> {
    let mut p = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, arch.audit(), 1, 0),
        op(RETURN, KILL, 0, 0),
        op(LOAD, 0, 0, 0),
        op(AT_LEAST, X32, 0, 1),
        op(RETURN, KILL, 0, 0),
    ];
    for call in CALLS.iter().filter(|call| NOT_THE_AGENTS.contains(&call.name)) {
        let Some(number) = call.number(arch) else { continue };
        let error = match call.read {
            Read::Absent => libc::ENOSYS,
            _ => libc::EPERM,
        };
        p.push(op(EQUAL, number, 0, 1));
        p.push(op(RETURN, ERRNO | error.cast_unsigned(), 0, 0));
    }
    p.push(op(RETURN, ALLOW, 0, 0));
    p
}

/// What is done with one call, once it is known to be this one. Ends with a verdict in every case.
fn block(call: &Call, form: Form, verdict: u32) -> Vec<libc::sock_filter> {
    // opens for reading are what the light form leaves out
    let when = match (call.read, form) {
        (Read::Open(..), Form::Opens | Form::Full) => When::Always,
        _ => call.when,
    };
    let among = |index: u8, values: &[u32], yes: u32, no: u32| {
        let mut ops = vec![op(LOAD, argument(index), 0, 0)];
        for (at, value) in values.iter().enumerate() {
            let left = u8::try_from(values.len() - at).unwrap_or(u8::MAX);
            ops.push(op(EQUAL, *value, left, 0));
        }
        ops.extend([op(RETURN, no, 0, 0), op(RETURN, yes, 0, 0)]);
        ops
    };
    match when {
        When::Always => vec![op(RETURN, verdict, 0, 0)],
        When::Bits(index, mask) => vec![
            op(LOAD, argument(index), 0, 0),
            op(ANY_BIT, mask, 0, 1),
            op(RETURN, verdict, 0, 0),
            op(RETURN, ALLOW, 0, 0),
        ],
        When::NoBits(index, mask) => vec![
            op(LOAD, argument(index), 0, 0),
            op(ANY_BIT, mask, 1, 0),
            op(RETURN, verdict, 0, 0),
            op(RETURN, ALLOW, 0, 0),
        ],
        When::Points(index) => vec![
            op(LOAD, argument(index), 0, 0),
            op(EQUAL, 0, 0, 2),
            op(LOAD, argument(index) + 4, 0, 0),
            op(EQUAL, 0, 1, 0),
            op(RETURN, verdict, 0, 0),
            op(RETURN, ALLOW, 0, 0),
        ],
        When::Is(index, values) => among(index, values, verdict, ALLOW),
        When::IsNot(index, values) => among(index, values, ALLOW, verdict),
    }
}

/// Installs the program on the calling thread; with `listen`, returns the descriptor that is told.
///
/// # Safety
///
/// Async-signal-safe; the program must live until it returns.
///
/// # Errors
///
/// The number of the kernel's error.
pub unsafe fn install(program: &[libc::sock_filter], listen: bool) -> Result<i32, i32> {
    const SET_MODE_FILTER: libc::c_ulong = 1;
    const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(libc::E2BIG);
    };
    let prog = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    let base = if listen {
        libc::c_ulong::from(NEW_LISTENER)
    } else {
        0
    };
    let attempts = if listen {
        [base | WAIT_KILLABLE_RECV, base]
    } else {
        [0, 0]
    };
    let mut error = 0;
    for flags in attempts {
        // SAFETY: the structure points at a program that lives
        let fd = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const prog) };
        if fd >= 0 {
            return Ok(i32::try_from(fd).unwrap_or(-1));
        }
        error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{PRCTL, WRITING};

    const BOTH: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// Runs the program like the kernel would, on one call.
    fn judge(program: &[libc::sock_filter], audit: u32, call: u32, arguments: [u64; 6]) -> u32 {
        let load = |offset: u32| match offset {
            0 => call,
            4 => audit,
            16.. => {
                let whole = arguments[(offset as usize - 16) / 8];
                let half = if offset.is_multiple_of(8) {
                    whole
                } else {
                    whole >> 32
                };
                u32::try_from(half & 0xffff_ffff).unwrap()
            }
            other => panic!("offset {other}"),
        };
        let (mut at, mut value) = (0usize, 0);
        loop {
            let op = program[at];
            let jump = |yes: bool| usize::from(if yes { op.jt } else { op.jf });
            at += 1;
            match op.code {
                LOAD => value = load(op.k),
                EQUAL => at += jump(value == op.k),
                AT_LEAST => at += jump(value >= op.k),
                ANY_BIT => at += jump(value & op.k != 0),
                RETURN => return op.k,
                other => panic!("operation {other}"),
            }
        }
    }

    struct Machine(Arch, Vec<libc::sock_filter>);

    impl Machine {
        fn new(arch: Arch, form: Form) -> Self {
            Self(arch, program(arch, form, true))
        }

        fn run(&self, name: &str, arguments: [u64; 6]) -> u32 {
            let call = CALLS.iter().find(|call| call.name.starts_with(name)).unwrap();
            judge(&self.1, self.0.audit(), call.number(self.0).unwrap(), arguments)
        }
    }

    fn with(index: usize, value: u64) -> [u64; 6] {
        let mut all = [0; 6];
        all[index] = value;
        all
    }

    #[test]
    fn every_call_gets_its_verdict_in_every_form() {
        for arch in BOTH {
            for form in [Form::None, Form::Light, Form::Opens, Form::Full] {
                let machine = Machine::new(arch, form);
                assert_eq!(
                    judge(&machine.1, 0x4000_0003, 0, [0; 6]),
                    KILL,
                    "another architecture"
                );
                assert_eq!(judge(&machine.1, arch.audit(), X32 + 1, [0; 6]), KILL, "x32");
                for number in [0, 1, 1000] {
                    if crate::calls::find(arch, number).is_none() {
                        assert_eq!(judge(&machine.1, arch.audit(), number, [0; 6]), ALLOW);
                    }
                }
                for call in CALLS.iter().filter(|call| call.number(arch).is_some()) {
                    let wanted = match call.read {
                        Read::Absent => ERRNO | libc::ENOSYS.cast_unsigned(),
                        _ if call.when != When::Always => continue,
                        _ if call.is_in(form) => NOTIFY,
                        _ => ALLOW,
                    };
                    assert_eq!(
                        machine.run(call.name, [0; 6]),
                        wanted,
                        "{arch:?} {form:?} {}",
                        call.name
                    );
                }
            }
        }
    }

    #[test]
    fn the_agent_may_do_what_it_needs_and_nothing_of_the_list() {
        for arch in BOTH {
            let program = agent_program(arch);
            let run = |call: &Call| judge(&program, arch.audit(), call.number(arch).unwrap(), [0; 6]);
            for name in NOT_THE_AGENTS {
                let call = CALLS.iter().find(|call| call.name == *name).unwrap();
                if call.number(arch).is_some() {
                    assert_eq!(run(call) & 0xffff_0000, ERRNO, "{arch:?} {name}");
                }
            }
            for call in CALLS.iter().filter(|call| call.number(arch).is_some()) {
                if !NOT_THE_AGENTS.contains(&call.name) {
                    assert_eq!(run(call), ALLOW, "{arch:?} {}", call.name);
                }
            }
            assert_eq!(judge(&program, 0x4000_0003, 0, [0; 6]), KILL);
        }
    }

    #[test]
    fn opens_for_reading_are_not_told_in_the_light_form() {
        for arch in BOTH {
            for (form, reading, looking) in [
                (Form::None, ALLOW, ALLOW),
                (Form::Light, ALLOW, ALLOW),
                (Form::Opens, NOTIFY, ALLOW),
                (Form::Full, NOTIFY, NOTIFY),
            ] {
                let machine = Machine::new(arch, form);
                let told = if form == Form::None { ALLOW } else { NOTIFY };
                assert_eq!(machine.run("newfstatat", [0; 6]), looking, "{form:?}");
                let cloexec = libc::O_CLOEXEC.cast_unsigned();
                assert_eq!(
                    machine.run("openat", with(2, u64::from(cloexec))),
                    reading,
                    "{form:?}"
                );
                for flag in [
                    libc::O_WRONLY,
                    libc::O_RDWR,
                    libc::O_CREAT,
                    libc::O_TRUNC,
                    libc::O_APPEND,
                ] {
                    let flags = u64::from(flag.cast_unsigned() | cloexec);
                    assert_eq!(machine.run("openat", with(2, flags)), told, "{form:?} {flag:o}");
                }
            }
        }
        assert_eq!(
            WRITING,
            (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND).cast_unsigned()
        );
    }

    #[test]
    fn every_condition_and_its_twin() {
        for arch in BOTH {
            let machine = Machine::new(arch, Form::Full);
            let pairs: &[(&str, [u64; 6], [u64; 6])] = &[
                ("newfstatat", with(3, 0x100), with(3, 0x1000)),
                ("statx", with(2, 0x800), with(2, 0x1000)),
                ("kill", with(1, 9), with(1, 0)),
                ("tgkill", with(2, 6), with(2, 23)),
                ("sendto", with(4, 0x7fff_0000_0000), with(4, 0)),
                ("sendto", with(4, 0x10), with(3, 0x10)),
                ("prctl", with(0, 15), with(0, 38)),
                ("prctl", with(0, 0x5961_6d61), with(0, 1)),
                ("personality", with(0, 0x0004_0000), with(0, 0xffff_ffff)),
                ("clone (", with(0, 0x1000_0000), with(0, 0x0100_4111)),
                ("seccomp", with(1, 8), with(1, 0)),
            ];
            for (name, told, allowed) in pairs {
                assert_eq!(machine.run(name, *told), NOTIFY, "{arch:?} {name}");
                assert_eq!(machine.run(name, *allowed), ALLOW, "{arch:?} {name}, harmless");
            }
            for (option, name) in PRCTL {
                assert_eq!(
                    machine.run("prctl", with(0, u64::from(*option))),
                    NOTIFY,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn sockets_of_other_families_do_not_exist() {
        for arch in BOTH {
            let machine = Machine::new(arch, Form::None);
            let run = |number, family: i32, protocol| {
                let family = u64::from(family.cast_unsigned());
                judge(&machine.1, arch.audit(), number, [family, 1, protocol, 0, 0, 0])
            };
            let none = ERRNO | libc::EAFNOSUPPORT.cast_unsigned();
            for number in arch.sockets() {
                for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
                    assert_eq!(run(number, family, 0), ALLOW, "family {family}");
                }
                for family in [libc::AF_VSOCK, libc::AF_PACKET, libc::AF_ALG] {
                    assert_eq!(run(number, family, 0), none, "family {family}");
                }
                assert_eq!(run(number, libc::AF_NETLINK, 0), ALLOW, "routes");
                assert_eq!(run(number, libc::AF_NETLINK, 16), none, "other netlink");
            }
        }
    }

    #[test]
    fn without_a_listener_refusals_get_an_error_and_nothing_is_told() {
        let machine = Machine(Arch::OWN, program(Arch::OWN, Form::Full, false));
        assert_eq!(machine.run("mount", [0; 6]), ERRNO | 1);
        assert_eq!(machine.run("openat", with(2, 1)), ALLOW);
        assert_eq!(
            machine.run("clone3", [0; 6]),
            ERRNO | libc::ENOSYS.cast_unsigned()
        );
    }
}
