//! The world: manifests as texts, virtual time, one daemon that may die, one store that takes its time.
//!
//! Everything between the texts and the rows is the product's: the loader, `diff`, the scheduler and the
//! ledger. The way from a look to a plan is that of `daemon/reconciler.rs`, without tasks and channels.
//! Answers are never lost and no second node exists: that is the simulator's part.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use cronwright::diagnostic::{Diagnostic, codes};
use cronwright::engine::absence::{Absences, SECOND_LOOK};
use cronwright::engine::event::{Effect, Event, PlanDone, Recovery, Resume, Start};
use cronwright::engine::execution::{AttemptId, Ending, ExecutionId, Exit, Outcome, Output, Row};
use cronwright::engine::overrides::Overrides;
use cronwright::engine::plan::{AppliedSet, Hold, Plan, PruneGuard, Sources, diff};
use cronwright::engine::removed::Removed;
use cronwright::engine::request::{Act, Order, RequestId};
use cronwright::engine::scheduler::{Phase, Scheduler};
use cronwright::io::store::memory::Ledger;
use cronwright::io::store::{Bid, Guard, Holder, LeaseAnswer, PlanAnswer, RowChange};
use cronwright::spec::job::{Digest, JobSpec};
use cronwright::spec::manifest::{Content, Known, Loaded, Loader, ManifestFile, load};
use cronwright::time::{BootTime, Now, Timestamp};

use super::bugs::Bug;
use crate::simulation::random::Random;

/// The folders that the settings name.
pub(super) const SOURCES: [&str; 2] = ["jobs.d", "team.d"];
/// How often the daemon turns its loop at least.
const TURN_MS: u64 = 5_000;
/// How often it looks when nothing gives it a hint.
const RESCAN_MS: u64 = 30_000;
/// How long it waits before it makes a plan again.
const AGAIN_MS: u64 = 200;
/// The store's clock knows no end of this lease.
const LEASE: Duration = Duration::from_hours(1_000_000);

/// What can happen, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Wake,
    /// The store takes in an operation, by its number.
    Arrive(u64),
    /// The daemon hears of it.
    Answer(u64),
    TaskEnds(AttemptId),
    Look(u64),
    PlanAgain(u64),
}

/// What a test may want to know afterwards, in the order in which it happened.
#[derive(Debug, Clone)]
pub(super) enum Record {
    /// A plan was made of a snapshot; `taken`: the scheduler began to apply it.
    Planned { snapshot: u64, at: Timestamp, plan: Plan, taken: bool },
    /// The store has a plan.
    Saved { effective_at: Timestamp },
    /// A task was started.
    Started { row: Row, at: Timestamp },
    /// A task came to its end by itself.
    Completed { id: ExecutionId, at: Timestamp },
    /// The daemon wanted a task ended.
    Stopped { id: ExecutionId },
    /// The daemon died.
    Died { at: Timestamp },
    /// A daemon was started.
    Began { at: Timestamp },
}

/// A daemon's life: memory that a crash takes.
struct Daemon {
    scheduler: Scheduler,
    operations: VecDeque<Effect>,
    under_way: Option<u64>,
    answer: Vec<Event>,
    loader: Loader,
    absences: Absences,
    loaded: Loaded,
    incomplete: BTreeMap<String, Hold>,
    taken_at: BootTime,
    next_look: Option<(u64, u64)>,
    /// A plan was handed over, and nobody knows yet what became of it.
    awaits_plan: bool,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) bug: Option<Bug>,
    pub(super) trace: bool,
    origin: Timestamp,
    now_ms: u64,
    sequence: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    /// The manifests by path; none: there, and not to be read.
    pub(super) files: BTreeMap<String, Option<Vec<u8>>>,
    /// Sources that cannot be read at all.
    pub(super) unreadable: BTreeSet<&'static str>,
    daemon: Option<Daemon>,
    lives: u64,
    snapshots: u64,
    wakes_at_ms: Option<u64>,
    pub(super) ledger: Ledger,
    /// Every definition that was read; a digest does not tell the name.
    specs: BTreeMap<(String, Digest), Arc<JobSpec>>,
    running: BTreeSet<AttemptId>,
    spool: BTreeMap<AttemptId, Box<Ending>>,
    pub(super) records: Vec<Record>,
    /// From when on tasks take how long, in milliseconds.
    pub(super) task_ms: (u64, u64),
    /// How long the way to the store takes, and the way back.
    pub(super) travel_ms: (u64, u64),
}

impl World {
    /// A world without daemon, at a moment of the wall clock.
    pub(super) fn at(origin: &str) -> Self {
        Self::new(origin.parse().unwrap(), 0)
    }

    pub(super) fn new(origin: Timestamp, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            bug: None,
            trace: false,
            origin,
            now_ms: 0,
            sequence: 0,
            heap: BinaryHeap::new(),
            files: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            daemon: None,
            lives: 0,
            snapshots: 0,
            wakes_at_ms: None,
            ledger: Ledger::default(),
            specs: BTreeMap::new(),
            running: BTreeSet::new(),
            spool: BTreeMap::new(),
            records: Vec::new(),
            task_ms: (10, 10),
            travel_ms: (5, 5),
        }
    }

    // --- what a test does ------------------------------------------------------------------------

    /// Writes a manifest of `jobs.d`; nobody looks yet.
    pub(super) fn write(&mut self, file: &str, text: &str) {
        self.files.insert(format!("jobs.d/{file}"), Some(text.as_bytes().to_vec()));
    }

    /// Writes a manifest, and has the daemon look at once, and a second later.
    pub(super) fn save(&mut self, file: &str, text: &str) {
        self.write(file, text);
        self.look_twice();
    }

    /// Removes a manifest, and has the daemon look at once, and a second later.
    pub(super) fn delete(&mut self, file: &str) {
        self.files.remove(&format!("jobs.d/{file}")).unwrap();
        self.look_twice();
    }

    /// Has the daemon look.
    pub(super) fn look(&mut self) {
        self.hint(0);
        self.run_for(300);
    }

    fn look_twice(&mut self) {
        self.look();
        self.run_for(1_200);
    }

    /// Gives the daemon a reason to look within so many milliseconds.
    pub(super) fn hint(&mut self, in_ms: u64) {
        let at = self.now_ms + in_ms;
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.next_look.is_none_or(|(planned, _)| at < planned) {
            self.sequence += 1;
            daemon.next_look = Some((at, self.sequence));
            let number = self.sequence;
            self.push(at, Happening::Look(number));
        }
    }

    /// Asks the scheduler for something, and lets it settle.
    pub(super) fn ask(&mut self, act: Act) {
        self.sequence += 1;
        let id = RequestId::parse(&format!("request-{}", self.sequence)).unwrap();
        self.turn(Event::Order(Order { id, act, actor: Some("li.wei".to_owned()) }));
        self.run_for(300);
    }

    /// Starts the daemon and lets it settle.
    pub(super) fn start(&mut self) {
        self.start_daemon();
        self.run_for(500);
    }

    pub(super) fn start_daemon(&mut self) {
        assert!(self.daemon.is_none(), "it runs");
        self.lives += 1;
        let identity: Arc<str> = format!("p{}", self.lives).into();
        let at = self.clock();
        self.records.push(Record::Began { at: at.wall });
        self.daemon = Some(Daemon {
            scheduler: Scheduler::new("n", &identity),
            operations: VecDeque::new(),
            under_way: None,
            answer: Vec::new(),
            loader: Loader::default(),
            absences: Absences::default(),
            loaded: Loaded::default(),
            incomplete: BTreeMap::new(),
            taken_at: BootTime::default(),
            next_look: None,
            awaits_plan: false,
        });
        let holder = Holder { node: "n".into(), identity };
        let LeaseAnswer::Held { epoch } =
            self.ledger.take_lease(at.boot, &holder, Bid::First, LEASE)
        else {
            panic!("there is one node");
        };
        for (id, ending) in self.spool.clone() {
            self.turn(Event::Ended { id, ending });
        }
        self.turn(Event::LeaseHeld { epoch, until: BootTime::NEVER });
        self.hint(0);
    }

    /// Kills the daemon on the spot; its tasks go on.
    pub(super) fn kill(&mut self) {
        self.daemon = None;
        self.wakes_at_ms = None;
        let at = self.clock().wall;
        self.records.push(Record::Died { at });
    }

    pub(super) fn is_up(&self) -> bool {
        self.daemon.is_some()
    }

    /// Lets time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.step(until) {}
    }

    pub(super) fn run_minutes(&mut self, minutes: u64) {
        self.run_for(minutes * 60_000);
    }

    /// Lets time pass until the clock shows this time of the day.
    pub(super) fn run_until(&mut self, time: &str) {
        let time = time.parse().unwrap();
        let now = self.clock().wall;
        let mut at = now.date_naive().and_time(time).and_utc();
        if at <= now {
            at += TimeDelta::days(1);
        }
        self.run_for(u64::try_from((at - now).num_milliseconds()).unwrap());
    }

    /// Lets the next thing happen; `false`: nothing more does until then.
    pub(super) fn step(&mut self, until_ms: u64) -> bool {
        match self.heap.peek() {
            Some(Reverse((ms, _, _))) if *ms <= until_ms => {}
            _ => {
                self.now_ms = until_ms;
                return false;
            }
        }
        if let Some(Reverse((ms, _, happening))) = self.heap.pop() {
            self.now_ms = ms;
            self.happen(happening);
        }
        true
    }

    // --- what a test sees ------------------------------------------------------------------------

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn clock(&self) -> Now {
        let wall = self.origin + TimeDelta::milliseconds(i64::try_from(self.now_ms).unwrap());
        Now { wall, boot: BootTime(Duration::from_millis(self.now_ms + 1_000_000)) }
    }

    /// The jobs as the scheduler has them.
    pub(super) fn applied(&self) -> AppliedSet {
        self.daemon.as_ref().map(|daemon| daemon.scheduler.applied()).unwrap_or_default()
    }

    /// How many plans the store has taken.
    pub(super) fn plans_saved(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, Record::Saved { .. })).count()
    }

    /// The newest plan that was made, taken or not.
    pub(super) fn newest_plan(&self) -> &Plan {
        let mut plans = self.records.iter().rev();
        plans
            .find_map(
                |record| if let Record::Planned { plan, .. } = record { Some(plan) } else { None },
            )
            .unwrap()
    }

    /// The errors in the manifests, by code and file.
    pub(super) fn complaints(&self) -> Vec<String> {
        let daemon = self.daemon.as_ref().unwrap();
        let errors = daemon.loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        errors.map(|diagnostic| format!("{} {}", diagnostic.code, diagnostic.path())).collect()
    }

    /// The jobs that stay although nothing declares them, and why.
    pub(super) fn held(&self) -> Vec<String> {
        let held = self.newest_plan().held.iter();
        held.map(|held| format!("{} {}", held.job, held.hold.as_str())).collect()
    }

    /// The definition that a row carries.
    pub(super) fn spec_of(&self, row: &Row) -> &JobSpec {
        &self.specs[&(row.job.to_string(), row.provenance.digest.clone())]
    }

    /// The names of the applied jobs.
    pub(super) fn names(&self) -> Vec<String> {
        self.applied().keys().map(ToString::to_string).collect()
    }

    /// The fire times for which a job was started, as times of the day, in the order of the starts.
    pub(super) fn fired(&self, job: &str) -> Vec<String> {
        let started = |record: &Record| match record {
            Record::Started { row, .. } if row.job.as_str() == job => Some(time_of(row.fire_time)),
            _ => None,
        };
        self.records.iter().filter_map(started).collect()
    }

    /// The rows of a job in the order of their fire times: when, and what became of it.
    pub(super) fn rows(&self, job: &str) -> Vec<String> {
        let mut rows: Vec<&Row> = self.ledger.all_rows().values().collect();
        rows.retain(|row| row.job.as_str() == job);
        rows.sort_by_key(|row| row.fire_time);
        let told = |row: &Row| {
            let when = row.range.map_or(time_of(row.fire_time), |range| {
                format!("{}..{}", time_of(range.first), time_of(range.last))
            });
            let what = row.outcome().map_or(row.state.as_str().to_owned(), |outcome| {
                let reason = outcome.reason().map(|reason| format!("({reason})"));
                format!("{}{}", outcome.as_str(), reason.unwrap_or_default())
            });
            format!("{when} {what}")
        };
        rows.into_iter().map(told).collect()
    }

    // --- time ------------------------------------------------------------------------------------

    fn push(&mut self, ms: u64, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((ms.max(self.now_ms), self.sequence, happening)));
    }

    fn happen(&mut self, happening: Happening) {
        if self.trace && happening != Happening::Wake {
            println!("{} {happening:?}", time_of(self.clock().wall));
        }
        match happening {
            Happening::Wake => {
                if self.wakes_at_ms == Some(self.now_ms) {
                    self.wakes_at_ms = None;
                    self.turn(Event::Tick);
                }
            }
            Happening::Arrive(number) => self.arrive(number),
            Happening::Answer(number) => self.answer(number),
            Happening::TaskEnds(id) => self.task_ends(id),
            Happening::Look(number) => self.look_if_planned(number),
            Happening::PlanAgain(life) => {
                if self.lives == life && self.daemon.is_some() {
                    self.plan();
                }
            }
        }
    }

    fn turn(&mut self, event: Event) {
        let now = self.clock();
        let Some(daemon) = &mut self.daemon else { return };
        let effects = daemon.scheduler.handle(now, event);
        for effect in effects {
            self.carry_out(effect);
        }
        self.wake_in_time();
    }

    fn wake_in_time(&mut self) {
        let now = self.clock().wall;
        let Some(daemon) = &self.daemon else { return };
        let wakeup = daemon.scheduler.next_wakeup();
        let in_ms = wakeup.map(|at| u64::try_from((at - now).num_milliseconds()).unwrap_or(0));
        let in_ms = in_ms.filter(|ms| *ms > 0).unwrap_or(TURN_MS).min(TURN_MS);
        let at = self.now_ms + in_ms;
        if self.wakes_at_ms.is_none_or(|planned| at < planned) {
            self.wakes_at_ms = Some(at);
            self.push(at, Happening::Wake);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Claim(_)
            | Effect::SavePlan(_)
            | Effect::Recover { .. }
            | Effect::RecordStarted { .. }
            | Effect::RecordEnded { .. } => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.operations.push_back(effect);
                }
                self.send_next();
            }
            Effect::Start(start) => self.begin_task(*start),
            Effect::Stop { id, .. } => {
                self.records.push(Record::Stopped { id: id.execution.clone() });
                self.task_ends(id);
            }
            Effect::Forget { id } => drop(self.spool.remove(&id)),
            Effect::PlanDone(done) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.awaits_plan = false;
                }
                if done == PlanDone::Again {
                    self.push(self.now_ms + AGAIN_MS, Happening::PlanAgain(self.lives));
                }
            }
            Effect::RecordWait(_) | Effect::ReadFlights => panic!("no job asks for retries"),
            Effect::Reply { .. } | Effect::Note(_) => {}
        }
    }

    // --- tasks -----------------------------------------------------------------------------------

    fn begin_task(&mut self, start: Start) {
        let at = self.clock().wall;
        let id = AttemptId::first(start.row.id.clone());
        self.running.insert(id.clone());
        let ms = self.random.between(self.task_ms.0, self.task_ms.1);
        self.push(self.now_ms + ms, Happening::TaskEnds(id.clone()));
        self.records.push(Record::Started { row: start.row, at });
        self.turn(Event::Started { id, at });
    }

    fn task_ends(&mut self, id: AttemptId) {
        if !self.running.remove(&id) {
            return;
        }
        let at = self.clock().wall;
        self.records.push(Record::Completed { id: id.execution.clone(), at });
        let ending = Box::new(Ending {
            outcome: Outcome::Succeeded,
            started_at: Some(at),
            finished_at: at,
            duration: None,
            exit: Some(Exit::Code(0)),
            result: None,
            exception: None,
            output: Output::default(),
            protection: None,
        });
        self.spool.insert(id.clone(), ending.clone());
        self.turn(Event::Ended { id, ending });
    }

    // --- the store -------------------------------------------------------------------------------

    fn send_next(&mut self) {
        let travel = self.random.between(self.travel_ms.0, self.travel_ms.1);
        self.sequence += 1;
        let number = self.sequence;
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.under_way.is_none() && !daemon.operations.is_empty() {
            daemon.under_way = Some(number);
            self.push(self.now_ms + travel, Happening::Arrive(number));
        }
    }

    fn arrive(&mut self, number: u64) {
        let Some(daemon) = &self.daemon else { return };
        if daemon.under_way != Some(number) {
            return;
        }
        let events = match daemon.operations.front().cloned() {
            Some(effect) => self.apply(effect),
            None => Vec::new(),
        };
        if let Some(daemon) = &mut self.daemon {
            daemon.answer = events;
        }
        let travel = self.random.between(self.travel_ms.0, self.travel_ms.1);
        self.push(self.now_ms + travel, Happening::Answer(number));
    }

    fn answer(&mut self, number: u64) {
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.under_way != Some(number) {
            return;
        }
        daemon.under_way = None;
        daemon.operations.pop_front();
        for event in std::mem::take(&mut daemon.answer) {
            let recovered = matches!(event, Event::Recovered(_));
            self.turn(event);
            if recovered {
                self.hint(0);
            }
        }
        self.send_next();
    }

    /// What the store does.
    fn apply(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Claim(batch) => {
                let answers = self.ledger.claim(&batch);
                if self.trace {
                    let rows = batch.rows.iter().map(|row| row.id.as_str());
                    println!("    claim {:?} {:?}", rows.collect::<Vec<_>>(), answers);
                }
                vec![Event::Claimed { batch: batch.number, answers }]
            }
            Effect::SavePlan(mut plan) => {
                Bug::spoil_writes(self.bug, &mut plan);
                let answer = self.ledger.save_plan(&plan);
                vec![match answer {
                    PlanAnswer::Saved { generation } => {
                        self.records.push(Record::Saved { effective_at: plan.effective_at });
                        Event::PlanSaved { generation }
                    }
                    PlanAnswer::Stale => Event::PlanStale,
                }]
            }
            Effect::Recover { number } => vec![self.recovery(number)],
            Effect::RecordStarted { id, epoch, at } => {
                self.ledger.record(&[RowChange::Started { id, epoch, at }]);
                Vec::new()
            }
            Effect::RecordEnded { id, epoch, ending } => {
                let guard = epoch.map_or_else(|| Guard::Node("n".into()), Guard::Epoch);
                self.ledger.record(&[RowChange::Ended { id: id.clone(), guard, ending }]);
                vec![Event::Recorded { id }]
            }
            other => panic!("{other:?} is nothing for the store"),
        }
    }

    fn recovery(&mut self, number: u64) -> Event {
        let mut contents = self.ledger.load();
        let (mut jobs, mut removed) = (AppliedSet::new(), Removed::default());
        for document in contents.jobs_in_order() {
            let key = (document.name.clone(), Digest(document.digest.as_str().into()));
            let spec = Arc::clone(&self.specs[&key]);
            let gone = document.removed_at.is_some();
            let job = document.applied(spec);
            if gone {
                removed.push(job);
            } else {
                jobs.insert(job.spec.name.clone(), job);
            }
        }
        let said = contents.overrides.into_iter().map(|document| document.said().unwrap());
        let overrides: Overrides = said.collect();
        let mut recovery = Recovery {
            number,
            generation: contents.generation,
            revision: contents.revision.as_str().into(),
            pin: None,
            jobs,
            removed,
            watermark: contents.watermark,
            covered: contents.covered,
            overrides,
            in_flight: contents.in_flight,
            supervised: self.running.iter().chain(self.spool.keys()).cloned().collect(),
            resume: Resume::AfterPlan,
        };
        Bug::spoil_recovery(self.bug, self.clock().wall, &mut recovery);
        Event::Recovered(Box::new(recovery))
    }

    // --- looking, as the reconciler does -----------------------------------------------------------

    fn look_if_planned(&mut self, number: u64) {
        let Some(daemon) = &mut self.daemon else { return };
        if daemon.next_look.is_none_or(|(_, planned)| planned != number) {
            return;
        }
        daemon.next_look = None;
        let takes_plans = matches!(daemon.scheduler.phase(), Phase::AwaitingPlan | Phase::Active);
        if !takes_plans || daemon.awaits_plan {
            self.hint(AGAIN_MS);
            return;
        }
        self.read_sources();
        self.plan();
        let second = self.newest_plan().wants_second_look();
        let pause =
            if second { u64::try_from(SECOND_LOOK.as_millis()).unwrap() } else { RESCAN_MS };
        self.hint(pause);
    }

    fn manifests(&self) -> Vec<ManifestFile> {
        let source_of = |path: &str| path.split('/').next().unwrap().to_owned();
        let readable = |path: &&String| !self.unreadable.contains(source_of(path).as_str());
        let paths = self.files.keys().filter(readable);
        paths
            .map(|path| ManifestFile {
                path: path.as_str().into(),
                source: source_of(path).into(),
                content: match &self.files[path] {
                    Some(bytes) => Content::Bytes(bytes.as_slice().into()),
                    None => Content::Refused(Diagnostic::new(
                        codes::FILE_UNREADABLE,
                        "this file cannot be read",
                    )),
                },
            })
            .collect()
    }

    /// Takes a snapshot and loads it. Now and then everything is read again from nothing, and in another
    /// order: the answer must be the same.
    fn read_sources(&mut self) {
        let mut files = self.manifests();
        let check_order = self.random.chance(10);
        let boot = self.clock().boot;
        let incomplete = SOURCES.iter().filter_map(|source| {
            let is_empty = !files.iter().any(|file| *file.source == **source);
            let hold = if self.unreadable.contains(source) {
                Hold::UnreadableSource
            } else if is_empty {
                Hold::EmptySource
            } else {
                return None;
            };
            Some(((*source).to_owned(), hold))
        });
        let incomplete = incomplete.collect();
        let Some(daemon) = &mut self.daemon else { return };
        daemon.incomplete = incomplete;
        daemon.taken_at = boot;
        daemon.loaded = daemon.loader.load(&files, &Known::default());
        self.snapshots += 1;
        for job in daemon.loaded.jobs.values() {
            let key = (job.spec.name.to_string(), job.digest.clone());
            self.specs.insert(key, Arc::clone(&job.spec));
        }
        if check_order {
            files.reverse();
            let again = load(&files, &Known::default());
            assert_eq!(daemon.loaded.jobs, again.jobs, "the order of the files matters");
            assert_eq!(daemon.loaded.conflicts, again.conflicts, "the order of the files matters");
            let told = |loaded: &Loaded| {
                let line = |it: &Diagnostic| format!("{} {} {}", it.code, it.path(), it.message);
                loaded.diagnostics.iter().map(line).collect::<Vec<_>>()
            };
            assert_eq!(told(&daemon.loaded), told(&again), "the order of the files matters");
        }
    }

    /// Makes a plan of the last snapshot and hands it over, when it changes anything.
    fn plan(&mut self) {
        let at = self.clock().wall;
        let Some(daemon) = &mut self.daemon else { return };
        let phase = daemon.scheduler.phase();
        if !matches!(phase, Phase::AwaitingPlan | Phase::Active) {
            return;
        }
        if daemon.awaits_plan {
            return;
        }
        let mut sources = Sources {
            names: SOURCES.map(str::to_owned).to_vec(),
            incomplete: daemon.incomplete.clone(),
            invalid: daemon.loaded.invalid.clone(),
            conflicts: daemon.loaded.conflicts.clone(),
            confirmed_absent: daemon.absences.confirmed(daemon.taken_at),
            guard: PruneGuard::default(),
            ..Sources::default()
        };
        let applied = daemon.scheduler.applied();
        Bug::spoil_sources(self.bug, &applied, &mut sources);
        let revision: Arc<str> = "r".into();
        let generation = daemon.scheduler.generation();
        let mut plan = diff(generation, revision, &daemon.loaded.jobs, &applied, &sources);
        Bug::spoil_diff(self.bug, &daemon.loaded.jobs, &applied, &mut plan);
        daemon.absences.learn(daemon.taken_at, &plan);
        let is_new = !plan.is_empty()
            || !plan.moved.is_empty()
            || phase == Phase::AwaitingPlan
            || plan.revision != *daemon.scheduler.revision();
        if self.trace && (is_new || !plan.held.is_empty()) {
            let changes = plan.changes.iter().map(|it| format!("{} {}", it.action(), it.job()));
            println!("{} {:?} {:?}", time_of(at), changes.collect::<Vec<_>>(), plan.held);
            for fault in daemon.loaded.diagnostics.iter().filter(|fault| fault.is_error()) {
                println!("    {} {} {}", fault.code, fault.path(), fault.message);
            }
        }
        let snapshot = self.snapshots;
        let index = self.records.len();
        self.records.push(Record::Planned { snapshot, at, plan: plan.clone(), taken: false });
        if is_new {
            let takes = self.hand_over(plan);
            if let Record::Planned { taken, .. } = &mut self.records[index] {
                *taken = takes;
            }
        }
    }

    /// Gives the scheduler a plan; `false`: it must be made again.
    fn hand_over(&mut self, mut plan: Plan) -> bool {
        Bug::spoil_plan(self.bug, &mut plan);
        let now = Bug::spoil_clock(self.bug, self.clock());
        let Some(daemon) = &mut self.daemon else { return false };
        daemon.awaits_plan = true;
        let effects = daemon.scheduler.handle(now, Event::Plan(Box::new(plan)));
        let takes = !effects.contains(&Effect::PlanDone(PlanDone::Again));
        for effect in effects {
            self.carry_out(effect);
        }
        self.wake_in_time();
        takes
    }
}

/// A time of the day, with milliseconds where there are some.
pub(super) fn time_of(at: Timestamp) -> String {
    let whole = at.timestamp_subsec_millis() == 0;
    at.format(if whole { "%H:%M:%S" } else { "%H:%M:%S%.3f" }).to_string()
}

/// A moment by its second.
pub(super) fn second(at: i64) -> Timestamp {
    DateTime::from_timestamp(at, 0).unwrap()
}
