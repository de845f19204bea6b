//! What the time zones in use were like when a daemon last looked, in the state directory: a few years of
//! their shifts, so that the next daemon can tell what newer data changes.

#![expect(clippy::disallowed_methods, reason = "this is where this file is read and written")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::time::{Shift, Timestamp, Zone};

/// How far ahead shifts are remembered, in seconds: ten years.
const AHEAD_S: i64 = 10 * 366 * 86_400;

/// The largest file that is read, in bytes; all zones there are take a fifth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The zones in use at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneMemory {
    schema: String,
    /// Release and origin of the data.
    pub release: String,
    /// By name.
    zones: BTreeMap<String, Table>,
}

/// The shifts of a zone within a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    /// The range, in seconds since 1970.
    from: i64,
    until: i64,
    /// The offset at its start, in seconds east of UTC.
    offset: i32,
    /// When, and the offset from then on.
    shifts: Vec<(i64, i32)>,
}

impl ZoneMemory {
    const SCHEMA: &str = "cronwright.zones/v1";

    /// What these zones are like from `now` on.
    pub fn of<'z>(zones: impl Iterator<Item = &'z Zone>, release: &str, now: Timestamp) -> Self {
        let (from, until) = (now.timestamp(), now.timestamp().saturating_add(AHEAD_S));
        let table = |zone: &Zone| (zone.name().to_owned(), Table::of(zone, from, until));
        Self {
            schema: Self::SCHEMA.to_owned(),
            release: release.to_owned(),
            zones: zones.map(table).collect(),
        }
    }

    /// Reads a file; none when there is none, or none that is understood.
    pub fn read(path: &Path) -> Option<Self> {
        if path.metadata().ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        let memory: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        Some(memory).filter(|memory| memory.schema == Self::SCHEMA)
    }

    /// Writes a file, whole or not at all.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let draft = path.with_added_extension("new");
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        std::fs::rename(&draft, path)
    }

    /// Whether every one of these zones is remembered.
    pub fn has_all<'z>(&self, mut names: impl Iterator<Item = &'z str>) -> bool {
        names.all(|name| self.zones.contains_key(name))
    }

    /// The remembered zones that are not like this any more, as they were.
    pub fn changed(&self) -> BTreeMap<String, Zone> {
        let zones = self.zones.iter().filter_map(|(name, table)| {
            let is_same = Zone::load(name)
                .is_ok_and(|zone| Table::of(&zone, table.from, table.until) == *table);
            (!is_same).then(|| Some((name.clone(), table.zone(name)?))).flatten()
        });
        zones.collect()
    }
}

impl Table {
    fn of(zone: &Zone, from: i64, until: i64) -> Self {
        let first = zone.shifts_until(from);
        let shifts = zone.shifts().iter().skip(first).take_while(|shift| shift.at_s < until);
        Self {
            from,
            until,
            offset: zone.offset_after(first),
            shifts: shifts.map(|shift| (shift.at_s, shift.after_s)).collect(),
        }
    }

    /// The zone of the table; none when nobody can have written it so.
    fn zone(&self, name: &str) -> Option<Zone> {
        let mut before_s = self.offset;
        let mut last_s = self.from;
        let mut shifts = Vec::new();
        for (at_s, after_s) in self.shifts.iter().copied() {
            if at_s < last_s || at_s.checked_sub(self.from)? > AHEAD_S {
                return None;
            }
            shifts.push(Shift { at_s, before_s, after_s });
            (before_s, last_s) = (after_s, at_s);
        }
        Some(Zone::of_table(name, self.offset, shifts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_that_became_others_are_told_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones.json");
        assert_eq!(ZoneMemory::read(&path), None);
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let berlin = Zone::load("Europe/Berlin").unwrap();
        let shanghai = Zone::of_table("Asia/Shanghai", 32_400, Vec::new());
        let memory = ZoneMemory::of([&berlin, &shanghai].into_iter(), "2020a, bundled", now);
        memory.write(&path).unwrap();
        assert_eq!(ZoneMemory::read(&path), Some(memory.clone()));
        assert!(memory.has_all(["Europe/Berlin"].into_iter()));
        assert!(!memory.has_all(["Europe/Berlin", "UTC"].into_iter()));
        let changed = memory.changed();
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["Asia/Shanghai"]);
        assert_eq!(changed["Asia/Shanghai"].rfc3339(now), "2026-11-22T09:00:00+09:00");
    }

    #[test]
    fn files_that_nobody_wrote_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zones.json");
        for text in ["", "{}", "[1]", "\0"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(ZoneMemory::read(&path), None, "{text:?}");
        }
        let table = |shifts: &str| {
            format!(
                r#"{{"schema":"cronwright.zones/v1","release":"x","zones":{{"UTC":{{"from":0,"until":9,"offset":0,"shifts":[{shifts}]}}}}}}"#
            )
        };
        for shifts in ["[5,1],[4,2]", "[9223372036854775807,1]", "[-9223372036854775808,1]"] {
            std::fs::write(&path, table(shifts)).unwrap();
            assert_eq!(ZoneMemory::read(&path).unwrap().changed(), BTreeMap::new(), "{shifts}");
        }
    }
}
