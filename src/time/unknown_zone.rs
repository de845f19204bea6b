//! Names that are not zones, and what was probably meant.

use crate::time::{Zone, quoted};

/// A name that the zone database does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a time zone", quoted(name))]
pub struct UnknownZone {
    /// As written.
    pub name: String,
    /// The next act, with a name that was probably meant where there is one.
    pub help: String,
}

/// How many letters may differ between a name and the one that is suggested for it.
const SUGGESTION_EDITS_MAX: usize = 3;

/// No zone has a longer name, by far.
const NAME_BYTES_MAX: usize = 60;

impl UnknownZone {
    pub(super) fn new(name: &str) -> Self {
        let help = match closest_zone(name) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => "write an IANA name such as `Asia/Shanghai`, `Europe/Berlin` or `UTC`; \
                     offsets and abbreviations are not zones"
                .to_owned(),
        };
        Self { name: name.to_owned(), help }
    }
}

/// The name that was probably meant: same letters, same city, or a few edits away.
fn closest_zone(name: &str) -> Option<String> {
    let wanted = name.trim().replace(' ', "_").to_ascii_lowercase();
    if wanted.is_empty() || wanted.len() > NAME_BYTES_MAX {
        return None;
    }
    let distance = |candidate: &String| {
        let lower = candidate.to_ascii_lowercase();
        let city = lower.rsplit('/').next().unwrap_or(&lower);
        if lower == wanted || city == wanted { 0 } else { edit_distance(&lower, &wanted) }
    };
    let ranked = Zone::names().into_iter().map(|name| (distance(&name), name));
    // A short text is a few edits away from almost anything.
    let edits_max = SUGGESTION_EDITS_MAX.min(wanted.len() / 3);
    ranked.min().filter(|(edits, _)| *edits <= edits_max).map(|(_, name)| name)
}

/// Levenshtein's distance in bytes.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = replaced.min(previous + 1).min(diagonal + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
