//! Methods for who runs the service.

use pyti_dispatch::{JobId, Needs, Offers, Order, Standing, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::JobView;
use crate::method::{Nothing, methods};
use crate::secret::Secret;
use crate::trust::{PublicKey, Scope};

methods! {
    /// How the controller is doing.
    Status = "admin.status", Admin, reads: true, Nothing => StatusView;
    /// Every worker.
    Workers = "admin.workers", Admin, reads: true, Nothing => WorkersAnswer;
    /// Trusts a worker that waits.
    Approve = "admin.worker.approve", Admin, reads: false, WorkerParams => Nothing;
    /// Holds a worker, drains it, or lets it go on.
    OrderWorker = "admin.worker.order", Admin, reads: false, OrderParams => Nothing;
    /// Sends a worker away for good: nothing of it is taken any more, its jobs go to others. Its results are listed for a re-test.
    Revoke = "admin.worker.revoke", Admin, reads: false, RevokeParams => Revoked;
    /// Makes a join token, good once.
    CreateJoin = "admin.join.create", Admin, reads: false, CreateJoinParams => CreatedJoin;
    /// Join tokens that nobody has used yet.
    Joins = "admin.join.list", Admin, reads: true, Nothing => TokensAnswer;
    /// Takes a join token back.
    RevokeJoin = "admin.join.revoke", Admin, reads: false, TokenParams => Nothing;
    /// Makes an API token.
    CreateToken = "admin.token.create", Admin, reads: false, CreateTokenParams => CreatedToken;
    /// Every API token; never its text.
    Tokens = "admin.token.list", Admin, reads: true, Nothing => TokensAnswer;
    /// Takes an API token back.
    RevokeToken = "admin.token.revoke", Admin, reads: false, TokenParams => Nothing;
    /// Every queue and how long it is.
    Queues = "admin.queues", Admin, reads: true, Nothing => QueuesAnswer;
    /// Jobs that were given up, or those that a worker holds.
    Jobs = "admin.jobs", Admin, reads: true, JobsParams => JobsAnswer;
    /// Does a job again, as a new generation.
    Requeue = "admin.job.requeue", Admin, reads: false, JobParams => Requeued;
    /// Looks for damage in the store, in the background of what it serves.
    CheckStore = "admin.store.check", Admin, reads: true, CheckParams => Checked;
    /// Makes a backup, or brings one up to date, in the folder that is configured for them.
    Backup = "admin.store.backup", Admin, reads: false, BackupParams => BackedUp;
    /// Deletes what is past its time.
    Prune = "admin.store.prune", Admin, reads: false, PruneParams => PrunedAnswer;
    /// Who did what, newest first.
    Audit = "admin.audit", Admin, reads: true, AuditParams => AuditAnswer;
}

/// Of `admin.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Version of the program.
    pub version: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: u64,
    /// Whether it is stopping.
    pub stopping: bool,
    /// Transactions since the start.
    pub commits: u64,
    /// Works in them.
    pub works: u64,
    /// Size of the database, bytes.
    pub database_bytes: u64,
    /// Size of the write-ahead log, bytes.
    pub wal_bytes: u64,
    /// Free bytes where the data is.
    pub free_bytes: u64,
    /// Files that wait to be captured.
    pub to_capture: u64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    /// Its name.
    pub worker: WorkerId,
    /// Whether it gets jobs.
    pub standing: Standing,
    /// What it has.
    pub offers: Offers,
    /// Its newest start.
    pub boot: u64,
    /// Bad ends among its last eight.
    pub bad: u32,
    /// Jobs that it holds.
    pub held: u32,
    /// Version of its program, as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it was last heard of, milliseconds since 1970; absent since the controller's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
}

/// Of `admin.workers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkersAnswer {
    /// All.
    pub workers: Vec<WorkerView>,
}

/// Names a worker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkerParams {
    /// Which.
    pub worker: WorkerId,
}

/// Of `admin.worker.order`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OrderParams {
    /// Which.
    pub worker: WorkerId,
    /// What.
    pub order: Order,
}

/// Of `admin.worker.revoke`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RevokeParams {
    /// Which.
    pub worker: WorkerId,
    /// Whether everything that it ever delivered is tested again.
    #[serde(default)]
    pub retest: bool,
}

/// Of `admin.worker.revoke`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// Jobs that it held and that are queued again.
    pub requeued: Vec<JobId>,
    /// Jobs that it delivered earlier, the first thousand.
    pub delivered: Vec<JobId>,
    /// Jobs that were made to test those again.
    pub retested: u64,
}

/// Of `admin.join.create`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreateJoinParams {
    /// Seconds that it is good for; a day if absent, a month at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_s: Option<u64>,
    /// The only worker that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
}

/// Of `admin.join.create`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreatedJoin {
    /// Its public name, to take it back.
    pub id: String,
    /// Its text. It is shown this once.
    pub token: Secret,
    /// Until when it is good, milliseconds since 1970.
    pub until_ms: u64,
}

/// Of `admin.token.create`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreateTokenParams {
    /// Whose it is, for people and the audit log; 1 to 64 bytes.
    pub name: String,
    /// What it lets its holder do.
    pub scopes: Vec<Scope>,
    /// Seconds that it is good for; a year if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_s: Option<u64>,
}

/// Of `admin.token.create`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// Its public name, to take it back.
    pub id: String,
    /// Its text. It is shown this once.
    pub token: Secret,
    /// Until when it is good, milliseconds since 1970.
    pub until_ms: u64,
}

/// A token without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its public name.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it lets its holder do; nothing for a join token.
    pub scopes: Vec<Scope>,
    /// Until when it is good, milliseconds since 1970.
    pub until_ms: u64,
}

/// Of `admin.token.list` and `admin.join.list`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokensAnswer {
    /// All.
    pub tokens: Vec<TokenView>,
}

/// Names a token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenParams {
    /// Its public name.
    pub id: String,
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    /// What a worker must have.
    pub needs: Needs,
    /// Jobs that can be had.
    pub queued: u64,
    /// Jobs that are being done.
    pub leased: u64,
    /// Jobs that wait for their file or after a failure.
    pub waiting: u64,
    /// How long the oldest queued one waits, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
    /// Workers that could take its jobs.
    pub workers: u32,
}

/// Of `admin.queues`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueuesAnswer {
    /// All.
    pub queues: Vec<QueueView>,
}

/// Of `admin.jobs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JobsParams {
    /// Those that this worker holds; without it, those that were given up, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// Only those before this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<JobId>,
}

/// Of `admin.jobs`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobsAnswer {
    /// At most 200.
    pub jobs: Vec<JobView>,
}

/// Names a job.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobParams {
    /// Which.
    pub job: JobId,
}

/// Of `admin.job.requeue`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Requeued {
    /// The job of the new generation.
    pub job: JobId,
    /// Whether it was made now.
    pub new: bool,
}

/// Of `admin.store.check`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct CheckParams {
    /// Whether the content of every blob is read too.
    #[serde(default)]
    pub deep: bool,
}

/// Of `admin.store.check`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// What is not as it should be; the first thousand.
    pub problems: Vec<String>,
}

/// Of `admin.store.backup`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BackupParams {
    /// Its name: a folder among the backups. The same again is brought up to date.
    pub name: String,
}

/// Of `admin.store.backup`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BackedUp {
    /// Where it is on the controller's machine.
    pub folder: String,
    /// Size of its database, bytes.
    pub database_bytes: u64,
    /// Blobs that it names.
    pub blobs: u64,
    /// Of those, copied now.
    pub copied: u64,
    /// Blobs that could not be copied because they are missing or damaged.
    pub unsound: u64,
}

/// Of `admin.store.prune`: days after which blobs go; the configured ones where absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PruneParams {
    /// Of what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_days: Option<u32>,
    /// Of what passed, and captured files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_days: Option<u32>,
}

/// Of `admin.store.prune`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PrunedAnswer {
    /// Blobs past their time.
    pub old: u64,
    /// Files that no row names.
    pub orphans: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Segments of leases that are over.
    pub segments: u64,
}

/// Of `admin.audit`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditParams {
    /// Only lines before this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// Its number.
    pub id: i64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// Did what.
    pub what: String,
    /// To whom.
    pub detail: String,
}

/// Of `admin.audit`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditAnswer {
    /// At most 200.
    pub lines: Vec<AuditLine>,
}
