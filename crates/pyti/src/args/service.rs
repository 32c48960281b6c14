//! What can be typed about a service: workers, submissions, administration.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// Which controller, and by which right.
#[derive(Debug, ClapArgs)]
pub(crate) struct ControllerArgs {
    /// The controller: https://HOST:PORT, or unix:PATH. Default: the one of this user on this machine
    #[arg(long, global = true, value_name = "URL", env = "PYTI_CONTROLLER")]
    pub(crate) controller: Option<String>,
    /// Believe only the authority with this certificate (SHA-256), in the place of the usual ones
    #[arg(long, global = true, value_name = "SHA256", env = "PYTI_AUTHORITY")]
    pub(crate) authority: Option<String>,
    /// Read the API token from a file; - is standard input. Default: the variable `PYTI_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How soon a job's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorityName {
    /// Somebody waits
    Interactive,
    /// As any release
    Release,
    /// When there is time
    Retest,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SubmitArgs {
    /// A name, name[extra], name==version, a wheel, an sdist, the address of a file in the index, or a digest
    #[arg(required_unless_present = "list")]
    pub(crate) targets: Vec<String>,
    /// Read targets from a file, one a line
    #[arg(short = 'f', long = "list", value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// An interpreter: 3.13, 3.13t, pypy3.10; several give one job each
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Vec<String>,
    /// Leave out a task: build, start, import, test…
    #[arg(long, value_name = "TASK")]
    pub(crate) skip: Vec<String>,
    /// A variable for the package's own commands
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Allow pre-releases
    #[arg(long)]
    pub(crate) pre: bool,
    /// Only what was uploaded before this moment (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    pub(crate) exclude_newer: Option<String>,
    /// Do not watch what the package does: no verdict
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// How soon its turn comes
    #[arg(long, value_enum)]
    pub(crate) priority: Option<PriorityName>,
    /// Test again what was tested
    #[arg(long)]
    pub(crate) again: bool,
    /// Wait for the end, and show what it came to
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print JSON: one object for each target, or with --wait for each job
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) controller: ControllerArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    /// Jobs; without any, the whole service is shown
    pub(crate) jobs: Vec<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) controller: ControllerArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WatchArgs {
    /// Only of this project
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Begin after the result of this number. Default: after the newest
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<i64>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// End when there are no more for now
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) controller: ControllerArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) controller: ControllerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// List workers, let new ones in, hold, drain, resume or revoke them
    Workers {
        #[command(subcommand)]
        command: Option<AdminWorkers>,
    },
    /// List, make or take back API tokens
    Tokens {
        #[command(subcommand)]
        command: Option<AdminTokens>,
    },
    /// List jobs that were given up or are being done, cancel them or do them again
    Jobs {
        #[command(subcommand)]
        command: Option<AdminJobs>,
    },
    /// Show what the feeds are at
    Feed,
    /// Check, back up, restore or prune the store
    #[command(subcommand)]
    Store(AdminStore),
    /// Show who did what, newest first
    Audit {
        /// Only lines before this number
        #[arg(long, value_name = "LINE")]
        before: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminWorkers {
    /// List them
    List,
    /// Make a join token for a new worker, good once
    Invite {
        /// Only for a worker of this name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Good for so long. Default: a day
        #[arg(long, value_name = "HOURS")]
        hours: Option<u64>,
    },
    /// List join tokens that nobody has used
    Invitations,
    /// Take a join token back
    Uninvite {
        /// Its id
        id: String,
    },
    /// Trust a worker that waits
    Approve {
        /// Its name
        worker: String,
    },
    /// Give it no new jobs until it is resumed
    Hold {
        /// Its name
        worker: String,
    },
    /// Give it no new jobs, and let it end
    Drain {
        /// Its name
        worker: String,
    },
    /// Let it go on
    Resume {
        /// Its name
        worker: String,
    },
    /// Send it away for good
    Revoke {
        /// Its name
        worker: String,
        /// Test again what it ever delivered
        #[arg(long)]
        retest: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminTokens {
    /// List them, never their texts
    List,
    /// Make one
    Create {
        /// Whose it is
        name: String,
        /// What it may
        #[arg(long, value_enum, required = true)]
        scope: Vec<ScopeName>,
        /// Good for so long. Default: a year
        #[arg(long, value_name = "DAYS")]
        days: Option<u64>,
    },
    /// Take one back
    Revoke {
        /// Its id
        id: String,
    },
}

/// What a token may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeName {
    /// Submit jobs and cancel them
    Submit,
    /// Everything
    Admin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminJobs {
    /// List those that were given up, or that a worker holds
    List {
        /// Those of this worker
        #[arg(long, value_name = "NAME")]
        worker: Option<String>,
    },
    /// List queues
    Queues,
    /// Do a job again
    Requeue {
        /// Its number
        job: u64,
    },
    /// Cancel a job
    Cancel {
        /// Its number
        job: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminStore {
    /// Look for damage
    Check {
        /// Read the content of every blob too
        #[arg(long)]
        deep: bool,
        /// In a folder of data that nothing serves
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Make a backup, or bring one up to date
    Backup {
        /// Its name among the controller's backups; with --data a folder
        name: String,
        /// Of a folder of data that nothing serves
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Make a folder of data from a backup
    Restore {
        /// The backup
        from: PathBuf,
        /// The folder of data; it must be empty or not there
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Delete what is past its time
    Prune {
        /// Days for recordings of what failed
        #[arg(long, value_name = "DAYS")]
        long_days: Option<u32>,
        /// Days for recordings of what passed, and captured files
        #[arg(long, value_name = "DAYS")]
        short_days: Option<u32>,
        /// In a folder of data that nothing serves
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WorkerArgs {
    /// The controller: https://HOST:PORT, or unix:PATH for one on this machine
    #[arg(long, value_name = "URL", env = "PYTI_CONTROLLER")]
    pub(crate) controller: String,
    /// A join token; other users of this machine see arguments, so better give it by --join-file or `PYTI_JOIN_TOKEN`
    #[arg(long, value_name = "TOKEN", conflicts_with = "join_file")]
    pub(crate) join: Option<String>,
    /// Read the join token from a file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) join_file: Option<PathBuf>,
    /// Believe only the authority with this certificate (SHA-256). Default: the one that the join token names
    #[arg(long, value_name = "SHA256", env = "PYTI_AUTHORITY")]
    pub(crate) authority: Option<String>,
    /// The name of this worker. Default: that of the machine
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Jobs at once. Default: half of the cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) slots: Option<u16>,
    /// Where its key and what it has not delivered yet are kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Offer only these interpreters. Default: all that are found
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Vec<String>,
    /// Base address of the index that dependencies come from
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Fetch nothing from the index: use what is cached
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the log of the service is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    Text,
    /// One object a line
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Where everything is kept. Default: service, in the user's data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where to listen, separated by commas. Default: 127.0.0.1:8021
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Start no worker on this machine
    #[arg(long)]
    pub(crate) no_worker: bool,
    /// The configuration file. Default: serve.toml in the folder of data
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// How the log is written
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) log: Option<LogForm>,
}
