//! What an empty package does: recorded once for each interpreter, build backend and version of PyTI, and subtracted
//! when a package is judged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyti_model::event::{Event, RECORDING_VERSION};
use pyti_model::outcome::TaskResult;
use pyti_model::plan::{Isolation, PLAN_VERSION, Plan};
use pyti_model::{Distribution, FileKind};
use sha2::{Digest as _, Sha256};

use crate::folder;
use crate::job::JobError;
use crate::recording::Recorder;
use crate::scratch::Scratch;
use crate::stop::Stop;
use crate::worker::Worker;

/// How the empty package is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    /// By a backend in its own tree, which needs nothing: for what is not built, and for backends that we don't know.
    Own,
    /// By one of the usual ones.
    Usual(&'static str, &'static str),
}

/// The usual backends: what names them, what they require, and their module.
const USUAL: &[(&str, &str, &str)] = &[
    ("setuptools", "setuptools", "setuptools.build_meta"),
    ("hatchling", "hatchling", "hatchling.build"),
    ("flit_core", "flit_core", "flit_core.buildapi"),
    ("poetry", "poetry-core>=2", "poetry.core.masonry.api"),
    ("pdm", "pdm-backend", "pdm.backend"),
];

const MODULE: &str = "\"\"\"Nothing.\"\"\"\n\n\ndef main():\n    pass\n";

/// Packs a module and its metadata into a wheel, with the standard library only.
const OWN_BACKEND: &str = r#"import os
import zipfile

INFO = "pyti_baseline-0.dist-info"
FILES = {
    INFO + "/METADATA": "Metadata-Version: 2.1\nName: pyti-baseline\nVersion: 0\n",
    INFO + "/WHEEL": "Wheel-Version: 1.0\nGenerator: pyti\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    INFO + "/entry_points.txt": "[console_scripts]\npyti-baseline = pyti_baseline:main\n",
}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "pyti_baseline-0-py3-none-any.whl"
    files = dict(FILES)
    with open("pyti_baseline.py") as source:
        files["pyti_baseline.py"] = source.read()
    files[INFO + "/RECORD"] = "".join("%s,,\n" % path for path in [*files, INFO + "/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"#;

impl Backend {
    fn of(backend: Option<&str>) -> Self {
        let found = backend.and_then(|name| USUAL.iter().find(|(known, ..)| name.starts_with(known)));
        found.map_or(Self::Own, |(_, requires, module)| Self::Usual(requires, module))
    }

    fn pyproject(self) -> String {
        let build = match self {
            Self::Own => {
                "requires = []\nbuild-backend = \"own_backend\"\nbackend-path = [\".\"]\n".to_owned()
            }
            Self::Usual(requires, module) => {
                format!("requires = [\"{requires}\"]\nbuild-backend = \"{module}\"\n")
            }
        };
        format!(
            "[build-system]\n{build}\n[project]\nname = \"pyti-baseline\"\nversion = \"0\"\ndescription = \"Nothing\"\n\n\
             [project.scripts]\npyti-baseline = \"pyti_baseline:main\"\n\n[tool.setuptools]\npy-modules = [\"pyti_baseline\"]\n"
        )
    }

    fn write(self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("pyproject.toml"), self.pyproject())?;
        fs::write(folder.join("pyti_baseline.py"), MODULE)?;
        if self == Self::Own {
            fs::write(folder.join("own_backend.py"), OWN_BACKEND)?;
        }
        Ok(())
    }
}

impl Worker {
    /// The recording of an empty package in the circumstances of this plan, made now or before. `backend` is the build
    /// backend that was used, `None` when nothing was built.
    ///
    /// # Errors
    ///
    /// When no recording could be made; a verdict is then given without subtraction.
    pub async fn baseline(
        &self,
        plan: &Plan,
        backend: Option<&str>,
        stop: &Stop,
    ) -> Result<PathBuf, JobError> {
        let prepare = |e: io::Error| JobError::Prepare(format!("a baseline: {e}"));
        let backend = Backend::of(backend);
        let kept = self.inner.baselines.join(self.key(plan, backend));
        if kept.is_file() {
            return Ok(kept);
        }
        let scratch = Scratch::new(&self.inner.stage).map_err(prepare)?;
        let project = scratch.path().join("pyti-baseline");
        fs::create_dir(&project)
            .and_then(|()| backend.write(&project))
            .map_err(prepare)?;
        let packed = folder::pack(&project, scratch.path()).map_err(prepare)?;
        let (sha256, path) = self
            .inner
            .store
            .insert_file(packed.archive.path(), &packed.filename)
            .map_err(|e| JobError::Prepare(format!("a baseline: {e}")))?;
        let empty = Plan {
            version: PLAN_VERSION,
            target: Distribution {
                project: packed.name,
                version: packed.version,
                filename: packed.filename,
                kind: FileKind::Sdist,
                sha256,
                size: fs::metadata(path).map(|m| m.len()).unwrap_or_default(),
                yanked: None,
                uploaded: None,
                index: None,
            },
            companion: None,
            companion_lost: None,
            published: None,
            extras: Vec::new(),
            skip: Vec::new(),
            run_tests: false,
            env: std::collections::BTreeMap::new(),
            exercise: false,
            allow: Vec::new(),
            repeat: 0,
            services: Vec::new(),
            overriding: None,
            coverage: false,
            quality: false,
            pylint: false,
            recipe: None,
            locks: std::collections::BTreeMap::new(),
            // the same agent does the same in the same sandbox with the same image, wherever that is: a guest of its own
            // would only take longer
            isolation: Isolation::Sandbox,
            ..plan.clone()
        };
        let file = scratch.path().join("baseline.jsonl.zst");
        let recorder =
            Arc::new(Recorder::create(&file, Arc::new(())).map_err(|e| JobError::Prepare(e.to_string()))?);
        recorder.record(Event::Began {
            recording: RECORDING_VERSION,
            pyti: env!("CARGO_PKG_VERSION").to_owned(),
            when: crate::clock::now(),
            plan: Box::new(empty.clone()),
            machine: std::collections::BTreeMap::new(),
        });
        self.run(empty, None, Arc::clone(&recorder), stop).await?;
        recorder.record(Event::Finished {
            interrupted: stop.is_stopped(),
        });
        recorder.finish().map_err(|e| JobError::Prepare(e.to_string()))?;
        if stop.is_stopped() {
            return Err(JobError::Prepare("a baseline: it was stopped".to_owned()));
        }
        let installed = crate::recording::read(&file).is_ok_and(|events| {
            events.iter().any(|envelope| {
                matches!(&envelope.event, Event::Ended { task, result, .. }
                    if task == "install" && matches!(result, TaskResult::Success | TaskResult::Warnings))
            })
        });
        match (installed, backend) {
            (true, _) => {
                fs::rename(&file, &kept).map_err(prepare)?;
                Ok(kept)
            }
            // a backend that cannot be had here is worse than another one
            (false, Backend::Usual(..)) => Box::pin(self.baseline(plan, None, stop)).await,
            (false, Backend::Own) => Err(JobError::Prepare(
                "a baseline: the empty package could not be installed".to_owned(),
            )),
        }
    }

    /// What decides a baseline, as a file name.
    fn key(&self, plan: &Plan, backend: Backend) -> String {
        let program = fs::metadata(&self.inner.settings.program)
            .and_then(|m| m.modified())
            .map(|at| format!("{at:?}"))
            .unwrap_or_default();
        let text = format!(
            "{:?} {} {program} {:?} {:?} {:?} {} {:?} {:?}",
            RECORDING_VERSION,
            env!("CARGO_PKG_VERSION"),
            plan.interpreter,
            Isolation::Sandbox,
            plan.installer,
            self.inner.uv.version,
            plan.watch,
            backend
        );
        let digest = Sha256::digest(text.as_bytes());
        let mut name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        name.push_str(".jsonl.zst");
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_backends_are_known_by_their_modules() {
        assert_eq!(Backend::of(None), Backend::Own);
        assert_eq!(Backend::of(Some("own_backend")), Backend::Own);
        for (name, module) in [
            ("setuptools.build_meta:__legacy__", "setuptools.build_meta"),
            ("hatchling.build", "hatchling.build"),
            ("poetry.core.masonry.api", "poetry.core.masonry.api"),
        ] {
            let Backend::Usual(_, found) = Backend::of(Some(name)) else {
                panic!("{name}");
            };
            assert_eq!(found, module);
        }
    }

    #[test]
    fn every_form_is_valid_toml() {
        for backend in USUAL.iter().map(|(name, ..)| Backend::of(Some(name))) {
            let table: toml::Table = backend.pyproject().parse().unwrap();
            assert!(table.contains_key("build-system"));
        }
        let _: toml::Table = Backend::Own.pyproject().parse().unwrap();
    }
}
