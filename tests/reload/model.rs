//! The model: the rules of changes (D1 to D12) over what was meant, in the plainest form. It reads no
//! manifest, makes no plan, and asks no trigger of the product for a fire time.
//!
//! Intervals are arithmetic, dates are themselves; for expressions it asks the second evaluator
//! (`src/ledger`), which shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use cronwright::ledger::evaluator::Evaluator;
use cronwright::time::Timestamp;

use super::desk::{ANCHOR, Desk, Draft, Says, Trig, source_of};
use super::world::second;

/// How long an absence must last, in milliseconds.
const ABSENCE_MS: u64 = 1_000;
/// From how many removals on, and from which share of a source on, they are held (D11).
const GUARD_REMOVALS: usize = 5;
const GUARD_PERCENT: usize = 30;

/// A job through all its definitions, removals and returns.
#[derive(Debug)]
pub(super) struct Lineage {
    /// The first name and moment (A1).
    pub(super) uid: String,
    pub(super) terms: Vec<Term>,
}

/// How long a definition counted.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) draft: Draft,
    /// Since when; fire times up to here belong to the term before.
    pub(super) from: Timestamp,
    /// Until when, this moment included; none: it still does.
    pub(super) until: Option<Timestamp>,
    /// Where the intervals of the draft begin.
    pub(super) anchors: BTreeMap<Trig, Timestamp>,
}

/// What the model knows of a job that is applied.
#[derive(Debug, Clone)]
struct Applied {
    lineage: usize,
    draft: Draft,
    /// Where it stands, as far as this daemon has seen.
    place: String,
    /// Where the store says that it stands.
    stored_place: String,
}

/// What a look must lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) creates: BTreeSet<String>,
    pub(super) updates: BTreeSet<String>,
    pub(super) removes: BTreeSet<String>,
    /// By the new name, with the old one.
    pub(super) renames: BTreeMap<String, String>,
    pub(super) held: BTreeSet<String>,
    /// What each declared job is then, and where.
    desired: BTreeMap<String, (String, Draft)>,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    applied: BTreeMap<String, Applied>,
    /// Removed jobs, which come back under their identity (D4).
    gone: BTreeMap<String, usize>,
    pub(super) lineages: Vec<Lineage>,
    /// When a look first saw that a job is not there.
    absent_since: BTreeMap<String, u64>,
    pending: Option<Expected>,
}

impl Expected {
    pub(super) fn changes_nothing(&self) -> bool {
        self.creates.is_empty()
            && self.updates.is_empty()
            && self.removes.is_empty()
            && self.renames.is_empty()
    }
}

impl Model {
    /// What a look at `taken_ms` must lead to.
    pub(super) fn look(&mut self, taken_ms: u64, desk: &Desk) -> Expected {
        let seen = desk.seen();
        let (desired, twice) = declared(&seen);
        let mut expected = Expected::default();
        let unseen = |name: &str, applied: &Applied| {
            twice.contains(name) || !shows_absence(desk, &seen, name, &applied.place)
        };
        let mut goes_on = BTreeSet::new();
        for (name, (_, draft)) in &desired {
            let known = self.applied.get(name);
            let is_former = |it: &&String| !desired.contains_key(*it) && known.is_none();
            let former = draft.former.as_ref().filter(is_former);
            match (known, former.and_then(|former| self.applied.get_key_value(former))) {
                (Some(applied), _) if applied.draft != *draft => {
                    expected.updates.insert(name.clone());
                }
                (Some(_), _) => {}
                (None, Some((former, applied))) => {
                    goes_on.insert(former.clone());
                    if unseen(former, applied) {
                        expected.held.insert(former.clone());
                    } else {
                        expected.renames.insert(name.clone(), former.clone());
                    }
                }
                (None, None) => {
                    expected.creates.insert(name.clone());
                }
            }
        }
        let mut absent = BTreeMap::new();
        let mut confirmed: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for (name, applied) in &self.applied {
            if desired.contains_key(name) || goes_on.contains(name) {
                continue;
            }
            expected.held.insert(name.clone());
            if desired.is_empty() || unseen(name, applied) {
                continue;
            }
            let since = self.absent_since.get(name).copied().unwrap_or(taken_ms);
            absent.insert(name.clone(), since);
            if taken_ms - since >= ABSENCE_MS {
                confirmed.entry(source_of(&applied.place)).or_default().push(name);
            }
        }
        for (source, names) in confirmed {
            let all = self.applied.values().filter(|job| source_of(&job.place) == source).count();
            if names.len() < GUARD_REMOVALS || names.len() * 100 <= all * GUARD_PERCENT {
                expected.held.retain(|name| !names.contains(&name));
                expected.removes.extend(names.into_iter().cloned());
            }
        }
        self.absent_since = absent;
        Expected { desired, ..expected }
    }

    /// The scheduler has begun to apply what a look led to.
    pub(super) fn begin(&mut self, expected: Expected) {
        if expected.changes_nothing() {
            self.take_places(&expected);
        } else {
            self.pending = Some(expected);
        }
    }

    /// The store has it.
    pub(super) fn commit(&mut self, at: Timestamp) -> Result<(), String> {
        let Some(expected) = self.pending.take() else {
            return Err(format!("{at}: the store was given a plan that nothing asked for"));
        };
        for name in &expected.removes {
            if let Some(applied) = self.applied.remove(name) {
                self.end_term(applied.lineage, at);
                self.gone.insert(name.clone(), applied.lineage);
            }
        }
        for (name, former) in &expected.renames {
            if let Some(applied) = self.applied.remove(former) {
                self.applied.insert(name.clone(), applied);
            }
        }
        let changed =
            expected.creates.iter().chain(&expected.updates).chain(expected.renames.keys());
        for name in changed {
            let (place, draft) = &expected.desired[name];
            self.change(at, name, place, draft);
        }
        self.take_places(&expected);
        Ok(())
    }

    /// A daemon died: what it alone knew is gone.
    pub(super) fn forget(&mut self) {
        self.pending = None;
        self.absent_since.clear();
        for applied in self.applied.values_mut() {
            applied.place.clone_from(&applied.stored_place);
        }
    }

    /// The applied jobs: name, and the term that counts.
    pub(super) fn in_force(&self) -> impl Iterator<Item = (&str, &Lineage, &Term)> {
        self.applied.iter().filter_map(|(name, applied)| {
            let lineage = &self.lineages[applied.lineage];
            Some((name.as_str(), lineage, lineage.terms.last()?))
        })
    }

    fn take_places(&mut self, expected: &Expected) {
        for (name, (place, _)) in &expected.desired {
            if let Some(applied) = self.applied.get_mut(name) {
                applied.place.clone_from(place);
            }
        }
    }

    fn end_term(&mut self, lineage: usize, at: Timestamp) {
        if let Some(term) = self.lineages[lineage].terms.last_mut() {
            term.until.get_or_insert(at);
        }
    }

    fn change(&mut self, at: Timestamp, name: &str, place: &str, draft: &Draft) {
        let known = self.applied.get(name).map(|applied| applied.lineage);
        let lineage = known.or_else(|| self.gone.remove(name)).unwrap_or_else(|| {
            let uid = format!("{name}-{:x}", at.timestamp_millis());
            self.lineages.push(Lineage { uid, terms: Vec::new() });
            self.lineages.len() - 1
        });
        let before = self.lineages[lineage].terms.last().cloned();
        self.end_term(lineage, at);
        let anchors = anchors(at, before.as_ref(), draft);
        let term = Term { draft: draft.clone(), from: at, until: None, anchors };
        self.lineages[lineage].terms.push(term);
        let (draft, place) = (draft.clone(), place.to_owned());
        let stored_place = place.clone();
        self.applied.insert(name.to_owned(), Applied { lineage, draft, place, stored_place });
    }
}

/// What is declared once, with its file, and what is declared more than once (D8).
fn declared(
    seen: &BTreeMap<String, Says>,
) -> (BTreeMap<String, (String, Draft)>, BTreeSet<String>) {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut desired = BTreeMap::new();
    for (path, says) in seen {
        match says {
            Says::Jobs(jobs) => {
                for job in jobs {
                    *count.entry(&job.name).or_default() += 1;
                    desired.insert(job.name.clone(), (path.clone(), job.clone()));
                }
            }
            Says::Invalid { declares, .. } => {
                for name in declares {
                    *count.entry(name).or_default() += 1;
                }
            }
        }
    }
    let twice = count.into_iter().filter(|(_, count)| *count > 1);
    let twice: BTreeSet<String> = twice.map(|(name, _)| name.to_owned()).collect();
    desired.retain(|name, _| !twice.contains(name));
    (desired, twice)
}

/// Whether the sources show that a job is not there (D7): its source can be read and is not empty, the
/// file it stood in is valid or gone, and nothing that cannot be read could hold its name.
fn shows_absence(desk: &Desk, seen: &BTreeMap<String, Says>, name: &str, place: &str) -> bool {
    let source = source_of(place);
    let of_source = || seen.iter().filter(|(path, _)| source_of(path) == source);
    let may_hold = |(path, says): (&String, &Says)| match says {
        Says::Jobs(_) => false,
        Says::Invalid { declares, mentions, hides } => {
            let is_named = declares.contains(name) || mentions.contains(name);
            is_named || path == place || (*hides && source_of(path) == source)
        }
    };
    !desk.unreadable.contains(source) && of_source().next().is_some() && !seen.iter().any(may_hold)
}

/// Where the intervals of a definition begin (A5): one that was there before goes on; one whose period
/// was edited in place goes on from its last fire time; any other begins now.
fn anchors(at: Timestamp, before: Option<&Term>, draft: &Draft) -> BTreeMap<Trig, Timestamp> {
    let mut anchors = BTreeMap::new();
    for (index, trigger) in draft.triggers.iter().enumerate() {
        if !matches!(trigger, Trig::Every(_)) {
            continue;
        }
        let kept = before.and_then(|before| before.anchors.get(trigger).copied());
        let edited = || {
            let before = before.filter(|before| before.draft.enabled)?;
            let old = before.draft.triggers.get(index)?;
            let (Trig::Every(period), false) = (*old, draft.triggers.contains(old)) else {
                return None;
            };
            let anchor = before.anchors[old];
            let times = (at - anchor).num_milliseconds() / (i64::from(period) * 1_000);
            (times >= 1).then(|| anchor + TimeDelta::seconds(times * i64::from(period)))
        };
        anchors.insert(*trigger, kept.or_else(edited).unwrap_or(at));
    }
    anchors
}

impl Term {
    /// The fire times of the term up to `now`.
    pub(super) fn due(&self, now: Timestamp) -> BTreeSet<Timestamp> {
        let until = self.until.map_or(now, |until| until.min(now));
        if !self.draft.enabled || until <= self.from {
            return BTreeSet::new();
        }
        let of_one = |trigger: &Trig| self.due_of(*trigger, until);
        self.draft.triggers.iter().flat_map(of_one).collect()
    }

    /// Whether a trigger is due at this moment.
    pub(super) fn is_due(&self, trigger: Trig, at: Timestamp) -> bool {
        let just_before = at - TimeDelta::milliseconds(1);
        let term = Self { from: just_before, ..self.clone() };
        term.due_of(trigger, at).contains(&at)
    }

    fn due_of(&self, trigger: Trig, until: Timestamp) -> Vec<Timestamp> {
        let after = self.from + TimeDelta::milliseconds(1);
        match trigger {
            Trig::Cron(expression, zone) => {
                let normal = format!("cron {expression} {zone} day_match=any");
                Evaluator::read(&normal).unwrap().due_times(after..=until, None)
            }
            Trig::Every(period) => {
                let anchor = self.anchors[&trigger];
                grid(anchor, period, after.max(anchor + TimeDelta::milliseconds(1)), until)
            }
            Trig::Anchored(period) => grid(second(ANCHOR.1), period, after, until),
            Trig::Once(at) => {
                Some(second(at)).filter(|at| after <= *at && *at <= until).into_iter().collect()
            }
        }
    }
}

/// The points of a grid from `first` to `last`.
fn grid(anchor: Timestamp, period: u32, first: Timestamp, last: Timestamp) -> Vec<Timestamp> {
    let period = i64::from(period) * 1_000;
    let from = (first - anchor).num_milliseconds();
    let mut k = from.div_euclid(period) + i64::from(from.rem_euclid(period) != 0);
    let mut points = Vec::new();
    loop {
        let at = anchor + TimeDelta::milliseconds(k * period);
        if at > last {
            return points;
        }
        points.push(at);
        k += 1;
    }
}
