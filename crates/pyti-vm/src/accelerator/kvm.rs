//! A guest of eleven bytes: long mode, a loop, a halt. The calls are few, so they are made by hand.
//!
//! Source: Linux's `Documentation/virt/kvm/api.rst` and the `kvm.h` of its user interface, for x86-64.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};

use super::Ran;

const KVM_GET_API_VERSION: u32 = 0xAE00;
const KVM_CREATE_VM: u32 = 0xAE01;
const KVM_GET_VCPU_MMAP_SIZE: u32 = 0xAE04;
const KVM_CREATE_VCPU: u32 = 0xAE41;
const KVM_SET_USER_MEMORY_REGION: u32 = 0x4020_AE46;
const KVM_RUN: u32 = 0xAE80;
const KVM_SET_REGS: u32 = 0x4090_AE82;
const KVM_GET_SREGS: u32 = 0x8138_AE83;
const KVM_SET_SREGS: u32 = 0x4138_AE84;
const EXIT_HLT: u32 = 5;
const MEMORY: usize = 64 << 10;
const CODE: u64 = 0x8000;

#[repr(C)]
struct Region {
    slot: u32,
    flags: u32,
    guest: u64,
    size: u64,
    host: u64,
}

/// `struct kvm_regs`: sixteen registers, rip and rflags.
#[repr(C)]
#[derive(Default)]
struct Registers {
    general: [u64; 16],
    rip: u64,
    rflags: u64,
}

/// `struct kvm_segment`.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Segment {
    base: u64,
    limit: u32,
    selector: u16,
    kind: u8,
    present: u8,
    dpl: u8,
    db: u8,
    s: u8,
    l: u8,
    g: u8,
    avl: u8,
    unusable: u8,
    padding: u8,
}

/// `struct kvm_sregs`.
#[repr(C)]
#[derive(Default)]
struct Special {
    // cs, ds, es, fs, gs, ss, tr, ldt
    segments: [Segment; 8],
    // gdt and idt: base, limit and padding
    tables: [[u64; 2]; 2],
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    cr8: u64,
    efer: u64,
    apic_base: u64,
    interrupts: [u64; 4],
}

struct Mapping(*mut libc::c_void, usize);

impl Mapping {
    fn new(fd: i32, size: usize, flags: i32) -> io::Result<Self> {
        // SAFETY: a new mapping, of which nobody else knows
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(at, size))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more
        unsafe { libc::munmap(self.0, self.1) };
    }
}

/// Runs the loop, at most this long.
pub(super) fn run(rounds: u32, most: Duration) -> Ran {
    let kvm = match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(kvm) => kvm,
        Err(error) => return Ran::Absent(error),
    };
    // the calls interrupt the thread that makes them, so it is one of its own
    let thread = std::thread::Builder::new()
        .name("kvm".to_owned())
        .spawn(move || try_it(&kvm, rounds, most));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(ran)) => ran,
        Ok(Err(_)) => Ran::Failed("running", io::Error::other("it panicked")),
        Err(error) => Ran::Failed("starting a thread", error),
    }
}

fn try_it(kvm: &File, rounds: u32, most: Duration) -> Ran {
    match set_up_and_run(kvm, rounds, most) {
        Ok(ran) => ran,
        Err((step, error)) => Ran::Failed(step, error),
    }
}

fn set_up_and_run(kvm: &File, rounds: u32, most: Duration) -> Result<Ran, (&'static str, io::Error)> {
    // SAFETY: each request gets what it wants, alive until the call is over; descriptors that come are owned at once
    unsafe {
        let ask = |fd: i32, request: u32, argument: u64, step: &'static str| {
            let answer = libc::ioctl(fd, libc::Ioctl::from(request), argument);
            if answer < 0 {
                Err((step, io::Error::last_os_error()))
            } else {
                Ok(answer)
            }
        };
        let version = ask(kvm.as_raw_fd(), KVM_GET_API_VERSION, 0, "asking for the version")?;
        if version != 12 {
            return Err((
                "asking for the version",
                io::Error::other(format!("it is {version}")),
            ));
        }
        let machine = OwnedFd::from_raw_fd(ask(kvm.as_raw_fd(), KVM_CREATE_VM, 0, "making a machine")?);
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = Mapping::new(-1, MEMORY, anonymous).map_err(|e| ("mapping memory", e))?;
        fill(memory.0.cast(), rounds);
        let region = Region {
            slot: 0,
            flags: 0,
            guest: 0,
            size: MEMORY as u64,
            host: memory.0 as u64,
        };
        ask(
            machine.as_raw_fd(),
            KVM_SET_USER_MEMORY_REGION,
            &raw const region as u64,
            "giving it memory",
        )?;
        let cpu = OwnedFd::from_raw_fd(ask(
            machine.as_raw_fd(),
            KVM_CREATE_VCPU,
            0,
            "making a processor",
        )?);
        let size = ask(
            kvm.as_raw_fd(),
            KVM_GET_VCPU_MMAP_SIZE,
            0,
            "mapping the processor",
        )?;
        let size = usize::try_from(size).unwrap_or(0).max(4096);
        let shared = Mapping::new(cpu.as_raw_fd(), size, libc::MAP_SHARED)
            .map_err(|e| ("mapping the processor", e))?;
        let mut special = Special::default();
        ask(
            cpu.as_raw_fd(),
            KVM_GET_SREGS,
            &raw mut special as u64,
            "reading its registers",
        )?;
        long_mode(&mut special);
        ask(
            cpu.as_raw_fd(),
            KVM_SET_SREGS,
            &raw const special as u64,
            "entering long mode",
        )?;
        let registers = Registers {
            rip: CODE,
            rflags: 2,
            ..Registers::default()
        };
        ask(
            cpu.as_raw_fd(),
            KVM_SET_REGS,
            &raw const registers as u64,
            "setting its registers",
        )?;
        let alarm = Alarm::start(most, shared.0.cast()).map_err(|e| ("setting an alarm", e))?;
        let began = Instant::now();
        let answer = libc::ioctl(cpu.as_raw_fd(), libc::Ioctl::from(KVM_RUN), 0);
        let took = began.elapsed();
        let interrupted = answer < 0;
        let error = io::Error::last_os_error();
        drop(alarm);
        if interrupted {
            return if error.raw_os_error() == Some(libc::EINTR) {
                Ok(Ran::TooSlow(took))
            } else {
                Err(("running", error))
            };
        }
        // `exit_reason` of `struct kvm_run`
        let reason = shared.0.cast::<u32>().add(2).read_volatile();
        if reason == EXIT_HLT {
            Ok(Ran::Ended(took))
        } else {
            Err((
                "running",
                io::Error::other(format!("it ended for reason {reason}")),
            ))
        }
    }
}

/// Page tables that map the first 2 MiB as they are, and the loop.
unsafe fn fill(memory: *mut u8, rounds: u32) {
    // mov ecx, N; 1: dec ecx; jnz 1b; hlt
    let mut code = [0xB9, 0, 0, 0, 0, 0xFF, 0xC9, 0x75, 0xFC, 0xF4];
    code[1..5].copy_from_slice(&rounds.to_le_bytes());
    // SAFETY: all places lie within the 64 KiB that the caller mapped
    unsafe {
        for (place, entry) in [(0x1000, 0x2003u64), (0x2000, 0x3003), (0x3000, 0x83)] {
            let bytes = entry.to_le_bytes();
            ptr::copy_nonoverlapping(bytes.as_ptr(), memory.add(place), bytes.len());
        }
        ptr::copy_nonoverlapping(code.as_ptr(), memory.add(0x8000), code.len());
    }
}

fn long_mode(special: &mut Special) {
    let code = Segment {
        limit: u32::MAX,
        selector: 8,
        kind: 11,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..Segment::default()
    };
    let data = Segment {
        selector: 16,
        kind: 3,
        l: 0,
        db: 1,
        ..code
    };
    special.segments[0] = code;
    for segment in &mut special.segments[1..6] {
        *segment = data;
    }
    special.cr3 = 0x1000;
    special.cr4 = 1 << 5;
    special.cr0 = 1 | 1 << 4 | 1 << 31;
    special.efer = 1 << 8 | 1 << 10;
}

/// Interrupts the run: asks the processor to leave at once, and the thread by a signal.
struct Alarm {
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Alarm {
    fn start(after: Duration, run: *mut u8) -> io::Result<Self> {
        extern "C" fn nothing(_: i32) {}
        let (stop, stopped) = std::sync::mpsc::channel();
        let run = run as usize;
        // SAFETY: a handler that does nothing, without SA_RESTART, so that the call returns
        let who = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
            if libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::pthread_self()
        };
        let thread = std::thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || {
                if stopped
                    .recv_timeout(after)
                    .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    // SAFETY: the mapping and the thread live until this thread is joined
                    unsafe {
                        // `immediate_exit` of `struct kvm_run`
                        (run as *mut u8).add(1).write_volatile(1);
                        libc::pthread_kill(who, libc::SIGUSR1);
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
