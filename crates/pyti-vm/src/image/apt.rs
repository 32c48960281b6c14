//! Where packages come from: what apt of this machine is configured with, for another release.
//!
//! No name of a host is written down here: mirrors are those of the machine.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A release that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its code name.
    pub name: &'static str,
    /// Its distribution.
    pub distribution: &'static str,
    /// Minor version of its own Python 3.
    pub python: u8,
    /// The package of its kernel for virtual machines.
    pub kernel: &'static str,
    /// The keys that sign it, where the distribution's package puts them.
    pub keyring: &'static str,
    /// The package with those keys.
    pub keyring_package: &'static str,
    /// Components that hold what is needed.
    pub components: &'static str,
}

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const UBUNTU_KEYS: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

const fn debian(name: &'static str, python: u8) -> Release {
    Release {
        name,
        distribution: "debian",
        python,
        kernel: "linux-image-cloud-amd64",
        keyring: DEBIAN_KEYS,
        keyring_package: "debian-archive-keyring",
        components: "main",
    }
}

const fn ubuntu(name: &'static str, python: u8) -> Release {
    Release {
        name,
        distribution: "ubuntu",
        python,
        kernel: "linux-image-virtual",
        keyring: UBUNTU_KEYS,
        keyring_package: "ubuntu-archive-keyring",
        components: "main universe",
    }
}

/// All that are known.
pub const RELEASES: &[Release] = &[
    debian("bookworm", 11),
    debian("trixie", 13),
    ubuntu("jammy", 10),
    ubuntu("noble", 12),
];

/// The release whose kernel guests get: layers in a guest need Linux 6.6.
pub const KERNEL_RELEASE: &str = "trixie";

/// One by its name.
pub fn release(name: &str) -> Option<Release> {
    RELEASES.iter().copied().find(|release| release.name == name)
}

/// An archive that apt is configured with, for one suite of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its address.
    pub address: String,
    /// `bookworm`, `bookworm-security`.
    pub suite: String,
    /// `Debian`.
    pub origin: String,
}

/// Reads what `apt-get indextargets --format '$(SITE)|$(CODENAME)|$(ORIGIN)'` says.
pub fn sites(said: &str) -> Vec<Site> {
    let mut all: Vec<Site> = Vec::new();
    for line in said.lines() {
        let mut parts = line.split('|');
        if let (Some(address), Some(suite), Some(origin)) = (parts.next(), parts.next(), parts.next()) {
            let site = Site {
                address: address.trim().to_owned(),
                suite: suite.trim().to_owned(),
                origin: origin.trim().to_owned(),
            };
            if !site.address.is_empty() && !site.suite.is_empty() && !all.contains(&site) {
                all.push(site);
            }
        }
    }
    all
}

/// Lines of a sources.list for a release, from archives of the same distribution: the one with the release itself, and the
/// one with its security updates. Empty when there is none.
pub fn sources(release: &Release, sites: &[Site], mirror: Option<&str>) -> Vec<String> {
    let line = |address: &str, suite: &str| {
        format!(
            "deb [signed-by={}] {address} {suite} {}",
            release.keyring, release.components
        )
    };
    if let Some(mirror) = mirror {
        return vec![line(mirror, release.name)];
    }
    let ours = sites
        .iter()
        .filter(|site| site.origin.eq_ignore_ascii_case(release.distribution));
    let mut lines: Vec<String> = Vec::new();
    for site in ours {
        let suite = if site.suite.ends_with("-security") {
            format!("{}-security", release.name)
        } else if site.suite.contains('-') {
            continue;
        } else {
            release.name.to_owned()
        };
        let line = line(&site.address, &suite);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.sort_by_key(|line| line.contains("-security"));
    lines
}

/// Asks apt of this machine.
pub fn configured() -> io::Result<Vec<Site>> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(SITE)|$(CODENAME)|$(ORIGIN)",
            "Created-By: Packages",
        ])
        .stdin(Stdio::null())
        .output()?;
    Ok(sites(&String::from_utf8_lossy(&output.stdout)))
}

/// An apt of its own, in a folder: it knows nothing of what is installed here, and installs nothing.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Sets it up and fetches the lists.
    pub fn new(folder: &Path, sources: &[String]) -> io::Result<Self> {
        for below in ["state/lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(folder.join(below))?;
        }
        fs::write(folder.join("state/status"), "")?;
        fs::write(folder.join("etc/sources.list"), sources.join("\n") + "\n")?;
        let at = folder.display();
        let configuration = format!(
            "Dir::State \"{at}/state\";\nDir::State::status \"{at}/state/status\";\nDir::Cache \"{at}/cache\";\n\
             Dir::Etc::SourceList \"{at}/etc/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n"
        );
        fs::write(folder.join("apt.conf"), configuration)?;
        let apt = Self {
            folder: folder.to_owned(),
        };
        apt.run("apt-get", ["update", "-q"])?;
        Ok(apt)
    }

    /// The package that a package without content of its own stands for: the first that it depends on and whose name
    /// begins so.
    pub fn behind(&self, package: &str, prefix: &str) -> io::Result<String> {
        let said = self.run("apt-cache", ["show", "--no-all-versions", package])?;
        first_dependency(&said, prefix).ok_or_else(|| {
            io::Error::other(format!("{package} depends on nothing that begins with {prefix}"))
        })
    }

    /// Fetches a package and takes it apart into a folder, without installing it.
    pub fn unpack(&self, package: &str, into: &Path) -> io::Result<()> {
        let before: Vec<_> = self.fetched()?;
        self.run("apt-get", ["download", "-q", package])?;
        let new = self.fetched()?.into_iter().find(|path| !before.contains(path));
        let file = new.ok_or_else(|| io::Error::other(format!("apt fetched nothing for {package}")))?;
        fs::create_dir_all(into)?;
        let status = Command::new("dpkg-deb").arg("-x").arg(&file).arg(into).status()?;
        if status.success() {
            fs::remove_file(file)
        } else {
            Err(io::Error::other(format!("dpkg-deb ended with {status}")))
        }
    }

    fn fetched(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path());
        Ok(entries
            .filter(|path| path.extension() == Some(OsStr::new("deb")))
            .collect())
    }

    fn run<const N: usize>(&self, program: &str, arguments: [&str; N]) -> io::Result<String> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .env("APT_CONFIG", self.folder.join("apt.conf"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .rev()
            .find(|line| line.starts_with("E:"))
            .unwrap_or("?")
            .to_owned();
        Err(io::Error::other(format!("{program} {}: {last}", arguments[0])))
    }
}

/// The first dependency that begins so, in what `apt-cache show` says.
fn first_dependency(said: &str, prefix: &str) -> Option<String> {
    let depends = said.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    depends
        .split([',', '|'])
        .filter_map(|part| part.split_whitespace().next())
        .find(|name| name.starts_with(prefix))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
http://mirror.test/debian|bookworm|Debian
http://mirror.test/debian|bookworm|Debian
http://mirror.test/debian|bookworm-updates|Debian
http://mirror.test/debian-security|bookworm-security|Debian
https://other.test|stable|Somebody
";

    #[test]
    fn another_release_comes_from_the_same_mirrors() {
        let trixie = release("trixie").unwrap();
        let lines = sources(&trixie, &sites(SAID), None);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].ends_with("http://mirror.test/debian trixie main"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with("http://mirror.test/debian-security trixie-security main"));
        assert!(
            lines
                .iter()
                .all(|line| line.contains("signed-by=/usr/share/keyrings/debian"))
        );
    }

    #[test]
    fn another_distribution_needs_a_mirror() {
        let noble = release("noble").unwrap();
        assert!(sources(&noble, &sites(SAID), None).is_empty());
        let lines = sources(&noble, &sites(SAID), Some("http://mirror.test/ubuntu"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("ubuntu-archive-keyring") && lines[0].ends_with("noble main universe"));
        assert!(release("potato").is_none());
    }

    #[test]
    fn the_package_behind_a_name_is_found() {
        let said = "Package: linux-image-cloud-amd64\nDepends: linux-base, linux-image-6.12.117+deb13-cloud-amd64 (= 6.12.117-1)\n";
        assert_eq!(
            first_dependency(said, "linux-image-").as_deref(),
            Some("linux-image-6.12.117+deb13-cloud-amd64")
        );
        assert_eq!(first_dependency("Package: x\n", "linux-image-"), None);
    }
}
