//! JSON-RPC 2.0 over a byte channel, one message a line, both sides asking and answering.
//!
//! Source: the JSON-RPC 2.0 specification. Batches are not used on this channel and are refused.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest line that is read, bytes. Longer ones end the connection.
pub const LINE_CAP: u64 = 32 << 20;
/// Questions from the other side that are worked on at once; more wait.
const AT_ONCE: usize = 32;

/// A question of the Raw Data API: its name and types.
pub trait Method {
    /// The name on the wire.
    const NAME: &'static str;
    /// The parameters.
    type Params: Serialize + DeserializeOwned;
    /// The answer.
    type Answer: Serialize + DeserializeOwned;
}

/// A message without answer.
pub trait Notification {
    /// The name on the wire.
    const NAME: &'static str;
    /// The parameters.
    type Params: Serialize + DeserializeOwned;
}

/// The error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// A code of the specification, or -32000 for errors of the application.
    pub code: i64,
    /// What happened, for people.
    pub message: String,
}

impl RpcError {
    /// The method does not exist.
    pub fn no_such_method(name: &str) -> Self {
        Self {
            code: -32601,
            message: format!("no method {name:?}"),
        }
    }

    /// The parameters are not what the method wants.
    pub fn bad_params(why: impl std::fmt::Display) -> Self {
        Self {
            code: -32602,
            message: format!("bad parameters: {why}"),
        }
    }

    /// An error of the application.
    pub fn failed(why: impl std::fmt::Display) -> Self {
        Self {
            code: -32000,
            message: why.to_string(),
        }
    }
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side answered with an error.
    #[error(transparent)]
    Answered(#[from] RpcError),
    /// The channel broke.
    #[error("the channel broke")]
    Broken(#[source] io::Error),
    /// The channel was closed before the answer came.
    #[error("the channel was closed before the answer came")]
    Closed,
    /// The answer is not what the method promises.
    #[error("the answer to {method} cannot be read")]
    BadAnswer {
        /// The method.
        method: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What answers the other side's questions. Called on threads of the peer.
pub trait Handler: Send + Sync + 'static {
    /// A question came; what is returned goes back.
    fn request(&self, method: &str, params: Value) -> Result<Value, RpcError>;
    /// A message without answer came. Called in order, on the reading thread: it must not block for long.
    fn notification(&self, method: &str, params: Value);
    /// The channel ended. Called once, last.
    fn closed(&self, why: Option<&str>);
}

/// Parses parameters, calls, and turns the answer into JSON: one line per method in a [`Handler`].
pub fn answer<M: Method>(
    params: Value,
    body: impl FnOnce(M::Params) -> Result<M::Answer, RpcError>,
) -> Result<Value, RpcError> {
    let params = serde_json::from_value(params).map_err(RpcError::bad_params)?;
    serde_json::to_value(body(params)?).map_err(RpcError::failed)
}

#[derive(Serialize, Deserialize)]
struct Message {
    jsonrpc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

impl Message {
    fn new() -> Self {
        Self {
            jsonrpc: "2.0".to_owned(),
            id: None,
            method: None,
            params: None,
            result: None,
            error: None,
        }
    }
}

type Waiting = HashMap<u64, SyncSender<Result<Value, RpcError>>>;

/// One end of a channel.
pub struct Peer {
    writer: Mutex<Box<dyn Write + Send>>,
    /// `None` once the channel has ended: nobody will answer any more.
    waiting: Mutex<Option<Waiting>>,
    next: AtomicU64,
    busy: AtomicUsize,
}

impl Peer {
    /// Starts reading on a thread of its own.
    pub fn start(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Arc<Self>> {
        let peer = Arc::new(Self {
            writer: Mutex::new(Box::new(writer)),
            waiting: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(1),
            busy: AtomicUsize::new(0),
        });
        let reading = Arc::clone(&peer);
        thread::Builder::new().name("rpc".to_owned()).spawn(move || {
            let why = reading.read(reader, &handler).err().map(|e| e.to_string());
            // whoever waits for an answer is told by its sender being dropped
            lock(&reading.waiting).take();
            handler.closed(why.as_deref());
        })?;
        Ok(peer)
    }

    /// Asks and waits for the answer.
    pub fn call<M: Method>(&self, params: &M::Params) -> Result<M::Answer, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = sync_channel(1);
        match lock(&self.waiting).as_mut() {
            None => return Err(CallError::Closed),
            Some(waiting) => waiting.insert(id, sender),
        };
        let mut message = Message::new();
        message.id = Some(id);
        message.method = Some(M::NAME.to_owned());
        message.params = Some(to_value(params)?);
        if let Err(error) = self.write(&message) {
            if let Some(waiting) = lock(&self.waiting).as_mut() {
                waiting.remove(&id);
            }
            return Err(CallError::Broken(error));
        }
        let result = receiver.recv().map_err(|_| CallError::Closed)??;
        serde_json::from_value(result).map_err(|source| CallError::BadAnswer {
            method: M::NAME,
            source,
        })
    }

    /// Tells, without answer.
    pub fn notify<N: Notification>(&self, params: &N::Params) -> Result<(), CallError> {
        let mut message = Message::new();
        message.method = Some(N::NAME.to_owned());
        message.params = Some(to_value(params)?);
        self.write(&message).map_err(CallError::Broken)
    }

    fn write(&self, message: &Message) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut writer = lock(&self.writer);
        writer.write_all(&line)?;
        writer.flush()
    }

    fn read(self: &Arc<Self>, reader: impl Read, handler: &Arc<dyn Handler>) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(64 << 10, reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LINE_CAP).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                return Err(io::Error::other(if read as u64 == LINE_CAP {
                    "a message is too long"
                } else {
                    "a message was cut off"
                }));
            }
            let message: Message = serde_json::from_slice(&line)?;
            if message.jsonrpc != "2.0" {
                return Err(io::Error::other("a message is not JSON-RPC 2.0"));
            }
            self.take(message, handler)?;
        }
    }

    fn take(self: &Arc<Self>, message: Message, handler: &Arc<dyn Handler>) -> io::Result<()> {
        match (message.method, message.id) {
            (Some(method), None) => handler.notification(&method, message.params.unwrap_or_default()),
            (Some(method), Some(id)) => {
                self.serve(id, method, message.params.unwrap_or_default(), handler)?;
            }
            (None, Some(id)) => {
                let sender = lock(&self.waiting)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&id));
                let Some(sender) = sender else {
                    return Err(io::Error::other(
                        "an answer came to a question that was not asked",
                    ));
                };
                let result = match message.error {
                    Some(error) => Err(error),
                    None => Ok(message.result.unwrap_or_default()),
                };
                // the asker may have gone
                let _ = sender.send(result);
            }
            (None, None) => return Err(io::Error::other("a message has neither method nor id")),
        }
        Ok(())
    }

    /// Answers on a thread of its own, so that long work does not stop the reading.
    fn serve(
        self: &Arc<Self>,
        id: u64,
        method: String,
        params: Value,
        handler: &Arc<dyn Handler>,
    ) -> io::Result<()> {
        let mut reply = Message::new();
        reply.id = Some(id);
        if self.busy.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            self.busy.fetch_sub(1, Ordering::AcqRel);
            reply.error = Some(RpcError::failed("too many questions at once"));
            return self.write(&reply);
        }
        let peer = Arc::clone(self);
        let handler = Arc::clone(handler);
        thread::Builder::new()
            .name(format!("rpc {method}"))
            .spawn(move || {
                match handler.request(&method, params) {
                    Ok(result) => reply.result = Some(result),
                    Err(error) => reply.error = Some(error),
                }
                peer.busy.fetch_sub(1, Ordering::AcqRel);
                // a broken channel is noticed by the reader, who tells the handler
                let _ = peer.write(&reply);
            })?;
        Ok(())
    }
}

fn to_value<T: Serialize>(params: &T) -> Result<Value, CallError> {
    serde_json::to_value(params).map_err(|e| CallError::Broken(e.into()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    struct Double;
    impl Method for Double {
        const NAME: &'static str = "double";
        type Params = u32;
        type Answer = u32;
    }
    struct Say;
    impl Notification for Say {
        const NAME: &'static str = "say";
        type Params = String;
    }

    #[derive(Default)]
    struct Doubler {
        heard: Mutex<Vec<String>>,
        closed: Mutex<Option<Result<(), String>>>,
    }

    impl Handler for Doubler {
        fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
            match method {
                Double::NAME => answer::<Double>(params, |n| {
                    n.checked_mul(2).ok_or_else(|| RpcError::failed("too big"))
                }),
                other => Err(RpcError::no_such_method(other)),
            }
        }

        fn notification(&self, _: &str, params: Value) {
            lock(&self.heard).push(params.as_str().unwrap_or_default().to_owned());
        }

        fn closed(&self, why: Option<&str>) {
            *lock(&self.closed) = Some(why.map_or(Ok(()), |why| Err(why.to_owned())));
        }
    }

    fn start(stream: &UnixStream, handler: Arc<Doubler>) -> Arc<Peer> {
        Peer::start(stream.try_clone().unwrap(), stream.try_clone().unwrap(), handler).unwrap()
    }

    fn until(mut done: impl FnMut() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("waited in vain");
    }

    #[test]
    fn both_sides_ask_and_answer() {
        let (a, b) = UnixStream::pair().unwrap();
        let handler = Arc::new(Doubler::default());
        let left = start(&a, Arc::default());
        let right = start(&b, Arc::clone(&handler));
        assert_eq!(left.call::<Double>(&21).unwrap(), 42);
        assert_eq!(right.call::<Double>(&4).unwrap(), 8);
        let error = left.call::<Double>(&u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "too big (code -32000)");
        left.notify::<Say>(&"hello".to_owned()).unwrap();
        until(|| *lock(&handler.heard) == ["hello"]);
    }

    #[test]
    fn who_waits_is_told_when_the_channel_ends() {
        let (a, b) = UnixStream::pair().unwrap();
        let left = start(&a, Arc::default());
        let waiting = thread::spawn(move || left.call::<Double>(&1));
        thread::sleep(Duration::from_millis(50));
        drop(b);
        assert!(matches!(
            waiting.join().unwrap(),
            Err(CallError::Closed | CallError::Broken(_))
        ));
    }

    #[test]
    fn garbage_ends_the_connection_with_a_reason() {
        for garbage in [
            "nonsense\n",
            "{\"jsonrpc\":\"1.0\"}\n",
            "{\"jsonrpc\":\"2.0\"}\n",
            "[]\n",
            "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1}\n",
            "{\"jsonrpc\":\"2.0\",\"meth",
        ] {
            let (a, mut b) = UnixStream::pair().unwrap();
            let handler = Arc::new(Doubler::default());
            let _left = start(&a, Arc::clone(&handler));
            b.write_all(garbage.as_bytes()).unwrap();
            b.shutdown(std::net::Shutdown::Write).unwrap();
            until(|| lock(&handler.closed).is_some());
            assert!(lock(&handler.closed).clone().unwrap().is_err(), "{garbage}");
        }
    }

    #[test]
    fn an_unknown_method_gets_the_standard_error() {
        let (a, mut b) = UnixStream::pair().unwrap();
        let _left = start(&a, Arc::default());
        b.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}\n")
            .unwrap();
        let mut line = String::new();
        BufReader::new(&b).read_line(&mut line).unwrap();
        assert!(line.contains("-32601"), "{line}");
    }
}
