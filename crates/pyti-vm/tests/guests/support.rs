//! Guests for tests: from an image and a program that `PYTI_TEST_IMAGES` and `PYTI_GUEST` name.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use pyti_vm::image::{Image, Images};
use pyti_vm::machine::{Machine, Parts};
use pyti_vm::open::{self, Ready, Settings};
use pyti_vm::qemu;

/// Everything that guests are made of.
pub(crate) struct Place {
    pub(crate) image: Image,
    pub(crate) settings: Settings,
}

#[expect(
    clippy::print_stdout,
    reason = "a host of guests is listened to; a test that cannot run says so"
)]
pub(crate) fn tell(what: &str) {
    println!("{what}");
}

impl Place {
    /// Looks for them; why there are none otherwise.
    pub(crate) fn find() -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        let images = Images::new(variable("PYTI_TEST_IMAGES")?.into());
        variable("PYTI_GUEST")?;
        let image = images.list().map_err(|e| e.to_string())?.into_iter().next();
        let probe = std::env::current_exe().map_err(|e| e.to_string())?;
        // tests lie in a folder below that of programs
        let beside = [probe.parent(), probe.parent().and_then(Path::parent)];
        let program = beside
            .into_iter()
            .flatten()
            .map(|folder| folder.join("pyti-vm-probe"))
            .find(|path| path.is_file())
            .ok_or("pyti-vm-probe is not built")?;
        Ok(Self {
            image: image.ok_or("there is no image")?,
            settings: Settings {
                folder: images.folder().join("machines-of-tests"),
                program,
                require_kvm: false,
            },
        })
    }

    /// A template, made once for all tests.
    pub(crate) fn ready(&self) -> Ready {
        open::ready(&self.settings, &self.image, 1024, &|_| ()).unwrap()
    }

    /// The parts of a guest whose job's disk holds these bytes.
    pub(crate) fn parts(ready: &Ready, folder: &Path, job: &[u8]) -> Parts {
        let disk = folder.join("job");
        std::fs::write(&disk, job).unwrap();
        File::options()
            .write(true)
            .open(&disk)
            .unwrap()
            .set_len(qemu::JOB_DISK)
            .unwrap();
        Parts {
            job: disk,
            ..ready.parts.clone()
        }
    }

    /// A guest from the template, and the folder of its disk.
    pub(crate) fn guest(&self) -> (Machine, tempfile::TempDir) {
        let ready = self.ready();
        let folder = tempfile::tempdir().unwrap();
        let parts = Self::parts(&ready, folder.path(), b"");
        (ready.template.restore(&parts, patience()).unwrap(), folder)
    }
}

pub(crate) fn patience() -> Duration {
    Duration::from_mins(4)
}
