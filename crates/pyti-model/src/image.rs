//! Images: roots that are not this machine's, and what a virtual machine shows that a sandbox does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Digest;
use crate::foreign::Foreign;

/// An image that something lies in: its name for people, its digest for everything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InImage {
    /// The name that it was built under.
    pub name: String,
    /// Digest of its manifest, and so of everything in it.
    pub sha256: Digest,
}

/// What runs the instructions of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accelerator {
    /// The processor itself (KVM).
    Kvm,
    /// QEMU's emulation: many times slower, and by QEMU's own policy no wall against hostile code.
    Tcg,
}

impl Accelerator {
    /// The word, as in JSON and on QEMU's command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// What only a virtual machine shows of a job: told by the host when the guest has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Guest {
    /// What ran it.
    pub accelerator: Accelerator,
    /// How the guest ended.
    pub end: GuestEnd,
    /// What was tried at the kernel and shows only from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<KernelAttempt>,
    /// The end of what the guest's kernel and first process wrote on the serial console. Of the guest: believe nothing.
    pub console: Foreign,
    /// Bytes of the console that are not kept.
    #[serde(default)]
    pub console_dropped: u64,
}

/// How a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuestEnd {
    /// The host ended it, when the job had ended.
    Killed,
    /// The guest rebooted.
    Reboot,
    /// The guest switched itself off.
    Shutdown,
    /// The guest's kernel panicked.
    Panic,
    /// The program that ran it ended by itself.
    Lost,
}

impl GuestEnd {
    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Killed => "ended by the host",
            Self::Reboot => "the guest rebooted",
            Self::Shutdown => "the guest switched itself off",
            Self::Panic => "the guest's kernel panicked",
            Self::Lost => "the virtual machine's process ended by itself",
        }
    }
}

/// Something that was tried at the guest's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelAttempt {
    /// What: `module_loaded`, `tainted`, `oops`, `panic`, `reboot`, `shutdown`.
    pub what: String,
    /// More, where there is more. Of the guest.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub detail: Foreign,
}
