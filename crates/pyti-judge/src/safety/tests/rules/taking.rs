//! Access and persistence.

use pyti_model::effect::Changed;
use pyti_model::raw::Start;
use pyti_model::trace::{Deed, Result};

use super::super::world::World;
use super::{
    Case, SITE, argument, fails, import, installed, many, path_file, preloaded, printed, script, written,
};

pub(super) fn taking() -> Vec<Case> {
    let aws = "/home/dev/.aws/credentials";
    let home = |path: &str| format!("/home/dev/{path}");
    vec![
        ("decoy-read", import().read(aws), import().look(aws)),
        (
            "decoy-read-then-contact",
            import().read(aws).resolves("collector.example"),
            import().resolves("collector.example").read(aws),
        ),
        (
            "own-environ-read",
            import().read("/proc/self/environ"),
            import().read("/proc/self/maps"),
        ),
        (
            "foreign-environ-read",
            import().read("/proc/77/environ"),
            // its own number
            import().read("/proc/2/environ"),
        ),
        (
            "ssh-keys-read",
            import().read(&home(".ssh/id_ed25519")),
            import().read(&home(".ssh/id_ed25519.pub")),
        ),
        (
            "home-swept",
            many(import(), 24, |w, n| {
                w.read(&format!("/home/dev/d{}/{n}.txt", n % 7))
            }),
            many(import(), 40, |w, n| {
                w.read(&format!("/home/dev/.cache/sample/{n}.txt"))
            })
            .list("/home/dev/x"),
        ),
        (
            "many-tools-secrets-read",
            import().read(aws).read(&home(".pypirc")).read(&home(".npmrc")),
            import()
                .read(aws)
                .read(aws)
                .read(&home(".docker/config.json"))
                .read(&home(".netrc")),
        ),
        (
            "browser-profile-read",
            import().read(&home(".config/google-chrome/Default/Login Data")),
            import().look(&home(".config/google-chrome/Default/Login Data")),
        ),
        (
            "wallets-probed",
            import()
                .look(&home(".electrum/wallets"))
                .tries(
                    Deed::Look {
                        path: home(".config/Exodus/exodus.wallet").into(),
                    },
                    Result::Failed("ENOENT".into()),
                )
                .look(&home(".ethereum/keystore")),
            import()
                .look(&home(".electrum/wallets"))
                .look(&home(".electrum/config"))
                .look(&home(".bitcoin"))
                .look(&home(".ethereum"))
                .look(&home(".config/sample")),
        ),
        (
            "keyring-asked",
            import().unix("/run/user/1000/bus"),
            import().unix("/run/uuidd/request"),
        ),
        (
            "kubernetes-secrets-asked",
            import().asks("GET", "kubernetes.example", "/api/v1/namespaces/x/secrets", ""),
            import().asks("GET", "kubernetes.example", "/api/v1/nodes", ""),
        ),
        (
            "service-account-token-read",
            import().read("/var/run/secrets/kubernetes.io/serviceaccount/token"),
            import().look("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        ),
        (
            "cloud-metadata-asked",
            World::of("build").talks(
                "metadata",
                "169.254.169.254",
                80,
                "",
                "GET",
                "/latest/meta-data/iam/",
                "",
            ),
            World::of("build").talks("http", "169.254.1.1", 80, "", "GET", "/", ""),
        ),
        (
            "cloud-metadata-named",
            import().resolves("metadata.google.internal"),
            import().resolves("metadata.example"),
        ),
        (
            "docker-socket-used",
            import().unix("/var/run/docker.sock"),
            import().look("/var/run/docker.sock"),
        ),
        (
            "privileged-container",
            fails(import(), "docker run --privileged -v /:/host none.example/none"),
            fails(import(), "docker run -v /data:/data none.example/none"),
        ),
        (
            "machine-facts-sent",
            World::of("build")
                .asks("GET", "probe.example", "/ping", "")
                .with_secret("machine.host"),
            World::of("build").asks("GET", "probe.example", "/ping", ""),
        ),
        (
            "machine-facts-named",
            import().asks("GET", "probe.example", "/ping?host=abc&user=def", ""),
            import().asks(
                "POST",
                "telemetry.example",
                "/",
                r#"{"library": "sample", "version": "1.0"}"#,
            ),
        ),
        (
            "decoy-sent",
            World::of("test")
                .asks("POST", "a.example", "/", "x")
                .with_secret("env.GITHUB_TOKEN"),
            World::of("test")
                .asks("POST", "a.example", "/", "x")
                .with_secret("machine.host"),
        ),
        (
            "decoy-in-arguments",
            argument(import().runs("git clone https://x@git.example/")),
            import().runs("git clone https://x@git.example/"),
        ),
        (
            "decoy-written",
            import().uses("env.GITHUB_TOKEN", written("/tmp/x")),
            import().uses("machine.host", written("/tmp/x")),
        ),
        (
            "decoy-printed",
            import().uses("env.GITHUB_TOKEN", printed()),
            import().uses("machine.host", printed()),
        ),
        (
            "sources-taken",
            import()
                .read(&home("projects/app/app.py"))
                .read(&home("projects/app/settings.py"))
                .asks("POST", "a.example", "/", "zip"),
            import()
                .read(&home("src/app.py"))
                .read(&home("src/settings.py"))
                .asks("POST", "a.example", "/", "zip"),
        ),
        (
            "start-acts",
            World::of("start").resolves("a.example"),
            World::of("start").runs("/home/dev/venv/bin/python -S /.pyti/probes/start.py 3 audit"),
        ),
        (
            "start-writes",
            World::of("start").write(&home(".config/x")),
            World::of("start").write(&home("venv/lib/python3.13/site-packages/a/__pycache__/b.pyc")),
        ),
        (
            "start-runs-code",
            path_file(
                "import sample\n",
                Start {
                    new_modules: vec!["sample".into()],
                    ..Start::default()
                },
            ),
            path_file(
                "import __editable___sample_1_0_finder; __editable___sample_1_0_finder.install()\n",
                Start {
                    new_modules: vec!["__editable___sample_1_0_finder".into()],
                    new_paths: vec!["/home/dev/src".into()],
                    ..Start::default()
                },
            ),
        ),
        (
            "pth-written",
            import().write(&format!("{SITE}/x.pth")),
            World::of("install").write(&format!("{SITE}/x.pth")),
        ),
        (
            "sitecustomize-written",
            import().write(&format!("{SITE}/sitecustomize.py")),
            import().read(&format!("{SITE}/sitecustomize.py")),
        ),
        (
            "shell-startup-written",
            World::of("install").rename("/home/dev/.bashrc.new", "/home/dev/.bashrc"),
            World::of("install").write(&home(".bashrc.d")),
        ),
        (
            "cron-changed",
            fails(import(), "crontab -"),
            import().look("/etc/cron.d/x"),
        ),
        (
            "systemd-unit-written",
            import().write(&home(".config/systemd/user/sysmon.service")),
            import().write(&home(".config/sample/sysmon.service")),
        ),
        (
            "systemd-unit-enabled",
            import().runs("systemctl --user enable sysmon.service"),
            import().runs("systemctl --user status"),
        ),
        (
            "autostart-written",
            import().write(&home(".config/autostart/x.desktop")),
            import().write(&home(".local/share/applications/x.desktop")),
        ),
        (
            "authorized-keys-written",
            import().write(&home(".ssh/authorized_keys")),
            import().read(&home(".ssh/authorized_keys")),
        ),
        (
            "preload-written",
            import().tries(
                Deed::Truncate {
                    path: "/etc/ld.so.preload".into(),
                },
                Result::Failed("EACCES".into()),
            ),
            import().read("/etc/ld.so.preload"),
        ),
        (
            "preload-set",
            import().does(preloaded("LD_PRELOAD")),
            import().does(preloaded("LD_LIBRARY_PATH")),
        ),
        (
            "git-hooks-written",
            import().write(&home("projects/app/.git/hooks/pre-commit")),
            World::of("test")
                .write("/tmp/x/.git/hooks/pre-commit")
                .write(&home("projects/app/.git/hooks/pre-commit.sample")),
        ),
        (
            "assistant-config-written",
            import().write(&home(".claude/CLAUDE.md")),
            import().write(&home("src/CLAUDE.md")),
        ),
        (
            "foreign-files-overwritten",
            import().changes(&format!("{SITE}/other/core.py"), Changed::Modified, 4000),
            installed()
                .changes(&format!("{SITE}/other/new.py"), Changed::Added, 4000)
                .changes(&format!("{SITE}/tests/test_a.py"), Changed::Modified, 4000)
                .changes(&format!("{SITE}/sample/x.py"), Changed::Modified, 4000)
                .changes(
                    &format!("{SITE}/other/__pycache__/a.pyc"),
                    Changed::Modified,
                    4000,
                ),
        ),
        (
            "foreign-package-overwritten",
            World::of("install").changes(&format!("{SITE}/other/__init__.py"), Changed::Modified, 4000),
            World::of("install").changes(&format!("{SITE}/google/__init__.py"), Changed::Modified, 80),
        ),
        (
            "foreign-files-written",
            import().write("/usr/lib/python3.13/os.py"),
            import().write("/usr/lib/python3.13/__pycache__/os.cpython-313.pyc.123"),
        ),
        (
            "command-jacking",
            World::of("install").installs(script("ls")),
            World::of("install").installs(script("sample")),
        ),
    ]
}
