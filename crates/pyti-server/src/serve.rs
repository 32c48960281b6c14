//! Listeners: TCP, with TLS where it is configured, and a Unix socket. Each connection has limits, and ends when the controller stops.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::controller::Controller;
use crate::error::ServerError;
use crate::http::router;
use crate::peer::Peer;
use crate::trust::tls::{Speaks, speaks};

/// How long the head of a request, or a handshake, may take.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long requests may go on once the controller stops.
const GRACE: Duration = Duration::from_secs(10);
/// How often our own certificate is made anew.
const RENEW: Duration = Duration::from_hours(24);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 32 << 10;

/// A controller that is being served.
#[derive(Debug)]
pub struct Served {
    /// The addresses that are listened on, with the ports that were given.
    pub addresses: Vec<SocketAddr>,
    /// Whether each speaks TLS.
    pub tls: Vec<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Waits until everything has ended, after [`Controller::stop`].
    pub async fn ended(self) {
        // a panic in a task was told already
        let _ = self.task.await;
    }
}

/// How many connections there may be, in all and of each address.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place.
struct Place {
    places: Arc<Places>,
    of: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(of) = self.of {
            let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = taken.get_mut(&of) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&of);
                }
            }
        }
    }
}

impl Places {
    fn take(self: &Arc<Self>, of: Option<IpAddr>) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        if let Some(of) = of {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(of).or_default();
            if *count >= self.each {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            places: Arc::clone(self),
            of,
            _permit: permit,
        })
    }
}

/// Listens and serves until the controller stops. `pages` are the routes of the pages, if there are any.
///
/// # Errors
///
/// [`ServerError::Listen`] if an address is taken; a Unix socket that a dead controller left is replaced.
pub async fn serve(controller: &Arc<Controller>, pages: Option<Router>) -> Result<Served, ServerError> {
    let config = controller.config();
    let mut listeners = Vec::new();
    let (mut addresses, mut protected) = (Vec::new(), Vec::new());
    for address in &config.listen {
        let tls = config.tls_for(address);
        let folder = config.data.join("tls");
        let speaks = speaks(&tls, &folder, &config.hosts, &config.listen)?;
        if let Some(authority) = speaks.as_ref().and_then(|speaks| speaks.authority.clone()) {
            controller.set_authority(authority);
        }
        let listen = |source| ServerError::Listen {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        addresses.push(listener.local_addr().map_err(listen)?);
        protected.push(speaks.is_some());
        listeners.push((listener, speaks.map(Arc::new)));
    }
    let socket = unix(&config.socket)?;
    let places = Arc::new(Places {
        all: Arc::new(Semaphore::new(config.connections)),
        each: config.connections_each,
        taken: Mutex::default(),
    });
    let router = router(controller, pages);
    let controller = Arc::clone(controller);
    let path = config_socket(&controller);
    let task = tokio::spawn(async move {
        let mut accepting = JoinSet::new();
        for (listener, speaks) in listeners {
            accepting.spawn(tcp(
                Arc::clone(&controller),
                listener,
                speaks,
                router.clone(),
                Arc::clone(&places),
            ));
        }
        accepting.spawn(local(
            Arc::clone(&controller),
            socket,
            router.clone(),
            Arc::clone(&places),
        ));
        while accepting.join_next().await.is_some() {}
        // the next controller makes its own
        let _ = std::fs::remove_file(path);
    });
    Ok(Served {
        addresses,
        tls: protected,
        task,
    })
}

fn config_socket(controller: &Controller) -> std::path::PathBuf {
    controller.config().socket.clone()
}

/// A Unix socket that only its owner can open. The folder of data is locked, so what lies there already is of a dead controller.
fn unix(path: &Path) -> Result<UnixListener, ServerError> {
    let listen = |source| ServerError::Listen {
        address: path.display().to_string(),
        source,
    };
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(listen(std::io::Error::other("something else lies there")));
        }
        std::fs::remove_file(path).map_err(listen)?;
    }
    // made beside and moved, so that it is never there with a mode that lets others in
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(listen)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).map_err(listen)?;
    std::fs::rename(&beside, path).map_err(listen)?;
    Ok(listener)
}

async fn tcp(
    controller: Arc<Controller>,
    listener: TcpListener,
    speaks: Option<Arc<Speaks>>,
    router: Router,
    places: Arc<Places>,
) {
    let mut stop = controller.stopped();
    let mut connections = JoinSet::new();
    let mut renew = tokio::time::interval(RENEW);
    renew.tick().await;
    loop {
        tokio::select! {
            () = crate::controller::over(&mut stop) => break,
            _ = renew.tick() => {
                if let Some(Err(error)) = speaks.as_ref().map(|speaks| speaks.renew()) {
                    tracing::error!(%error, "the certificate was not made anew");
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, address)) = accepted else {
                    // too many open files: others end
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Some(place) = places.take(Some(address.ip())) else {
                    tracing::debug!(%address, "too many connections");
                    continue;
                };
                // a connection that refuses it still works
                let _ = stream.set_nodelay(true);
                let (router, controller, speaks) = (router.clone(), Arc::clone(&controller), speaks.clone());
                connections.spawn(async move {
                    let _place = place;
                    let peer = Peer::Tcp(address);
                    match speaks {
                        None => connection(controller, stream, peer, router).await,
                        Some(speaks) => {
                            let acceptor = TlsAcceptor::from(Arc::clone(&speaks.config));
                            let shaken = tokio::time::timeout(HEAD_TIME, acceptor.accept(stream)).await;
                            match shaken {
                                Ok(Ok(stream)) => connection(controller, stream, peer, router).await,
                                Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS"),
                                Err(_) => tracing::debug!(%address, "TLS took too long"),
                            }
                        }
                    }
                });
            }
        }
    }
    drop(listener);
    all_end(connections).await;
}

async fn local(controller: Arc<Controller>, listener: UnixListener, router: Router, places: Arc<Places>) {
    let own = rustix::process::geteuid().as_raw();
    let mut stop = controller.stopped();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = crate::controller::over(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                // who it is, as the kernel noted when it connected
                let Ok(credentials) = stream.peer_cred() else {
                    continue;
                };
                let Some(place) = places.take(None) else {
                    continue;
                };
                let uid = credentials.uid();
                let peer = Peer::Unix { uid, trusted: uid == 0 || uid == own };
                let (router, controller) = (router.clone(), Arc::clone(&controller));
                connections.spawn(async move {
                    let _place = place;
                    connection(controller, stream, peer, router).await;
                });
            }
        }
    }
    drop(listener);
    all_end(connections).await;
}

/// Requests that are at work may finish.
async fn all_end(mut connections: JoinSet<()>) {
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("connections were cut off");
        connections.shutdown().await;
    }
}

/// One connection, request by request.
async fn connection(
    controller: Arc<Controller>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let request: Request = request.map(axum::body::Body::new);
        tower_call(router.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES.max(8192))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stop = controller.stopped();
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = crate::controller::over(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(?peer, %error, "connection ended");
    }
}

async fn tower_call(
    router: Router,
    request: Request,
) -> Result<axum::response::Response, std::convert::Infallible> {
    use hyper_util::service::TowerToHyperService;
    hyper::service::Service::call(&TowerToHyperService::new(router), request).await
}
