//! Connections to hosts of the real network that a plan allows. What is said on them is recorded in the box, by the
//! simulated network that passes it on; here it is only carried.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pyti_box::protocol::{TunnelOrder, TunnelPart};
use pyti_box::rpc::{Peer, RpcError};
use pyti_box::tunnel::pass_on;
use pyti_model::plan::host_and_port;

use crate::desk::lock;

/// Most connections of one job at once.
const MOST: usize = 64;
/// How long a host may take to answer, and to take what is said.
const PATIENCE: Duration = Duration::from_secs(15);

/// The connections of one job.
pub(crate) struct Tunnels {
    allowed: Vec<(String, u16)>,
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Tunnels {
    /// For a plan that allows these, each `HOST:PORT`.
    pub(crate) fn new(allow: &[String]) -> Self {
        let allowed = allow
            .iter()
            .filter_map(|text| host_and_port(text))
            .map(|(host, port)| (host.to_owned(), port))
            .collect();
        Self {
            allowed,
            open: Mutex::default(),
        }
    }

    /// Connects, when the plan allows it. The agent is not trusted: it can name no other host.
    pub(crate) fn open(self: &Arc<Self>, order: &TunnelOrder, peer: &Arc<Peer>) -> Result<(), RpcError> {
        let wanted = (order.host.clone(), order.port);
        if !self.allowed.contains(&wanted) {
            return Err(RpcError::bad_params("the plan does not allow this host"));
        }
        if lock(&self.open).len() >= MOST {
            return Err(RpcError::failed("too many connections are open"));
        }
        let stream = connect(&order.host, order.port).map_err(RpcError::failed)?;
        let listening = stream.try_clone().map_err(RpcError::failed)?;
        if lock(&self.open).insert(order.tunnel, stream).is_some() {
            return Err(RpcError::bad_params("this connection is open already"));
        }
        let (tunnels, peer, tunnel) = (Arc::clone(self), Arc::clone(peer), order.tunnel);
        thread::Builder::new()
            .name("tunnel".to_owned())
            .spawn(move || {
                pass_on(listening, &peer, tunnel);
                lock(&tunnels.open).remove(&tunnel);
            })
            .map_err(RpcError::failed)?;
        Ok(())
    }

    /// Says what the box said.
    pub(crate) fn say(&self, part: &TunnelPart) {
        let stream = lock(&self.open)
            .get(&part.tunnel)
            .and_then(|stream| stream.try_clone().ok());
        let Some(mut stream) = stream else { return };
        if stream.write_all(part.bytes.as_bytes()).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
        } else if part.last {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Ends all of them.
    pub(crate) fn close(&self) {
        for (_, stream) in lock(&self.open).drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.trim_matches(['[', ']']);
    // names below localhost are this machine's (RFC 6761), whatever a resolver says
    let addresses: Vec<SocketAddr> = if host == "localhost" || host.ends_with(".localhost") {
        vec![(Ipv4Addr::LOCALHOST, port).into()]
    } else {
        (host, port).to_socket_addrs()?.collect()
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.iter().take(4) {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_plan_names_is_allowed() {
        let tunnels = Tunnels::new(&["files.example:443".to_owned(), "nonsense".to_owned()]);
        assert_eq!(tunnels.allowed, [("files.example".to_owned(), 443)]);
    }

    #[test]
    fn names_below_localhost_are_this_machine() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("service.localhost", port).is_ok());
        drop(listener);
        assert!(connect("service.localhost", port).is_err());
    }
}
