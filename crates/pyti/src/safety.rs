//! *safe?*: rules and what they find. `pyti rules`, `pyti judge`, `pyti explain`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use pyti_judge::JobRecord;
use pyti_judge::safety::{self, Baseline, Rule, RuleSet, Suppression};
use pyti_model::finding::Judgement;
use pyti_worker::recording;

use crate::args::{ExplainArgs, JudgeArgs, RulesArgs, RulesCommand};
use crate::output::{Look, Usage, print};
use crate::recorded::{Loaded, all, load_with, recordings};

/// Most bytes of a file of rules.
const RULES_CAP: u64 = 4 << 20;

/// Who judges: rules and exceptions from them.
pub(crate) struct Judge {
    rules: Option<RuleSet>,
    suppressions: Vec<Suppression>,
}

impl Judge {
    /// Rules of a folder, or those that are built in; and exceptions from a file.
    pub(crate) fn new(rules: Option<&Path>, suppressions: Option<&Path>) -> anyhow::Result<Self> {
        let rules = rules.map(read_rules).transpose()?;
        let suppressions = match suppressions {
            None => Vec::new(),
            Some(path) => {
                let text = read(path)?;
                Suppression::load(&path.display().to_string(), &text).map_err(|e| Usage(e.to_string()))?
            }
        };
        Ok(Self { rules, suppressions })
    }

    /// As the configuration file says.
    pub(crate) fn configured() -> anyhow::Result<Self> {
        let (rules, suppressions) = crate::config::safety()?;
        Self::new(rules.as_deref(), suppressions.as_deref())
    }

    pub(crate) fn rules(&self) -> &RuleSet {
        self.rules.as_ref().unwrap_or_else(|| RuleSet::built_in())
    }

    /// Judges one job; `baseline` is the recording of an empty package.
    pub(crate) fn judge(&self, record: &JobRecord, baseline: Option<&Baseline>) -> Judgement {
        safety::judge_safety(record, self.rules(), &self.suppressions, baseline)
    }
}

/// What an empty package did, from its recording. One that cannot be read is as good as none: nothing is subtracted.
pub(crate) fn baseline(path: &Path) -> Option<Baseline> {
    let events = recording::read(path).ok()?;
    Some(Baseline::from_record(&pyti_judge::fold(events)))
}

/// The text of a file that somebody names, at most `cap` bytes of it.
pub(crate) fn text_of(path: &Path, cap: u64) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(cap).read_to_string(&mut text)?;
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<String> {
    text_of(path, RULES_CAP).with_context(|| format!("cannot read {}", path.display()))
}

fn read_rules(folder: &Path) -> anyhow::Result<RuleSet> {
    RuleSet::load(&rule_files(folder)?).map_err(|e| Usage(e.to_string()).into())
}

/// The files of rules in a folder: name and text.
pub(crate) fn rule_files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(Usage(format!("there is no rule file (*.toml) in {}", folder.display())).into());
    }
    let mut files = Vec::new();
    for path in paths {
        files.push((path.display().to_string(), read(&path)?));
    }
    Ok(files)
}

/// `pyti rules`.
pub(crate) fn rules(args: &RulesArgs) -> anyhow::Result<u8> {
    let judge = match &args.rules {
        Some(folder) => Judge::new(Some(folder), None)?,
        None => Judge::configured()?,
    };
    let rules = judge.rules();
    match &args.command {
        RulesCommand::List { json } if *json => {
            let lines: Vec<_> = rules
                .rules()
                .iter()
                .map(serde_json::to_string)
                .collect::<Result<_, _>>()?;
            print(&lines.join("\n"))?;
        }
        RulesCommand::List { .. } => {
            let all = rules.rules();
            let width = all.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
            let mut text = String::new();
            for rule in all {
                text.push_str(&format!(
                    "{:<width$}  {:<8}  {:<12}  {}\n",
                    rule.id,
                    rule.severity.word(),
                    rule.family.word(),
                    rule.title
                ));
            }
            text.push_str(&format!("{} rules, digest {}\n", all.len(), rules.digest()));
            print(&text)?;
        }
        RulesCommand::Show { rule } => {
            let found = rules.get(rule).ok_or_else(|| no_rule(rules, rule))?;
            print(&found.show())?;
        }
        RulesCommand::Test { rule, run } => {
            rules.get(rule).ok_or_else(|| no_rule(rules, rule))?;
            for (name, record) in records(run)? {
                let Some(trial) = rules.test(&record, rule) else {
                    continue;
                };
                let mut text = format!("{name}: {} findings\n", trial.findings.len());
                for step in &trial.steps {
                    text.push_str(&format!("  step {}: {} facts fit\n", step.step, step.matched));
                    for (place, words) in &step.examples {
                        text.push_str(&format!("    {place}  {words}\n"));
                    }
                }
                for finding in &trial.findings {
                    text.push_str(&format!("  {} ({})\n", finding.sentence, finding.phase));
                }
                print(&text)?;
            }
        }
    }
    Ok(0)
}

fn no_rule(rules: &RuleSet, wanted: &str) -> Usage {
    let near = rules
        .rules()
        .iter()
        .map(|rule| rule.id.as_str())
        .find(|id| id.contains(wanted) || wanted.contains(id));
    match near {
        Some(near) => Usage(format!("there is no rule {wanted}; there is {near}")),
        None => Usage(format!("there is no rule {wanted}; `pyti rules list` shows them")),
    }
}

/// The records of a run, or of one recording.
fn records(run: &str) -> anyhow::Result<BTreeMap<String, JobRecord>> {
    let path = Path::new(run);
    if path.is_file() {
        let record = pyti_judge::fold(recording::read(path)?);
        return Ok(BTreeMap::from([(run.to_owned(), record)]));
    }
    let run = all()?.find(run)?;
    let read =
        |(name, path): (String, PathBuf)| anyhow::Ok((name, pyti_judge::fold(recording::read(&path)?)));
    recordings(&run)?.into_iter().map(read).collect()
}

/// `pyti judge`.
pub(crate) fn judge(args: &JudgeArgs, look: &Look) -> anyhow::Result<u8> {
    let judge = if args.rules.is_some() || args.suppressions.is_some() {
        Judge::new(args.rules.as_deref(), args.suppressions.as_deref())?
    } else {
        Judge::configured()?
    };
    let path = Path::new(&args.run);
    let (names, judgements) = if path.is_file() {
        let record = pyti_judge::fold(recording::read(path)?);
        let baseline = args.baseline.as_deref().and_then(baseline);
        (
            vec![args.run.clone()],
            vec![(
                judge.judge(&record, baseline.as_ref()),
                pyti_judge::judge(&record),
            )],
        )
    } else {
        let run = all()?.find(&args.run)?;
        let loaded = load_with(&run, &judge)?;
        if !args.json {
            print(&pyti_report::verdict_lines(&loaded.view(&run), &look.report))?;
        }
        let judged = loaded.jobs.into_iter().map(|(_, status)| status);
        (loaded.names, loaded.found.into_iter().zip(judged).collect())
    };
    let mut statuses = Vec::new();
    for (name, (found, status)) in names.iter().zip(&judgements) {
        statuses.push((status.outcome.status, found.verdict));
        if args.json {
            print(&serde_json::to_string(&serde_json::json!({
                "recording": name,
                "verdict": found.verdict,
                "findings": found.findings,
                "missing": found.missing,
                "rules": found.rules,
            }))?)?;
        } else if path.is_file() {
            let mut text = format!("{name}: {}\n", found.verdict.word());
            for finding in &found.findings {
                let events: Vec<_> = finding.events.iter().map(ToString::to_string).collect();
                text.push_str(&format!(
                    "  {} {} ({}, {}): {}\n",
                    finding.severity.word(),
                    finding.rule,
                    finding.phase,
                    events.join(" "),
                    finding.sentence
                ));
            }
            for missing in &found.missing {
                text.push_str(&format!("  missing: {missing}\n"));
            }
            print(&text)?;
        }
    }
    // what was judged here is safety alone: a failing test is no news
    let verdicts: Vec<_> = statuses
        .into_iter()
        .map(|(_, verdict)| (pyti_model::outcome::Status::Pass, verdict))
        .collect();
    Ok(pyti_judge::exit_code(&verdicts, false, false))
}

/// `pyti explain`.
pub(crate) fn explain(args: &ExplainArgs, look: &Look) -> anyhow::Result<u8> {
    let run = all()?.find(&args.run)?;
    let judge = Judge::configured()?;
    let loaded: Loaded = load_with(&run, &judge)?;
    let view = loaded.view(&run);
    let Some(which) = &args.finding else {
        let found = pyti_report::findings(&view);
        if found.is_empty() {
            bail!(Usage(format!("run {} has no findings", run.id)));
        }
        print(&pyti_report::verdict_lines(&view, &look.report))?;
        return Ok(0);
    };
    let about = |id: &str| judge.rules().get(id).map(Rule::show);
    let text = pyti_report::explain(&view, which, &about, &look.report).map_err(|e| Usage(e.to_string()))?;
    print(&text)?;
    Ok(0)
}
