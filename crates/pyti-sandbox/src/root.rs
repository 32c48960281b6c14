//! What lies in the agent's root and, through the skeleton, in every box: ours, but for `/usr` and a few files.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Folders of the host that every box shows read-only, where they are folders and no links.
pub(crate) const HOST_FOLDERS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ssl",
    "/etc/alternatives",
];

/// Devices that every box has.
pub(crate) const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// Where the skeleton of a box lies in the agent's root.
pub(crate) const SKELETON: &str = "/skeleton";

/// Files of `/etc` that programs look for and that say nothing about the host's owner.
const ETC_FILES: &[&str] = &[
    "ld.so.cache",
    "ld.so.conf",
    "localtime",
    "mime.types",
    "services",
    "protocols",
    "os-release",
    "debian_version",
    "magic",
    "inputrc",
    "rpc",
    "networks",
    "shells",
    "ethertypes",
    "gai.conf",
    "mailcap",
];

/// Links at the top that a merged-/usr system has.
const TOP_LINKS: &[&str] = &["bin", "sbin", "lib", "lib64", "lib32", "libx32"];

/// Largest file of `/etc` that is shown.
const ETC_CAP: u64 = 4 << 20;

/// What is taken of a system, this machine's or an image's: read while every folder can still be passed through.
pub(crate) struct System {
    /// Folders that are shown: what they are called, and where they lie.
    pub(crate) folders: Vec<(&'static str, PathBuf)>,
    links: Vec<(&'static str, PathBuf)>,
    etc: Vec<(&'static str, Vec<u8>)>,
}

impl System {
    /// Looks at the system whose root this is: `/`, or the folder of an image.
    pub(crate) fn read(root: &Path) -> Self {
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        let folders = HOST_FOLDERS
            .iter()
            .map(|folder| (*folder, below(folder)))
            .filter(|(_, path)| path.is_dir() && !path.is_symlink())
            .collect();
        let links = TOP_LINKS
            .iter()
            .filter_map(|name| Some((*name, fs::read_link(root.join(name)).ok()?)))
            .collect();
        let etc = ETC_FILES
            .iter()
            .filter_map(|name| {
                let path = below("/etc").join(name);
                // /etc/localtime and os-release point into /usr: that of the same root
                let path = match fs::read_link(&path) {
                    Ok(target) if target.is_absolute() => {
                        root.join(target.strip_prefix("/").unwrap_or(&target))
                    }
                    _ => path,
                };
                let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() < ETC_CAP);
                Some((*name, fs::read(path).ok().filter(|_| small)?))
            })
            .collect();
        Self { folders, links, etc }
    }
}

/// Fills the agent's root at `base`; `targets` are places that boxes need as mount points.
pub(crate) fn make<'a>(
    base: &Path,
    system: &System,
    targets: impl Iterator<Item = &'a Path>,
) -> io::Result<()> {
    for folder in [
        "proc", "dev/pts", "dev/shm", "layers", "etc", "run", "var/tmp", "stage", "env", "cache",
    ] {
        fs::create_dir_all(base.join(folder))?;
    }
    // the agent's own temporary files; `/tmp` of the host is what this root is mounted over
    fs::create_dir_all(base.join("tmp"))?;
    // the agent opens terminals for commands that want one
    symlink("pts/ptmx", base.join("dev/ptmx"))?;
    for (name, target) in &system.links {
        symlink(target, base.join(name))?;
    }
    let skeleton = base.join(&SKELETON[1..]);
    box_skeleton(&skeleton, system)?;
    for target in targets {
        let place = skeleton.join(target.strip_prefix("/").unwrap_or(target));
        if fs::symlink_metadata(base.join(target.strip_prefix("/").unwrap_or(target)))
            .is_ok_and(|m| m.is_dir())
        {
            fs::create_dir_all(place)?;
        }
    }
    Ok(())
}

fn box_skeleton(skeleton: &Path, system: &System) -> io::Result<()> {
    for folder in [
        "proc",
        "dev/pts",
        "dev/shm",
        "etc",
        "home/dev",
        "tmp",
        "var/tmp",
        "var/cache",
        "var/lib",
        "var/log",
        "run",
        "opt",
        "srv",
        "mnt",
        "media",
        "root",
        "usr",
        ".pyti/probes",
        "etc/ssl",
        "etc/alternatives",
    ] {
        fs::create_dir_all(skeleton.join(folder))?;
    }
    for (folder, mode) in [
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
        ("dev/shm", 0o1777),
        ("root", 0o700),
    ] {
        fs::set_permissions(skeleton.join(folder), fs::Permissions::from_mode(mode))?;
    }
    for (name, target) in &system.links {
        symlink(target, skeleton.join(name))?;
    }
    for (folder, _) in &system.folders {
        fs::create_dir_all(skeleton.join(&folder[1..]))?;
    }
    for device in DEVICES {
        fs::File::create(skeleton.join(&device[1..]))?;
    }
    for (name, target) in [
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
        ("dev/ptmx", "pts/ptmx"),
        ("var/run", "/run"),
        ("etc/mtab", "/proc/self/mounts"),
    ] {
        symlink(target, skeleton.join(name))?;
    }
    etc(&skeleton.join("etc"), system)
}

fn etc(etc: &Path, system: &System) -> io::Result<()> {
    for (name, bytes) in &system.etc {
        fs::write(etc.join(name), bytes)?;
    }
    for (name, text) in [
        (
            "passwd",
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
             dev:x:1000:1000:dev,,,:/home/dev:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        (
            "group",
            "root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:dev\ndev:x:1000:\nnogroup:x:65534:\n",
        ),
        (
            "hosts",
            "127.0.0.1\tlocalhost\n127.0.1.1\tworkstation\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        ),
        ("hostname", "workstation\n"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        ),
        (
            "resolv.conf",
            "nameserver 10.0.2.2\noptions timeout:1 attempts:1\n",
        ),
        ("host.conf", "multi on\n"),
        ("timezone", "Etc/UTC\n"),
    ] {
        fs::write(etc.join(name), text)?;
    }
    Ok(())
}
