//! Tests of the judge of safety, over recordings that are built as plain values.

mod first;
mod judging;
mod loading;
mod properties;
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

/// The tables of behaviours and look-alikes in `docs/rules.md` name exactly the rules that name their rows.
#[test]
fn rows_of_the_page_name_the_rules_that_are_for_them() {
    let page = include_str!("../../../../../docs/rules.md");
    let rows = |heading: &str| -> Vec<(u8, &str)> {
        let from = page.find(heading).unwrap_or_else(|| panic!("no {heading}"));
        page[from..]
            .lines()
            .skip(1)
            .skip_while(|line| !line.starts_with("| "))
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| {
                let number = line.trim_start_matches("| ").split(' ').next()?.parse().ok()?;
                Some((number, line))
            })
            .collect()
    };
    let mut wrong = Vec::new();
    let behaviours = rows("## The sixty behaviours");
    let look_alikes = rows("## The thirty-one look-alikes");
    assert_eq!(behaviours.len(), 60);
    assert_eq!(look_alikes.len(), 31);
    for rule in super::RuleSet::built_in().rules() {
        let id = format!("`{}`", rule.id);
        for (number, line) in &behaviours {
            if rule.behaviours.contains(number) != line.contains(&id) {
                wrong.push(format!("behaviour {number}: {id}"));
            }
        }
        for (number, line) in &look_alikes {
            if rule.look_alikes.contains(number) != line.contains(&id) {
                wrong.push(format!("look-alike {number}: {id}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
