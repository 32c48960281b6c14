//! QEMU's command line as data. Pure, but for asking a program its version.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pyti_model::image::Accelerator;

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// The package that has it, on Debian and Ubuntu.
pub const PACKAGE: &str = "qemu-system-x86";

/// A version of QEMU: it decides what its command line may hold, and which templates it can read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major, minor.
    pub number: (u32, u32),
    /// The whole line: templates are not carried from one build to another.
    pub text: String,
}

impl Version {
    /// Reads what `--version` says.
    pub fn parse(said: &str) -> Option<Self> {
        let line = said.lines().next()?.trim();
        let rest = line.strip_prefix("QEMU emulator version ")?;
        let mut parts = rest.split(['.', ' ', '(']);
        let number = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self {
            number,
            text: line.to_owned(),
        })
    }

    /// Whether a file of memory can be mapped without being writable: from 8.2 on.
    pub fn maps_read_only(&self) -> bool {
        self.number >= (8, 2)
    }
}

/// QEMU is not here, or is of no use.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not installed.
    #[error("there is no {PROGRAM} here: install the package {PACKAGE}")]
    Missing,
    /// It is there and says nothing that can be understood.
    #[error("{0} does not tell its version")]
    Unknown(String),
    /// It is too old.
    #[error("{0} is too old: version 7.2 is needed")]
    Old(String),
}

/// A QEMU that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
}

/// Looks for it along a PATH.
pub fn find(path: &str) -> Result<Qemu, QemuError> {
    let program = std::env::split_paths(path)
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
        .ok_or(QemuError::Missing)?;
    let name = program.display().to_string();
    let output = Command::new(&program)
        .arg("--version")
        .output()
        .map_err(|_| QemuError::Unknown(name.clone()))?;
    let version =
        Version::parse(&String::from_utf8_lossy(&output.stdout)).ok_or(QemuError::Unknown(name.clone()))?;
    if version.number < (7, 2) {
        return Err(QemuError::Old(version.text));
    }
    Ok(Qemu {
        path: program,
        version,
    })
}

/// How a guest's memory is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Its own.
    Own,
    /// In a file that others will map: a template is being made.
    Shared(PathBuf),
    /// From a template's file, each write kept for oneself; the file cannot be written (QEMU ≥ 8.2).
    Private(PathBuf),
}

/// How a guest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With a boot.
    Boot,
    /// With the state that comes on this descriptor.
    Restore(i32),
    /// With a state that will be told over QMP.
    Wait,
}

/// Everything that a machine is made of. What is equal here has an equal command line, and can be restored from an equal
/// template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What runs it.
    pub accelerator: Accelerator,
    /// Megabytes of memory.
    pub memory_mb: u32,
    /// The kernel.
    pub kernel: PathBuf,
    /// The first root.
    pub initramfs: PathBuf,
    /// The image, an erofs.
    pub base: PathBuf,
    /// The job's disk, an erofs padded to [`JOB_DISK`].
    pub job: PathBuf,
    /// Kilohertz of the processor's time stamp counter; needed under emulation.
    pub tsc_khz: u64,
    /// How its memory is kept.
    pub memory: Memory,
    /// How it begins.
    pub begin: Begin,
}

/// Bytes of a job's disk as a guest sees it. A template saw one of the same size.
pub const JOB_DISK: u64 = 4 << 30;

/// Descriptors that QEMU inherits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The port to the agent.
    pub port: i32,
    /// QMP.
    pub qmp: i32,
    /// The serial console.
    pub console: i32,
}

impl Machine {
    /// The kernel's own command line. A microvm has nothing that resets it but a fault within a fault (`reboot=t`).
    pub fn kernel_line(&self) -> String {
        let mut line =
            "console=ttyS0 panic=-1 reboot=t quiet nokaslr no_timer_check cryptomgr.notests".to_owned();
        if self.accelerator == Accelerator::Tcg {
            // without it the kernel waits for a clock that is not there; under KVM it has one
            line.push_str(&format!(
                " tsc_early_khz={} tsc=reliable mitigations=off",
                self.tsc_khz
            ));
        }
        line
    }

    /// The arguments, without the program's name.
    pub fn arguments(&self, fds: Descriptors) -> Vec<OsString> {
        let mut line = Line(Vec::new());
        line.add(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // one accelerator, by name: with a list QEMU would only fall back when /dev/kvm cannot be opened
        line.add(["-accel", self.accelerator.word()]);
        line.add(["-machine", "microvm,acpi=on,pit=off,pic=off,rtc=on,isa-serial=on"]);
        line.add(["-bios", "qboot.rom"]);
        line.add([
            "-cpu",
            if self.accelerator == Accelerator::Kvm {
                "host"
            } else {
                "max"
            },
        ]);
        line.add(["-smp", "1"]);
        line.add(["-m", &format!("{}M", self.memory_mb)]);
        line.add(["-global", "virtio-mmio.force-legacy=false"]);
        match &self.memory {
            Memory::Own => {}
            Memory::Shared(path) => line.memory(self.memory_mb, path, "share=on"),
            Memory::Private(path) => line.memory(self.memory_mb, path, "share=off,readonly=on,rom=off"),
        }
        line.file("-kernel", "", &self.kernel, "");
        line.file("-initrd", "", &self.initramfs, "");
        line.add(["-append", &self.kernel_line()]);
        for (name, path) in [("base", &self.base), ("job", &self.job)] {
            let options = format!(",if=none,id={name},format=raw,readonly=on");
            line.file("-drive", "file=", path, &options);
            line.add([
                "-device",
                &format!("virtio-blk-device,drive={name},serial={name}"),
            ]);
        }
        line.add(["-device", "virtio-rng-device"]);
        line.add(["-device", "virtio-serial-device"]);
        line.add(["-chardev", &format!("socket,id=port,fd={}", fds.port)]);
        line.add(["-device", "virtserialport,chardev=port,name=pyti"]);
        line.add(["-chardev", &format!("socket,id=console,fd={}", fds.console)]);
        line.add(["-serial", "chardev:console"]);
        line.add(["-chardev", &format!("socket,id=qmp,fd={}", fds.qmp)]);
        line.add(["-mon", "chardev=qmp,mode=control"]);
        line.add([
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ]);
        match self.begin {
            Begin::Boot => {}
            Begin::Restore(fd) => line.add(["-S", "-incoming", &format!("fd:{fd}")]),
            Begin::Wait => line.add(["-S", "-incoming", "defer"]),
        }
        line.0
    }
}

struct Line(Vec<OsString>);

impl Line {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    /// A path within an option: commas are doubled, as QEMU wants them.
    fn file(&mut self, option: &str, before: &str, path: &Path, after: &str) {
        self.0.push(option.into());
        let mut word = OsString::from(before);
        // only where it is one of several options does a comma mean something
        if before.is_empty() {
            word.push(path);
        } else {
            word.push(path.to_string_lossy().replace(',', ",,"));
        }
        word.push(after);
        self.0.push(word);
    }

    fn memory(&mut self, megabytes: u32, path: &Path, how: &str) {
        let options = format!(",{how}");
        self.file(
            "-object",
            &format!("memory-backend-file,id=ram,size={megabytes}M,mem-path="),
            path,
            &options,
        );
        self.add(["-machine", "memory-backend=ram"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn machine() -> Machine {
        Machine {
            accelerator: Accelerator::Tcg,
            memory_mb: 512,
            kernel: "/k/vmlinuz".into(),
            initramfs: "/k/initrd".into(),
            base: "/i/root,1.erofs".into(),
            job: "/j/job.erofs".into(),
            tsc_khz: 2_250_000,
            memory: Memory::Own,
            begin: Begin::Boot,
        }
    }

    const FDS: Descriptors = Descriptors {
        port: 10,
        qmp: 11,
        console: 12,
    };

    fn text(machine: &Machine) -> String {
        let words: Vec<_> = machine
            .arguments(FDS)
            .iter()
            .map(|w| w.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn versions_are_read() {
        let debian = Version::parse("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright").unwrap();
        assert_eq!(debian.number, (7, 2));
        assert!(!debian.maps_read_only());
        assert!(
            Version::parse("QEMU emulator version 10.0.2")
                .unwrap()
                .maps_read_only()
        );
        assert!(
            Version::parse("QEMU emulator version 8.2.0")
                .unwrap()
                .maps_read_only()
        );
        assert!(Version::parse("no qemu").is_none());
    }

    #[test]
    fn a_missing_qemu_names_its_package() {
        let error = find("/nonexistent").unwrap_err();
        assert!(error.to_string().contains("qemu-system-x86"), "{error}");
    }

    #[test]
    fn what_is_under_test_can_write_nothing_and_start_nothing() {
        let line = text(&machine());
        assert_eq!(line.matches("readonly=on").count(), 2);
        assert!(line.contains("spawn=deny") && line.contains("elevateprivileges=deny"));
        assert!(line.contains("-nodefaults") && !line.contains("-nic") && !line.contains("netdev"));
        assert!(line.contains("file=/i/root,,1.erofs,"), "{line}");
        assert!(!line.contains("kvm"));
    }

    #[test]
    fn emulation_is_told_its_clock_and_the_processor_is_not() {
        assert!(text(&machine()).contains("tsc_early_khz=2250000"));
        let native = Machine {
            accelerator: Accelerator::Kvm,
            ..machine()
        };
        let line = text(&native);
        assert!(!line.contains("tsc_early_khz") && !line.contains("mitigations=off"));
        assert!(line.contains("-accel kvm -") && line.contains("-cpu host"));
    }

    #[test]
    fn a_template_is_shared_while_made_and_private_when_used() {
        let made = Machine {
            memory: Memory::Shared("/t/ram".into()),
            ..machine()
        };
        assert!(text(&made).contains("mem-path=/t/ram,share=on"));
        let used = Machine {
            memory: Memory::Private("/t/ram".into()),
            begin: Begin::Wait,
            ..machine()
        };
        let line = text(&used);
        assert!(line.contains("share=off,readonly=on,rom=off") && line.contains("-incoming defer"));
        let streamed = Machine {
            begin: Begin::Restore(13),
            ..machine()
        };
        assert!(text(&streamed).contains("-S -incoming fd:13"));
    }
}
