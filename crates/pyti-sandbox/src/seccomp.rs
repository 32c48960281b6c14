//! The filter of every command, as a classic BPF program that we write ourselves.
//!
//! Architecture first; then calls that are absent; then calls that are refused by way of the notification, so that
//! they are recorded; then sockets of families that have no business in a box. Everything else is allowed: what is
//! hot (read, write, close, clone, wait, exit) is never trapped.

use crate::syscalls::{ABSENT, REFUSED};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
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

/// Namespaces that `clone` may be asked for in its flags.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 1 << 3;

fn op(code: u16, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    libc::sock_filter {
        code,
        jt: yes,
        jf: no,
        k: value,
    }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Offset of the low half of an argument in `struct seccomp_data`.
const fn argument(index: u32) -> u32 {
    16 + index * 8
}

/// The program. Where nobody can be notified, `notify` is off and refused calls get their error unseen.
pub(crate) fn program(notify: bool) -> Vec<libc::sock_filter> {
    let refuse = if notify {
        NOTIFY
    } else {
        ERRNO | libc::EPERM.cast_unsigned()
    };
    let absent = ERRNO | libc::ENOSYS.cast_unsigned();
    let no_family = ERRNO | libc::EAFNOSUPPORT.cast_unsigned();
    let mut p = vec![
        op(LOAD, 4, 0, 0),
        op(EQUAL, ARCH, 1, 0),
        op(RETURN, KILL, 0, 0),
        op(LOAD, 0, 0, 0),
        op(AT_LEAST, X32, 0, 1),
        op(RETURN, KILL, 0, 0),
    ];
    for (call, _) in ABSENT {
        p.extend([op(EQUAL, number(*call), 0, 1), op(RETURN, absent, 0, 0)]);
    }
    for (call, _) in REFUSED {
        p.extend([op(EQUAL, number(*call), 0, 1), op(RETURN, refuse, 0, 0)]);
    }
    p.extend([
        // a thread or process is fine, a namespace is not
        op(EQUAL, number(libc::SYS_clone), 0, 4),
        op(LOAD, argument(0), 0, 0),
        op(ANY_BIT, NEW_NAMESPACES, 0, 1),
        op(RETURN, refuse, 0, 0),
        op(RETURN, ALLOW, 0, 0),
        // a filter of one's own is fine, a listener would hide calls from ours
        op(EQUAL, number(libc::SYS_seccomp), 0, 4),
        op(LOAD, argument(1), 0, 0),
        op(ANY_BIT, NEW_LISTENER, 0, 1),
        op(RETURN, refuse, 0, 0),
        op(RETURN, ALLOW, 0, 0),
        // sockets: local, IPv4, IPv6, and netlink for routes only
        op(EQUAL, number(libc::SYS_socket), 1, 0),
        op(EQUAL, number(libc::SYS_socketpair), 0, 9),
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

/// Installs the program on the calling thread; with `listener`, returns the descriptor that is notified.
///
/// # Safety
///
/// Async-signal-safe; the program must live until it returns.
pub(crate) unsafe fn install(program: &[libc::sock_filter], listener: bool) -> Result<i32, i32> {
    const SET_MODE_FILTER: libc::c_ulong = 1;
    const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(libc::E2BIG);
    };
    let prog = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    let base = if listener {
        libc::c_ulong::from(NEW_LISTENER)
    } else {
        0
    };
    let attempts = if listener {
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
        error = crate::sys::errno();
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program like the kernel would, on one call.
    fn judge(program: &[libc::sock_filter], arch: u32, call: u32, arguments: [u32; 3]) -> u32 {
        let load = |offset: u32| match offset {
            0 => call,
            4 => arch,
            16 => arguments[0],
            24 => arguments[1],
            32 => arguments[2],
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

    #[test]
    fn every_rule_and_its_twin() {
        let p = program(true);
        let run = |call: libc::c_long, arguments| judge(&p, ARCH, number(call), arguments);
        assert_eq!(
            judge(&p, 0x4000_0003, number(libc::SYS_read), [0; 3]),
            KILL,
            "another architecture"
        );
        assert_eq!(judge(&p, ARCH, X32 + 1, [0; 3]), KILL, "x32");
        for (call, name) in ABSENT {
            assert_eq!(run(*call, [0; 3]), ERRNO | libc::ENOSYS.cast_unsigned(), "{name}");
        }
        for (call, name) in REFUSED {
            assert_eq!(run(*call, [0; 3]), NOTIFY, "{name}");
        }
        for call in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_execve,
            libc::SYS_openat,
            libc::SYS_wait4,
        ] {
            assert_eq!(run(call, [0; 3]), ALLOW);
        }
        assert_eq!(
            run(libc::SYS_clone, [0x1000_0000, 0, 0]),
            NOTIFY,
            "a user namespace"
        );
        assert_eq!(run(libc::SYS_clone, [0x0100_4111, 0, 0]), ALLOW, "a process");
        assert_eq!(run(libc::SYS_seccomp, [1, NEW_LISTENER, 0]), NOTIFY);
        assert_eq!(run(libc::SYS_seccomp, [1, 0, 0]), ALLOW);
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert_eq!(
                run(libc::SYS_socket, [family.cast_unsigned(), 1, 0]),
                ALLOW,
                "family {family}"
            );
        }
        for family in [libc::AF_VSOCK, libc::AF_PACKET, libc::AF_ALG] {
            assert_eq!(
                run(libc::SYS_socket, [family.cast_unsigned(), 1, 0]),
                ERRNO | libc::EAFNOSUPPORT.cast_unsigned(),
                "family {family}"
            );
        }
        assert_eq!(
            run(libc::SYS_socketpair, [libc::AF_UNIX.cast_unsigned(), 1, 0]),
            ALLOW
        );
        let netlink = libc::AF_NETLINK.cast_unsigned();
        assert_eq!(run(libc::SYS_socket, [netlink, 3, 0]), ALLOW, "routes");
        assert_eq!(
            run(libc::SYS_socket, [netlink, 3, 16]),
            ERRNO | libc::EAFNOSUPPORT.cast_unsigned(),
            "other netlink"
        );
    }

    #[test]
    fn without_a_listener_refusals_get_an_error() {
        let p = program(false);
        assert_eq!(judge(&p, ARCH, number(libc::SYS_mount), [0; 3]), ERRNO | 1);
    }
}
