//! The guest's end of the channel: writes frames, and hands bytes that come to the streams that they belong to.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::control::{self, Tell, Told};
use crate::frame::{self, CONTROL};

/// Frames of one stream that wait for who reads it.
const WAITING: usize = 64;

/// What can end one direction of itself.
pub(crate) trait Socket: Read + Write + Send + Sized + 'static {
    fn again(&self) -> io::Result<Self>;
    fn no_more(&self);
}

impl Socket for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn no_more(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Socket for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn no_more(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// The end.
pub(crate) struct Mux {
    port: Mutex<File>,
    streams: Mutex<HashMap<u32, SyncSender<Vec<u8>>>>,
}

impl Mux {
    pub(crate) fn new(port: File) -> Self {
        Self {
            port: Mutex::new(port),
            streams: Mutex::default(),
        }
    }

    pub(crate) fn tell(&self, id: u32, what: Tell) -> io::Result<()> {
        self.write(CONTROL, &control::bytes(&Told { id, what }))
    }

    pub(crate) fn write(&self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(frame::MOST) {
            frame::write(&mut *lock(&self.port), stream, part)?;
        }
        Ok(())
    }

    pub(crate) fn end(&self, stream: u32) -> io::Result<()> {
        frame::end(&mut *lock(&self.port), stream)
    }

    /// Takes bytes of a stream that come from now on.
    pub(crate) fn take(&self, stream: u32, sender: SyncSender<Vec<u8>>) {
        lock(&self.streams).insert(stream, sender);
    }

    /// Hands on bytes that came; those of a stream that is closed are dropped.
    pub(crate) fn came(&self, stream: u32, bytes: Vec<u8>) {
        let sender = lock(&self.streams).get(&stream).cloned();
        if let Some(sender) = sender {
            let _ = sender.send(bytes);
        }
    }

    /// The host ended a stream.
    pub(crate) fn ended(&self, stream: u32) {
        lock(&self.streams).remove(&stream);
    }

    /// Joins a stream to a socket, both ways.
    ///
    /// `announce` tells the host of it: after this side can take what comes, and before anything goes.
    pub(crate) fn join<S: Socket>(
        self: &Arc<Self>,
        stream: u32,
        socket: S,
        announce: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
        self.take(stream, sender);
        let mut into = socket.again()?;
        thread::Builder::new().spawn(move || {
            for part in receiver {
                if into.write_all(&part).is_err() {
                    break;
                }
            }
            into.no_more();
        })?;
        announce()?;
        let (mux, mut from) = (Arc::clone(self), socket);
        thread::Builder::new().spawn(move || {
            let mut part = vec![0; frame::MOST];
            while let Ok(read @ 1..) = from.read(&mut part) {
                if mux.write(stream, &part[..read]).is_err() {
                    return;
                }
            }
            let _ = mux.end(stream);
        })?;
        Ok(())
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
