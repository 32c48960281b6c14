//! Shuts the reading child off.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};

/// Address space of the reader, bytes.
const MEMORY: u64 = 1 << 30;

/// Shuts this thread off for good: no file can be opened, no TCP socket connected or bound, and the process may hold
/// little memory, use little time, write no file and start no other. What is open stays open. For short-lived children.
/// Gives whether Landlock holds; without it (an old kernel) only the limits do.
pub fn shut_off() -> Result<bool, Box<dyn std::error::Error>> {
    shut_off_within(MEMORY, 20)
}

/// The same with so many bytes of memory and so many seconds of a processor.
pub fn shut_off_within(memory: u64, cpu_s: u64) -> Result<bool, Box<dyn std::error::Error>> {
    for (what, limit) in [
        (libc::RLIMIT_AS, memory),
        (libc::RLIMIT_CPU, cpu_s),
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
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
