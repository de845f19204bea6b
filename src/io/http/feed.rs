//! The last events, for whoever reads them over HTTP.
//!
//! Readers take what they have not seen out of one ring, at their own pace: nothing waits for a reader, and one
//! that is too slow finds that the ring has gone on without it, and is told so.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// How many events are held.
pub const EVENTS_HELD_MAX: usize = 4096;
/// How many may read at once.
pub const READERS_MAX: usize = 32;
/// How many events a reader takes at once.
const TAKEN_MAX: usize = 64;

/// The place of an event among all of this daemon, also after a restart: when it began, in milliseconds since
/// 1970, and the number of the event since then, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// When the daemon began.
    pub began_ms: u64,
    /// How many events there were since, this one among them.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.began_ms, self.number)
    }
}

impl FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (began_ms, number) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { began_ms: began_ms.parse()?, number: number.parse()? })
    }
}

/// An event, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its place.
    pub id: EventId,
    /// One line of JSON.
    pub text: Arc<str>,
}

/// What a reader finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Events were lost to this reader.
    Gap {
        /// The last before it.
        after: EventId,
        /// The last of it.
        until: EventId,
        /// How many; none: nobody knows, the daemon was another one.
        lost: Option<u64>,
    },
    /// Events, oldest first.
    Events(Vec<Held>),
    /// Nothing, for as long as the reader would wait.
    Nothing,
    /// There will be no more.
    Closed,
}

/// The last events; copies are of the same ones.
#[derive(Debug, Clone)]
pub struct EventFeed {
    ring: Arc<Mutex<Ring>>,
    changes: watch::Sender<()>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Ring {
    began_ms: u64,
    /// The number of the newest event.
    number: u64,
    held: VecDeque<Held>,
    is_closed: bool,
}

/// Somebody who reads.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Mutex<Ring>>,
    changes: watch::Receiver<()>,
    /// The last that was read, or was told to be lost.
    at: EventId,
    follows: bool,
    _place: OwnedSemaphorePermit,
}

impl EventFeed {
    /// No events yet, of a daemon that began then.
    pub fn new(began_ms: u64) -> Self {
        let ring = Ring { began_ms, number: 0, held: VecDeque::new(), is_closed: false };
        Self {
            ring: Arc::new(Mutex::new(ring)),
            changes: watch::channel(()).0,
            places: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// Adds an event that is made with its id; so it is returned.
    pub fn push(&self, make: impl FnOnce(EventId) -> String) -> Held {
        let mut ring = locked(&self.ring);
        ring.number = ring.number.saturating_add(1);
        let id = ring.newest();
        let held = Held { id, text: make(id).into() };
        if ring.held.len() >= EVENTS_HELD_MAX {
            ring.held.pop_front();
        }
        ring.held.push_back(held.clone());
        drop(ring);
        self.changes.send_replace(());
        held
    }

    /// So many events came that nobody could take in.
    pub fn lose(&self, count: u64) {
        let mut ring = locked(&self.ring);
        ring.number = ring.number.saturating_add(count);
    }

    /// There will be no more: readers end when they have read all.
    pub fn close(&self) {
        locked(&self.ring).is_closed = true;
        self.changes.send_replace(());
    }

    /// Reads what came after `since`; without it, all that is held, or what comes from now on when it `follows`.
    /// None: too many read already.
    pub fn read(&self, since: Option<EventId>, follows: bool) -> Option<Reader> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        // Before the ring is looked at: what comes after that is a change.
        let changes = self.changes.subscribe();
        let ring = locked(&self.ring);
        let at =
            since.unwrap_or_else(|| if follows { ring.newest() } else { ring.before_oldest() });
        drop(ring);
        Some(Reader { ring: Arc::clone(&self.ring), changes, at, follows, _place: place })
    }
}

impl Reader {
    /// The last that was read.
    pub fn at(&self) -> EventId {
        self.at
    }

    /// What is new; waits for it so long.
    pub async fn next(&mut self, within: Duration) -> News {
        loop {
            self.changes.borrow_and_update();
            let news = locked(&self.ring).after(self.at);
            match &news {
                News::Gap { until, .. } => self.at = *until,
                News::Events(events) => self.at = events.last().map_or(self.at, |held| held.id),
                News::Nothing if !self.follows => return News::Closed,
                News::Nothing => match timeout(within, self.changes.changed()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return News::Closed,
                    Err(_) => {}
                },
                News::Closed => {}
            }
            return news;
        }
    }
}

impl Ring {
    fn newest(&self) -> EventId {
        EventId { began_ms: self.began_ms, number: self.number }
    }

    /// The id before the oldest event that is held.
    fn before_oldest(&self) -> EventId {
        let number = self.held.front().map_or(self.number, |held| held.id.number.saturating_sub(1));
        EventId { began_ms: self.began_ms, number }
    }

    /// What somebody finds who has read so far.
    fn after(&self, at: EventId) -> News {
        if at.began_ms != self.began_ms || at > self.newest() {
            return News::Gap { after: at, until: self.before_oldest(), lost: None };
        }
        let begins = self.held.partition_point(|held| held.id <= at);
        let Some(first) = self.held.get(begins) else {
            return if self.is_closed { News::Closed } else { News::Nothing };
        };
        let is_next = |before: EventId, after: EventId| after.number - before.number == 1;
        if !is_next(at, first.id) {
            let until = EventId { number: first.id.number - 1, ..first.id };
            return News::Gap { after: at, until, lost: Some(until.number - at.number) };
        }
        let mut events: Vec<Held> = Vec::new();
        for held in self.held.range(begins..).take(TAKEN_MAX) {
            if events.last().is_some_and(|last| !is_next(last.id, held.id)) {
                break;
            }
            events.push(held.clone());
        }
        News::Events(events)
    }
}

fn locked(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn id(began_ms: u64, number: u64) -> EventId {
        EventId { began_ms, number }
    }

    fn push(feed: &EventFeed, count: usize) {
        for _ in 0..count {
            feed.push(|id| id.to_string());
        }
    }

    /// What a reader finds until nothing is new, in words.
    async fn told(reader: &mut Reader) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            match reader.next(SOON).await {
                News::Gap { after, until, lost } => {
                    told.push(format!("gap {after}..{until} {lost:?}"));
                }
                News::Events(events) => {
                    told.extend(events.iter().map(|held| held.text.to_string()));
                }
                News::Nothing => return told,
                News::Closed => {
                    told.push("closed".to_owned());
                    return told;
                }
            }
        }
    }

    #[test]
    fn ids_grow_and_are_read_as_they_are_written() {
        assert!(id(7, 99) < id(8, 1) && id(8, 9) < id(8, 10));
        assert_eq!(id(1_764_000_000_000, 12).to_string().parse(), Ok(id(1_764_000_000_000, 12)));
        assert_eq!("0".parse(), Ok(id(0, 0)));
        for text in ["", "-", "1-", "a-1", "-1", "1-2-3"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn who_follows_hears_what_comes_and_who_does_not_what_is_held() {
        let feed = EventFeed::new(7);
        push(&feed, 2);
        let mut held = feed.read(None, false).unwrap();
        assert_eq!(told(&mut held).await, ["7-1", "7-2", "closed"]);
        let mut follows = feed.read(None, true).unwrap();
        assert_eq!(told(&mut follows).await, [""; 0]);
        push(&feed, 1);
        assert_eq!(told(&mut follows).await, ["7-3"]);
        let mut since = feed.read(Some(id(7, 1)), true).unwrap();
        assert_eq!(told(&mut since).await, ["7-2", "7-3"]);
        feed.close();
        assert_eq!(told(&mut since).await, ["closed"]);
    }

    #[tokio::test]
    async fn who_is_too_slow_or_comes_from_before_is_told_of_the_gap() {
        let feed = EventFeed::new(7);
        push(&feed, 1);
        let mut slow = feed.read(Some(id(7, 1)), true).unwrap();
        push(&feed, EVENTS_HELD_MAX + 4);
        let heard = told(&mut slow).await;
        assert_eq!(heard[..2], ["gap 7-1..7-5 Some(4)", "7-6"]);
        assert_eq!(heard.len(), 1 + EVENTS_HELD_MAX);

        let mut of_before = feed.read(Some(id(6, 900)), true).unwrap();
        assert_eq!(told(&mut of_before).await[..2], ["gap 6-900..7-5 None", "7-6"]);
        let mut of_nowhere = feed.read(Some(id(7, 1_000_000)), true).unwrap();
        assert_eq!(told(&mut of_nowhere).await[0], "gap 7-1000000..7-5 None");
    }

    #[tokio::test]
    async fn events_that_nobody_could_take_in_are_a_gap_in_the_middle() {
        let feed = EventFeed::new(7);
        push(&feed, 1);
        feed.lose(10);
        push(&feed, 1);
        let mut reader = feed.read(None, false).unwrap();
        assert_eq!(told(&mut reader).await, ["7-1", "gap 7-1..7-11 Some(10)", "7-12", "closed"]);
    }

    #[tokio::test]
    async fn so_many_read_at_once_and_no_more() {
        let feed = EventFeed::new(7);
        let mut readers: Vec<_> =
            (0..READERS_MAX).map(|_| feed.read(None, true).unwrap()).collect();
        assert!(feed.read(None, true).is_none());
        readers.pop();
        assert!(feed.read(None, true).is_some());
    }
}
