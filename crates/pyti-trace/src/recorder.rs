//! Serves stopped calls one by one: reads, answers, writes down.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use pyti_model::effect::{Denial, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{
    Access, Act, Count, Deed, Endpoint, Form, Origin, Process, Result, Trace, Transport,
};

use crate::address;
use crate::calls::{self, Call, Read};
use crate::decode::{self, Decoded, Execution, Seen, World};
use crate::filter::Arch;
use crate::keep::{Doer, Keeper};
use crate::memory::{Memory, Stopped};
use crate::paths::{DELETED, absolute, name};
use crate::places::{Places, is_toolchain};
use crate::programs::{Programs, Target};
use crate::recording::{OnCall, Setup};
use crate::sockets::Socket;
use crate::tree::{Instance, Pending, Tree};
use crate::watch::Watches;
use crate::wire::{self, Answer, Notification};

/// Variables that shells and interpreters set for what they start.
const USUAL: &[&str] = &["PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"];
/// Most different refused calls that are listed beside the acts.
const DENIALS: usize = 64;
/// When it is looked again whether a program was started.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
];

/// Everything that is known of a command while it runs.
pub(crate) struct Recorder {
    listener: OwnedFd,
    form: Form,
    began: Instant,
    tree: Tree,
    keeper: Keeper,
    programs: Programs,
    /// Names of variables that the command was given.
    given: HashSet<Vec<u8>>,
    /// What the command's own process will ask for, before its first program runs.
    first: VecDeque<Execution>,
    on_call: Option<OnCall>,
    watches: Option<Watches>,
    /// Whose doings nobody knows.
    nobody: Doer,
    blind: Option<String>,
    denials: Vec<Denial>,
    denials_dropped: u64,
    unreadable: u64,
    unseen: u64,
    /// Processes of which it is not known whether they run what they asked for, when to look, and how often that
    /// was done.
    looks: Vec<(u32, Instant, usize)>,
}

/// A stopped thread and its process.
struct Stop<'a> {
    memory: Stopped,
    process: &'a Instance,
    tid: u32,
}

impl Memory for Stop<'_> {
    fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>> {
        self.memory.pieces(wanted)
    }
}

impl Stop<'_> {
    fn socket(&self, fd: i32) -> Option<Socket> {
        Socket::of(self.process.handle.as_ref()?.as_fd(), fd).ok()
    }
}

impl World for Stop<'_> {
    fn folder(&self, fd: Option<i32>) -> Option<Vec<u8>> {
        let name = match fd {
            Some(fd) => format!("fd/{fd}"),
            None => "cwd".to_owned(),
        };
        if self.tid == self.process.pid {
            self.process.folder.link(&name)
        } else {
            // a thread may have a working folder and files of its own
            self.process.folder.link(&format!("task/{}/{name}", self.tid))
        }
    }

    fn transport(&self, fd: i32) -> Transport {
        self.socket(fd)
            .map_or(Transport::Other, |socket| socket.transport())
    }

    fn own_address(&self, fd: i32) -> Option<Endpoint> {
        self.socket(fd)?.name()
    }

    fn process(&self, fd: i32) -> Option<i32> {
        let fd = self.socket(fd)?;
        fd.process()
    }
}

impl Recorder {
    pub(crate) fn new(listener: OwnedFd, setup: Setup, waiting: i32) -> Self {
        let places = Places::new(&setup.watched, &setup.quiet, &setup.filled, &setup.system);
        let first = setup.programs.into_iter().map(|path| Execution {
            path: absolute(&setup.cwd, &path),
            descriptor: None,
            argv: setup.argv.clone(),
            argv_dropped: 0,
            cwd: setup.cwd.clone(),
            variables: Vec::new(),
        });
        let first = first.collect();
        let programs = Programs::new(setup.init, setup.upper);
        let (mut watches, mut blind) = (None, None);
        if setup.form == Form::Light && !setup.watched.is_empty() {
            match Watches::new(&setup.watched, &programs) {
                Ok(made) => watches = Some(made),
                Err(error) => blind = Some(format!("files are not watched: {error}")),
            }
        }
        let usual = USUAL.iter().map(|name| name.as_bytes().to_vec());
        Self {
            listener,
            form: setup.form,
            began: setup.began,
            tree: Tree::new(setup.init, setup.argv, waiting),
            keeper: Keeper::new(places),
            programs,
            watches,
            nobody: Doer::default(),
            blind,
            given: setup.variables.into_iter().chain(usual).collect(),
            first,
            on_call: setup.on_call,
            denials: Vec::new(),
            denials_dropped: 0,
            unreadable: 0,
            unseen: 0,
            looks: Vec::new(),
        }
    }

    /// The descriptor that is told of stopped calls.
    pub(crate) fn listener(&self) -> i32 {
        self.listener.as_raw_fd()
    }

    /// The descriptor that tells that a watched file was read.
    pub(crate) fn watches(&self) -> Option<i32> {
        self.watches.as_ref().map(Watches::fd)
    }

    /// Writes down which watched files were read.
    pub(crate) fn watched(&mut self) {
        let at_us = self.now();
        for path in self.watches.as_ref().map(Watches::read).unwrap_or_default() {
            let deed = Deed::Open {
                path: Foreign::new(path),
                access: Access {
                    read: true,
                    ..Access::default()
                },
            };
            self.keeper
                .take(at_us, None, Result::Done, deed, &mut self.nobody);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes one notification and answers it. An error means that the listener is of no use any more.
    pub(crate) fn serve(&mut self) -> std::io::Result<()> {
        let fd = self.listener.as_raw_fd();
        let stopped = match wire::receive(fd) {
            Ok(stopped) => stopped,
            // the caller was killed before we took its call
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let at_us = self.now();
        let call = u32::try_from(stopped.data.number)
            .ok()
            .and_then(|number| calls::find(Arch::OWN, number));
        let answer = match call.map(|call| call.read) {
            // what nobody knows is refused: the filter told of it for a reason
            None | Some(Read::Refuse) => Answer::Refuse,
            Some(_) => Answer::Continue,
        };
        if !self.tree.is_init(stopped.tid) {
            self.look(&stopped, call, at_us);
        }
        // the caller may have been killed meanwhile
        let _ = wire::answer(fd, stopped.id, answer);
        Ok(())
    }

    /// Reads and writes down what a stopped call is about.
    fn look(&mut self, stopped: &Notification, call: Option<&'static Call>, at_us: u64) {
        let known = self.tree.find(stopped.tid, at_us).map(|process| process.pid);
        let Some(call) = call else {
            let name = format!("system call {}", stopped.data.number);
            self.refused(&name, known, at_us);
            return;
        };
        let Some(pid) = known else {
            if call.read == Read::Refuse {
                self.refused(call.name, None, at_us);
            } else if wire::still_there(self.listener.as_raw_fd(), stopped.id) {
                self.unseen += 1;
            }
            return;
        };
        self.settle(pid);
        let Some(process) = self.tree.get(pid) else { return };
        if !matches!(call.read, Read::Execute { .. })
            && process
                .pending
                .as_ref()
                .is_some_and(|pending| pending.tid == stopped.tid)
            && let Some(pending) = process.pending.take()
        {
            // it goes on with what it ran before
            fail(&mut self.keeper, &pending);
        }
        let fresh = process.fresh.take();
        let stop = Stop {
            memory: Stopped::new(stopped.tid),
            process,
            tid: stopped.tid,
        };
        let Decoded { seen, unreadable } = if process.setting_up {
            // it is still a copy of our own process, whose memory nobody may read: it does what we told it to
            let execution = matches!(call.read, Read::Execute { .. })
                .then(|| self.first.pop_front())
                .flatten();
            let seen = match (execution, call.name) {
                (Some(execution), _) => Seen::Execute(Box::new(execution)),
                (None, "setsid") => decode::decode(call, &stopped.data.arguments, &stop, process.inner).seen,
                (None, _) => Seen::Nothing,
            };
            Decoded {
                seen,
                unreadable: false,
            }
        } else {
            decode::decode(call, &stopped.data.arguments, &stop, process.inner)
        };
        // while the caller is stopped its descriptor is the one that it calls with
        let called_with = match &seen {
            Seen::Calls(_) if self.on_call.is_some() => i32::try_from(stopped.data.arguments[0])
                .ok()
                .and_then(|fd| stop.socket(fd)),
            _ => None,
        };
        let seen = match seen {
            Seen::Execute(execution) => {
                let target = self.programs.look(
                    &process.folder,
                    &execution.path,
                    execution.descriptor,
                    self.keeper.places(),
                );
                let sockets = (0u8..3).filter(|fd| is_internet(&stop, i32::from(*fd))).collect();
                let before = fresh.or_else(|| process.folder.stat()).unwrap_or_default();
                Ok((execution, target, sockets, before))
            }
            other => Err(other),
        };
        // what was read is the caller's own only if it is still stopped there
        if !wire::still_there(self.listener.as_raw_fd(), stopped.id) {
            return;
        }
        if call.read == Read::Refuse {
            self.refused(call.name, Some(pid), at_us);
            return;
        }
        if self.form == Form::None {
            return;
        }
        match seen {
            Ok((execution, target, sockets, before)) => {
                self.unreadable += u64::from(unreadable);
                self.executes(pid, stopped.tid, *execution, target, sockets, &before, at_us);
            }
            Err(seen) => self.does(pid, seen, unreadable, at_us, called_with),
        }
    }

    fn does(&mut self, pid: u32, seen: Seen, unreadable: bool, at_us: u64, called_with: Option<Socket>) {
        if let Seen::Deed(Deed::Become { call, .. }) = &seen
            && call == "setsid"
        {
            self.tree.leads(pid);
        }
        let Some(process) = self.tree.get(pid) else { return };
        if process.setting_up {
            return;
        }
        self.unreadable += u64::from(unreadable);
        let number = process.number;
        let doer = &mut process.doer;
        match seen {
            Seen::Deed(deed) => {
                self.keeper.take(at_us, number, Result::Attempted, deed, doer);
            }
            Seen::Calls(all) => {
                let mut socket = called_with.map(Socket::into_copy);
                for (deed, transport) in all {
                    if let (Deed::Connect { to, .. } | Deed::Send { to }, Some(on_call)) =
                        (&deed, &mut self.on_call)
                        && let Some(to) = address::internet(to)
                    {
                        on_call(transport, to, number.unwrap_or(0), socket.take());
                    }
                    self.keeper.take(at_us, number, Result::Attempted, deed, doer);
                }
            }
            Seen::OwnSignal => self.keeper.count("signal_own"),
            Seen::Execute(_) | Seen::Nothing => {}
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything that was read while the caller was stopped"
    )]
    fn executes(
        &mut self,
        pid: u32,
        tid: u32,
        execution: Execution,
        target: Target,
        sockets: Vec<u8>,
        before: &crate::proc::Stat,
        at_us: u64,
    ) {
        let Some(process) = self.tree.get(pid) else { return };
        if let Some(earlier) = process.pending.take() {
            // it is still what it was, so that one failed; of another thread's nothing is known
            if earlier.tid == tid {
                match earlier.act {
                    Some(act) if name(&earlier.asked) == name(&execution.path) => {
                        self.keeper.take_back(act, "execute_missing");
                    }
                    _ => fail(&mut self.keeper, &earlier),
                }
            }
        }
        let variables = execution
            .variables
            .into_iter()
            .filter(|name| !self.given.contains(name))
            .map(Foreign::new)
            .collect();
        let path = target.path.clone().unwrap_or_else(|| execution.path.clone());
        let deed = Deed::Execute {
            path: Foreign::new(path),
            argv: execution.argv.clone(),
            argv_dropped: execution.argv_dropped,
            cwd: Foreign::new(execution.cwd),
            variables,
            origin: target.origin.unwrap_or(Origin::Unknown),
            sockets,
        };
        let act = self
            .keeper
            .take(at_us, process.number, Result::Attempted, deed, &mut process.doer);
        process.pending = Some(Pending {
            tid,
            image: before.image,
            name: before.name.clone(),
            act,
            asked: execution.path,
            argv: execution.argv,
            target,
        });
        self.looks.push((pid, Instant::now() + LOOKS[0], 0));
    }

    /// Finds out whether a process runs what it asked for.
    fn settle(&mut self, pid: u32) {
        let Some(process) = self.tree.get(pid) else { return };
        let Some(pending) = &process.pending else { return };
        let Some(stat) = process.folder.stat() else { return };
        let tid = pending.tid;
        if stat.ended && !process.has_ended() {
            // its first thread has ended, others have not: nobody knows yet
        } else if stat.ended {
            // a name that is the program's and was not before was set by the kernel
            let asked = name(&pending.asked);
            let named = stat.name == asked[..asked.len().min(15)];
            if named && stat.name != pending.name {
                self.started(pid, None);
            } else if !named
                && stat.name == pending.name
                && let Some(pending) = process.pending.take()
            {
                fail(&mut self.keeper, &pending);
            }
        } else if stat.image != 0 && stat.image != pending.image {
            let running = process.folder.link("exe");
            self.started(pid, running);
            if tid != pid {
                self.tree.forget_thread(tid);
            }
        }
    }

    /// A process runs what it asked for.
    fn started(&mut self, pid: u32, running: Option<Vec<u8>>) {
        let Some(process) = self.tree.get(pid) else { return };
        let Some(pending) = process.pending.take() else {
            return;
        };
        process.setting_up = false;
        self.looks.retain(|(waiting, ..)| *waiting != pid);
        let identity = process.folder.program();
        let target = pending.target;
        let running = running
            .or_else(|| target.path.clone())
            .unwrap_or_else(|| pending.asked.clone());
        // a script keeps its own name; what runs is its interpreter
        let same = match (identity, target.identity) {
            (Some(now), Some(then)) => now.is(&then),
            _ => false,
        };
        if let Some(act) = pending.act.and_then(|act| self.keeper.act(act)) {
            act.result = Result::Done;
        }
        if !same && identity.is_some() && !target.is_script() {
            let origin = self.programs.origin(&running, identity, self.keeper.places());
            if let Some(Act {
                deed: Deed::Execute {
                    path, origin: known, ..
                },
                ..
            }) = pending.act.and_then(|act| self.keeper.act(act))
            {
                *path = Foreign::new(running.clone());
                *known = origin;
            }
        }
        process.doer.toolchain = is_toolchain(&running, self.keeper.places());
        let number = process.number;
        if let Some(process) = number.and_then(|number| self.tree.process(number)) {
            process.executable = Foreign::new(running);
            process.argv = pending.argv;
        }
    }

    fn refused(&mut self, call: &str, pid: Option<u32>, at_us: u64) {
        let number = pid.and_then(|pid| self.tree.get(pid)?.number);
        let executable = number
            .and_then(|number| self.tree.process(number))
            .map(|process| process.executable.clone());
        if let Some(known) = self.denials.iter_mut().find(|denial| denial.call == call) {
            known.times += 1;
        } else if self.denials.len() < DENIALS {
            self.denials.push(Denial {
                call: call.to_owned(),
                times: 1,
                executable,
                answer: "EPERM".to_owned(),
            });
        } else {
            self.denials_dropped += 1;
        }
        let deed = Deed::Forbidden {
            call: call.to_owned(),
        };
        let doer = pid
            .and_then(|pid| self.tree.get(pid))
            .map_or(&mut self.nobody, |process| &mut process.doer);
        self.keeper.take(at_us, number, Result::Refused, deed, doer);
    }

    /// A process has ended.
    pub(crate) fn ended(&mut self, pid: u32) {
        if !self.tree.has_ended(pid) {
            return;
        }
        self.settle(pid);
        self.looks.retain(|(waiting, ..)| *waiting != pid);
        let at_us = self.now();
        self.tree.end(pid, at_us);
    }

    /// Looks at those of which it is not known yet whether they run what they asked for. Tells when to come again.
    pub(crate) fn look_again(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let due: Vec<_> = self
            .looks
            .iter()
            .filter(|(_, at, _)| *at <= now)
            .copied()
            .collect();
        self.looks.retain(|(_, at, _)| *at > now);
        for (pid, _, times) in due {
            self.settle(pid);
            let waits = self
                .tree
                .get(pid)
                .is_some_and(|process| process.pending.is_some());
            if waits && let Some(wait) = LOOKS.get(times + 1) {
                self.looks.push((pid, now + *wait, times + 1));
            }
        }
        self.looks
            .iter()
            .map(|(_, at, _)| at.saturating_duration_since(now))
            .min()
    }

    /// Everything that was seen.
    pub(crate) fn finish(mut self) -> (Trace, Vec<Denial>) {
        for pid in self.tree.pids() {
            self.settle(pid);
            self.ended(pid);
        }
        self.watched();
        let mut losses: Vec<Loss> = self
            .blind
            .map(|why| Loss::Notifications { why })
            .into_iter()
            .collect();
        let mut lost = |number: u64, what: &str| {
            if number > 0 {
                losses.push(Loss::Notifications {
                    why: format!("{number} {what}"),
                });
            }
        };
        lost(self.denials_dropped, "refused calls are not listed");
        lost(self.unreadable, "calls had arguments that could not be read");
        lost(
            self.unseen,
            "calls came from processes that could not be looked at",
        );
        lost(self.tree.unlisted, "processes are not listed");
        let (acts, counts, dropped): (Vec<Act>, Vec<Count>, u64) = self.keeper.finish();
        lost(dropped, "acts are not listed");
        let processes: Vec<Process> = self.tree.finish();
        let trace = Trace {
            form: self.form,
            processes,
            acts,
            counts,
            losses,
        };
        (trace, self.denials)
    }
}

/// Nothing was there: one of the places that a program is looked for at.
fn is_search(target: &Target) -> bool {
    target.identity.is_none() && target.path.is_none()
}

fn fail(keeper: &mut Keeper, pending: &Pending) {
    if let Some(act) = pending.act.and_then(|act| keeper.act(act)) {
        let why = if is_search(&pending.target) {
            "ENOENT"
        } else {
            "unknown"
        };
        act.result = Result::Failed(why.to_owned());
    }
}

fn is_internet(stop: &Stop<'_>, fd: i32) -> bool {
    let link = stop.folder(Some(fd)).unwrap_or_default();
    link.starts_with(b"socket:")
        && !link.ends_with(DELETED)
        && stop.socket(fd).is_some_and(|s| s.is_internet())
}
