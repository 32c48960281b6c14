//! How the tree is arranged so that the tests meet the installed distribution, not the sources.
//!
//! No flag of a runner suffices: a root conftest, `tests/__init__.py` or `pythonpath` bring the tree back. So what is
//! importable and installed is taken away from the tree. Tests that lie in it are run from the installed package, and
//! are put there when the wheel leaves them out.

use std::collections::BTreeSet;

use pyti_model::raw::{Inspection, Recipe, Runner};

/// The arrangement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Paths of the tree that are taken away.
    pub hide: Vec<String>,
    /// Paths of the tree, and where they are copied to, relative to site-packages.
    pub graft: Vec<(String, String)>,
    /// The working directory, relative to the tree; empty for its root.
    pub cwd: String,
    /// The runner's arguments, for this arrangement.
    pub arguments: Vec<String>,
}

/// Arranges the tree `files` for a recipe. `installed_modules` are the dotted modules of the installed distribution.
pub fn layout(
    inspection: &Inspection,
    recipe: &Recipe,
    files: &[String],
    installed_modules: &[String],
) -> Layout {
    let tops: BTreeSet<&str> = installed_modules
        .iter()
        .map(|m| m.split('.').next().unwrap_or(m))
        .collect();
    let installed: BTreeSet<&str> = installed_modules.iter().map(String::as_str).collect();
    let mut layout = Layout {
        cwd: recipe.cwd.clone(),
        ..Layout::default()
    };
    let mut pyargs = false;
    let (mut kept, mut staying) = (Vec::new(), Vec::new());
    let hidden: Vec<(&str, &str)> = inspection
        .importable
        .iter()
        .filter(|(name, _)| tops.contains(name.as_str()))
        .map(|(name, path)| (name.as_str(), path.as_str()))
        .collect();
    for argument in &recipe.arguments {
        let path = argument.trim_start_matches("./").trim_end_matches('/');
        let inside = hidden.iter().find_map(|(name, root)| {
            if path == *root {
                return Some((*name).to_owned());
            }
            let rest = path.strip_prefix(root)?.strip_prefix('/')?;
            Some(format!("{name}/{rest}"))
        });
        let named = !matches!(recipe.runner, Runner::Doctest | Runner::Script | Runner::Django);
        let Some(place) = inside.filter(|_| named) else {
            kept.push(layout.arguments.len());
            layout.arguments.push(argument.clone());
            continue;
        };
        // a whole namespace never stays: nothing would be hidden
        if !hidden.iter().any(|(_, root)| *root == path) && stays(path, files) {
            staying.push(path.to_owned());
            kept.push(layout.arguments.len());
            layout.arguments.push(argument.clone());
            continue;
        }
        let dotted = place.trim_end_matches(".py").replace('/', ".");
        let package = format!("{dotted}.");
        let there = installed.contains(dotted.as_str()) || installed.iter().any(|m| m.starts_with(&package));
        if !there
            && files
                .iter()
                .any(|file| file == path || file.starts_with(&format!("{path}/")))
        {
            layout.graft.push((path.to_owned(), place));
        }
        pyargs |= recipe.runner == Runner::Pytest;
        layout.arguments.push(dotted);
    }
    if pyargs {
        // what is installed may have a package of this name: a path that begins with a dot is never looked for there
        for at in kept {
            let argument = &mut layout.arguments[at];
            let folder = format!("{argument}/");
            if files
                .iter()
                .any(|file| file == argument || file.starts_with(&folder))
            {
                argument.insert_str(0, "./");
            }
        }
        layout.arguments.insert(0, "--pyargs".to_owned());
    }
    if recipe.runner == Runner::Unittest && (layout.arguments != recipe.arguments || !staying.is_empty()) {
        // discovery in an installed package has its top where that is installed
        if let Some(at) = layout.arguments.iter().position(|argument| argument == "-t") {
            layout.arguments.drain(at..(at + 2).min(layout.arguments.len()));
        }
    }
    if matches!(recipe.runner, Runner::Zope | Runner::Trial | Runner::Nose2) {
        layout.arguments = by_module(recipe.runner, &layout.arguments, files);
    }
    if recipe.sources.is_hidden() {
        layout.hide = hidden
            .into_iter()
            .flat_map(|(_, path)| around(path, &staying, files))
            .collect();
    }
    layout
}

/// The command of a runner that is a module, with the places that are paths of the tree or names of what is installed.
fn by_module(runner: Runner, places: &[String], files: &[String]) -> Vec<String> {
    let is_path = |place: &str| {
        let folder = format!("{place}/");
        files
            .iter()
            .any(|file| file == place || file.starts_with(&folder))
    };
    let dotted = |place: &String| {
        if is_path(place) {
            place.trim_end_matches(".py").replace('/', ".")
        } else {
            place.clone()
        }
    };
    let mut arguments = vec!["-m".to_owned()];
    match runner {
        Runner::Zope => {
            arguments.push("zope.testrunner".to_owned());
            // what is installed is looked for where it is installed, and the rest in the tree
            if places.iter().any(|place| !is_path(place)) {
                arguments.push("--test-path={site}".to_owned());
            }
            if places.iter().any(|place| is_path(place)) {
                arguments.push("--test-path=.".to_owned());
            }
            for place in places {
                let name = dotted(place);
                // a module is found in its package
                let package = if place.ends_with(".py") {
                    name.rsplit_once('.')
                        .map_or("", |(package, _)| package)
                        .to_owned()
                } else {
                    name
                };
                if !package.is_empty() {
                    arguments.extend(["-s".to_owned(), package]);
                }
            }
        }
        Runner::Nose2 => {
            arguments.push("nose2".to_owned());
            arguments.extend(places.iter().map(dotted));
        }
        _ => {
            arguments.push("twisted.trial".to_owned());
            arguments.extend(places.iter().map(dotted));
        }
    }
    arguments
}

/// Whether tests in a package are in a folder that is none itself, so that no name leads to them where it is installed.
fn stays(path: &str, files: &[String]) -> bool {
    let has = |wanted: &str| files.iter().any(|file| file == wanted);
    let folder = match path.rsplit_once('/') {
        Some((folder, _)) if has(path) => folder,
        _ => path,
    };
    let below = format!("{folder}/");
    files.iter().any(|file| file.starts_with(&below)) && !has(&format!("{folder}/__init__.py"))
}

/// A path, or all of it but what stays and the conftest files on the way there.
fn around(root: &str, staying: &[String], files: &[String]) -> Vec<String> {
    let within = |path: &str, folder: &str| {
        path == folder
            || path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let staying: Vec<&String> = staying.iter().filter(|path| within(path, root)).collect();
    if staying.is_empty() {
        return vec![root.to_owned()];
    }
    let mut hide = BTreeSet::new();
    for file in files.iter().filter(|file| within(file, root)) {
        if staying.iter().any(|path| within(file, path)) {
            continue;
        }
        let ends = file
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([file.len()])
            .filter(|end| *end > root.len());
        // the highest folder that leads to nothing that stays
        let first = ends
            .map(|end| &file[..end])
            .find(|part| !staying.iter().any(|path| within(path, part)));
        if let Some(part) = first.filter(|part| *part != file || !part.ends_with("/conftest.py")) {
            hide.insert(part.to_owned());
        }
    }
    hide.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(runner: Runner, arguments: &[&str]) -> Recipe {
        Recipe {
            runner,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            ..Recipe::default()
        }
    }

    fn of(importable: (&str, &str), arguments: &[&str], files: &[&str], installed: &[&str]) -> Layout {
        let inspection = Inspection {
            importable: [(importable.0.to_owned(), importable.1.to_owned())].into(),
            ..Inspection::default()
        };
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        layout(
            &inspection,
            &recipe(Runner::Pytest, arguments),
            &own(files),
            &own(installed),
        )
    }

    #[test]
    fn what_is_installed_is_hidden_and_what_is_not_stays() {
        let layout = of(
            ("six", "six.py"),
            &["test_six.py"],
            &["six.py", "test_six.py"],
            &["six"],
        );
        assert_eq!(
            (layout.hide, layout.arguments),
            (vec!["six.py".to_owned()], vec!["test_six.py".to_owned()])
        );
        let layout = of(
            ("app", "app.py"),
            &["tests"],
            &["app.py", "tests/test_a.py"],
            &["x"],
        );
        assert!(layout.hide.is_empty());
    }

    #[test]
    fn a_folder_beside_an_installed_package_is_no_name_of_a_module() {
        let files = ["src/x/__init__.py", "src/x/a.py", "tests/test_a.py"];
        let layout = of(("x", "src/x"), &["src/x", "tests", "-q"], &files, &["x", "x.a"]);
        assert_eq!(layout.arguments, ["--pyargs", "x", "./tests", "-q"]);
        let flat = ["x/__init__.py", "x/a.py", "tests/test_a.py"];
        let layout = of(("x", "x"), &["x", "tests"], &flat, &["x", "x.a"]);
        assert_eq!(layout.arguments, ["--pyargs", "x", "./tests"]);
        let layout = of(("x", "src/x"), &["tests", "-q"], &files, &["x", "x.a"]);
        assert_eq!(layout.arguments, ["tests", "-q"]);
    }

    #[test]
    fn tests_in_a_folder_that_is_no_package_stay_where_they_are() {
        let files = [
            "x/__init__.py",
            "x/conftest.py",
            "x/a/b.py",
            "x/a/c.py",
            "x/tests/data/d.txt",
            "x/tests/test_a.py",
        ];
        let layout = of(("x", "x"), &["x/tests"], &files, &["x", "x.a.b"]);
        assert_eq!(layout.arguments, ["x/tests"]);
        assert_eq!(layout.hide, ["x/__init__.py", "x/a"]);
        assert!(layout.graft.is_empty());
        // one file of such a folder
        let layout = of(("x", "x"), &["x/tests/test_a.py"], &files, &["x"]);
        assert_eq!(layout.arguments, ["x/tests/test_a.py"]);
        assert_eq!(layout.hide, ["x/__init__.py", "x/a", "x/tests/data"]);
        let namespace = ["zope/x/__init__.py"];
        assert_eq!(
            of(("zope", "zope"), &["zope"], &namespace, &["zope.x"]).hide,
            ["zope"]
        );
        // and a package
        let files = ["x/__init__.py", "x/tests/__init__.py", "x/tests/test_a.py"];
        let layout = of(("x", "x"), &["x/tests"], &files, &["x"]);
        assert_eq!(
            (layout.arguments, layout.hide, layout.graft.len()),
            (
                vec!["--pyargs".to_owned(), "x.tests".to_owned()],
                vec!["x".to_owned()],
                1
            )
        );
    }

    #[test]
    fn unittest_discovers_where_the_package_is_installed() {
        let inspection = Inspection {
            importable: [("x".to_owned(), "x".to_owned())].into(),
            ..Inspection::default()
        };
        let files = ["x/tests/__init__.py".to_owned()];
        let arguments = |place: &str| {
            let recipe = recipe(Runner::Unittest, &["discover", "-s", place, "-t", "."]);
            layout(
                &inspection,
                &recipe,
                &files,
                &["x".to_owned(), "x.tests".to_owned()],
            )
            .arguments
        };
        assert_eq!(arguments("x/tests"), ["discover", "-s", "x.tests"]);
        assert_eq!(arguments("tests"), ["discover", "-s", "tests", "-t", "."]);
    }

    #[test]
    fn runners_that_are_modules_are_told_where_to_look() {
        let inspection = Inspection {
            importable: [("zope".to_owned(), "src/zope".to_owned())].into(),
            ..Inspection::default()
        };
        let files = [
            "src/zope/x/tests/__init__.py",
            "tests/test_a.py",
            "tests/__init__.py",
        ]
        .map(str::to_owned);
        let installed = ["zope.x".to_owned(), "zope.x.tests".to_owned()];
        let of = |runner, places: &[&str]| {
            layout(&inspection, &recipe(runner, places), &files, &installed)
                .arguments
                .join(" ")
        };
        assert_eq!(
            of(Runner::Zope, &["src/zope/x/tests"]),
            "-m zope.testrunner --test-path={site} -s zope.x.tests"
        );
        assert_eq!(
            of(Runner::Zope, &["tests"]),
            "-m zope.testrunner --test-path=. -s tests"
        );
        assert_eq!(
            of(Runner::Trial, &["src/zope/x/tests"]),
            "-m twisted.trial zope.x.tests"
        );
        assert_eq!(of(Runner::Nose2, &["tests/test_a.py"]), "-m nose2 tests.test_a");
        let script = Recipe {
            cwd: "tests".to_owned(),
            ..recipe(Runner::Script, &["run.py"])
        };
        let layout = layout(&inspection, &script, &files, &installed);
        assert_eq!(
            (layout.arguments, layout.cwd),
            (vec!["run.py".to_owned()], "tests".to_owned())
        );
        assert_eq!(layout.hide, ["src/zope"]);
    }

    #[test]
    fn sources_that_stay_are_not_hidden() {
        let inspection = Inspection {
            importable: [("x".to_owned(), "x.py".to_owned())].into(),
            ..Inspection::default()
        };
        let mut visible = recipe(Runner::Pytest, &["tests"]);
        let hide =
            |recipe: &Recipe| layout(&inspection, recipe, &["x.py".to_owned()], &["x".to_owned()]).hide;
        assert_eq!(hide(&visible), ["x.py"]);
        visible.sources = pyti_model::raw::Sources::Visible;
        assert!(hide(&visible).is_empty());
    }

    #[test]
    fn tests_in_the_package_are_run_where_it_is_installed() {
        let files = ["src/h11/tests/__init__.py", "src/h11/tests/test_a.py"];
        let layout = of(
            ("h11", "src/h11"),
            &["src/h11/tests"],
            &files,
            &["h11", "h11.tests", "h11.tests.test_a"],
        );
        assert_eq!(layout.arguments, ["--pyargs", "h11.tests"]);
        assert!(layout.graft.is_empty());
        let layout = of(("h11", "src/h11"), &["src/h11/tests"], &files, &["h11"]);
        assert_eq!(
            layout.graft,
            [("src/h11/tests".to_owned(), "h11/tests".to_owned())]
        );
    }
}
