//! A thread for long work that nobody's fire time waits for: reading and parsing manifests.
//!
//! It runs at a lower priority than the rest of the daemon, and so do threads that its work starts: while
//! thousands of files are read on a busy machine, jobs go on starting on time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// How much lower: `nice`.
const NICENESS: i32 = 10;
/// How much work may wait for its turn.
const WAITING_MAX: usize = 4;

/// A piece of work, which sends its result itself.
type Work = Box<dyn FnOnce() + Send>;

/// The thread. It ends with the last of those who may ask it.
#[derive(Debug, Clone)]
pub struct Background(mpsc::Sender<Work>);

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub fn start() -> std::io::Result<Self> {
        let (work, mut todo) = mpsc::channel::<Work>(WAITING_MAX);
        let turn = move || {
            // On Linux this is the priority of the calling thread. Without it the work is done as well.
            let _lowered = rustix::process::setpriority_process(None, NICENESS);
            while let Some(work) = todo.blocking_recv() {
                // Whoever waits hears of a panic because nothing is sent.
                drop(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        thread::Builder::new().name("background".to_owned()).spawn(turn)?;
        Ok(Self(work))
    }

    /// Does the work after all that came before; none: it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let work = move || drop(done.send(work()));
        self.0.send(Box::new(work)).await.ok()?;
        result.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_in_its_turn_at_a_lower_priority_and_a_panic_stops_nothing() {
        let background = Background::start().unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let here = niceness();
        let there = background.run(niceness).await.unwrap();
        assert_eq!(there, (here + NICENESS).min(19));
        assert_eq!(niceness(), here, "only that thread");
        assert_eq!(background.run(|| -> u8 { panic!("meant") }).await, None);
        assert_eq!(
            background
                .run(|| thread::current().name().map(str::to_owned))
                .await
                .flatten()
                .as_deref(),
            Some("background")
        );
    }
}
