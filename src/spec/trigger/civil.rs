//! The Gregorian calendar on day numbers, as far as the cron engine needs it.
//!
//! Day 0 is 0000-03-01: years begin in March, so that leap days come last, and no day that matters
//! is negative. `chrono` could do this; the engine asks in its innermost loop, and these few lines
//! are several times faster. They divide by constants alone, after Neri and Schneider, "Euclidean
//! affine functions and their application to calendar algorithms" (2022).

/// A day by year, month and day of month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CivilDate {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
}

/// The day number of 1970-01-01.
pub(super) const EPOCH_DAY: u32 = 719_468;

/// The largest day number for which nothing here overflows: some 2.9 million years.
pub(super) const DAY_NUMBER_MAX: u32 = u32::MAX / 4 - 1;

/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: u32 = 146_097;

impl CivilDate {
    /// The date with a day number up to [`DAY_NUMBER_MAX`].
    pub(super) fn from_day_number(day_number: u32) -> Self {
        let quarters = 4 * day_number + 3;
        let century = quarters / ERA_DAYS;
        let day_of_century = (quarters % ERA_DAYS) / 4;
        // The upper half is the year of the century, the lower half a fraction of a year.
        let scaled = 2_939_745 * u64::from(4 * day_of_century + 3);
        let year_of_century = (scaled >> 32) as u32;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        let day_of_year = scaled as u32 / 2_939_745 / 4;
        let month_and_day = 2_141 * day_of_year + 197_913;
        let (month, day) = (month_and_day >> 16, (month_and_day & 0xffff) / 2_141 + 1);
        let is_next_year = day_of_year >= 306;
        Self {
            year: 100 * century + year_of_century + u32::from(is_next_year),
            month: if is_next_year { month - 12 } else { month },
            day,
        }
    }

    /// The day number; the year is not 0.
    pub(super) fn day_number(self) -> u32 {
        let belongs_to_year_before = self.month <= 2;
        let year = self.year - u32::from(belongs_to_year_before);
        let month = if belongs_to_year_before { self.month + 12 } else { self.month };
        let century = year / 100;
        let days_before_year = 1_461 * year / 4 - century + century / 4;
        days_before_year + (979 * month - 2_919) / 32 + self.day - 1
    }
}

/// The first year from one on that has a 29 February.
pub(super) fn next_leap_year(from: u32) -> u32 {
    let year = from.next_multiple_of(4);
    if is_leap_year(year) { year } else { year + 4 }
}

fn is_leap_year(year: u32) -> bool {
    // A multiple of 100 is a leap year when it is one of 400, which is to say of 16.
    let mask = if year.is_multiple_of(25) { 15 } else { 3 };
    year & mask == 0
}

/// How many days a month has.
pub(super) fn month_length(year: u32, month: u32) -> u32 {
    if month == 2 {
        return 28 + u32::from(is_leap_year(year));
    }
    // 31 and 30 alternate, beginning anew in August.
    30 + ((month ^ (month >> 3)) & 1)
}

/// The weekday of a day number, Sunday = 0.
pub(super) fn weekday(day_number: u32) -> u32 {
    (day_number + 3) % 7
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

    use super::*;

    #[test]
    fn agrees_with_chrono_on_every_day_of_2200_years() {
        for day_number in 306..2_200 * 366 {
            let date = CivilDate::from_day_number(day_number);
            let from_epoch = day_number.cast_signed() - EPOCH_DAY.cast_signed();
            let chrono_date = chrono::NaiveDate::from_epoch_days(from_epoch).unwrap();
            let expected = (chrono_date.year(), chrono_date.month(), chrono_date.day());
            assert_eq!((date.year.cast_signed(), date.month, date.day), expected);
            assert_eq!(date.day_number(), day_number);
            assert_eq!(weekday(day_number), chrono_date.weekday().num_days_from_sunday());
            assert_eq!(
                month_length(date.year, date.month),
                u32::from(chrono_date.num_days_in_month())
            );
        }
    }
}
