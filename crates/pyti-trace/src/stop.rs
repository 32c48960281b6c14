//! What surrounds a stopped thread: its memory, its folders, its sockets.

use std::os::fd::AsFd as _;

use pyti_model::trace::{Endpoint, Transport};

use crate::decode::World;
use crate::memory::{Memory, Stopped};
use crate::paths::DELETED;
use crate::sockets::Socket;
use crate::tree::Instance;

/// A stopped thread and its process.
pub(crate) struct Stop<'a> {
    memory: Stopped,
    process: &'a Instance,
    tid: u32,
}

impl Memory for Stop<'_> {
    fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>> {
        self.memory.pieces(wanted)
    }
}

impl<'a> Stop<'a> {
    pub(crate) fn new(process: &'a Instance, tid: u32) -> Self {
        Self {
            memory: Stopped::new(tid),
            process,
            tid,
        }
    }

    /// Whether one of its descriptors is an internet socket.
    pub(crate) fn is_internet(&self, fd: i32) -> bool {
        let link = self.folder(Some(fd)).unwrap_or_default();
        link.starts_with(b"socket:")
            && !link.ends_with(DELETED)
            && self.socket(fd).is_some_and(|socket| socket.is_internet())
    }

    /// What is behind one of its descriptors.
    pub(crate) fn socket(&self, fd: i32) -> Option<Socket> {
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
