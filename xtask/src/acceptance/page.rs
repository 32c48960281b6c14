//! What is expected and what is seen, side by side.

use super::Shown;

/// For a terminal.
pub(crate) fn terminal(shown: &[Shown<'_>]) -> String {
    let naive = shown.iter().any(|one| one.naive.is_some());
    let mut text = format!(
        "{:<28} {:<22} {:>8}  {:<44} {:>8}",
        "distribution", "expected", "tests", "seen", "tests"
    );
    if naive {
        text.push_str("  naive");
    }
    text.push('\n');
    for one in shown {
        let (seen, passed) = match &one.seen {
            Some(seen) => (seen.words(), seen.passed.to_string()),
            None => ("not run yet".to_owned(), String::new()),
        };
        let mark = if one.seen.is_none() || one.agrees() {
            ' '
        } else {
            '!'
        };
        let seen: String = seen.chars().take(44).collect();
        text.push_str(&format!(
            "{:<28} {:<22} {:>8} {mark}{seen:<44} {passed:>8}",
            one.row.target,
            one.row.status.join("|"),
            one.row.passed.map_or_else(String::new, |n| n.to_string()),
        ));
        if naive {
            text.push_str(&format!(
                "  {}",
                one.naive
                    .as_ref()
                    .map(super::naive::Naive::words)
                    .unwrap_or_default()
            ));
        }
        text.push('\n');
    }
    text.push_str(&summary(shown));
    if naive {
        text.push('\n');
        text.push_str(&beside(shown));
    }
    text
}

/// How many agree.
fn summary(shown: &[Shown<'_>]) -> String {
    let run = shown.iter().filter(|one| one.seen.is_some()).count();
    let agree = shown.iter().filter(|one| one.agrees()).count();
    let share = if run == 0 { 0.0 } else { percent(agree, run) };
    format!("{agree} of {run} agree in status, reason and count: {share:.1} %")
}

/// How many tests pass in both ways.
fn beside(shown: &[Shown<'_>]) -> String {
    let tried: Vec<_> = shown
        .iter()
        .filter_map(|one| {
            Some((
                one.seen.as_ref()?,
                one.naive.as_ref().filter(|naive| naive.exit.is_some())?,
            ))
        })
        .collect();
    let naive: u64 = tried.iter().map(|(_, naive)| naive.passed).sum();
    let ours: u64 = tried.iter().map(|(seen, _)| seen.passed).sum();
    let whole = tried.iter().filter(|(_, naive)| naive.exit == Some(0)).count();
    let pass = tried.iter().filter(|(seen, _)| seen.status == "pass").count();
    format!(
        "of {} distributions with an sdist that was tried, the naive way passes in {whole} with {naive} tests, PyTI in {pass} with {ours}",
        tried.len()
    )
}

fn percent(part: usize, whole: usize) -> f64 {
    let float = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    float(part) * 100.0 / float(whole)
}

/// The page `docs/acceptance.md`.
pub(crate) fn markdown(shown: &[Shown<'_>]) -> String {
    let seen = || shown.iter().filter_map(|one| one.seen.as_ref());
    let day = |when: &str| when.chars().take(10).collect::<String>();
    let newest = seen().map(|seen| day(&seen.when)).max().unwrap_or_default();
    let oldest = seen()
        .map(|seen| day(&seen.when))
        .filter(|day| !day.is_empty())
        .min()
        .unwrap_or_default();
    let when = if newest == oldest {
        newest
    } else {
        format!("{oldest} to {newest}")
    };
    let python = seen()
        .map(|seen| seen.python.as_str())
        .find(|python| !python.is_empty())
        .unwrap_or("");
    let mut text = format!(
        "# Acceptance\n\n\
         Real distributions of a public index, what they must come to, and what PyTI makes of them: `cargo xtask acceptance --naive --write`,\n\
         from `xtask/acceptance.toml`. Run on {when} with CPython {python} on Linux x86-64, in the sandbox, without a network; two at once, on a machine\n\
         that did other work besides.\n\n\
         **{}.** A count agrees within 2 %. {}\n\n\
         *Naive* is: install the distribution and pytest, unpack the sdist, run `pytest` there, in the same kind of box. \
         {}.\n\n\
         | distribution | what is special | expected | tests | seen | passed | other | naive |\n|---|---|---|---:|---|---:|---|---|\n",
        summary(shown),
        if shown.iter().all(|one| one.seen.is_some()) {
            "Every row was run."
        } else {
            "Rows that say so were not run."
        },
        capital(&beside(shown)),
    );
    for one in shown {
        let row = one.row;
        let expected = if row.reason.is_empty() {
            row.status.join(" or ")
        } else {
            format!("{}: {}", row.status.join(" or "), row.reason.join(" or "))
        };
        let (said, passed, other) = match &one.seen {
            Some(seen) => {
                let mark = if one.agrees() { "" } else { "**≠** " };
                let mut other = Vec::new();
                for (count, word) in [
                    (seen.failed, "failed"),
                    (seen.skipped, "skipped"),
                    (seen.deselected, "deselected"),
                ] {
                    if count > 0 {
                        other.push(format!("{count} {word}"));
                    }
                }
                (
                    format!("{mark}{}", seen.words()),
                    number(seen.passed),
                    other.join(", "),
                )
            }
            None => ("not run".to_owned(), String::new(), String::new()),
        };
        let naive = one
            .naive
            .as_ref()
            .map(super::naive::Naive::words)
            .unwrap_or_default();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {passed} | {other} | {} |\n",
            cell(&row.target),
            cell(&if row.note.is_empty() {
                row.class.clone()
            } else {
                format!("{}; {}", row.class, row.note)
            }),
            cell(&expected),
            row.passed.map_or_else(String::new, number),
            cell(&said),
            cell(&naive),
        ));
    }
    text.push_str("\n## What differs, and why\n\n");
    let mut any = false;
    for one in shown {
        let Some(seen) = one.seen.as_ref().filter(|_| !one.agrees()) else {
            continue;
        };
        any = true;
        let why = if one.row.differs.is_empty() {
            "Not understood yet."
        } else {
            &one.row.differs
        };
        text.push_str(&format!(
            "- **{}**: {}; seen {}. {why}\n",
            cell(&one.row.target),
            seen.against(one.row).join("; "),
            cell(&seen.words())
        ));
    }
    if !any {
        text.push_str("Nothing.\n");
    }
    let noted: Vec<_> = shown
        .iter()
        .filter(|one| one.agrees() && !one.row.differs.is_empty())
        .collect();
    if !noted.is_empty() {
        text.push_str("\n## What agrees and is worth a word\n\n");
        for one in noted {
            text.push_str(&format!("- **{}**: {}\n", cell(&one.row.target), one.row.differs));
        }
    }
    text
}

fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (n, c) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Text for a cell of a table: what a package says stays on its line.
fn cell(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    clean.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        assert_eq!(cell("a|b\nc<d"), "a\\|bc&lt;d");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(12), "12");
    }
}
