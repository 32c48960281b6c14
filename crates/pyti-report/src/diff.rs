//! Two runs side by side.

use pyti_judge::compare::{Class, Comparison};
use pyti_model::foreign::Foreign;

use crate::Look;
use crate::sentences::{counts, reason};
use crate::words::count;

/// As JSON.
pub fn diff_json(comparison: &Comparison) -> Result<String, serde_json::Error> {
    serde_json::to_string(comparison)
}

/// As text.
pub fn diff_terminal(comparison: &Comparison, look: &Look) -> String {
    let mut out = String::new();
    for file in &comparison.files {
        let name = file
            .after
            .as_ref()
            .or(file.before.as_ref())
            .map_or("file", String::as_str);
        let word = match file.class {
            Class::Regressed => "regressed",
            Class::Fixed => "fixed",
            Class::Changed => "changed",
            Class::Same => "same",
            Class::New => "new",
            Class::Gone => "gone",
            Class::Unknown => "unknown",
        };
        let status = |status: Option<pyti_model::outcome::Status>| {
            status.map_or("-", pyti_model::outcome::Status::word)
        };
        out.push_str(&format!(
            " {name}: {word} ({} to {})\n",
            status(file.status.0),
            status(file.status.1)
        ));
        for (sign, reasons) in [("-", &file.reasons_gone), ("+", &file.reasons_new)] {
            for r in reasons {
                out.push_str(&format!(
                    "   {sign} {}\n",
                    look.cut(&reason(r), look.width.saturating_sub(6))
                ));
            }
        }
        let tests = &file.tests;
        if tests.before != tests.after {
            out.push_str(&format!(
                "   tests: {} to {}\n",
                counts(&tests.before),
                counts(&tests.after)
            ));
        }
        for (title, list) in [
            ("newly failing", &tests.newly_failing),
            ("newly passing", &tests.newly_passing),
            ("gone", &tests.gone),
            ("new", &tests.new),
        ] {
            list_of(&mut out, title, list, look);
        }
        for task in &file.tasks {
            if let Some(ratio) = task.wall_s.ratio.filter(|ratio| *ratio > 1.5 || *ratio < 0.67) {
                out.push_str(&format!("   {}: {ratio:.1} times the time\n", task.task));
            }
        }
    }
    if out.is_empty() {
        " nothing to compare\n".to_owned()
    } else {
        out
    }
}

fn list_of(out: &mut String, title: &str, list: &[Foreign], look: &Look) {
    if list.is_empty() {
        return;
    }
    out.push_str(&format!("   {title}: {}\n", count(list.len() as u64, "test")));
    for id in list.iter().take(10) {
        out.push_str(&format!(
            "     {}\n",
            look.cut(&id.visible(), look.width.saturating_sub(6))
        ));
    }
    if list.len() > 10 {
        out.push_str("     …\n");
    }
}
