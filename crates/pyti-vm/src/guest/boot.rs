//! From the kernel's initramfs to a root of our own, with the port to the host open.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::MountFlags;

use super::PORT;

/// Where modules and their order lie in the initramfs.
pub(crate) const MODULES: &str = "/modules";
/// Where the base image is mounted.
pub(crate) const BASE: &str = "/base";
/// Where this program lies in the new root.
pub(crate) const PROGRAM: &str = "/pyti";
/// How long devices may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A step failed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) step: &'static str,
    pub(crate) source: io::Error,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.step, self.source)
    }
}

/// Names a step that may fail.
pub(crate) trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Step>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Step> {
        self.map_err(|source| Step {
            step,
            source: source.into(),
        })
    }
}

/// Writes a line on the console, when there is one.
pub(crate) fn say(text: &str) {
    if let Ok(mut console) = File::options().write(true).open("/dev/console") {
        let _ = writeln!(console, "{text}");
    }
}

/// Sets the machine up and opens the port.
pub(crate) fn boot() -> Result<File, Step> {
    for folder in ["/dev", "/proc", "/sys", BASE, "/new"] {
        let _ = fs::create_dir(folder);
    }
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    // the kernel may have mounted it already
    let _ = mount(
        c"devtmpfs",
        Path::new("/dev"),
        c"devtmpfs",
        MountFlags::NOSUID,
        c"mode=0755",
    );
    mount(c"proc", Path::new("/proc"), c"proc", quiet, c"").at("mounting /proc")?;
    mount(c"sysfs", Path::new("/sys"), c"sysfs", quiet, c"").at("mounting /sys")?;
    load_modules();
    let base = disk("base")?;
    mount_image(&base, Path::new(BASE)).at("mounting the image")?;
    mount(
        c"pyti",
        Path::new("/new"),
        c"tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"mode=0755",
    )
    .at("mounting a root")?;
    for folder in ["dev", "proc", "sys", "base", "job", "run", "tmp", "usr", "etc"] {
        fs::create_dir(Path::new("/new").join(folder)).at("making a root")?;
    }
    fs::copy("/init", "/new/pyti").at("copying the program")?;
    for place in ["/dev", "/proc", "/sys", BASE] {
        let to = Path::new("/new").join(&place[1..]);
        rustix::mount::mount_move(place, &to).at("moving mounts")?;
    }
    std::env::set_current_dir("/new").at("entering the root")?;
    rustix::mount::mount_move(".", "/").at("entering the root")?;
    rustix::process::chroot(".").at("entering the root")?;
    std::env::set_current_dir("/").at("entering the root")?;
    for folder in ["/dev/pts", "/dev/shm"] {
        let _ = fs::create_dir(folder);
    }
    let _ = mount(
        c"devpts",
        Path::new("/dev/pts"),
        c"devpts",
        quiet,
        c"mode=0620,ptmxmode=0666",
    );
    let _ = mount(
        c"shm",
        Path::new("/dev/shm"),
        c"tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"",
    );
    control_groups();
    port()
}

/// Control groups, so that a job's memory has a hard limit. Without them it is measured.
fn control_groups() {
    let folder = Path::new("/sys/fs/cgroup");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if mount(c"cgroup2", folder, c"cgroup2", flags, c"").is_ok() {
        for controller in ["+memory", "+pids", "+cpu"] {
            let _ = fs::write(folder.join("cgroup.subtree_control"), controller);
        }
    }
}

fn load_modules() {
    let order = fs::read_to_string(Path::new(MODULES).join("order")).unwrap_or_default();
    for name in order.lines() {
        let path = Path::new(MODULES).join(format!("{name}.ko"));
        let loaded = File::open(&path).and_then(|file| Ok(rustix::system::finit_module(file, c"", 0)?));
        if let Err(error) = loaded {
            say(&format!("pyti: module {name}: {error}"));
        }
    }
}

/// The block device with this serial number.
pub(crate) fn disk(serial: &'static str) -> Result<PathBuf, Step> {
    let began = Instant::now();
    loop {
        for entry in fs::read_dir("/sys/block").at("looking for disks")?.flatten() {
            let said = fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
            if said.trim_matches(['\0', '\n', ' ']) == serial {
                return Ok(Path::new("/dev").join(entry.file_name()));
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(Step {
                step: "looking for disks",
                source: io::Error::new(io::ErrorKind::NotFound, format!("no disk {serial}")),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Mounts an image read-only.
pub(crate) fn mount_image(device: &Path, place: &Path) -> io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    let device = std::ffi::CString::new(device.as_os_str().as_encoded_bytes())?;
    mount(&device, place, c"erofs", flags, c"")
}

pub(crate) fn mount(
    what: &CStr,
    place: &Path,
    kind: &CStr,
    flags: MountFlags,
    options: &CStr,
) -> io::Result<()> {
    rustix::mount::mount(what, place, kind, flags, Some(options)).map_err(io::Error::from)
}

fn port() -> Result<File, Step> {
    let began = Instant::now();
    loop {
        for entry in fs::read_dir("/sys/class/virtio-ports")
            .into_iter()
            .flatten()
            .flatten()
        {
            if fs::read_to_string(entry.path().join("name"))
                .unwrap_or_default()
                .trim()
                == PORT
            {
                let path = Path::new("/dev").join(entry.file_name());
                return File::options()
                    .read(true)
                    .write(true)
                    .open(path)
                    .at("opening the port to the host");
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(Step {
                step: "looking for the port to the host",
                source: io::ErrorKind::NotFound.into(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
