//! What can be typed.

mod service;

use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub(crate) use service::{
    AdminArgs, AdminCommand, AdminJobs, AdminStore, AdminTokens, AdminWorkers, ControllerArgs, LogForm,
    PriorityName, ScopeName, ServeArgs, StatusArgs, SubmitArgs, WatchArgs, WorkerArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    every job passes, loads or installs
  1    some job fails, crashes or is killed
  2    wrong use
  3    a verdict is suspicious, harmful or inconclusive
  4    nothing could be tested (every job is skip, na or broken)
  5    no box, or an error of PyTI itself
  130  interrupted
When several hold: 130, 5, 3, 1, 4, 0, in this order.";

/// Finds out what a Python distribution really does.
#[derive(Debug, Parser)]
#[command(name = "pyti", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Args {
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
    /// Only ASCII characters
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build, install, import and test distributions in a sandbox without network
    Run(Box<RunArgs>),
    /// Show what a run came to
    Report(ReportArgs),
    /// Show the output of one task
    Log(LogArgs),
    /// Get a file of a run: a built wheel, all output, the plan, the recording
    Get(GetArgs),
    /// Open a shell in a box, on the layers that a task of a run left
    Shell(ShellArgs),
    /// List, remove or prune runs
    Runs(RunsArgs),
    /// Compare two runs
    Diff(DiffArgs),
    /// Judge every file of requirements or of a lock: what a team runs before it upgrades
    Audit(AuditArgs),
    /// Judge a run or a recording again: is it safe?
    Judge(JudgeArgs),
    /// Tell what a finding rests on, event by event
    Explain(ExplainArgs),
    /// List, show or try the rules by which recordings are judged
    Rules(RulesArgs),
    /// Show how the tests of a distribution would be run, and why so
    Recipe(RecipeArgs),
    /// Measure whether a release costs more than another: start-up, import, memory, size, tests
    Perf(PerfArgs),
    /// Show, check or write overrides: what somebody says about how a project is tested
    Override {
        /// What to do
        #[command(subcommand)]
        command: OverrideCommand,
    },
    /// Try whether a box can be opened here, step by step
    Doctor,
    /// Serve: take uploads and submissions, give jobs to workers, judge, and show what came of it
    Serve(ServeArgs),
    /// Take jobs from a controller, carry them out here, and deliver what came of them
    Worker(Box<WorkerArgs>),
    /// Have a service test distributions
    Submit(Box<SubmitArgs>),
    /// Show how a service is doing, or where jobs stand
    Status(StatusArgs),
    /// Show results of a service as they come
    Watch(WatchArgs),
    /// Look after a service: workers, tokens, jobs, feeds, the store
    Admin(AdminArgs),
    /// Build and keep images: other systems, for the sandbox and for virtual machines
    Image(ImageArgs),
    /// Show or prune the caches
    Cache(CacheArgs),
    /// Show the configuration and where each value comes from
    Config(ConfigArgs),
    /// Print the JSON Schema of recordings, plans and summaries
    Schema,
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a folder
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// One file kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// The source distribution
    Sdist,
    /// The wheel
    Wheel,
}

/// Who installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InstallerName {
    /// uv, offline
    Uv,
    /// pip, without an index
    Pip,
}

/// How a job is shut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationName {
    /// Namespaces, layers, seccomp and Landlock on this kernel
    Sandbox,
    /// The same in a virtual machine of QEMU's
    Vm,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// A name, name[extra], name==version, a wheel, an sdist, or a folder with a project
    #[arg(required_unless_present_any = ["plan", "list"])]
    pub(crate) targets: Vec<String>,
    /// Read targets from a file, one a line
    #[arg(short = 'f', long = "list", value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Repeat a frozen plan (`pyti get RUN plan`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "list"])]
    pub(crate) plan: Option<PathBuf>,
    /// An interpreter: 3.13, 3.13t, pypy3.10 or a path; several give one run each
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Vec<String>,
    /// How it is shut in: sandbox or vm (QEMU)
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) isolation: Option<IsolationName>,
    /// An image in the place of this machine's system (`pyti image build`); its interpreter is used
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// Refuse a virtual machine that is only emulated
    #[arg(long)]
    pub(crate) require_kvm: bool,
    /// Only this kind of file
    #[arg(long, value_enum)]
    pub(crate) only: Option<Only>,
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
    /// Fetch nothing: use what is cached
    #[arg(long)]
    pub(crate) offline: bool,
    /// Seconds that a command may take
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u32>,
    /// Memory that a command may take: 512M, 2G
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Runs at once
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Who installs the distribution
    #[arg(long, value_enum, default_value_t = InstallerName::Uv)]
    pub(crate) installer: InstallerName,
    /// Do not watch what the package does: no verdict, a silent network only
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// Call exported functions with cheap arguments, and watch what they do
    #[arg(long, conflicts_with = "no_watch")]
    pub(crate) exercise: bool,
    /// Let this host of the real network be spoken with; all of it is recorded
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "no_watch")]
    pub(crate) allow: Vec<String>,
    /// Compare what it does with another release: a version, or `previous`
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["no_watch", "plan"])]
    pub(crate) against: Option<String>,
    /// Where a finding hints at evasion, run it again in another guise, and compare what it does
    #[arg(long, conflicts_with = "no_watch")]
    pub(crate) twice: bool,
    /// Run the tests so many times, each time in a pristine box, and tell which change their mind
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) repeat: Option<u32>,
    /// Run the tests once more and measure how much of the distribution they run
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Start this service beside the tests, whether they seem to want it or not; `none` starts none at all
    #[arg(long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// Look at its quality, too: ruff, annotations, packaging, metadata, dependencies
    #[arg(long)]
    pub(crate) quality: bool,
    /// Ask pylint as well
    #[arg(long)]
    pub(crate) pylint: bool,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Print one JSON object for each target and interpreter
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but the result
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// The run: its name, the beginning of it, or `last`
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// One self-contained page
    #[arg(long, group = "form")]
    pub(crate) html: bool,
    /// The JSON object of `pyti run --json`
    #[arg(long, group = "form")]
    pub(crate) json: bool,
    /// JUnit XML
    #[arg(long, group = "form")]
    pub(crate) junit: bool,
    /// Markdown
    #[arg(long, group = "form")]
    pub(crate) markdown: bool,
    /// Findings as SARIF 2.1
    #[arg(long, group = "form")]
    pub(crate) sarif: bool,
    /// Indicators as a STIX 2.1 bundle
    #[arg(long, group = "form")]
    pub(crate) stix: bool,
    /// What was seen, in the form of package-analysis
    #[arg(long, group = "form")]
    pub(crate) package_analysis: bool,
    /// Every event, as comma-separated values
    #[arg(long, group = "form")]
    pub(crate) csv: bool,
    /// Coverage as an LCOV trace file
    #[arg(long, group = "form")]
    pub(crate) lcov: bool,
    /// Coverage as Cobertura's XML
    #[arg(long, group = "form")]
    pub(crate) cobertura: bool,
    /// Coverage as coverage.py's JSON
    #[arg(long, group = "form")]
    pub(crate) coverage_json: bool,
    /// Write into a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LogArgs {
    /// The run
    pub(crate) run: String,
    /// The task: `test`, or `sdist/build`; without it, the tasks are listed
    pub(crate) task: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct GetArgs {
    /// The run
    pub(crate) run: String,
    /// What: `wheel` (the one that was built), `log` (all output), `plan`, `recording`
    #[arg(value_parser = ["wheel", "log", "plan", "recording"])]
    pub(crate) what: String,
    /// The job, where there are several: `wheel` or `sdist`
    #[arg(long)]
    pub(crate) job: Option<String>,
    /// Where to put it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The plan is carried out again, with its locks, up to the task. The exit code is the shell's.
#[derive(Debug, ClapArgs)]
pub(crate) struct ShellArgs {
    /// The run: its name, the beginning of it, or `last`
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// The task: build, install, env-test, test…; by default the last of env-test, install, build that ended well
    #[arg(long, value_name = "TASK")]
    pub(crate) after: Option<String>,
    /// The job, where there are several: `wheel` or `sdist`
    #[arg(long)]
    pub(crate) job: Option<String>,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Say nothing on the way there
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build one from the archives that apt of this machine is configured with
    Build(ImageBuildArgs),
    /// List them
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show what one is made of
    Show {
        /// Its name or digest
        name: String,
        /// JSON, with all packages
        #[arg(long)]
        json: bool,
    },
    /// Remove images
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Compare every part of one with its manifest
    Verify {
        /// Its name or digest
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImageBuildArgs {
    /// Its name
    #[arg(default_value = "default")]
    pub(crate) name: String,
    /// The release: bookworm, trixie, jammy, noble
    #[arg(long, default_value = "trixie")]
    pub(crate) release: String,
    /// Another interpreter than the release's own, taken from this machine
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Vec<String>,
    /// Services or packages besides: postgresql, redis, libpq-dev…
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) with: Vec<String>,
    /// The archive to use, in the place of those of this machine
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// Say nothing on the way
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OverrideCommand {
    /// List those that are in effect
    List,
    /// Read files, and tell the first mistake in them
    Check {
        /// The files
        #[arg(required = true)]
        files: Vec<std::path::PathBuf>,
    },
    /// Write one from what the newest run of a project tried
    Init {
        /// The project
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Remove runs
    Rm {
        /// Their names
        #[arg(required = true)]
        runs: Vec<String>,
    },
    /// Remove runs older than some days
    Prune {
        /// Days
        #[arg(long, default_value_t = 30)]
        days: u64,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DiffArgs {
    /// The run before
    pub(crate) before: String,
    /// The run after
    pub(crate) after: String,
    /// JSON
    #[arg(long, conflicts_with = "html")]
    pub(crate) json: bool,
    /// One self-contained page
    #[arg(long)]
    pub(crate) html: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditArgs {
    /// requirements.txt with exact versions, pylock.toml or uv.lock
    #[arg(short, long = "requirements", value_name = "FILE", required = true)]
    pub(crate) requirements: Vec<PathBuf>,
    /// An interpreter
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Option<String>,
    /// Look again at files that were looked at before
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Fetch nothing: use what is cached
    #[arg(long)]
    pub(crate) offline: bool,
    /// Runs at once
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// One JSON object a release
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but the result
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JudgeArgs {
    /// The run, or the file of a recording
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// A folder with rules, in the place of those that are built in
    #[arg(long, value_name = "FOLDER")]
    pub(crate) rules: Option<PathBuf>,
    /// A file with exceptions from rules
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,
    /// For the file of a recording: that of an empty package, which is subtracted
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// One JSON object a recording
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The run: its name, the beginning of it, or `last`
    pub(crate) run: String,
    /// The finding: its number, or the name of its rule; without it, findings are listed
    pub(crate) finding: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RulesArgs {
    #[command(subcommand)]
    pub(crate) command: RulesCommand,
    /// A folder with rules, in the place of those that are built in
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) rules: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// List them
    List {
        /// One JSON object a rule
        #[arg(long)]
        json: bool,
    },
    /// Show one
    Show {
        /// Its name
        rule: String,
    },
    /// Try one on a run or a recording, step by step
    Test {
        /// Its name
        rule: String,
        /// The run, or the file of a recording
        #[arg(default_value = "last")]
        run: String,
    },
}

/// The source distribution is read in a box; nothing of it runs.
#[derive(Debug, ClapArgs)]
pub(crate) struct RecipeArgs {
    /// A name, name==version, an sdist, or a folder with a project
    pub(crate) target: String,
    /// An interpreter
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Option<String>,
    /// Allow pre-releases
    #[arg(long)]
    pub(crate) pre: bool,
    /// Fetch nothing: use what is cached
    #[arg(long)]
    pub(crate) offline: bool,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rounds are interleaved; what was locked in the first one holds for all.
#[derive(Debug, ClapArgs)]
pub(crate) struct PerfArgs {
    /// A name or name==version
    pub(crate) target: String,
    /// The other release: a version, or `previous`
    #[arg(long, value_name = "VERSION", default_value = "previous")]
    pub(crate) against: String,
    /// Rounds; six are the fewest of which an interval can be given
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) rounds: u32,
    /// Run the tests in each round, too
    #[arg(long)]
    pub(crate) tests: bool,
    /// An interpreter
    #[arg(short, long, value_name = "VERSION")]
    pub(crate) python: Option<String>,
    /// Allow pre-releases
    #[arg(long)]
    pub(crate) pre: bool,
    /// Fetch nothing: use what is cached
    #[arg(long)]
    pub(crate) offline: bool,
    /// Base address of the index
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// JSON, with every sample
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but the result
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Say where the caches are and how big
    Size,
    /// Remove what was not used for some days
    Prune {
        /// Days; 0 removes everything
        #[arg(long, default_value_t = 30)]
        days: u64,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every value and where it comes from
    Show,
}

/// The command line as data, for completions and man pages.
pub(crate) fn command() -> clap::Command {
    Args::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
