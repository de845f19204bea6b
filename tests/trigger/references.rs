//! The engine against the crates `cron` and `croner`, where their dialects and ours agree.
//!
//! Where they do not, [`DIFFERENCES`] lists expression, answers, and the rule that decides.

use std::str::FromStr;

use chrono_tz::Tz;
use cronwright::spec::trigger::{CronExpr, CronTrigger, DayMatch, Dialect};
use cronwright::time::{Timestamp, Zone};

use super::random::{Random, instant};

/// How many random expressions each comparison takes.
const EXPRESSIONS: u32 = 4_000;

/// How many fires of each.
const FIRES: usize = 6;

/// Zones that have the same rules since 2000 in every release of the database from 2025b on.
const ZONES: [&str; 12] = [
    "America/New_York",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Auckland",
    "Pacific/Chatham",
];

/// The first instant of a random start: releases still mend what lies further back.
const START_FIRST: &str = "2000-01-01T00:00:00Z";

/// The last instant of a random start: the zones of `croner` and the years of `cron` end with 2100,
/// and the last of a few fires of a rare expression lies decades away.
const START_LAST: &str = "2050-01-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ours(
    text: &str,
    zone: &str,
    day_match: DayMatch,
    after: Timestamp,
    count: usize,
) -> Vec<String> {
    let zone = Zone::load(zone).unwrap();
    match CronExpr::parse_matching(text, Dialect::Standard, day_match) {
        Ok(expr) => {
            let trigger = CronTrigger::new(expr, zone.clone());
            let fires = std::iter::successors(Some(after), |last| trigger.next_after(*last));
            shown(fires.skip(1), &zone, count)
        }
        Err(_) => vec!["refused".to_owned()],
    }
}

fn by_cron(text: &str, zone: &str, after: Timestamp, count: usize) -> Vec<String> {
    let Ok(schedule) = cron::Schedule::from_str(text) else { return vec!["refused".to_owned()] };
    let after = after.with_timezone(&Tz::from_str(zone).unwrap());
    let fires = schedule.after(&after).map(|fire| fire.to_utc());
    shown(fires, &Zone::load(zone).unwrap(), count)
}

fn by_croner(text: &str, zone: &str, and: bool, after: Timestamp, count: usize) -> Vec<String> {
    let parser = croner::parser::CronParser::builder().dom_and_dow(and).build();
    let Ok(cron) = parser.parse(text) else { return vec!["refused".to_owned()] };
    let after = after.with_timezone(&Tz::from_str(zone).unwrap());
    let fires = cron.iter_after(after).map(|fire| fire.to_utc());
    shown(fires, &Zone::load(zone).unwrap(), count)
}

fn shown(fires: impl Iterator<Item = Timestamp>, zone: &Zone, count: usize) -> Vec<String> {
    fires.take(count).map(|fire| zone.rfc3339(fire)).collect()
}

/// A time field that all three read alike: no open steps, no wrap-around.
fn time_field(random: &mut Random, max: u32) -> String {
    let (a, b) = (random.between(0, max), random.between(0, max));
    let (first, last) = (a.min(b), a.max(b));
    match random.below(6) {
        0 => "*".to_owned(),
        1 => format!("*/{}", random.between(2, 20)),
        2 => format!("{first}-{last}"),
        3 => format!("{first}-{last}/{}", random.between(1, 9)),
        4 => format!("{a},{b}"),
        _ => a.to_string(),
    }
}

fn day_fields(random: &mut Random) -> (String, String, String) {
    let day = match random.below(4) {
        0 => random.between(1, 31).to_string(),
        1 => format!("{}-{}", random.between(1, 12), random.between(13, 31)),
        _ => "*".to_owned(),
    };
    let month = match random.below(4) {
        0 => random.between(1, 12).to_string(),
        1 => "*/3".to_owned(),
        _ => "*".to_owned(),
    };
    let weekday = *random.pick(&["*", "*", "mon-fri", "sat", "tue,thu", "sun"]);
    (day, month, weekday.to_owned())
}

fn start(random: &mut Random, zone: &Zone) -> Timestamp {
    instant(random, zone).clamp(at(START_FIRST), at(START_LAST))
}

#[test]
fn agrees_with_cron_in_utc() {
    let mut random = Random(17);
    for _ in 0..EXPRESSIONS {
        let times = [59, 59, 23].map(|max| time_field(&mut random, max)).join(" ");
        let (day, month, weekday) = day_fields(&mut random);
        let text = format!("{times} {day} {month} {weekday}");
        let after = start(&mut random, &Zone::utc());
        // That crate always wants both day fields to match.
        let expected = by_cron(&text, "UTC", after, FIRES);
        assert_eq!(ours(&text, "UTC", DayMatch::All, after, FIRES), expected, "{text} {after}");
    }
}

#[test]
fn agrees_with_croner_in_zones() {
    let mut random = Random(4);
    let mut compared = 0;
    while compared < EXPRESSIONS {
        let fields = [59, 59, 23].map(|max| time_field(&mut random, max));
        // It calls a schedule fixed-time only when each field is one number.
        let is_wild = fields.iter().any(|field| field.starts_with('*'));
        if !is_wild && fields.iter().any(|field| field.contains([',', '-'])) {
            continue;
        }
        let (day, month, weekday) = day_fields(&mut random);
        let text = format!("{} {day} {month} {weekday}", fields.join(" "));
        let name = *random.pick(&ZONES);
        let after = start(&mut random, &Zone::load(name).unwrap());
        let (day_match, and) =
            if random.one_in(2) { (DayMatch::All, true) } else { (DayMatch::Any, false) };
        let expected = by_croner(&text, name, and, after, FIRES);
        let found = ours(&text, name, day_match, after, FIRES);
        assert_eq!(found, expected, "{text} {name} after {after}");
        compared += 1;
    }
}

/// A known difference: what each answers after an instant, and the rule that decides for us.
struct Difference {
    rule: &'static str,
    reference: Reference,
    text: &'static str,
    zone: &'static str,
    after: &'static str,
    ours: &'static [&'static str],
    theirs: &'static [&'static str],
}

enum Reference {
    Cron,
    Croner,
}
const DIFFERENCES: &[Difference] = &[
    Difference {
        rule: "A3: weekday numbers are Unix",
        reference: Reference::Cron,
        text: "0 0 9 * * 1",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-05T09:00:00+00:00",
            "2026-01-12T09:00:00+00:00",
            "2026-01-19T09:00:00+00:00",
        ],
        theirs: &[
            "2026-01-04T09:00:00+00:00",
            "2026-01-11T09:00:00+00:00",
            "2026-01-18T09:00:00+00:00",
        ],
    },
    Difference {
        rule: "A3: of two restricted day fields one suffices",
        reference: Reference::Cron,
        text: "0 0 0 13 * fri",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-02T00:00:00+00:00",
            "2026-01-09T00:00:00+00:00",
            "2026-01-13T00:00:00+00:00",
        ],
        theirs: &[
            "2026-02-13T00:00:00+00:00",
            "2026-03-13T00:00:00+00:00",
            "2026-11-13T00:00:00+00:00",
        ],
    },
    Difference {
        rule: "A3: ranges wrap around",
        reference: Reference::Cron,
        text: "0 0 22-2 * * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-01T01:00:00+00:00",
            "2026-01-01T02:00:00+00:00",
            "2026-01-01T22:00:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: L, W and #",
        reference: Reference::Cron,
        text: "0 0 0 L * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-31T00:00:00+00:00",
            "2026-02-28T00:00:00+00:00",
            "2026-03-31T00:00:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: five fields",
        reference: Reference::Cron,
        text: "0 0 * * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-02T00:00:00+00:00",
            "2026-01-03T00:00:00+00:00",
            "2026-01-04T00:00:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: years to 2199",
        reference: Reference::Cron,
        text: "0 0 0 1 1 * 2150",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &["2150-01-01T00:00:00+00:00"],
        theirs: &["refused"],
    },
    Difference {
        rule: "A9: fixed-time in a gap, the first instant after it",
        reference: Reference::Cron,
        text: "0 30 2 * * *",
        zone: "America/New_York",
        after: "2025-03-09T00:00:00Z",
        ours: &[
            "2025-03-09T03:00:00-04:00",
            "2025-03-10T02:30:00-04:00",
            "2025-03-11T02:30:00-04:00",
        ],
        theirs: &[
            "2025-03-10T02:30:00-04:00",
            "2025-03-11T02:30:00-04:00",
            "2025-03-12T02:30:00-04:00",
        ],
    },
    Difference {
        rule: "A9: fixed-time in a fold, the first of the two",
        reference: Reference::Cron,
        text: "0 30 1 * * *",
        zone: "America/New_York",
        after: "2025-11-02T00:00:00Z",
        ours: &[
            "2025-11-02T01:30:00-04:00",
            "2025-11-03T01:30:00-05:00",
            "2025-11-04T01:30:00-05:00",
        ],
        theirs: &[
            "2025-11-02T01:30:00-04:00",
            "2025-11-02T01:30:00-05:00",
            "2025-11-03T01:30:00-05:00",
        ],
    },
    Difference {
        rule: "A2: strictly increasing",
        reference: Reference::Cron,
        text: "0 */30 1 * * *",
        zone: "America/New_York",
        after: "2025-11-02T00:00:00Z",
        ours: &[
            "2025-11-02T01:00:00-04:00",
            "2025-11-02T01:30:00-04:00",
            "2025-11-02T01:00:00-05:00",
        ],
        theirs: &[
            "2025-11-02T01:00:00-04:00",
            "2025-11-02T01:00:00-05:00",
            "2025-11-02T01:30:00-04:00",
        ],
    },
    Difference {
        rule: "A3: */n begins with a star, so both must match",
        reference: Reference::Croner,
        text: "0 0 */10 * sun",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-11T00:00:00+00:00",
            "2026-02-01T00:00:00+00:00",
            "2026-03-01T00:00:00+00:00",
        ],
        theirs: &[
            "2026-01-04T00:00:00+00:00",
            "2026-01-11T00:00:00+00:00",
            "2026-01-18T00:00:00+00:00",
        ],
    },
    Difference {
        rule: "A3: open steps",
        reference: Reference::Croner,
        text: "5/20 * * * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-01T00:05:00+00:00",
            "2026-01-01T00:25:00+00:00",
            "2026-01-01T00:45:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: ranges wrap around",
        reference: Reference::Croner,
        text: "0 22-2 * * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-01T01:00:00+00:00",
            "2026-01-01T02:00:00+00:00",
            "2026-01-01T22:00:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: L-n",
        reference: Reference::Croner,
        text: "0 0 L-3 * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &[
            "2026-01-28T00:00:00+00:00",
            "2026-02-25T00:00:00+00:00",
            "2026-03-28T00:00:00+00:00",
        ],
        theirs: &["refused"],
    },
    Difference {
        rule: "A3: an empty item is an error",
        reference: Reference::Croner,
        text: "1,,2 * * * *",
        zone: "UTC",
        after: "2026-01-01T00:00:00Z",
        ours: &["refused"],
        theirs: &[
            "2026-01-01T00:01:00+00:00",
            "2026-01-01T00:02:00+00:00",
            "2026-01-01T01:01:00+00:00",
        ],
    },
    Difference {
        rule: "A9: a list without a star is fixed-time",
        reference: Reference::Croner,
        text: "15,45 0-23 * * *",
        zone: "Australia/Sydney",
        after: "2025-10-04T15:50:00Z",
        ours: &[
            "2025-10-05T03:00:00+11:00",
            "2025-10-05T03:15:00+11:00",
            "2025-10-05T03:45:00+11:00",
        ],
        theirs: &[
            "2025-10-05T03:15:00+11:00",
            "2025-10-05T03:45:00+11:00",
            "2025-10-05T04:15:00+11:00",
        ],
    },
    Difference {
        rule: "A9: a shift of 3 h or more is followed by the real clock",
        reference: Reference::Croner,
        text: "30 12 * * *",
        zone: "Pacific/Apia",
        after: "2011-12-29T12:00:00Z",
        ours: &[
            "2011-12-29T12:30:00-10:00",
            "2011-12-31T12:30:00+14:00",
            "2012-01-01T12:30:00+14:00",
        ],
        theirs: &["2011-12-29T12:30:00-10:00"],
    },
];

#[test]
fn known_differences_are_as_listed() {
    for difference in DIFFERENCES {
        let Difference { rule, reference, text, zone, after, ours: expected, theirs } = difference;
        let after = at(after);
        let name = format!("{rule}: {text} {zone}");
        assert_eq!(ours(text, zone, DayMatch::Any, after, 3), *expected, "{name}");
        let found = match reference {
            Reference::Cron => by_cron(text, zone, after, 3),
            Reference::Croner => by_croner(text, zone, false, after, 3),
        };
        assert_eq!(found, *theirs, "{name}");
    }
}
