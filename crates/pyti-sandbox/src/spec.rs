//! What a job and a command may be told.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use pyti_model::effect::Limits;
use pyti_model::trace::Form;
use pyti_sink::Simulation;
use serde::{Deserialize, Serialize};

use crate::layer::{Layer, StoreKind};

/// What the agent's root shows, and what the whole job may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSpec {
    /// Besides `/usr`. Those whose source and target are the same place, here or in the image, are shown to every command
    /// too.
    pub binds: Vec<Bind>,
    /// The program itself; it is at `/.pyti/pyti` inside.
    pub program: PathBuf,
    /// Bytes of memory that all layers may take together.
    pub layers_bytes: u64,
    /// Files and folders that all layers may hold together.
    pub layers_inodes: u64,
    /// Bytes of memory that the whole job may take, layers included; enforced where control groups can be had.
    pub memory_bytes: u64,
    /// How layers are kept; `None` finds out what the kernel can.
    pub store: Option<StoreKind>,
    /// The root folder of an image whose `/usr` and `/etc` are shown; `None` shows this machine's.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Devices that the agent's root has besides the usual ones. Boxes do not have them.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
}

/// A file or folder shown at another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is. For a job: on the host; for a command: in the agent's root.
    pub source: PathBuf,
    /// Where it is shown.
    pub target: PathBuf,
    /// Whether it may be written.
    pub writable: bool,
}

/// One command, to be run in a box of its own.
pub struct Command {
    /// Program and arguments. A program without a slash is looked for along the command's own PATH.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working folder.
    pub cwd: PathBuf,
    /// What standard input gives.
    pub stdin: Vec<u8>,
    /// Where standard input is read from, in the place of `stdin`: the reading end of a pipe.
    pub input: Option<OwnedFd>,
    /// What the root is made of, newest first.
    pub lowers: Vec<Lower>,
    /// Which network it sees.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
    /// Files and folders of the agent's root, shown read-only.
    pub binds: Vec<Bind>,
    /// Whether the pipe for results is open at [`crate::RESULTS_FD`].
    pub results: bool,
    /// Most bytes of results.
    pub results_cap: usize,
    /// Seconds that processes are watched which outlive the first one.
    pub linger_s: f32,
    /// Host name.
    pub host_name: String,
    /// A terminal for standard input, output and error.
    pub terminal: Option<OwnedFd>,
    /// Called with every piece of output, as it comes.
    pub on_output: Option<Listener>,
    /// How much of what its processes do is recorded.
    pub trace: Form,
    /// Files and folders at or below which everything is listed that is recorded: decoys, home. In the light form, opens
    /// of those that are files are recorded besides, without the process.
    pub watched: Vec<PathBuf>,
    /// Folders of environments: code that is read there, and bytecode that is written, is only counted. Of two that
    /// hold a path, of these and of `watched`, the longer one decides.
    pub quiet: Vec<PathBuf>,
    /// Folders that the command is there to fill (an installer's): what is written there is only counted, since the
    /// changes list it.
    pub filled: Vec<PathBuf>,
}

/// Who hears output while it comes.
pub type Listener = Arc<dyn Fn(Stream, &[u8]) + Send + Sync>;

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Command {
    /// A command without network, with the default limits, on an empty root.
    pub fn new<I: IntoIterator<Item = S>, S: Into<OsString>>(argv: I) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: PathBuf::from("/home/dev"),
            stdin: Vec::new(),
            input: None,
            lowers: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
            binds: Vec::new(),
            results: false,
            results_cap: 16 << 20,
            linger_s: 2.0,
            host_name: "workstation".to_owned(),
            terminal: None,
            on_output: None,
            trace: Form::None,
            watched: Vec::new(),
            quiet: vec![PathBuf::from("/home/dev/venv")],
            filled: Vec::new(),
        }
    }
}

/// One part of a root.
#[derive(Clone)]
pub enum Lower {
    /// What a command changed, or files that were given.
    Layer(Layer),
    /// A folder of the agent's root, laid over the box's root.
    Folder(PathBuf),
}

/// Which network a command sees.
#[derive(Debug, Clone)]
pub enum Network {
    /// Only its own loopback.
    None,
    /// An ordinary machine behind a router that loses every packet; names do not exist. All of it is recorded.
    Silent,
    /// An ordinary machine behind a router that answers for everybody: no packet leaves, and what was said is recorded.
    Simulate(Arc<Simulation>),
    /// The job's own loopback, where the lens listens. For uv only: never for code of a package.
    Lens,
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Simulate(one), Self::Simulate(other)) => Arc::ptr_eq(one, other),
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Network {}
