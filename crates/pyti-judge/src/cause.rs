//! Why a step failed: causes from what was recorded, then from what was said.

use std::collections::BTreeSet;

use pyti_model::Foreign;
use pyti_model::effect::{Contact, Effect, Exit, Limit};
use pyti_model::outcome::{Blame, Reason, ReasonCode};
use pyti_model::raw::{CompilerCall, PythonError};

use crate::catalog;
use crate::patterns::{Place, scan, shorten};
use crate::record::{JobRecord, RecordedEffect, TaskRecord};

/// Names, denials and the like that one reason each is made of, at most.
const MOST_OF_A_KIND: usize = 5;

/// The limit that ended a command, or the signal that did.
pub(crate) fn death(recorded: &RecordedEffect) -> Option<Reason> {
    let effect = &recorded.effect;
    let reason = match (effect.limit, effect.exit) {
        (Some(limit), _) => limit_reason(limit, effect),
        (None, Exit::Signal(signal)) => crash_reason(signal, &output(effect)),
        // A launcher in between turns the signal into an exit code; only the interpreter's own words prove it.
        (None, Exit::Code(code @ 129..=159)) => {
            let said = output(effect);
            if !said.contains("Fatal Python error") {
                return None;
            }
            crash_reason(code - 128, &said)
        }
        (None, Exit::Code(_)) => return None,
    };
    Some(with_evidence(reason, recorded.seq))
}

fn limit_reason(limit: Limit, effect: &Effect) -> Reason {
    let wall = effect.cost.wall_s;
    let (code, detail) = match limit {
        Limit::Wall => (ReasonCode::TimeLimit, format!("wall clock, {wall:.0} s")),
        Limit::Cpu => (
            ReasonCode::TimeLimit,
            format!("CPU, {:.0} s", effect.cost.cpu_s()),
        ),
        Limit::Inactivity => (ReasonCode::Inactivity, format!("after {wall:.0} s")),
        Limit::Memory => (
            ReasonCode::MemoryLimit,
            format!("{} MiB", effect.cost.peak_memory_bytes >> 20),
        ),
        Limit::Processes => (
            ReasonCode::PidsLimit,
            format!("{} processes", effect.cost.peak_processes),
        ),
        Limit::Disk => (ReasonCode::DiskLimit, String::new()),
        Limit::Output => (
            ReasonCode::LogLimit,
            format!(
                "{} MiB",
                effect.stdout.total.saturating_add(effect.stderr.total) >> 20
            ),
        ),
    };
    Reason::new(code, detail.as_str())
}

/// A crash, by its signal and what the interpreter said of it: its fatal error and its top frame.
pub(crate) fn crash_reason(signal: i32, said: &str) -> Reason {
    let fatal = after(said, "Fatal Python error: ").map(first_line);
    let code = match (signal, fatal) {
        (6, Some(text)) if !text.starts_with("Aborted") => ReasonCode::FatalPythonError,
        (6, _) => ReasonCode::Abort,
        (4, _) => ReasonCode::IllegalInstruction,
        (7 | 11, _) => ReasonCode::Segfault,
        _ => ReasonCode::OtherSignal,
    };
    let frame = after(said, "(most recent call first):").and_then(|rest| {
        let line = rest.lines().map(str::trim).find(|line| line.starts_with("File "));
        line.map(|line| shorten(line, 200))
    });
    let name = match signal {
        1 => "SIGHUP".to_owned(),
        2 => "SIGINT".to_owned(),
        3 => "SIGQUIT".to_owned(),
        4 => "SIGILL".to_owned(),
        6 => "SIGABRT".to_owned(),
        7 => "SIGBUS".to_owned(),
        8 => "SIGFPE".to_owned(),
        9 => "SIGKILL".to_owned(),
        11 => "SIGSEGV".to_owned(),
        13 => "SIGPIPE".to_owned(),
        15 => "SIGTERM".to_owned(),
        31 => "SIGSYS".to_owned(),
        other => format!("signal {other}"),
    };
    let mut detail = name;
    for part in [fatal.map(|text| shorten(text, 200)), frame]
        .into_iter()
        .flatten()
    {
        detail.push_str("; ");
        detail.push_str(part);
    }
    Reason::new(code, detail.as_str())
}

/// Whom a failing step tried to reach: services by port, names, addresses.
pub(crate) fn contacts(task: &TaskRecord) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for recorded in task.last_effects() {
        for contact in &recorded.effect.contacts {
            let reason = match contact {
                Contact::Name { name, .. } if is_outside(&name.lossy()) => {
                    Reason::new(ReasonCode::NetworkNeeded, name.clone())
                }
                Contact::Address {
                    address,
                    port: Some(port),
                    protocol,
                    ..
                } if *port != 53 && !is_multicast(address) && protocol != "icmp" => {
                    match catalog::service(*port) {
                        Some(service) => Reason::new(ReasonCode::ServiceNeeded, service),
                        None => Reason::new(ReasonCode::NetworkNeeded, format!("{address}:{port}").as_str()),
                    }
                }
                _ => continue,
            };
            let same = reasons.iter().filter(|r| r.code == reason.code);
            if same.count() < MOST_OF_A_KIND && !reasons.iter().any(|r| r.detail == reason.detail) {
                reasons.push(with_evidence(reason, recorded.seq));
            }
        }
    }
    // Names are what people know; addresses beside them are what the names stood for.
    let named = reasons
        .iter()
        .any(|r| r.code == ReasonCode::NetworkNeeded && !r.detail.lossy().contains(':'));
    if named {
        reasons.retain(|r| r.code != ReasonCode::NetworkNeeded || !r.detail.lossy().contains(':'));
    }
    reasons
}

fn is_outside(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    !(name.is_empty()
        || name == "localhost"
        || name == "wpad"
        || [".localhost", ".localdomain", ".arpa", ".local"]
            .iter()
            .any(|end| name.ends_with(end)))
}

fn is_multicast(address: &str) -> bool {
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(v4)) => v4.is_multicast() || v4.is_broadcast(),
        Ok(ip) => ip.is_multicast(),
        Err(_) => false,
    }
}

/// System calls that the box refused in a failing step.
pub(crate) fn denials(task: &TaskRecord) -> Vec<Reason> {
    let mut calls = BTreeSet::new();
    let mut reasons = Vec::new();
    for recorded in task.last_effects() {
        for denial in &recorded.effect.denials {
            if calls.len() < MOST_OF_A_KIND && calls.insert(denial.call.as_str()) {
                let detail = format!("{} → {}", denial.call, denial.answer);
                let reason = Reason::new(ReasonCode::LimitedByBox, detail.as_str());
                reasons.push(with_evidence(reason, recorded.seq));
            }
        }
    }
    reasons
}

/// Processes that outlived a command of the step.
pub(crate) fn survivors(task: &TaskRecord) -> Option<Reason> {
    let alive = task.last_effects().filter(|e| !e.effect.survivors.is_empty());
    let mut count = 0;
    let mut first = None;
    for recorded in alive {
        count += recorded.effect.survivors.len();
        first.get_or_insert((recorded.seq, &recorded.effect.survivors[0]));
    }
    let (seq, survivor) = first?;
    let argv: Vec<_> = survivor.argv.iter().take(4).map(Foreign::lossy).collect();
    let argv = argv.join(" ");
    let detail = format!("{count}: {}", shorten(&argv, 120));
    Some(with_evidence(
        Reason::new(ReasonCode::Survivors, detail.as_str()),
        seq,
    ))
}

/// What texts say, as reasons.
pub(crate) fn texts(text: &str, place: Place) -> Vec<Reason> {
    scan(text, place)
        .into_iter()
        .map(|found| {
            let detail = match found.code {
                ReasonCode::MissingSystemLibrary => with_package(&found.detail),
                ReasonCode::BuildCompilerError => found.detail.trim_start_matches("/usr/bin/").to_owned(),
                _ => found.detail,
            };
            Reason::new(found.code, detail.as_str())
        })
        .collect()
}

fn with_package(what: &str) -> String {
    match catalog::debian(what) {
        Some(package) if package != what => format!("{what} (Debian: {package})"),
        _ => what.to_owned(),
    }
}

/// Services that a text says refused the connection, by port.
pub(crate) fn refused_services(text: &str) -> Vec<Reason> {
    const SAYING: &[&str] = &[
        "refused",
        "can't connect",
        "cannot connect",
        "could not connect",
        "failed to connect",
    ];
    let bare = text.contains("ConnectionRefusedError");
    let mut services = BTreeSet::new();
    for line in text.lines().filter(|line| line.len() < 4000) {
        let line = line.to_ascii_lowercase();
        // A bare socket's error does not name the port; the line of the traceback that connects does.
        if SAYING.iter().any(|word| line.contains(word)) || bare && line.contains("connect") {
            services.extend(ports_in(&line).into_iter().filter_map(catalog::service));
        }
    }
    services
        .into_iter()
        .map(|service| Reason::new(ReasonCode::ServiceNeeded, service))
        .collect()
}

/// Numbers of a line that stand where a port stands: `host:5432`, `port 5432`, `port=5432`, `('host', 5432)`.
fn ports_in(line: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|b| !b.is_ascii_digit())
            .map_or(bytes.len(), |n| at + n);
        let before = &bytes[..at];
        let stands = [&b":"[..], b"port ", b"port=", b"port: ", b"', ", b"\", "]
            .iter()
            .any(|lead| before.ends_with(lead));
        let whole = !bytes
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if stands && whole {
            ports.extend(line[at..end].parse::<u16>().ok());
        }
        at = end;
    }
    ports
}

/// What a missing module means, by its name and by who asked for it.
pub(crate) fn missing_module(job: &JobRecord, module: &str, place: Place, backend: Option<&str>) -> Reason {
    let root = module.split('.').next().unwrap_or(module);
    let generic = if place == Place::IMPORT {
        ReasonCode::ImportError
    } else if place == Place::TEST {
        ReasonCode::CollectionError
    } else {
        ReasonCode::BuildBackendError
    };
    if is_own(job, root) {
        Reason::new(generic, format!("its own module {module} is missing").as_str())
    } else if catalog::PYTHON2_MODULES.contains(&root) && place != Place::TEST {
        Reason::new(ReasonCode::Python2Only, module)
    } else if catalog::WINDOWS_MODULES.contains(&root) && place != Place::TEST {
        Reason::new(ReasonCode::WindowsOnly, module)
    } else if catalog::REMOVED_MODULES.contains(&root) {
        Reason::new(
            generic,
            format!("{module} is no longer in Python's library").as_str(),
        )
    } else if catalog::OPTIONAL_MODULES.contains(&root) {
        let detail = format!("{module}: this interpreter was built without it");
        Reason::new(ReasonCode::MissingSystemLibrary, detail.as_str())
    } else if place == Place::TEST {
        Reason::new(ReasonCode::MissingTestDependency, module)
    } else if backend.is_some_and(|backend| backend.split(['.', ':']).next() == Some(root)) {
        Reason::new(ReasonCode::BuildBackendMissing, module)
    } else if place == Place::BUILD && root == "pkg_resources" {
        Reason::new(generic, "pkg_resources is no longer in setuptools")
    } else {
        Reason::new(ReasonCode::UndeclaredDependency, module)
    }
}

/// Whether a top-level name belongs to the distribution itself.
pub(crate) fn is_own(job: &JobRecord, root: &str) -> bool {
    let installed = job.install().is_some_and(|install| {
        install
            .top_level
            .iter()
            .any(|name| name.split('.').next() == Some(root))
            || install
                .modules
                .iter()
                .any(|name| name.split('.').next() == Some(root))
    });
    installed
        || job
            .inspection()
            .is_some_and(|inspection| inspection.importable.contains_key(root))
}

/// The module that an exception misses, if that is what it says.
pub(crate) fn missing_in(error: &PythonError) -> Option<String> {
    let class = error.class.lossy();
    if !class.ends_with("ModuleNotFoundError") && !class.ends_with("ImportError") {
        return None;
    }
    let told = error.module.as_ref().map(|module| module.lossy().into_owned());
    let told = told.filter(|_| class.ends_with("ModuleNotFoundError"));
    told.or_else(|| missing_modules(&error.message.lossy()).into_iter().next())
        .filter(|name| !name.is_empty())
}

/// Modules that a text says are missing, in order, each once.
pub(crate) fn missing_modules(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for rest in text.split("No module named ").skip(1).take(200) {
        let rest = rest.trim_start_matches(['\'', '"']);
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let name: String = rest.chars().take_while(|c| is_part(*c)).take(200).collect();
        let name = name.trim_end_matches('.').to_owned();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whose code raised an exception: a dependency's, when the innermost frame in site-packages is not our subject's.
pub(crate) fn blamed(job: &JobRecord, traceback: &str) -> Option<Blame> {
    let innermost = traceback.lines().rev().find(|line| line.contains("File \""))?;
    let (_, inside) = innermost.split_once("/site-packages/")?;
    let root = inside.split(['/', '"']).next()?;
    let root = root.split('.').next()?;
    (job.install().is_some() && !is_own(job, root)).then_some(Blame::Dependency)
}

/// An exception as text: class, message and traceback.
pub(crate) fn error_text(error: &PythonError) -> String {
    let (class, message) = (error.class.lossy(), error.message.lossy());
    format!("{}\n{class}: {message}\n", error.traceback.lossy())
}

/// An exception as one line.
pub(crate) fn error_line(error: &PythonError) -> String {
    let message = error.message.lossy();
    let line = last_line(&message);
    let class = error.class.lossy();
    if line.is_empty() {
        class.into_owned()
    } else {
        format!("{class}: {}", shorten(line, 300))
    }
}

/// A compiler's call that failed and was no question of a configuration step.
pub(crate) fn failed_call(call: &CompilerCall) -> bool {
    const ASKING: &[&str] = &[
        "conftest",
        "_configtest",
        "testfile.c",
        "sanitycheck",
        "CMakeScratch",
        "CMakeTmp",
        "TryCompile",
        "meson-private",
        "CMakeFiles",
        "/tmp/",
        "try_compile",
        "feature_test",
        "--version",
        "-dumpversion",
        "-print-",
        "-dumpmachine",
    ];
    if call.exit == 0 {
        return false;
    }
    let asks = |argument: &Foreign| {
        let text = argument.lossy();
        text == "-"
            || text == "-E"
            || text == "-v"
            || text == "-V"
            || ASKING.iter().any(|word| text.contains(word))
    };
    !call.argv.iter().any(asks)
}

/// What a compiler's call was about: the source, else the program.
pub(crate) fn call_subject(call: &CompilerCall) -> String {
    const SOURCES: &[&str] = &["c", "cc", "cpp", "cxx", "f", "f90", "m", "rs", "s"];
    let is_source = |text: &str| {
        let end = text.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        end.is_some_and(|end| SOURCES.contains(&end.as_str()))
    };
    let source = call.argv.iter().map(Foreign::lossy).find(|text| is_source(text));
    let text = source.unwrap_or_else(|| call.program.lossy());
    shorten(&text, 200).to_owned()
}

/// Both outputs as one text.
pub(crate) fn output(effect: &Effect) -> String {
    format!("{}\n{}", effect.stdout.text(), effect.stderr.text())
}

/// The last line that says something.
pub(crate) fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("").trim()
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

pub(crate) fn with_evidence(mut reason: Reason, seq: u64) -> Reason {
    if !reason.evidence.contains(&seq) {
        reason.evidence.push(seq);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_from_refusals_only() {
        let services = |text: &str| -> Vec<String> {
            refused_services(text)
                .iter()
                .map(|r| r.detail.lossy().into_owned())
                .collect()
        };
        assert_eq!(
            services("connection to server at \"127.0.0.1\", port 5432 failed: Connection refused"),
            ["postgresql"]
        );
        assert_eq!(
            services("Error 111 connecting to localhost:6379. Connection refused."),
            ["redis"]
        );
        assert_eq!(
            services("Can't connect to MySQL server on 'localhost:3306' (111)"),
            ["mariadb"]
        );
        assert_eq!(
            services("ConnectionRefusedError: ('127.0.0.1', 27017) refused"),
            ["mongodb"]
        );
        assert!(services("listening on localhost:6379").is_empty());
        assert!(services("refused 5432 times").is_empty());
        assert!(services("refused at 0:54321 and :5432a").is_empty());
    }

    #[test]
    fn crashes_are_told_apart() {
        let code = |signal, said| crash_reason(signal, said).code;
        assert_eq!(
            code(11, "Fatal Python error: Segmentation fault\n"),
            ReasonCode::Segfault
        );
        assert_eq!(code(6, "Fatal Python error: Aborted\n"), ReasonCode::Abort);
        assert_eq!(code(6, ""), ReasonCode::Abort);
        assert_eq!(
            code(6, "Fatal Python error: _Py_CheckFunctionResult: x\n"),
            ReasonCode::FatalPythonError
        );
        assert_eq!(code(4, ""), ReasonCode::IllegalInstruction);
        assert_eq!(code(15, ""), ReasonCode::OtherSignal);
        let said = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n  File \"a.py\", line 3 in f\n";
        let detail = crash_reason(11, said).detail;
        assert_eq!(
            detail.lossy(),
            "SIGSEGV; Segmentation fault; File \"a.py\", line 3 in f"
        );
    }

    #[test]
    fn missing_modules_are_read() {
        assert_eq!(
            missing_modules("E   ModuleNotFoundError: No module named 'trustme.x'\nNo module named foo."),
            ["trustme.x", "foo"]
        );
        assert!(missing_modules("no module here").is_empty());
    }

    #[test]
    fn questions_of_configure_are_no_failures() {
        let call = |argv: &[&str], exit| CompilerCall {
            program: "gcc".into(),
            argv: argv.iter().map(|a| Foreign::from(*a)).collect(),
            wall_s: 0.0,
            cpu_s: 0.0,
            exit,
            warnings: 0,
            said: Foreign::default(),
        };
        assert!(failed_call(&call(&["-c", "src/speed.c"], 1)));
        assert!(!failed_call(&call(&["-c", "src/speed.c"], 0)));
        assert!(!failed_call(&call(&["-c", "conftest.c"], 1)));
        assert_eq!(call_subject(&call(&["-c", "src/speed.c"], 1)), "src/speed.c");
    }
}
