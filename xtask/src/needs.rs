//! What the tests need from the system, and how it is installed.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::say;

/// A program or file, and the Debian package that brings it.
struct Need {
    package: &'static str,
    why: &'static str,
    there: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need {
        package: "python3",
        why: "the distributions under test run on it",
        there: || has("python3"),
    },
    Need {
        package: "python3-pip",
        why: "tells the default index; fetches uv for tests",
        there: has_pip,
    },
    Need {
        package: "python3-venv",
        why: "a real index server from the ecosystem runs in one",
        there: has_venv,
    },
    Need {
        package: "python3-dev",
        why: "C extensions are built",
        there: has_headers,
    },
    Need {
        package: "gcc",
        why: "C extensions are built",
        there: || has("gcc"),
    },
    Need {
        package: "libc6-dev",
        why: "C extensions are built",
        there: || PathBuf::from("/usr/include/stdio.h").exists(),
    },
    Need {
        package: "qemu-system-x86",
        why: "virtual machines",
        there: || has("qemu-system-x86_64"),
    },
    Need {
        package: "erofs-utils",
        why: "disks of virtual machines",
        there: || has("mkfs.erofs"),
    },
    Need {
        package: "mmdebstrap",
        why: "images are built",
        there: || has("mmdebstrap"),
    },
    Need {
        package: "util-linux",
        why: "setpriv runs tests as an ordinary user",
        there: || has("setpriv"),
    },
    Need {
        package: "chromium",
        why: "the service's pages are looked at in it",
        there: || PathBuf::from("/usr/bin/chromium").exists(),
    },
    Need {
        package: "nodejs",
        why: "drives Chromium",
        there: || has("node"),
    },
    Need {
        package: "npm",
        why: "fetches what drives Chromium, and axe, which looks for barriers",
        there: || has("npm"),
    },
    Need {
        package: "redis-server",
        why: "a service beside tests",
        there: || served("redis"),
    },
    Need {
        package: "postgresql",
        why: "a service beside tests",
        there: || served("postgresql"),
    },
    Need {
        package: "memcached",
        why: "a service beside tests",
        there: || served("memcached"),
    },
    Need {
        package: "xvfb",
        why: "a display beside tests",
        there: || served("xvfb"),
    },
    Need {
        package: "dbus",
        why: "a bus beside tests",
        there: || served("dbus"),
    },
];

/// Packages of npm that tests need, pinned; they lie in the target folder.
const NODE: &[(&str, &str)] = &[("axe-core", "4.14.1"), ("puppeteer-core", "24.43.1")];

/// Fetches the packages of npm that are not there. What cannot be fetched only skips the tests that need it, and they say so.
pub(crate) fn install_node(target: &Path) -> Result<()> {
    let folder = target.join("node");
    let there = |(name, version): &(&str, &str)| {
        fs::read_to_string(folder.join("node_modules").join(name).join("package.json"))
            .is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    };
    if NODE.iter().all(there) || !has("npm") {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let names: Vec<String> = NODE
        .iter()
        .map(|(name, version)| format!("{name}@{version}"))
        .collect();
    let status = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(&folder)
        .args(&names)
        .status()
        .context("cannot start npm")?;
    if !status.success() {
        say(&format!(
            "npm could not fetch {}: tests in a browser will be skipped",
            names.join(" and ")
        ));
    }
    Ok(())
}

/// What only tests need that take long.
const LARGE: &[Need] = &[
    Need {
        package: "mariadb-server",
        why: "a service beside tests",
        there: || served("mariadb"),
    },
    Need {
        package: "rabbitmq-server",
        why: "a service beside tests",
        there: || served("rabbitmq"),
    },
];

/// Installs what is missing, after asking; `all`: also what only tests need that take long.
pub(crate) fn install(yes: bool, all: bool) -> Result<()> {
    let large = LARGE.iter().filter(|_| all);
    let missing: Vec<&Need> = NEEDS.iter().chain(large).filter(|need| !(need.there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("the tests need what is not there:");
    for need in &missing {
        say(&format!("  {:<14} {}", need.package, need.why));
    }
    if !has("apt-get") {
        bail!("this is no Debian or Ubuntu: install the like of these packages and run again");
    }
    if !yes && !confirmed()? {
        bail!("nothing was installed");
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    apt(&["update", "-q"])?;
    apt(&[
        &["install", "-q", "-y", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat())
}

fn confirmed() -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("cannot ask without a terminal: say --yes to install them");
    }
    let mut err = io::stderr();
    write!(err, "install them with apt-get? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    let mut command = if root {
        Command::new("apt-get")
    } else {
        Command::new("sudo")
    };
    if !root {
        command.arg("apt-get");
    }
    let status = command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("cannot start apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Whether the machine has the program of a service.
fn served(name: &str) -> bool {
    pyti_services::find(name)
        .is_some_and(|service| pyti_services::locate(service, std::path::Path::new("/")).is_some())
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn python(arguments: &[&str]) -> bool {
    Command::new("python3")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn has_pip() -> bool {
    python(&["-m", "pip", "--version"])
}

fn has_venv() -> bool {
    python(&["-c", "import venv, ensurepip"])
}

fn has_headers() -> bool {
    python(&[
        "-c",
        "import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')))",
    ])
}
