//! The host's end of the channel to a guest: questions, the Raw Data API's stream, files in, the lens's connections.
//!
//! Everything that arrives was made by a guest that may be taken over: it is parsed frame by frame, each queue has an
//! end, each stream its turn, and whatever does not fit closes the channel with a reason.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::control::{self, Ask, Asked, Tell};
use crate::frame::{self, AGENT, CONTROL, Frame};

/// Frames of one stream that wait for its reader.
const WAITING: usize = 64;
/// Connections to the lens that a guest may have open at once.
const CONNECTIONS: usize = 64;
/// Most bytes that a guest may send in its life.
const FLOOD: u64 = 8 << 30;

/// Why a guest could not be spoken with.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The guest did not answer in time.
    #[error("the guest did not answer within {} s ({asked})", .after.as_secs())]
    Silent {
        /// What was asked.
        asked: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The guest could not do it.
    #[error("in the guest, {step}: {text}")]
    Failed {
        /// What was being done there.
        step: String,
        /// Why not.
        text: String,
    },
    /// The channel is closed.
    #[error("the guest is gone: {0}")]
    Closed(String),
    /// It answered something else.
    #[error("the guest answered another question")]
    Nonsense,
    /// The guest is of another PyTI.
    #[error("the guest speaks version {0} of the protocol, not {own}", own = control::VERSION)]
    Version(u32),
    /// A file of ours cannot be read.
    #[error("cannot send a file to the guest")]
    File(#[source] io::Error),
}

/// What a guest said when it came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Release of its kernel.
    pub kernel: String,
    /// Milliseconds since its kernel began.
    pub uptime_ms: u64,
}

/// Who takes a connection that the guest opened to the lens.
pub type OnLens = Box<dyn FnMut(UnixStream) + Send>;

/// The host's end.
pub struct Link {
    shared: Arc<Shared>,
    hello: Mutex<Receiver<(u32, Hello)>>,
}

struct Shared {
    writer: Mutex<UnixStream>,
    /// For closing while a writer is stuck.
    socket: UnixStream,
    next: AtomicU32,
    next_file: AtomicU32,
    waiting: Mutex<HashMap<u32, SyncSender<Tell>>>,
    streams: Mutex<HashMap<u32, SyncSender<Vec<u8>>>>,
    last_lens: AtomicU32,
    on_lens: Mutex<Option<OnLens>>,
    why: Mutex<Option<String>>,
    complaint: Mutex<String>,
    alive: Mutex<Instant>,
    received: AtomicU64,
    closed: AtomicBool,
}

impl Link {
    /// Begins to read.
    pub fn start(stream: UnixStream) -> io::Result<Self> {
        let (say_hello, hello) = sync_channel(1);
        let shared = Arc::new(Shared {
            writer: Mutex::new(stream.try_clone()?),
            socket: stream.try_clone()?,
            next: AtomicU32::new(1),
            next_file: AtomicU32::new(3),
            waiting: Mutex::default(),
            streams: Mutex::default(),
            last_lens: AtomicU32::new(0),
            on_lens: Mutex::new(None),
            why: Mutex::new(None),
            complaint: Mutex::default(),
            alive: Mutex::new(Instant::now()),
            received: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let reading = Arc::clone(&shared);
        thread::Builder::new().name("guest".to_owned()).spawn(move || {
            let why = reading.read(stream, &say_hello);
            reading.close(&why);
        })?;
        Ok(Self {
            shared,
            hello: Mutex::new(hello),
        })
    }

    /// Waits for the guest to come up.
    pub fn hello(&self, patience: Duration) -> Result<Hello, LinkError> {
        match lock(&self.hello).recv_timeout(patience) {
            Ok((control::VERSION, hello)) => Ok(hello),
            Ok((other, _)) => Err(LinkError::Version(other)),
            Err(RecvTimeoutError::Timeout) => Err(LinkError::Silent {
                asked: "hello",
                after: patience,
            }),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    /// Asks and waits for the answer.
    pub fn ask(&self, what: Ask, patience: Duration) -> Result<Tell, LinkError> {
        self.ask_and(what, patience, || Ok(()))
    }

    /// Asks, does something once the question is on its way, and waits for the answer.
    fn ask_and(
        &self,
        what: Ask,
        patience: Duration,
        then: impl FnOnce() -> io::Result<()>,
    ) -> Result<Tell, LinkError> {
        let asked = name(&what);
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = sync_channel(1);
        lock(&self.shared.waiting).insert(id, sender);
        let told = if self.shared.closed.load(Ordering::Acquire) {
            Err(self.gone())
        } else {
            self.shared
                .write(CONTROL, &control::bytes(&Asked { id, what }))
                .map_err(|_| self.gone())
                .and_then(|()| then().map_err(LinkError::File))
                .and_then(|()| match receiver.recv_timeout(patience) {
                    Ok(Tell::Failed { step, text, .. }) => Err(LinkError::Failed { step, text }),
                    Ok(told) => Ok(told),
                    Err(RecvTimeoutError::Timeout) => Err(LinkError::Silent {
                        asked,
                        after: patience,
                    }),
                    Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
                })
        };
        lock(&self.shared.waiting).remove(&id);
        told
    }

    /// Asks for something that has no result.
    pub fn order(&self, what: Ask, patience: Duration) -> Result<(), LinkError> {
        match self.ask(what, patience)? {
            Tell::Done => Ok(()),
            _ => Err(LinkError::Nonsense),
        }
    }

    /// The stream of the Raw Data API. May be called once.
    pub fn agent(&self) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        self.shared.join(AGENT, far)?;
        Ok(near)
    }

    /// Who takes connections to the lens from now on.
    pub fn on_lens(&self, on_lens: OnLens) {
        *lock(&self.shared.on_lens) = Some(on_lens);
    }

    /// Puts a file into the cache of the job, and waits until it is there.
    pub fn deliver(&self, from: &Path, path: &str, patience: Duration) -> Result<(), LinkError> {
        let mut file = File::open(from).map_err(LinkError::File)?;
        let size = file.metadata().map_err(LinkError::File)?.len();
        let stream = self.shared.next_file.fetch_add(2, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        let send = move || -> io::Result<()> {
            let mut part = vec![0; frame::MOST];
            loop {
                match file.read(&mut part)? {
                    0 => return shared.end(stream),
                    read => shared.write(stream, &part[..read])?,
                }
            }
        };
        let path = path.to_owned();
        // bytes of a stream that was not told of are dropped over there: the question goes first
        let begin = || {
            let sending = thread::Builder::new()
                .name("file to guest".to_owned())
                .spawn(send);
            sending.map(drop)
        };
        match self.ask_and(Ask::File { stream, path, size }, patience, begin)? {
            Tell::Done => Ok(()),
            _ => Err(LinkError::Nonsense),
        }
    }

    /// How long nothing was heard of the guest.
    pub fn silence(&self) -> Duration {
        lock(&self.shared.alive).elapsed()
    }

    /// Why the channel is closed, when it is.
    pub fn why(&self) -> Option<String> {
        lock(&self.shared.why).clone()
    }

    /// What the agent in the guest said on its standard error, when it has ended.
    pub fn complaint(&self) -> Option<String> {
        let said = lock(&self.shared.complaint).clone();
        (!said.is_empty()).then_some(said)
    }

    /// Closes the channel.
    pub fn close(&self, why: &str) {
        self.shared.close(why);
    }

    fn gone(&self) -> LinkError {
        LinkError::Closed(self.why().unwrap_or_else(|| "its channel is closed".to_owned()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.close("the host has ended it");
    }
}

impl Shared {
    fn write(&self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        // one frame at a time, so that a large file does not hold up an answer
        for part in bytes.chunks(frame::MOST) {
            frame::write(&mut *lock(&self.writer), stream, part)?;
        }
        Ok(())
    }

    fn end(&self, stream: u32) -> io::Result<()> {
        frame::end(&mut *lock(&self.writer), stream)
    }

    fn close(&self, why: &str) {
        self.closed.store(true, Ordering::Release);
        lock(&self.why).get_or_insert_with(|| why.to_owned());
        let _ = self.socket.shutdown(Shutdown::Both);
        lock(&self.waiting).clear();
        lock(&self.streams).clear();
        lock(&self.on_lens).take();
    }

    /// Joins a stream of the channel to a socket of this machine, both ways.
    fn join(self: &Arc<Self>, stream: u32, socket: UnixStream) -> io::Result<()> {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
        lock(&self.streams).insert(stream, sender);
        let mut into = socket.try_clone()?;
        thread::Builder::new()
            .name("from guest".to_owned())
            .spawn(move || {
                for part in receiver {
                    if into.write_all(&part).is_err() {
                        break;
                    }
                }
                let _ = into.shutdown(Shutdown::Write);
            })?;
        let (shared, mut from) = (Arc::clone(self), socket);
        thread::Builder::new()
            .name("to guest".to_owned())
            .spawn(move || {
                let mut part = vec![0; frame::MOST];
                while let Ok(read @ 1..) = from.read(&mut part) {
                    if shared.write(stream, &part[..read]).is_err() {
                        return;
                    }
                }
                let _ = shared.end(stream);
            })?;
        Ok(())
    }

    /// Reads until the channel ends, and says why it did.
    fn read(self: &Arc<Self>, stream: UnixStream, hello: &SyncSender<(u32, Hello)>) -> String {
        let mut stream = io::BufReader::with_capacity(frame::MOST, stream);
        loop {
            let frame = match frame::read(&mut stream) {
                Ok(Some(frame)) => frame,
                Ok(None) => return "its channel ended".to_owned(),
                Err(error) => return pyti_model::with_causes(&error),
            };
            *lock(&self.alive) = Instant::now();
            let step = match frame {
                Frame::Data(CONTROL, bytes) => self.control(&bytes, hello),
                Frame::End(CONTROL) => Err("it ended the control stream"),
                Frame::Data(stream, bytes) => self.data(stream, bytes),
                Frame::End(stream) => {
                    lock(&self.streams).remove(&stream);
                    Ok(())
                }
            };
            if let Err(why) = step {
                return why.to_owned();
            }
        }
    }

    fn data(&self, stream: u32, bytes: Vec<u8>) -> Result<(), &'static str> {
        let length = bytes.len() as u64;
        if self.received.fetch_add(length, Ordering::Relaxed) > FLOOD {
            return Err("it sent more than any job needs");
        }
        let sender = lock(&self.streams).get(&stream).cloned();
        match sender {
            // the worker reads as fast as it can; the guest waits for it
            Some(sender) if stream == AGENT => {
                let _ = sender.send(bytes);
                Ok(())
            }
            // a connection whose other side does not read must not hold up the rest
            Some(sender) => {
                if matches!(sender.try_send(bytes), Err(TrySendError::Full(_))) {
                    lock(&self.streams).remove(&stream);
                }
                Ok(())
            }
            // one that was closed here, while more was on the way
            None if stream == AGENT
                || (stream.is_multiple_of(2) && stream <= self.last_lens.load(Ordering::Acquire)) =>
            {
                Ok(())
            }
            None => Err("it sent on a stream that nobody opened"),
        }
    }

    fn control(self: &Arc<Self>, bytes: &[u8], hello: &SyncSender<(u32, Hello)>) -> Result<(), &'static str> {
        let told = control::told(bytes).ok_or("it sent a control message that cannot be read")?;
        if told.id != 0 {
            // who asked may have stopped waiting
            if let Some(sender) = lock(&self.waiting).remove(&told.id) {
                let _ = sender.try_send(told.what);
            }
            return Ok(());
        }
        match told.what {
            Tell::Hello {
                version,
                kernel,
                uptime_ms,
            } => {
                let kernel = pyti_model::Foreign::from(kernel.as_str())
                    .visible()
                    .chars()
                    .take(80)
                    .collect();
                let said = (version, Hello { kernel, uptime_ms });
                hello.try_send(said).map_err(|_| "it said hello twice")?;
            }
            Tell::Lens { stream } => self.lens(stream)?,
            Tell::Ended { complaint } => {
                *lock(&self.complaint) = complaint.visible_lines();
                lock(&self.streams).remove(&AGENT);
            }
            Tell::Alive => {}
            _ => return Err("it answered what was not asked"),
        }
        Ok(())
    }

    fn lens(self: &Arc<Self>, stream: u32) -> Result<(), &'static str> {
        let last = self.last_lens.swap(stream, Ordering::AcqRel);
        if !stream.is_multiple_of(2) || stream <= last {
            return Err("it opened a stream out of turn");
        }
        if lock(&self.streams).len() > CONNECTIONS {
            let _ = self.end(stream);
            return Ok(());
        }
        let mut on_lens = lock(&self.on_lens);
        let joined = on_lens.as_mut().and_then(|on_lens| {
            let (near, far) = UnixStream::pair().ok()?;
            self.join(stream, far).ok()?;
            on_lens(near);
            Some(())
        });
        if joined.is_none() {
            let _ = self.end(stream);
        }
        Ok(())
    }
}

fn name(what: &Ask) -> &'static str {
    match what {
        Ask::Ping => "ping",
        Ask::Calibrate { .. } => "calibrate",
        Ask::Warm { .. } => "warm",
        Ask::Prepare { .. } => "prepare",
        Ask::MountJob => "mount the job",
        Ask::Open { .. } => "open the job",
        Ask::File { .. } => "take a file",
        Ask::Facts => "facts",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::Told;

    const SOON: Duration = Duration::from_secs(5);

    fn pair() -> (Link, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        (Link::start(near).unwrap(), far)
    }

    fn tell(guest: &mut UnixStream, id: u32, what: Tell) {
        frame::write(guest, CONTROL, &control::bytes(&Told { id, what })).unwrap();
    }

    fn ended(link: &Link) -> String {
        for _ in 0..500 {
            if let Some(why) = link.why() {
                return why;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the channel is open still");
    }

    #[test]
    fn a_guest_that_answers_is_heard() {
        let (link, mut guest) = pair();
        let kernel = "6.12.1".to_owned();
        tell(
            &mut guest,
            0,
            Tell::Hello {
                version: control::VERSION,
                kernel,
                uptime_ms: 9,
            },
        );
        assert_eq!(link.hello(SOON).unwrap().uptime_ms, 9);
        let answering = thread::spawn(move || {
            let Some(Frame::Data(CONTROL, bytes)) = frame::read(&mut guest).unwrap() else {
                panic!()
            };
            let asked: Asked = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(asked.what, Ask::Ping);
            tell(&mut guest, asked.id, Tell::Done);
            guest
        });
        link.order(Ask::Ping, SOON).unwrap();
        drop(answering.join().unwrap());
        assert_eq!(ended(&link), "its channel ended");
    }

    #[test]
    fn a_guest_that_never_answers_is_given_up() {
        let (link, _guest) = pair();
        let little = Duration::from_millis(50);
        assert!(matches!(link.hello(little), Err(LinkError::Silent { .. })));
        assert!(matches!(
            link.ask(Ask::Ping, little),
            Err(LinkError::Silent { asked: "ping", .. })
        ));
    }

    #[test]
    fn what_does_not_fit_closes_the_channel_with_a_reason() {
        let say = |what: Tell| {
            let mut bytes = Vec::new();
            frame::write(&mut bytes, CONTROL, &control::bytes(&Told { id: 0, what })).unwrap();
            bytes
        };
        let data = |stream: u32| {
            let mut bytes = Vec::new();
            frame::write(&mut bytes, stream, b"x").unwrap();
            bytes
        };
        let hello = || {
            say(Tell::Hello {
                version: 1,
                kernel: String::new(),
                uptime_ms: 0,
            })
        };
        let mut nonsense = Vec::new();
        frame::write(&mut nonsense, CONTROL, b"{\"id\":").unwrap();
        for (bytes, why) in [
            (data(8), "nobody opened"),
            (data(3), "nobody opened"),
            (nonsense, "cannot be read"),
            (say(Tell::Done), "not asked"),
            (say(Tell::Lens { stream: 3 }), "out of turn"),
            ([hello(), hello()].concat(), "hello twice"),
            (
                [say(Tell::Lens { stream: 4 }), say(Tell::Lens { stream: 2 })].concat(),
                "out of turn",
            ),
            (vec![0; 8], "ended the control stream"),
            (vec![1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f], "too long"),
        ] {
            let (link, mut guest) = pair();
            guest.write_all(&bytes).unwrap();
            let said = ended(&link);
            assert!(said.contains(why), "{said} / {why}");
        }
        let (link, mut guest) = pair();
        guest
            .write_all(&[say(Tell::Lens { stream: 2 }), say(Tell::Alive)].concat())
            .unwrap();
        drop(guest);
        assert_eq!(ended(&link), "its channel ended", "what fits is no fault");
    }

    #[test]
    fn a_flood_on_one_connection_closes_that_one_only() {
        let (link, mut guest) = pair();
        let (give, take) = sync_channel(1);
        link.on_lens(Box::new(move |stream| give.send(stream).unwrap()));
        tell(&mut guest, 0, Tell::Lens { stream: 2 });
        let held = take.recv_timeout(SOON).unwrap();
        // nobody reads the other side of `held`
        for _ in 0..400 {
            frame::write(&mut guest, 2, &vec![7; frame::MOST]).unwrap();
        }
        tell(
            &mut guest,
            0,
            Tell::Hello {
                version: control::VERSION,
                kernel: String::new(),
                uptime_ms: 0,
            },
        );
        link.hello(SOON).unwrap();
        drop(held);
    }

    #[test]
    fn a_file_arrives_whole() {
        let (link, mut guest) = pair();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wheel");
        let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        let taking = thread::spawn(move || {
            let (mut asked, mut got, mut ended) = (None, Vec::new(), false);
            while asked.is_none() || !ended {
                match frame::read(&mut guest).unwrap().unwrap() {
                    Frame::Data(CONTROL, bytes) => {
                        asked = Some(serde_json::from_slice::<Asked>(&bytes).unwrap());
                    }
                    // never before the question: they would be dropped
                    Frame::Data(3, bytes) if asked.is_some() => got.extend(bytes),
                    Frame::End(3) if asked.is_some() => ended = true,
                    other => panic!("{other:?}"),
                }
            }
            tell(&mut guest, asked.unwrap().id, Tell::Done);
            (guest, got)
        });
        link.deliver(&path, "aa/wheel", SOON).unwrap();
        assert_eq!(taking.join().unwrap().1, content);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_guest_sends_the_host_lives(
            parts in proptest::collection::vec((0u32..9, proptest::collection::vec(any::<u8>(), 0..64)), 0..20),
            tail in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let (link, mut guest) = pair();
            link.on_lens(Box::new(drop));
            let _agent = link.agent().unwrap();
            for (stream, bytes) in &parts {
                if frame::write(&mut guest, *stream, bytes).is_err() { break }
            }
            let _ = guest.write_all(&tail);
            drop(guest);
            prop_assert!(!ended(&link).is_empty());
        }
    }
}
