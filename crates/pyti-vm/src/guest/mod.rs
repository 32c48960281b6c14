//! The guest's side: the first process of a virtual machine.
//!
//! It mounts what there is, waits for the host on a virtio-serial port, and starts the agent exactly as a host does: in
//! the namespaces of `pyti-sandbox`. So a job finds the same sandbox in a guest as on a host, and a hole in the agent is
//! not a hole in this process. Bytes between port and agent are only passed on.

mod boot;
mod mux;
mod serve;

use std::process::ExitCode;

/// How the kernel starts the first process of its initramfs.
pub const INIT: &str = "/init";
/// Name of the virtio-serial port.
pub const PORT: &str = "pyti";

/// Whether this process is the first one of a guest.
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == INIT)
}

/// Runs until the machine ends. `agent` is the verb by which the program is started as an agent.
pub fn main(agent: &str) -> ExitCode {
    let result = boot::boot().and_then(|port| serve::serve(port, agent));
    if let Err(error) = result {
        boot::say(&format!("pyti: {error}"));
    }
    // the first process must not end: the kernel would panic, and the reason be lost in it
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}
