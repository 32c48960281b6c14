//! Text of packages that wants to be more than text.

use pyti_model::effect::Exit;
use pyti_model::raw::{Import, ImportOutcome, Install, RawData, TestCounts, TestOutcome};
use pyti_report::{html, junit, markdown, several, summary, terminal};

use crate::support::{
    Judged, PLAIN, added, build, case, compiler_call, contact, effect, error, imported, run, sdist, tests,
    wheel,
};

/// A terminal escape, a bidirectional override, markup that ends every element that we use, a code fence.
const EVIL: &str =
    "\u{1b}[2J\u{202e}</script></pre></title><script>alert(1)</script><img src=x onerror=a()>\"'&```\r";

fn evil_jobs() -> Vec<Judged> {
    let install = Install {
        outside: vec![EVIL.into()],
        executable_pth: vec![EVIL.into()],
        modules: vec!["six".into()],
        ..Install::default()
    };
    let raised = ImportOutcome::Raised {
        error: error(EVIL, EVIL),
    };
    let mut bad = case(EVIL, TestOutcome::Failed, EVIL);
    bad.output = EVIL.into();
    let mut data = tests(
        TestCounts {
            passed: 1,
            failed: 1,
            ..TestCounts::default()
        },
        vec![bad],
    );
    // more than fit into the page, so that some are in its data
    data.cases
        .extend((0..400).map(|_| case(EVIL, TestOutcome::Passed, "")));
    data.source = EVIL.into();
    data.adjustments = vec![EVIL.into()];
    data.collection_errors = vec![(EVIL.into(), EVIL.into())];
    let mut ran = effect(Exit::Code(1), EVIL);
    ran.argv.push(EVIL.into());
    ran.contacts.push(contact(EVIL));
    let mut wheel = wheel()
        .with("install", |task| {
            task.raw = Some(RawData::Install(install));
            task.changes.push(added(EVIL));
        })
        .with("import", |task| {
            let modules = vec![imported(EVIL, raised)];
            task.fails(RawData::Import(Import { modules }), effect(Exit::Code(1), EVIL));
        })
        .with("test", |task| task.fails(RawData::Test(Box::new(data)), ran));
    let mut compiled = build();
    compiled.backend = EVIL.into();
    compiled.compiler_calls = vec![compiler_call(EVIL)];
    let mut sdist = sdist().with("build", |task| task.raw = Some(RawData::Build(compiled)));
    // a file name is parsed before it is recorded; a recording from elsewhere may say anything
    wheel.file.filename = EVIL.into();
    wheel.file.yanked = Some(EVIL.into());
    sdist.file.index = Some(EVIL.into());
    vec![wheel.judged(), sdist.judged()]
}

fn is_safe(c: char) -> bool {
    c == '\n' || c == '\t' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn denied_no_form_holds_a_control_or_an_override() {
    let jobs = evil_jobs();
    let run = run(&jobs);
    let texts = [
        ("terminal", terminal(&run, &PLAIN)),
        ("several", several(std::slice::from_ref(&run), &PLAIN)),
        ("html", html(&run)),
        ("junit", junit(&run).unwrap()),
        ("markdown", markdown(&run)),
    ];
    for (form, text) in texts {
        let bad: Vec<char> = text.chars().filter(|c| !is_safe(*c)).collect();
        assert!(bad.is_empty(), "{form}: {bad:?}");
    }
    let json = serde_json::to_string(&summary(&run, None)).unwrap();
    assert!(json.chars().all(|c| !c.is_control()), "{json}");
}

#[test]
fn denied_markup_of_a_package_stays_text() {
    let jobs = evil_jobs();
    let page = html(&run(&jobs));
    assert_eq!(page.matches("<script").count(), 2, "our own two");
    assert_eq!(page.matches("</script").count(), 2, "our own two");
    assert_eq!(page.matches("<title>").count(), page.matches("</title>").count());
    assert!(!page.contains("<img"));
    let markdown = markdown(&run(&jobs));
    for line in markdown.lines().filter(|line| !line.contains('`')) {
        assert!(!line.contains("<script") && !line.contains("<img"), "{line}");
    }
    let xml = junit(&run(&jobs)).unwrap();
    assert!(!xml.contains("<script") && !xml.contains("<img"));
}

#[test]
fn allowed_plain_text_is_left_alone() {
    let jobs = [wheel().judged()];
    let page = html(&run(&jobs));
    assert!(page.contains("test_six.py::test_0"));
    assert!(!page.contains("\\u{"));
    assert!(terminal(&run(&jobs), &PLAIN).contains("six-1.17.0-py2.py3-none-any.whl"));
}
