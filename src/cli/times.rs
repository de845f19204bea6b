//! Times for people: in a zone, and as seen from now.

use chrono::TimeDelta;

use crate::io::http::documents::{At, at_in};
use crate::time::{Timestamp, Zone};

/// From where times are looked at.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// The zone that was asked for; none: each time is in the zone it comes with.
    pub zone: Option<Zone>,
}

impl Clock {
    /// A heading with the zone, when there is one for all.
    pub fn heading(&self, text: &str) -> String {
        match &self.zone {
            Some(zone) => format!("{text} ({zone})"),
            None => text.to_owned(),
        }
    }

    /// A time, to the second. The offset is shown unless all are in one zone.
    pub fn time(&self, at: &At) -> String {
        match &self.zone {
            Some(zone) => at_in(zone, at.to_utc()).format("%Y-%m-%d %H:%M:%S").to_string(),
            None => at.format("%Y-%m-%d %H:%M:%S %:z").to_string(),
        }
    }

    /// `in 2 h 11 m`, `5 m ago`.
    pub fn relative(&self, at: &At) -> String {
        let ahead = at.to_utc() - self.now;
        if ahead.abs() < TimeDelta::seconds(1) {
            "now".to_owned()
        } else if ahead > TimeDelta::zero() {
            format!("in {}", span(ahead))
        } else {
            format!("{} ago", span(-ahead))
        }
    }

    /// How long it is until then: `2 h 11 m`; none when it is past.
    pub fn left(&self, at: &At) -> Option<String> {
        let ahead = at.to_utc() - self.now;
        (ahead >= TimeDelta::zero()).then(|| span(ahead))
    }
}

/// A stretch of time in its two largest units.
pub fn span(length: TimeDelta) -> String {
    const UNITS: [(&str, i64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut seconds = length.num_seconds().max(0);
    let mut parts = Vec::new();
    for (name, size) in UNITS {
        if seconds >= size || (!parts.is_empty() && parts.len() < 2) {
            if parts.len() < 2 {
                parts.push((seconds / size, name));
            }
            seconds %= size;
        }
    }
    parts.retain(|(count, _)| *count > 0);
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.iter().map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(" ")
}

/// A number of seconds: `3.008 s`, `2 m 5 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        let text = format!("{seconds:.3}");
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    // Longer than the program has existed is out of the question; a cut is good enough.
    #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted")]
    let whole = seconds as i64;
    TimeDelta::try_seconds(whole).map_or_else(|| format!("{whole} s"), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_told_in_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (9, "9 s"),
            (60, "1 m"),
            (61, "1 m 1 s"),
            (3600, "1 h"),
            (3601, "1 h"),
            (7_860, "2 h 11 m"),
            (86_400 * 3 + 59, "3 d"),
            (86_400 * 3 + 7_200, "3 d 2 h"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), expected, "{seconds}");
        }
        for (length, expected) in [
            (0.0, "0 s"),
            (3.008, "3.008 s"),
            (30.0, "30 s"),
            (59.9996, "60 s"),
            (125.0, "2 m 5 s"),
        ] {
            assert_eq!(seconds(length), expected, "{length}");
        }
    }

    #[test]
    fn times_are_shown_with_their_offset_or_in_the_zone_of_the_heading() {
        let at: At = "2026-11-23T00:00:00+08:00".parse().unwrap();
        let now = "2026-11-22T13:49:00Z".parse().unwrap();
        let own = Clock { now, zone: None };
        assert_eq!(own.heading("NEXT"), "NEXT");
        assert_eq!(own.time(&at), "2026-11-23 00:00:00 +08:00");
        assert_eq!(own.relative(&at), "in 2 h 11 m");
        assert_eq!(own.left(&at).as_deref(), Some("2 h 11 m"));
        let utc = Clock { now: now + TimeDelta::hours(3), zone: Some(Zone::utc()) };
        assert_eq!(utc.heading("NEXT"), "NEXT (UTC)");
        assert_eq!(utc.time(&at), "2026-11-22 16:00:00");
        assert_eq!(utc.relative(&at), "49 m ago");
        assert_eq!(utc.left(&at), None);
    }
}
