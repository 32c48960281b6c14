//! Hooks of build backends.

use std::path::Path;

use pyti_probes::hook::{self, Answer, Name};
use pyti_probes::{Invocation, ResultsError};

use crate::support::{FD, Ran, newest, on_every_version, run, tree};

const BACKEND: &str = "
def get_requires_for_build_wheel(config=None):
    print('noise')
    return ['wheel', 'cffi >= 1']

def build_wheel(folder, config=None, metadata=None):
    import os
    open(os.path.join(folder, 'x-1-py3-none-any.whl'), 'w').close()
    return 'x-1-py3-none-any.whl'
";

fn call(python: &Path, source: &Path, name: Name, backend: &str) -> (Result<Answer, ResultsError>, Ran) {
    let out = source.join("out");
    let ran = run(
        source,
        |probes| {
            let invocation = Invocation {
                python: python.to_str().unwrap(),
                probes,
                results_fd: FD,
            };
            hook::argv(
                &invocation,
                name,
                backend,
                &["backend".to_owned()],
                source.to_str().unwrap(),
                out.to_str().unwrap(),
            )
        },
        &[],
    );
    (hook::parse(&ran.results), ran)
}

#[test]
fn a_backend_in_the_tree_asks_and_builds_on_every_version() {
    on_every_version(|version, python| {
        let source = tree(&[("backend/own.py", BACKEND)]);
        let (answer, ran) = call(python, source.path(), Name::GetRequires, "own");
        let answer = answer.unwrap();
        let asked: Vec<_> = answer.requires.iter().filter_map(|line| line.as_str()).collect();
        assert_eq!(asked, ["wheel", "cffi >= 1"], "{version}: {}", ran.told());
        let (answer, ran) = call(python, source.path(), Name::BuildWheel, "own");
        let answer = answer.unwrap();
        assert_eq!(
            answer
                .output
                .and_then(|path| path.as_str().map(str::to_owned))
                .as_deref(),
            Some("x-1-py3-none-any.whl"),
            "{version}"
        );
        assert!(ran.output.status.success() && answer.error.is_none());
        assert!(source.path().join("out/x-1-py3-none-any.whl").exists());
    });
}

#[test]
fn a_hook_that_is_not_there_is_no_error() {
    let Some(python) = newest() else { return };
    let source = tree(&[("backend/own.py", BACKEND)]);
    let (answer, _) = call(&python, source.path(), Name::PrepareMetadata, "own");
    let answer = answer.unwrap();
    assert!(!answer.present && answer.error.is_none());
    let (answer, _) = call(&python, source.path(), Name::GetRequires, "own");
    assert!(answer.unwrap().present);
}

#[test]
fn a_missing_backend_is_told_from_one_that_raises() {
    let Some(python) = newest() else { return };
    let source = tree(&[
        ("backend/own.py", BACKEND),
        ("backend/needy.py", "import nowhere_to_be_found\n"),
        ("backend/broken.py", "raise AttributeError('mine')\n"),
        (
            "backend/raises.py",
            "def build_wheel(*a):\n    raise ValueError('no compiler')\n",
        ),
        (
            "backend/holder.py",
            "class backend:\n    @staticmethod\n    def build_wheel(*a):\n        return 'w'\n",
        ),
    ]);
    let class = |backend: &str| {
        let (answer, _) = call(&python, source.path(), Name::BuildWheel, backend);
        let answer = answer.unwrap();
        answer.error.map(|error| {
            (
                error.class.lossy().into_owned(),
                error.module.map(|m| m.lossy().into_owned()),
            )
        })
    };
    let named = |class: &str, module: Option<&str>| Some((class.to_owned(), module.map(str::to_owned)));
    assert_eq!(class("absent"), named("BackendMissing", Some("absent")));
    assert_eq!(class("absent.deeper"), named("BackendMissing", Some("absent")));
    assert_eq!(class("holder:other"), named("BackendMissing", None));
    assert_eq!(class("holder:backend"), None);
    assert_eq!(
        class("needy"),
        named("ModuleNotFoundError", Some("nowhere_to_be_found"))
    );
    assert_eq!(class("broken"), named("AttributeError", None));
    assert_eq!(class("raises"), named("ValueError", None));
    assert_eq!(class("own"), None);
}

#[test]
fn leaving_with_code_0_is_no_success() {
    let Some(python) = newest() else { return };
    let source = tree(&[
        (
            "backend/leaves.py",
            "import sys\ndef build_wheel(*a):\n    sys.exit(0)\n",
        ),
        (
            "backend/vanishes.py",
            "import os\ndef build_wheel(*a):\n    os._exit(0)\n",
        ),
        ("backend/own.py", BACKEND),
    ]);
    let (answer, ran) = call(&python, source.path(), Name::BuildWheel, "leaves");
    let answer = answer.unwrap();
    assert_eq!(answer.error.unwrap().class.as_str(), Some("SystemExit"));
    assert!(answer.output.is_none() && !ran.output.status.success());
    // whoever ends the process says nothing at all
    let (answer, ran) = call(&python, source.path(), Name::BuildWheel, "vanishes");
    assert!(matches!(answer, Err(ResultsError::Nothing)) && ran.output.status.success());
    let (answer, ran) = call(&python, source.path(), Name::BuildWheel, "own");
    assert!(answer.unwrap().output.is_some() && ran.output.status.success());
}
