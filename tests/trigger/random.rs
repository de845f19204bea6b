//! Random expressions, zones and instants, all from one seed.

use cronwright::spec::trigger::Dialect;
use cronwright::time::{Timestamp, Zone};

/// A small generator of numbers (splitmix64): the same seed, the same test.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + u32::try_from(self.below(u64::from(last - first) + 1)).unwrap()
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// An expression that is valid in the dialect, nearly always. Its hours lie often where clocks are
/// changed.
pub(super) fn expression(random: &mut Random, dialect: Dialect) -> String {
    let with_seconds = match dialect {
        Dialect::Crontab => false,
        Dialect::Standard => random.one_in(2),
        Dialect::Quartz | Dialect::Apscheduler => true,
    };
    let mut fields = Vec::new();
    if with_seconds {
        fields.push(if random.one_in(2) { "0".into() } else { list(random, dialect, 0, 59) });
    }
    fields.push(list(random, dialect, 0, 59));
    let hour_last = if random.one_in(2) { 4 } else { 23 };
    fields.push(list(random, dialect, 0, hour_last));
    let mut day = day(random, dialect);
    let mut weekday = weekday(random, dialect);
    if dialect == Dialect::Quartz {
        *(if random.one_in(2) { &mut day } else { &mut weekday }) = "?".into();
    }
    fields.extend([day, month(random, dialect), weekday]);
    if with_seconds && random.one_in(8) {
        fields.push(year(random));
    }
    fields.join(if random.one_in(20) { " \t " } else { " " })
}

fn list(random: &mut Random, dialect: Dialect, min: u32, max: u32) -> String {
    let count = if random.one_in(3) { random.between(2, 4) } else { 1 };
    let items: Vec<String> = (0..count).map(|_| item(random, dialect, min, max)).collect();
    items.join(",")
}

fn item(random: &mut Random, dialect: Dialect, min: u32, max: u32) -> String {
    let (a, b) = (random.between(min, max), random.between(min, max));
    let wraps = matches!(dialect, Dialect::Standard | Dialect::Quartz) && random.one_in(3);
    let (first, last) = if wraps { (a, b) } else { (a.min(b), a.max(b)) };
    let step_max = match dialect {
        Dialect::Apscheduler => last.saturating_sub(first),
        Dialect::Standard | Dialect::Crontab | Dialect::Quartz => max.min(30),
    };
    let step = random.between(1, step_max.max(1));
    match random.below(8) {
        0 | 1 => "*".into(),
        2 => format!("*/{}", random.between(1, max - min)),
        3 => format!("{first}-{last}"),
        4 if step_max > 0 => format!("{first}-{last}/{step}"),
        5 if dialect != Dialect::Crontab && a < max => {
            format!("{a}/{}", random.between(1, max - a))
        }
        _ => a.to_string(),
    }
}

fn day(random: &mut Random, dialect: Dialect) -> String {
    let special = match dialect {
        Dialect::Standard | Dialect::Quartz => random.one_in(3),
        Dialect::Apscheduler => random.one_in(6),
        Dialect::Crontab => false,
    };
    if !special {
        return if random.one_in(2) { "*".into() } else { list(random, dialect, 1, 31) };
    }
    if dialect == Dialect::Apscheduler {
        return if random.one_in(2) { "last".into() } else { "10,Last".into() };
    }
    let n = random.between(1, 31);
    let one = match random.below(5) {
        0 => "L".to_owned(),
        1 => format!("L-{}", n - 1),
        2 => format!("{n}W"),
        3 => "LW".to_owned(),
        _ => format!("L-{}W", n - 1),
    };
    let in_list = dialect == Dialect::Standard && random.one_in(3);
    if in_list { format!("{one},{}", random.between(1, 31)) } else { one }
}

fn month(random: &mut Random, dialect: Dialect) -> String {
    match random.below(6) {
        0 => list(random, dialect, 1, 12),
        1 => (*random.pick(&MONTHS)).to_owned(),
        2 => format!(
            "{}-{}",
            MONTHS[random.between(0, 5) as usize],
            MONTHS[random.between(6, 11) as usize]
        ),
        _ => "*".into(),
    }
}

fn weekday(random: &mut Random, dialect: Dialect) -> String {
    let (min, max) = match dialect {
        Dialect::Standard | Dialect::Crontab => (0, 7),
        Dialect::Quartz => (1, 7),
        Dialect::Apscheduler => (0, 6),
    };
    let special = matches!(dialect, Dialect::Standard | Dialect::Quartz);
    match random.below(8) {
        0 | 1 => list(random, dialect, min, max.min(6)),
        2 => (*random.pick(&WEEKDAYS)).to_owned(),
        3 => format!(
            "{}-{}",
            WEEKDAYS[random.between(0, 3) as usize],
            WEEKDAYS[random.between(4, 6) as usize]
        ),
        4 if special => format!("{}#{}", random.between(min, max), random.between(1, 5)),
        5 if special => format!("{}L", random.pick(&WEEKDAYS)),
        6 => random.between(min, max).to_string(),
        _ => "*".into(),
    }
}

fn year(random: &mut Random) -> String {
    let first = random.between(1970, 2098);
    match random.below(4) {
        0 => first.to_string(),
        1 => format!("{first}-{}", random.between(first, 2100)),
        2 => format!("{first},{}", random.between(1970, 2100)),
        _ => format!("{first}/{}", random.between(1, 9)),
    }
}

/// The first and the last instant of the tests, in seconds: 1970 to 2100.
const INSTANTS: std::ops::Range<i64> = 0..4_102_444_800;

/// An instant between 1970 and 2100, more often than not near a shift of the zone.
pub(super) fn instant(random: &mut Random, zone: &Zone) -> Timestamp {
    let first = zone.shifts_until(INSTANTS.start);
    let shifts = &zone.shifts()[first..zone.shifts_until(INSTANTS.end)];
    let nanos = if random.one_in(4) { random.between(0, 999_999_999) } else { 0 };
    let length = u64::try_from(INSTANTS.end).unwrap();
    let at_s = if shifts.is_empty() || random.one_in(4) {
        random.below(length).cast_signed()
    } else {
        let distance_s = *random.pick(&[2, 100, 3_600, 3_600, 10_800, 86_400, 172_800]);
        let offset_s = random.below(2 * distance_s).cast_signed() - distance_s.cast_signed();
        (random.pick(shifts).at_s + offset_s).max(0)
    };
    Timestamp::from_timestamp(at_s, nanos).unwrap()
}
