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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::daemon::lifecycle::{EVENTS_MAX, Lifecycle};
    use crate::io::http::feed::News;
    use crate::spec::job::JobName;

    #[tokio::test]
    async fn what_redis_has_no_room_for_is_counted_and_everybody_else_is_told() {
        let lifecycle = Lifecycle::default();
        let subscription = lifecycle.subscribe();
        let (to, mut waiting) = mpsc::channel(2);
        let (dropped, dropped_now) = watch::channel(0);
        let queue = Queue { to, dropped, told: tokio::spawn(async {}) };
        let feed = EventFeed::new(7);
        let outlets = Outlets { node: "a".into(), feed: feed.clone(), redis: Some(queue) };
        let job = JobName::parse("etl").unwrap();
        lifecycle.tell([LifecycleEvent::DaemonStarted, LifecycleEvent::JobAdded(job.clone())]);
        lifecycle.tell([LifecycleEvent::JobChanged(job), LifecycleEvent::DaemonStopping]);
        let (stop, stopped) = watch::channel(true);
        outlets.tell(subscription, stopped).await;
        drop(stop);

        let mut reader = feed.read(None, false).unwrap();
        let News::Events(held) = reader.next(Duration::ZERO).await else { panic!("no events") };
        assert_eq!(held.len(), 4, "also what came just before the stop");
        assert_eq!(reader.next(Duration::ZERO).await, News::Closed);
        let mut queued = Vec::new();
        while let Some(event) = waiting.recv().await {
            queued.push(format!("{} {}", event.id, event.kind));
        }
        assert_eq!(
            queued,
            ["7-1 dev.cronwright.daemon.started.v1", "7-2 dev.cronwright.job.added.v1"]
        );
        assert_eq!(*dropped_now.borrow(), 2);
    }

    #[tokio::test]
    async fn events_that_came_too_fast_are_a_gap() {
        let lifecycle = Lifecycle::default();
        let subscription = lifecycle.subscribe();
        let feed = EventFeed::new(7);
        let outlets = Outlets { node: "a".into(), feed: feed.clone(), redis: None };
        for _ in 0..EVENTS_MAX + 5 {
            lifecycle.tell([LifecycleEvent::DaemonStarted]);
        }
        let (_stop, stopped) = watch::channel(true);
        outlets.tell(subscription, stopped).await;
        let mut reader = feed.read("7-0".parse().ok(), false).unwrap();
        let gap = reader.next(Duration::ZERO).await;
        assert!(matches!(gap, News::Gap { lost: Some(5), .. }), "{gap:?}");
    }
}
