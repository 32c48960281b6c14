//! The quality of a distribution in every form.

use pyti_model::Foreign;
use pyti_model::quality::{
    Complaint, EntryPoint, Imported, Lint, LintCase, Place, Profile, Provider, Quality, Rendered, RuleCount,
};
use pyti_model::raw::RawData;
use pyti_report::{html, markdown, sarif, summary, terminal};
use serde_json::Value;

use crate::enemy::EVIL;
use crate::support::{Judged, PLAIN, run, sdist, wheel};

/// Facts with this text wherever a package could have written some.
fn facts(text: &str) -> Quality {
    let own = || Foreign::from(text);
    let mut quality = Quality::default();
    quality.wheel.filename = own();
    quality.wheel.files = vec![(own(), 1), (format!("tests/{text}").as_str().into(), 1)];
    quality.wheel.metadata = [
        "Name",
        "Summary",
        "Requires-Python",
        "License-Expression",
        "Requires-Dist",
        "Classifier",
    ]
    .map(|name| (name.to_owned(), own()))
    .into();
    quality
        .wheel
        .metadata
        .push(("Description-Content-Type".into(), own()));
    quality.wheel.tags = vec![own()];
    quality.wheel.problems = vec![text.to_owned(), format!("RECORD {text}")];
    quality.wheel.top_level = vec!["own".into()];
    quality.wheel.entry_points = vec![EntryPoint {
        group: own(),
        name: own(),
        target: format!("own.{text}:{text}").as_str().into(),
        defined: Some(false),
    }];
    quality.imports = vec![Imported {
        module: text.to_owned(),
        kind: pyti_model::quality::ImportKind::Hard,
        place: Place {
            path: own(),
            line: Some(7),
            column: None,
        },
        aside: false,
    }];
    quality.providers = vec![Provider {
        name: text.to_owned(),
        modules: vec![text.to_owned()],
    }];
    quality.rendered = Some(Rendered {
        by: text.to_owned(),
        complaints: vec![Complaint {
            severity: 3,
            line: Some(1),
            text: own(),
        }],
    });
    let lint = |profile| Lint {
        tool: format!("ruff {text}"),
        profile,
        config: Some(own()),
        rules: vec![RuleCount {
            rule: "F821".into(),
            times: 3,
        }],
        cases: vec![LintCase {
            rule: "F821".into(),
            place: Place {
                path: own(),
                line: Some(3),
                column: Some(4),
            },
            text: own(),
            fixable: true,
        }],
        total: 3,
        error: None,
    };
    quality.lints = vec![lint(Profile::Neutral), lint(Profile::Project)];
    quality.code_lines = 100;
    quality.types.functions = 10;
    quality.missing = vec![text.to_owned()];
    quality
}

/// A job of the wheel whose last task looked at its quality.
fn job(quality: Quality) -> Judged {
    let mut script = wheel();
    let mut task = script.tasks[0].clone();
    task.name = "quality";
    task.raw = Some(RawData::Quality(Box::new(quality)));
    script.tasks.push(task);
    script.ran = script.tasks.len();
    script.judged()
}

#[test]
fn the_score_is_never_shown_without_its_parts() {
    let jobs = [job(facts("x")), sdist().judged()];
    let run = run(&jobs);
    for (form, text) in [
        ("terminal", terminal(&run, &PLAIN)),
        ("markdown", markdown(&run)),
        ("html", html(&run)),
    ] {
        assert!(text.contains(" of 100"), "{form}");
        for side in ["packaging", "metadata", "dependencies", "code", "typing"] {
            assert!(text.contains(side), "{form} lacks {side}");
        }
    }
    let json: Value = serde_json::to_value(summary(&run, None)).unwrap();
    let score = &json["files"][0]["quality"]["score"];
    assert_eq!(score["parts"].as_array().unwrap().len(), 5);
    assert!(json["files"][1].get("quality").is_none());
}

#[test]
fn nothing_is_said_of_quality_when_nobody_looked() {
    let jobs = [wheel().judged()];
    let run = run(&jobs);
    assert!(!html(&run).contains("<h3>Quality</h3>"));
    assert!(!markdown(&run).contains("Quality of"));
    let log: Value = serde_json::from_str(&sarif(&run)).unwrap();
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 0);
}

#[test]
fn remarks_have_rule_place_and_line() {
    let jobs = [job(facts("x"))];
    let run = run(&jobs);
    let page = html(&run);
    assert!(page.contains("<code>ruff:F821</code>"));
    assert!(page.contains("<code>x:3</code>"));
    let log: Value = serde_json::from_str(&sarif(&run)).unwrap();
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.len() > 5, "{}", results.len());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let undefined = results
        .iter()
        .find(|result| result["ruleId"] == "ruff:F821")
        .unwrap();
    let place = &undefined["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "x");
    assert_eq!(
        (
            place["region"]["startLine"].as_u64(),
            place["region"]["startColumn"].as_u64()
        ),
        (Some(3), Some(4))
    );
    assert_eq!(undefined["level"], "error");
}

#[test]
fn denied_text_of_a_package_stays_text() {
    let jobs = [job(facts(EVIL))];
    let run = run(&jobs);
    let is_safe =
        |c: char| c == '\n' || c == '\t' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    let (page, log) = (html(&run), sarif(&run));
    for (form, text) in [
        ("terminal", &terminal(&run, &PLAIN)),
        ("markdown", &markdown(&run)),
        ("html", &page),
        ("sarif", &log),
    ] {
        let bad: Vec<char> = text.chars().filter(|c| !is_safe(*c)).collect();
        assert!(bad.is_empty(), "{form}: {bad:?}");
    }
    assert_eq!(page.matches("<script").count(), 2, "our own two");
    assert!(!page.contains("<img"));
    assert!(serde_json::from_str::<Value>(&log).is_ok());
}
