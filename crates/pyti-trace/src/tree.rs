//! Who is who: threads → processes → parents.
//!
//! Nobody tells when a process is made. It is seen at its first stopped call, and with it those of its ancestors that
//! have not been seen. Its end is told by a descriptor of it, which also keeps its number from being mistaken for a
//! later process's.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use pyti_model::effect::Exit;
use pyti_model::foreign::Foreign;
use pyti_model::trace::{End, Process};

use crate::keep::Doer;
use crate::proc::{Folder, Stat, Status};
use crate::programs::Target;
use crate::sockets;

/// Most processes that are listed.
const LISTED: usize = 8_000;
/// Threads that are remembered of one process.
const THREADS: usize = 512;
/// How many unseen ancestors are looked at.
const DEPTH: u32 = 64;
/// The command's number in its box: the first process makes it first.
const COMMAND: i32 = 2;

/// A process that is alive.
pub(crate) struct Instance {
    /// Its place in the list; `None` when the list is full.
    pub(crate) number: Option<u32>,
    pub(crate) pid: u32,
    /// Its number in the box.
    pub(crate) inner: i32,
    pub(crate) folder: Folder,
    /// Becomes readable when it ends.
    pub(crate) handle: Option<OwnedFd>,
    pub(crate) doer: Doer,
    /// What was read of it when it was seen first; taken by whoever wants it at once.
    pub(crate) fresh: Option<Stat>,
    /// The program that it asked for last, until it is known what came of it.
    pub(crate) pending: Option<Pending>,
    /// It is the command before its first `execve`: what it does is our own set-up.
    pub(crate) setting_up: bool,
    threads: Vec<u32>,
}

impl Instance {
    /// Whether its descriptor says that it and all its threads have ended.
    pub(crate) fn has_ended(&self) -> bool {
        let Some(handle) = self.handle.as_ref() else {
            return false;
        };
        let mut entry = libc::pollfd {
            fd: handle.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one structure, that lives
        unsafe { libc::poll(&raw mut entry, 1, 0) == 1 }
    }
}

/// A call to run a program whose outcome is not known yet.
pub(crate) struct Pending {
    /// The thread that called.
    pub(crate) tid: u32,
    /// What it ran before: [`crate::proc::Stat::image`] and the name.
    pub(crate) image: u64,
    pub(crate) name: Vec<u8>,
    /// The place of its act.
    pub(crate) act: Option<usize>,
    pub(crate) asked: Vec<u8>,
    pub(crate) argv: Vec<Foreign>,
    pub(crate) target: Target,
}

/// All processes of a box.
pub(crate) struct Tree {
    init: u32,
    processes: Vec<Process>,
    live: HashMap<u32, Instance>,
    threads: HashMap<u32, u32>,
    /// Leaders of sessions, also those that have ended.
    sessions: HashMap<u32, u32>,
    /// The command has been seen.
    bound: bool,
    /// Processes that the list has no room for.
    pub(crate) unlisted: u64,
    /// Where ends are waited for.
    waiting: RawFd,
}

impl Tree {
    /// `waiting` is an epoll descriptor that outlives this; processes are added to it by their own number.
    pub(crate) fn new(init: i32, argv: Vec<Foreign>, waiting: RawFd) -> Self {
        let command = Process {
            number: 0,
            parent: None,
            pid: COMMAND,
            began_us: 0,
            ended: None,
            executable: argv.first().cloned().unwrap_or_default(),
            argv,
        };
        Self {
            init: init.cast_unsigned(),
            processes: vec![command],
            live: HashMap::new(),
            threads: HashMap::new(),
            sessions: HashMap::new(),
            bound: false,
            unlisted: 0,
            waiting,
        }
    }

    pub(crate) fn is_init(&self, tid: u32) -> bool {
        tid == self.init
    }

    pub(crate) fn get(&mut self, pid: u32) -> Option<&mut Instance> {
        self.live.get_mut(&pid)
    }

    pub(crate) fn process(&mut self, number: u32) -> Option<&mut Process> {
        self.processes.get_mut(number as usize)
    }

    /// Those alive.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.live.keys().copied().collect()
    }

    /// The process of a stopped thread; `None` when it is gone, or cannot be looked at.
    pub(crate) fn find(&mut self, tid: u32, at_us: u64) -> Option<&mut Instance> {
        if let Some(pid) = self.threads.get(&tid).copied()
            && let Some(known) = self.live.get(&pid)
        {
            // a process's own number cannot be another's before its end was told; a thread's can
            if tid == pid && known.handle.is_some() || known.folder.has_thread(tid) {
                return self.live.get_mut(&pid);
            }
            self.threads.remove(&tid);
        }
        let folder = Folder::open(tid).ok()?;
        let status = folder.status()?;
        let pid = status.process;
        if !self.is_alive(pid) {
            self.forget(pid);
            let (folder, own) = if tid == pid {
                (folder, status)
            } else {
                let folder = Folder::open(pid).ok()?;
                let own = folder.status()?;
                (folder, own)
            };
            self.add(pid, folder, own, at_us, 0)?;
        }
        let known = self.live.get_mut(&pid)?;
        if tid != pid {
            if known.threads.len() >= THREADS {
                // most of them have ended: those that have not are found again
                for tid in known.threads.drain(..) {
                    self.threads.remove(&tid);
                }
            }
            self.threads.insert(tid, pid);
            known.threads.push(tid);
        }
        Some(known)
    }

    fn add(&mut self, pid: u32, folder: Folder, status: Status, at_us: u64, depth: u32) -> Option<u32> {
        let stat = folder.stat()?;
        let command = status.inner == COMMAND && !self.bound;
        let parent = if command {
            None
        } else if status.parent == self.init {
            // its parent has ended: the leader of its session is an ancestor, because sessions are only inherited
            self.sessions
                .get(&stat.session)
                .copied()
                .filter(|_| stat.session != pid)
        } else {
            self.number_of(status.parent, at_us, depth)
        };
        let executable = folder.link("exe").unwrap_or_default();
        let number = if command {
            self.bound = true;
            Some(0)
        } else if self.processes.len() < LISTED {
            let number = u32::try_from(self.processes.len()).ok()?;
            let like = parent
                .and_then(|parent| self.processes.get(parent as usize))
                .filter(|parent| parent.executable.as_bytes() == executable);
            let argv = match like {
                Some(parent) => parent.argv.clone(),
                None => folder.arguments().into_iter().map(Foreign::new).collect(),
            };
            self.processes.push(Process {
                number,
                parent,
                pid: status.inner,
                began_us: at_us,
                ended: None,
                executable: Foreign::new(executable),
                argv,
            });
            Some(number)
        } else {
            self.unlisted += 1;
            None
        };
        if stat.session == pid
            && let Some(number) = number
        {
            self.sessions.insert(pid, number);
        }
        let handle = sockets::pidfd_open(pid).ok();
        if let Some(handle) = &handle {
            self.wait_for(handle.as_fd(), pid);
        }
        let instance = Instance {
            number,
            pid,
            inner: status.inner,
            folder,
            handle,
            doer: Doer::default(),
            fresh: (depth == 0).then_some(stat),
            pending: None,
            setting_up: command,
            threads: Vec::new(),
        };
        self.threads.insert(pid, pid);
        self.live.insert(pid, instance);
        number
    }

    /// The place of a process that may not have been seen yet.
    fn number_of(&mut self, pid: u32, at_us: u64, depth: u32) -> Option<u32> {
        if pid == 0 || pid == self.init || depth > DEPTH {
            return None;
        }
        if self.is_alive(pid) {
            return self.live.get(&pid)?.number;
        }
        let folder = Folder::open(pid).ok()?;
        let status = folder.status()?;
        if status.process != pid {
            return None;
        }
        self.forget(pid);
        self.add(pid, folder, status, at_us, depth + 1)
    }

    /// A process makes a session of its own: whoever is in it later comes from it.
    pub(crate) fn leads(&mut self, pid: u32) {
        if let Some(number) = self.live.get(&pid).and_then(|known| known.number) {
            self.sessions.insert(pid, number);
        }
    }

    fn wait_for(&self, handle: BorrowedFd<'_>, pid: u32) {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN.cast_unsigned(),
            u64: u64::from(pid),
        };
        // where that fails, the end is told by whoever has its number next
        // SAFETY: the structure lives until the call is over
        unsafe {
            libc::epoll_ctl(
                self.waiting,
                libc::EPOLL_CTL_ADD,
                handle.as_raw_fd(),
                &raw mut event,
            )
        };
    }

    /// Whether a number still is the process that it was.
    fn is_alive(&self, pid: u32) -> bool {
        self.live.get(&pid).is_some_and(|known| match &known.handle {
            Some(_) => !self.has_ended(pid),
            None => known.folder.stat().is_some(),
        })
    }

    /// Whether a process's descriptor says that it has ended.
    pub(crate) fn has_ended(&self, pid: u32) -> bool {
        self.live.get(&pid).is_some_and(Instance::has_ended)
    }

    /// A process has ended. Its folder and descriptor are closed.
    pub(crate) fn end(&mut self, pid: u32, at_us: u64) {
        let Some(known) = self.live.get(&pid) else { return };
        let status = known
            .folder
            .stat()
            .filter(|stat| stat.ended)
            .map(|stat| stat.exit)
            .or_else(|| known.handle.as_ref().and_then(|handle| exit_of(handle.as_fd())));
        let number = known.number;
        self.forget(pid);
        if let Some(process) = number.and_then(|number| self.processes.get_mut(number as usize)) {
            process.ended = Some(End {
                at_us,
                exit: status.map(exit),
            });
        }
    }

    fn forget(&mut self, pid: u32) {
        if let Some(gone) = self.live.remove(&pid) {
            for tid in gone.threads.into_iter().chain([pid]) {
                self.threads.remove(&tid);
            }
        }
    }

    /// A thread has become its process, by running another program.
    pub(crate) fn forget_thread(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    pub(crate) fn finish(self) -> Vec<Process> {
        self.processes
    }
}

/// What `wait` would tell, as an exit.
pub(crate) fn exit(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// How a process ended that somebody has waited for already (Linux 6.15).
fn exit_of(handle: BorrowedFd<'_>) -> Option<i32> {
    /// The first version of the kernel's `struct pidfd_info`, 64 bytes.
    #[repr(C)]
    struct Info {
        mask: u64,
        control_group: u64,
        numbers: [u32; 3],
        users: [u32; 8],
        exit: i32,
    }
    const GET_INFO: u32 = 0xc040_ff0b;
    const EXIT: u64 = 1 << 3;
    let mut info = Info {
        mask: EXIT,
        control_group: 0,
        numbers: [0; 3],
        users: [0; 8],
        exit: 0,
    };
    // SAFETY: the structure is the kernel's, with its size in the request
    let done = unsafe { libc::syscall(libc::SYS_ioctl, handle.as_raw_fd(), GET_INFO, &raw mut info) };
    (done == 0 && info.mask & EXIT != 0).then_some(info.exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_read_as_wait_tells_them() {
        assert_eq!(exit(0x0300), Exit::Code(3));
        assert_eq!(exit(9), Exit::Signal(9));
        assert_eq!(exit(0x8b), Exit::Signal(11), "with a core");
    }

    #[test]
    fn a_process_and_its_end_are_seen() {
        // SAFETY: plain call
        let waiting = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let mut tree = Tree::new(1, vec!["x".into()], waiting);
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "read line; exit 3"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let number = tree.find(pid, 5).unwrap().number.unwrap();
        assert_eq!(tree.find(pid, 9).unwrap().number, Some(number), "it is known");
        assert!(!tree.has_ended(pid));
        drop(child.stdin.take());
        while !tree.has_ended(pid) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        tree.end(pid, 7);
        child.wait().unwrap();
        assert!(tree.find(pid, 9).is_none(), "it is gone");
        let processes = tree.finish();
        let process = &processes[number as usize];
        assert_eq!(process.ended.unwrap().exit, Some(Exit::Code(3)));
        let parent = &processes[process.parent.unwrap() as usize];
        assert_eq!(
            parent.pid.cast_unsigned(),
            std::process::id(),
            "its ancestor was added"
        );
        // SAFETY: ours
        unsafe { libc::close(waiting) };
    }
}
