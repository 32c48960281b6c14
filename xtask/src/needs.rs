//! What the tests need from the system, and how it is installed.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
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
        package: "util-linux",
        why: "setpriv runs tests as an ordinary user",
        there: || has("setpriv"),
    },
];

/// Installs what is missing, after asking.
pub(crate) fn install(yes: bool) -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.there)()).collect();
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
