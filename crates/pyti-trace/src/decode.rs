//! One stopped call → what it is about. Everything here comes from an enemy: numbers are checked, lengths have caps.

use pyti_model::foreign::Foreign;
use pyti_model::trace::{Access, Deed, Endpoint, Transport};

use crate::address;
use crate::calls::{At, Call, EMPTY_PATH, PRCTL, Read};
use crate::memory::{Memory, PATH};
use crate::paths;

/// Arguments of a program that are kept, bytes of each, bytes of all.
const ARGUMENTS: usize = 64;
const ARGUMENT: usize = 4 << 10;
const ALL_ARGUMENTS: usize = 32 << 10;
/// Arguments that are counted at all.
const COUNTED: usize = 8 << 10;
/// Environment variables whose names are looked at, and bytes of a name.
const VARIABLES: usize = 512;
const VARIABLE: usize = 80;
/// Messages of one `sendmmsg` that are looked at.
const MESSAGES: usize = 16;

/// What surrounds a stopped call.
pub(crate) trait World: Memory {
    /// The path behind a descriptor; `None` is the working folder.
    fn folder(&self, fd: Option<i32>) -> Option<Vec<u8>>;
    /// How a socket carries what is sent.
    fn transport(&self, fd: i32) -> Transport;
    /// A socket's own address.
    fn own_address(&self, fd: i32) -> Option<Endpoint>;
    /// The process behind a descriptor, as the box numbers it.
    fn process(&self, fd: i32) -> Option<i32>;
}

/// A call to run another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Execution {
    /// As it was asked for, made absolute; for a descriptor, what is behind it.
    pub(crate) path: Vec<u8>,
    /// The descriptor that is executed itself.
    pub(crate) descriptor: Option<i32>,
    pub(crate) argv: Vec<Foreign>,
    pub(crate) argv_dropped: u32,
    pub(crate) cwd: Vec<u8>,
    /// Names of environment variables.
    pub(crate) variables: Vec<Vec<u8>>,
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Deed(Deed),
    Execute(Box<Execution>),
    /// A call to somebody: what, and over what.
    Calls(Vec<(Deed, Transport)>),
    /// A signal to itself.
    OwnSignal,
    Nothing,
}

/// What was made of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) seen: Seen,
    /// Something was pointed at that could not be read.
    pub(crate) unreadable: bool,
}

struct Decoder<'a, W> {
    world: &'a W,
    arguments: &'a [u64; 6],
    unreadable: bool,
}

/// Reads a call. `inner` is the process's own number in the box.
pub(crate) fn decode(call: &Call, arguments: &[u64; 6], world: &impl World, inner: i32) -> Decoded {
    let mut decoder = Decoder {
        world,
        arguments,
        unreadable: false,
    };
    let seen = decoder.seen(call, inner);
    Decoded {
        seen,
        unreadable: decoder.unreadable,
    }
}

impl<W: World> Decoder<'_, W> {
    fn seen(&mut self, call: &Call, inner: i32) -> Seen {
        let deed = match call.read {
            Read::Execute { at, argv, env } => return self.execute(at, argv, env),
            Read::Open(at, flags) => self.open(at, flags),
            Read::Look(at) => self.path(at).map(|path| Deed::Look { path }),
            Read::List(fd) => self.of_fd(fd).map(|path| Deed::List { path }),
            Read::MakeFolder(at) => self.path(at).map(|path| Deed::MakeFolder { path }),
            Read::MakeNode(at) => self.path(at).map(|path| Deed::MakeNode { path }),
            Read::Rename(from, to) => self
                .path(from)
                .and_then(|from| self.path(to).map(|to| Deed::Rename { from, to })),
            Read::Link(from, to) => self.path(from).and_then(|to_what| {
                self.path(to).map(|path| Deed::Link {
                    path,
                    to: to_what,
                    symbolic: false,
                })
            }),
            Read::Symlink(text, at) => self.text(text, PATH).and_then(|text| {
                self.path(at).map(|path| Deed::Link {
                    path,
                    to: Foreign::new(text),
                    symbolic: true,
                })
            }),
            Read::Remove(at, flags, folder) => {
                let folder = folder
                    || flags.is_some_and(|flags| self.word(flags) & libc::AT_REMOVEDIR.cast_unsigned() != 0);
                self.path(at).map(|path| Deed::Remove { path, folder })
            }
            Read::Mode(at, mode) => {
                let mode = self.word(mode) & 0o7777;
                self.path(at).map(|path| Deed::Mode { path, mode })
            }
            Read::ModeOf(fd, mode) => {
                let mode = self.word(mode) & 0o7777;
                self.of_fd(fd).map(|path| Deed::Mode { path, mode })
            }
            Read::Owner(at) => self.path(at).map(|path| Deed::Owner { path }),
            Read::OwnerOf(fd) => self.of_fd(fd).map(|path| Deed::Owner { path }),
            Read::Truncate(at) => self.path(at).map(|path| Deed::Truncate { path }),
            Read::Memory(name) => {
                let name = name.and_then(|name| self.text(name, 256)).unwrap_or_default();
                Some(Deed::Memory {
                    name: Foreign::new(name),
                })
            }
            Read::Ptrace => Some(Deed::Ptrace {
                request: request(self.word(0)),
                target: self.number(1),
            }),
            Read::ForeignMemory(write) => Some(Deed::ForeignMemory {
                target: self.number(0),
                write,
            }),
            Read::TakeDescriptor => Some(Deed::Ptrace {
                request: "pidfd_getfd".to_owned(),
                target: self.world.process(self.number(0)).unwrap_or(0),
            }),
            Read::Signal(target, signal) => {
                let target = self.number(target);
                if target == inner {
                    return Seen::OwnSignal;
                }
                Some(Deed::Signal {
                    target,
                    signal: self.number(signal),
                })
            }
            Read::SignalByFd(fd, signal) => {
                let target = self.world.process(self.number(fd)).unwrap_or(0);
                if target == inner {
                    return Seen::OwnSignal;
                }
                Some(Deed::Signal {
                    target,
                    signal: self.number(signal),
                })
            }
            Read::Prctl => Some(self.prctl()),
            Read::Become => Some(self.becomes(call.name)),
            Read::Inquire => Some(Deed::Inquire {
                call: call.name.to_owned(),
            }),
            Read::Started => return Seen::Nothing,
            Read::Bind => self.address(1, 2).map(|to| Deed::Bind { to }),
            Read::Listen => Some(Deed::Listen {
                at: self.world.own_address(self.number(0)),
            }),
            Read::Connect => return self.connect(),
            Read::SendTo => return self.send_to(),
            Read::SendMessage => return self.messages(&[self.arguments[1]]),
            Read::SendMessages => {
                // an array of `struct mmsghdr`: a message and a length
                let count = usize::try_from(self.arguments[2]).unwrap_or(0).min(MESSAGES);
                let all: Vec<u64> = (0..count as u64)
                    .map(|n| self.arguments[1].wrapping_add(n * 64))
                    .collect();
                return self.messages(&all);
            }
            Read::Refuse | Read::Absent => Some(Deed::Forbidden {
                call: call.name.to_owned(),
            }),
        };
        deed.map_or(Seen::Nothing, Seen::Deed)
    }

    /// An argument's low half, as the kernel takes flags.
    fn word(&self, index: u8) -> u32 {
        u32::try_from(self.arguments[usize::from(index)] & 0xffff_ffff).unwrap_or(0)
    }

    /// An argument as the kernel takes an `int`.
    fn number(&self, index: u8) -> i32 {
        self.word(index).cast_signed()
    }

    /// A text that an argument points at; `None` when it points nowhere or cannot be read.
    fn text(&mut self, index: u8, cap: usize) -> Option<Vec<u8>> {
        let address = self.arguments[usize::from(index)];
        let text = self.world.text(address, cap);
        // the first page is never there: the kernel could not read it either
        self.unreadable |= text.is_none() && address >= 4096;
        text.map(|text| text.bytes)
    }

    fn of_fd(&self, index: u8) -> Option<Foreign> {
        self.world.folder(Some(self.number(index))).map(Foreign::new)
    }

    fn path(&mut self, at: At) -> Option<Foreign> {
        let text = self.text(at.name, PATH);
        let itself = at.flags.is_some_and(|flags| self.word(flags) & EMPTY_PATH != 0);
        let text = match text {
            Some(text) if !(text.is_empty() && itself) => text,
            None if !itself => return None,
            // the descriptor itself is meant
            _ => return self.of_fd(at.folder?),
        };
        Some(Foreign::new(self.absolute(at.folder, &text)))
    }

    fn absolute(&self, folder: Option<u8>, text: &[u8]) -> Vec<u8> {
        if text.starts_with(b"/") {
            return paths::absolute(b"/", text);
        }
        let fd = folder
            .map(|index| self.number(index))
            .filter(|fd| *fd != libc::AT_FDCWD);
        match self.world.folder(fd) {
            Some(folder) if folder.starts_with(b"/") => paths::absolute(&folder, text),
            // not an open folder: the call fails, and the text is all that there is
            _ => text.to_vec(),
        }
    }

    fn open(&mut self, at: At, flags: Option<u8>) -> Option<Deed> {
        let creat = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
        let flags = flags.map_or(creat, |flags| self.number(flags));
        let path = self.path(at)?;
        if flags & libc::O_PATH != 0 {
            return Some(Deed::Look { path });
        }
        let has = |bits: i32| flags & bits == bits;
        let mode = flags & libc::O_ACCMODE;
        Some(Deed::Open {
            path,
            access: Access {
                read: mode == libc::O_RDONLY || mode == libc::O_RDWR,
                write: mode == libc::O_WRONLY || mode == libc::O_RDWR,
                append: has(libc::O_APPEND),
                create: has(libc::O_CREAT) || has(libc::O_TMPFILE),
                exclusive: has(libc::O_EXCL),
                truncate: has(libc::O_TRUNC),
                folder: has(libc::O_DIRECTORY) && !has(libc::O_TMPFILE),
            },
        })
    }

    fn execute(&mut self, at: At, argv: u8, env: u8) -> Seen {
        let Some(text) = self.text(at.name, PATH) else {
            return Seen::Nothing;
        };
        let itself = at.flags.is_some_and(|flags| self.word(flags) & EMPTY_PATH != 0);
        let (path, descriptor) = match at.folder {
            Some(folder) if text.is_empty() && itself => {
                let fd = self.number(folder);
                (self.world.folder(Some(fd)).unwrap_or_default(), Some(fd))
            }
            _ => (self.absolute(at.folder, &text), None),
        };
        let argv = self.pointers(argv, COUNTED);
        let kept = &argv[..argv.len().min(ARGUMENTS)];
        let texts = self.world.texts(kept, ARGUMENT, ALL_ARGUMENTS);
        self.unreadable |= texts.iter().any(Option::is_none);
        let env = self.pointers(env, VARIABLES);
        let names = self.world.texts(&env, VARIABLE, VARIABLES * VARIABLE);
        self.unreadable |= names.iter().any(Option::is_none);
        let names = names.into_iter().flatten().map(|mut text| {
            let end = text.bytes.iter().position(|byte| *byte == b'=');
            text.bytes.truncate(end.unwrap_or(text.bytes.len()));
            text.bytes
        });
        Seen::Execute(Box::new(Execution {
            path,
            descriptor,
            argv: texts
                .into_iter()
                .map(|text| Foreign::new(text.map(|text| text.bytes).unwrap_or_default()))
                .collect(),
            argv_dropped: u32::try_from(argv.len() - kept.len()).unwrap_or(u32::MAX),
            cwd: self.world.folder(None).unwrap_or_default(),
            variables: names.collect(),
        }))
    }

    fn pointers(&mut self, index: u8, most: usize) -> Vec<u64> {
        let address = self.arguments[usize::from(index)];
        if address == 0 {
            // the kernel takes that as an empty list
            return Vec::new();
        }
        let pointers = self.world.pointers(address, most);
        self.unreadable |= pointers.is_none() && address >= 4096;
        pointers.unwrap_or_default()
    }

    fn prctl(&mut self) -> Deed {
        let option = self.word(0);
        let name = PRCTL
            .iter()
            .find(|(known, _)| *known == option)
            .map_or("?", |(_, name)| name);
        if name == "set_name" {
            let text = self.text(1, 16).unwrap_or_default();
            return Deed::Become {
                call: "prctl set_name".to_owned(),
                text: Foreign::new(text),
            };
        }
        Deed::Become {
            call: format!("prctl {name} {}", self.number(1)),
            text: Foreign::default(),
        }
    }

    fn becomes(&self, name: &str) -> Deed {
        let call = match name {
            "setuid" | "setgid" | "setfsuid" | "setfsgid" => format!("{name} {}", self.number(0)),
            "setreuid" | "setregid" => format!("{name} {} {}", self.number(0), self.number(1)),
            "setresuid" | "setresgid" => {
                format!("{name} {} {} {}", self.number(0), self.number(1), self.number(2))
            }
            "personality" => format!("{name} {:#x}", self.word(0)),
            name => name.to_owned(),
        };
        Deed::Become {
            call,
            text: Foreign::default(),
        }
    }

    /// The address that two arguments tell: where, and how long.
    fn address(&mut self, at: u8, length: u8) -> Option<Endpoint> {
        let length = usize::try_from(self.arguments[usize::from(length)]).unwrap_or(usize::MAX);
        self.address_at(self.arguments[usize::from(at)], length)
    }

    fn address_at(&mut self, address: u64, length: usize) -> Option<Endpoint> {
        let read = self
            .world
            .pieces(&[(address, length.min(address::LONGEST))])
            .pop()
            .unwrap_or_default();
        if read.is_empty() {
            self.unreadable |= address >= 4096 && length > 0;
            return None;
        }
        Some(address::endpoint(&read))
    }

    fn connect(&mut self) -> Seen {
        let Some(to) = self.address(1, 2) else {
            return Seen::Nothing;
        };
        let transport = match to {
            Endpoint::Unix(_) => Transport::Unix,
            _ => self.world.transport(self.number(0)),
        };
        Seen::Calls(vec![(Deed::Connect { to, transport }, transport)])
    }

    fn send_to(&mut self) -> Seen {
        let Some(to) = self.address(4, 5) else {
            return Seen::Nothing;
        };
        let transport = self.world.transport(self.number(0));
        Seen::Calls(vec![(Deed::Send { to }, transport)])
    }

    /// Each a `struct msghdr`, which begins with the address and its length.
    fn messages(&mut self, headers: &[u64]) -> Seen {
        let mut all = Vec::new();
        for header in headers {
            let Some(bytes) = self.world.exactly(*header, 16) else {
                self.unreadable |= *header >= 4096;
                break;
            };
            let word = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
            let (address, length) = (word(0), word(8) & 0xffff_ffff);
            if address == 0 || length == 0 {
                continue;
            }
            if let Some(to) = self.address_at(address, usize::try_from(length).unwrap_or(usize::MAX)) {
                all.push(Deed::Send { to });
            }
        }
        all.dedup();
        if all.is_empty() {
            return Seen::Nothing;
        }
        let transport = self.world.transport(self.number(0));
        Seen::Calls(all.into_iter().map(|deed| (deed, transport)).collect())
    }
}

fn request(number: u32) -> String {
    let name = match number {
        0 => "traceme",
        1 | 2 => "peek",
        3 => "peekuser",
        4 | 5 => "poke",
        6 => "pokeuser",
        7 => "cont",
        8 => "kill",
        9 => "singlestep",
        12 => "getregs",
        13 => "setregs",
        16 => "attach",
        17 => "detach",
        24 => "syscall",
        0x4200 => "setoptions",
        0x4204 => "getregset",
        0x4205 => "setregset",
        0x4206 => "seize",
        0x4207 => "interrupt",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
