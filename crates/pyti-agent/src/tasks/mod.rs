//! The tasks: one step each, with what it needs and what it makes.

pub(crate) mod build;
pub(crate) mod costs;
pub(crate) mod coverage;
pub(crate) mod environment;
pub(crate) mod import;
pub(crate) mod install;
pub(crate) mod lock;
pub(crate) mod older;
pub(crate) mod provoke;
pub(crate) mod quality;
pub(crate) mod source;
pub(crate) mod start;
pub(crate) mod test;
pub(crate) mod tools;
pub(crate) mod wheel;

use pyti_archive::wheel::WheelFacts;
use pyti_graph::Key;
use pyti_model::Digest;
use pyti_model::foreign::Foreign;
use pyti_model::raw;
use pyti_sandbox::{Layer, Lower};

/// An unpacked source tree.
pub(crate) const TREE: Key<Layer> = Key::new("tree");
/// What was read from the tree.
pub(crate) const INSPECTION: Key<raw::Inspection> = Key::new("inspection");
/// What the build hook asks for beside what is declared.
pub(crate) const DYNAMIC_REQUIRES: Key<Asked> = Key::new("dynamic requires");
/// Lock to call the hook that tells requirements.
pub(crate) const FIRST_BUILD_LOCK: Key<lock::Locked> = Key::new("first build lock");
/// Environment to call that hook in.
pub(crate) const FIRST_BUILD_ENVIRONMENT: Key<Environment> = Key::new("first build environment");
/// Lock with everything to build.
pub(crate) const BUILD_LOCK: Key<lock::Locked> = Key::new("build lock");
/// Environment to build in.
pub(crate) const BUILD_ENVIRONMENT: Key<Environment> = Key::new("build environment");
/// The wheel under test: given, or built.
pub(crate) const WHEEL: Key<Wheel> = Key::new("wheel");
/// What was read from the wheel.
pub(crate) const FACTS: Key<WheelFacts> = Key::new("facts");
/// What the distribution needs to be used.
pub(crate) const RUNTIME_LOCK: Key<lock::Locked> = Key::new("runtime lock");
/// Where it is installed into.
pub(crate) const RUNTIME_ENVIRONMENT: Key<Environment> = Key::new("runtime environment");
/// The distribution, installed.
pub(crate) const INSTALLED: Key<Installed> = Key::new("installed");
/// What its tests need.
pub(crate) const TEST_LOCK: Key<lock::Locked> = Key::new("test lock");
/// The recipe that is run first.
pub(crate) const TEST_CHOICE: Key<test::Choice> = Key::new("test choice");
/// What gave the tests' result.
pub(crate) const TAKEN: Key<coverage::Taken> = Key::new("what gave the result");
/// Where its tests run.
pub(crate) const TEST_ENVIRONMENT: Key<Environment> = Key::new("test environment");

/// A wheel in the store.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    /// Its path in the agent's root and in boxes that it is bound into.
    pub(crate) path: String,
    /// Its file name.
    pub(crate) filename: String,
    /// Its digest.
    pub(crate) sha256: Digest,
}

/// What the build hook said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Requirement lines beside the declared ones.
    pub(crate) requires: Vec<Foreign>,
    /// The lines in place of the declared ones when only the second attempt could be asked, and what is said of it.
    pub(crate) instead: Option<(Vec<String>, String)>,
}

/// An environment with dependencies, ready to be mounted below a command.
#[derive(Clone)]
pub(crate) struct Environment {
    /// Its files.
    pub(crate) lower: Lower,
}

/// The distribution as it was installed.
#[derive(Clone)]
pub(crate) struct Installed {
    /// What the installation changed.
    pub(crate) layer: Layer,
    /// What is there now.
    pub(crate) facts: raw::Install,
    /// The environment's site-packages, in the box.
    pub(crate) site_packages: String,
}
