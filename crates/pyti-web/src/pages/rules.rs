//! The rules, and how often each found something.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use pyti_judge::safety::RuleSet;
use serde::Serialize;

use super::{Frame, ROWS, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::query::Query;
use crate::site::Site;
use crate::views::{FindingView, rule_state_word};
use crate::words;

/// How long counts are kept: they go over all findings of a rule.
const FRESH: Duration = Duration::from_mins(1);

/// How many findings each rule has, by severity.
pub(crate) type RuleCounts = BTreeMap<String, Count>;

/// Findings of a rule.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Count {
    /// While it was counted.
    pub(crate) active: u64,
    /// While it was only watched.
    pub(crate) shadow: u64,
    /// By severity, info first.
    pub(crate) severities: [u64; 5],
}

#[derive(Template, Serialize)]
#[template(path = "rules.html")]
struct RulesPage {
    #[serde(skip)]
    frame: Frame,
    /// Digest of the rules.
    digest: String,
    rules: Vec<RuleView>,
}

/// A rule.
#[derive(Debug, Serialize)]
struct RuleView {
    id: String,
    title: String,
    family: &'static str,
    severity: &'static str,
    state: &'static str,
    #[serde(flatten)]
    count: Count,
    #[serde(skip)]
    weight: u8,
}

impl RuleView {
    fn tag(&self) -> crate::hostile::Markup {
        words::severity(self.weight)
    }

    fn all(&self) -> u64 {
        self.count.active + self.count.shadow
    }

    fn all_words(&self) -> String {
        words::number(self.all())
    }
}

#[derive(Template, Serialize)]
#[template(path = "rule.html")]
struct OneRule {
    #[serde(skip)]
    frame: Frame,
    rule: RuleView,
    /// The rule itself, when it is still there.
    text: Option<String>,
    findings: Vec<FindingView>,
    next: Option<String>,
}

fn with_rules<T>(site: &Site, ask: impl FnOnce(&RuleSet) -> T) -> Result<T, Fault> {
    match &site.inner.settings.rules {
        None => Ok(ask(RuleSet::built_in())),
        Some(files) => {
            let rules = RuleSet::load(files)
                .map_err(|_| Fault::Broken("the rules of this service cannot be read".to_owned()))?;
            Ok(ask(&rules))
        }
    }
}

/// Counts of at most a minute ago.
async fn counts(site: &Site) -> Result<Arc<RuleCounts>, Fault> {
    let known = || site.inner.counts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((when, counts)) = &*known()
        && when.elapsed() < FRESH
    {
        return Ok(Arc::clone(counts));
    }
    let counts = site
        .read(|store| {
            let mut all = RuleCounts::new();
            for (id, name) in store.rules()? {
                let mut count = Count::default();
                for (state, severity, n) in store.finding_counts(id)? {
                    if rule_state_word(state) == "shadow" {
                        count.shadow += n;
                    } else {
                        count.active += n;
                    }
                    let at = usize::from(severity).min(4);
                    count.severities[at] += n;
                }
                all.insert(name, count);
            }
            Ok(Arc::new(all))
        })
        .await?;
    *known() = Some((Instant::now(), Arc::clone(&counts)));
    Ok(counts)
}

fn view(rule: &pyti_judge::safety::Rule, counts: &RuleCounts) -> RuleView {
    RuleView {
        id: rule.id.clone(),
        title: rule.title.clone(),
        family: rule.family.word(),
        severity: rule.severity.word(),
        state: pyti_judge::safety::state_word(rule.state),
        count: counts.get(&rule.id).copied().unwrap_or_default(),
        weight: words::SEVERITIES
            .iter()
            .position(|word| *word == rule.severity.word())
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or_default(),
    }
}

/// A rule that only old findings name.
fn gone(id: &str, count: Count) -> RuleView {
    let worst = count.severities.iter().rposition(|n| *n > 0).unwrap_or(0);
    let weight = u8::try_from(worst).unwrap_or(0);
    RuleView {
        id: id.to_owned(),
        title: "a rule of another version".to_owned(),
        family: "",
        severity: words::severity_word(weight),
        state: "retired",
        count,
        weight,
    }
}

pub(crate) async fn rules(site: &Site, form: Form) -> Result<Response, Fault> {
    let counts = counts(site).await?;
    let (digest, mut rules) = with_rules(site, |set| {
        let rules: Vec<RuleView> = set.rules().iter().map(|rule| view(rule, &counts)).collect();
        (set.digest().to_owned(), rules)
    })?;
    for (name, count) in counts.iter() {
        if !rules.iter().any(|rule| rule.id == *name) {
            rules.push(gone(name, *count));
        }
    }
    rules.sort_by(|a, b| (b.all(), b.weight, &a.id).cmp(&(a.all(), a.weight, &b.id)));
    let page = RulesPage {
        frame: Frame::new(site, "Rules", "rules", "/rules"),
        digest,
        rules,
    };
    say(form, &page)
}

pub(crate) async fn rule(site: &Site, id: String, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<i64>("before")?;
    let counts = counts(site).await?;
    let known = with_rules(site, |set| {
        set.get(&id).map(|rule| (view(rule, &counts), rule.show()))
    })?;
    let (rule, text) = match (known, counts.get(&id)) {
        (Some((rule, text)), _) => (rule, Some(text)),
        (None, Some(count)) => (gone(&id, *count), None),
        (None, None) => return Err(Fault::NotFound("there is no such rule".to_owned())),
    };
    let asked = id.clone();
    let rows = site
        .read(move |store| Ok(store.findings_by_rule(&asked, before, ROWS)?))
        .await?;
    let path = format!("/rules/{id}");
    let next = rows
        .last()
        .filter(|_| rows.len() == ROWS as usize)
        .map(|row| link(form, &path, &[("before", &row.id.to_string())]));
    let page = OneRule {
        frame: Frame::new(site, format!("Rule {id}"), "rules", &path),
        rule,
        text,
        findings: rows.into_iter().map(Into::into).collect(),
        next,
    };
    say(form, &page)
}
