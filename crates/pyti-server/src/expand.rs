//! From what somebody wants tested to files, specifications and jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use pyti_command::job::{SubmitParams, SubmitTarget, Submitted, SubmittedJob};
use pyti_command::order::{Environment, Options, SPEC_VERSION, Spec};
use pyti_command::rpc::{RpcError, codes};
use pyti_dispatch::{JobKey, Label, Needs, NewJob, Priority};
use pyti_index::select::{Chosen, Refusal, Wanted, choose};
use pyti_index::{Project, ProjectFile};
use pyti_model::plan::Interpreter;
use pyti_model::{Digest, FileKind};
use pyti_store::{Expansion, FileInfo, Submission};

use crate::controller::{Controller, now_ms};
use crate::error::of_index;

/// Grows when the rules of who tests what change, so that files are tested again.
const POLICY: u32 = 0;
/// How long a submission is remembered by its key, milliseconds.
const REMEMBER_MS: u64 = 24 * 3_600_000;
/// Most interpreters of one submission.
const INTERPRETERS: usize = 16;

/// A file with this name and digest, as far as its name tells.
pub(crate) fn described(filename: &str, sha256: Digest) -> Result<FileInfo, String> {
    if !pyti_model::distribution::is_plain_file_name(filename) {
        return Err("that is no file name".to_owned());
    }
    let parsed = pyti_index::parse_any(filename).map_err(|error| error.to_string())?;
    Ok(FileInfo {
        project: parsed.project().to_string(),
        version: parsed.version().to_string(),
        sort_key: pyti_index::sort_key(parsed.version()),
        name: filename.to_owned(),
        sha256,
        size: 0,
        kind: parsed.kind(),
        uploaded_ms: now_ms(),
    })
}

/// SHA-256 of bytes.
fn digest(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.as_ref());
    Digest::from(digest)
}

/// The interpreter of a command line's word: `3.13`, `3.13t`, `pypy3.10`, `cpython-3.13`.
fn interpreter(word: &str) -> Result<Label, RpcError> {
    let lower = word.trim().to_ascii_lowercase();
    let (name, version) = match lower.find(|c: char| c.is_ascii_digit()) {
        Some(at) => (lower[..at].trim_end_matches('-'), &lower[at..]),
        None => ("", ""),
    };
    let name = if name.is_empty() { "cpython" } else { name };
    let plain = !version.is_empty()
        && version
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'.' || b == b't');
    let label = format!("{name}-{version}").parse::<Label>().ok();
    label.filter(|_| plain && version.contains('.')).ok_or_else(|| {
        RpcError::new(
            codes::INVALID_PARAMS,
            format!("{word:?} is no interpreter; write 3.13"),
        )
    })
}

/// An interpreter as the choice of files needs it; none of it is run.
fn described_interpreter(environment: &Environment) -> Interpreter {
    let (implementation, version) = environment
        .interpreter
        .as_str()
        .split_once('-')
        .unwrap_or(("cpython", "3"));
    Interpreter {
        implementation: implementation.to_owned(),
        version: format!("{}.0", version.trim_end_matches('t')),
        free_threaded: version.ends_with('t'),
        executable: String::new(),
        prefix: String::new(),
        platform: environment.platform.as_str().replace('/', "_"),
        has_headers: false,
        image: None,
    }
}

/// The platform of this machine: `linux/x86_64`.
fn platform() -> Label {
    let text = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    text.parse().unwrap_or_else(|_| unreachable!())
}

/// The environments that are asked for; without words those of the configuration, else the newest that some worker has.
pub(crate) async fn environments(
    controller: &Arc<Controller>,
    python: &[String],
    platform: Option<&Label>,
    isolation: Option<&Label>,
) -> Result<Vec<Environment>, RpcError> {
    let controller = Arc::clone(controller);
    let (python, platform, isolation) = (python.to_vec(), platform.cloned(), isolation.cloned());
    tokio::task::spawn_blocking(move || find_environments(&controller, python, platform, isolation))
        .await
        .map_err(|_| RpcError::plain(codes::INTERNAL))?
}

fn find_environments(
    controller: &Controller,
    mut words: Vec<String>,
    wanted_platform: Option<Label>,
    isolation: Option<Label>,
) -> Result<Vec<Environment>, RpcError> {
    if words.is_empty() {
        words.clone_from(&controller.config().python);
    }
    if words.is_empty() {
        words.extend(newest_offered(controller));
    }
    if words.is_empty() {
        return Err(RpcError::new(
            codes::INVALID_PARAMS,
            "no interpreter was named, none is configured, and no worker has one yet",
        ));
    }
    if words.len() > INTERPRETERS {
        return Err(RpcError::new(
            codes::INVALID_PARAMS,
            "at most 16 interpreters at once",
        ));
    }
    let platform = wanted_platform.unwrap_or_else(platform);
    let isolation = match isolation {
        Some(isolation) => isolation,
        None => "sandbox".parse().unwrap_or_else(|_| unreachable!()),
    };
    let interpreters: BTreeSet<Label> = words
        .iter()
        .map(|word| interpreter(word))
        .collect::<Result<_, _>>()?;
    Ok(interpreters
        .into_iter()
        .map(|interpreter| Environment {
            platform: platform.clone(),
            interpreter,
            isolation: isolation.clone(),
        })
        .collect())
}

/// The newest interpreter that some worker has.
fn newest_offered(controller: &Controller) -> Option<String> {
    let workers = controller.store().workers().ok()?;
    let offered = workers
        .iter()
        .filter(|worker| worker.standing.may_write())
        .flat_map(|worker| worker.offers.interpreters.iter());
    let minor = |label: &Label| {
        let rest = label.as_str().strip_prefix("cpython-3.")?;
        rest.parse::<u32>().ok()
    };
    offered
        .filter_map(|label| Some((minor(label)?, label)))
        .max_by_key(|(minor, _)| *minor)
        .map(|(_, label)| label.to_string())
}

/// What a submission makes.
struct Made {
    project: String,
    version: String,
    files: Vec<FileInfo>,
    jobs: Vec<(FileInfo, Spec)>,
    notes: Vec<String>,
}

/// Does a submission; asked again under the same key, the same answer.
pub(crate) async fn submit(
    controller: &Arc<Controller>,
    who: &str,
    params: SubmitParams,
) -> Result<Submitted, RpcError> {
    let key = format!("{who} {}", params.key);
    let asked = serde_json::to_vec(&params).map_err(|_| RpcError::plain(codes::INTERNAL))?;
    let asked = digest(&asked);
    let (known_key, known_asked) = (key.clone(), asked.clone());
    let known = controller
        .ask(move |store| store.was_submitted(&known_key, &known_asked))
        .await?;
    if let Some(known) = known {
        return again(&known);
    }
    let environments = environments(
        controller,
        &params.python,
        params.platform.as_ref(),
        params.isolation.as_ref(),
    )
    .await?;
    let made = match &params.target {
        SubmitTarget::File { sha256 } => known_file(controller, sha256, &environments, &params).await?,
        SubmitTarget::Project { name, specifiers } => {
            from_index(controller, name, specifiers.as_deref(), &environments, &params).await?
        }
        SubmitTarget::Url { url } => by_address(controller, url, &environments, &params).await?,
    };
    let priority = params.priority.unwrap_or(Priority::Interactive);
    let mut expansion = Expansion {
        files: made.files,
        ..Expansion::default()
    };
    let files: Vec<Digest> = expansion.files.iter().map(|file| file.sha256.clone()).collect();
    // a wheel's tests are in its sdist: neither job begins before both files are stored
    let all_stored = controller
        .ask(move |store| {
            for sha256 in &files {
                if !store.is_captured(sha256)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
    let mut shown = Vec::new();
    for (file, spec) in made.jobs {
        let (mut job, hash, body) = job(controller, &file, &spec, priority).await?;
        job.captured &= all_stored;
        expansion.jobs.push(job);
        expansion.specs.push((hash, body));
        shown.push((file, spec.environment.interpreter));
    }
    let answer = Submitted {
        project: made.project,
        version: made.version,
        jobs: shown
            .into_iter()
            .map(|(file, interpreter)| SubmittedJob {
                job: pyti_dispatch::JobId(0),
                new: false,
                file: file.name,
                sha256: file.sha256,
                interpreter,
            })
            .collect(),
        notes: made.notes,
    };
    let note = serde_json::to_string(&answer).map_err(|_| RpcError::plain(codes::INTERNAL))?;
    let submission = Submission {
        key,
        asked,
        expansion,
        again: params.again,
        remember_ms: REMEMBER_MS,
        note,
    };
    let done = controller.ask(move |store| store.submit_once(submission)).await?;
    again(&done)
}

/// The job of a file by a specification, in its first generation; the specification's hash and bytes.
pub(crate) async fn job(
    controller: &Controller,
    file: &FileInfo,
    spec: &Spec,
    priority: Priority,
) -> Result<(NewJob, Digest, Vec<u8>), RpcError> {
    let body = spec.bytes().map_err(|_| RpcError::plain(codes::INTERNAL))?;
    let hash = digest(&body);
    let sha256 = file.sha256.clone();
    let captured = controller.ask(move |store| store.is_captured(&sha256)).await?;
    let job = NewJob {
        key: JobKey {
            file: file.sha256.clone(),
            spec: hash.clone(),
            generation: 0,
        },
        project: file.project.clone(),
        needs: Needs {
            platform: spec.environment.platform.clone(),
            interpreter: spec.environment.interpreter.clone(),
            isolation: spec.environment.isolation.clone(),
            memory_mib: controller.config().memory_mib,
        },
        priority,
        captured,
    };
    Ok((job, hash, body))
}

/// The answer to a submission, from what is kept of it.
fn again(done: &pyti_store::Submitted) -> Result<Submitted, RpcError> {
    let mut answer: Submitted =
        serde_json::from_str(&done.note).map_err(|_| RpcError::plain(codes::INTERNAL))?;
    for (shown, (job, new)) in answer.jobs.iter_mut().zip(&done.jobs) {
        shown.job = *job;
        shown.new = *new;
    }
    Ok(answer)
}

/// What makes a job together with its file.
pub(crate) fn spec(environment: &Environment, options: &Options, run_tests: bool) -> Spec {
    Spec {
        version: SPEC_VERSION,
        environment: environment.clone(),
        options: options.clone(),
        run_tests,
        policy: POLICY,
    }
}

/// A file that is here already.
async fn known_file(
    controller: &Controller,
    sha256: &Digest,
    environments: &[Environment],
    params: &SubmitParams,
) -> Result<Made, RpcError> {
    let wanted = sha256.clone();
    let file = controller
        .ask(move |store| Ok(store.files(&wanted)?.into_iter().next()))
        .await?
        .ok_or_else(|| RpcError::new(codes::NOT_FOUND, "no such file here; put it first"))?;
    Ok(Made {
        project: file.info.project.clone(),
        version: file.info.version.clone(),
        files: Vec::new(),
        jobs: environments
            .iter()
            .map(|environment| (file.info.clone(), spec(environment, &params.options, true)))
            .collect(),
        notes: Vec::new(),
    })
}

fn index(controller: &Controller) -> Result<&pyti_index::Index, RpcError> {
    controller
        .index()
        .ok_or_else(|| RpcError::new(codes::INDEX, "no index is configured"))
}

/// The files of a project that an environment would get.
pub(crate) fn chosen(
    controller: &Controller,
    project: &Project,
    specifiers: Option<&str>,
    environment: &Environment,
    options: &Options,
) -> Result<Chosen, Refusal> {
    let wanted = Wanted {
        specifiers,
        pre: options.pre,
        exclude_newer: options.exclude_newer.as_deref(),
        interpreter: &described_interpreter(environment),
        only: None,
        max_bytes: controller.config().max_file_bytes,
    };
    choose(project, &wanted)
}

/// The files of a release that a user would get.
async fn from_index(
    controller: &Controller,
    name: &str,
    specifiers: Option<&str>,
    environments: &[Environment],
    params: &SubmitParams,
) -> Result<Made, RpcError> {
    let index = index(controller)?;
    let project = index.project(name).await.map_err(|error| of_index(&error))?;
    let mut made = Made {
        project: project.name.clone(),
        version: String::new(),
        files: Vec::new(),
        jobs: Vec::new(),
        notes: Vec::new(),
    };
    for environment in environments {
        let chosen = match chosen(controller, &project, specifiers, environment, &params.options) {
            Ok(chosen) => chosen,
            Err(Refusal::Outcome(outcome)) => {
                let why: Vec<String> = outcome
                    .reasons
                    .iter()
                    .map(|reason| format!("{} {}", reason.code, reason.detail.visible()))
                    .collect();
                let what = format!(
                    "{}: {} {}",
                    environment.interpreter,
                    outcome.status,
                    why.join(", ")
                );
                made.notes.push(what.trim_end().to_owned());
                continue;
            }
            Err(error) => return Err(RpcError::new(codes::NOT_FOUND, error.to_string())),
        };
        made.version = chosen.version.to_string();
        let wheel = described_file(controller, &project, chosen.wheel.as_ref()).await?;
        let sdist = described_file(controller, &project, chosen.sdist.as_ref()).await?;
        let has_wheel = wheel.is_some();
        for (file, run_tests) in [(wheel, true), (sdist, !has_wheel)] {
            let Some(file) = file else { continue };
            if !made.files.contains(&file) {
                made.files.push(file.clone());
            }
            made.jobs
                .push((file, spec(environment, &params.options, run_tests)));
        }
    }
    Ok(made)
}

/// A file of the index by its address: only one that the index itself names is fetched.
async fn by_address(
    controller: &Controller,
    address: &str,
    environments: &[Environment],
    params: &SubmitParams,
) -> Result<Made, RpcError> {
    let invalid = |why: &str| RpcError::new(codes::INVALID_PARAMS, why);
    let mut url = url::Url::parse(address).map_err(|_| invalid("that is no address"))?;
    url.set_fragment(None);
    let filename = url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
        .unwrap_or_default();
    let placeholder = Digest::from([0; 32]);
    let described = described(filename, placeholder).map_err(|why| invalid(&why))?;
    let project = index(controller)?
        .project(&described.project)
        .await
        .map_err(|error| of_index(&error))?;
    let same = |file: &&ProjectFile| {
        let mut theirs = file.url.clone();
        theirs.set_fragment(None);
        // credentials belong to how we ask, not to which file it is
        let _ = theirs.set_username("");
        let _ = theirs.set_password(None);
        theirs == url
    };
    let file = project
        .files
        .iter()
        .find(same)
        .ok_or_else(|| RpcError::new(codes::NOT_FOUND, "the index names no file with this address"))?;
    let file = described_file(controller, &project, Some(file))
        .await?
        .ok_or_else(|| RpcError::plain(codes::INTERNAL))?;
    Ok(Made {
        project: file.project.clone(),
        version: file.version.clone(),
        files: vec![file.clone()],
        jobs: environments
            .iter()
            .map(|environment| (file.clone(), spec(environment, &params.options, true)))
            .collect(),
        notes: Vec::new(),
    })
}

/// A file as the store knows it. Where the index gives no digest it must be fetched to have one.
pub(crate) async fn described_file(
    controller: &Controller,
    project: &Project,
    file: Option<&ProjectFile>,
) -> Result<Option<FileInfo>, RpcError> {
    let Some(file) = file else {
        return Ok(None);
    };
    if !matches!(file.file_kind(), FileKind::Wheel | FileKind::Sdist) {
        return Ok(None);
    }
    if file
        .size
        .is_some_and(|size| size > controller.config().max_file_bytes)
    {
        return Ok(None);
    }
    let (sha256, size) = if let Some(sha256) = &file.sha256 {
        (sha256.clone(), file.size.unwrap_or(0))
    } else {
        let fetched = index(controller)?.fetch(file, &|_, _| {}).await;
        let (sha256, path) = fetched.map_err(|error| of_index(&error))?;
        (sha256, std::fs::metadata(path).map_or(0, |meta| meta.len()))
    };
    Ok(Some(FileInfo {
        project: project.name.clone(),
        version: file.version.to_string(),
        sort_key: pyti_index::sort_key(&file.version),
        name: file.filename.clone(),
        sha256,
        size,
        kind: file.file_kind(),
        uploaded_ms: uploaded_ms(file).unwrap_or_else(now_ms),
    }))
}

/// When the index says that a file was uploaded, milliseconds since 1970.
fn uploaded_ms(file: &ProjectFile) -> Option<u64> {
    let when: jiff::Timestamp = file.uploaded.as_deref()?.parse().ok()?;
    u64::try_from(when.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_named_as_command_lines_do() {
        let good = |word: &str| interpreter(word).unwrap().to_string();
        assert_eq!(good("3.13"), "cpython-3.13");
        assert_eq!(good("3.13t"), "cpython-3.13t");
        assert_eq!(good("cpython-3.9"), "cpython-3.9");
        assert_eq!(good("pypy3.10"), "pypy-3.10");
        for bad in ["", "python", "3", "3.13; rm", "../3.1", "3.13\n3"] {
            assert!(interpreter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_tells_what_a_file_is() {
        let digest = Digest::from([1; 32]);
        let wheel = described("Six-1.17.0-py2.py3-none-any.whl", digest.clone()).unwrap();
        assert_eq!(
            (wheel.project.as_str(), wheel.version.as_str()),
            ("six", "1.17.0")
        );
        let sdist = described("six-1.17.0.tar.gz", digest.clone()).unwrap();
        assert_eq!(sdist.kind, FileKind::Sdist);
        for bad in ["", "six", "../six-1.0.tar.gz", "six-1.0.exe", "six.whl"] {
            assert!(described(bad, digest.clone()).is_err(), "{bad}");
        }
    }
}
