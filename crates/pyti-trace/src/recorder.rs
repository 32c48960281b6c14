//! Serves stopped calls one by one: reads, answers, writes down.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use pyti_model::effect::{Denial, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{Access, Act, Count, Deed, Form, Origin, Process, Result, Trace, Transport};

use crate::address;
use crate::calls::{self, Call, Read};
use crate::decode::{self, Decoded, Execution, Seen};
use crate::filter::Arch;
use crate::keep::{Doer, Keeper};
use crate::paths::{absolute, name};
use crate::places::{Places, is_toolchain};
use crate::programs::{Programs, Target};
use crate::recording::{OnCall, Setup};
use crate::sockets::Socket;
use crate::stop::Stop;
use crate::tree::{Pending, Tree};
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

/// What was read of a stopped call.
enum Observed {
    Nothing,
    /// The caller could not be looked at.
    Stranger,
    /// What is refused, and whom.
    Refused(String, Option<u32>),
    Executes(Box<Asked>),
    /// A process, what it does, and whether something of that could not be read.
    Does(u32, Seen, bool),
}

/// What was read of a process that asks for another program.
struct Asked {
    pid: u32,
    tid: u32,
    execution: Execution,
    target: Target,
    sockets: Vec<u8>,
    before: crate::proc::Stat,
    unreadable: bool,
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
        let observed = if self.tree.is_init(stopped.tid) {
            Observed::Nothing
        } else {
            self.look(&stopped, call, at_us)
        };
        // the kernel takes an answer only for a thread that is still stopped in this call: so what was read was its own.
        // Otherwise it was killed meanwhile, or interrupted and will call again
        if wire::answer(fd, stopped.id, answer).is_ok() {
            self.write_down(observed, at_us);
        }
        Ok(())
    }

    /// Reads what a stopped call is about. Nothing of it is written down yet.
    fn look(&mut self, stopped: &Notification, call: Option<&'static Call>, at_us: u64) -> Observed {
        let known = self.tree.find(stopped.tid, at_us).map(|process| process.pid);
        let Some(call) = call else {
            return Observed::Refused(format!("system call {}", stopped.data.number), known);
        };
        let Some(pid) = known else {
            return match call.read {
                Read::Refuse => Observed::Refused(call.name.to_owned(), None),
                _ => Observed::Stranger,
            };
        };
        self.settle(pid);
        let Some(process) = self.tree.get(pid) else {
            return Observed::Stranger;
        };
        if call.read == Read::Refuse {
            return Observed::Refused(call.name.to_owned(), known);
        }
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
        let stop = Stop::new(process, stopped.tid);
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
        match seen {
            Seen::Execute(execution) => {
                let target = self.programs.look(
                    &process.folder,
                    &execution.path,
                    execution.descriptor,
                    self.keeper.places(),
                );
                let sockets = (0u8..3).filter(|fd| stop.is_internet(i32::from(*fd))).collect();
                let before = fresh.or_else(|| process.folder.stat()).unwrap_or_default();
                Observed::Executes(Box::new(Asked {
                    pid,
                    tid: stopped.tid,
                    execution: *execution,
                    target,
                    sockets,
                    before,
                    unreadable,
                }))
            }
            Seen::Calls(calls) => {
                if let Some(on_call) = &mut self.on_call {
                    // while the caller is stopped its descriptor is the one that it calls with
                    let mut socket = i32::try_from(stopped.data.arguments[0])
                        .ok()
                        .and_then(|fd| stop.socket(fd))
                        .map(Socket::into_copy);
                    let number = process.number.unwrap_or(0);
                    if wire::still_there(self.listener.as_raw_fd(), stopped.id) {
                        announce(on_call, &calls, number, &mut socket);
                    }
                }
                Observed::Does(pid, Seen::Calls(calls), unreadable)
            }
            seen => Observed::Does(pid, seen, unreadable),
        }
    }

    /// Writes down what was read, now that it is known to be the caller's.
    fn write_down(&mut self, observed: Observed, at_us: u64) {
        match observed {
            Observed::Nothing => {}
            Observed::Stranger => self.unseen += 1,
            Observed::Refused(call, pid) => self.refused(&call, pid, at_us),
            _ if self.form == Form::None => {}
            Observed::Executes(asked) => {
                self.unreadable += u64::from(asked.unreadable);
                self.executes(*asked, at_us);
            }
            Observed::Does(pid, seen, unreadable) => self.does(pid, seen, unreadable, at_us),
        }
    }

    fn does(&mut self, pid: u32, seen: Seen, unreadable: bool, at_us: u64) {
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
                for (deed, _) in all {
                    self.keeper.take(at_us, number, Result::Attempted, deed, doer);
                }
            }
            Seen::OwnSignal => self.keeper.count("signal_own"),
            Seen::Execute(_) | Seen::Nothing => {}
        }
    }

    fn executes(&mut self, asked: Asked, at_us: u64) {
        let Asked {
            pid,
            tid,
            execution,
            target,
            sockets,
            before,
            ..
        } = asked;
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

/// Tells of calls to the internet before they go on.
fn announce(on_call: &mut OnCall, calls: &[(Deed, Transport)], process: u32, socket: &mut Option<OwnedFd>) {
    for (deed, transport) in calls {
        if let Deed::Connect { to, .. } | Deed::Send { to } = deed
            && let Some(to) = address::internet(to)
        {
            on_call(*transport, to, process, socket.take());
        }
    }
}
