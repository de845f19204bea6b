//! Telling whoever subscribed what happens to jobs and executions.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::engine::event::{ClaimAnswer, ClaimBatch, PlanWrites};
use crate::engine::execution::Row;
use crate::engine::lifecycle::{LifecycleEvent, Teller, planned};
use crate::io::store::RowChange;

/// How many events are kept for a subscriber that is slower than they come.
pub const EVENTS_MAX: usize = 4096;

/// Where events are told; copies tell to the same subscribers.
#[derive(Debug, Clone)]
pub struct Lifecycle(Sender<LifecycleEvent>);

/// What a subscriber is told next.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// This.
    Event(Box<LifecycleEvent>),
    /// It came too late for so many: they are gone. The ledger has what they were about.
    Lagged(u64),
}

/// A subscription, from when it was made.
#[derive(Debug)]
pub struct Subscription(Receiver<LifecycleEvent>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(broadcast::channel(EVENTS_MAX).0)
    }
}

impl Lifecycle {
    /// Everything that is told from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }

    pub(super) fn tell(&self, events: impl IntoIterator<Item = LifecycleEvent>) {
        for event in events {
            // Nobody has subscribed: nobody is told.
            self.0.send(event).ok();
        }
    }
}

impl Subscription {
    /// Waits for the next event; none: the daemon has gone, and so have all who could tell.
    pub async fn next(&mut self) -> Option<Told> {
        match self.0.recv().await {
            Ok(event) => Some(Told::Event(Box::new(event))),
            Err(RecvError::Lagged(count)) => Some(Told::Lagged(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Tells what the store has been made to hold.
pub(super) struct Telling {
    to: Lifecycle,
    /// The executions that are in flight.
    teller: Mutex<Teller>,
}

impl Telling {
    pub(super) fn to(lifecycle: &Lifecycle) -> Self {
        Self { to: lifecycle.clone(), teller: Mutex::default() }
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recovered(&self, rows: &[Row]) {
        self.teller().recovered(rows);
    }

    pub(super) fn claimed(&self, batch: &ClaimBatch, answers: &[ClaimAnswer]) {
        self.to.tell(self.teller().claimed(batch, answers));
    }

    pub(super) fn planned(&self, plan: &PlanWrites) {
        self.to.tell(planned(plan));
    }

    pub(super) fn recorded(&self, changes: &[RowChange]) {
        let mut teller = self.teller();
        for change in changes {
            match change {
                RowChange::Started { id, at, .. } => self.to.tell(teller.started(id, *at)),
                RowChange::Waits { wait, .. } => {
                    self.to.tell(teller.waits(&wait.attempt(), &wait.last, wait.until));
                }
                RowChange::Ended { id, ending, .. } => self.to.tell(teller.ended(id, ending)),
            }
        }
    }
}
