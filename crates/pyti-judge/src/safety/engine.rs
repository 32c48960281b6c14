//! Finds what rules describe: facts that fit steps, in order, near enough to each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::facts::{Fact, Facts};
use super::kind::Within;
use super::rule::Rule;
use super::step::Step;

/// Facts of one step that are kept as proof.
const MOST_OF_STEP: usize = 12;
/// How far different ones are counted.
const MOST_COUNTED: usize = 1000;

/// One case: for each step the facts that fit, and how many there were.
#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) steps: Vec<Vec<usize>>,
    pub(super) counts: Vec<usize>,
}

/// Where something happened: task, command, and process or branch. What is not known belongs to all.
type Site = (usize, Option<u32>, Option<u32>);

/// For each step the facts that fit it alone.
pub(super) fn hits(rule: &Rule, facts: &Facts<'_>) -> Vec<Vec<usize>> {
    rule.steps
        .iter()
        .map(|step| {
            let mut found: Vec<usize> = Vec::new();
            for kind in &step.kinds {
                for at in facts.of_kind(*kind) {
                    let fact = &facts.all[*at];
                    if rule.looks_at(fact.phase) && step.takes(facts, fact) {
                        found.push(*at);
                    }
                }
            }
            if step.kinds.len() > 1 {
                found.sort_unstable();
                found.dedup();
            }
            found
        })
        .collect()
}

/// All cases.
pub(super) fn matches(rule: &Rule, facts: &Facts<'_>) -> Vec<Match> {
    let hits = hits(rule, facts);
    if hits.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    if let ([only], [step]) = (hits.as_slice(), rule.steps.as_slice())
        && step.at_least == 1
    {
        return only
            .iter()
            .map(|at| Match {
                steps: vec![vec![*at]],
                counts: vec![1],
            })
            .collect();
    }
    let search = Search::new(rule, facts, hits);
    search.all()
}

/// Facts of each step by site, and by path where two steps have to agree on it.
struct Search<'a, 'r> {
    rule: &'a Rule,
    facts: &'a Facts<'r>,
    /// Which steps have to agree on the path.
    agree: HashSet<usize>,
    lists: Vec<HashMap<(Site, &'a str), Vec<usize>>>,
}

impl<'a, 'r> Search<'a, 'r> {
    fn new(rule: &'a Rule, facts: &'a Facts<'r>, hits: Vec<Vec<usize>>) -> Self {
        let mut agree = HashSet::new();
        for (number, step) in rule.steps.iter().enumerate() {
            if let Some(other) = step.same_path_as {
                agree.extend([number, other]);
            }
        }
        let mut lists = Vec::new();
        for (number, found) in hits.into_iter().enumerate() {
            let mut by_site: HashMap<(Site, &str), Vec<usize>> = HashMap::new();
            for at in found {
                let fact = &facts.all[at];
                let site = site(rule.within, fact);
                if agree.contains(&number) {
                    for path in [fact.place.as_str(), fact.from.as_str()] {
                        if !path.is_empty() {
                            by_site.entry((site, path)).or_default().push(at);
                        }
                    }
                } else {
                    by_site.entry((site, "")).or_default().push(at);
                }
            }
            let step = &rule.steps[number];
            if let Some(key) = step.distinct.filter(|_| step.at_least > 1) {
                for list in by_site.values_mut() {
                    *list = firsts_and_lasts(list, |at| step.key(key, facts, &facts.all[at]));
                }
            }
            lists.push(by_site);
        }
        Self {
            rule,
            facts,
            agree,
            lists,
        }
    }

    fn all(&self) -> Vec<Match> {
        // an ordered set, so that the same recording gives the same findings in the same order
        let mut wanted: BTreeSet<(Site, &str)> = BTreeSet::new();
        let mut sites: BTreeSet<Site> = BTreeSet::new();
        for (number, by_site) in self.lists.iter().enumerate() {
            for (site, path) in by_site.keys() {
                sites.insert(*site);
                if self.agree.contains(&number) {
                    wanted.insert((*site, path));
                }
            }
        }
        if self.agree.is_empty() {
            wanted.extend(sites.iter().map(|site| (*site, "")));
        }
        // who is known comes first, because the first case is the one that is told
        let (known, unknown): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|((_, command, _), _)| command.is_some());
        // what the whole command shows, each of its branches shows: it is not looked for again in thousands of them
        let mut whole: HashSet<(usize, Option<u32>, &str)> = HashSet::new();
        let mut out = Vec::new();
        for (site, path) in known.into_iter().chain(unknown) {
            let (task, command, sub) = site;
            if sub.is_some() && whole.contains(&(task, command, path)) {
                continue;
            }
            if let Some(case) = self.one(site, path) {
                if sub.is_none() {
                    whole.insert((task, command, path));
                }
                out.push(case);
            }
        }
        out
    }

    /// The earliest case at a site. What belongs to the whole command, or the whole task, belongs to the site too.
    fn one(&self, site: Site, path: &str) -> Option<Match> {
        let mut after: Option<usize> = None;
        let mut steps = Vec::new();
        let mut counts = Vec::new();
        for (number, step) in self.rule.steps.iter().enumerate() {
            let path = if self.agree.contains(&number) { path } else { "" };
            let lists = self.lists_at(number, site, path);
            let (found, count, last) = self.step(step, &lists, after)?;
            steps.push(found);
            counts.push(count);
            after = Some(last);
        }
        Some(Match { steps, counts })
    }

    fn lists_at<'s>(&'s self, step: usize, (task, command, sub): Site, path: &'s str) -> Vec<&'s [usize]> {
        let mut sites = vec![(task, command, sub)];
        if sub.is_some() {
            sites.push((task, command, None));
        }
        if command.is_some() {
            sites.push((task, None, None));
        }
        sites
            .into_iter()
            .filter_map(|site| self.lists[step].get(&(site, path)).map(Vec::as_slice))
            .collect()
    }

    fn step(
        &self,
        step: &Step,
        lists: &[&[usize]],
        after: Option<usize>,
    ) -> Option<(Vec<usize>, usize, usize)> {
        let mut heads: Vec<usize> = lists
            .iter()
            .map(|list| after.map_or(0, |after| list.partition_point(|at| *at <= after)))
            .collect();
        let mut next = || {
            let (which, at) = lists
                .iter()
                .zip(&heads)
                .enumerate()
                .filter_map(|(which, (list, head))| Some((which, *list.get(*head)?)))
                .min_by_key(|(_, at)| *at)?;
            heads[which] += 1;
            Some(at)
        };
        if step.at_least == 1 {
            let at = next()?;
            return Some((vec![at], 1, at));
        }
        let mut kept = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut count = 0;
        let mut last = None;
        while count < MOST_COUNTED {
            let Some(at) = next() else { break };
            if let Some(key) = step.distinct
                && !seen.insert(step.key(key, self.facts, &self.facts.all[at]))
            {
                continue;
            }
            let times = facts_times(step, &self.facts.all[at]);
            let before = count;
            count += times;
            if kept.len() < MOST_OF_STEP {
                kept.push(at);
            }
            if before < step.at_least as usize && count >= step.at_least as usize {
                last = Some(at);
            }
        }
        last.map(|last| (kept, count, last))
    }
}

/// Of each key the first and the last: where only different ones are counted, those between change nothing.
fn firsts_and_lasts(list: &[usize], key: impl Fn(usize) -> String) -> Vec<usize> {
    let mut seen: HashMap<String, (usize, usize)> = HashMap::new();
    for at in list {
        seen.entry(key(*at)).or_insert((*at, *at)).1 = *at;
    }
    let mut out: Vec<usize> = seen
        .into_values()
        .flat_map(|(first, last)| [first, last])
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// Acts in a row count each, unless only different ones count.
fn facts_times(step: &Step, fact: &Fact<'_>) -> usize {
    if step.distinct.is_some() {
        1
    } else {
        fact.times as usize
    }
}

fn site(within: Within, fact: &Fact<'_>) -> Site {
    match within {
        Within::Process => (fact.task, fact.command, fact.command.and(fact.process)),
        Within::Branch => (fact.task, fact.command, fact.command.and(fact.branch)),
        Within::Task => (fact.task, None, None),
        Within::Job => (0, None, None),
    }
}
