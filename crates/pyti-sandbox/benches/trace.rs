//! What recording costs, beside nothing and beside strace: `cargo bench -p pyti-sandbox --bench trace -- [ROUNDS] [WORKLOAD…]`.
//!
//! Every run is in a box, with the same layers; the ways take turns round by round, so only ratios within one
//! run mean anything. What is missing on the machine is said and left out.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pyti_model::trace::Form;
use pyti_sandbox::{Bind, Boxes, Command, JobSpec, Layer, Lower, enter, launch};
use serde_json::json;

const VERB: &str = "__inside";

type Failure = Box<dyn std::error::Error>;

/// How a command is run.
const WAYS: [&str; 6] = [
    "untraced",
    "light",
    "opens",
    "full",
    "strace --seccomp-bpf",
    "strace -f",
];

struct Workload {
    name: &'static str,
    /// Run once, before: what it leaves is below the command.
    prepare: &'static str,
    command: &'static [&'static str],
    /// Whether it counts for the target of ordinary work.
    ordinary: bool,
    /// The form in which a job runs it: installs with all opens, builds and tests in the light one.
    form: &'static str,
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "pip installs 10 wheels",
        prepare: MAKE_WHEELS,
        command: &[
            "/bin/sh",
            "-c",
            "python3 -m pip install -q --no-index --no-deps --target /home/dev/venv /home/dev/wheels/*.whl",
        ],
        ordinary: true,
        form: "opens",
    },
    Workload {
        name: "uv installs 10 wheels",
        prepare: MAKE_WHEELS,
        command: &[
            "/bin/sh",
            "-c",
            "/opt/tools/bin/uv pip install -q --offline --no-index --no-deps --link-mode copy --python /usr/bin/python3 \
             --target /home/dev/venv /home/dev/wheels/*.whl",
        ],
        // what pip does, done in a tenth of the time: told beside, not twice in the mean
        ordinary: false,
        form: "opens",
    },
    Workload {
        name: "compiling a C extension",
        prepare: MAKE_EXTENSION,
        command: &[
            "/usr/bin/python3",
            "/home/dev/ext/setup.py",
            "-q",
            "build_ext",
            "--inplace",
        ],
        ordinary: true,
        form: "light",
    },
    Workload {
        name: "a pytest suite",
        prepare: MAKE_TESTS,
        command: &[
            "/usr/bin/python3",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "/home/dev/tests",
        ],
        ordinary: true,
        form: "light",
    },
    Workload {
        name: "20,000 x stat, open, close",
        prepare: MAKE_STORM,
        command: &["/home/dev/storm"],
        ordinary: false,
        form: "full",
    },
    Workload {
        name: "1,000 x spawn",
        prepare: MAKE_SPAWNS,
        command: &["/home/dev/spawns"],
        ordinary: false,
        form: "light",
    },
];

const MAKE_WHEELS: &str = r#"
import base64, hashlib, os, zipfile
os.makedirs("/home/dev/wheels")
library = "/usr/lib/python3.11" if os.path.isdir("/usr/lib/python3.11") else os.path.dirname(os.__file__)
names = ["json", "email", "asyncio", "unittest", "http", "xml", "logging", "concurrent", "importlib", "ctypes"]
for name in names:
    project = "bench" + name
    files = {}
    for folder, _, found in os.walk(os.path.join(library, name)):
        for one in found:
            if one.endswith(".py"):
                path = os.path.join(folder, one)
                files[project + path[len(library) + 1 + len(name):]] = open(path, "rb").read()
    info = project + "-1.0.dist-info/"
    files[info + "METADATA"] = f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n".encode()
    files[info + "WHEEL"] = b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(
        "%s,sha256=%s,%d\n" % (path, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
        for path, data in files.items()
    )
    files[info + "RECORD"] = (record + info + "RECORD,,\n").encode()
    with zipfile.ZipFile(f"/home/dev/wheels/{project}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
"#;

const MAKE_EXTENSION: &str = r##"
import os
os.makedirs("/home/dev/ext")
os.chdir("/home/dev/ext")
sources = []
for number in range(12):
    name = f"part{number}.c"
    sources.append(name)
    with open(name, "w") as out:
        out.write("#include <Python.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/socket.h>\n")
        for each in range(60):
            out.write(f"long f{number}_{each}(long a) {{ long s = 0; for (long i = 0; i < a; i++) s += i * {each} ^ a; return s; }}\n")
with open("part0.c", "a") as out:
    out.write("static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, \"bench\", 0, -1, 0};\n"
              "PyMODINIT_FUNC PyInit_bench(void) { return PyModule_Create(&d); }\n")
with open("setup.py", "w") as out:
    out.write(f"import os\nos.chdir('/home/dev/ext')\nfrom setuptools import setup, Extension\n"
              f"setup(name='bench', version='1', ext_modules=[Extension('bench', {sources!r})])\n")
"##;

const MAKE_TESTS: &str = r#"
import os
os.makedirs("/home/dev/tests")
for number in range(20):
    with open(f"/home/dev/tests/test_part{number}.py", "w") as out:
        out.write("import json, re, pytest\n")
        for each in range(15):
            out.write(f"""
@pytest.mark.parametrize("n", range(3))
def test_{each}(n, tmp_path):
    data = {{str(i): [i] * n for i in range(200)}}
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    assert json.loads(path.read_text()) == data
    assert re.search("9+", path.read_text())
""")
"#;

const MAKE_STORM: &str = r#"
import os, subprocess
with open("/tmp/storm.c", "w") as out:
    out.write("""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
    char name[64], bytes[64];
    struct stat s;
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "/home/dev/many/%d", i % 100);
        stat(name, &s);
        int fd = open(name, O_RDONLY);
        if (fd < 0) return 1;
        read(fd, bytes, sizeof bytes);
        close(fd);
    }
    return 0;
}
""")
os.makedirs("/home/dev/many")
for number in range(100):
    open(f"/home/dev/many/{number}", "w").write("text")
subprocess.check_call(["cc", "-O1", "-o", "/home/dev/storm", "/tmp/storm.c"])
"#;

const MAKE_SPAWNS: &str = r#"
import subprocess
with open("/tmp/spawns.c", "w") as out:
    out.write("""
#include <spawn.h>
#include <sys/wait.h>
extern char **environ;
int main(void) {
    char *argv[] = {"/usr/bin/true", 0};
    for (int i = 0; i < 1000; i++) {
        pid_t pid;
        if (posix_spawn(&pid, argv[0], 0, 0, argv, environ)) return 1;
        waitpid(pid, 0, 0);
    }
    return 0;
}
""")
subprocess.check_call(["cc", "-O1", "-o", "/home/dev/spawns", "/tmp/spawns.c"])
"#;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|verb| verb == VERB) {
        return inside();
    }
    let arguments: Vec<String> = arguments.into_iter().filter(|a| !a.starts_with("--")).collect();
    let rounds: usize = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(5);
    let only: Vec<&String> = arguments.iter().skip(1).collect();
    let scratch = tempfile::tempdir()?;
    let tools = tools(scratch.path())?;
    let mut binds = Vec::new();
    if let Some(folder) = &tools {
        binds.push(Bind {
            source: folder.clone(),
            target: "/opt/tools".into(),
            writable: false,
        });
    }
    let spec = JobSpec {
        binds,
        program: std::env::current_exe()?,
        layers_bytes: 2 << 30,
        layers_inodes: 400_000,
        memory_bytes: 4 << 30,
        store: None,
        image: None,
        devices: Vec::new(),
    };
    let job = launch(&spec, VERB)?;
    let mut channel = job.channel()?;
    let order = json!({"rounds": rounds, "only": only, "tools": tools.is_some()});
    channel.write_all(order.to_string().as_bytes())?;
    channel.shutdown(std::net::Shutdown::Write)?;
    let mut part = [0; 4096];
    loop {
        let read = channel.read(&mut part)?;
        if read == 0 {
            break;
        }
        std::io::stdout().write_all(&part[..read])?;
        std::io::stdout().flush()?;
    }
    if let Some(complaint) = job.complaint() {
        return Err(complaint.into());
    }
    job.wait(Duration::from_secs(5));
    Ok(())
}

/// pytest and uv, where the boxes can see them: the machine's Python has none of its own.
fn tools(scratch: &Path) -> Result<Option<PathBuf>, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = scratch.join("tools");
    let status = std::process::Command::new("/usr/bin/python3")
        .args([
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--target",
        ])
        .arg(&folder)
        .args(["pytest", "uv"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        say("SKIPPED: the pytest suite and uv, because pip cannot install them")?;
        return Ok(None);
    }
    std::fs::set_permissions(scratch, std::fs::Permissions::from_mode(0o755))?;
    Ok(Some(folder))
}

fn say(text: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(format!("{text}\n").as_bytes())
}

fn inside() -> Result<(), Failure> {
    let mut inside = enter()?;
    let mut text = String::new();
    inside.channel.read_to_string(&mut text)?;
    let order: serde_json::Value = serde_json::from_str(&text)?;
    let rounds = usize::try_from(order["rounds"].as_u64().unwrap_or(5))?;
    let only: Vec<&str> = order["only"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .collect();
    let strace = Path::new("/usr/bin/strace").exists();
    let mut out = inside.channel;
    if !strace {
        writeln!(out, "SKIPPED: strace is not installed (apt install strace)")?;
    }
    let mut means: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for workload in WORKLOADS {
        if (workload.name.contains("pytest") || workload.name.contains("uv")) && order["tools"] != true {
            continue;
        }
        if !only.is_empty() && !only.iter().any(|word| workload.name.contains(word)) {
            continue;
        }
        for (way, median) in measure(&inside.boxes, workload, rounds, strace, &mut out)? {
            if workload.ordinary {
                means.entry(way).or_default().push(median);
            }
            if workload.ordinary && way == workload.form {
                means
                    .entry("each in the form that a job uses")
                    .or_default()
                    .push(median);
            }
        }
    }
    for (way, ratios) in means {
        let count = f64::from(u32::try_from(ratios.len())?);
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / count).exp();
        writeln!(out, "geometric mean of ordinary work, {way}: {mean:.3}")?;
    }
    Ok(())
}

fn command(argv: Vec<String>, layer: Option<&Layer>) -> Command {
    let mut command = Command::new(argv);
    command.env = vec![
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("HOME".into(), "/home/dev".into()),
        ("PYTHONPATH".into(), "/opt/tools".into()),
        ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
    ];
    command.watched = vec!["/home/dev".into()];
    command.quiet = vec![
        "/home/dev/venv".into(),
        "/home/dev/ext".into(),
        "/home/dev/tests".into(),
    ];
    command.binds = if Path::new("/opt/tools").exists() {
        vec![Bind {
            source: "/opt/tools".into(),
            target: "/opt/tools".into(),
            writable: false,
        }]
    } else {
        Vec::new()
    };
    command.lowers = layer
        .map(|layer| Lower::Layer(layer.clone()))
        .into_iter()
        .collect();
    command
}

/// Runs one workload in every way, round by round; gives the median ratio of each way.
fn measure(
    boxes: &Boxes,
    workload: &Workload,
    rounds: usize,
    strace: bool,
    out: &mut impl std::io::Write,
) -> Result<Vec<(&'static str, f64)>, Failure> {
    let prepare = vec![
        "/usr/bin/python3".to_owned(),
        "-c".to_owned(),
        workload.prepare.to_owned(),
    ];
    let prepared = boxes.run(&command(prepare, None), &AtomicBool::new(false))?;
    if !prepared.effect.exit.is_success() {
        let said = prepared.effect.stderr.text();
        writeln!(
            out,
            "SKIPPED: {}: {}",
            workload.name,
            said.lines().last().unwrap_or_default()
        )?;
        return Ok(Vec::new());
    }
    let ways = &WAYS[..if strace { WAYS.len() } else { 4 }];
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    let mut work: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    let mut facts = vec![String::new(); ways.len()];
    for round in 0..rounds {
        for at in 0..ways.len() {
            // another one begins each time: what is warm is warm for all
            let at = (at + round) % ways.len();
            let mut argv: Vec<String> = workload.command.iter().map(|word| (*word).to_owned()).collect();
            let tracer: &[&str] = match ways[at] {
                "strace -f" => &["/usr/bin/strace", "-f", "-qq", "-o", "/dev/null"],
                "strace --seccomp-bpf" => &[
                    "/usr/bin/strace",
                    "-f",
                    "--seccomp-bpf",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    "trace=%file,%process,%network,getdents64,memfd_create,prctl,kill,tgkill,setsid",
                ],
                _ => &[],
            };
            argv.splice(0..0, tracer.iter().map(|word| (*word).to_owned()));
            let mut command = command(argv, Some(&prepared.layer));
            command.trace = match ways[at] {
                "light" => Form::Light,
                "opens" => Form::Opens,
                "full" => Form::Full,
                _ => Form::None,
            };
            let before = own_seconds();
            let done = boxes.run(&command, &AtomicBool::new(false))?;
            let cost = &done.effect.cost;
            let own = own_seconds() - before;
            work[at].push(own + cost.user_s + cost.system_s);
            if !done.effect.exit.is_success() {
                writeln!(
                    out,
                    "{} ({}) ended with {:?}: {}",
                    workload.name,
                    ways[at],
                    done.effect.exit,
                    done.effect.stderr.text()
                )?;
                return Ok(Vec::new());
            }
            seconds[at].push(done.effect.cost.wall_s);
            if command.trace != Form::None {
                let counted: u64 = done.trace.counts.iter().map(|count| count.times).sum();
                let bytes = serde_json::to_vec(&done.trace)?.len();
                facts[at] = format!(
                    "{} acts, {counted} counted, {} processes, {} KiB of JSON, {:.0} of {:.0} ms of CPU are ours{}",
                    done.trace.acts.len(),
                    done.trace.processes.len(),
                    bytes / 1024,
                    own * 1e3,
                    (own + cost.user_s + cost.system_s) * 1e3,
                    if done.trace.losses.is_empty() {
                        ""
                    } else {
                        ", LOSSES"
                    }
                );
            }
        }
    }
    writeln!(out, "{} ({rounds} rounds)", workload.name)?;
    let mut medians = Vec::new();
    for (at, way) in ways.iter().enumerate() {
        let mut ratios: Vec<f64> = seconds[at]
            .iter()
            .zip(&seconds[0])
            .map(|(one, base)| one / base)
            .collect();
        let mut times = seconds[at].clone();
        let (low, middle, high) = spread(&mut times);
        let (least, median, most) = spread(&mut ratios);
        let mut work: Vec<f64> = work[at]
            .iter()
            .zip(&work[0])
            .map(|(one, base)| one / base)
            .collect();
        let (_, cpu, _) = spread(&mut work);
        writeln!(
            out,
            "  {way:<22} {:>7.0} {:>7.0} {:>7.0} ms   ratio {least:>5.2} {median:>5.2} {most:>5.2}   CPU {cpu:>5.2}   {}",
            low * 1e3,
            middle * 1e3,
            high * 1e3,
            facts[at]
        )?;
        medians.push((*way, median));
    }
    Ok(medians)
}

/// CPU seconds of this process, which records.
fn own_seconds() -> f64 {
    // SAFETY: all-zero is a valid value, and the call fills it in
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| {
        Duration::from_micros(time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs())
    };
    (seconds(usage.ru_utime) + seconds(usage.ru_stime)).as_secs_f64()
}

fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}
