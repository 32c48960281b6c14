//! Answers the host.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pyti_model::foreign::Foreign;
use pyti_sandbox::{Bind, JobSpec, LaunchError};
use rustix::mount::MountFlags;

use super::boot::{self, At as _, BASE, PROGRAM, Step};
use super::mux::{Mux, lock};
use crate::calibrate;
use crate::control::{Ask, Asked, Tell, VERSION};
use crate::frame::{self, AGENT, CONTROL, Frame};

/// Where the job's disk is mounted.
const JOB: &str = "/job";
/// The cache of the job: its disk, and what came since.
const CACHE: &str = "/run/cache";
/// How often the guest says that it lives.
const BEAT: Duration = Duration::from_secs(2);

struct Guest {
    mux: Arc<Mux>,
    agent: String,
    job: Mutex<Option<pyti_sandbox::Job>>,
    modules: Mutex<BTreeSet<String>>,
    next_lens: AtomicU32,
}

/// Serves until the port is gone.
pub(crate) fn serve(port: File, agent: &str) -> Result<(), Step> {
    let mut reader = port.try_clone().at("opening the port to the host")?;
    let mux = Arc::new(Mux::new(port));
    let guest = Arc::new(Guest {
        mux: Arc::clone(&mux),
        agent: agent.to_owned(),
        job: Mutex::new(None),
        modules: Mutex::default(),
        next_lens: AtomicU32::new(2),
    });
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime
        .split(' ')
        .next()
        .and_then(|s| s.parse::<f64>().ok())
        .unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an uptime is neither"
    )]
    let hello = Tell::Hello {
        version: VERSION,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        uptime_ms: (seconds * 1000.0) as u64,
    };
    mux.tell(0, hello).at("saying hello")?;
    let beating = Arc::clone(&mux);
    thread::Builder::new()
        .spawn(move || {
            loop {
                thread::sleep(BEAT);
                let _ = beating.tell(0, Tell::Alive);
            }
        })
        .at("starting a thread")?;
    loop {
        match frame::read(&mut reader) {
            Ok(Some(Frame::Data(CONTROL, bytes))) => {
                match serde_json::from_slice::<Asked>(&bytes) {
                    Ok(asked) => guest.answer(asked),
                    Err(error) => {
                        // the number alone can be read of what another version asks
                        let id = serde_json::from_slice::<serde_json::Value>(&bytes)
                            .ok()
                            .and_then(|value| u32::try_from(value.get("id")?.as_u64()?).ok());
                        let failed = Tell::Failed {
                            step: "reading a question".to_owned(),
                            errno: 0,
                            text: error.to_string(),
                        };
                        let _ = mux.tell(id.unwrap_or(0), failed);
                    }
                }
            }
            Ok(Some(Frame::Data(stream, bytes))) => mux.came(stream, bytes),
            Ok(Some(Frame::End(stream))) => mux.ended(stream),
            // nobody is at the other end yet, or not any more
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(error) => {
                return Err(Step {
                    step: "reading from the host",
                    source: io::Error::other(error),
                });
            }
        }
    }
}

impl Guest {
    fn answer(self: &Arc<Self>, asked: Asked) {
        let id = asked.id;
        // a file is taken while its bytes come, and some answers take long: the reader goes on
        if let Ask::File { stream, path, size } = asked.what {
            let (sender, receiver) = sync_channel::<Vec<u8>>(64);
            self.mux.take(stream, sender);
            self.spawn(id, move |_| take_file(&path, size, receiver).map(|()| Tell::Done));
        } else {
            let what = asked.what;
            self.spawn(id, move |guest| guest.act(what));
        }
    }

    fn spawn(
        self: &Arc<Self>,
        id: u32,
        body: impl FnOnce(&Arc<Self>) -> Result<Tell, Step> + Send + 'static,
    ) {
        let guest = Arc::clone(self);
        let spawned = thread::Builder::new().spawn(move || {
            let told = body(&guest).unwrap_or_else(|failed| Tell::Failed {
                step: failed.step.to_owned(),
                errno: failed.source.raw_os_error().unwrap_or(0),
                text: failed.source.to_string(),
            });
            let _ = guest.mux.tell(id, told);
        });
        if let Err(error) = spawned {
            let failed = Tell::Failed {
                step: "starting a thread".to_owned(),
                errno: error.raw_os_error().unwrap_or(0),
                text: error.to_string(),
            };
            let _ = self.mux.tell(id, failed);
        }
    }

    fn act(self: &Arc<Self>, what: Ask) -> Result<Tell, Step> {
        match what {
            // a file was taken before this
            Ask::Ping | Ask::File { .. } => Ok(Tell::Done),
            Ask::Calibrate { ms } => Ok(Tell::Rounds {
                per_ms: calibrate::rounds_per_ms(Duration::from_millis(u64::from(ms.min(5000)))),
            }),
            Ask::Warm { argv } => warm(&argv).map(|()| Tell::Done),
            Ask::Prepare { unix_ns, entropy } => prepare(unix_ns, &entropy).map(|()| Tell::Done),
            Ask::MountJob => mount_job().map(|()| Tell::Done),
            Ask::Open {
                layers_bytes,
                layers_inodes,
                memory_bytes,
                prefixes,
            } => {
                *lock(&self.modules) = modules();
                self.open(layers_bytes, layers_inodes, memory_bytes, &prefixes)
                    .map(|()| Tell::Done)
            }
            Ask::Facts => {
                let tainted = fs::read_to_string("/proc/sys/kernel/tainted").unwrap_or_default();
                let before = lock(&self.modules).clone();
                Ok(Tell::Facts {
                    tainted: tainted.trim().parse().unwrap_or(0),
                    modules: modules().difference(&before).take(32).cloned().collect(),
                })
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        layers_bytes: u64,
        layers_inodes: u64,
        memory_bytes: u64,
        prefixes: &[String],
    ) -> Result<(), Step> {
        let (stage, environments) = (Path::new("/run/stage"), Path::new("/run/env"));
        for folder in [stage, environments] {
            fs::create_dir_all(folder).at("making the job's folders")?;
        }
        let bind = |source: &Path, target: &str, writable| Bind {
            source: source.to_owned(),
            target: PathBuf::from(target),
            writable,
        };
        let mut binds = vec![
            bind(Path::new(CACHE), "/cache", false),
            bind(environments, "/env", false),
            bind(stage, "/stage", true),
        ];
        for prefix in prefixes {
            let source = Path::new(BASE).join(prefix.trim_start_matches('/'));
            binds.push(bind(&source, prefix, false));
        }
        let uv = Path::new(JOB).join("uv");
        if uv.is_file() {
            binds.push(bind(&uv, "/.pyti/uv", false));
        }
        let spec = JobSpec {
            binds,
            program: PathBuf::from(PROGRAM),
            layers_bytes,
            layers_inodes,
            memory_bytes,
            store: None,
            image: Some(PathBuf::from(BASE)),
            devices: Vec::new(),
        };
        let mut job = pyti_sandbox::launch(&spec, &self.agent).map_err(|error| {
            let errno = match &error {
                LaunchError::Step { errno, .. } => *errno,
                _ => 0,
            };
            Step {
                step: "opening the job",
                source: if errno == 0 {
                    io::Error::other(pyti_model::with_causes(&error))
                } else {
                    io::Error::other(error.to_string())
                },
            }
        })?;
        let channel = job.channel().at("opening the job")?;
        self.mux.join(AGENT, channel, || Ok(())).at("opening the job")?;
        if let Some(listener) = job.take_lens() {
            let guest = Arc::clone(self);
            thread::Builder::new()
                .spawn(move || guest.lens(&listener))
                .at("opening the job")?;
        }
        *lock(&self.job) = Some(job);
        let guest = Arc::clone(self);
        thread::Builder::new()
            .spawn(move || guest.watch())
            .at("opening the job")?;
        Ok(())
    }

    /// Passes on connections that uv makes to the lens.
    fn lens(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let number = self.next_lens.fetch_add(2, Ordering::Relaxed);
            let _ = stream.set_nodelay(true);
            let announce = || self.mux.tell(0, Tell::Lens { stream: number });
            if self.mux.join(number, stream, announce).is_err() {
                self.mux.ended(number);
            }
        }
    }

    /// Tells when the agent has ended.
    fn watch(self: &Arc<Self>) {
        loop {
            let ended = match &*lock(&self.job) {
                Some(job) => job.wait(Duration::from_millis(1)),
                None => return,
            };
            if ended {
                let complaint = lock(&self.job).as_ref().and_then(pyti_sandbox::Job::complaint);
                let complaint = Foreign::from(complaint.unwrap_or_default().as_str());
                let _ = self.mux.tell(0, Tell::Ended { complaint });
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn modules() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Sets the clock and reseeds the kernel's generator: clones of one template would draw the same numbers.
fn prepare(unix_ns: u64, entropy: &[u8]) -> Result<(), Step> {
    #[repr(C)]
    struct Pool {
        bits: libc::c_int,
        size: libc::c_int,
        bytes: [u8; 512],
    }
    const RNDADDENTROPY: u32 = 0x4008_5203;
    const RNDRESEEDCRNG: u32 = 0x5207;
    let time = rustix::time::Timespec {
        tv_sec: i64::try_from(unix_ns / 1_000_000_000).unwrap_or(0),
        tv_nsec: i64::try_from(unix_ns % 1_000_000_000).unwrap_or(0),
    };
    rustix::time::clock_settime(rustix::time::ClockId::Realtime, time).at("setting the clock")?;
    if entropy.len() < 32 {
        return Err(Step {
            step: "reseeding",
            source: io::Error::other("less than 32 bytes of entropy"),
        });
    }
    let mut pool = Pool {
        bits: 0,
        size: 0,
        bytes: [0; 512],
    };
    let size = entropy.len().min(pool.bytes.len());
    pool.bytes[..size].copy_from_slice(&entropy[..size]);
    pool.size = i32::try_from(size).unwrap_or(0);
    pool.bits = pool.size * 8;
    let random = File::options().write(true).open("/dev/urandom").at("reseeding")?;
    // SAFETY: the first request reads the pool that lives here, with its size; the second has no argument
    unsafe {
        if libc::ioctl(
            random.as_raw_fd(),
            libc::Ioctl::from(RNDADDENTROPY),
            &raw const pool,
        ) != 0
            || libc::ioctl(random.as_raw_fd(), libc::Ioctl::from(RNDRESEEDCRNG)) != 0
        {
            return Err(Step {
                step: "reseeding",
                source: io::Error::last_os_error(),
            });
        }
    }
    Ok(())
}

/// Looks at the job's disk anew, because a template saw another, and lays the cache over it.
fn mount_job() -> Result<(), Step> {
    const BLKFLSBUF: u32 = 0x1261;
    let device = boot::disk("job")?;
    let file = File::open(&device).at("opening the job's disk")?;
    // SAFETY: the request has no argument
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::Ioctl::from(BLKFLSBUF), 0) } != 0 {
        return Err(io::Error::last_os_error()).at("forgetting the template's disk");
    }
    boot::mount_image(&device, Path::new(JOB)).at("mounting the job's disk")?;
    let lower = Path::new(JOB).join("cache");
    for folder in [CACHE, "/run/cache.upper", "/run/cache.work"] {
        fs::create_dir_all(folder).at("making the cache")?;
    }
    if lower.is_dir() {
        let options = c"lowerdir=/job/cache,upperdir=/run/cache.upper,workdir=/run/cache.work";
        boot::mount(
            c"cache",
            Path::new(CACHE),
            c"overlay",
            MountFlags::NOSUID | MountFlags::NODEV,
            options,
        )
        .at("mounting the cache")?;
    }
    Ok(())
}

fn take_file(path: &str, size: u64, parts: std::sync::mpsc::Receiver<Vec<u8>>) -> Result<(), Step> {
    let path = Path::new(path);
    if path
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        return Err(Step {
            step: "taking a file",
            source: io::ErrorKind::InvalidInput.into(),
        });
    }
    let to = Path::new(CACHE).join(path);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).at("taking a file")?;
    }
    let mut partial = to.clone().into_os_string();
    partial.push(".partial");
    let mut file = File::create(&partial).at("taking a file")?;
    let mut got = 0;
    for part in parts {
        got += part.len() as u64;
        file.write_all(&part).at("taking a file")?;
    }
    if got != size {
        let _ = fs::remove_file(&partial);
        return Err(Step {
            step: "taking a file",
            source: io::Error::other(format!("{got} of {size} bytes came")),
        });
    }
    fs::rename(&partial, &to).at("taking a file")
}

/// Runs a program of the image, so that its pages are in memory.
fn warm(argv: &[String]) -> Result<(), Step> {
    let Some((program, arguments)) = argv.split_first() else {
        return Ok(());
    };
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .stdin(std::process::Stdio::null());
    // SAFETY: the closure makes two system calls and allocates nothing
    unsafe {
        use std::os::unix::process::CommandExt as _;
        command.pre_exec(|| {
            rustix::process::chroot(BASE)?;
            rustix::process::chdir("/")?;
            Ok(())
        });
    }
    let output = command.output().at("warming up")?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Step {
            step: "warming up",
            source: io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()),
        })
    }
}
