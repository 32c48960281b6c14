//! Tests of the judge of safety, over recordings that are built as plain values.

mod first;
mod rows;
mod rules;
mod world;

/// What `docs/rules.md` has to say of every word.
#[test]
fn every_word_of_the_language_is_documented() {
    let page = include_str!("../../../../../docs/rules.md");
    let mut missing = Vec::new();
    for (field, about) in super::written::STEP_FIELDS {
        if !page.contains(&format!("| `{field}` | {} |", about.trim())) {
            missing.push(format!("| `{field}` | {} |", about.trim()));
        }
    }
    for kind in super::Kind::ALL {
        if !page.contains(&format!("| `{}` | {} |", kind.word(), kind.about())) {
            missing.push(format!("| `{}` | {} |", kind.word(), kind.about()));
        }
    }
    for (place, about) in super::sentence::PLACES {
        if !page.contains(&format!("| `{{{place}}}` | {about} |")) {
            missing.push(format!("| `{{{place}}}` | {about} |"));
        }
    }
    assert!(missing.is_empty(), "docs/rules.md lacks:\n{}", missing.join("\n"));
}
