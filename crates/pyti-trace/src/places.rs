//! What lies where, and which programs of the machine are compilers.

use std::path::PathBuf;

use crate::paths::{is_below, name};

/// What lies at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Decoys, home: always listed.
    Watched,
    /// An environment: its code is read and compiled by every run.
    Quiet,
    /// A place that the command is there to fill: what is written there is told by the difference of layers.
    Filled,
    /// The machine's own.
    System,
    Elsewhere,
}

/// Which place a path belongs to: the longest prefix decides.
pub(crate) struct Places {
    prefixes: Vec<(Vec<u8>, Place)>,
}

/// The machine's own, besides what the set-up names.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/.pyti",
    // read by the loader, the C library and nearly every program
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/mime.types",
    "/etc/terminfo",
    "/etc/alternatives",
    "/proc/filesystems",
    "/proc/filesystems",
];

impl Places {
    pub(crate) fn new(
        watched: &[PathBuf],
        quiet: &[PathBuf],
        filled: &[PathBuf],
        system: &[PathBuf],
    ) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let mut prefixes: Vec<_> = SYSTEM
            .iter()
            .map(|path| (path.as_bytes().to_vec(), Place::System))
            .chain(system.iter().map(|path| (bytes(path), Place::System)))
            .chain(quiet.iter().map(|path| (bytes(path), Place::Quiet)))
            .chain(filled.iter().map(|path| (bytes(path), Place::Filled)))
            .chain(watched.iter().map(|path| (bytes(path), Place::Watched)))
            .collect();
        // of two that name the same place the later one, and so the watched one, holds
        prefixes.reverse();
        prefixes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { prefixes }
    }

    pub(crate) fn of(&self, path: &[u8]) -> Place {
        self.prefixes
            .iter()
            .find(|(prefix, _)| is_below(path, prefix))
            .map_or(Place::Elsewhere, |(_, place)| *place)
    }
}

/// Whether a program of the machine is part of a compiler: what it reads and writes besides is only counted.
pub(crate) fn is_toolchain(executable: &[u8], places: &Places) -> bool {
    const NAMES: &[&str] = &[
        "as",
        "ld",
        "ar",
        "cc",
        "gcc",
        "g++",
        "c++",
        "cpp",
        "clang",
        "clang++",
        "cc1",
        "cc1plus",
        "collect2",
        "lto1",
        "lto-wrapper",
        "f951",
        "gfortran",
        "ranlib",
        "strip",
        "objcopy",
        "nm",
        "make",
        "gmake",
        "ninja",
        "rustc",
        "ld.gold",
        "ld.bfd",
        "lld",
        "ld.lld",
        "m4",
        "ccache",
    ];
    if places.of(executable) != Place::System {
        return false;
    }
    let name = std::str::from_utf8(name(executable)).unwrap_or_default();
    // x86_64-linux-gnu-gcc-12 is gcc
    let name = name
        .rsplit_once('-')
        .filter(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()))
        .map_or(name, |(name, _)| name);
    let plain = name.rsplit_once("-gnu-").map_or(name, |(_, name)| name);
    NAMES.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_their_place_and_name() {
        let places = Places::new(&[], &[], &[], &[]);
        for (path, is) in [
            ("/usr/bin/x86_64-linux-gnu-gcc-12", true),
            ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", true),
            ("/usr/bin/python3.11", false),
            ("/tmp/cc1", false),
        ] {
            assert_eq!(is_toolchain(path.as_bytes(), &places), is, "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let places = Places::new(
            &["/home/dev".into(), "/home/dev/venv/secret".into()],
            &["/home/dev/venv".into()],
            &["/home/dev/new".into()],
            &[],
        );
        for (path, place) in [
            ("/home/dev/x", Place::Watched),
            ("/home/dev/venv/x", Place::Quiet),
            ("/home/dev/new/x", Place::Filled),
            ("/home/dev/venv/secret/x", Place::Watched),
            ("/home/developer", Place::Elsewhere),
            ("/usr/x", Place::System),
        ] {
            assert_eq!(places.of(path.as_bytes()), place, "{path}");
        }
    }
}
