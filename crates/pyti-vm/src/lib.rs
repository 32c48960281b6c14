//! Images, and virtual machines behind the Box interface.
//!
//! An [`image`] is a root of a Linux distribution, built here and named by its digest: as a folder for the namespace
//! sandbox, and as a read-only disk for a guest. A [`machine`] is a guest in a process of QEMU that is itself shut in the
//! namespace sandbox; in it runs the same agent with the same sandbox ([`guest`]). `docs/vm.md` and `docs/images.md`.

pub mod accelerator;
pub mod calibrate;
pub mod control;
pub mod cpio;
pub mod doctor;
pub mod frame;
pub mod guest;
pub mod image;
pub mod initramfs;
pub mod jobdisk;
pub mod link;
pub mod machine;
pub mod modules;
pub mod open;
pub mod qemu;
pub mod qmp;
pub mod template;
pub mod vmm;
