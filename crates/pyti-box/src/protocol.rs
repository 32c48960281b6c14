//! The methods of the Raw Data API.
//!
//! | direction | name | what |
//! |---|---|---|
//! | worker → agent | `job.run` | do this job; the answer comes when all tasks have ended |
//! | worker → agent | `job.cancel` | stop, in order |
//! | agent → worker | `event` | raw data and everything else that happened, as it happens |
//! | agent → worker | `view.open` | show the index with these local files beside it |
//! | agent → worker | `provide` | fetch (and where needed build) everything in this lock |
//! | agent → worker | `environment.commit` | keep the environment that was made |
//! | agent → worker | `blob.put` | keep these bytes: a wheel that was built |
//! | agent → worker | `tunnel.open` | let a connection through to a host that the plan allows |
//! | both ways | `tunnel.data` | what is said on it |
//! | agent → worker | `terminal.opened` | the shell that was asked for runs |
//! | agent → worker | `terminal.output` | what it wrote |
//! | worker → agent | `terminal.input` | what was typed |
//! | worker → agent | `terminal.size` | its window has another size now |
//!
//! Paths are those of the agent's own root, which both sides agree on: see the constants.

use pyti_model::Digest;
use pyti_model::effect::{Exit, Limit};
use pyti_model::event::Envelope;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::Reason;
use pyti_model::plan::{Plan, Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rpc::{Method, Notification};

/// The PyTI program itself, for the verbs that read archives.
pub const PROGRAM: &str = "/.pyti/pyti";
/// The uv program.
pub const UV: &str = "/.pyti/uv";
/// Files of the content-addressed store: `/cache/<2 hex>/<sha256>/<file name>`.
pub const CACHE: &str = "/cache";
/// Environments that are ready: `/env/<key>`.
pub const ENVIRONMENTS: &str = "/env";
/// Where the agent leaves environments that it made: `/stage/<key>`.
pub const STAGE: &str = "/stage";
/// The environment of the distribution under test, in its box.
pub const VENV: &str = "/home/dev/venv";
/// Its interpreter.
pub const PYTHON: &str = "/home/dev/venv/bin/python";
/// A source tree, in its box.
pub const SOURCE: &str = "/home/dev/src";

/// Do this job.
pub struct RunJob;

impl Method for RunJob {
    const NAME: &'static str = "job.run";
    type Params = JobOrder;
    type Answer = JobDone;
}

/// What the agent shall do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobOrder {
    /// What to test, and how.
    pub plan: Plan,
    /// The file under test, in the agent's root.
    pub target: String,
    /// The companion, in the agent's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<String>,
    /// The published wheel to compare with, in the agent's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Host of the configured index, for decoys that name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_host: Option<String>,
    /// Version of uv, for the records.
    pub uv_version: String,
    /// pip's own wheel, for `--installer pip`, in the agent's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pip_wheel: Option<String>,
    /// End after this task and what it needs: to build a dependency, or to open a shell there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// When all tasks have ended, open a shell on the layers that one of them left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellOrder>,
    /// Tasks at once.
    pub at_once: u32,
    /// The box shares no folders with the worker: environments are made anew, and none is kept.
    #[serde(default)]
    pub apart: bool,
    /// Number of the first event, and microseconds since the recording began.
    pub first_event: u64,
    /// Microseconds on the clock of the recording when the order was given.
    pub began_us: u64,
}

/// All tasks have ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobDone {
    /// Events that were sent, so that the worker notices when some are missing.
    pub events: u64,
    /// How the shell ended, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<ShellEnd>,
}

/// A shell in a box.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShellOrder {
    /// The task whose layers it sees.
    pub after: String,
    /// Its terminal, which is the box's own; without one it reads and writes pipes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalOrder>,
}

/// A terminal of the box's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TerminalOrder {
    /// `TERM`.
    pub kind: String,
    /// How big it is.
    pub size: WindowSize,
}

/// Size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// How a shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShellEnd {
    /// How its process ended.
    pub exit: Exit,
    /// The limit that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// The shell runs: input is taken from now on.
pub struct TerminalOpened;

impl Notification for TerminalOpened {
    const NAME: &'static str = "terminal.opened";
    type Params = ();
}

/// The shell, or what it started, wrote something.
pub struct TerminalOutput;

impl Notification for TerminalOutput {
    const NAME: &'static str = "terminal.output";
    type Params = OutputPart;
}

/// A piece of output.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OutputPart {
    /// Where it was written to. A terminal has only one place.
    pub stream: OutputStream,
    /// The bytes, at most 64 KiB.
    pub bytes: Foreign,
}

/// Where output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output, or the terminal.
    Out,
    /// Standard error.
    Err,
}

/// Something was typed.
pub struct TerminalInput;

impl Notification for TerminalInput {
    const NAME: &'static str = "terminal.input";
    type Params = InputPart;
}

/// A piece of input.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct InputPart {
    /// The bytes, at most 64 KiB.
    pub bytes: Foreign,
    /// Whether nothing follows: a pipe is closed then.
    #[serde(default)]
    pub last: bool,
}

/// The terminal has another size now.
pub struct TerminalSize;

impl Notification for TerminalSize {
    const NAME: &'static str = "terminal.size";
    type Params = WindowSize;
}

/// Let a connection through to a host of the real network. Refused when the plan does not allow it.
pub struct OpenTunnel;

impl Method for OpenTunnel {
    const NAME: &'static str = "tunnel.open";
    type Params = TunnelOrder;
    type Answer = ();
}

/// A connection that shall be let through.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TunnelOrder {
    /// The agent's number for it.
    pub tunnel: u64,
    /// The host, as the plan writes it.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Something was said on a connection that is let through.
pub struct TunnelData;

impl Notification for TunnelData {
    const NAME: &'static str = "tunnel.data";
    type Params = TunnelPart;
}

/// A piece of what was said.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TunnelPart {
    /// Which connection.
    pub tunnel: u64,
    /// The bytes, at most 64 KiB.
    pub bytes: Foreign,
    /// Whether this side says no more.
    #[serde(default)]
    pub last: bool,
}

/// Stop: running commands are ended, nothing new begins.
pub struct CancelJob;

impl Notification for CancelJob {
    const NAME: &'static str = "job.cancel";
    type Params = ();
}

/// Something happened.
pub struct Happened;

impl Notification for Happened {
    const NAME: &'static str = "event";
    type Params = Envelope;
}

/// Show the index to uv.
pub struct OpenView;

impl Method for OpenView {
    const NAME: &'static str = "view.open";
    type Params = ViewOrder;
    type Answer = View;
}

/// What the view of the index shall hold besides the index.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ViewOrder {
    /// Files that exist only here: the distribution under test, with its metadata. They replace what the index has
    /// for that version.
    pub offered: Vec<Offered>,
}

/// A file that exists only here.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    /// Project name, normalised.
    pub name: String,
    /// Version.
    pub version: String,
    /// Wheel file name.
    pub filename: String,
    /// Core metadata.
    pub metadata: Foreign,
    /// Its digest.
    pub sha256: Digest,
}

/// A view of the index.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// Path below the lens: `/s/…/simple/`.
    pub path: String,
}

/// Fetch what is in a lock.
pub struct ProvideFiles;

impl Method for ProvideFiles {
    const NAME: &'static str = "provide";
    type Params = ProvideOrder;
    type Answer = Provided;
}

/// What to fetch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProvideOrder {
    /// What for.
    pub purpose: Purpose,
    /// The requirement lines that were locked.
    pub requirements: Vec<String>,
    /// What uv made of them over the lens: pylock.toml, with the lens's addresses.
    pub index_lock: String,
    /// The view it was made over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Names whose files are not wanted, because they are installed from elsewhere: the distribution under test.
    pub without: Vec<String>,
}

/// What was fetched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Provided {
    /// What is to be installed: pylock.toml with paths and digests of wheels.
    pub box_lock: String,
    /// What the index gave, with addresses that mean something outside.
    pub index_lock: String,
    /// Name of the environment made from it.
    pub environment: String,
    /// Whether that environment is there already, at `/env/<key>`.
    pub ready: bool,
    /// Packages: name and version.
    pub packages: Vec<(String, String)>,
    /// Files fetched now.
    pub fetched: u32,
    /// Files that were in the cache.
    pub cached: u32,
    /// Wheels built now from sdists.
    pub built: u32,
    /// What the lens left out or rewrote, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Why it could not be done, if it could not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Reason>,
}

/// An environment is complete at `/stage/<key>`.
pub struct CommitEnvironment;

impl Method for CommitEnvironment {
    const NAME: &'static str = "environment.commit";
    type Params = EnvironmentKey;
    type Answer = ();
}

/// Name of an environment: 64 hexadecimal digits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentKey {
    /// The digits; a digest, so that it can be no path.
    pub key: Digest,
}

/// Keep these bytes.
pub struct PutBlob;

impl Method for PutBlob {
    const NAME: &'static str = "blob.put";
    type Params = BlobPart;
    type Answer = Stored;
}

/// Where the bytes are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// Path in the agent's root, once the last part has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Bytes of one part of a blob, base64 on the wire when they are no text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BlobPart {
    /// What it is: a file name.
    pub name: Foreign,
    /// Digest of the whole.
    pub sha256: Digest,
    /// Where this part begins.
    pub offset: u64,
    /// The bytes, at most 1 MiB.
    pub bytes: Foreign,
    /// Whether this is the last part.
    pub last: bool,
}
