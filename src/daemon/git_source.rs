//! The task that follows a repository elsewhere: asked every interval, and at once by SIGHUP and `apply`.
//!
//! It fetches and reads; the reconciler takes [`GitReading`]s in with the folders. Whatever goes wrong,
//! the reading keeps the commit that was accepted last, and says what is wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::info;

use crate::daemon::settings::Settings;
use crate::io::clock;
use crate::io::git::{Accepted, GitFault, GitReading, Mirror};

/// The wait after the first failure; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest wait after a failure, where the interval is shorter.
const RETRY_MAX: Duration = Duration::from_mins(5);
/// By how much an interval is lengthened at most, as a divisor, so that daemons spread out.
const JITTER_DIVISOR: u32 = 10;
/// How long whoever asks waits for the server.
const ASKED_WITHIN: Duration = Duration::from_secs(20);
/// How many may be asking.
const ASKED_MAX: usize = 64;

/// The reconciler's end. Where the settings name no repository, it never has anything to say.
pub(super) struct GitView(Option<Ends>);

struct Ends {
    reading: watch::Receiver<Option<Arc<GitReading>>>,
    ask: mpsc::Sender<oneshot::Sender<()>>,
}

/// The task.
struct GitTask {
    mirror: Arc<Mirror>,
    name: Arc<str>,
    interval: Duration,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    reading: watch::Sender<Option<Arc<GitReading>>>,
}

/// Starts to follow the repository of the settings, if they name one.
pub(super) fn follow(settings: &Settings) -> GitView {
    let Some(git) = &settings.git else { return GitView(None) };
    let (ask, asked) = mpsc::channel(ASKED_MAX);
    let (reading, reading_now) = watch::channel(None);
    let task = GitTask {
        mirror: Arc::new(Mirror::new(git.remote.clone(), &settings.state_dir.join("git"))),
        name: git.name.as_str().into(),
        interval: git.interval,
        asked,
        reading,
    };
    tokio::spawn(task.work());
    GitView(Some(Ends { reading: reading_now, ask }))
}

impl GitView {
    /// Waits until the clone has been opened; the server is not waited for.
    pub(super) async fn opened(&mut self) {
        if let Some(ends) = &mut self.0 {
            drop(ends.reading.wait_for(Option::is_some).await);
        }
    }

    /// What there is now.
    pub(super) fn now(&self) -> Option<Arc<GitReading>> {
        self.0.as_ref()?.reading.borrow().clone()
    }

    /// What there is now counts as seen.
    pub(super) fn mark_seen(&mut self) {
        if let Some(ends) = &mut self.0 {
            ends.reading.mark_unchanged();
        }
    }

    /// Waits until there is something else than what was seen. Safe to drop before it ends.
    pub(super) async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Some(ends) => ends.reading.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }

    /// Has the server asked now, and waits a while for what it says.
    pub(super) async fn fetch_now(&self) {
        let Some(ends) = &self.0 else { return };
        let (done, fetched) = oneshot::channel();
        if ends.ask.send(done).await.is_ok() {
            drop(timeout(ASKED_WITHIN, fetched).await);
        }
    }
}

impl GitTask {
    async fn work(mut self) {
        let mirror = Arc::clone(&self.mirror);
        let opened = tokio::task::spawn_blocking(move || mirror.accepted()).await;
        let mut accepted = opened.ok().flatten();
        self.publish(accepted.as_ref(), Some(GitFault::NotTried).filter(|_| accepted.is_none()));
        let (mut failures, mut waiting) = (0, Vec::<oneshot::Sender<()>>::new());
        loop {
            let fault = self.update(&mut accepted).await;
            failures = if fault.is_some() { failures + 1 } else { 0 };
            self.publish(accepted.as_ref(), fault);
            for done in waiting.drain(..) {
                done.send(()).ok();
            }
            let pause = pause(self.interval, failures, random());
            if let Ok(asked) = timeout(pause, self.asked.recv()).await {
                let Some(done) = asked else { return };
                waiting.push(done);
            }
            while let Ok(done) = self.asked.try_recv() {
                waiting.push(done);
            }
        }
    }

    /// Asks the server, and fetches; what went wrong.
    async fn update(&self, accepted: &mut Option<Accepted>) -> Option<GitFault> {
        let (mirror, before) = (Arc::clone(&self.mirror), accepted.clone());
        let updated = tokio::task::spawn_blocking(move || mirror.update(before.as_ref())).await;
        match updated {
            Ok(Ok(new)) => {
                if accepted.as_ref().is_none_or(|(before, _)| *before != new.0) {
                    let (commit, branch) = (&new.0.id, new.0.branch.as_deref());
                    info!(source = %self.name, %commit, branch, "fetched a commit");
                }
                *accepted = Some(new);
                None
            }
            Ok(Err(fault)) => Some(fault),
            Err(error) => Some(GitFault::NotFetched(error.to_string())),
        }
    }

    fn publish(&self, accepted: Option<&Accepted>, fault: Option<GitFault>) {
        let name = Arc::clone(&self.name);
        let new = Some(Arc::new(GitReading { name, accepted: accepted.cloned(), fault }));
        self.reading.send_if_modified(|reading| {
            let is_new = *reading != new;
            *reading = new;
            is_new
        });
    }
}

/// How long to wait after so many failures in a row. `random` is between 0 and 255.
fn pause(interval: Duration, failures: u32, random: u8) -> Duration {
    let pause = if failures == 0 {
        interval
    } else {
        let doubled = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(failures - 1));
        doubled.min(interval.max(RETRY_MAX))
    };
    pause + pause / JITTER_DIVISOR * u32::from(random) / 255
}

fn random() -> u8 {
    // The last part of a fresh id is random.
    let id = clock::unique_id();
    id.get(id.len().saturating_sub(2)..)
        .and_then(|end| u8::from_str_radix(end, 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_retried_soon_and_then_less_and_less_often() {
        let millis = |interval: u64, failures, random| {
            pause(Duration::from_secs(interval), failures, random).as_millis()
        };
        let waits: Vec<_> = (0..9).map(|failures| millis(60, failures, 0) / 1000).collect();
        assert_eq!(waits, [60, 5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(millis(3600, 20, 0), 3_600_000);
        assert_eq!(millis(3600, u32::MAX, 0), 3_600_000);
        assert_eq!((millis(60, 0, 255), millis(60, 1, 255)), (66_000, 5_500));
    }
}
