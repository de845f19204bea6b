//! Attempts that wait for what others tell, programs their secrets and directories their user: not in the loop, which
//! would be held up.
//!
//! The loop owns the list. What is told comes back to it as [`Revealed`]; whoever was cancelled meanwhile is not on the
//! list any more, and nothing starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::daemon::Incoming;
use crate::engine::event::Start;
use crate::engine::execution::{AttemptId, Cancelled, Ending, Outcome};
use crate::io::executor::provision::{Provision, ProvisionError, provide};
use crate::io::executor::secrets::SecretPlaces;
use crate::io::executor::unstarted;
use crate::spec::job::JobSpec;
use crate::time::Timestamp;

/// What was told for an attempt.
#[derive(Debug)]
pub struct Revealed {
    pub(super) start: Box<Start>,
    pub(super) given: Result<Provision, ProvisionError>,
}

impl Revealed {
    /// The attempt.
    pub(super) fn attempt(&self) -> AttemptId {
        let row = &self.start.row;
        AttemptId { execution: row.id.clone(), number: row.attempt() }
    }
}

/// For how many attempts others are asked at once; the others wait.
pub(super) const INQUIRIES_MAX: usize = 16;

/// An attempt for which others are to be asked.
pub(super) struct Inquiry {
    pub(super) start: Box<Start>,
    pub(super) spec: Arc<JobSpec>,
    pub(super) base_dir: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) programs: bool,
}

impl Inquiry {
    /// Asks when there is room, in a thread of its own: a stop of the daemon waits for none of them.
    pub(super) async fn asked(self, room: Arc<Semaphore>, loop_: mpsc::Sender<Incoming>) {
        // The semaphore is never closed.
        let Ok(permit) = room.acquire_owned().await else { return };
        let (told, answer) = oneshot::channel();
        let start = self.start.clone();
        let asking = move || {
            let Self { spec, base_dir, environment, programs, .. } = self;
            let (base_dir, environment) = (base_dir.as_path(), &environment);
            let given = provide(&spec, &SecretPlaces { base_dir, environment, programs });
            drop((permit, told.send(given).ok()));
        };
        let begun = Builder::new().name("provision".to_owned()).spawn(asking);
        let why = begun.err().map_or("the daemon is out of order".to_owned(), |e| e.to_string());
        let unasked = |_| Err(ProvisionError::Unasked(why));
        let given = answer.await.unwrap_or_else(unasked);
        // The loop outlives this, except at the very end.
        drop(loop_.send(Incoming::Revealed(Revealed { start, given })).await);
    }
}

/// Who waits, and whose ending is not recorded yet because the daemon stops.
#[derive(Debug, Default)]
pub(super) struct Preparing {
    waiting: BTreeSet<AttemptId>,
    ended: BTreeSet<AttemptId>,
}

impl Preparing {
    /// An attempt waits from now on.
    pub(super) fn add(&mut self, id: AttemptId) {
        self.waiting.insert(id);
    }

    /// It waits no more; whether it did.
    pub(super) fn remove(&mut self, id: &AttemptId) -> bool {
        self.waiting.remove(id)
    }

    /// Whether the ending of one is not recorded.
    pub(super) fn holds(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The ending is recorded.
    pub(super) fn forget(&mut self, id: &AttemptId) {
        self.ended.remove(id);
    }

    /// Nobody is waited for any more; their endings.
    pub(super) fn shut_down(&mut self, now: Timestamp) -> Vec<(AttemptId, Box<Ending>)> {
        let waiting = std::mem::take(&mut self.waiting);
        self.ended.extend(waiting.iter().cloned());
        let ending = || Box::new(cancelled(now, Cancelled::Shutdown));
        waiting.into_iter().map(|id| (id, ending())).collect()
    }
}

/// The ending of an attempt that was cancelled before anything was started.
pub(super) fn cancelled(now: Timestamp, why: Cancelled) -> Ending {
    unstarted(Outcome::Cancelled(why), now, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::execution::ExecutionId;

    #[test]
    fn who_waits_when_the_daemon_stops_has_an_ending_that_must_be_recorded() {
        let id = |text: &str| AttemptId::first(ExecutionId(text.into()));
        let mut preparing = Preparing::default();
        preparing.add(id("a"));
        preparing.add(id("b"));
        assert!(preparing.remove(&id("a")) && !preparing.remove(&id("a")));
        let ended = preparing.shut_down(Timestamp::UNIX_EPOCH);
        let outcomes: Vec<_> =
            ended.iter().map(|(id, ending)| (id.to_string(), ending.outcome)).collect();
        assert_eq!(outcomes, [("b".to_owned(), Outcome::Cancelled(Cancelled::Shutdown))]);
        assert!(preparing.holds() && !preparing.remove(&id("b")));
        preparing.forget(&id("b"));
        assert!(!preparing.holds());
    }
}
