//! The local worker: a child of the same program over the Unix socket. It outlives a controller that dies and is found again by the
//! next one, by the lock of its folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// How long to wait before a worker that ended is started again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// A worker that ran so long was well.
const WELL: Duration = Duration::from_mins(1);
/// How often a worker of an earlier controller is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// Looks after the local worker.
pub(crate) struct Hand {
    stop: oneshot::Sender<Duration>,
    task: tokio::task::JoinHandle<()>,
}

impl Hand {
    /// Starts it, unless one is there already.
    pub(crate) fn start(
        program: PathBuf,
        socket: PathBuf,
        folder: PathBuf,
        index_url: Option<String>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(look_after(program, socket, folder, index_url, stopped));
        Self { stop, task }
    }

    /// Lets it give its jobs back, and end. One of an earlier controller goes on.
    pub(crate) async fn stop(self, within: Duration) {
        // it may have ended by itself
        let _ = self.stop.send(within);
        let _ = self.task.await;
    }
}

/// Whether another process has the folder.
fn is_taken(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join("lock")) else {
        return false;
    };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

async fn look_after(
    program: PathBuf,
    socket: PathBuf,
    folder: PathBuf,
    index_url: Option<String>,
    mut stopped: oneshot::Receiver<Duration>,
) {
    let mut wait = AGAIN.0;
    let mut told = false;
    loop {
        if is_taken(&folder) {
            if !told {
                tracing::info!("a worker of an earlier controller goes on");
                told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => continue,
                _ = &mut stopped => return,
            }
        }
        let began = tokio::time::Instant::now();
        let mut child = match spawn(&program, &socket, &folder, index_url.as_deref()) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "the local worker cannot be started");
                return;
            }
        };
        tracing::info!(pid = child.id(), "local worker started");
        let ended = tokio::select! {
            ended = child.wait() => ended,
            within = &mut stopped => {
                end(child, within.unwrap_or_default()).await;
                return;
            }
        };
        match ended {
            // drained by an administrator
            Ok(status) if status.success() => {
                tracing::info!("the local worker has ended");
                return;
            }
            Ok(status) => tracing::warn!(%status, "the local worker ended; it is started again"),
            Err(error) => tracing::warn!(%error, "the local worker cannot be waited for"),
        }
        wait = if began.elapsed() > WELL {
            AGAIN.0
        } else {
            (wait * 2).min(AGAIN.1)
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = &mut stopped => return,
        }
    }
}

fn spawn(program: &Path, socket: &Path, folder: &Path, index_url: Option<&str>) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command
        .arg("worker")
        .arg("--controller")
        .arg(format!("unix:{}", socket.display()))
        .arg("--name")
        .arg("local")
        .arg("--data")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // what ends the controller by its group does not end it
        .process_group(0)
        .kill_on_drop(false);
    if let Some(url) = index_url {
        command.arg("--index-url").arg(url);
    }
    command.spawn()
}

/// Asks it to end, waits, and ends it.
async fn end(mut child: Child, within: Duration) {
    if let Some(pid) = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw)
    {
        // it may have ended just now
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(within, child.wait()).await.is_ok() {
        tracing::info!("the local worker gave its jobs back");
        return;
    }
    tracing::warn!("the local worker took too long to give its jobs back");
    // a worker that is killed loses its leases by time
    let _ = child.kill().await;
}
