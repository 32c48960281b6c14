//! Whether one release costs more than another: paired measurements → an interval of the difference.
//!
//! Rounds are interleaved, so what disturbs the machine disturbs both, and each round gives one pair. The difference is
//! the Hodges–Lehmann estimate of the pairs' differences (the median of all their pairwise means), its interval that of
//! Wilcoxon's signed-rank test, by the exact distribution: no assumption of a shape, no random numbers, and a single
//! round that went wrong moves it little. Lehmann, *Nonparametrics* (1975), sections 4.2 and 4.4.

use serde::{Deserialize, Serialize};

/// Fewest pairs of which an interval of 95 % can be given.
pub const FEWEST: usize = 6;
/// Most pairs that are looked at.
const MOST: usize = 200;
/// How sure an interval is.
const LEVEL: f64 = 0.95;

/// A difference between two releases, in the unit of what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Median of the release before.
    pub before: f64,
    /// Median of the release now.
    pub now: f64,
    /// How much more it is now.
    pub shift: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How sure the interval is, at least 0.95.
    pub level: f64,
    /// Pairs.
    pub pairs: usize,
}

/// What a difference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// No difference was seen: zero lies in the interval.
    Nothing,
    /// It is more now.
    More,
    /// It is less now.
    Less,
}

impl Difference {
    /// What it says.
    pub fn seen(&self) -> Seen {
        if self.low > 0.0 {
            Seen::More
        } else if self.high < 0.0 {
            Seen::Less
        } else {
            Seen::Nothing
        }
    }

    /// A value in per cent of the release before.
    pub fn percent(&self, value: f64) -> f64 {
        if self.before > 0.0 {
            value * 100.0 / self.before
        } else {
            0.0
        }
    }
}

/// Compares pairs of measurements, one of each release in each. `None` when there are fewer than [`FEWEST`] that are
/// numbers.
///
/// ```
/// use pyti_judge::perf::{Seen, paired};
/// let before = [10.0, 11.0, 10.5, 10.2, 10.8, 10.1];
/// let now = before.map(|value| value + 2.0);
/// assert_eq!(paired(&before, &now).map(|found| found.seen()), Some(Seen::More));
/// assert_eq!(paired(&before, &before).map(|found| found.seen()), Some(Seen::Nothing));
/// ```
pub fn paired(before: &[f64], now: &[f64]) -> Option<Difference> {
    let pairs: Vec<(f64, f64)> = before
        .iter()
        .copied()
        .zip(now.iter().copied())
        .filter(|(before, now)| before.is_finite() && now.is_finite())
        .take(MOST)
        .collect();
    let number = pairs.len();
    let out = outside(number)?;
    let differences: Vec<f64> = pairs.iter().map(|(before, now)| now - before).collect();
    let mut means = Vec::with_capacity(number * (number + 1) / 2);
    for (at, one) in differences.iter().enumerate() {
        means.extend(differences[at..].iter().map(|other| f64::midpoint(*one, *other)));
    }
    means.sort_by(f64::total_cmp);
    Some(Difference {
        before: median(pairs.iter().map(|(before, _)| *before).collect()),
        now: median(pairs.iter().map(|(_, now)| *now).collect()),
        shift: median(means.clone()),
        low: means[out],
        high: means[means.len() - 1 - out],
        level: 1.0 - 2.0 * at_most(number, out),
        pairs: number,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// How many of the sorted pairwise means lie outside of the interval at each end.
fn outside(pairs: usize) -> Option<usize> {
    let tail = (1.0 - LEVEL) / 2.0;
    // the interval begins at the (k + 1)th mean when P(W ≤ k) is at most the tail
    (0..=pairs * (pairs + 1) / 4)
        .take_while(|k| at_most(pairs, *k) <= tail)
        .last()
}

/// P(W ≤ k): how likely it is that the ranks of positive differences sum to at most `k`, when there is no difference.
fn at_most(pairs: usize, k: usize) -> f64 {
    // ways[s]: how likely the ranks so far sum to s; each rank counts or not, equally likely
    let mut ways = vec![0.0; k + 1];
    ways[0] = 1.0;
    for rank in 1..=pairs {
        for sum in (0..=k).rev() {
            let with = if sum >= rank { ways[sum - rank] } else { 0.0 };
            ways[sum] = f64::midpoint(ways[sum], with);
        }
    }
    ways.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_that_of_the_tables() {
        // Wilcoxon's tables: P(W ≤ 8) for 10 pairs is 0.0244, P(W ≤ 0) for 6 is 1/64
        assert!((at_most(10, 8) - 0.0244).abs() < 5e-4);
        assert!((at_most(6, 0) - 1.0 / 64.0).abs() < 1e-12);
        assert_eq!(
            (outside(5), outside(6), outside(10), outside(20)),
            (None, Some(0), Some(8), Some(52))
        );
    }

    #[test]
    fn a_difference_is_found_in_noise_and_one_bad_round_does_not_make_one() {
        let noise = [0.3, -0.2, 0.1, -0.4, 0.2, 0.0, -0.1, 0.4, -0.3, 0.15];
        let before: Vec<f64> = noise.iter().map(|n| 40.0 + n).collect();
        let now: Vec<f64> = noise.iter().rev().map(|n| 42.0 + n).collect();
        let found = paired(&before, &now).unwrap();
        assert_eq!(found.seen(), Seen::More);
        assert!((found.shift - 2.0).abs() < 0.3 && found.low < found.shift && found.shift < found.high);
        assert!(found.level >= 0.95 && found.level < 0.96);
        assert!((found.percent(found.shift) - 5.0).abs() < 1.0);
        let mut disturbed: Vec<f64> = noise.iter().rev().map(|n| 40.0 + n).collect();
        disturbed[3] = 900.0;
        assert_eq!(paired(&before, &disturbed).unwrap().seen(), Seen::Nothing);
        assert_eq!(paired(&now, &before).unwrap().seen(), Seen::Less);
    }

    #[test]
    fn too_few_pairs_say_nothing() {
        assert_eq!(paired(&[1.0; 5], &[2.0; 5]), None);
        let mut holes = [1.0; 7];
        holes[0] = f64::NAN;
        holes[1] = f64::INFINITY;
        assert_eq!(paired(&holes, &[2.0; 7]), None);
        assert_eq!(paired(&[1.0; 6], &[2.0; 6]).unwrap().seen(), Seen::More);
        assert_eq!(paired(&[], &[]), None);
    }
}
