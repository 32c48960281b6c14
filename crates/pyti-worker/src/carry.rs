//! One job from its first event to its last, and the recording of an empty package beside it: what `pyti run` and a
//! worker of the service both do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyti_model::event::{Envelope, Event, RECORDING_VERSION};
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status};
use pyti_model::plan::{Plan, Watch};
use pyti_model::raw::RawData;
use pyti_model::{Distribution, FileKind};

use crate::job::JobError;
use crate::prepare::{PreparedJob, Request, plan, unusable_here};
use crate::recording::{Listener, Recorder, RecordingError, read};
use crate::stop::Stop;
use crate::worker::Worker;

/// A job could not be carried out or recorded. Its recording, as far as it goes, is there all the same.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// It could not be run, or its agent was lost.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Its recording cannot be written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Files that somebody else has chosen and that lie in the file store: a job without a look at the index.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The file under test.
    pub target: Distribution,
    /// The sdist of the same release, where a wheel's tests are taken from.
    pub companion: Option<Distribution>,
    /// Why there is none although the release has one.
    pub companion_lost: Option<String>,
    /// The published wheel, which the build of an sdist is compared with.
    pub published: Option<Distribution>,
    /// Extras asked for.
    pub extras: Vec<String>,
    /// Whether this job runs the tests.
    pub run_tests: bool,
}

impl Chosen {
    /// The job of these files, or what it is decided to be: a wheel for another platform is not run.
    pub fn into_job(self, request: &Request) -> PreparedJob {
        let wheel = self.target.kind == FileKind::Wheel;
        if let Some(outcome) = wheel
            .then(|| unusable_here(&self.target.filename, &request.interpreter))
            .flatten()
        {
            return PreparedJob::Decided {
                file: Some(Box::new(self.target)),
                outcome,
            };
        }
        let mut plan = plan(self.target, &self.extras, request, self.run_tests);
        plan.companion = self.companion;
        plan.companion_lost = self.companion_lost;
        plan.published = self.published;
        PreparedJob::Plan(Box::new(plan))
    }
}

impl Worker {
    /// Carries out a job and records it in a new file. `when` is when it was asked for (RFC 3339).
    pub async fn carry_out(
        &self,
        job: PreparedJob,
        to: &Path,
        when: &str,
        listener: Arc<dyn Listener>,
        stop: &Stop,
    ) -> Result<(), CarryError> {
        let recorder = Arc::new(Recorder::create(to, listener)?);
        let result = match job {
            PreparedJob::Decided { file, outcome } => {
                recorder.record(Event::Decided { file, outcome });
                Ok(())
            }
            PreparedJob::Plan(plan) => {
                recorder.record(began(&plan, when));
                self.run(*plan, None, Arc::clone(&recorder), stop).await
            }
        };
        let why = match &result {
            Err(JobError::Box(why)) => Some(pyti_model::with_causes(why)),
            Err(JobError::Machine(why)) => Some(pyti_model::with_causes(why)),
            _ => None,
        };
        if let Some(detail) = why {
            recorder.record(Event::Decided {
                file: None,
                outcome: Outcome::because(Status::Error, Reason::new(ReasonCode::Sandbox, detail)),
            });
        }
        recorder.record(Event::Finished {
            interrupted: stop.is_stopped(),
        });
        // a thread of the job may hold it a moment longer; that it could not be written is the first news
        recorder.finish()?;
        result.map_err(CarryError::from)
    }

    /// The recording of an empty package in the circumstances of a job that was recorded there. Without one nothing is
    /// subtracted, and the verdict is the stricter; so whatever goes wrong here is no error.
    pub async fn beside(&self, plan: &Plan, recording: &Path, stop: &Stop) -> Option<PathBuf> {
        if plan.watch != Watch::On {
            return None;
        }
        // nothing is built of a wheel, so its recording need not be read for a backend
        let backend = match plan.target.kind {
            FileKind::Wheel => None,
            _ => backend_of(&read(recording).ok()?),
        };
        self.baseline(plan, backend.as_deref(), stop).await.ok()
    }
}

/// The build backend that a job's sources name.
fn backend_of(events: &[Envelope]) -> Option<String> {
    events.iter().find_map(|envelope| match &envelope.event {
        Event::Ended {
            task,
            raw: Some(RawData::Inspect(inspection)),
            ..
        } if task == "inspect" => Some(inspection.build.backend.clone()),
        _ => None,
    })
}

fn began(plan: &Plan, when: &str) -> Event {
    let mut machine = BTreeMap::new();
    if let Ok(release) = std::fs::read_to_string("/proc/sys/kernel/osrelease") {
        machine.insert("kernel".to_owned(), release.trim().to_owned());
    }
    machine.insert("architecture".to_owned(), std::env::consts::ARCH.to_owned());
    Event::Began {
        recording: RECORDING_VERSION,
        pyti: env!("CARGO_PKG_VERSION").to_owned(),
        when: when.to_owned(),
        plan: Box::new(plan.clone()),
        machine,
    }
}
