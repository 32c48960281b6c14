//! `pyti override`, and the overrides that are in effect: the user's own first, then those that come with PyTI.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pyti_discover::overrides::{self, LARGEST};
use pyti_model::event::{Envelope, Event};
use pyti_model::foreign::Foreign;
use pyti_model::overriding::Override;
use pyti_model::raw::{RawData, Recipe};
use pyti_worker::recording;

use crate::args::OverrideCommand;
use crate::output::{Usage, print, tell};
use crate::recorded::{all, recordings};

/// Files of the user's folder that are read.
const FILES: usize = 1000;

/// All that are in effect, those that count more first.
pub(crate) fn registry() -> anyhow::Result<Vec<Override>> {
    let mut entries = Vec::new();
    for path in own_files()? {
        entries.extend(read(&path)?);
    }
    entries.extend(overrides::embedded()?);
    Ok(entries)
}

/// The user's folder for them: beside the user's configuration.
fn folder() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("PYTI_CONFIG").map(PathBuf::from);
    if let Some(parent) = named.as_deref().and_then(Path::parent) {
        return Ok(parent.join("overrides"));
    }
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    Ok(config
        .context("there is no folder for configuration: neither XDG_CONFIG_HOME nor HOME is set")?
        .join("pyti/overrides"))
}

fn own_files() -> anyhow::Result<Vec<PathBuf>> {
    let Ok(folder) = folder() else {
        return Ok(Vec::new());
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .take(FILES)
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<Override>> {
    let cannot = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).with_context(cannot)?.len();
    if size > LARGEST as u64 {
        return Err(Usage(format!("{} is larger than {LARGEST} bytes", path.display())).into());
    }
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    overrides::read(&path.display().to_string(), &text).map_err(|mistake| Usage(mistake.to_string()).into())
}

/// `pyti override`.
pub(crate) fn command(command: OverrideCommand) -> anyhow::Result<u8> {
    match command {
        OverrideCommand::List => {
            let mut text = String::new();
            for entry in registry()? {
                let versions = if entry.versions.is_empty() {
                    "all versions"
                } else {
                    &entry.versions
                };
                let _ = writeln!(
                    text,
                    "{:<24} {versions:<14} {}  ← {}",
                    entry.project, entry.why, entry.origin
                );
            }
            print(&text)?;
        }
        OverrideCommand::Check { files } => {
            let mut text = String::new();
            for file in files {
                let _ = writeln!(
                    text,
                    "{}: {} overrides, all usable",
                    file.display(),
                    read(&file)?.len()
                );
            }
            print(&text)?;
        }
        OverrideCommand::Init { name } => {
            let entry = tried(&name)?;
            let folder = folder()?;
            let path = folder.join(format!("{}.toml", entry.project));
            if path.exists() {
                bail!(
                    "{} is there already: edit it, or take it away first",
                    path.display()
                );
            }
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            std::fs::write(&path, overrides::file_of(&entry))
                .with_context(|| format!("cannot write {}", path.display()))?;
            print(&format!("{}\n", path.display()))?;
            tell("edit it, then `pyti recipe` shows what it does");
        }
    }
    Ok(0)
}

/// An override that says what the newest run of a project came to.
fn tried(name: &str) -> anyhow::Result<Override> {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let runs = all()?;
    let run = runs
        .list()
        .into_iter()
        .filter(|run| run.file.name == name)
        .max_by(|a, b| a.file.when.cmp(&b.file.when));
    let Some(run) = run else {
        return Err(Usage(format!("nothing was tried with {name}: `pyti run {name}` first")).into());
    };
    let (mut taken, mut came) = (None, None);
    for (_, path) in recordings(&run)? {
        for envelope in recording::read(&path)? {
            note(envelope, &mut taken, &mut came);
        }
    }
    let Some(recipe) = taken else {
        return Err(Usage(format!("run {} of {name} found no way to run tests", run.id)).into());
    };
    let came = came.unwrap_or_else(|| "no test was run".to_owned());
    Ok(of(
        &name,
        run.file.release.as_deref(),
        recipe,
        format!("run {} came to: {came}", run.id),
    ))
}

/// Keeps the recipe that gave a result, else the first that was found.
fn note(envelope: Envelope, taken: &mut Option<Recipe>, came: &mut Option<String>) {
    let Event::Ended { raw: Some(raw), .. } = envelope.event else {
        return;
    };
    match raw {
        RawData::Test(test) => {
            *came = Some(test.counts.sentence());
            *taken = Some(test.recipe.clone());
        }
        RawData::Inspect(inspection) if came.is_none() && taken.is_none() => {
            *taken = inspection.recipes.into_iter().next();
        }
        _ => {}
    }
}

/// What is left out of a recipe is what its reader would refuse.
fn of(name: &str, release: Option<&str>, recipe: Recipe, why: String) -> Override {
    let mut entry = Override {
        project: name.to_owned(),
        versions: release.map(|version| format!(">={version}")).unwrap_or_default(),
        why,
        ..Override::default()
    };
    let mut keep = |change: &dyn Fn(&mut Override)| {
        let mut with = entry.clone();
        change(&mut with);
        if overrides::read("", &overrides::file_of(&with)).is_ok() {
            entry = with;
        }
    };
    let command = overrides::command_of(&recipe);
    keep(&|entry| entry.command.clone_from(&command));
    for line in &recipe.requirements {
        keep(&|entry| {
            entry
                .requirements
                .get_or_insert_default()
                .push(Foreign::from(line.as_str()).visible());
        });
    }
    for extra in &recipe.extras {
        keep(&|entry| entry.extras.get_or_insert_default().push(extra.clone()));
    }
    for service in &recipe.services {
        keep(&|entry| entry.services.get_or_insert_default().push(service.clone()));
    }
    for (name, value) in &recipe.env {
        keep(&|entry| drop(entry.env.insert(name.clone(), value.clone())));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_written_without_what_cannot_be_read() {
        let recipe = Recipe {
            arguments: vec!["tests".to_owned()],
            requirements: vec!["pytest".to_owned(), "not a >> line".to_owned()],
            services: vec!["redis".to_owned(), "oracle".to_owned()],
            env: [
                ("MODE".to_owned(), "all".to_owned()),
                ("LD_PRELOAD".to_owned(), "x".to_owned()),
            ]
            .into(),
            ..Recipe::default()
        };
        let entry = of(
            "thing",
            Some("1.0"),
            recipe,
            "run ab came to: 3 passed".to_owned(),
        );
        assert_eq!(entry.command.as_deref(), Some("pytest tests"));
        assert_eq!(entry.requirements.as_deref(), Some(&["pytest".to_owned()][..]));
        assert_eq!(entry.services.as_deref(), Some(&["redis".to_owned()][..]));
        assert_eq!(entry.env.keys().collect::<Vec<_>>(), ["MODE"]);
        assert_eq!(entry.versions, ">=1.0");
    }
}
