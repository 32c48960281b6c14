//! What the processes of a box do, seen from outside them: system calls → acts, processes, counts.
//!
//! The kernel's seccomp user notification stops a thread before the calls that [`filter`] names, and tells the
//! [`Recording`] who it is and what the arguments are. The recording reads what the arguments point at, writes it
//! down, and lets the call go on (or refuses it). It needs no power over the processes but that of the user namespace's
//! owner, and it cannot be turned off from inside.
//!
//! What is recorded is what was *attempted*: the thread's memory can change after it was read. What came about is told
//! by other sources: see [`confirm`]. `docs/trace.md` tells what is trapped in which form, and why.

#[cfg(not(target_os = "linux"))]
compile_error!("the recording of system calls needs Linux");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system calls of x86-64 and aarch64 are known, no others");

mod address;
mod calls;
mod confirm;
mod decode;
pub mod filter;
mod keep;
mod memory;
mod paths;
mod places;
mod proc;
mod programs;
mod recorder;
mod recording;
mod sockets;
mod stop;
mod tree;
mod watch;
mod wire;

pub use confirm::confirm;
pub use filter::Arch;
pub use recording::{OnCall, Recorded, Recording, Setup};
