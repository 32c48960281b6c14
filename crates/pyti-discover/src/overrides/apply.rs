//! Laying an override over what was found.

use pyti_model::overriding::Override;
use pyti_model::raw::{Evidence, Inspection, Recipe, Runner};

use crate::commandline::{self, Runs, What};
use crate::escalate::main_recipes;

/// Puts a recipe before all others, made of the best that was found and of what the override says.
pub fn apply(inspection: &mut Inspection, entry: &Override) {
    let mut recipe = main_recipes(inspection)
        .first()
        .map_or_else(Recipe::default, |first| (*first).clone());
    recipe.besides = false;
    if let Some(runs) = entry.command.as_deref().and_then(commandline::read) {
        (recipe.runner, recipe.arguments) = command(runs);
        recipe.cwd.clear();
    }
    if let Some(requirements) = &entry.requirements {
        recipe.requirements.clone_from(requirements);
    }
    if let Some(extras) = &entry.extras {
        recipe.extras.clone_from(extras);
    }
    if let Some(services) = &entry.services {
        recipe.services.clone_from(services);
        recipe.why.retain(|why| !why.starts_with("services: "));
        for service in services {
            let name = service.split(':').next().unwrap_or(service);
            recipe
                .why
                .push(format!("services: {name}: {} says so", entry.origin));
        }
    }
    recipe.env.extend(entry.env.clone());
    let (file, line) = entry.origin.rsplit_once(':').unwrap_or((&entry.origin, "0"));
    let what = format!("override: {}", entry.why);
    recipe.why.insert(0, what.clone());
    recipe.evidence.insert(
        0,
        Evidence {
            what,
            file: file.to_owned(),
            line: line.parse().unwrap_or(0),
        },
    );
    inspection.recipes.insert(0, recipe);
}

/// The runner of a command line, and what it is given.
fn command(runs: Runs) -> (Runner, Vec<String>) {
    let with =
        |first: &[&str], rest: Vec<String>| first.iter().map(|w| (*w).to_owned()).chain(rest).collect();
    match runs.what {
        What::Known(Runner::Django) => (Runner::Django, with(&["-m", "django"], runs.arguments)),
        What::Known(runner) => (runner, runs.arguments),
        What::Stestr => (Runner::Unittest, with(&["discover"], Vec::new())),
        What::File(file) => (Runner::Script, with(&[&file], runs.arguments)),
        What::Module(module) => (Runner::Script, with(&["-m", &module], runs.arguments)),
    }
}
