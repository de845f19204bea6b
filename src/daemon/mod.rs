//! The process: wires the engine to the world. The loop turns one event at a time; everything that
//! waits does so in a task of its own and comes back as an event.
//!
//! Start reading at [`run`]. `store_task` carries out store operations in order, `reconciler` looks at
//! the sources, `executor` talks to the supervisor, `lease` holds the right to decide.

pub mod api;
mod book;
mod declaring;
pub mod events;
mod executor;
pub mod failpoint;
mod forward;
mod git_source;
mod going_back;
mod healing;
#[cfg(all(feature = "mongo", feature = "redis"))]
pub mod kinit;
mod lease;
pub mod lifecycle;
mod log;
pub mod look;
mod opening;
mod parts;
mod preparing;
mod reader;
pub mod reconciler;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "redis")]
pub mod redis_events;
pub mod requests;
pub mod settings;
mod standing;
pub mod store_task;
pub mod view;
pub mod zone_watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::daemon::executor::Executor;
use crate::daemon::parts::Parts;
use crate::daemon::preparing::Revealed;
use crate::daemon::requests::{Asked, Waiting};
use crate::daemon::store_task::Operation;
use crate::daemon::view::Applied;
use crate::engine::event::{Effect, Event, LeaseLoss, PlanDone, Resume};
use crate::engine::lifecycle::LifecycleEvent;
use crate::engine::scheduler::Scheduler;
use crate::io::clock::{self, SLEEP_MAX, Sleeper};
use crate::io::store::{ForeignNews, Holder, Store};

pub use crate::daemon::opening::open_store;
pub use crate::daemon::parts::{DaemonError, Handle, Program, start};

/// How many messages may wait for the loop.
pub const INCOMING_MAX: usize = 10_000;
/// How long a stop waits for what must still be written.
const STOP_WITHIN: Duration = Duration::from_millis(1500);
/// How long a stop waits for handlers to end, whatever their `kill_grace`.
const HANDLERS_END_WITHIN: Duration = Duration::from_secs(20);
/// How long the executions that outlive a clean stop are left to the next daemon (C9).
const HAND_OVER: Duration = Duration::from_mins(10);
/// How often the store is asked about executions that other nodes hold.
const FOREIGN_NEWS_EVERY: Duration = Duration::from_secs(1);

/// What comes to the loop.
#[derive(Debug)]
pub enum Incoming {
    /// For the scheduler.
    Event(Event),
    /// Programs have told the secrets of an attempt.
    Revealed(Revealed),
    /// An order, through any door.
    Asked(Asked),
    /// Another node leads.
    Following,
    /// Another daemon has taken this one's place.
    Replaced,
    /// Stop: what runs goes on under the supervisor.
    Stop,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to; so many executions go on.
    Stopped {
        /// How many.
        running: usize,
    },
    /// Another daemon has taken this one's place.
    Replaced,
}

/// The loop and all that it hands effects to.
struct Loop {
    scheduler: Scheduler,
    incoming: mpsc::Receiver<Incoming>,
    store: Arc<dyn Store>,
    holder: Holder,
    executor: Executor,
    waiting: Waiting,
    parts: Parts,
}

impl Loop {
    async fn turn(mut self) -> Ended {
        self.parts.lifecycle.tell([LifecycleEvent::DaemonStarted]);
        let mut sleeper = Sleeper::new();
        let mut foreign_news_at = clock::boot();
        loop {
            let wake_at = clock::wall() + SLEEP_MAX;
            let wake_at = self.scheduler.next_wakeup().map_or(wake_at, |due| due.min(wake_at));
            let incoming = tokio::select! {
                biased;
                incoming = self.incoming.recv() => incoming.unwrap_or(Incoming::Stop),
                _ = sleeper.sleep_until(wake_at) => Incoming::Event(Event::Tick),
            };
            match incoming {
                Incoming::Event(event) => self.handle(event),
                Incoming::Revealed(told) => self.revealed(told),
                Incoming::Asked(asked) => self.asked(asked),
                Incoming::Following => self.following(),
                Incoming::Replaced => return Ended::Replaced,
                Incoming::Stop => return self.stop().await,
            }
            if clock::boot().since(foreign_news_at) >= FOREIGN_NEWS_EVERY {
                foreign_news_at = clock::boot();
                self.ask_foreign_news();
            }
        }
    }

    fn revealed(&mut self, told: Revealed) {
        if let Some(event) = self.executor.revealed(told) {
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let publishes = matches!(event, Event::PlanSaved { .. } | Event::Plan(_));
        let phase = self.scheduler.phase();
        let mut effects = self.scheduler.handle(clock::now(), event);
        if publishes || phase != self.scheduler.phase() {
            self.publish();
        }
        while !effects.is_empty() {
            let mut further = Vec::new();
            for effect in effects {
                if let Some(event) = self.carry_out(effect) {
                    further.extend(self.scheduler.handle(clock::now(), event));
                }
            }
            effects = further;
        }
    }

    /// Hands an effect to who does it. A start that fails at once is an event.
    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        let effect = match Operation::of(effect, &self.holder.node) {
            Ok(operation) => {
                // Bounded by what the scheduler has under way: one claim, one plan, and its executions.
                drop(self.parts.operations.send(operation));
                return None;
            }
            Err(effect) => effect,
        };
        match effect {
            Effect::Start(start) => return self.executor.start(start),
            Effect::Stop { id, force } => return self.executor.stop(&id, force),
            Effect::Forget { id } => {
                self.parts.holdings.forget(&id);
                self.executor.forget(&id);
            }
            Effect::Reply { to, status, execution } => self.waiting.reply(&to, status, execution),
            Effect::PlanDone(done) => self.plan_done(done),
            Effect::Claim(_)
            | Effect::SavePlan(_)
            | Effect::Recover { .. }
            | Effect::RecordStarted { .. }
            | Effect::RecordEnded { .. }
            | Effect::RecordWait(_)
            | Effect::ReadFlights
            | Effect::Note(_) => {}
        }
        None
    }

    fn plan_done(&mut self, done: PlanDone) {
        self.publish();
        // The reconciler has one plan under way at most; when it has gone, nobody waits.
        self.parts.plans_done.try_send(done).ok();
    }

    fn publish(&self) {
        let scheduler = &self.scheduler;
        let before = self.parts.applied.borrow().clone();
        let same_jobs = before.generation == scheduler.generation()
            && before.revision == *scheduler.revision()
            && before.phase == scheduler.phase();
        let (jobs, overrides) = if same_jobs {
            (before.jobs, before.overrides)
        } else {
            (Arc::new(scheduler.applied()), Arc::new(scheduler.overrides().clone()))
        };
        self.parts.applied.send_replace(Applied {
            phase: scheduler.phase(),
            generation: scheduler.generation(),
            revision: Arc::clone(scheduler.revision()),
            pin: scheduler.pin().cloned(),
            jobs,
            overrides,
            in_flight: Arc::new(scheduler.definitions_in_flight()),
        });
    }

    fn asked(&mut self, asked: Asked) {
        if let Some(order) = self.waiting.take_in(asked) {
            self.handle(Event::Order(order));
        }
    }

    /// This node stands by: when it takes over, it runs the set last applied (D14).
    fn following(&mut self) {
        self.parts.resume.send_replace(Resume::AtOnce);
        self.handle(Event::LeaseLost(LeaseLoss::Taken));
    }

    fn ask_foreign_news(&self) {
        let ids = self.scheduler.foreign_flights();
        if ids.is_empty() {
            return;
        }
        let (store, events) = (Arc::clone(&self.store), self.parts.events.clone());
        tokio::spawn(async move {
            // When the store does not answer, it is asked again in a second.
            if let Ok(Ok(news)) = timeout(FOREIGN_NEWS_EVERY, store.foreign_news(&ids)).await {
                let ForeignNews { ended, ownerless, waiting } = news;
                let event = Event::Foreign { ended, ownerless, waiting };
                drop(events.send(Incoming::Event(event)).await);
            }
        });
    }

    /// What runs in this process ends with it, and its endings are recorded. What does not end in time is found
    /// `lost` by the next daemon.
    async fn end_handlers(&mut self) {
        for event in self.executor.end_handlers() {
            self.handle(event);
        }
        self.go_on_while(Executor::handlers_run, HANDLERS_END_WITHIN).await;
        self.go_on_while(Executor::holds_handlers, STOP_WITHIN).await;
    }

    async fn go_on_while(&mut self, is_needed: fn(&Executor) -> bool, limit: Duration) {
        let give_up_at = Instant::now() + limit;
        while is_needed(&self.executor) {
            match timeout_at(give_up_at, self.incoming.recv()).await {
                Ok(Some(Incoming::Event(event))) => self.handle(event),
                Ok(Some(Incoming::Revealed(told))) => self.revealed(told),
                Ok(Some(Incoming::Asked(asked))) => self.asked(asked),
                Ok(Some(Incoming::Following | Incoming::Replaced | Incoming::Stop)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Starts nothing more, writes what must be written, and hands over what runs.
    async fn stop(mut self) -> Ended {
        self.handle(Event::Stopping);
        self.parts.lifecycle.tell([LifecycleEvent::DaemonStopping]);
        self.end_handlers().await;
        let (done, flushed) = oneshot::channel();
        drop(self.parts.operations.send(Operation::Flush(done)));
        drop(timeout(STOP_WITHIN, flushed).await);
        let running = self.scheduler.running();
        let give_up = async {
            drop(self.store.beat(&self.holder.node, HAND_OVER).await);
            drop(self.store.release_lease(&self.holder).await);
        };
        drop(timeout(STOP_WITHIN, give_up).await);
        Ended::Stopped { running }
    }
}
