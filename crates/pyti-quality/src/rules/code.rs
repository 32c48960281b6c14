//! What linters said, one remark for each of their rules.

use pyti_model::quality::{Grade, Lint, LintCase, Profile, Quality, Remark, Side};

use crate::ruff;

/// Rules of one linter that are told.
const RULES: usize = 60;

pub(super) fn remarks(quality: &Quality, found: &mut Vec<Remark>) {
    for lint in quality
        .lints
        .iter()
        .filter(|lint| lint.profile == Profile::Neutral)
    {
        of_lint(lint, found);
    }
}

fn of_lint(lint: &Lint, found: &mut Vec<Remark>) {
    let tool = lint.tool.split(' ').next().unwrap_or_default();
    let mut rules: Vec<_> = lint.rules.iter().collect();
    let grade = |rule: &str| match tool {
        "ruff" => ruff::grade(rule),
        // only errors are asked for
        _ => Grade::Error,
    };
    rules.sort_by_key(|rule| {
        (
            std::cmp::Reverse(grade(&rule.rule)),
            std::cmp::Reverse(rule.times),
        )
    });
    for rule in rules.into_iter().take(RULES) {
        let case = lint.cases.iter().find(|case| case.rule == rule.rule);
        found.push(Remark {
            rule: format!("{tool}:{}", rule.rule),
            grade: grade(&rule.rule),
            side: Side::Code,
            place: case.map(|case| case.place.clone()),
            sentence: case.map_or_else(|| format!("{} is broken", rule.rule), |case| case.text.visible()),
            advice: advice(tool, case),
            more: rule.times.saturating_sub(1),
        });
    }
}

fn advice(tool: &str, case: Option<&LintCase>) -> String {
    match case {
        Some(case) if case.fixable && tool == "ruff" => {
            format!("`ruff check --select {} --fix` can mend it", case.rule)
        }
        Some(case) if tool == "ruff" => format!("`ruff rule {}` tells why", case.rule),
        Some(case) => format!("`pylint --help-msg {}` tells why", case.rule),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::quality::RuleCount;

    use super::super::tests::good;
    use super::*;

    fn lint(profile: Profile) -> Lint {
        Lint {
            tool: "ruff 1".into(),
            profile,
            rules: vec![
                RuleCount {
                    rule: "UP006".into(),
                    times: 9,
                },
                RuleCount {
                    rule: "F821".into(),
                    times: 1,
                },
            ],
            ..Lint::default()
        }
    }

    #[test]
    fn each_rule_is_told_once_the_heaviest_first() {
        let mut quality = good();
        quality.lints = vec![lint(Profile::Neutral)];
        let mut found = Vec::new();
        remarks(&quality, &mut found);
        let told: Vec<_> = found
            .iter()
            .map(|remark| (remark.rule.as_str(), remark.more))
            .collect();
        assert_eq!(told, [("ruff:F821", 0), ("ruff:UP006", 8)]);
    }

    #[test]
    fn the_projects_own_rules_are_not_held_against_it() {
        let mut quality = good();
        quality.lints = vec![lint(Profile::Project)];
        let mut found = Vec::new();
        remarks(&quality, &mut found);
        assert_eq!(found, Vec::new());
    }
}
