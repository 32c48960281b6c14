//! What is tried next when an attempt at running tests came to nothing, and which attempt gives the result. Pure.
//!
//! An attempt says more than that it failed: which module, fixture or file is missing, which requirement cannot be had.
//! What was learnt goes into the next recipe; nothing is guessed.

mod best;
mod symptoms;
mod unserved;

pub use best::{best, is_good};

use std::collections::BTreeSet;

use pyti_model::raw::{Inspection, Recipe, Runner, Sources, Test};

use crate::requirements::canonical;
use crate::tables;

/// Attempts with another recipe, the first one among them. A retry of the same recipe is not counted.
pub const ROUNDS: usize = 4;
/// Days after its upload until which a distribution's dependencies are thought to be those that it was made with.
const DAYS: u64 = 30;
const DAY_S: u64 = 86_400;
/// Seconds of attempts after which nothing is tried without a sign that it may help.
const UNFOUNDED_S: f64 = 60.0;

/// An attempt that was made.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its recipe.
    pub recipe: Recipe,
    /// What it came to.
    pub came: Came,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub enum Came {
    /// Its requirements cannot be locked, fetched or installed.
    NotHad {
        /// Why, in the words of whoever said so.
        why: String,
    },
    /// The runner was started.
    Ran {
        /// What it said.
        test: Box<Test>,
        /// How its process ended.
        death: Death,
        /// The end of what it printed.
        said: String,
        /// Ports of the loopback that it wanted to connect to, where somebody looked.
        ports: Vec<u16>,
    },
}

/// How a runner's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By itself.
    Exited,
    /// By a signal that nobody outside of it sent.
    Signal,
    /// By one of our limits.
    Limit,
}

/// What is known of where the attempts are made.
#[derive(Debug, Clone, Default)]
pub struct Situation<'a> {
    /// Name of the distribution under test.
    pub name: &'a str,
    /// Where the tree lies, as the tests see it.
    pub tree: &'a str,
    /// Its files, relative.
    pub files: &'a [String],
    /// What the last attempt took away from the tree.
    pub hidden: &'a [String],
    /// Links of the tree that lead to another place in it: where they are, and where they lead to, both relative.
    pub links: &'a [(String, String)],
    /// Names of what was installed for the last attempt.
    pub packages: &'a [String],
    /// When the distribution was uploaded, RFC 3339, where that is known and no other moment was asked for.
    pub uploaded: Option<&'a str>,
    /// Seconds since 1970.
    pub now_s: u64,
    /// Seconds that the attempts have taken so far.
    pub spent_s: f64,
    /// Services that this machine does not have, or that nobody wants.
    pub absent: &'a [String],
    /// The plan names its recipe: nothing else is tried.
    pub frozen: bool,
}

/// What is tried next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The recipe.
    pub recipe: Recipe,
    /// Why, for people.
    pub because: String,
}

/// The recipes that stand for the suite itself, best first: those that are run besides only when there are no others.
pub fn main_recipes(inspection: &Inspection) -> Vec<&Recipe> {
    let main: Vec<&Recipe> = inspection.recipes.iter().filter(|r| !r.besides).collect();
    if main.is_empty() {
        inspection.recipes.iter().collect()
    } else {
        main
    }
}

/// What to try after these attempts; `None` when the result stands.
pub fn next(inspection: &Inspection, tried: &[Tried], situation: &Situation<'_>) -> Option<Next> {
    let last = tried.last()?;
    let recipes = tried
        .iter()
        .map(|t| format!("{:?}", t.recipe))
        .collect::<BTreeSet<_>>()
        .len();
    let more = !situation.frozen && recipes < ROUNDS;
    match &last.came {
        Came::NotHad { why } => more
            .then(|| unhad(inspection, tried, situation, &last.recipe, why))
            .flatten(),
        Came::Ran {
            test,
            death,
            said,
            ports,
        } => {
            if *death == Death::Limit || (is_good(test) && *death == Death::Exited) {
                return None;
            }
            more.then(|| {
                learnt(inspection, situation, &last.recipe, test, said, ports)
                    .filter(|next| new(tried, &next.recipe))
                    .or_else(|| other_runner(inspection, tried, test))
            })
            .flatten()
            .or_else(|| again(tried, last, test, *death))
            .or_else(|| {
                more.then(|| {
                    older(tried, situation, &last.recipe, test).or_else(|| visible(tried, situation, test))
                })
                .flatten()
            })
        }
    }
}

fn new(tried: &[Tried], recipe: &Recipe) -> bool {
    !tried.iter().any(|t| t.recipe == *recipe)
}

/// Services that an attempt missed: the words that show it, and the service as a recipe names it.
pub fn unserved(test: &Test, said: &str, ports: &[u16]) -> Vec<(String, String)> {
    if is_good(test) {
        return Vec::new();
    }
    unserved::services(&symptoms::texts(test, said), ports)
}

/// Whether two recipes run the same things by the same runner.
fn same_command(a: &Recipe, b: &Recipe) -> bool {
    a.runner == b.runner && a.arguments == b.arguments && a.cwd == b.cwd
}

/// After requirements that cannot be had: a recipe without them, or this one without the line that is to blame.
fn unhad(
    inspection: &Inspection,
    tried: &[Tried],
    situation: &Situation<'_>,
    recipe: &Recipe,
    why: &str,
) -> Option<Next> {
    let blamed: Vec<&String> = recipe
        .requirements
        .iter()
        .filter(|line| symptoms::names(why, &canonical(line)))
        .collect();
    let runner = distribution_of(recipe.runner);
    let runner_is_lost = runner.is_some_and(|runner| {
        let is_runner = |line: &&String| canonical(line) == canonical(runner);
        blamed.iter().any(is_runner) || symptoms::names(why, &canonical(runner))
    });
    if !blamed.is_empty() && !runner_is_lost {
        let mut without = recipe.clone();
        without.requirements.retain(|line| !blamed.contains(&line));
        let lines: Vec<&str> = blamed.iter().map(|line| line.as_str()).collect();
        let because = format!("without {}, which cannot be had", lines.join(" and "));
        without.why.push(format!("requirements: {because}"));
        return Some(Next {
            recipe: without,
            because,
        })
        .filter(|next| new(tried, &next.recipe));
    }
    // extras are the distribution's own words, but they are not needed to try
    let other = main_recipes(inspection)
        .into_iter()
        .find(|other| {
            !tried.iter().any(|t| same_command(&t.recipe, other))
                && other.runner != Runner::Doctest
                && !blamed
                    .iter()
                    .any(|line| other.requirements.iter().any(|o| canonical(o) == canonical(line)))
        })
        .cloned();
    if let Some(other) = other {
        let because = match runner.filter(|_| runner_is_lost) {
            Some(runner) => format!("{runner} cannot be had"),
            None => "the requirements of the recipe before cannot be had".to_owned(),
        };
        return Some(Next {
            recipe: other,
            because,
        });
    }
    if runner_is_lost {
        return None;
    }
    let mut bare = recipe.clone();
    bare.extras.clear();
    bare.requirements
        .retain(|line| runner.is_some_and(|runner| canonical(line) == canonical(runner)));
    let because = format!(
        "with the runner alone: what {} wants for its tests cannot be had",
        situation.name
    );
    bare.why.push(format!("requirements: {because}"));
    Some(Next {
        recipe: bare,
        because,
    })
    .filter(|next| new(tried, &next.recipe))
}

/// The distribution that offers a runner.
fn distribution_of(runner: Runner) -> Option<&'static str> {
    match runner {
        Runner::Pytest => Some("pytest"),
        Runner::Zope => Some("zope.testrunner"),
        Runner::Trial => Some("Twisted"),
        Runner::Nose2 => Some("nose2"),
        Runner::Unittest | Runner::Doctest | Runner::Django | Runner::Script => None,
    }
}

/// What the attempt itself says that it lacks, all at once.
fn learnt(
    inspection: &Inspection,
    situation: &Situation<'_>,
    recipe: &Recipe,
    test: &Test,
    said: &str,
    ports: &[u16],
) -> Option<Next> {
    let texts = symptoms::texts(test, said);
    let (mut next, mut because) = (recipe.clone(), Vec::new());
    let have = |recipe: &Recipe, name: &str| {
        recipe.requirements.iter().any(|line| canonical(line) == name)
            || situation
                .packages
                .iter()
                .any(|package| canonical(package) == name)
    };
    for module in symptoms::missing_modules(&texts) {
        let top = module.split('.').next().unwrap_or(&module);
        if inspection.importable.contains_key(top) {
            continue;
        }
        if let Some(folder) = symptoms::folder_of(situation.files, top) {
            if recipe.runner == Runner::Pytest && add_path(&mut next, &folder) {
                let place = if folder.is_empty() { "the root" } else { &folder };
                because.push(format!("No module named '{module}': {place} is put on the path"));
            }
            continue;
        }
        let Some(line) = requirement_of(inspection, top) else {
            continue;
        };
        let name = canonical(&line);
        // a version too new may be the reason: a line with a bound of its own is worth a try
        let bound = line.contains(['<', '=', '>']);
        if name == canonical(situation.name)
            || (have(&next, &name) && !bound)
            || next.requirements.contains(&line)
        {
            continue;
        }
        because.push(format!("No module named '{module}': {line} is added"));
        next.requirements.push(line);
    }
    for (word, plugin) in symptoms::missing_plugins(&texts) {
        if recipe.runner == Runner::Pytest && !have(&next, &canonical(plugin)) {
            because.push(format!("{word}: {plugin} is added"));
            next.requirements.push(plugin.to_owned());
        }
    }
    for (word, wanted) in unserved::services(&texts, ports) {
        let name = wanted.split(':').next().unwrap_or(&wanted);
        if !next.services.contains(&wanted) && !situation.absent.iter().any(|absent| absent == name) {
            next.why.push(format!("services: {name}: {word}"));
            because.push(format!("{word}: {wanted} is started"));
            next.services.push(wanted);
        }
    }
    if recipe.sources == Sources::Hidden
        && let Some(file) = symptoms::missing_source(&texts, situation.tree, situation.hidden)
    {
        next.sources = Sources::Visible;
        because.push(format!("the tests read {file} of the sources, which stay now"));
    } else if recipe.sources == Sources::Hidden
        && test.counts.failed + test.counts.errors > 0
        && let Some((link, _)) = situation
            .links
            .iter()
            .find(|(_, target)| symptoms::lies_in(target, situation.hidden))
    {
        next.sources = Sources::Visible;
        because.push(format!("{link} leads to the sources, which stay now"));
    }
    if because.is_empty() {
        return None;
    }
    let because = because.join("; ");
    next.why.push(format!("learnt: {because}"));
    Some(Next {
        recipe: next,
        because,
    })
}

/// The requirement line for a missing module: from a table, or a line of the tree whose name is the module's.
fn requirement_of(inspection: &Inspection, top: &str) -> Option<String> {
    if let Some(line) = tables::distribution(top) {
        return Some(line.to_owned());
    }
    let same = canonical(top);
    inspection
        .known
        .iter()
        .find(|line| canonical(line) == same)
        .cloned()
}

/// Puts a folder of the tree on the path of pytest; false when it is there already.
fn add_path(recipe: &mut Recipe, folder: &str) -> bool {
    let folder = if folder.is_empty() { "." } else { folder };
    let key = "pythonpath=";
    if let Some(option) = recipe.arguments.iter_mut().find(|a| a.starts_with(key)) {
        if option[key.len()..].split(' ').any(|known| known == folder) {
            return false;
        }
        option.push(' ');
        option.push_str(folder);
    } else {
        recipe
            .arguments
            .splice(0..0, ["-o".to_owned(), format!("{key}{folder}")]);
    }
    true
}

/// When no test was run: the next recipe of the tree that runs them by other means.
fn other_runner(inspection: &Inspection, tried: &[Tried], test: &Test) -> Option<Next> {
    let ran = test.counts.executed() - test.counts.errors.min(test.counts.executed());
    if ran > 0 {
        return None;
    }
    let broken = test.counts.errors > 0 || !test.collection_errors.is_empty() || !test.finished;
    let other = main_recipes(inspection).into_iter().find(|other| {
        // a few prompts that hold never stand for a suite that cannot be run
        !tried.iter().any(|t| same_command(&t.recipe, other)) && (other.runner != Runner::Doctest || !broken)
    })?;
    let because = if broken {
        "the recipe before could not run a single test"
    } else {
        "the recipe before found no tests"
    };
    Some(Next {
        recipe: other.clone(),
        because: because.to_owned(),
    })
}

/// The same again, alone: a few failures among many tests, or a crash, may be chance.
fn again(tried: &[Tried], last: &Tried, test: &Test, death: Death) -> Option<Next> {
    // one retry in all
    let retried = tried
        .iter()
        .enumerate()
        .any(|(at, t)| tried[..at].iter().any(|earlier| earlier.recipe == t.recipe));
    let bad = test.counts.failed + test.counts.errors;
    let few = bad > 0 && (bad <= 25 || bad * 10 <= test.counts.executed());
    let chance = (few && test.collection_errors.is_empty() && test.finished) || death == Death::Signal;
    (!retried && chance && test.counts.executed() > 0).then(|| Next {
        recipe: last.recipe.clone(),
        because: "the same again, alone".to_owned(),
    })
}

/// The same with the sources left where they are: tests may read them in ways that no message tells. What the runner's process
/// imports is the installed copy all the same.
fn visible(tried: &[Tried], situation: &Situation<'_>, test: &Test) -> Option<Next> {
    // what was tried since did not help: from the best so far
    let recipe = &tried[best(tried)?].recipe;
    let hidden = recipe.sources == Sources::Hidden && !situation.hidden.is_empty();
    if !hidden || situation.spent_s > UNFOUNDED_S || symptoms::is_about_the_network(test) {
        return None;
    }
    let mut next = recipe.clone();
    next.sources = Sources::Visible;
    let because = "with the sources left where they are".to_owned();
    next.why.push(format!("layout: {because}"));
    Some(Next {
        recipe: next,
        because,
    })
    .filter(|next| new(tried, &next.recipe))
}

/// The same with everything as it was 30 days after the upload: what came later may not fit.
fn older(tried: &[Tried], situation: &Situation<'_>, recipe: &Recipe, test: &Test) -> Option<Next> {
    let uploaded = seconds_of(situation.uploaded?)?;
    let until = uploaded + DAYS * DAY_S;
    if recipe.exclude_newer.is_some() || until >= situation.now_s || symptoms::is_about_the_network(test) {
        return None;
    }
    let mut next = recipe.clone();
    let moment = moment_of(until);
    let because = format!(
        "with everything as of {}, {DAYS} days after its upload",
        &moment[..10]
    );
    next.exclude_newer = Some(moment);
    next.why.push(format!("requirements: {because}"));
    Some(Next {
        recipe: next,
        because,
    })
    .filter(|next| new(tried, &next.recipe))
}

/// Seconds since 1970 of a moment in RFC 3339; a zone other than UTC is taken for UTC, which matters little here.
fn seconds_of(moment: &str) -> Option<u64> {
    let part = |from: usize, to: usize| moment.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let of_day =
        part(11, 13).unwrap_or(0) * 3600 + part(14, 16).unwrap_or(0) * 60 + part(17, 19).unwrap_or(0);
    // days since 0000-03-01, so that a leap day is the last of its year
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * DAY_S + of_day)
}

/// The moment in RFC 3339.
fn moment_of(seconds: u64) -> String {
    let (days, of_day) = (seconds / DAY_S + 719_468, seconds % DAY_S);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let m = (5 * day + 2) / 153;
    let (month, day) = (if m < 10 { m + 3 } else { m - 9 }, day - (153 * m + 2) / 5 + 1);
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests;
