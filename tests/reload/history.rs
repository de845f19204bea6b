//! Histories: random edits, looks at random moments, restarts, tasks that run meanwhile; each plan is held
//! against the model when it is made, and the ledger against the model when all has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use cronwright::engine::execution::{Missed, Outcome, Row, Skipped};
use cronwright::engine::plan::Plan;
use cronwright::spec::task::Task;
use cronwright::time::Timestamp;

use super::bugs::Bug;
use super::desk::Desk;
use super::edits::Editor;
use super::model::{Lineage, Model, Term};
use super::world::{Record, World, time_of};
use crate::simulation::random::Random;

/// How long the test looks for differences; `CRONWRIGHT_TEST_SCALE` multiplies it.
const SLICE: Duration = Duration::from_mins(1);
/// A planted bug must be found within so many histories.
const HISTORIES_PER_BUG: u64 = 60;
/// How long everything is left alone at the end, in milliseconds.
const QUIET_MS: u64 = 600_000;
/// Within this after its fire time an execution starts, when the daemon was up.
const PUNCTUAL: TimeDelta = TimeDelta::seconds(3);
/// For so long after a daemon began, occurrences may be late.
const RECOVERED_WITHIN: TimeDelta = TimeDelta::seconds(30);
/// Beginnings of histories: an ordinary day, and the nights in which Berlin's clocks change.
const ORIGINS: [i64; 3] = [1_795_413_007, 1_774_738_000, 1_792_882_800];

/// How much a history held.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    edits: u64,
    plans: u64,
    restarts: u64,
    due: u64,
    executions: u64,
}

/// One history under way.
struct History {
    world: World,
    desk: Desk,
    /// The desk at the moment of the last snapshot.
    snapshot: (u64, Desk),
    model: Model,
    /// How many records were looked at.
    read: usize,
    findings: Vec<String>,
    counts: Counts,
}

/// Lives one history; what is wrong, and how much it held.
fn history(seed: u64, bug: Option<Bug>, trace: bool) -> (Vec<String>, Counts) {
    let mut random = Random::new(seed);
    let origin = super::world::second(*random.pick(&ORIGINS));
    let mut editor = Editor::new(origin.timestamp());
    let mut world = World::new(origin, seed);
    (world.bug, world.trace) = (bug, trace);
    world.travel_ms = (1, random.between(1, 80));
    world.task_ms = (10, *random.pick(&[50, 20_000, 900_000]));
    let desk = editor.first_desk(&mut random);
    desk.publish(&mut world);
    let mut history = History {
        snapshot: (0, desk.clone()),
        world,
        desk,
        model: Model::default(),
        read: 0,
        findings: Vec::new(),
        counts: Counts::default(),
    };
    history.world.start_daemon();
    history.live(&mut random, &mut editor);
    history.counts.edits = editor.edits;
    history.findings.truncate(12);
    (history.findings, history.counts)
}

impl History {
    fn live(&mut self, random: &mut Random, editor: &mut Editor) {
        let pace_ms = *random.pick(&[500, 20_000, 400_000]);
        for _ in 0..random.between(8, 25) {
            self.pass(random.between(0, pace_ms));
            if random.chance(8) && self.world.is_up() {
                self.world.kill();
                self.counts.restarts += 1;
            } else if !self.world.is_up() {
                self.world.start_daemon();
            }
            editor.now = self.world.clock().wall.timestamp();
            for _ in 0..random.between(1, 4) {
                let kind = editor.edit(random, &mut self.desk);
                if self.world.trace {
                    println!("{} edit: {kind}", time_of(self.world.clock().wall));
                }
            }
            self.desk.publish(&mut self.world);
            if random.chance(80) {
                self.world.hint(random.between(0, 2_000));
            }
            if !self.findings.is_empty() {
                return;
            }
        }
        if !self.world.is_up() {
            self.world.start_daemon();
        }
        self.pass(QUIET_MS);
        self.settle();
    }

    /// Lets time pass, and looks at everything that happens as it happens.
    fn pass(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        loop {
            let goes_on = self.world.step(until);
            while let Some(record) = self.world.records.get(self.read).cloned() {
                self.read += 1;
                self.notice(record);
            }
            if !goes_on || !self.findings.is_empty() {
                return;
            }
        }
    }

    fn notice(&mut self, record: Record) {
        match record {
            Record::Planned { snapshot, at, plan, taken } => {
                if snapshot != self.snapshot.0 {
                    self.snapshot = (snapshot, self.desk.clone());
                }
                self.counts.plans += 1;
                let taken_ms = self.world.now_ms();
                let expected = self.model.look(taken_ms, &self.snapshot.1);
                self.compare(at, &plan, &expected);
                if taken {
                    self.model.begin(expected);
                }
            }
            Record::Saved { effective_at } => {
                if let Err(finding) = self.model.commit(effective_at) {
                    self.findings.push(finding);
                }
            }
            Record::Stopped { id } => self.findings.push(format!("{id} was stopped")),
            Record::Died { .. } => self.model.forget(),
            Record::Started { row, at, .. } => {
                self.counts.executions += 1;
                if at < row.fire_time {
                    self.findings.push(format!("{} was started at {at}: early", row.id));
                }
            }
            Record::Completed { .. } | Record::Began { .. } => {}
        }
    }

    /// A plan against what the rules say.
    fn compare(&mut self, at: Timestamp, plan: &Plan, expected: &super::model::Expected) {
        let of = |action: &str| -> BTreeSet<String> {
            let changes = plan.changes.iter().filter(|change| change.action() == action);
            changes.map(|change| change.job().to_string()).collect()
        };
        let held: BTreeSet<String> = plan.held.iter().map(|held| held.job.to_string()).collect();
        for (what, found, expected) in [
            ("create", of("create"), &expected.creates),
            ("update", of("update"), &expected.updates),
            ("remove", of("remove"), &expected.removes),
            ("rename", of("rename"), &expected.renames.keys().cloned().collect()),
            ("held", held, &expected.held),
        ] {
            if found != *expected {
                let at = time_of(at);
                self.findings.push(format!("{at} {what}: {found:?}, expected {expected:?}"));
            }
        }
    }

    /// Everything has come to rest.
    fn settle(&mut self) {
        if !self.findings.is_empty() {
            return;
        }
        self.definitions();
        let mut of_uid: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.world.ledger.all_rows().values() {
            of_uid.entry(&row.uid.0).or_default().push(row);
        }
        let evidence = Evidence::of(&self.world);
        let now = self.world.clock().wall;
        let mut findings = Vec::new();
        for lineage in &self.model.lineages {
            let rows = of_uid.remove(lineage.uid.as_str()).unwrap_or_default();
            self.counts.due += coverage(lineage, &rows, now, &mut findings);
            // What was claimed at the very end is still being started.
            for row in rows.into_iter().filter(|row| now - row.claimed_at > PUNCTUAL) {
                evidence.check(&self.world, lineage, row, &mut findings);
            }
        }
        for (uid, rows) in of_uid {
            findings.push(format!("{uid}: {} rows of a job that never was", rows.len()));
        }
        self.findings.append(&mut findings);
    }

    /// The applied jobs, in the scheduler and in the store, are those of the model: identity, moment of
    /// effect, and where intervals begin.
    fn definitions(&mut self) {
        let in_memory: BTreeMap<String, (String, Timestamp, Vec<Timestamp>)> = self
            .world
            .applied()
            .into_values()
            .map(|job| {
                let anchors = sorted(job.anchors.values().copied());
                (job.spec.name.to_string(), (job.uid.to_string(), job.effective_at, anchors))
            })
            .collect();
        let contents = self.world.ledger.load();
        let stored = contents.jobs.into_iter().filter(|job| job.removed_at.is_none());
        let stored: BTreeMap<String, (String, Timestamp, Vec<Timestamp>)> = stored
            .map(|job| (job.name, (job.uid, job.effective_at, sorted(job.anchors.into_values()))))
            .collect();
        let expected = self.model.in_force().map(|(name, lineage, term)| {
            let anchors = sorted(term.anchors.values().copied());
            (name.to_owned(), (lineage.uid.clone(), term.from, anchors))
        });
        let expected: BTreeMap<_, _> = expected.collect();
        for (whose, found) in [("the scheduler", in_memory), ("the store", stored)] {
            if found != expected {
                self.findings.push(format!("{whose} has\n{found:?}, expected\n{expected:?}"));
            }
        }
    }
}

fn sorted(times: impl Iterator<Item = Timestamp>) -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = times.collect();
    times.sort_unstable();
    times
}

/// Each due time of a job is covered by exactly one row, and nothing else is. Answers how many there are.
fn coverage(lineage: &Lineage, rows: &[&Row], now: Timestamp, findings: &mut Vec<String>) -> u64 {
    let due: BTreeSet<Timestamp> = lineage.terms.iter().flat_map(|term| term.due(now)).collect();
    let count = due.len() as u64;
    let mut covered: BTreeMap<Timestamp, u64> = due.into_iter().map(|at| (at, 0)).collect();
    for row in rows {
        let (first, last, count) =
            row.range.map_or((row.fire_time, row.fire_time, 1), |r| (r.first, r.last, r.count));
        let mut inside = 0;
        for (_, times) in covered.range_mut(first..=last) {
            *times += 1;
            inside += 1;
        }
        if inside != count {
            let outcome = row.outcome();
            findings.push(format!("{} ({outcome:?}) covers {inside} of its {count}", row.id));
        }
    }
    for (at, times) in covered {
        // What is due at the very end is still being claimed.
        if times > 1 || times == 0 && now - at > PUNCTUAL {
            findings.push(format!("{}: {at} has {times} rows", lineage.uid));
        }
    }
    count
}

/// What the world itself saw.
struct Evidence {
    /// When an execution was started, each time.
    starts: BTreeMap<String, Vec<Timestamp>>,
    /// When its task was over.
    ends: BTreeMap<String, Timestamp>,
    /// From when to when no daemon ran, with the time it takes to recover.
    gaps: Vec<(Timestamp, Timestamp)>,
    /// By job uid, its executions from start to end.
    running: BTreeMap<String, Vec<(Timestamp, Option<Timestamp>)>>,
}

impl Evidence {
    fn of(world: &World) -> Self {
        let mut it = Self {
            starts: BTreeMap::new(),
            ends: BTreeMap::new(),
            gaps: Vec::new(),
            running: BTreeMap::new(),
        };
        let mut down_since = world.records.first().map(|_| Timestamp::UNIX_EPOCH);
        for record in &world.records {
            match record {
                Record::Started { row, at, .. } => {
                    it.starts.entry(row.id.to_string()).or_default().push(*at);
                }
                Record::Completed { id, at } => drop(it.ends.insert(id.to_string(), *at)),
                Record::Died { at } => down_since = Some(*at),
                Record::Began { at } => {
                    let since = down_since.take().unwrap_or(*at);
                    it.gaps.push((since - RECOVERED_WITHIN, *at + RECOVERED_WITHIN));
                }
                Record::Planned { .. } | Record::Saved { .. } | Record::Stopped { .. } => {}
            }
        }
        for row in world.ledger.all_rows().values() {
            let id = row.id.as_str();
            for start in it.starts.get(id).into_iter().flatten() {
                let of_job = it.running.entry(row.uid.to_string()).or_default();
                of_job.push((*start, it.ends.get(id).copied()));
            }
        }
        it
    }

    fn in_gap(&self, at: Timestamp) -> bool {
        self.gaps.iter().any(|(from, to)| *from <= at && at <= *to)
    }

    /// One row against what happened, and against the definition that was in force.
    fn check(&self, world: &World, lineage: &Lineage, row: &Row, findings: &mut Vec<String>) {
        let id = &row.id;
        let starts = self.starts.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let outcome = row.outcome();
        let mut find = |text: String| findings.push(format!("{id} ({outcome:?}): {text}"));
        let ran = outcome.is_none_or(Outcome::ran);
        match (ran, starts) {
            (true, [start]) => {
                if *start - row.fire_time > PUNCTUAL && !self.in_gap(row.fire_time) {
                    find(format!("started at {start}"));
                }
                let over = self.ends.get(id.as_str());
                // What ended at the very end is still being recorded.
                let told = over.is_some_and(|over| world.clock().wall - *over > PUNCTUAL);
                let succeeded = outcome == Some(Outcome::Succeeded);
                if succeeded && over.is_none() || told && !succeeded {
                    find(format!("its task was over: {over:?}"));
                }
            }
            (false, []) => {}
            // Claimed, and the daemon died before it heard so: nobody knows, and it is not run again (C4).
            (true, []) if outcome == Some(Outcome::Lost) && self.in_gap(row.claimed_at) => {}
            (_, starts) => find(format!("was started {} times", starts.len())),
        }
        let term = |at: Timestamp| {
            let inside =
                |term: &&Term| term.from < at && term.until.is_none_or(|until| at <= until);
            lineage.terms.iter().find(inside)
        };
        let Some(due) = term(row.fire_time) else { return };
        if ran {
            // At the moment of the edit itself either definition may have decided.
            let decided = lineage.terms.iter().filter(|term| {
                let counted = |until| row.claimed_at <= until;
                term.from <= row.claimed_at && term.until.is_none_or(counted)
            });
            let decided: Vec<&Term> = decided.collect();
            if !decided.iter().any(|decided| goes_on(lineage, due, decided, row.fire_time)) {
                find(format!("was started at {} under another trigger", row.claimed_at));
            }
            let drafts = decided.iter().copied().chain([due]);
            if !drafts.into_iter().any(|term| is_of(world, row, &term.draft)) {
                let (at, spec) = (row.claimed_at, world.spec_of(row).canonical());
                find(format!("claimed at {at}, it carries {spec} of {:?}", lineage.terms));
            }
        }
        let reason = self.reason(row, outcome, due);
        if let Err(text) = reason {
            find(text);
        }
    }

    /// Whether the reason of a row that did not run is true.
    fn reason(&self, row: &Row, outcome: Option<Outcome>, due: &Term) -> Result<(), String> {
        let last = row.range.map_or(row.fire_time, |range| range.last);
        match outcome {
            Some(Outcome::Skipped(Skipped::Overlap)) => {
                let slack = TimeDelta::seconds(1);
                let busy = |(from, to): &(Timestamp, Option<Timestamp>)| {
                    *from - slack <= row.claimed_at
                        && to.is_none_or(|to| row.fire_time <= to + slack)
                };
                let running = self.running.get(row.uid.0.as_ref());
                if due.draft.allow || !running.is_some_and(|all| all.iter().any(busy)) {
                    return Err("nothing of it ran".to_owned());
                }
            }
            Some(Outcome::Skipped(Skipped::Removed)) => {
                if due.until.is_none_or(|until| until - last > PUNCTUAL && !self.in_gap(last)) {
                    return Err(format!("it was edited at {:?}", due.until));
                }
            }
            Some(Outcome::Skipped(Skipped::Coalesced) | Outcome::Missed(Missed::Downtime)) => {
                if !self.in_gap(last) {
                    return Err("the daemon was up".to_owned());
                }
            }
            Some(Outcome::Lost) if self.in_gap(row.claimed_at) => {}
            Some(Outcome::Succeeded) | None => {}
            Some(other) => return Err(format!("{other:?} was not to be expected")),
        }
        Ok(())
    }
}

/// Whether a trigger that makes the job due at `at` is in every definition from `due` to `decided`.
fn goes_on(lineage: &Lineage, due: &Term, decided: &Term, at: Timestamp) -> bool {
    let between = |term: &&Term| due.from <= term.from && term.from <= decided.from;
    due.draft.triggers.iter().any(|trigger| {
        let mut terms = lineage.terms.iter().filter(between);
        terms.all(|term| {
            let has = term.draft.enabled && term.draft.triggers.contains(trigger);
            has && term.is_due(*trigger, at)
        })
    })
}

/// Whether a row carries this definition.
fn is_of(world: &World, row: &Row, draft: &super::desk::Draft) -> bool {
    let spec = world.spec_of(row);
    let Task::Command(argv) = &spec.task else { return false };
    let text = |number: u64| (number > 0).then(|| number.to_string());
    argv[1] == draft.command.to_string()
        && spec.env.get("LEVEL").cloned() == text(draft.env)
        && spec.description == text(draft.description).map(|number| format!("text {number}"))
        && spec.triggers.len() == draft.triggers.len()
}

fn variable(name: &str) -> Option<f64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A test over 1 s: its worth grows with its time. What it held goes to standard error.
#[test]
fn random_edits_lose_nothing_double_nothing_and_fire_nothing_early() {
    if let Ok(seed) = std::env::var("CRONWRIGHT_SIM_SEED") {
        let (findings, _) = history(seed.parse().unwrap(), None, true);
        assert!(findings.is_empty(), "seed {seed}:\n{}", findings.join("\n"));
        return;
    }
    let slice = SLICE.mul_f64(variable("CRONWRIGHT_TEST_SCALE").unwrap_or(1.0));
    let started = Instant::now();
    let (mut seed, mut all) = (0, Counts::default());
    while started.elapsed() < slice {
        let (findings, counts) = history(seed, None, false);
        assert!(
            findings.is_empty(),
            "seed {seed} (replay: CRONWRIGHT_SIM_SEED={seed}):\n{}",
            findings.join("\n")
        );
        seed += 1;
        all.edits += counts.edits;
        all.plans += counts.plans;
        all.restarts += counts.restarts;
        all.due += counts.due;
        all.executions += counts.executions;
    }
    let Counts { edits, plans, restarts, due, executions } = all;
    writeln!(
        std::io::stderr(),
        "reload: {seed} histories, {edits} edits, {plans} looks, {restarts} restarts, {due} fire \
         times, {executions} executions: none lost, none doubled, none early"
    )
    .unwrap();
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = (0..HISTORIES_PER_BUG).find_map(|seed| {
            let (findings, counts) = history(seed, Some(bug), false);
            findings.into_iter().next().map(|finding| (seed, counts, finding))
        });
        let Some((seed, _, finding)) = found else {
            panic!("{bug:?} was not found in {HISTORIES_PER_BUG} histories");
        };
        println!("{bug:?}: found at seed {seed}: {finding}");
    }
}
