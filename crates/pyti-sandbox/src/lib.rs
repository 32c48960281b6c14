//! The namespace sandbox: one command in, one exit and one list of changes out.
//!
//! Three circles, each made by the one around it:
//!
//! 1. the *host* calls [`launch`]: the program is started again with a hidden verb;
//! 2. that process calls [`enter`]: it gives up root, makes the job's namespaces, and comes back as PID 1 of the job,
//!    in a root that holds only what [`JobSpec`] names. This is where the agent runs;
//! 3. the agent calls [`Boxes::run`] for each command: namespaces of its own, a root of stacked [`Layer`]s, limits,
//!    seccomp, Landlock. What the command changed is a new layer.
//!
//! Nothing here knows Python. `docs/sandbox.md` tells the order of calls and why it is this one.

#[cfg(not(target_os = "linux"))]
compile_error!("PyTI's sandbox needs Linux");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("PyTI's sandbox knows the system calls of x86-64 and aarch64 only");

mod boxes;
mod cgroup;
mod diff;
mod dns;
mod doctor;
mod enter;
mod init;
mod later;
mod launch;
mod layer;
mod meter;
mod netlink;
mod network;
mod packet;
mod root;
mod spec;
mod starter;
mod step;
mod stream;
mod supervise;
mod sys;
mod texts;

pub use boxes::{BoxError, Boxes, Done};
pub use doctor::{DOCTOR_VERB, Finding, StepOutcome, doctor, doctor_inside};
pub use enter::{EnterError, Inside, enter};
pub use launch::{Job, LaunchError, launch};
pub use layer::{Layer, StoreKind};
pub use pyti_sink as sink;
pub use spec::{Bind, Command, JobSpec, Listener, Lower, Network, Stream};

/// The descriptor at which a command finds the pipe for its results.
pub const RESULTS_FD: i32 = 200;
