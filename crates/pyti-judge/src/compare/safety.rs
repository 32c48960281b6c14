//! Two judgements of whether something is safe, side by side.

use std::collections::BTreeSet;

use pyti_model::finding::{Finding, Judgement, Severity};
use pyti_model::outcome::Verdict;
use serde::{Deserialize, Serialize};

/// Whether a file is safe, in two runs that were judged by the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyCompared {
    /// Verdict of the first and of the second run; absent where a run does not have the file.
    pub verdict: (Option<Verdict>, Option<Verdict>),
    /// Findings that only the second run has.
    pub new: Vec<FindingLine>,
    /// Findings that only the first run has.
    pub gone: Vec<FindingLine>,
}

/// A finding, as a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingLine {
    /// The rule.
    pub rule: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The task in which it happened.
    pub phase: String,
    /// One plain sentence.
    pub sentence: String,
}

/// Compares two judgements. A finding is the same when the same rule found it in the same task: paths, versions and
/// decoys differ from run to run. What was suppressed does not count.
pub fn safety(before: Option<&Judgement>, after: Option<&Judgement>) -> Option<SafetyCompared> {
    if before.is_none() && after.is_none() {
        return None;
    }
    let only = |these: Option<&Judgement>, those: Option<&Judgement>| -> Vec<FindingLine> {
        let known: BTreeSet<_> = counted(those).map(key).collect();
        let mut told = BTreeSet::new();
        counted(these)
            .filter(|finding| !known.contains(&key(finding)) && told.insert(key(finding)))
            .map(line)
            .collect()
    };
    Some(SafetyCompared {
        verdict: (
            before.map(|judged| judged.verdict),
            after.map(|judged| judged.verdict),
        ),
        new: only(after, before),
        gone: only(before, after),
    })
}

fn counted(judged: Option<&Judgement>) -> impl Iterator<Item = &Finding> {
    judged
        .into_iter()
        .flat_map(|judged| &judged.findings)
        .filter(|finding| finding.suppressed.is_none())
}

fn key(finding: &Finding) -> (&str, &str) {
    (&finding.rule, &finding.phase)
}

fn line(finding: &Finding) -> FindingLine {
    FindingLine {
        rule: finding.rule.clone(),
        severity: finding.severity,
        phase: finding.phase.clone(),
        sentence: finding.sentence.clone(),
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::finding::{Family, RuleState};

    use super::*;

    fn judged(verdict: Verdict, findings: &[(&str, &str, bool)]) -> Judgement {
        let findings = findings.iter().map(|(rule, phase, suppressed)| Finding {
            rule: (*rule).to_owned(),
            title: String::new(),
            severity: Severity::High,
            family: Family::Access,
            phase: (*phase).to_owned(),
            sentence: format!("{rule} in {phase}"),
            events: Vec::new(),
            mitre: Vec::new(),
            state: RuleState::Active,
            suppressed: suppressed.then(|| "known".to_owned()),
        });
        Judgement {
            verdict,
            findings: findings.collect(),
            ..Judgement::default()
        }
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_told_and_what_stayed_is_not() {
        let before = judged(
            Verdict::Notable,
            &[("a", "import", false), ("b", "import", false)],
        );
        let after = judged(
            Verdict::Suspicious,
            &[
                ("a", "import", false),
                ("a", "build", false),
                ("c", "import", true),
                ("d", "import", false),
                ("d", "import", false),
            ],
        );
        let compared = safety(Some(&before), Some(&after)).unwrap();
        assert_eq!(
            compared.verdict,
            (Some(Verdict::Notable), Some(Verdict::Suspicious))
        );
        let told = |list: &[FindingLine]| list.iter().map(|line| line.sentence.clone()).collect::<Vec<_>>();
        assert_eq!(told(&compared.new), ["a in build", "d in import"]);
        assert_eq!(told(&compared.gone), ["b in import"]);
        let same = safety(Some(&after), Some(&after)).unwrap();
        assert!(same.new.is_empty() && same.gone.is_empty());
        assert_eq!(safety(None, None), None);
        assert_eq!(safety(None, Some(&before)).unwrap().new.len(), 2);
    }
}
