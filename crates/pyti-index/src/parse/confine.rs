//! Shuts the reading child off.

use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};

/// Address space of the reader, bytes.
const MEMORY: u64 = 1 << 30;

/// No file, no socket, no process, little memory and time. What is open stays open.
pub(super) fn shut_off() -> Result<(), Box<dyn std::error::Error>> {
    for (what, limit) in [
        (libc::RLIMIT_AS, MEMORY),
        (libc::RLIMIT_CPU, 20),
        (libc::RLIMIT_FSIZE, 0),
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_NPROC, 0),
    ] {
        let limit = libc::rlimit {
            rlim_cur: limit,
            rlim_max: limit,
        };
        // SAFETY: the pointer is to a live structure of the right type, which the call only reads.
        if unsafe { libc::setrlimit(what, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error().into());
        }
    }
    // best effort: a kernel without Landlock still has the limits above, and the reader is safe code
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(())
}
