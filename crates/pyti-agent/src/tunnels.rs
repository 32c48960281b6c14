//! Connections that are let through to hosts which the plan allows: bytes go over the channel to the worker, who does the
//! connecting. The agent itself has no way out.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyti_box::protocol::{OpenTunnel, TunnelOrder, TunnelPart};
use pyti_box::rpc::Peer;
use pyti_box::tunnel::pass_on;
use pyti_model::plan::host_and_port;
use pyti_sandbox::sink::Allow;
use serde_json::Value;

/// Messages that wait for a side that does not read; then the channel waits too.
const WAITING: usize = 64;

/// The connections that are open.
#[derive(Default)]
pub(crate) struct Tunnels {
    next: AtomicU64,
    open: Mutex<HashMap<u64, SyncSender<TunnelPart>>>,
}

impl Tunnels {
    /// What the simulated network needs to let these hosts through; a text that is no `HOST:PORT` lets nobody through.
    pub(crate) fn allow(self: &Arc<Self>, peer: &Arc<Peer>, allowed: &[String]) -> Vec<Allow> {
        allowed
            .iter()
            .filter_map(|text| host_and_port(text))
            .map(|(host, port)| {
                let (tunnels, peer, to) = (Arc::clone(self), Arc::clone(peer), host.to_owned());
                Allow {
                    host: host.to_owned(),
                    port,
                    connect: Arc::new(move || tunnels.connect(&peer, &to, port)),
                }
            })
            .collect()
    }

    /// Opens one, without waiting for the other side.
    fn connect(self: &Arc<Self>, peer: &Arc<Peer>, host: &str, port: u16) -> io::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        let tunnel = self.next.fetch_add(1, Ordering::Relaxed);
        let order = TunnelOrder {
            tunnel,
            host: host.to_owned(),
            port,
        };
        let (says, said) = sync_channel::<TunnelPart>(WAITING);
        self.lock().insert(tunnel, says);
        let mut into = far.try_clone()?;
        let open = Arc::clone(self);
        thread::Builder::new()
            .name("tunnel back".to_owned())
            .spawn(move || {
                for part in said {
                    if into.write_all(part.bytes.as_bytes()).is_err() || part.last {
                        break;
                    }
                }
                // the other side may be gone already
                let _ = into.shutdown(Shutdown::Write);
                // not before: who has said everything may still be answered
                open.lock().remove(&tunnel);
            })?;
        let (tunnels, peer) = (Arc::clone(self), Arc::clone(peer));
        thread::Builder::new().name("tunnel".to_owned()).spawn(move || {
            if peer.call::<OpenTunnel>(&order).is_ok() {
                pass_on(far, &peer, tunnel);
            } else {
                let _ = far.shutdown(Shutdown::Both);
                tunnels.lock().remove(&tunnel);
            }
        })?;
        Ok(near)
    }

    /// Passes on what the worker heard.
    pub(crate) fn heard(&self, params: Value) {
        let Ok(part) = serde_json::from_value::<TunnelPart>(params) else {
            return;
        };
        let says = self.lock().get(&part.tunnel).cloned();
        if let Some(says) = says {
            // nobody reads it any more: the connection has ended in the box
            let _ = says.send(part);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, SyncSender<TunnelPart>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
