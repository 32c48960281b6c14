//! Near names, for a name that no index knows.

use std::collections::BTreeSet;

use crate::index::Index;
use crate::names::normalise;

/// Requests that a suggestion may cost.
const PROBES: usize = 10;
const MOST: usize = 5;

impl Index {
    /// Names like that one: of those that were seen before, and of a few variants that the index knows.
    pub async fn suggest(&self, name: &str) -> Vec<String> {
        let Some(name) = normalise(name).map(|name| name.to_string()) else {
            return Vec::new();
        };
        let allowed = if name.len() <= 4 { 1 } else { 2 };
        let mut near: Vec<(usize, String)> = self
            .names_seen()
            .into_iter()
            .map(|seen| (distance(&name, &seen, allowed + 1), seen))
            .filter(|(distance, seen)| *distance <= allowed && *seen != name)
            .collect();
        near.sort();
        let mut found: Vec<String> = near.into_iter().map(|(_, seen)| seen).take(MOST).collect();
        if !self.offline() {
            for variant in variants(&name).into_iter().take(PROBES) {
                if found.len() >= MOST {
                    break;
                }
                if !found.contains(&variant)
                    && self
                        .project(&variant)
                        .await
                        .is_ok_and(|project| !project.files.is_empty())
                {
                    found.push(variant);
                }
            }
        }
        found
    }
}

fn variants(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let bare = name
        .strip_prefix("python-")
        .or_else(|| name.strip_prefix("py-"))
        .or_else(|| name.strip_suffix("-python"));
    out.extend(bare.map(str::to_owned));
    out.extend(
        name.strip_prefix("py")
            .filter(|rest| rest.len() > 2)
            .map(str::to_owned),
    );
    if name.contains('-') {
        out.push(name.replace('-', ""));
    }
    let bytes: Vec<char> = name.chars().collect();
    for at in 1..bytes.len() {
        let mut swapped = bytes.clone();
        swapped.swap(at - 1, at);
        out.push(swapped.into_iter().collect());
        if bytes[at] == bytes[at - 1] {
            let mut single = bytes.clone();
            single.remove(at);
            out.insert(0, single.into_iter().collect());
        }
    }
    out.extend(name.strip_suffix('s').map(str::to_owned));
    out.extend([format!("{name}s"), format!("py{name}"), format!("python-{name}")]);
    let mut seen = BTreeSet::from([name.to_owned()]);
    out.retain(|variant| {
        normalise(variant).is_some_and(|n| n.as_ref() == variant) && seen.insert(variant.clone())
    });
    out
}

/// Edit distance with neighbours swapped as one step; stops at `enough`.
fn distance(a: &str, b: &str, enough: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) >= enough {
        return enough;
    }
    let mut rows = [
        vec![0; b.len() + 1],
        (0..=b.len()).collect::<Vec<_>>(),
        vec![0; b.len() + 1],
    ];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()].min(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("requests", "reqeusts", 3), 1);
        assert_eq!(distance("six", "sixx", 3), 1);
        assert_eq!(distance("six", "numpy", 3), 3);
        assert_eq!(distance("flask", "flask", 3), 0);
    }

    #[test]
    fn variants_are_names_and_not_the_name_itself() {
        let all = variants("python-requestts");
        assert_eq!(all[0], "python-requests");
        assert!(all.contains(&"requestts".to_owned()) && !all.contains(&"python-requestts".to_owned()));
    }
}
