//! The first root of a guest: our program as `/init`, and the modules that it loads.

use std::io;
use std::path::Path;

use crate::cpio::Cpio;
use crate::modules::Module;

/// Largest program that is put into it, bytes.
const CAP: u64 = 256 << 20;

/// Why there is no program for a guest.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It cannot be read.
    #[error("cannot read the guest's program {0}")]
    Read(String, #[source] io::Error),
    /// It asks for a loader, which a guest does not have before its image is mounted.
    #[error("the guest's program {0} is not linked static")]
    Dynamic(String),
    /// It is no program.
    #[error("the guest's program {0} is no 64-bit ELF program")]
    NoProgram(String),
    /// None was found.
    #[error(
        "there is no program for guests: pyti-guest, linked static, lies neither beside pyti nor at PYTI_GUEST"
    )]
    Missing,
}

/// Makes the archive. The same input gives the same bytes.
pub fn make(program: &[u8], modules: &[Module]) -> Vec<u8> {
    let mut cpio = Cpio::default();
    cpio.folder("/dev");
    // the kernel opens it for the first process before anything is mounted
    cpio.device("/dev/console", 5, 1);
    cpio.folder("/modules");
    let order: String = modules
        .iter()
        .map(|module| format!("{}\n", module.name))
        .collect();
    cpio.file("/modules/order", 0o444, order.as_bytes());
    for module in modules {
        cpio.file(&format!("/modules/{}.ko", module.name), 0o444, &module.bytes);
    }
    cpio.file("/init", 0o555, program);
    cpio.finish()
}

/// Reads a program for guests, and refuses one that would not start there.
pub fn program(path: &Path) -> Result<Vec<u8>, ProgramError> {
    let name = || path.display().to_string();
    let read = |error| ProgramError::Read(name(), error);
    let size = std::fs::metadata(path).map_err(read)?.len();
    if size > CAP {
        return Err(read(io::Error::other("it is too big")));
    }
    let bytes = std::fs::read(path).map_err(read)?;
    match wants_a_loader(&bytes) {
        Some(false) => Ok(bytes),
        Some(true) => Err(ProgramError::Dynamic(name())),
        None => Err(ProgramError::NoProgram(name())),
    }
}

/// Whether an ELF program names a loader (`PT_INTERP`); `None` when it is no 64-bit little-endian one.
pub fn wants_a_loader(program: &[u8]) -> Option<bool> {
    const INTERP: u32 = 3;
    let word = |at: usize| Some(u16::from_le_bytes(program.get(at..at + 2)?.try_into().ok()?));
    if program.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(program.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(word(54)?), usize::from(word(56)?));
    for number in 0..count {
        let at = table.checked_add(number.checked_mul(size)?)?;
        if u32::from_le_bytes(program.get(at..at.checked_add(4)?)?.try_into().ok()?) == INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn skipped(what: &str) {
        eprintln!("\n!!! SKIPPED: {what}\n");
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let module = Module {
            name: "erofs".to_owned(),
            bytes: vec![1, 2, 3],
        };
        let one = make(b"program", std::slice::from_ref(&module));
        assert_eq!(one, make(b"program", &[module]));
        assert_ne!(one, make(b"program", &[]));
    }

    #[test]
    fn a_program_that_wants_a_loader_is_refused() {
        // this test is such a program, unless everything is linked static
        let own = std::env::current_exe().unwrap();
        if cfg!(target_feature = "crt-static") {
            skipped("a_program_that_wants_a_loader_is_refused: these tests are linked static");
        } else {
            assert!(matches!(program(&own), Err(ProgramError::Dynamic(_))));
        }
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "#!/bin/sh\n").unwrap();
        assert!(matches!(program(text.path()), Err(ProgramError::NoProgram(_))));
        let mut without = vec![0; 64];
        without[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert_eq!(wants_a_loader(&without), Some(false));
        assert_eq!(wants_a_loader(&without[..50]), None);
    }
}
