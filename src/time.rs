//! Time: instants, zone names with their offset tables, and duration text.
//!
//! Every instant in the program is a [`Timestamp`] in UTC. This is the only place that names `jiff`:
//! the zone database (`database.rs`) is read here, once per zone, and turned into a plain
//! table, so that everything above works on numbers. Nothing here reads the clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::time::database::database;
pub use crate::time::database::{ZoneSource, ZoneSourceError, choose_zone_source, zone_database};
pub use crate::time::duration::{DURATION_MAX, DurationError, DurationText, parse_duration};
pub use crate::time::unknown_zone::UnknownZone;

mod database;
mod duration;
mod unknown_zone;

/// An instant, in UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// A time zone of the IANA database, with its table of offset changes. Cheap to clone.
///
/// Two zones are equal when their names are. The name is the one that was asked for: an alias such
/// as `Asia/Chongqing` stays what the user wrote.
#[derive(Clone)]
pub struct Zone(Arc<ZoneTable>);

/// What a zone's clocks show, as plain numbers.
struct ZoneTable {
    name: String,
    first_offset_s: i32,
    shifts: Box<[Shift]>,
    /// For each stretch of 2^[`STRETCH_BITS`] s from the first shift on: the shifts before it. A
    /// search begins there and has a few shifts to pass, instead of halving them all.
    shifts_before: Box<[u16]>,
}

/// Stretches of about a year.
const STRETCH_BITS: u32 = 25;

/// An instant at which a zone's offset from UTC changes. Shifts of a zone lie days apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// When, in seconds since 1970 in UTC.
    pub at_s: i64,
    /// The offset until then, in seconds east of UTC.
    pub before_s: i32,
    /// The offset from then on, in seconds east of UTC.
    pub after_s: i32,
}

impl Shift {
    /// The first local second that the shift skips or repeats.
    pub fn local_start_s(self) -> i64 {
        self.at_s + i64::from(self.before_s.min(self.after_s))
    }

    /// The local second after the last that the shift skips or repeats.
    pub fn local_end_s(self) -> i64 {
        self.at_s + i64::from(self.before_s.max(self.after_s))
    }

    /// Whether clocks go forward: the local times between do not exist. Else they exist twice.
    pub fn is_gap(self) -> bool {
        self.after_s > self.before_s
    }

    /// By how much clocks are moved, without direction.
    pub fn size(self) -> Duration {
        Duration::from_secs(u64::from(self.after_s.abs_diff(self.before_s)))
    }
}

/// What a local time means in a zone. Seconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalTime {
    /// It exists once.
    Once(i64),
    /// Clocks jump over it.
    Gap(Shift),
    /// It exists twice.
    Fold {
        /// The first of the two.
        first: i64,
        /// One shift later.
        second: i64,
    },
}

/// The year after the last whose shifts a table holds; cron expressions end with the year before.
pub const ZONE_TABLE_YEAR_END: i16 = 2200;

/// Names of the database's own housekeeping: they say nothing, or silently mean the host's zone.
const NOT_ZONES: [&str; 4] = ["localtime", "posixrules", "Factory", "Etc/Unknown"];

/// How much of a user's text a message repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// Tables already made: thousands of jobs share a few zones. It saves work and changes no answer.
static ZONES: LazyLock<Mutex<BTreeMap<String, Zone>>> = LazyLock::new(Mutex::default);

static UTC: LazyLock<Zone> = LazyLock::new(|| Zone(Arc::new(ZoneTable::new("UTC", 0, Vec::new()))));

impl Zone {
    /// The zone with this IANA name, written exactly so. Never an offset.
    pub fn load(name: &str) -> Result<Self, UnknownZone> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name) {
            return Ok(zone.clone());
        }
        let zone = Self(Arc::new(ZoneTable::read(name).ok_or_else(|| UnknownZone::new(name))?));
        zones.insert(name.to_owned(), zone.clone());
        Ok(zone)
    }

    /// Coordinated universal time.
    pub fn utc() -> Self {
        UTC.clone()
    }

    /// A zone as other data has it: `shifts` in order, days apart. For comparing with the data in use.
    pub fn of_table(name: &str, first_offset_s: i32, shifts: Vec<Shift>) -> Self {
        Self(Arc::new(ZoneTable::new(name, first_offset_s, shifts)))
    }

    /// The names that [`Self::load`] knows, sorted.
    pub fn names() -> Vec<String> {
        let available = database().zones.available();
        let mut names: Vec<String> = available.map(|name| name.as_str().to_owned()).collect();
        names.retain(|name| !NOT_ZONES.contains(&name.as_str()));
        names.sort_unstable();
        names
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Every change of offset up to the end of the table, in order.
    pub fn shifts(&self) -> &[Shift] {
        &self.0.shifts
    }

    /// How many shifts lie at or before an instant (seconds since 1970 in UTC).
    pub fn shifts_until(&self, at_s: i64) -> usize {
        let table = &*self.0;
        let Some(first) = table.shifts.first().filter(|first| first.at_s <= at_s) else { return 0 };
        let stretch = usize::try_from((at_s - first.at_s) >> STRETCH_BITS).unwrap_or(usize::MAX);
        let last = table.shifts_before.len().saturating_sub(1);
        let mut count = table.shifts_before.get(stretch.min(last)).copied().map_or(0, usize::from);
        while table.shifts.get(count).is_some_and(|shift| shift.at_s <= at_s) {
            count += 1;
        }
        count
    }

    /// The offset after that many shifts, in seconds east of UTC.
    pub fn offset_after(&self, shift_count: usize) -> i32 {
        let last = shift_count.checked_sub(1).and_then(|index| self.0.shifts.get(index));
        last.map_or(self.0.first_offset_s, |shift| shift.after_s)
    }

    /// The offset at an instant (seconds since 1970 in UTC), in seconds east of UTC.
    pub fn offset_at(&self, at_s: i64) -> i32 {
        self.offset_after(self.shifts_until(at_s))
    }

    /// What clocks of the zone show at an instant.
    pub fn local(&self, at: Timestamp) -> chrono::NaiveDateTime {
        let offset = chrono::TimeDelta::seconds(self.offset_at(at.timestamp()).into());
        at.naive_utc().checked_add_signed(offset).unwrap_or(at.naive_utc())
    }

    /// What a local time means, in seconds since 1970 as if it were UTC.
    pub fn resolve(&self, local_s: i64) -> LocalTime {
        let index = self.0.shifts.partition_point(|shift| shift.local_end_s() <= local_s);
        match self.0.shifts.get(index) {
            Some(&shift) if shift.local_start_s() <= local_s => {
                if shift.is_gap() {
                    LocalTime::Gap(shift)
                } else {
                    LocalTime::Fold {
                        first: local_s - i64::from(shift.before_s),
                        second: local_s - i64::from(shift.after_s),
                    }
                }
            }
            Some(_) | None => LocalTime::Once(local_s - i64::from(self.offset_after(index))),
        }
    }

    /// The one instant that a written date names (A6): inside a gap the offset before it counts,
    /// inside a fold the first of the two is meant. Seconds, as for [`Self::resolve`].
    pub fn instant_of(&self, local_s: i64) -> i64 {
        match self.resolve(local_s) {
            LocalTime::Once(at_s) => at_s,
            LocalTime::Gap(shift) => local_s - i64::from(shift.before_s),
            LocalTime::Fold { first, .. } => first,
        }
    }

    /// An instant as RFC 3339 text with the zone's offset.
    pub fn rfc3339(&self, at: Timestamp) -> String {
        let offset = chrono::FixedOffset::east_opt(self.offset_at(at.timestamp()));
        offset.map_or_else(
            || rfc3339(at),
            |offset| {
                at.with_timezone(&offset).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
            },
        )
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.0.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl ZoneTable {
    fn new(name: &str, first_offset_s: i32, shifts: Vec<Shift>) -> Self {
        let mut shifts_before: Vec<u16> = Vec::new();
        let first_s = shifts.first().map_or(0, |first| first.at_s);
        for (before, shift) in (0..).zip(&shifts) {
            let stretch = usize::try_from((shift.at_s - first_s) >> STRETCH_BITS).unwrap_or(0);
            // Every stretch from the last one on, up to that of this shift, begins with it.
            while shifts_before.len() <= stretch {
                shifts_before.push(before);
            }
        }
        let name = name.to_owned();
        Self { name, first_offset_s, shifts: shifts.into(), shifts_before: shifts_before.into() }
    }

    fn read(name: &str) -> Option<Self> {
        if NOT_ZONES.contains(&name) {
            return None;
        }
        let zone = database().zones.get(name).ok()?;
        // The database ignores case; files that other tools read too should not.
        if zone.iana_name() != Some(name) {
            return None;
        }
        let end = jiff::civil::date(ZONE_TABLE_YEAR_END, 1, 1)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp();
        let first_offset_s = zone.to_offset(jiff::Timestamp::MIN).seconds();
        let mut before_s = first_offset_s;
        let mut shifts = Vec::new();
        for change in zone.following(jiff::Timestamp::MIN) {
            if change.timestamp() >= end {
                break;
            }
            // Changes of the abbreviation alone move no clock.
            let after_s = change.offset().seconds();
            if after_s != before_s {
                shifts.push(Shift { at_s: change.timestamp().as_second(), before_s, after_s });
                before_s = after_s;
            }
        }
        Some(Self::new(name, first_offset_s, shifts))
    }
}

/// A user's text for use inside a message: on one line, printable, and not long.
pub fn quoted(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(QUOTED_CHARS_MAX) {
        // Quotation marks are printable; only the rest of what `escape_debug` escapes is not.
        if matches!(c, '"' | '\'' | '\\') {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_debug());
        }
    }
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() { format!("{escaped}…") } else { escaped }
}

/// A timestamp as RFC 3339 text in UTC with `Z`, without a fraction when it has none.
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A reading of the clock that counts from the boot of the machine, suspends included, and that
/// nobody can set. For leases and for noticing that the wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// Later than any reading: a lease that never ends.
    pub const NEVER: Self = Self(Duration::MAX);

    /// This reading plus `by`, at most [`Self::NEVER`].
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How long before `self` `earlier` was; zero when it was not before.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// What the calendar says.
    pub wall: Timestamp,
    /// What nobody can set.
    pub boot: BootTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_zones_say_what_was_probably_meant() {
        let table = [
            ("asia/shanghai", "did you mean `Asia/Shanghai`?"),
            ("Asia/Shangai", "did you mean `Asia/Shanghai`?"),
            ("Shanghai", "did you mean `Asia/Shanghai`?"),
            ("America/New York", "did you mean `America/New_York`?"),
            ("Europe/Berln", "did you mean `Europe/Berlin`?"),
        ];
        for (name, help) in table {
            assert_eq!(Zone::load(name).unwrap_err().help, help, "{name}");
        }
        for name in ["+08:00", "UTC+8", "", "localtime", "posix/Asia/Shanghai", "x", "中国", "../x"]
        {
            let error = Zone::load(name).unwrap_err();
            assert_eq!(error.to_string(), format!("`{name}` is not a time zone"));
        }
    }

    #[test]
    fn daylight_saving_goes_on_after_2100() {
        let zone = Zone::load("America/New_York").unwrap();
        let july_2149: Timestamp = "2149-07-01T16:00:00Z".parse().unwrap();
        assert_eq!(zone.rfc3339(july_2149), "2149-07-01T12:00:00-04:00");
    }

    #[test]
    fn shifts_of_every_zone_lie_days_apart() {
        for name in Zone::names() {
            let zone = Zone::load(&name).unwrap();
            let apart = |pair: &[Shift]| pair[1].at_s - pair[0].at_s > 3 * 86_400;
            assert!(zone.shifts().windows(2).all(apart), "{name}");
        }
    }

    #[test]
    fn shifts_are_counted_as_by_a_plain_search() {
        for name in ["UTC", "Africa/Casablanca", "America/New_York", "Asia/Shanghai"] {
            let zone = Zone::load(name).unwrap();
            for at_s in (-6_000_000_000_i64..8_000_000_000).step_by(1_234_567) {
                let expected = zone.shifts().partition_point(|shift| shift.at_s <= at_s);
                assert_eq!(zone.shifts_until(at_s), expected, "{name} {at_s}");
            }
            for (index, shift) in zone.shifts().iter().enumerate() {
                assert_eq!(zone.shifts_until(shift.at_s - 1), index, "{name}");
                assert_eq!(zone.shifts_until(shift.at_s), index + 1, "{name}");
            }
        }
    }

    #[test]
    fn written_dates_in_gaps_and_folds() {
        let zone = Zone::load("America/New_York").unwrap();
        let instant = |text: &str| {
            let local = text.parse::<chrono::NaiveDateTime>().unwrap().and_utc().timestamp();
            zone.rfc3339(Timestamp::from_timestamp(zone.instant_of(local), 0).unwrap())
        };
        assert_eq!(instant("2025-03-09T02:30:00"), "2025-03-09T03:30:00-04:00");
        assert_eq!(instant("2025-11-02T01:30:00"), "2025-11-02T01:30:00-04:00");
        assert_eq!(instant("2025-11-02T02:00:00"), "2025-11-02T02:00:00-05:00");
        assert_eq!(instant("2025-07-01T12:00:00"), "2025-07-01T12:00:00-04:00");
    }
}
