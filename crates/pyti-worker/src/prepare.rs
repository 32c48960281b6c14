//! From a target to plans: what is there, what a user would get, and its bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pyti_index::select::{self, Refusal, Wanted};
use pyti_index::{IndexError, ParsedName, ProjectFile};
use pyti_model::effect::Limits;
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status};
use pyti_model::overriding::Override;
use pyti_model::plan::{Installer, Interpreter, Isolation, PLAN_VERSION, Plan, Watch};
use pyti_model::{Distribution, FileKind};

use crate::target::Target;
use crate::worker::Worker;

/// What was asked for, besides the target.
#[derive(Debug, Clone)]
pub struct Request {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// How jobs are shut in.
    pub isolation: Isolation,
    /// Only the wheel, or only the sdist.
    pub only: Option<FileKind>,
    /// Tasks left out.
    pub skip: Vec<String>,
    /// Variables for the package's own commands.
    pub env: BTreeMap<String, String>,
    /// Pre-releases allowed.
    pub pre: bool,
    /// Only what was uploaded before.
    pub exclude_newer: Option<String>,
    /// Limits of each command.
    pub limits: Limits,
    /// Who installs.
    pub installer: Installer,
    /// Largest distribution, bytes.
    pub max_bytes: u64,
    /// `PYTHONHASHSEED`.
    pub hash_seed: u32,
    /// Whether the package's own code is watched.
    pub watch: Watch,
    /// Whether exported functions are called.
    pub exercise: bool,
    /// Hosts of the real network that may be spoken with.
    pub allow: Vec<String>,
    /// How often the tests are run.
    pub repeat: u32,
    /// Services that are started beside the tests in any case; `none` starts none at all.
    pub services: Vec<String>,
    /// What registries say about projects, those that count more first.
    pub overrides: Vec<Override>,
    /// Whether the tests are run once more to measure coverage.
    pub coverage: bool,
    /// Whether the distribution's files are read for their quality.
    pub quality: bool,
    /// Whether pylint is asked, too.
    pub pylint: bool,
    /// In which guise the machine shows itself: another than 0 has one processor only.
    pub guise: u8,
    /// Whether only the file is run that an installer would take.
    pub first_only: bool,
}

impl Request {
    /// What `pyti run` asks for without any option: everything, watched.
    pub fn plain(interpreter: Interpreter) -> Self {
        Self {
            interpreter,
            isolation: Isolation::Sandbox,
            only: None,
            skip: Vec::new(),
            env: BTreeMap::new(),
            pre: false,
            exclude_newer: None,
            limits: Limits::default(),
            installer: Installer::Uv,
            max_bytes: u64::MAX,
            hash_seed: 0,
            watch: Watch::On,
            exercise: false,
            allow: Vec::new(),
            repeat: 0,
            services: Vec::new(),
            overrides: Vec::new(),
            coverage: false,
            quality: false,
            pylint: false,
            guise: 0,
            first_only: false,
        }
    }
}

/// What a target came to before any box was opened.
#[derive(Debug)]
pub struct Prepared {
    /// Project name, normalised.
    pub name: String,
    /// Version, where one could be chosen.
    pub version: Option<String>,
    /// One for each file.
    pub jobs: Vec<PreparedJob>,
}

/// One file: to be run, or decided already.
#[derive(Debug)]
pub enum PreparedJob {
    /// Run this.
    Plan(Box<Plan>),
    /// Nothing to run.
    Decided {
        /// The file, where there is one.
        file: Option<Box<Distribution>>,
        /// What it came to.
        outcome: Outcome,
    },
}

/// There is nothing that could be run, and it is no finding about a distribution: who asked must ask otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Nothing {
    /// No such project.
    #[error("there is no project {name} in the index{}", or(.suggestions))]
    NoProject {
        /// As asked.
        name: String,
        /// Near names that exist.
        suggestions: Vec<String>,
    },
    /// No such version.
    #[error("{name} has no version {wanted}: the index has {}", .there)]
    NoVersion {
        /// The project.
        name: String,
        /// As asked.
        wanted: String,
        /// What there is, shortened.
        there: String,
    },
    /// The index cannot be asked.
    #[error("the index cannot be asked about {name}")]
    Index {
        /// The project.
        name: String,
        /// Why.
        #[source]
        source: Box<IndexError>,
    },
    /// A file of a frozen plan is neither in the cache nor in the index.
    #[error("{0} of the plan is neither in the cache nor, with the same bytes, in the index")]
    Gone(String),
    /// The specifiers or the interpreter cannot be used.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The file cannot be read.
    #[error("cannot read {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The file's name is not that of a distribution.
    #[error("{0} is not named like a distribution: {1}")]
    FileName(PathBuf, String),
}

fn or(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        String::new()
    } else {
        format!("; there are {}", suggestions.join(", "))
    }
}

/// Told how far a download is: file name, bytes so far, all bytes.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, Option<u64>) + Send + Sync);

impl Worker {
    /// Finds out what a target means and fetches it.
    pub async fn prepare(
        &self,
        target: &Target,
        request: &Request,
        progress: Progress<'_>,
    ) -> Result<Prepared, Nothing> {
        match target {
            Target::Project {
                name,
                extras,
                specifiers,
            } => {
                self.project(name, extras, specifiers.as_deref(), request, progress)
                    .await
            }
            Target::File { path, extras } => self.local(path, extras, request),
            Target::Folder { path, extras } => {
                let packed = crate::folder::pack(path, &self.inner.stage)
                    .map_err(|e| Nothing::File(path.clone(), e))?;
                let (sha256, stored) = self
                    .inner
                    .store
                    .insert_file(packed.archive.path(), &packed.filename)
                    .map_err(|e| Nothing::File(path.clone(), e))?;
                let distribution = Distribution {
                    project: packed.name.clone(),
                    version: packed.version.clone(),
                    filename: packed.filename,
                    kind: FileKind::Folder,
                    sha256,
                    size: size(&stored),
                    yanked: None,
                    uploaded: None,
                    index: None,
                };
                let plan = plan(distribution, extras, request, true);
                Ok(Prepared {
                    name: packed.name,
                    version: Some(packed.version),
                    jobs: vec![boxed(plan)],
                })
            }
        }
    }

    /// Fetches the files of a frozen plan that are not in the cache; what is fetched must have the plan's digest.
    pub async fn fetch_for(&self, plan: &Plan, progress: Progress<'_>) -> Result<(), Nothing> {
        let files = [
            Some(&plan.target),
            plan.companion.as_ref(),
            plan.published.as_ref(),
        ];
        for wanted in files.into_iter().flatten() {
            if self.inner.store.get(&wanted.sha256).is_some() {
                continue;
            }
            let index = |source| Nothing::Index {
                name: wanted.project.clone(),
                source: Box::new(source),
            };
            let project = self.inner.index.project(&wanted.project).await.map_err(index)?;
            let file = project
                .files
                .iter()
                .find(|file| {
                    file.filename == wanted.filename
                        && file.sha256.as_ref().is_none_or(|d| *d == wanted.sha256)
                })
                .ok_or_else(|| Nothing::Gone(wanted.filename.clone()))?;
            let name = wanted.filename.clone();
            let (sha256, _) = self
                .inner
                .index
                .fetch(file, &|done, total| progress(&name, done, total))
                .await
                .map_err(index)?;
            if sha256 != wanted.sha256 {
                return Err(Nothing::Gone(wanted.filename.clone()));
            }
        }
        Ok(())
    }

    async fn project(
        &self,
        name: &str,
        extras: &[String],
        specifiers: Option<&str>,
        request: &Request,
        progress: Progress<'_>,
    ) -> Result<Prepared, Nothing> {
        let project = match self.inner.index.project(name).await {
            Ok(project) => project,
            Err(IndexError::UnknownProject { .. } | IndexError::BadName(_)) => {
                let suggestions = self.inner.index.suggest(name).await;
                return Err(Nothing::NoProject {
                    name: name.to_owned(),
                    suggestions,
                });
            }
            Err(error) => {
                return Err(Nothing::Index {
                    name: name.to_owned(),
                    source: Box::new(error),
                });
            }
        };
        let wanted = Wanted {
            specifiers,
            pre: request.pre,
            exclude_newer: request.exclude_newer.as_deref(),
            interpreter: &request.interpreter,
            only: request.only,
            max_bytes: request.max_bytes,
        };
        let chosen = match select::choose(&project, &wanted) {
            Ok(chosen) => chosen,
            Err(Refusal::Outcome(outcome)) => {
                let job = PreparedJob::Decided { file: None, outcome };
                let version = specifiers
                    .and_then(|text| text.strip_prefix("=="))
                    .map(|v| v.trim().to_owned());
                return Ok(Prepared {
                    name: project.name.clone(),
                    version,
                    jobs: vec![job],
                });
            }
            Err(Refusal::NoVersion {
                project,
                wanted,
                available,
            }) => {
                return Err(Nothing::NoVersion {
                    name: project,
                    wanted,
                    there: some(&available),
                });
            }
            Err(other) => return Err(Nothing::Refused(Box::new(other))),
        };
        let version = chosen.version.to_string();
        let mut fetched = Vec::new();
        let sdist = chosen
            .sdist
            .as_ref()
            .filter(|_| !(request.first_only && chosen.wheel.is_some()));
        for file in chosen.wheel.as_ref().into_iter().chain(sdist) {
            let name = file.filename.clone();
            let got = self
                .inner
                .index
                .fetch(file, &|done, total| progress(&name, done, total))
                .await;
            fetched.push((file, got));
        }
        let mut wheel = None;
        let mut sdist = None;
        let mut sdist_lost = None;
        let mut jobs = Vec::new();
        for (file, got) in fetched {
            match got {
                Ok((sha256, path)) => {
                    let distribution = Distribution {
                        project: project.name.clone(),
                        version: version.clone(),
                        filename: file.filename.clone(),
                        kind: file.file_kind(),
                        sha256,
                        size: size(&path),
                        yanked: file.yanked.clone(),
                        uploaded: file.uploaded.clone(),
                        index: Some(project.index.to_string()),
                    };
                    if file.file_kind() == FileKind::Wheel {
                        wheel = Some(distribution);
                    } else {
                        sdist = Some(distribution);
                    }
                }
                Err(error) => {
                    if file.file_kind() == FileKind::Sdist {
                        sdist_lost = Some(pyti_model::with_causes(&error));
                    }
                    jobs.push(unfetched(file, &project.name, &version, &error));
                }
            }
        }
        let has_wheel = wheel.is_some() && request.only != Some(FileKind::Sdist);
        if let Some(wheel) = wheel.as_ref().filter(|_| has_wheel) {
            let mut plan = plan(wheel.clone(), extras, request, true);
            plan.companion.clone_from(&sdist);
            plan.companion_lost = sdist_lost;
            jobs.insert(0, boxed(plan));
        }
        if let Some(sdist) = sdist.filter(|_| request.only != Some(FileKind::Wheel)) {
            let tests = !has_wheel;
            let mut plan = plan(sdist, extras, request, tests);
            plan.published = wheel.filter(|wheel| is_pure_or_same(&wheel.filename));
            jobs.push(boxed(plan));
        }
        Ok(Prepared {
            name: project.name.clone(),
            version: Some(version),
            jobs,
        })
    }

    fn local(&self, path: &Path, extras: &[String], request: &Request) -> Result<Prepared, Nothing> {
        let filename = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        let parsed = parse(&filename).map_err(|why| Nothing::FileName(path.to_owned(), why))?;
        let length = std::fs::metadata(path)
            .map_err(|e| Nothing::File(path.to_owned(), e))?
            .len();
        let (name, version, kind) = (
            parsed.project().to_string(),
            parsed.version().to_string(),
            parsed.kind(),
        );
        if length > request.max_bytes {
            let reason = Reason::new(ReasonCode::SizePolicy, format!("{filename} has {length} bytes"));
            let job = PreparedJob::Decided {
                file: None,
                outcome: Outcome::because(Status::Skip, reason),
            };
            return Ok(Prepared {
                name,
                version: Some(version),
                jobs: vec![job],
            });
        }
        if let Some(outcome) = unusable(&parsed, &filename, &request.interpreter) {
            let job = PreparedJob::Decided { file: None, outcome };
            return Ok(Prepared {
                name,
                version: Some(version),
                jobs: vec![job],
            });
        }
        let (sha256, stored) = self
            .inner
            .store
            .insert_file(path, &filename)
            .map_err(|e| Nothing::File(path.to_owned(), e))?;
        let distribution = Distribution {
            project: name.clone(),
            version: version.clone(),
            filename,
            kind,
            sha256,
            size: size(&stored),
            yanked: None,
            uploaded: None,
            index: None,
        };
        let plan = plan(distribution, extras, request, true);
        Ok(Prepared {
            name,
            version: Some(version),
            jobs: vec![boxed(plan)],
        })
    }
}

pub(crate) fn plan(target: Distribution, extras: &[String], request: &Request, run_tests: bool) -> Plan {
    let overriding = pyti_discover::overrides::find(&request.overrides, &target.project, &target.version);
    Plan {
        version: PLAN_VERSION,
        overriding: overriding.cloned().map(Box::new),
        target,
        companion: None,
        companion_lost: None,
        published: None,
        extras: extras.to_vec(),
        interpreter: request.interpreter.clone(),
        isolation: request.isolation,
        installer: request.installer,
        skip: request.skip.clone(),
        run_tests,
        env: request.env.clone(),
        limits: request.limits.clone(),
        pre: request.pre,
        exclude_newer: request.exclude_newer.clone(),
        hash_seed: request.hash_seed,
        watch: request.watch,
        exercise: request.exercise,
        allow: request.allow.clone(),
        repeat: request.repeat,
        services: request.services.clone(),
        coverage: request.coverage,
        quality: request.quality,
        pylint: request.pylint,
        guise: request.guise,
        recipe: None,
        locks: BTreeMap::new(),
    }
}

fn boxed(plan: Plan) -> PreparedJob {
    PreparedJob::Plan(Box::new(plan))
}

fn unfetched(file: &ProjectFile, project: &str, version: &str, error: &IndexError) -> PreparedJob {
    let (status, code) = if matches!(
        error,
        IndexError::HashMismatch { .. } | IndexError::SizeMismatch { .. }
    ) {
        (Status::Broken, ReasonCode::HashMismatch)
    } else {
        (Status::Error, error.reason().code)
    };
    let reason = Reason::new(
        code,
        format!("{}: {}", file.filename, pyti_model::with_causes(error)),
    );
    let file = file.sha256.clone().map(|sha256| {
        Box::new(Distribution {
            project: project.to_owned(),
            version: version.to_owned(),
            filename: file.filename.clone(),
            kind: file.file_kind(),
            sha256,
            size: file.size.unwrap_or(0),
            yanked: file.yanked.clone(),
            uploaded: file.uploaded.clone(),
            index: None,
        })
    });
    PreparedJob::Decided {
        file,
        outcome: Outcome::because(status, reason),
    }
}

/// Parses the name of a local file: the project's name is the part before the version.
fn parse(filename: &str) -> Result<ParsedName, String> {
    let name = if filename.ends_with(".whl") {
        filename.split('-').next()
    } else {
        [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip"]
            .iter()
            .find_map(|ending| filename.strip_suffix(ending))
            .and_then(|stem| stem.rsplit_once('-'))
            .map(|(name, _)| name)
    };
    let name = name.ok_or("the name has no version")?;
    let name: uv_normalize::PackageName = name
        .parse()
        .map_err(|e: uv_normalize::InvalidNameError| e.to_string())?;
    pyti_index::parse_filename(filename, &name).map_err(|e| e.to_string())
}

/// A wheel, by its name, for another platform or interpreter; `None` for one that suits, and for a name that is none.
pub(crate) fn unusable_here(filename: &str, interpreter: &Interpreter) -> Option<Outcome> {
    unusable(&parse(filename).ok()?, filename, interpreter)
}

/// A wheel for another platform or interpreter.
fn unusable(parsed: &ParsedName, filename: &str, interpreter: &Interpreter) -> Option<Outcome> {
    let ParsedName::Wheel(wheel) = parsed else {
        return None;
    };
    let tags = select::tags_of(interpreter).ok()?;
    if wheel.is_compatible(&tags) {
        return None;
    }
    let code = if filename.contains("-win") {
        ReasonCode::WindowsOnly
    } else if filename.contains("-macosx") {
        ReasonCode::MacosOnly
    } else {
        ReasonCode::NoMatchingWheel
    };
    Some(Outcome::because(Status::Na, Reason::new(code, filename)))
}

/// A few versions, newest first, and the oldest.
fn some(versions: &[String]) -> String {
    match versions {
        [] => "none".to_owned(),
        [first @ .., last] if first.len() > 8 => format!("{} … {last}", first[..8].join(", ")),
        all => all.join(", "),
    }
}

/// Whether a wheel built here can be expected to have the published one's files: a pure wheel, or any for this
/// machine (whose compiled files are compared by name only).
fn is_pure_or_same(filename: &str) -> bool {
    Path::new(filename).extension().is_some_and(|e| e == "whl")
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map(|m| m.len()).unwrap_or_default()
}
