//! How long to wait after an event before looking. Pure.

use std::time::Duration;

use crate::time::BootTime;

/// Quiet that is asked for after one file was moved into place: it is complete by construction.
pub const QUIET_AFTER_RENAME: Duration = Duration::from_millis(20);
/// Quiet that is asked for after anything else: somebody may still be writing.
pub const QUIET: Duration = Duration::from_millis(300);
/// After this long there is a look, quiet or not.
pub const SETTLE_MAX: Duration = Duration::from_secs(2);

/// What an event says about the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Something went away; the number is that of the [`Self::MovedIn`] which follows if it only moved.
    MovedAway(Option<usize>),
    /// Something was moved into place.
    MovedIn(Option<usize>),
    /// Anything else.
    Written,
}

/// The events since the last look, as far as they matter for the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settle {
    first: Option<BootTime>,
    last: BootTime,
    moved_in: u32,
    /// The move whose second half has not come.
    leaving: Option<usize>,
    written: bool,
}

impl Settle {
    /// Takes note of an event at `now`.
    pub fn note(&mut self, now: BootTime, sign: Sign) {
        self.first.get_or_insert(now);
        self.last = now;
        match sign {
            Sign::MovedAway(Some(number)) if self.leaving.is_none() => self.leaving = Some(number),
            Sign::MovedAway(_) | Sign::Written => self.written = true,
            Sign::MovedIn(number) => {
                self.moved_in = self.moved_in.saturating_add(1);
                if number == self.leaving {
                    self.leaving = None;
                }
            }
        }
    }

    /// When to look; none: nothing has happened.
    pub fn deadline(&self) -> Option<BootTime> {
        let one_rename = self.moved_in == 1 && self.leaving.is_none() && !self.written;
        let quiet = if one_rename { QUIET_AFTER_RENAME } else { QUIET };
        self.first.map(|first| self.last.plus(quiet).min(first.plus(SETTLE_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::Sign::{MovedAway, MovedIn, Written};
    use super::*;

    #[test]
    fn the_look_comes_after_the_quiet_that_the_events_ask_for() {
        type Case = (&'static str, &'static [(u64, Sign)], Option<u64>);
        #[rustfmt::skip]
        let table: &[Case] = &[
            ("nothing",                      &[], None),
            ("written in place",             &[(0, Written), (1, Written)], Some(301)),
            ("moved in from elsewhere",      &[(5, MovedIn(None))], Some(25)),
            ("saved by atomic rename",       &[(5, MovedAway(Some(7))), (6, MovedIn(Some(7)))], Some(26)),
            ("moved away",                   &[(5, MovedAway(Some(7)))], Some(305)),
            ("moved away without a number",  &[(5, MovedAway(None))], Some(305)),
            ("another one moved in",         &[(5, MovedAway(Some(7))), (6, MovedIn(Some(8)))], Some(306)),
            ("two files moved in",           &[(0, MovedIn(Some(1))), (9, MovedIn(Some(2)))], Some(309)),
            ("rename after a write",         &[(0, Written), (50, MovedIn(Some(1)))], Some(350)),
            ("a write after a rename",       &[(0, MovedIn(Some(1))), (10, Written)], Some(310)),
            ("events without end",           &[(0, Written), (900, Written), (1900, Written)], Some(2000)),
        ];
        for (name, events, expected) in table {
            let mut settle = Settle::default();
            for (at, sign) in *events {
                settle.note(BootTime(Duration::from_millis(*at)), *sign);
            }
            let deadline = settle.deadline().map(|at| at.0.as_millis());
            assert_eq!(deadline, expected.map(u128::from), "{name}");
        }
    }
}
