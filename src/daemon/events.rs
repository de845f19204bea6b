//! Telling what happens to those outside of the process: the feed that HTTP reads, and a queue towards Redis.
//!
//! Each node tells what it has written itself, so that every event is told once. Nothing here is waited for.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::daemon::lifecycle::{Subscription, Told};
use crate::engine::lifecycle::LifecycleEvent;
use crate::io::clock;
use crate::io::http::documents::event::EventDocument;
use crate::io::http::feed::EventFeed;

/// How many events may wait for Redis.
pub const WAITING_MAX: usize = 4096;

/// An event on its way to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// One line of JSON.
    pub text: Arc<str>,
}

/// Where events go.
pub struct Outlets {
    /// The node that they are of.
    pub node: Arc<str>,
    /// What HTTP reads.
    pub feed: EventFeed,
    /// The way to Redis, when it is wanted there.
    pub redis: Option<Queue>,
}

/// A queue that drops what it has no room for.
pub struct Queue {
    /// The way.
    pub to: mpsc::Sender<Outgoing>,
    /// How many were dropped.
    pub dropped: watch::Sender<u64>,
    /// Ends when the way has ended and all that was on it is told.
    pub told: JoinHandle<()>,
}

impl Outlets {
    /// Tells until the daemon has `stopped` and all is told. `subscription` is from before it began.
    pub async fn tell(self, mut subscription: Subscription, mut stopped: watch::Receiver<bool>) {
        loop {
            let told = tokio::select! {
                // What was told before the stop comes first.
                biased;
                told = subscription.next() => told,
                _ = stopped.wait_for(|stopped| *stopped) => None,
            };
            match told {
                Some(Told::Event(event)) => self.event(&event),
                Some(Told::Lagged(count)) => {
                    warn!(
                        count,
                        "events came too fast to be told; the ledger has what they were about"
                    );
                    self.feed.lose(count);
                }
                None => break,
            }
        }
        self.feed.close();
        if let Some(Queue { to, told, .. }) = self.redis {
            drop(to);
            drop(told.await);
        }
    }

    fn event(&self, event: &LifecycleEvent) {
        let mut kind = String::new();
        let held = self.feed.push(|id| {
            let document = EventDocument::of(event, id, &self.node, clock::now().wall);
            kind.clone_from(&document.kind);
            document.line()
        });
        if let Some(queue) = &self.redis {
            queue.add(Outgoing { id: held.id.to_string(), kind, text: held.text });
        }
    }
}

impl Queue {
    fn add(&self, event: Outgoing) {
        if self.to.try_send(event).is_err() {
            self.dropped.send_modify(|dropped| *dropped = dropped.saturating_add(1));
        }
    }
}

/// A feed of a daemon that begins now.
pub fn feed() -> EventFeed {
    EventFeed::new(u64::try_from(clock::wall().timestamp_millis()).unwrap_or_default())
}
