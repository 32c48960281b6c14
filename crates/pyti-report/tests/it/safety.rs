//! What a person sees of the second answer.

use pyti_model::finding::Judgement;
use pyti_model::outcome::Verdict;
use pyti_report::{NoFinding, explain, findings, html, terminal, verdict_lines};

use crate::support::{PLAIN, wheel};
use crate::traced::{Case, clean, harmful, recorded};

#[test]
fn a_harmful_package_is_told_in_sentences_with_the_next_command() {
    let case = harmful();
    insta::assert_snapshot!(terminal(&case.run(), &PLAIN));
}

#[test]
fn a_clean_package_has_nothing_beyond_the_baseline() {
    let case = clean();
    let text = verdict_lines(&case.run(), &PLAIN);
    assert!(
        text.contains("safe?  clean: nothing beyond the baseline"),
        "{text}"
    );
    assert!(!text.contains("explain"), "{text}");
}

#[test]
fn an_inconclusive_one_says_what_is_missing() {
    let (judged, _) = recorded(&wheel(), &[], Vec::new());
    let found = Judgement {
        verdict: Verdict::Inconclusive,
        missing: vec!["18 calls of import were not recorded".into()],
        ..Judgement::default()
    };
    let case = Case { judged, found };
    let text = verdict_lines(&case.run(), &PLAIN);
    assert!(
        text.contains("missing  18 calls of import were not recorded"),
        "{text}"
    );
    assert!(html(&case.run()).contains("18 calls of import were not recorded"));
}

#[test]
fn a_finding_is_explained_with_its_evidence_and_the_path() {
    let case = harmful();
    let about = |rule: &str| {
        (rule == "decoy-sent").then(|| "A secret that lay there to be found went out.".to_owned())
    };
    insta::assert_snapshot!(explain(&case.run(), "1", &about, &PLAIN).unwrap());
    let by_rule = explain(&case.run(), "runs-what-it-wrote", &|_| None, &PLAIN).unwrap();
    insta::assert_snapshot!(by_rule);
}

#[test]
fn a_finding_that_is_not_there_is_an_error_that_says_what_is() {
    let case = harmful();
    let error = explain(&case.run(), "99", &|_| None, &PLAIN).unwrap_err();
    assert!(error.to_string().contains("decoy-sent"), "{error}");
    let (judged, _) = recorded(&wheel(), &[], Vec::new());
    let jobs = [judged];
    let error = explain(&crate::support::run(&jobs), "1", &|_| None, &PLAIN).unwrap_err();
    assert!(matches!(error, NoFinding::NotJudged { .. }));
}

#[test]
fn findings_are_numbered_heaviest_first_and_those_that_do_not_count_come_last() {
    let case = harmful();
    let run = case.run();
    let all = findings(&run);
    let rules: Vec<&str> = all.iter().map(|found| found.finding.rule.as_str()).collect();
    assert_eq!(
        rules,
        [
            "decoy-sent",
            "autostart-written",
            "runs-what-it-wrote",
            "hardware-identity-read",
            "asks-who-it-is"
        ]
    );
    assert!(!all[4].counts());
}

#[test]
fn the_same_finding_of_two_files_comes_once() {
    let (one, other) = (harmful(), harmful());
    let mut run = one.run();
    run.jobs.extend(other.run().jobs);
    let all = findings(&run);
    assert_eq!(all.len(), 5);
    assert_eq!(all[0].also, [1]);
}

#[test]
fn the_page_shows_findings_the_path_and_what_was_said() {
    let case = harmful();
    let page = html(&case.run());
    if let Some(path) = std::env::var_os("PYTI_WRITE_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for text in [
        "harm was attempted · 4 findings",
        "sent it to collector.example, hidden by base64",
        "<svg class=\"tree\"",
        "It carried the secret of the decoy aws.credentials, hidden by base64.",
        "<mark title=\"secret of the decoy aws.credentials\">",
        "POST https://collector.example/v1/collect?host=devbox",
        "decoded from base64",
        "It refused our certificate (unknown_ca)",
        "Type=Application",
        "more processes",
        "files of the machine that were read: 412",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.len() < 200_000, "{}", page.len());
}
