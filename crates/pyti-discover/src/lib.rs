//! Reads a source tree without running anything of it: how it is built, and how its tests are run.
//!
//! [`inspect`] climbs the ladders of `docs/tests.md`; [`layout`] says how the tree is arranged so that the tests meet
//! the installed distribution. In a box the verb `__inspect` does the reading: [`main`], [`argv`], [`parse`].
//!
//! [`survey`] reads a wheel's files for its quality.

mod commandline;
mod commands;
mod declaration;
mod doctests;
pub mod escalate;
mod evidence;
mod importable;
mod imports;
mod ini;
mod layout;
pub mod overrides;
mod poetry;
mod pytest;
mod python;
mod requirements;
mod services;
mod setup;
mod stdlib;
mod suite;
pub mod survey;
mod tables;
mod tox;
mod tree;
mod verb;
mod workflow;

use pyti_model::raw::Inspection;

pub use layout::{Layout, layout};
pub use tree::{FolderTree, MemoryTree, Tree};
pub use verb::{InspectError, VERB, argv, main, parse};

/// Reads the tree of the project `name`.
pub fn inspect(tree: &dyn Tree, name: &str) -> Inspection {
    let mut rejected = Vec::new();
    let project = declaration::Project::read(tree, &mut rejected);
    let importable = importable::find(tree, name, &project);
    let suite = suite::Suite::find(tree, &importable, &mut rejected);
    let recipes = commands::recipes(tree, name, &project, &importable, &suite, &mut rejected);
    let known = requirements::known(tree, &project);
    Inspection {
        build: project.build,
        metadata: declaration::metadata(tree),
        recipes,
        rejected,
        known,
        importable,
        advice: setup::advice(tree),
    }
}
