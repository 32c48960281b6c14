//! What a person sees of the second answer.

use pyti_model::finding::Judgement;
use pyti_model::outcome::Verdict;
use pyti_report::{Look, NoFinding, explain, findings, html, terminal, verdict_lines};

use crate::enemy::{EVIL, hostile};
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
fn the_other_forms_tell_the_verdict_and_its_findings() {
    let (bad, good) = (harmful(), clean());
    let text = pyti_report::markdown(&bad.run());
    assert!(
        text.contains("- **critical** While being imported, it read the decoy AWS key"),
        "{text}"
    );
    assert!(!pyti_report::markdown(&good.run()).contains("Findings"));
    let xml = pyti_report::junit(&bad.run()).unwrap();
    assert!(
        xml.contains("harmful: harm was attempted") && xml.contains("critical decoy-sent: While"),
        "{xml}"
    );
    assert!(!pyti_report::junit(&good.run()).unwrap().contains("<failure"));
    let text = pyti_report::several(&[good.run(), bad.run(), good.run()], &PLAIN);
    assert!(
        text.contains(" safe?  1 harmful, 2 clean\n        harmful: six\n why: pyti explain 7f3a 1"),
        "{text}"
    );
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
        "It carried the decoy aws.credentials, hidden by base64.",
        "<mark title=\"decoy aws.credentials\">",
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

fn is_safe(c: char) -> bool {
    c == '\n' || c == '\t' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn denied_text_of_a_trace_stays_text() {
    let case = hostile();
    let run = case.run();
    let page = html(&run);
    let texts = [
        ("terminal", terminal(&run, &PLAIN)),
        ("html", page.clone()),
        (
            "explain",
            explain(&run, "1", &|_| Some(EVIL.to_owned()), &PLAIN).unwrap(),
        ),
        ("markdown", pyti_report::markdown(&run)),
        ("junit", pyti_report::junit(&run).unwrap()),
        (
            "several",
            pyti_report::several(std::slice::from_ref(&run), &PLAIN),
        ),
    ];
    for (form, text) in texts {
        let bad: Vec<char> = text.chars().filter(|c| !is_safe(*c)).collect();
        assert!(bad.is_empty(), "{form}: {bad:?}");
    }
    assert_eq!(page.matches("<script").count(), 2, "our own two");
    assert_eq!(page.matches("</script").count(), 2, "our own two");
    is_balanced(&page);
    assert!(!page.contains("<img") && !page.contains("<b>\u{0}"));
    crate::page::keeps_its_promises(&page);
    crate::page::every_link_has_its_target(&page);
}

#[test]
fn twenty_thousand_acts_leave_a_page_that_says_what_it_left_out() {
    let mut trace = crate::traced::thief();
    let long = "long".repeat(1000);
    for n in 0..20_000_u32 {
        trace.acts.push(crate::traced::act(
            1_000_000 + u64::from(n),
            n % 5,
            pyti_model::trace::Result::Attempted,
            pyti_model::trace::Deed::Look {
                path: format!("/home/dev/{n}{}", if n < 500 { long.as_str() } else { "" }).into(),
            },
        ));
    }
    for n in 0..3000_u32 {
        trace.processes.push(crate::traced::process(
            5 + n,
            Some(n % 900),
            &["/usr/bin/env", "x"],
            (0, 9),
        ));
        let body = vec![b'x'; if n < 30 { 60_000 } else { 600 }];
        let mut talk = crate::traced::conversation(&format!("h{n}.example"), &body);
        if n < 30 {
            talk.exchanges[0].headers = (0..200)
                .map(|i| ("h".into(), format!("{i}{long}").into()))
                .collect();
        }
        trace.acts.push(crate::traced::act(
            2_000_000,
            5 + n,
            pyti_model::trace::Result::Attempted,
            pyti_model::trace::Deed::Converse(Box::new(talk)),
        ));
    }
    let case = harmful();
    let (judged, seqs) = recorded(&wheel(), &[("import", trace)], Vec::new());
    let mut found = case.found.clone();
    for finding in &mut found.findings {
        for place in &mut finding.events {
            place.seq = seqs[0];
        }
    }
    let case = Case { judged, found };
    let began = std::time::Instant::now();
    let page = html(&case.run());
    if let Some(path) = std::env::var_os("PYTI_WRITE_BIG_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    for text in [
        "and 3960 more",
        "more conversations",
        "not shown here",
        "It carried the decoy",
    ] {
        assert!(page.contains(text), "{text}");
    }
    crate::page::every_link_has_its_target(&page);
    let text = explain(&case.run(), "1", &|_| None, &PLAIN).unwrap();
    assert!(text.lines().count() < 260, "{}", text.lines().count());
}

#[test]
fn pages_with_findings_keep_their_promises() {
    for case in [harmful(), clean()] {
        let page = html(&case.run());
        crate::page::keeps_its_promises(&page);
        crate::page::every_link_has_its_target(&page);
    }
}

/// A part of a page, with its elements on lines of their own.
fn part<'a>(page: &'a str, from: &str, to: &str) -> String {
    let (_, rest): (&'a str, &'a str) = page.split_once(from).unwrap();
    let (part, _) = rest.split_once(to).unwrap();
    format!("{from}{part}").replace("><", ">\n<")
}

#[test]
fn parts_of_the_page_are_as_they_were_looked_at() {
    let page = html(&harmful().run());
    insta::assert_snapshot!(
        "findings",
        part(&page, "<section class=\"findings\"", "</section>")
    );
    let (_, import) = page.split_once("<b>import</b>").unwrap();
    insta::assert_snapshot!("picture", part(import, "<figure class=\"picture\"", "</figure>"));
    insta::assert_snapshot!(
        "conversation",
        part(&page, "<details class=\"talk lit", "</details>")
    );
}

#[test]
fn what_was_found_often_does_not_hide_what_was_found_once() {
    let mut case = harmful();
    let one = case.found.findings[0].clone();
    for n in 0..8 {
        let mut more = one.clone();
        more.sentence = format!(
            "While being imported, it sent secret {n} {}",
            "and so on ".repeat(40)
        );
        case.found.findings.insert(1, more);
    }
    let text = verdict_lines(&case.run(), &PLAIN);
    for part in ["and 8 more like this", "10 critical", "11 high", "and 1 more"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    case.found.findings.remove(0);
    let text = verdict_lines(&case.run(), &PLAIN);
    assert!(text.lines().any(|line| line.trim_end().ends_with('…')), "{text}");
}

#[test]
fn a_narrow_terminal_of_ascii_is_not_overrun() {
    let case = harmful();
    let look = Look {
        width: 40,
        ascii: true,
        ..PLAIN
    };
    for text in [
        terminal(&case.run(), &look),
        explain(
            &case.run(),
            "1",
            &|_| Some("Ein Satz, der länger ist als eine Zeile.".to_owned()),
            &look,
        )
        .unwrap(),
    ] {
        assert!(text.is_ascii(), "{text}");
        for line in text.lines().filter(|line| !line.contains("pyti ")) {
            assert!(line.len() <= 41, "{line}");
        }
    }
}

#[test]
fn a_chain_of_thousands_is_a_page_as_any_other() {
    let mut trace = crate::traced::thief();
    for n in 5..8000 {
        trace.processes.push(crate::traced::process(
            n,
            Some(n - 1),
            &["/usr/bin/env", "x"],
            (0, 9),
        ));
    }
    for act in &mut trace.acts {
        act.process = Some(7999);
    }
    let (judged, seqs) = recorded(&wheel(), &[("import", trace)], Vec::new());
    let mut found = harmful().found;
    for place in found.findings.iter_mut().flat_map(|finding| &mut finding.events) {
        place.seq = seqs[0];
    }
    let case = Case { judged, found };
    let page = html(&case.run());
    assert!(page.len() < 400_000, "{}", page.len());
    crate::page::every_link_has_its_target(&page);
    let text = explain(&case.run(), "1", &|_| None, &PLAIN).unwrap();
    assert!(
        text.contains("… 7989 more …") && text.lines().count() < 120,
        "{text}"
    );
}

/// Whether every element that was opened is closed.
pub(crate) fn is_balanced(page: &str) {
    for name in [
        "title", "svg", "details", "table", "ol", "ul", "dl", "a", "div", "mark", "pre",
    ] {
        let open = page.matches(&format!("<{name}>")).count() + page.matches(&format!("<{name} ")).count();
        assert_eq!(open, page.matches(&format!("</{name}>")).count(), "{name}");
    }
}
