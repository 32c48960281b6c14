//! Writing an override down, from a recipe that was tried.

use std::fmt::Write as _;

use pyti_model::overriding::Override;
use pyti_model::raw::{Recipe, Runner};

/// The command line that an override would name for a recipe; nothing where none can (doctests).
pub fn command_of(recipe: &Recipe) -> Option<String> {
    let program = match recipe.runner {
        Runner::Pytest => "pytest",
        Runner::Unittest => "python -m unittest",
        Runner::Zope => "zope-testrunner",
        Runner::Trial => "trial",
        Runner::Nose2 => "nose2",
        Runner::Django | Runner::Script => "python",
        Runner::Doctest => return None,
    };
    let words = recipe.arguments.iter().map(|word| quoted(word));
    Some(
        std::iter::once(program.to_owned())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\"'\"'"))
    }
}

/// A file with one override, for people to go on with.
pub fn file_of(entry: &Override) -> String {
    let text = |value: &str| toml::Value::from(value).to_string();
    let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
    let mut file = String::from(
        "# How its tests are run. What is left out is found as usual; see docs/overrides.md.\n\n[[override]]\n",
    );
    let mut line = |key: &str, value: String| {
        // a String takes all that is written
        let _ = writeln!(file, "{key} = {value}");
    };
    line("project", text(&entry.project));
    if !entry.versions.is_empty() {
        line("versions", text(&entry.versions));
    }
    line("why", text(&entry.why));
    if let Some(requirements) = &entry.requirements {
        line("requirements", list(requirements));
    }
    if let Some(extras) = entry.extras.as_ref().filter(|extras| !extras.is_empty()) {
        line("extras", list(extras));
    }
    if let Some(command) = &entry.command {
        line("command", text(command));
    }
    if let Some(services) = entry.services.as_ref().filter(|services| !services.is_empty()) {
        line("services", list(services));
    }
    if let Some(seconds) = entry.timeout_s {
        line("timeout_s", seconds.to_string());
    }
    if let Some(why) = &entry.skip {
        line("skip", text(why));
    }
    for (number, (name, value)) in entry.env.iter().enumerate() {
        if number == 0 {
            file.push_str("\n[override.env]\n");
        }
        let _ = writeln!(file, "{name} = {}", text(value));
    }
    file
}
