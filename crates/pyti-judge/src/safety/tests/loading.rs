//! Rules, suppressions: what is wrong with a file is said with its line; what is right is read.

use pyti_model::outcome::Verdict;

use super::super::{RuleSet, Suppression, explain, judge_safety};
use super::world::World;

const GOOD: &str = r#"
[sets]
mine = ["/etc/a", "/etc/b"]

[[rule]]
id = "reads-it"
title = "It was read"
family = "access"
severity = "high"
since = "0.1.0"
sentence = "{When}, {by} read {path}."
note = "A note."

[[rule.step]]
deed = "read"
path = "@mine"
"#;

fn errors(text: &str) -> Vec<String> {
    match RuleSet::load(&[("x.toml", text)]) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_good_file_is_read_and_judges() {
    let rules = RuleSet::load(&[("x.toml", GOOD)]).unwrap();
    let world = World::of("import").read("/etc/b");
    let judgement = judge_safety(&world.record(), &rules, &[], None);
    assert_eq!(judgement.verdict, Verdict::Suspicious);
    assert_eq!(
        judgement.findings[0].sentence,
        "While it was imported, python read /etc/b."
    );
    assert_eq!(judgement.rules, rules.digest());
    let shown = rules.get("reads-it").unwrap().show();
    assert!(
        shown.contains("path = \"@mine\"") && shown.contains("severity"),
        "{shown}"
    );
}

#[test]
fn mistakes_are_told_with_file_line_rule_and_reason() {
    for (from, to, expected) in [
        (
            "@mine",
            "@yours",
            "x.toml:5: rule reads-it: step 1: path names the set @yours, and there is none",
        ),
        (
            "{path}",
            "{colour}",
            "x.toml:5: rule reads-it: sentence: {colour} is nothing that can be said",
        ),
        (
            "{path}",
            "{3.path}",
            "x.toml:5: rule reads-it: sentence: {3.path} names no step of this rule",
        ),
        (
            "{path}",
            "{path",
            "x.toml:5: rule reads-it: sentence: a { is not closed",
        ),
        (
            "path = \"@mine\"",
            "argv = \"(\"",
            "x.toml:5: rule reads-it: step 1: argv: \"(\" is no regular expression: unclosed group",
        ),
        (
            "path = \"@mine\"",
            "path = []",
            "x.toml:5: rule reads-it: step 1: path is an empty list, which nothing fits",
        ),
        (
            "path = \"@mine\"",
            "at_least = 0",
            "x.toml:5: rule reads-it: step 1: at_least is 0, and nothing happens less than once",
        ),
        (
            "path = \"@mine\"",
            "distinct = \"path\"",
            "x.toml:5: rule reads-it: step 1: distinct counts nothing without at_least",
        ),
        (
            "path = \"@mine\"",
            "same_path_as = 1",
            "x.toml:5: rule reads-it: step 1: same_path_as is 1, and that is no earlier step",
        ),
        (
            "path = \"@mine\"",
            "address = \"moon\"",
            "x.toml:5: rule reads-it: step 1: address: \"moon\" is neither an address nor loopback, private, link_local, public, simulated or any",
        ),
        (
            "id = \"reads-it\"",
            "id = \"Reads it\"",
            "x.toml:5: rule Reads it: an id is up to 60 lower-case letters, digits and inner hyphens",
        ),
        (
            "note = \"A note.\"",
            "note = \" \"",
            "x.toml:5: rule reads-it: the note is empty",
        ),
        (
            "note = \"A note.\"",
            "note = \"A note.\"\nmitre = [\"1552\"]",
            "x.toml:5: rule reads-it: \"1552\" is no technique such as T1552 or T1552.001",
        ),
        (
            "note = \"A note.\"",
            "note = \"A note.\"\nbehaviours = [61]",
            "x.toml:5: rule reads-it: behaviours are numbers from 1 to 60",
        ),
        (
            "note = \"A note.\"",
            "note = \"A note.\"\ncovers = [\"none\"]",
            "x.toml:5: rule reads-it: it covers none, and that is no other rule",
        ),
        (
            "note = \"A note.\"",
            "note = \"A note.\"\nwithin = \"process\"",
            "x.toml:5: rule reads-it: within says nothing where there is one step",
        ),
        (
            "[\"/etc/a\", \"/etc/b\"]",
            "[]",
            "x.toml:3: the set mine is empty, or holds an empty pattern",
        ),
        (
            "[\"/etc/a\", \"/etc/b\"]",
            "[\"@b\"]",
            "x.toml:3: the set mine names another set, which sets cannot",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        assert!(
            errors(&text).iter().any(|error| error == expected),
            "{expected}\n{:?}",
            errors(&text)
        );
    }
}

#[test]
fn words_that_toml_or_the_language_do_not_know_are_told_with_their_line() {
    for (from, to, line, part) in [
        (
            "deed = \"read\"",
            "deed = \"reed\"",
            15,
            "unknown variant `reed`, expected one of `execute`",
        ),
        ("deed = \"read\"", "deed = [\"read\", 4]", 15, "wanted string"),
        ("severity = \"high\"", "severity = \"huge\"", 9, "unknown variant"),
        ("since = \"0.1.0\"\n", "", 5, "missing field `since`"),
        ("since =", "sinse =", 10, "unknown field `sinse`"),
        ("since = \"0.1.0\"", "since = 0.1.0", 10, ""),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let errors = errors(&text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with(&format!("x.toml:{line}:")),
            "{line} {errors:?}"
        );
        assert!(errors[0].contains(part), "{errors:?}");
    }
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let bad = GOOD.replacen("@mine", "@yours", 1);
    let error =
        RuleSet::load(&[("a.toml", bad.as_str()), ("b.toml", "x = 1"), ("c.toml", GOOD)]).unwrap_err();
    let files: Vec<&str> = error.0.iter().map(|error| error.file.as_str()).collect();
    assert!(files.contains(&"a.toml") && files.contains(&"b.toml"), "{error}");
    let twice = RuleSet::load(&[("a.toml", GOOD), ("b.toml", GOOD)]).unwrap_err();
    assert!(
        twice.to_string().contains("is there twice, also in a.toml"),
        "{twice}"
    );
}

#[test]
fn the_digest_is_of_what_rules_say() {
    let one = RuleSet::load(&[("a.toml", GOOD)]).unwrap();
    let same = RuleSet::load(&[("b.toml", format!("# a comment\n{GOOD}"))]).unwrap();
    assert_eq!(one.digest(), same.digest());
    assert_eq!(one.digest().len(), 64);
    for (from, to) in [("/etc/a", "/etc/c"), ("high", "low"), ("A note", "Another note")] {
        let other = RuleSet::load(&[("a.toml", GOOD.replacen(from, to, 1))]).unwrap();
        assert_ne!(one.digest(), other.digest(), "{to}");
    }
}

#[test]
fn rules_in_the_shadow_are_shown_and_not_counted_and_retired_ones_are_not_run() {
    let world = World::of("import").read("/etc/b");
    let judge = |state: &str| {
        let text = GOOD.replacen("since =", &format!("state = \"{state}\"\nsince ="), 1);
        judge_safety(
            &world.record(),
            &RuleSet::load(&[("a.toml", text)]).unwrap(),
            &[],
            None,
        )
    };
    let shadow = judge("shadow");
    assert_eq!((shadow.verdict, shadow.findings.len()), (Verdict::Clean, 1));
    let retired = judge("retired");
    assert_eq!((retired.verdict, retired.findings.len()), (Verdict::Clean, 0));
    assert_eq!(judge("active").verdict, Verdict::Suspicious);
}

#[test]
fn no_rules_are_no_clean_verdict() {
    let none = RuleSet::load(&[("x.toml", "")]).unwrap();
    let judgement = judge_safety(&World::of("import").record(), &none, &[], None);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

fn suppression(extra: &str) -> Vec<Suppression> {
    let text = format!(
        "[[suppression]]\nrule = \"foreign-environ-read\"\nproject = \"Sample\"\nauthor = \"An Author\"\nreason = \"it is a monitor\"\nexpires = \"2027-01-31\"\n{extra}"
    );
    Suppression::load("s.toml", &text).unwrap()
}

#[test]
fn a_suppression_is_seen_and_takes_the_weight_away() {
    let world = World::of("import").read("/proc/99/environ");
    assert_eq!(world.judge().verdict, Verdict::Notable);
    let judgement = judge_safety(&world.record(), RuleSet::built_in(), &suppression(""), None);
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert_eq!(
        judgement.findings[0].suppressed.as_deref(),
        Some("An Author: it is a monitor (until 2027-01-31)")
    );
    let told = explain(&world.record(), RuleSet::built_in(), &judgement.findings[0]);
    assert!(told.contains("suppressed by An Author"), "{told}");
}

#[test]
fn a_suppression_holds_for_its_scope_only() {
    let world = World::of("import").read("/proc/99/environ");
    let verdict = |world: &World, suppressions: &[Suppression]| {
        judge_safety(&world.record(), RuleSet::built_in(), suppressions, None).verdict
    };
    assert_eq!(
        verdict(&world, &suppression("versions = \">=1,<2\"")),
        Verdict::Clean
    );
    assert_eq!(
        verdict(&world, &suppression("versions = \">=2\"")),
        Verdict::Notable
    );
    assert_eq!(
        verdict(&world, &suppression("phase = \"import\"")),
        Verdict::Clean
    );
    assert_eq!(
        verdict(&world, &suppression("phase = \"start\"")),
        Verdict::Notable
    );
    // recordings that were begun when it had expired, or at no known time
    for when in [
        "2027-01-31T00:00:00Z",
        "2031-01-01T00:00:00Z",
        "",
        "9",
        "soon, very soon",
    ] {
        let mut late = world.clone();
        late.when = when.into();
        assert_eq!(verdict(&late, &suppression("")), Verdict::Notable, "{when}");
    }
    let mut other = world.clone();
    other.plan.target.project = "another".into();
    assert_eq!(verdict(&other, &suppression("")), Verdict::Notable);
    // what it covered is told again by who it covers
    let other_rule = World::of("import")
        .read("/proc/self/environ")
        .read("/home/dev/.ssh/id_rsa");
    assert_eq!(verdict(&other_rule, &suppression("")), Verdict::Suspicious);
}

#[test]
fn a_suppression_of_what_covers_gives_back_what_was_covered() {
    let world = World::of("import").talks("http", "192.0.2.49", 80, "ipinfo.io", "GET", "/json", "");
    assert_eq!(world.comes_to().1, ["location-asked"]);
    let text = "[[suppression]]\nrule = \"location-asked\"\nproject = \"*\"\nauthor = \"a\"\nreason = \"b\"\nexpires = \"2027-01-31\"\n";
    let suppressions = Suppression::load("s.toml", text).unwrap();
    let judgement = judge_safety(&world.record(), RuleSet::built_in(), &suppressions, None);
    let rules: Vec<&str> = judgement
        .findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .collect();
    assert_eq!(rules, ["location-asked", "somebody-contacted"]);
}

#[test]
fn suppressions_that_cannot_be_used_are_told_with_their_line() {
    let good = "[[suppression]]\nrule = \"r\"\nproject = \"p\"\nauthor = \"a\"\nreason = \"b\"\nexpires = \"2027-01-31\"\n";
    assert_eq!(Suppression::load("s.toml", good).unwrap().len(), 1);
    for (from, to, expected) in [
        (
            "2027-01-31",
            "2027-13-31",
            "s.toml:1: rule r: expires is \"2027-13-31\", and not a day such as 2027-01-31",
        ),
        ("\"a\"", "\" \"", "s.toml:1: rule r: the author is empty"),
        (
            "\"p\"",
            "\"\"",
            "s.toml:1: rule r: the project is empty; * stands for all",
        ),
        (
            "expires = \"2027-01-31\"\n",
            "",
            "s.toml:1: missing field `expires`",
        ),
    ] {
        let error = Suppression::load("s.toml", &good.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let versions = format!("{good}versions = \"newer\"\n");
    let error = Suppression::load("s.toml", &versions).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("s.toml:1: rule r: versions is \"newer\": "),
        "{error}"
    );
}
