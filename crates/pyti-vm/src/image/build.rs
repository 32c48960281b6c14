//! Building an image: mmdebstrap makes the folder, mkfs.erofs the disk, apt fetches the kernel, which is taken apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pyti_model::plan::Interpreter;

use super::apt::{self, Apt, Release};
use super::manifest::{Kernel, MANIFEST_FORM, Manifest, digest};
use super::store::{Image, ImageError, Images};
use super::tree;
use crate::modules;

/// Times of change that are later than this are set to it, so that they do not depend on when an image is built
/// (`SOURCE_DATE_EPOCH`): 2025-01-01.
const EPOCH: &str = "1735689600";
/// The disk's UUID: the same, so that the same folder gives the same bytes.
const DISK_UUID: &str = "70797469-0000-4000-8000-000000000001";
/// What every image holds besides Debian's essential packages: an interpreter, what C extensions need to be built, and
/// libraries that an interpreter of another origin needs.
const BASE: &[&str] = &[
    "python3",
    "python3-venv",
    "python3-dev",
    "build-essential",
    "ca-certificates",
];
const FOREIGN: &[&str] = &[
    "libssl3",
    "libffi8",
    "libsqlite3-0",
    "libreadline8",
    "libbz2-1.0",
    "liblzma5",
    "zlib1g",
];
/// Left out: nothing that runs reads them.
const WITHOUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
];
/// Longest line of a program's talk that is passed on.
const LINE: usize = 200;

/// What shall be built.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The release.
    pub release: Release,
    /// Interpreters of this machine to be put into it besides the release's own.
    pub interpreters: Vec<Interpreter>,
    /// Services and packages besides.
    pub with: Vec<String>,
    /// The archive to use, in the place of those that apt is configured with.
    pub mirror: Option<String>,
}

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program is missing.
    #[error("there is no {program} here: install the package {package}")]
    Program {
        /// The program.
        program: &'static str,
        /// The package that has it on Debian and Ubuntu.
        package: &'static str,
    },
    /// Keys are missing.
    #[error("the keys of {distribution} are not here ({path}): install the package {package}")]
    Keys {
        /// The distribution.
        distribution: &'static str,
        /// Where they should be.
        path: &'static str,
        /// The package that has them.
        package: &'static str,
    },
    /// apt has no archive of that distribution.
    #[error("apt of this machine knows no archive of {0}: name one with --mirror")]
    NoMirror(&'static str),
    /// An ordinary user without subordinate ids.
    #[error("an ordinary user needs {0} to build an image: {1}; or build it as root")]
    Subordinate(&'static str, &'static str),
    /// A name that is no package.
    #[error("{0:?} is no name of a package")]
    Package(String),
    /// A program failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// Its last words.
        said: String,
    },
    /// A file of ours.
    #[error("cannot {0}")]
    File(&'static str, #[source] io::Error),
    /// What came out is not what was wanted.
    #[error("the image is not usable: {0}")]
    Unusable(String),
    /// It could not be kept.
    #[error(transparent)]
    Keep(#[from] ImageError),
}

/// Packages of a service or, where the name is none, that package itself.
pub fn packages_of(name: &str) -> Result<Vec<String>, BuildError> {
    let known: &[&str] = match name {
        "postgresql" | "postgres" => &["postgresql"],
        "redis" => &["redis-server"],
        "mysql" | "mariadb" => &["mariadb-server"],
        "rabbitmq" => &["rabbitmq-server"],
        "xvfb" => &["xvfb", "xauth"],
        _ => &[],
    };
    if !known.is_empty() {
        return Ok(known.iter().map(|p| (*p).to_owned()).collect());
    }
    // Debian policy 5.6.1
    let good = name.len() >= 2
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    if good {
        Ok(vec![name.to_owned()])
    } else {
        Err(BuildError::Package(name.to_owned()))
    }
}

/// The arguments of mmdebstrap: what is made depends on these, the archive, and nothing else. Pure.
pub fn arguments(
    wish: &Wish,
    hook: &Path,
    sources: &[String],
    to: &Path,
    root: bool,
) -> Result<Vec<String>, BuildError> {
    let mut packages: BTreeSet<String> = BASE.iter().map(|p| (*p).to_owned()).collect();
    if !wish.interpreters.is_empty() {
        packages.extend(FOREIGN.iter().map(|p| (*p).to_owned()));
    }
    for name in &wish.with {
        packages.extend(packages_of(name)?);
    }
    let mut all = vec![
        "--variant=minbase".to_owned(),
        format!("--mode={}", if root { "root" } else { "unshare" }),
        "--format=tar".to_owned(),
        format!("--include={}", packages.into_iter().collect::<Vec<_>>().join(",")),
        "--dpkgopt=force-unsafe-io".to_owned(),
        "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
    ];
    all.extend(
        WITHOUT
            .iter()
            .map(|path| format!("--dpkgopt=path-exclude={path}")),
    );
    for interpreter in &wish.interpreters {
        for prefix in pyti_resolve::interpreters::prefixes(interpreter) {
            let parent = prefix.parent().unwrap_or(Path::new("/")).display().to_string();
            all.push(format!("--customize-hook=mkdir -p \"$1{parent}\""));
            all.push(format!("--customize-hook=copy-in {} {parent}", prefix.display()));
        }
    }
    all.push(format!("--customize-hook=sh {} \"$1\"", hook.display()));
    all.push(wish.release.name.to_owned());
    all.push(to.display().to_string());
    all.extend(sources.iter().cloned());
    Ok(all)
}

/// What is run in the new root at the end: every interpreter says what it is, and what is written by chance goes.
fn hook(interpreters: &[Interpreter]) -> String {
    let mut text = "set -eu\nroot=\"$1\"\nmkdir -p \"$root/.pyti-interpreters\"\n".to_owned();
    text.push_str("cat > \"$root/.pyti-question.py\" <<'PYTI'\n");
    text.push_str(pyti_resolve::interpreters::QUESTION);
    text.push_str("PYTI\n");
    let mut ask = |number: usize, program: &str| {
        text.push_str(&format!(
            "chroot \"$root\" {program} -I -S /.pyti-question.py > \"$root/.pyti-interpreters/{number}\"\n"
        ));
    };
    ask(0, "/usr/bin/python3");
    for (number, interpreter) in interpreters.iter().enumerate() {
        ask(number + 1, &format!("'{}'", interpreter.executable));
    }
    // byte code is written by what it was compiled from, and by no clock: it stays valid on a disk whose times are coarser
    text.push_str(
        "chroot \"$root\" /usr/bin/python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3* || true\n",
    );
    text.push_str("rm -rf \"$root/.pyti-question.py\" \"$root\"/var/cache/* \"$root\"/var/log/* \"$root\"/var/lib/apt/lists/*\n");
    text.push_str("rm -f \"$root\"/etc/resolv.conf \"$root\"/etc/hostname \"$root\"/etc/*- \"$root\"/var/lib/dpkg/*-old\n");
    text
}

/// Builds one and puts it beside the others. `say` hears what happens.
pub fn build(images: &Images, wish: &Wish, say: &dyn Fn(&str)) -> Result<Image, BuildError> {
    let root = rustix::process::geteuid().is_root();
    check_programs(wish)?;
    if !root {
        check_subordinate()?;
    }
    let file = |what: &'static str| move |error: io::Error| BuildError::File(what, error);
    let sites = apt::configured().map_err(file("ask apt for its archives"))?;
    let sources = apt::sources(&wish.release, &sites, wish.mirror.as_deref());
    if sources.is_empty() {
        return Err(BuildError::NoMirror(wish.release.distribution));
    }
    fs::create_dir_all(images.folder()).map_err(file("make the folder of images"))?;
    let scratch = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(images.folder())
        .map_err(file("make a folder to build in"))?;
    // mmdebstrap's own user must be able to pass through
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))
        .map_err(file("make a folder to build in"))?;
    let built = scratch.path().join("image");
    fs::create_dir(&built).map_err(file("make a folder to build in"))?;

    say("fetching the kernel");
    let kernel = kernel(wish, &sites, scratch.path(), &built)?;

    say("installing packages");
    let script = scratch.path().join("hook.sh");
    fs::write(&script, hook(&wish.interpreters)).map_err(file("write a script"))?;
    let archive = scratch.path().join("root.tar");
    let arguments = arguments(wish, &script, &sources, &archive, root)?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(&arguments)
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .env("TMPDIR", scratch.path());
    run("mmdebstrap", &mut command, say)?;

    say("unpacking");
    let folder = built.join("root");
    fs::create_dir(&folder).map_err(file("make the image's folder"))?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&archive).arg("-C").arg(&folder);
    // whoever builds it, its files have the same permissions; devices are made by who shows it
    tar.args([
        "--no-same-owner",
        "--same-permissions",
        "--exclude=./dev/*",
        "--exclude=./.pyti-interpreters",
    ]);
    run("tar", &mut tar, &|_| ())?;
    let interpreters = interpreters(&archive, scratch.path(), &folder)?;
    fs::remove_file(&archive).map_err(file("remove an archive"))?;

    say("packing the disk");
    let disk = built.join("root.erofs");
    let mut mkfs = Command::new("mkfs.erofs");
    mkfs.args(["--quiet", "-zlz4", "--all-root", "-U", DISK_UUID])
        .arg(&disk)
        .arg(&folder);
    mkfs.env("SOURCE_DATE_EPOCH", EPOCH);
    run("mkfs.erofs", &mut mkfs, &|_| ())?;

    say("taking digests");
    let manifest = Manifest {
        form: MANIFEST_FORM,
        distribution: wish.release.distribution.to_owned(),
        release: wish.release.name.to_owned(),
        architecture: "amd64".to_owned(),
        with: wish.with.clone(),
        packages: packages(&folder).map_err(file("read the list of packages"))?,
        interpreters,
        tree: tree::digest(&folder).map_err(file("read the image"))?,
        disk: tree::file(&disk).map_err(file("read the disk"))?,
        disk_bytes: fs::metadata(&disk).map_err(file("read the disk"))?.len(),
        kernel,
    };
    Ok(images.take(&built, &manifest, &wish.name)?)
}

fn check_programs(wish: &Wish) -> Result<(), BuildError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (program, package) in [
        ("mmdebstrap", "mmdebstrap"),
        ("mkfs.erofs", "erofs-utils"),
        ("dpkg-deb", "dpkg"),
        ("apt-get", "apt"),
        ("tar", "tar"),
    ] {
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            return Err(BuildError::Program { program, package });
        }
    }
    for release in [Some(wish.release), apt::release(apt::KERNEL_RELEASE)]
        .into_iter()
        .flatten()
    {
        if !Path::new(release.keyring).is_file() {
            return Err(BuildError::Keys {
                distribution: release.distribution,
                path: release.keyring,
                package: release.keyring_package,
            });
        }
    }
    Ok(())
}

/// mmdebstrap as an ordinary user needs ids to give to the files' owners.
fn check_subordinate() -> Result<(), BuildError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("newuidmap").is_file()) {
        return Err(BuildError::Subordinate(
            "the program newuidmap",
            "install the package uidmap",
        ));
    }
    let user = std::env::var("USER").unwrap_or_default();
    let id = rustix::process::geteuid().as_raw().to_string();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        let own = |line: &str| {
            let who = line.split(':').next().unwrap_or_default();
            !who.is_empty() && (who == user || who == id)
        };
        if !text.lines().any(own) {
            return Err(BuildError::Subordinate(
                "subordinate ids",
                "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
            ));
        }
    }
    Ok(())
}

fn kernel(wish: &Wish, sites: &[apt::Site], scratch: &Path, built: &Path) -> Result<Kernel, BuildError> {
    let file = |what: &'static str| move |error: io::Error| BuildError::File(what, error);
    let release = match (wish.release.distribution, apt::release(apt::KERNEL_RELEASE)) {
        ("debian", Some(release)) => release,
        _ => wish.release,
    };
    let mut sources = apt::sources(&release, sites, None);
    if sources.is_empty() {
        sources = apt::sources(&release, sites, wish.mirror.as_deref());
    }
    let apt = Apt::new(&scratch.join("apt"), &sources).map_err(file("read the archive"))?;
    let image = apt
        .behind(release.kernel, "linux-image-")
        .map_err(file("find a kernel"))?;
    let version = image
        .trim_start_matches("linux-image-")
        .trim_start_matches("unsigned-")
        .to_owned();
    let unpacked = scratch.join("kernel");
    apt.unpack(&image, &unpacked).map_err(file("fetch the kernel"))?;
    if release.distribution == "ubuntu" {
        // Ubuntu keeps modules apart
        apt.unpack(&format!("linux-modules-{version}"), &unpacked)
            .map_err(file("fetch the kernel's modules"))?;
    }
    fs::copy(
        unpacked.join("boot").join(format!("vmlinuz-{version}")),
        built.join("vmlinuz"),
    )
    .map_err(file("find the kernel in its package"))?;
    let below = ["usr/lib/modules", "lib/modules"]
        .map(|below| unpacked.join(below).join(&version).join("kernel"))
        .into_iter()
        .find(|folder| folder.is_dir())
        .ok_or_else(|| BuildError::Unusable("the kernel's package has no modules".to_owned()))?;
    let modules = modules::collect(&below).map_err(file("read the kernel's modules"))?;
    for needed in ["erofs", "overlay", "virtio_blk", "virtio_mmio"] {
        if !modules.iter().any(|module| module.name == needed) {
            return Err(BuildError::Unusable(format!(
                "the kernel {version} has no module {needed}"
            )));
        }
    }
    let folder = built.join("modules");
    fs::create_dir(&folder).map_err(file("keep the kernel's modules"))?;
    let mut named = Vec::new();
    for module in modules {
        fs::write(folder.join(format!("{}.ko", module.name)), &module.bytes)
            .map_err(file("keep the kernel's modules"))?;
        named.push((module.name, digest(&module.bytes)));
    }
    Ok(Kernel {
        release: version,
        image: tree::file(&built.join("vmlinuz")).map_err(file("read the kernel"))?,
        modules: named,
    })
}

/// What the interpreters of a new root said.
fn interpreters(archive: &Path, scratch: &Path, folder: &Path) -> Result<Vec<Interpreter>, BuildError> {
    let mut tar = Command::new("tar");
    tar.arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(scratch)
        .arg("./.pyti-interpreters")
        .arg("--no-same-owner");
    run("tar", &mut tar, &|_| ())?;
    let said = scratch.join(".pyti-interpreters");
    let mut names: Vec<PathBuf> = fs::read_dir(&said)
        .map_err(|e| BuildError::File("read what the interpreters said", e))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    names
        .iter()
        .map(|path| {
            let bytes = fs::read(path).map_err(|e| BuildError::File("read what the interpreters said", e))?;
            pyti_resolve::interpreters::answered(&bytes, folder).map_err(BuildError::Unusable)
        })
        .collect()
}

/// Packages and versions, from dpkg's own list.
fn packages(root: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut name = None;
    for line in BufReader::new(File::open(root.join("var/lib/dpkg/status"))?).lines() {
        let line = line?;
        if let Some(package) = line.strip_prefix("Package: ") {
            name = Some(package.to_owned());
        } else if let Some(version) = line.strip_prefix("Version: ")
            && let Some(name) = name.take()
        {
            all.insert(name, version.to_owned());
        }
    }
    Ok(all)
}

/// Runs a program, passes on its talk, and keeps its last lines for when it fails.
fn run(program: &'static str, command: &mut Command, say: &dyn Fn(&str)) -> Result<(), BuildError> {
    let failed = |said: String| BuildError::Failed { program, said };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    let mut last: Vec<String> = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line: String = String::from_utf8_lossy(&line).chars().take(LINE).collect();
            if let Some(told) = line.strip_prefix("I: ") {
                say(told);
            }
            last.push(line);
            if last.len() > 5 {
                last.remove(0);
            }
        }
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(last.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            name: "base".to_owned(),
            release: apt::release("bookworm").unwrap(),
            interpreters: Vec::new(),
            with: vec!["redis".to_owned(), "libpq-dev".to_owned()],
            mirror: None,
        }
    }

    #[test]
    fn what_is_installed_depends_on_the_wish_alone() {
        let sources = ["deb http://mirror.test/debian bookworm main".to_owned()];
        let make = |wish: &Wish, root| {
            arguments(
                wish,
                Path::new("/b/hook.sh"),
                &sources,
                Path::new("/b/root.tar"),
                root,
            )
            .unwrap()
            .join(" ")
        };
        let line = make(&wish(), true);
        assert_eq!(line, make(&wish(), true));
        assert!(line.contains("--mode=root") && make(&wish(), false).contains("--mode=unshare"));
        for package in ["redis-server", "libpq-dev", "build-essential", "python3-venv"] {
            assert!(line.contains(package), "{package}: {line}");
        }
        assert!(line.ends_with("bookworm /b/root.tar deb http://mirror.test/debian bookworm main"));
    }

    #[test]
    fn another_interpreter_is_copied_to_its_own_place() {
        let mut with = wish();
        with.interpreters.push(Interpreter {
            executable: "/opt/python/3.12/bin/python3.12".to_owned(),
            prefix: "/opt/python/3.12".to_owned(),
            ..super::super::manifest::tests::manifest().interpreters[0].clone()
        });
        let line = arguments(&with, Path::new("/h"), &[], Path::new("/t"), true)
            .unwrap()
            .join("\n");
        assert!(line.contains("copy-in /opt/python/3.12 /opt/python"), "{line}");
        assert!(line.contains("libssl3"));
        assert!(hook(&with.interpreters).contains("chroot \"$root\" '/opt/python/3.12/bin/python3.12'"));
    }

    #[test]
    fn names_that_are_no_packages_are_refused() {
        for bad in ["", "x", "-o", "a b", "Upper", "a,b", "../x", "$(id)"] {
            assert!(matches!(packages_of(bad), Err(BuildError::Package(_))), "{bad}");
        }
        assert_eq!(packages_of("libpq-dev").unwrap(), ["libpq-dev"]);
        assert_eq!(packages_of("redis").unwrap(), ["redis-server"]);
    }
}
