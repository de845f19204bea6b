//! The Gregorian calendar on day numbers (0 is 1970-01-01), as far as the cron engine needs it.
//!
//! `chrono` could do this; the engine asks for the first weekday and the length of a month in its
//! innermost loop, and these few lines are several times faster.

/// A day by year, month and day of month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CivilDate {
    pub(super) year: i32,
    pub(super) month: u32,
    pub(super) day: u32,
}

/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i32 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i32 = 719_468;

impl CivilDate {
    /// The date with this day number. Years begin in March here, so that leap days come last.
    pub(super) fn from_day_number(day_number: i32) -> Self {
        let days = day_number + EPOCH_DAYS;
        let era = days.div_euclid(ERA_DAYS);
        let day_of_era = days.rem_euclid(ERA_DAYS) as u32;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era.cast_signed() + era * 400 + i32::from(month <= 2);
        Self { year, month, day }
    }

    /// The day number.
    pub(super) fn day_number(self) -> i32 {
        let year = self.year - i32::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (self.month.cast_signed() + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day.cast_signed() - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * ERA_DAYS + day_of_era - EPOCH_DAYS
    }
}

/// How many days a month has.
pub(super) fn month_length(year: i32, month: u32) -> u32 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The weekday of a day number, Sunday = 0.
pub(super) fn weekday(day_number: i32) -> u32 {
    (day_number + 4).rem_euclid(7) as u32
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

    use super::*;

    #[test]
    fn agrees_with_chrono_on_every_day_of_800_years() {
        for day_number in -146_097..146_097 {
            let date = CivilDate::from_day_number(day_number);
            let chrono_date = chrono::NaiveDate::from_epoch_days(day_number).unwrap();
            let expected = (chrono_date.year(), chrono_date.month(), chrono_date.day());
            assert_eq!((date.year, date.month, date.day), expected);
            assert_eq!(date.day_number(), day_number);
            assert_eq!(weekday(day_number), chrono_date.weekday().num_days_from_sunday());
            assert_eq!(
                month_length(date.year, date.month),
                u32::from(chrono_date.num_days_in_month())
            );
        }
    }
}
