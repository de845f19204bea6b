//! The store's task: carries out store operations in the order in which the scheduler asks for them.
//!
//! That order is what makes an ending free its slot before the next claim wants it. A plan alone is written
//! beside what comes after it: the jobs that it changes stand still until it is saved, and the fires of all
//! others do not wait for it (D6). Whoever reads the store, or ends, waits for it. Records are written
//! in groups and as often as it takes; a claim has one try before its deadline; a recovery is tried until
//! the store answers. What an answer means is the scheduler's to say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::daemon::Incoming;
use crate::daemon::book::Book;
use crate::daemon::executor::Holdings;
use crate::daemon::failpoint::failpoint;
use crate::daemon::lifecycle::Telling;
use crate::engine::event::{ClaimBatch, Effect, Event, Note, PlanWrites, Recovery, Resume};
use crate::engine::execution::ExecutionId;
use crate::engine::overrides::Overrides;
use crate::engine::plan::AppliedSet;
use crate::engine::removed::Removed;
use crate::io::clock;
use crate::io::store::document::{JobDocument, PinDocument};
use crate::io::store::{Contents, Guard, PlanAnswer, RowChange, Store, StoreError};
use crate::time::Timestamp;

/// How long a plan may take: ten thousand jobs on a slow store.
const PLAN_DEADLINE: Duration = Duration::from_secs(20);
/// How long any other operation may take.
const OPERATION_DEADLINE: Duration = Duration::from_secs(10);
/// The longest pause between tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How many changes of rows are written together.
const RECORD_GROUP_MAX: usize = 500;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Operation {
    Claim(ClaimBatch),
    SavePlan(Box<PlanWrites>),
    Recover(u64),
    Record(RowChange),
    ReadFlights,
    Note(Timestamp, Note),
    /// Answered when everything before it is done.
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl Operation {
    /// The operation of an effect that is one.
    pub(super) fn of(effect: Effect, node: &Arc<str>) -> Result<Self, Effect> {
        match effect {
            Effect::Claim(batch) => Ok(Self::Claim(batch)),
            Effect::SavePlan(plan) => Ok(Self::SavePlan(plan)),
            Effect::Recover { number } => Ok(Self::Recover(number)),
            Effect::RecordStarted { id, epoch, at } => {
                Ok(Self::Record(RowChange::Started { id, epoch, at }))
            }
            Effect::RecordEnded { id, epoch, ending } => {
                let guard = epoch.map_or_else(|| Guard::Node(Arc::clone(node)), Guard::Epoch);
                Ok(Self::Record(RowChange::Ended { id, guard, ending }))
            }
            Effect::RecordWait(wait) => {
                Ok(Self::Record(RowChange::Waits { guard: Guard::Epoch(wait.epoch), wait }))
            }
            Effect::ReadFlights => Ok(Self::ReadFlights),
            Effect::Note(note) => Ok(Self::Note(clock::now().wall, note)),
            other @ (Effect::Start(_)
            | Effect::Stop { .. }
            | Effect::Forget { .. }
            | Effect::Reply { .. }
            | Effect::PlanDone(_)) => Err(other),
        }
    }
}

/// Whether the store answers, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It does.
    Healthy,
    /// It does not.
    Away {
        /// Since when.
        since: Timestamp,
        /// What the last try said.
        error: String,
    },
}

/// The task.
pub(super) struct StoreTask {
    pub(super) store: Arc<dyn Store>,
    pub(super) node: Arc<str>,
    pub(super) book: Arc<Book>,
    pub(super) resume: watch::Receiver<Resume>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) health: watch::Sender<StoreHealth>,
    pub(super) telling: Telling,
}

/// The plan that is being written, if any.
#[derive(Default)]
struct Saving(Option<JoinHandle<()>>);

impl Saving {
    async fn done(&mut self) {
        if let Some(plan) = self.0.take() {
            // It says itself what became of it.
            drop(plan.await);
        }
    }
}

impl StoreTask {
    pub(super) async fn work(self, mut operations: mpsc::UnboundedReceiver<Operation>) {
        let task = Arc::new(self);
        let mut saving = Saving::default();
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match operations.recv().await {
                    Some(operation) => waiting.push_back(operation),
                    None => return saving.done().await,
                }
            }
            while let Ok(operation) = operations.try_recv() {
                waiting.push_back(operation);
            }
            match waiting.pop_front() {
                Some(Operation::Claim(batch)) => task.claim(&batch).await,
                Some(Operation::SavePlan(plan)) => {
                    saving.done().await;
                    let task = Arc::clone(&task);
                    let save = async move { task.save_plan(&plan).await };
                    saving = Saving(Some(tokio::spawn(save)));
                }
                Some(Operation::Recover(number)) => {
                    saving.done().await;
                    task.recover(number).await;
                }
                Some(Operation::Record(change)) => {
                    let changes = take_records(change, &mut waiting);
                    task.record(&changes).await;
                }
                Some(Operation::ReadFlights) => task.read_flights().await,
                Some(Operation::Note(at, note)) => task.note(at, &note).await,
                Some(Operation::Flush(done)) => {
                    saving.done().await;
                    // Whoever waits may have gone.
                    done.send(()).ok();
                }
                None => {}
            }
        }
    }

    async fn send(&self, event: Event) {
        // The loop outlives this task, except at the very end.
        drop(self.events.send(Incoming::Event(event)).await);
    }

    async fn claim(&self, batch: &ClaimBatch) {
        failpoint("before_claim");
        let left = batch.deadline.since(clock::boot());
        let answer = match timeout(left, self.store.claim(batch)).await {
            Ok(answer) => answer,
            Err(_) => Err(silent("claim")),
        };
        failpoint("after_claim");
        match answer {
            Ok(answers) => {
                self.healthy();
                self.telling.claimed(batch, &answers);
                self.send(Event::Claimed { batch: batch.number, answers }).await;
            }
            Err(error) => self.lost(&error).await,
        }
    }

    async fn save_plan(&self, plan: &PlanWrites) {
        failpoint("before_plan");
        let left = plan.deadline.since(clock::boot()).min(PLAN_DEADLINE);
        let answer = match timeout(left, self.store.save_plan(plan)).await {
            Ok(answer) => answer,
            Err(_) => Err(silent("write a plan")),
        };
        failpoint("after_plan");
        match answer {
            Ok(PlanAnswer::Saved { generation }) => {
                self.healthy();
                self.telling.planned(plan);
                self.send(Event::PlanSaved { generation }).await;
            }
            Ok(PlanAnswer::Stale) => self.send(Event::PlanStale).await,
            Err(error) => self.lost(&error).await,
        }
    }

    /// Reads the store, again and again until it answers.
    async fn recover(&self, number: u64) {
        let mut pause = Duration::from_millis(100);
        loop {
            let contents = match timeout(OPERATION_DEADLINE, self.store.load()).await {
                Ok(contents) => contents,
                Err(_) => Err(silent("read the ledger")),
            };
            match contents {
                Ok(contents) => {
                    self.healthy();
                    let recovery = self.recovery(number, contents).await;
                    self.telling.recovered(&recovery.in_flight);
                    failpoint("recovered");
                    return self.send(Event::Recovered(Box::new(recovery))).await;
                }
                Err(error) => self.unhealthy(&error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    async fn recovery(&self, number: u64, mut contents: Contents) -> Recovery {
        let supervised = self.holdings.list();
        let (mut jobs, mut removed) = (AppliedSet::new(), Removed::default());
        self.book.read_last_good(&contents.jobs, &contents.in_flight).await;
        for document in contents.jobs_in_order() {
            let (uid, gone) = (document.uid.clone(), document.removed_at.is_some());
            let Some(spec) = self.book.definition(&document) else {
                error!(job = %document.name, uid, "a stored job cannot be read and does not run");
                continue;
            };
            let job = JobDocument::applied(document, spec);
            if gone {
                removed.push(job);
            } else {
                jobs.insert(job.spec.name.clone(), job);
            }
        }
        let mut overrides = Overrides::new();
        for document in contents.overrides {
            match document.said() {
                Ok((uid, said)) => drop(overrides.insert(uid, said)),
                Err(error) => {
                    error!(%error, "a stored override cannot be read and counts for nothing");
                }
            }
        }
        Recovery {
            number,
            generation: contents.generation,
            revision: contents.revision.as_str().into(),
            pin: contents.pin.map(PinDocument::pin),
            jobs,
            removed,
            overrides,
            watermark: contents.watermark,
            covered: contents.covered,
            in_flight: contents.in_flight,
            supervised,
            resume: *self.resume.borrow(),
        }
    }

    /// Writes changes of rows, as often as it takes: doing it again changes nothing.
    async fn record(&self, changes: &[RowChange]) {
        failpoint("before_record");
        let mut pause = Duration::from_millis(50);
        loop {
            let answer = match timeout(OPERATION_DEADLINE, self.store.record(changes)).await {
                Ok(answer) => answer,
                Err(_) => Err(silent("record")),
            };
            match answer {
                Ok(_) => break self.healthy(),
                Err(error) => self.lost(&error).await,
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
        self.telling.recorded(changes);
        failpoint("after_record");
        for change in changes {
            if let Some(id) = change.ended() {
                self.send(Event::Recorded { id }).await;
            }
        }
    }

    /// Reads the rows that have not ended, again and again until the store answers.
    async fn read_flights(&self) {
        let mut pause = Duration::from_millis(100);
        loop {
            match timeout(OPERATION_DEADLINE, self.store.in_flight()).await {
                Ok(Ok(rows)) => break self.send(Event::Flights(rows)).await,
                Ok(Err(error)) => self.unhealthy(&error),
                Err(_) => self.unhealthy(&silent("read the ledger")),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Notes are worth a few tries.
    async fn note(&self, at: Timestamp, note: &Note) {
        for _ in 0..3 {
            let written = timeout(OPERATION_DEADLINE, self.store.note(at, &self.node, note)).await;
            match written {
                Ok(Ok(())) => return,
                Ok(Err(error)) => warn!(%error, "cannot keep a note"),
                Err(_) => warn!("cannot keep a note: the store does not answer"),
            }
            sleep(RETRY_PAUSE_MAX).await;
        }
    }

    fn healthy(&self) {
        self.health.send_if_modified(|health| {
            let was_away = *health != StoreHealth::Healthy;
            if was_away {
                warn!("the store answers again");
                *health = StoreHealth::Healthy;
            }
            was_away
        });
    }

    fn unhealthy(&self, error: &StoreError) {
        self.health.send_if_modified(|health| {
            let since = match health {
                StoreHealth::Healthy => {
                    warn!(%error, "the store does not answer; nothing new starts, what runs goes on");
                    clock::now().wall
                }
                StoreHealth::Away { since, .. } => *since,
            };
            *health = StoreHealth::Away { since, error: error.to_string() };
            true
        });
    }

    async fn lost(&self, error: &StoreError) {
        self.unhealthy(error);
        self.send(Event::StoreLost).await;
    }
}

fn silent(act: &'static str) -> StoreError {
    StoreError::Failed { act, message: "no answer in time".to_owned() }
}

/// The changes that stand together at the front. Starts that an ending follows are left out.
fn take_records(first: RowChange, waiting: &mut VecDeque<Operation>) -> Vec<RowChange> {
    let mut changes = vec![first];
    while changes.len() < RECORD_GROUP_MAX
        && let Some(Operation::Record(_)) = waiting.front()
    {
        if let Some(Operation::Record(change)) = waiting.pop_front() {
            changes.push(change);
        }
    }
    let ended: Vec<ExecutionId> =
        changes.iter().filter_map(|change| change.ended().map(|id| id.execution)).collect();
    changes.retain(|change| match change {
        RowChange::Started { id, .. } => !ended.contains(id),
        RowChange::Waits { .. } | RowChange::Ended { .. } => true,
    });
    changes
}
