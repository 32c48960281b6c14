//! How the changelog is followed: from where it is asked, and what its answer means.
//!
//! The changelog gives everything after a serial, but an event may show up later than one with a higher serial (two uploads
//! that were committed in the other order). So each question starts some thousand serials before the cursor; what is known
//! already changes nothing, because an event is stored once for each serial.

use std::collections::BTreeMap;

use pyti_index::feeds::Change;

/// Serials before the cursor that are read again. An index makes some 50 a minute.
pub const OVERLAP: u64 = 2_000;

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

/// Something about the feed that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// Its newest serial is before what it told earlier: it was set back, or another index answers.
    Backwards {
        /// Where we are.
        cursor: u64,
        /// What it says is the newest.
        newest: u64,
    },
    /// Two different events with one serial: the first one counts.
    Twice {
        /// The serial.
        serial: u64,
    },
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// To be stored, by serial; those that are stored already change nothing.
    pub events: Vec<Change>,
    /// Where we are now.
    pub cursor: Cursor,
    /// What was odd.
    pub odd: Vec<Odd>,
}

impl Cursor {
    /// A reader that starts now: nothing before this serial is asked for.
    pub fn starting(newest: u64) -> Self {
        Self(newest)
    }

    /// As it was stored.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The newest serial that was taken.
    pub fn serial(self) -> u64 {
        self.0
    }

    /// The serial to ask after.
    pub fn ask_after(self) -> u64 {
        self.0.saturating_sub(OVERLAP)
    }

    /// What an answer means. `floor` is the serial at which this reader once started: what is older is not news.
    pub fn take(self, floor: u64, changes: Vec<Change>) -> Taken {
        let mut by_serial: BTreeMap<u64, Change> = BTreeMap::new();
        let mut odd = Vec::new();
        let newest = changes.iter().map(|change| change.serial).max();
        for change in changes {
            match by_serial.get(&change.serial) {
                Some(other) if *other != change => odd.push(Odd::Twice {
                    serial: change.serial,
                }),
                Some(_) => {}
                None => {
                    by_serial.insert(change.serial, change);
                }
            }
        }
        // the cursor's own event is within the overlap, so an answer always reaches it
        if let Some(newest) = newest.filter(|newest| *newest < self.0) {
            odd.push(Odd::Backwards {
                cursor: self.0,
                newest,
            });
        }
        Taken {
            events: by_serial
                .into_values()
                .filter(|change| change.serial > floor)
                .collect(),
            cursor: Self(newest.unwrap_or(self.0).max(self.0)),
            odd,
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which projects a comparison with the root finds changed: those whose last serial is after `floor`. Whoever stores them by
/// their serial finds that the changelog brought nearly all of them already; what is left is what it missed.
pub fn compare(root: &[(String, Option<u64>)], floor: u64) -> Vec<(String, u64)> {
    let mut changed: Vec<_> = root
        .iter()
        .filter_map(|(name, serial)| Some((name.clone(), (*serial)?)))
        .filter(|(_, serial)| *serial > floor)
        .collect();
    changed.sort_by_key(|(_, serial)| *serial);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(serial: u64) -> Change {
        Change {
            project: format!("p{}", serial % 7),
            version: None,
            at: serial,
            action: "new release".into(),
            serial,
        }
    }

    #[test]
    fn an_empty_answer_moves_nothing() {
        let taken = Cursor::starting(50).take(0, Vec::new());
        assert_eq!((taken.cursor.serial(), taken.events.len()), (50, 0));
        assert_eq!(taken.odd, []);
    }

    #[test]
    fn a_feed_that_goes_backwards_is_told_and_does_not_move_the_cursor() {
        let taken = Cursor::starting(50).take(0, vec![change(20), change(30)]);
        assert_eq!(taken.cursor.serial(), 50);
        assert_eq!(
            taken.odd,
            [Odd::Backwards {
                cursor: 50,
                newest: 30
            }]
        );
        assert_eq!(taken.events.len(), 2);
    }

    #[test]
    fn of_two_events_with_one_serial_the_first_counts() {
        let other = Change {
            project: "else".into(),
            ..change(51)
        };
        let taken = Cursor::starting(50).take(0, vec![change(51), change(51), other]);
        assert_eq!(taken.events, [change(51)]);
        assert_eq!(taken.odd, [Odd::Twice { serial: 51 }]);
    }

    #[test]
    fn what_was_before_the_start_is_no_news() {
        let taken = Cursor::starting(50).take(50, vec![change(49), change(51)]);
        assert_eq!(taken.events, [change(51)]);
    }

    #[test]
    fn only_projects_after_the_floor_are_changed() {
        let root = [
            ("a".to_owned(), Some(9)),
            ("b".to_owned(), Some(4)),
            ("c".to_owned(), None),
            ("d".to_owned(), Some(6)),
        ];
        assert_eq!(compare(&root, 4), [("d".to_owned(), 6), ("a".to_owned(), 9)]);
    }

    proptest! {
        /// Whatever order events show up in, as long as none is late by more than the overlap, each is taken.
        #[test]
        fn no_event_is_missed(
            gaps in prop::collection::vec(1u64..40, 1..200),
            late in prop::collection::vec(0usize..20, 200),
            polls in prop::collection::vec(1usize..30, 1..60),
        ) {
            let serials: Vec<u64> = gaps.iter().scan(1000, |at, gap| { *at += gap; Some(*at) }).collect();
            // each event becomes visible some places after its own
            let mut visible: Vec<(usize, u64)> = serials.iter().enumerate().map(|(at, serial)| (at + late[at], *serial)).collect();
            visible.sort_unstable();
            let mut cursor = Cursor::starting(1000);
            let mut stored = std::collections::BTreeSet::new();
            let mut seen = 0;
            for poll in polls.iter().copied().chain([visible.len()]) {
                seen = (seen + poll).min(visible.len());
                let answer = visible[..seen].iter().map(|(_, serial)| *serial).filter(|serial| *serial > cursor.ask_after()).map(change).collect();
                let taken = cursor.take(1000, answer);
                prop_assert!(taken.cursor.serial() >= cursor.serial());
                prop_assert_eq!(&taken.odd, &[]);
                cursor = taken.cursor;
                stored.extend(taken.events.iter().map(|event| event.serial));
            }
            prop_assert_eq!(stored.into_iter().collect::<Vec<_>>(), serials);
        }
    }
}
