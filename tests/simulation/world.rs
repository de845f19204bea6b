//! The world: virtual time, one store, nodes with daemons that die and supervisors that do not.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Weekday};
use cronwright::engine::event::{
    ClaimAnswer, ClaimBatch, Effect, Event, LeaseLoss, PlanDone, PlanWrites, Recovery, Resume,
    Start,
};
use cronwright::engine::execution::{
    AttemptId, Cancelled, Ending, ExecutionId, Exit, Failed, JobUid, Outcome, Output, Row, State,
    TimedOut,
};
use cronwright::engine::overrides::Overrides;
use cronwright::engine::plan::{AppliedSet, Sources, diff};
use cronwright::engine::removed::Removed;
use cronwright::engine::request::{Act, Order, OverrideChange, RequestId, Selection};
use cronwright::engine::scheduler::{Phase, Scheduler};
use cronwright::io::store::document::JobDocument;
use cronwright::io::store::memory::Ledger;
use cronwright::io::store::{Bid, ForeignNews, Guard, Holder, LeaseAnswer, PlanAnswer, RowChange};
use cronwright::spec::job::{DeclaredJob, Digest, JobMeta, JobName, JobSet, JobSpec, SourcePlace};
use cronwright::spec::params::Params;
use cronwright::spec::policy::{GraceTime, MAX_QUEUED, Misfire, OnLost, OnRemove, Overlap, Retry};
use cronwright::spec::process::ProcessRules;
use cronwright::spec::task::Task;
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DayCalendar, Dialect, FireFilter, IntervalTrigger, Trigger, Window,
};
use cronwright::time::{BootTime, Now, Timestamp, Zone};

use super::queue::waits;
use super::random::Random;
use super::renames;

const LEASE: Duration = Duration::from_secs(4);
const NODE_LEASE: Duration = Duration::from_secs(20);
/// When an answer that never comes counts as lost.
const DEADLINE_MS: u64 = 1_500;
/// How late a claim that was given up may still reach the store.
const STRAGGLES_MS: u64 = 4_000;
/// How long the record of an ending may take once there are no faults any more.
const RECORDED_WITHIN_MS: u64 = 10_000;
/// The longest jitter of a trigger.
pub(super) const JITTER_MAX: Duration = Duration::from_mins(10);
/// How long a crash, a pause and an outage last at most.
const CRASH_MS: u64 = 180_000;
const PAUSE_MS: u64 = 120_000;
const OUTAGE_MS: u64 = 60_000;
/// How many names of jobs there are.
const JOB_NAMES: u64 = 8;
const SOURCES: [&str; 2] = ["jobs.d", "more.d"];

/// Faults of the world that a correct checker must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A lost answer counts as a claim that was won.
    TimeoutIsSuccess,
    /// What the store has after the watermark is not told at a recovery.
    ForgetsCovered,
    /// The watermark moves although the rows are not written.
    WatermarkBeforeRows,
    /// Two executions may have one id.
    ClaimsOverwrite,
    /// The time in which no daemon ran is forgotten.
    ForgetsDowntime,
    /// Endings are said to be recorded and are not.
    EndingsNotWritten,
    /// A restarted daemon is not told what its supervisor runs.
    NothingAdopted,
    /// A plan answers as saved and is not.
    PlanNotWritten,
    /// The watermark moves over occurrences that wait for their start.
    WatermarkPassesWaiting,
    /// A recovery reads triggers without their jitter.
    ForgetsJitter,
    /// A recovery takes the watermark for what a paused job is accounted for.
    ForgetsPauseCursor,
    /// What the store has of a paused job before the watermark is not told at a recovery.
    ForgetsCoveredInPause,
    /// A recovery is not told what operators have said.
    ForgetsOverrides,
    /// What operators have said is said to be written and is not.
    OverridesNotWritten,
    /// A job with a new name is taken for a new job.
    RenamesAreNew,
    /// A recovery is not told which jobs were removed.
    ForgetsRemoved,
    /// The order to end an execution does not arrive.
    StopsNothing,
    /// That an attempt failed and another follows is said to be written and is not.
    WaitsNotWritten,
    /// An attempt that another is to follow is written as the last.
    WaitsAreEndings,
    /// A recovery is not told what waits for its next attempt.
    ForgetsWaits,
    /// A recovery is not told what is queued.
    ForgetsQueued,
}

impl Bug {
    pub(super) const ALL: [Self; 21] = [
        Self::TimeoutIsSuccess,
        Self::ForgetsCovered,
        Self::WatermarkBeforeRows,
        Self::ClaimsOverwrite,
        Self::ForgetsDowntime,
        Self::EndingsNotWritten,
        Self::NothingAdopted,
        Self::PlanNotWritten,
        Self::WatermarkPassesWaiting,
        Self::ForgetsJitter,
        Self::ForgetsPauseCursor,
        Self::ForgetsCoveredInPause,
        Self::ForgetsOverrides,
        Self::OverridesNotWritten,
        Self::RenamesAreNew,
        Self::ForgetsRemoved,
        Self::StopsNothing,
        Self::WaitsNotWritten,
        Self::WaitsAreEndings,
        Self::ForgetsWaits,
        Self::ForgetsQueued,
    ];
}

/// What can happen to the world, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A daemon turns its loop.
    Wake(usize),
    /// A daemon asks for the lease.
    AskLease(usize),
    /// The store takes in the first operation of a daemon.
    Arrive(usize, u64),
    /// A claim that was given up reaches the store after all.
    Straggle(u64),
    /// A daemon hears of its first operation.
    Answer(usize, u64),
    /// A task ends on a node.
    TaskEnds(usize, AttemptId),
    Crash(usize),
    Restart(usize, u64),
    Pause(usize),
    Edit,
    Rename,
    Ask,
    Say,
    Outage,
    Reconcile(usize),
}

/// A daemon's life: memory that a crash takes.
struct Daemon {
    /// Grows with each life, so that answers to an earlier one are known.
    life: u64,
    scheduler: Scheduler,
    holder: Holder,
    lease_until: BootTime,
    bid: Bid,
    operations: VecDeque<Operation>,
    /// Number of the operation that is under way.
    under_way: Option<u64>,
    answer: Option<Outcomes>,
    resume: Resume,
}

/// A store operation of a daemon.
#[derive(Debug, Clone)]
enum Operation {
    Effect(Box<Effect>),
    Recover(u64),
}

/// What the store said, or silence.
#[derive(Debug, Clone)]
enum Outcomes {
    Events(Vec<Event>),
    Lost,
}

/// A task that runs, and how it will end.
#[derive(Debug, Clone, Copy)]
struct Running {
    at: Timestamp,
    outcome: Outcome,
}

/// What survives a daemon on its node.
#[derive(Default)]
struct Node {
    daemon: Option<Daemon>,
    lives: u64,
    paused_until_ms: u64,
    /// When it wakes next, as far as that is planned.
    wakes_at_ms: Option<u64>,
    running: BTreeMap<AttemptId, Running>,
    spool: BTreeMap<AttemptId, Box<Ending>>,
}

pub(super) struct World {
    random: Random,
    bug: Option<Bug>,
    trace: bool,
    pub(super) now_ms: u64,
    horizon_ms: u64,
    quiet_ms: u64,
    sequence: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    nodes: Vec<Node>,
    pub(super) ledger: Ledger,
    desired: JobSet,
    specs: BTreeMap<Digest, Arc<JobSpec>>,
    /// Claims on their way whose sender has given them up, or is gone.
    stragglers: BTreeMap<u64, ClaimBatch>,
    outage_until_ms: u64,
    loss_percent: u64,
    /// How many executions may be in flight on a node.
    pub(super) max_running: Option<u32>,
    /// What was started beyond that.
    pub(super) crowded: Vec<String>,
    faults: bool,
    /// When the first attempt of each execution was physically started.
    pub(super) starts: BTreeMap<ExecutionId, Vec<Timestamp>>,
    /// When each further attempt was.
    pub(super) later_starts: BTreeMap<AttemptId, Vec<Timestamp>>,
    /// When each attempt that failed did so.
    pub(super) failed: BTreeMap<AttemptId, Timestamp>,
    /// When a daemon was given a plan that changes the job.
    pub(super) edits: BTreeMap<JobName, Vec<Timestamp>>,
    /// Jobs of which executions may have waited, once the history is over.
    waiting_jobs: OnceCell<BTreeSet<String>>,
    /// From when to when something was broken, in milliseconds.
    disturbances: Vec<(u64, u64)>,
    /// Executions whose task came to its end, and when.
    pub(super) completed: BTreeMap<ExecutionId, Timestamp>,
    /// Executions that were ended on order, and when.
    pub(super) stopped: BTreeMap<ExecutionId, Timestamp>,
    /// Until when each execution was a process.
    pub(super) ends: BTreeMap<ExecutionId, Timestamp>,
    /// Definitions by which a job of another name is to go on, and what that was called.
    former: BTreeMap<Digest, JobName>,
    /// Of which jobs plans have made a definition; none: of a new one.
    pub(super) planned: BTreeMap<Digest, BTreeSet<Option<JobUid>>>,
    /// Jobs whose removal somebody has confirmed.
    pub(super) confirmed: BTreeSet<JobName>,
    requests: u64,
}

fn origin() -> Timestamp {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let hours = random.between(2, 8);
        let nodes = if random.chance(40) { 2 } else { 1 };
        let loss_percent = if random.chance(60) { 3 } else { 0 };
        let mut world = Self::empty(random, bug, trace, hours * 3_600_000, nodes);
        world.loss_percent = loss_percent;
        let mut apart = Random::new(!seed);
        let max = u32::try_from(apart.between(1, 4)).unwrap();
        world.max_running = apart.chance(25).then_some(max);
        if loss_percent > 0 {
            world.disturbances.push((0, world.horizon_ms));
        }
        let count = world.random.between(2, 6);
        for index in 0..count {
            world.declare(index);
        }
        for node in 0..nodes {
            world.at(world.now_ms, Happening::Restart(node, 0));
        }
        world.plan_faults();
        world
    }

    /// Thirty days of one daemon and a few slow jobs, restarted now and then.
    pub(super) fn month(seed: u64) -> Self {
        let mut world = Self::empty(Random::new(seed), None, false, 30 * 86_400_000, 1);
        for index in 0..4 {
            world.declare(index);
        }
        world.at(0, Happening::Restart(0, 0));
        for day in 1..30 {
            let at = day * 86_400_000 + world.random.between(0, 80_000_000);
            world.at(at, Happening::Crash(0));
        }
        world
    }

    fn empty(random: Random, bug: Option<Bug>, trace: bool, horizon_ms: u64, nodes: usize) -> Self {
        Self {
            random,
            bug,
            trace,
            now_ms: 0,
            horizon_ms,
            quiet_ms: 1_800_000,
            sequence: 0,
            heap: BinaryHeap::new(),
            nodes: std::iter::repeat_with(Node::default).take(nodes).collect(),
            ledger: Ledger::default(),
            desired: JobSet::new(),
            specs: BTreeMap::new(),
            stragglers: BTreeMap::new(),
            outage_until_ms: 0,
            loss_percent: 0,
            max_running: None,
            crowded: Vec::new(),
            faults: true,
            starts: BTreeMap::new(),
            later_starts: BTreeMap::new(),
            failed: BTreeMap::new(),
            edits: BTreeMap::new(),
            waiting_jobs: OnceCell::new(),
            disturbances: Vec::new(),
            completed: BTreeMap::new(),
            stopped: BTreeMap::new(),
            ends: BTreeMap::new(),
            former: BTreeMap::new(),
            planned: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            requests: 0,
        }
    }

    /// Each seed has its own subset of faults.
    fn plan_faults(&mut self) {
        let kinds: [fn(usize) -> Happening; 7] = [
            Happening::Crash,
            Happening::Pause,
            |_| Happening::Edit,
            |_| Happening::Ask,
            |_| Happening::Outage,
            |_| Happening::Say,
            |_| Happening::Rename,
        ];
        for kind in kinds {
            if self.random.chance(60) {
                let every_ms = self.random.between(60_000, 1_800_000);
                let mut at = self.random.between(1_000, every_ms);
                while at < self.horizon_ms {
                    let node =
                        usize::try_from(self.random.next() % self.nodes.len() as u64).unwrap();
                    self.at(at, kind(node));
                    at += self.random.between(1_000, 2 * every_ms);
                }
            }
        }
    }

    pub(super) fn seconds(&self) -> u64 {
        self.now_ms / 1_000
    }

    pub(super) fn clock(&self) -> Now {
        let wall = origin() + TimeDelta::milliseconds(i64::try_from(self.now_ms).unwrap());
        Now { wall, boot: BootTime(Duration::from_millis(self.now_ms + 1_000_000)) }
    }

    /// How many daemons there are.
    pub(super) fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was broken between two instants.
    pub(super) fn was_calm(&self, from: Timestamp, to: Timestamp) -> bool {
        let ms = |at: Timestamp| u64::try_from((at - origin()).num_milliseconds()).unwrap_or(0);
        !self.disturbances.iter().any(|(begin, end)| *begin <= ms(to) && ms(from) <= *end)
    }

    fn disturb(&mut self, for_ms: u64) {
        self.disturbances.push((self.now_ms, self.now_ms + for_ms));
    }

    pub(super) fn spec_of(&self, digest: &str) -> Arc<JobSpec> {
        Arc::clone(&self.specs[&Digest(digest.into())])
    }

    /// Every definition that a job had.
    pub(super) fn definitions(&self, uid: &str) -> Vec<Arc<JobSpec>> {
        let of_job = self.ledger.specs().filter(|spec| spec.uid == *uid);
        of_job.map(|spec| self.spec_of(&spec.digest)).collect()
    }

    /// Whether an execution may have waited for a place. Asked when the history is over.
    pub(super) fn may_wait(&self, row: &Row) -> bool {
        let waiting = self.waiting_jobs.get_or_init(|| {
            let waits = |digest: &str| waits(&self.spec_of(digest));
            let specs = self.ledger.specs().filter(|spec| waits(&spec.digest));
            specs.map(|spec| spec.uid.clone()).collect()
        });
        self.max_running.is_some() || waiting.contains(&*row.uid.0)
    }

    fn at(&mut self, ms: u64, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((ms.max(self.now_ms), self.sequence, happening)));
    }

    pub(super) fn run(&mut self) {
        while let Some(Reverse((ms, _, happening))) = self.heap.pop() {
            if ms > self.horizon_ms + self.quiet_ms {
                break;
            }
            self.now_ms = ms;
            if ms > self.horizon_ms && self.faults {
                self.faults = false;
                self.outage_until_ms = 0;
                self.loss_percent = 0;
            }
            if self.trace {
                println!("{ms:>9} {happening:?}");
            }
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake(node) => {
                if self.nodes[node].wakes_at_ms == Some(self.now_ms) {
                    self.nodes[node].wakes_at_ms = None;
                    self.turn(node, Event::Tick);
                }
            }
            Happening::AskLease(node) => self.ask_lease(node),
            Happening::Arrive(node, number) => self.arrive(node, number),
            Happening::Straggle(number) => self.straggle(number),
            Happening::Answer(node, number) => self.answer(node, number),
            Happening::TaskEnds(node, id) => self.task_ends(node, &id, None),
            Happening::Crash(node) => self.crash(node),
            Happening::Restart(node, life) => self.restart(node, life),
            Happening::Pause(node) => {
                let ms = self.random.between(1_000, PAUSE_MS);
                if self.faults {
                    self.disturb(ms);
                    self.nodes[node].paused_until_ms = self.now_ms + ms;
                }
            }
            Happening::Edit => self.edit(),
            Happening::Rename => self.rename(),
            Happening::Ask => self.ask(),
            Happening::Say => self.say(),
            Happening::Outage => {
                self.outage_until_ms = self.now_ms + self.random.between(500, OUTAGE_MS);
                self.disturb(OUTAGE_MS);
            }
            Happening::Reconcile(node) => self.reconcile(node),
        }
    }

    /// Whether the daemon runs; a paused one does everything later.
    fn awake(&mut self, node: usize, happening: Happening) -> bool {
        let paused = self.nodes[node].paused_until_ms;
        if self.nodes[node].daemon.is_none() {
            return false;
        }
        if paused > self.now_ms {
            self.at(paused, happening);
            return false;
        }
        true
    }

    fn turn(&mut self, node: usize, event: Event) {
        let now = self.clock();
        if self.nodes[node].paused_until_ms > self.now_ms && event == Event::Tick {
            let until = self.nodes[node].paused_until_ms;
            self.wake_at(node, until);
            return;
        }
        let Some(daemon) = &mut self.nodes[node].daemon else { return };
        if self.trace && event != Event::Tick {
            println!("{:>9} node {node} <- {}", self.now_ms, brief(&format!("{event:?}")));
        }
        let effects = daemon.scheduler.handle(now, event);
        let wakeup = daemon.scheduler.next_wakeup();
        for effect in effects {
            self.carry_out(node, effect);
        }
        if let Some(wakeup) = wakeup {
            let in_ms = (wakeup - now.wall).num_milliseconds().max(0);
            let at = self.now_ms + u64::try_from(in_ms).unwrap();
            if at > self.now_ms {
                self.wake_at(node, at);
            }
        }
    }

    fn wake_at(&mut self, node: usize, at: u64) {
        if self.nodes[node].wakes_at_ms.is_none_or(|planned| at < planned) {
            self.nodes[node].wakes_at_ms = Some(at);
            self.at(at, Happening::Wake(node));
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        if self.trace {
            println!("{:>9} node {node} -> {}", self.now_ms, brief(&format!("{effect:?}")));
        }
        match effect {
            Effect::Claim(_)
            | Effect::SavePlan(_)
            | Effect::RecordStarted { .. }
            | Effect::RecordEnded { .. }
            | Effect::RecordWait(_)
            | Effect::ReadFlights => {
                self.enqueue(node, Operation::Effect(Box::new(effect)));
            }
            Effect::Recover { number } => self.enqueue(node, Operation::Recover(number)),
            Effect::Start(start) => self.start(node, &start),
            Effect::Stop { id, .. } => {
                if self.bug != Some(Bug::StopsNothing) {
                    let outcome = Outcome::Cancelled(Cancelled::Requested);
                    self.task_ends(node, &id, Some(outcome));
                }
            }
            Effect::Forget { id } => {
                self.nodes[node].spool.remove(&id);
            }
            Effect::Reply { .. } | Effect::Note(_) | Effect::PlanDone(PlanDone::Applied { .. }) => {
            }
            Effect::PlanDone(PlanDone::Again) => {
                self.at(self.now_ms + 500, Happening::Reconcile(node));
            }
        }
    }

    fn start(&mut self, node: usize, start: &Start) {
        let row = &start.row;
        let id = AttemptId { execution: row.id.clone(), number: row.attempt() };
        let at = self.clock().wall;
        let starts = match id.number {
            1 => self.starts.entry(row.id.clone()).or_default(),
            _ => self.later_starts.entry(id.clone()).or_default(),
        };
        starts.push(at);
        let ms = self.random.between(10, 400_000);
        let left = start.time_left.map(|left| u64::try_from(left.as_millis()).unwrap());
        let outcome = if left.is_some_and(|left| left < ms) {
            Outcome::TimedOut(TimedOut::Attempt)
        } else if row.rules.is_some() && self.random.chance(50) {
            Outcome::Failed(Failed::Exit)
        } else {
            Outcome::Succeeded
        };
        self.nodes[node].running.insert(id.clone(), Running { at, outcome });
        let running = self.nodes[node].running.len();
        // What another node tried before it is not held back: docs/overlap.md.
        if self.nodes.len() == 1 && self.max_running.is_some_and(|max| running > max as usize) {
            self.crowded.push(format!("{id} is one of {running} on its node"));
        }
        let ms = left.map_or(ms, |left| left.min(ms));
        self.at(self.now_ms + ms, Happening::TaskEnds(node, id.clone()));
        self.turn(node, Event::Started { id, at });
    }

    /// A task ends: on order, or as it was to.
    fn task_ends(&mut self, node: usize, id: &AttemptId, ordered: Option<Outcome>) {
        let Some(running) = self.nodes[node].running.remove(id) else { return };
        let outcome = ordered.unwrap_or(running.outcome);
        // Whatever ends at the very end of the world is still being recorded then.
        let at = self.clock().wall;
        self.ends.insert(id.execution.clone(), at);
        if self.now_ms + RECORDED_WITHIN_MS < self.horizon_ms + self.quiet_ms {
            match outcome {
                Outcome::Succeeded => drop(self.completed.insert(id.execution.clone(), at)),
                Outcome::Cancelled(_) => drop(self.stopped.insert(id.execution.clone(), at)),
                _ => {}
            }
        }
        if matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut(_)) {
            self.failed.insert(id.clone(), at);
        }
        let ending = Box::new(Ending {
            outcome,
            started_at: Some(running.at),
            finished_at: at,
            duration: None,
            exit: Some(Exit::Code(i32::from(outcome != Outcome::Succeeded))),
            result: None,
            exception: None,
            output: Output::default(),
            protection: None,
        });
        self.nodes[node].spool.insert(id.clone(), ending.clone());
        if self.nodes[node].daemon.is_some() {
            self.turn(node, Event::Ended { id: id.clone(), ending });
        }
    }

    // --- the store and the way there -------------------------------------------------------------

    fn enqueue(&mut self, node: usize, operation: Operation) {
        let Some(daemon) = &mut self.nodes[node].daemon else { return };
        daemon.operations.push_back(operation);
        self.send_next(node, 0);
    }

    /// Sends the first operation, when none is under way.
    fn send_next(&mut self, node: usize, after_ms: u64) {
        let travel = self.random.between(1, 200);
        self.sequence += 1;
        let number = self.sequence;
        let Some(daemon) = &mut self.nodes[node].daemon else { return };
        if daemon.under_way.is_none() && !daemon.operations.is_empty() {
            daemon.under_way = Some(number);
            self.at(self.now_ms + after_ms + travel, Happening::Arrive(node, number));
        }
    }

    fn arrive(&mut self, node: usize, number: u64) {
        let lost = self.now_ms < self.outage_until_ms || self.random.chance(self.loss_percent);
        let answer_lost = self.random.chance(self.loss_percent);
        let Some(daemon) = &self.nodes[node].daemon else { return };
        if daemon.under_way != Some(number) {
            return;
        }
        let operation = daemon.operations[0].clone();
        let outcomes = if lost {
            self.lose(operation);
            Outcomes::Lost
        } else {
            self.apply(node, operation)
        };
        let outcomes = if answer_lost { Outcomes::Lost } else { outcomes };
        let in_ms = match outcomes {
            Outcomes::Lost => DEADLINE_MS,
            Outcomes::Events(_) => self.random.between(1, 200),
        };
        if let Some(daemon) = &mut self.nodes[node].daemon {
            daemon.answer = Some(outcomes);
        }
        self.at(self.now_ms + in_ms, Happening::Answer(node, number));
    }

    /// An operation does not arrive in time. A claim may arrive all the same, when nobody waits for it.
    fn lose(&mut self, operation: Operation) {
        let Operation::Effect(effect) = operation else { return };
        // With several nodes such a row waits until its node leads again: docs/failure.md.
        if let Effect::Claim(batch) = *effect
            && self.nodes.len() == 1
            && self.random.chance(50)
        {
            self.sequence += 1;
            let (number, late_ms) = (self.sequence, self.random.between(1, STRAGGLES_MS));
            self.stragglers.insert(number, batch);
            self.at(self.now_ms + late_ms, Happening::Straggle(number));
        }
    }

    /// The rows are written in their order until one is refused; nobody is left to send the others, or
    /// to move the watermark.
    fn straggle(&mut self, number: u64) {
        let Some(batch) = self.stragglers.remove(&number) else { return };
        let (takes, watermark) = (Vec::new(), origin());
        for row in &batch.rows {
            let rows = vec![row.clone()];
            let one = ClaimBatch { rows, takes: takes.clone(), watermark, ..batch.clone() };
            if self.ledger.claim(&one) != [ClaimAnswer::Claimed] {
                return;
            }
        }
        self.ledger.claim(&ClaimBatch { rows: Vec::new(), watermark, ..batch });
    }

    /// What the store does.
    fn apply(&mut self, node: usize, operation: Operation) -> Outcomes {
        let effect = match operation {
            Operation::Recover(number) => {
                return Outcomes::Events(vec![self.recovery(node, number)]);
            }
            Operation::Effect(effect) => *effect,
        };
        let change = match effect {
            // Who slept before it was sent does not send it (C12).
            Effect::Claim(batch) if batch.deadline < self.clock().boot => return Outcomes::Lost,
            Effect::Claim(mut batch) => {
                if self.bug == Some(Bug::WatermarkBeforeRows) && self.random.chance(2) {
                    batch.rows.clear();
                }
                if self.bug == Some(Bug::ClaimsOverwrite) {
                    for row in &mut batch.rows {
                        row.id = ExecutionId(format!("{}#{}", row.id, row.claim.nonce).into());
                    }
                }
                if self.bug == Some(Bug::WatermarkPassesWaiting) {
                    batch.watermark = self.clock().wall;
                }
                let answers = self.ledger.claim(&batch);
                return Outcomes::Events(vec![Event::Claimed { batch: batch.number, answers }]);
            }
            Effect::SavePlan(plan) => {
                if plan.deadline < self.clock().boot {
                    return Outcomes::Lost;
                }
                return Outcomes::Events(vec![self.save_plan(*plan)]);
            }
            Effect::RecordStarted { id, epoch, at } => RowChange::Started { id, epoch, at },
            Effect::RecordEnded { id, epoch, ending } => {
                let guard = epoch.map_or_else(|| Guard::Node(name(node)), Guard::Epoch);
                RowChange::Ended { id, guard, ending }
            }
            Effect::RecordWait(wait) if self.bug == Some(Bug::WaitsAreEndings) => {
                let (id, guard) = (wait.attempt(), Guard::Epoch(wait.epoch));
                RowChange::Ended { id, guard, ending: wait.last }
            }
            Effect::RecordWait(wait) => RowChange::Waits { guard: Guard::Epoch(wait.epoch), wait },
            Effect::ReadFlights => {
                return Outcomes::Events(vec![Event::Flights(self.ledger.in_flight())]);
            }
            Effect::Recover { .. }
            | Effect::Start(_)
            | Effect::Stop { .. }
            | Effect::Forget { .. }
            | Effect::Reply { .. }
            | Effect::PlanDone(_)
            | Effect::Note(_) => return Outcomes::Events(Vec::new()),
        };
        let is_wait = matches!(change, RowChange::Waits { .. });
        let vanishes = match self.bug {
            Some(Bug::EndingsNotWritten) => !is_wait,
            Some(Bug::WaitsNotWritten) => is_wait,
            _ => false,
        };
        if !vanishes || self.random.chance(90) {
            self.ledger.record(std::slice::from_ref(&change));
        }
        Outcomes::Events(change.ended().map(|id| Event::Recorded { id }).into_iter().collect())
    }

    fn save_plan(&mut self, plan: PlanWrites) -> Event {
        let answer = if self.bug == Some(Bug::PlanNotWritten) && self.random.chance(20) {
            PlanAnswer::Saved { generation: plan.expected_generation }
        } else if self.bug == Some(Bug::OverridesNotWritten) && self.random.chance(20) {
            self.ledger.save_plan(&PlanWrites { overrides: Vec::new(), ..plan })
        } else {
            self.ledger.save_plan(&plan)
        };
        match answer {
            PlanAnswer::Saved { generation } => Event::PlanSaved { generation },
            PlanAnswer::Stale => Event::PlanStale,
        }
    }

    fn recovery(&mut self, node: usize, number: u64) -> Event {
        let mut contents = self.ledger.load();
        let (mut jobs, mut removed) = (AppliedSet::new(), Removed::default());
        for document in contents.jobs_in_order() {
            let mut spec = self.spec_of(&document.digest);
            if self.bug == Some(Bug::ForgetsJitter) {
                let triggers = &mut Arc::make_mut(&mut spec).triggers;
                for trigger in triggers.iter_mut() {
                    trigger.jitter = Duration::ZERO;
                }
            }
            let gone = document.removed_at.is_some();
            let job = document.applied(spec);
            if gone {
                removed.push(job);
            } else {
                jobs.insert(job.spec.name.clone(), job);
            }
        }
        if self.bug == Some(Bug::ForgetsRemoved) {
            removed = Removed::default();
        }
        let supervised = self.nodes[node].running.keys().chain(self.nodes[node].spool.keys());
        let forgets = |bug| self.bug == Some(bug);
        let watermark = match contents.watermark {
            Some(_) if forgets(Bug::ForgetsDowntime) => Some(self.clock().wall),
            watermark => watermark,
        };
        let said = contents.overrides.into_iter().map(|document| document.said().unwrap());
        let mut overrides: Overrides = said.filter(|_| !forgets(Bug::ForgetsOverrides)).collect();
        let pauses = overrides.values_mut().filter_map(|said| said.pause.as_mut());
        if forgets(Bug::ForgetsPauseCursor) {
            pauses.for_each(|pause| pause.at = pause.at.max(watermark.unwrap_or(pause.at)));
        }
        let mut covered = contents.covered;
        if forgets(Bug::ForgetsCoveredInPause) {
            covered.retain(|(_, range)| Some(range.last) > watermark);
        }
        if forgets(Bug::ForgetsCovered) {
            covered.clear();
        }
        if forgets(Bug::ForgetsWaits) {
            contents.in_flight.retain(|row| !matches!(row.state, State::RetryWait { .. }));
        }
        if forgets(Bug::ForgetsQueued) {
            contents.in_flight.retain(|row| row.state != State::Queued);
        }
        Event::Recovered(Box::new(Recovery {
            number,
            generation: contents.generation,
            revision: contents.revision.as_str().into(),
            pin: None,
            jobs,
            removed,
            watermark,
            overrides,
            covered,
            in_flight: contents.in_flight,
            supervised: if forgets(Bug::NothingAdopted) {
                Vec::new()
            } else {
                supervised.cloned().collect()
            },
            resume: self.nodes[node].daemon.as_ref().map_or(Resume::AtOnce, |d| d.resume),
        }))
    }

    fn answer(&mut self, node: usize, number: u64) {
        if !self.awake(node, Happening::Answer(node, number)) {
            return;
        }
        let Some(daemon) = &mut self.nodes[node].daemon else { return };
        if daemon.under_way != Some(number) {
            return;
        }
        daemon.under_way = None;
        let outcomes = daemon.answer.take();
        let again = match (&outcomes, daemon.operations.front()) {
            (Some(Outcomes::Lost), Some(Operation::Recover(_))) => true,
            (Some(Outcomes::Lost), Some(Operation::Effect(effect))) => {
                matches!(
                    **effect,
                    Effect::RecordEnded { .. } | Effect::RecordWait(_) | Effect::ReadFlights
                )
            }
            _ => false,
        };
        let operation = if again { None } else { daemon.operations.pop_front() };
        match outcomes {
            Some(Outcomes::Events(events)) => self.heard(node, events),
            Some(Outcomes::Lost) => self.heard_nothing(node, operation),
            None => {}
        }
        self.send_next(node, if again { 1_000 } else { 0 });
    }

    fn heard(&mut self, node: usize, events: Vec<Event>) {
        for event in events {
            let recovered = matches!(event, Event::Recovered(_));
            self.turn(node, event);
            if recovered {
                self.at(self.now_ms, Happening::Reconcile(node));
            }
        }
    }

    fn heard_nothing(&mut self, node: usize, operation: Option<Operation>) {
        let Some(Operation::Effect(effect)) = operation else { return };
        match *effect {
            Effect::Claim(batch) if self.bug == Some(Bug::TimeoutIsSuccess) => {
                let claimed = cronwright::engine::event::ClaimAnswer::Claimed;
                let answers = vec![claimed; batch.rows.len()];
                self.turn(node, Event::Claimed { batch: batch.number, answers });
            }
            Effect::Claim(_) | Effect::SavePlan(_) => self.turn(node, Event::StoreLost),
            _ => {}
        }
    }

    fn ask_lease(&mut self, node: usize) {
        self.at(self.now_ms + 1_000, Happening::AskLease(node));
        if self.nodes[node].daemon.is_none() || self.nodes[node].paused_until_ms > self.now_ms {
            return;
        }
        let now = self.clock();
        let reachable =
            self.now_ms >= self.outage_until_ms && !self.random.chance(self.loss_percent);
        let Some(daemon) = &mut self.nodes[node].daemon else { return };
        if reachable {
            self.ledger.beat(now.boot, &name(node), NODE_LEASE);
            match self.ledger.take_lease(now.boot, &daemon.holder, daemon.bid, LEASE) {
                LeaseAnswer::Held { epoch } => {
                    daemon.lease_until = now.boot.plus(LEASE);
                    daemon.bid = Bid::Again;
                    self.turn(node, Event::LeaseHeld { epoch, until: now.boot.plus(LEASE) });
                }
                LeaseAnswer::HeldBy { .. } => {
                    daemon.resume = Resume::AtOnce;
                    self.turn(node, Event::LeaseLost(LeaseLoss::Taken));
                }
            }
        } else if daemon.lease_until <= now.boot {
            self.turn(node, Event::LeaseLost(LeaseLoss::Unanswered));
        }
        self.foreign_news(node);
    }

    fn foreign_news(&mut self, node: usize) {
        let now = self.clock();
        let Some(daemon) = &self.nodes[node].daemon else { return };
        let ids = daemon.scheduler.foreign_flights();
        if !ids.is_empty() && self.now_ms >= self.outage_until_ms {
            let news = self.ledger.foreign_news(now.boot, &ids);
            let ForeignNews { ended, ownerless, waiting } = news;
            self.turn(node, Event::Foreign { ended, ownerless, waiting });
        }
    }

    // --- faults, edits, requests -----------------------------------------------------------------

    fn crash(&mut self, node: usize) {
        if let Some(mut daemon) = self.nodes[node].daemon.take() {
            if daemon.under_way.is_some() && daemon.answer.is_none() {
                daemon.operations.pop_front().into_iter().for_each(|sent| self.lose(sent));
            }
            let ms = self.random.between(500, CRASH_MS);
            self.disturb(ms);
            let life = self.nodes[node].lives;
            self.at(self.now_ms + ms, Happening::Restart(node, life));
        }
    }

    fn restart(&mut self, node: usize, life: u64) {
        if self.nodes[node].daemon.is_some() || self.nodes[node].lives != life {
            return;
        }
        let first = life == 0;
        self.nodes[node].lives += 1;
        self.nodes[node].paused_until_ms = 0;
        let identity: Arc<str> = format!("p{node}.{life}").into();
        let scheduler = Scheduler::new(&name(node), &identity).with_max_running(self.max_running);
        self.nodes[node].daemon = Some(Daemon {
            life,
            scheduler,
            holder: Holder { node: name(node), identity },
            lease_until: BootTime::default(),
            bid: Bid::First,
            operations: VecDeque::new(),
            under_way: None,
            answer: None,
            resume: Resume::AfterPlan,
        });
        if first {
            self.at(self.now_ms, Happening::AskLease(node));
        }
        // The supervisor says every ending that is not recorded to each new daemon.
        let spool: Vec<_> = self.nodes[node].spool.clone().into_iter().collect();
        for (id, ending) in spool {
            self.turn(node, Event::Ended { id, ending });
        }
    }

    fn reconcile(&mut self, node: usize) {
        if !self.awake(node, Happening::Reconcile(node)) {
            return;
        }
        let sources = Sources {
            names: SOURCES.map(str::to_owned).to_vec(),
            confirmed_absent: (0..JOB_NAMES).map(job_name).collect(),
            confirmed: self.confirmed.clone(),
            ..Sources::default()
        };
        let Some(daemon) = &self.nodes[node].daemon else { return };
        if !matches!(daemon.scheduler.phase(), Phase::AwaitingPlan | Phase::Active) {
            return;
        }
        let scheduler = &daemon.scheduler;
        let revision: Arc<str> = format!("r{}", daemon.life).into();
        let applied = scheduler.applied();
        let mut plan = diff(scheduler.generation(), revision, &self.desired, &applied, &sources);
        renames::chained(&mut plan, &self.former, &applied);
        let at = self.clock().wall;
        for change in &plan.changes {
            let before = change.applied();
            for name in before.map(|job| &job.spec.name).into_iter().chain([change.job()]) {
                self.edits.entry(name.clone()).or_default().push(at);
            }
            if let Some(to) = change.declared() {
                let uid = before.map(|job| job.uid.clone()).or_else(|| self.removed(change.job()));
                self.planned.entry(to.digest.clone()).or_default().insert(uid);
            }
        }
        if self.bug == Some(Bug::RenamesAreNew) {
            plan.changes = plan.changes.into_iter().flat_map(renames::forgotten).collect();
        }
        self.turn(node, Event::Plan(Box::new(plan)));
    }

    /// The job that left this name last.
    fn removed(&self, name: &JobName) -> Option<JobUid> {
        let jobs = self.ledger.load().jobs_in_order();
        let left = |job: &&JobDocument| job.removed_at.is_some() && job.name == name.as_str();
        jobs.iter().rfind(left).map(|job| JobUid(job.uid.as_str().into()))
    }

    fn ask(&mut self) {
        let node = usize::try_from(self.random.next() % self.nodes.len() as u64).unwrap();
        self.requests += 1;
        let id = RequestId::parse(&format!("request-{}", self.requests)).unwrap();
        let job = job_name(self.random.between(0, JOB_NAMES - 1));
        let request = Order {
            id,
            act: Act::Run { job, params: BTreeMap::new(), wait: true, dry_run: false },
            actor: None,
        };
        if self.nodes[node].paused_until_ms <= self.now_ms {
            self.turn(node, Event::Order(request.clone()));
            if self.random.chance(20) {
                self.turn(node, Event::Order(request));
            }
        }
    }

    /// An operator pauses jobs, takes that back, or skips a fire time.
    fn say(&mut self) {
        let node = usize::try_from(self.random.next() % self.nodes.len() as u64).unwrap();
        self.requests += 1;
        let id = RequestId::parse(&format!("request-{}", self.requests)).unwrap();
        let jobs = if self.random.chance(20) {
            Selection::All
        } else {
            Selection::Named(vec![job_name(self.random.between(0, JOB_NAMES - 1))])
        };
        let seconds = i64::try_from(self.random.between(1, 9_000)).unwrap();
        let until = self.clock().wall + TimeDelta::seconds(seconds);
        let until = self.random.chance(60).then_some(until);
        let reason = None;
        let change = match self.random.between(0, 3) {
            0 => OverrideChange::Resume,
            1 => OverrideChange::SkipNext { reason },
            _ => OverrideChange::Pause { reason, until },
        };
        let act = Act::Override { jobs, change };
        let request = Order { id, act, actor: None };
        let twice = self.random.chance(20);
        if self.nodes[node].paused_until_ms <= self.now_ms {
            self.turn(node, Event::Order(request.clone()));
            if twice {
                self.turn(node, Event::Order(request));
            }
        }
    }

    fn edit(&mut self) {
        let index = self.random.between(0, JOB_NAMES - 1);
        if self.random.chance(30) && self.desired.len() > 1 {
            self.desired.remove(&job_name(index));
            if self.random.chance(50) {
                self.confirmed.insert(job_name(index));
            }
        } else {
            self.declare(index);
        }
        self.look_soon();
    }

    /// Somebody gives jobs other names: one of them, a chain (a → b while b → c), or two each other's.
    fn rename(&mut self) {
        let names: Vec<JobName> = self.desired.keys().cloned().collect();
        let first = self.random.pick(&names).clone();
        let second = self.random.pick(&names).clone();
        let third = job_name(self.random.between(0, JOB_NAMES - 1));
        let is_free = !self.desired.contains_key(&third);
        let moves = match self.random.between(0, 2) {
            _ if first == second && !is_free => return,
            _ if first == second => vec![(first, third)],
            0 => vec![(first.clone(), second.clone()), (second, first)],
            1 if is_free => vec![(first, second.clone()), (second, third)],
            _ if is_free => vec![(first, third)],
            _ => return,
        };
        let taken: Vec<_> =
            moves.iter().filter_map(|(from, _)| self.desired.remove(from)).collect();
        for ((from, to), job) in moves.into_iter().zip(taken) {
            self.declare_as(from, to, &job);
        }
        self.look_soon();
    }

    /// Declares a job under another name, half of them with another definition as well.
    fn declare_as(&mut self, from: JobName, to: JobName, job: &DeclaredJob) {
        let triggers =
            if self.random.chance(50) { vec![self.trigger()] } else { job.spec.triggers.clone() };
        let previous_names = vec![from.clone()];
        let spec = JobSpec { name: to, previous_names, triggers, ..JobSpec::clone(&job.spec) };
        let drawn = self.random.next();
        let digest = self.put(drawn, spec);
        self.former.insert(digest, from);
    }

    fn look_soon(&mut self) {
        for node in 0..self.nodes.len() {
            let ms = self.random.between(1, 3_000);
            self.at(self.now_ms + ms, Happening::Reconcile(node));
        }
    }

    /// Declares job `index` anew, with other triggers and policies than before.
    fn declare(&mut self, index: u64) {
        let name = job_name(index);
        let triggers = (0..self.random.between(1, 2)).map(|_| self.trigger()).collect();
        let grace = match self.random.between(0, 2) {
            0 => GraceTime::Unlimited,
            1 => GraceTime::Within(Duration::from_secs(30)),
            _ => GraceTime::Within(Duration::from_hours(1)),
        };
        let spec = JobSpec {
            name: name.clone(),
            description: None,
            enabled: !self.random.chance(5),
            triggers,
            task: Task::Command(vec!["/bin/true".to_owned()]),
            env: BTreeMap::new(),
            working_dir: None,
            secrets: BTreeMap::new(),
            params: Params::default(),
            process: ProcessRules::default(),
            timeout: None,
            total_timeout: None,
            retry: None,
            kill_grace: Duration::from_secs(10),
            output_bytes_max: 1_024,
            overlap: if self.random.chance(20) { Overlap::Allow } else { Overlap::Skip },
            max_instances: u32::try_from(self.random.between(1, 2)).unwrap(),
            max_queued: MAX_QUEUED,
            misfire: Misfire {
                grace_time: grace,
                coalesce: self.random.chance(60),
                max_catch_up: u32::try_from(self.random.between(1, 4)).unwrap(),
            },
            protect: false,
            previous_names: Vec::new(),
            on_remove: OnRemove::default(),
            meta: JobMeta::default(),
        };
        let drawn = self.random.next();
        let on_remove = if drawn.is_multiple_of(2) { OnRemove::Cancel } else { OnRemove::Finish };
        let protect = (drawn / 2) % 100 < 15;
        // A third tries again.
        let retry = (drawn / 512).is_multiple_of(3).then(|| Retry {
            delay: Duration::from_secs(drawn / 1_024 % 60),
            jitter_permille: 500,
            on_lost: if (drawn >> 50).is_multiple_of(2) { OnLost::Retry } else { OnLost::Record },
            ..Retry::of_limit(1 + u32::try_from(drawn / 65_536 % 3).unwrap())
        });
        let total = Duration::from_secs(200 + drawn / 1_048_576 % 400);
        let total_timeout = (drawn / 2_048).is_multiple_of(8).then_some(total);
        // Half of those with a limit wait, or take the place of another.
        let overlap = match (spec.overlap, (drawn >> 40) % 10) {
            (Overlap::Skip, 0..=2) => Overlap::Queue,
            (Overlap::Skip, 3 | 4) => Overlap::Replace,
            (overlap, _) => overlap,
        };
        let more = u32::try_from((drawn >> 45) % 3).unwrap();
        let max_queued = if overlap == Overlap::Queue { 1 + more } else { MAX_QUEUED };
        let spec = JobSpec { protect, on_remove, retry, total_timeout, ..spec };
        self.put(drawn, JobSpec { overlap, max_queued, ..spec });
    }

    /// A definition stands in one of the sources from now on.
    fn put(&mut self, drawn: u64, spec: JobSpec) -> Digest {
        let name = spec.name.clone();
        let digest = Digest(format!("{drawn:032x}").into());
        let spec = Arc::new(spec);
        self.specs.insert(digest.clone(), Arc::clone(&spec));
        let folder = SOURCES[usize::try_from(drawn / 256 % 2).unwrap()];
        let source = SourcePlace { file: format!("{folder}/all.yaml"), line: 1 };
        self.desired.insert(name, DeclaredJob { spec, digest: digest.clone(), source });
        digest
    }

    /// A third has jitter, often more than a period; some leave out windows or days.
    fn trigger(&mut self) -> Trigger {
        let mut trigger = self.plain_trigger();
        if self.random.chance(33) {
            let longest = u64::try_from(JITTER_MAX.as_millis()).unwrap();
            trigger.jitter = Duration::from_millis(self.random.between(5_000, longest));
        }
        if self.random.chance(15) {
            let start = origin()
                + TimeDelta::seconds(
                    i64::try_from(self.random.between(0, self.horizon_ms / 1_000)).unwrap(),
                );
            let minutes = i64::try_from(self.random.between(5, 60)).unwrap();
            trigger
                .filter
                .exclude
                .push(Window::Once { start, end: start + TimeDelta::minutes(minutes) });
        }
        if self.random.chance(15) {
            let (text, minutes) =
                *self.random.pick(&[("0 * * * *", 20), ("7,37 * * * *", 5), ("*/5 * * * *", 1)]);
            trigger.filter.exclude.push(Window::Recurring {
                cron: Box::new(cron(text)),
                duration: Duration::from_mins(minutes),
            });
        }
        if self.random.chance(15) {
            let workdays = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
            let calendar = Arc::new(DayCalendar::new(&workdays, Vec::new(), Vec::new()));
            trigger.filter =
                FireFilter { calendar: Some(calendar), exclude: trigger.filter.exclude };
        }
        // A trigger that its filter leaves nothing of makes a long search each time, and no history.
        let fires = trigger.next_after(origin(), None).is_some();
        if fires { trigger } else { Trigger { filter: FireFilter::default(), ..trigger } }
    }

    fn plain_trigger(&mut self) -> Trigger {
        let periods = [30, 45, 60, 90, 300, 600, 1_800, 3_600];
        if self.random.chance(50) {
            let expressions =
                ["* * * * *", "*/5 * * * *", "7,37 * * * *", "0 * * * *", "*/20 * * * * *"];
            let text = *self.random.pick(&expressions);
            Trigger::from(cron(text))
        } else {
            let period = Duration::from_secs(*self.random.pick(&periods));
            let interval = IntervalTrigger::new(period, Zone::utc()).unwrap();
            Trigger::from(if self.random.chance(50) {
                interval.with_anchor(origin())
            } else {
                interval
            })
        }
    }
}

fn cron(text: &str) -> CronTrigger {
    CronTrigger::new(CronExpr::parse(text, Dialect::Standard).unwrap(), Zone::utc())
}

fn name(node: usize) -> Arc<str> {
    format!("n{node}").into()
}

fn job_name(index: u64) -> JobName {
    JobName::parse(&format!("job-{index}")).unwrap()
}

fn brief(text: &str) -> String {
    text.chars().take(600).collect()
}
