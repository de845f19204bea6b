//! In the place of kinit-task: kinit's web admin publishes and deletes, this daemon schedules, runs and records.
//!
//! One task, while this node leads, one thing after the other: a message of the channel ([`adding`]), a deletion
//! ([`standing`]), the end of an execution ([`records`]). What cannot be done now (its MongoDB is away) stays [`Due`] and
//! is done as a whole later: read what is there, and make what is missing. Nothing that comes from kinit ends it.

mod adding;
mod records;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::daemon::Handle;
use crate::daemon::lifecycle::{Subscription, Told};
use crate::daemon::look::{Declare, Declared, Look};
use crate::daemon::settings::{KinitSettings, Settings};
use crate::daemon::view::Applied;
use crate::engine::declaration::Wish;
use crate::engine::plan::{AppliedJob, Owner};
use crate::engine::scheduler::Phase;
use crate::io::kinit::channel::{BadUrl, Channel, HEARD_MAX, Heard};
use crate::io::kinit::collections::{Collections, Fault, Names};
use crate::io::kinit::deletions::{self, Gone};
use crate::io::kinit::record::{RecordId, Said};
use crate::io::store::StoreError;
use crate::spec::job::JobName;
use crate::time::Zone;

/// Whose the jobs are, and who asks, in the ledger.
const OWNER: &str = "kinit";
/// The pause before what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many refusals of definitions are remembered.
const COMPLAINED_MAX: usize = 10_000;
/// What is said of a removal that was made before.
const NOT_THERE: &str = "E0404";
/// How many deletions may wait to be looked at.
const GONE_MAX: usize = 1024;

/// Why kinit cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum KinitError {
    /// Its Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] BadUrl),
    /// Its `MongoDB` cannot be used.
    #[error(transparent)]
    Mongo(#[from] StoreError),
}

/// Serves kinit, when the settings say so. `told` is subscribed before the daemon starts: nothing that it records
/// then is missed. What keeps kinit from being served is told by `problems`.
pub async fn serve(
    settings: &Settings,
    handle: Handle,
    told: Subscription,
    problems: watch::Sender<Vec<String>>,
) -> Result<(), KinitError> {
    let Some((kinit, redis)) = settings.kinit.as_ref().zip(settings.redis.as_ref()) else {
        return Ok(());
    };
    let KinitSettings { channel, timezone, url, database, jobs, records, tasks } = kinit;
    let channel = Channel::new(redis.url.expose(), channel)?;
    let names = Names { database, jobs, records, tasks };
    let collections = Collections::open(url.expose(), names).await?;
    let bridge = Bridge {
        collections,
        channel,
        zone: timezone.clone(),
        handle,
        told,
        problems,
        tasks: BTreeMap::new(),
        once: BTreeSet::new(),
        unwritten: BTreeMap::new(),
        due: Due::default(),
        away: Away::default(),
        refusals: 0,
        complained: BTreeSet::new(),
    };
    tokio::spawn(bridge.work());
    Ok(())
}

/// What becomes of jobs.
type Wishes = BTreeMap<JobName, Wish<Arc<[u8]>>>;

/// What could not be done yet, or has to be done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Due {
    /// Everything that is active is taken over.
    take_over: bool,
    /// Everything that is not active any more is removed.
    sweep: bool,
    /// Records are missing.
    records: bool,
}

/// What keeps kinit from being heard: told in the log when it changes.
#[derive(Debug, Default)]
struct Away {
    channel: Option<String>,
    deletions: Option<Fault>,
}

/// What joins kinit with the daemon.
struct Bridge {
    collections: Collections,
    channel: Channel,
    zone: Zone,
    handle: Handle,
    told: Subscription,
    problems: watch::Sender<Vec<String>>,
    /// The jobs that are kinit's, or were since this daemon started, and what was last said of each.
    tasks: BTreeMap<JobName, Said>,
    /// Jobs that are there for executions that kinit has asked for, without being active.
    once: BTreeSet<JobName>,
    /// Documents of active tasks that could not be written.
    unwritten: BTreeMap<JobName, Map<String, Value>>,
    due: Due,
    away: Away,
    /// How many messages and definitions were refused.
    refusals: u64,
    /// Refusals of stored definitions: each is told once.
    complained: BTreeSet<RecordId>,
}

impl Bridge {
    /// Works while this node leads; until the daemon ends.
    async fn work(mut self) {
        let mut applied = self.handle.applied.clone();
        let leads = |applied: &Applied| applied.phase == Phase::Active;
        while applied.wait_for(leads).await.is_ok() {
            tokio::select! {
                () = self.session() => return,
                follows = applied.wait_for(|applied| !leads(applied)) => {
                    if follows.is_err() {
                        return;
                    }
                    // Another node serves it.
                    self.away = Away::default();
                    self.tell_problems();
                }
            }
        }
    }

    /// One time of leading; it ends when the daemon does. May be dropped anywhere: what was under way is made up for by
    /// the next one, which begins with everything due.
    async fn session(&mut self) {
        self.due = Due { take_over: true, sweep: true, records: true };
        let (to_heard, mut heard) = mpsc::channel(HEARD_MAX);
        let (to_gone, mut gone) = mpsc::channel(GONE_MAX);
        let mut listeners = JoinSet::new();
        listeners.spawn(self.channel.clone().listen(to_heard));
        listeners.spawn(deletions::watch(self.collections.clone(), to_gone));
        let mut try_at = Instant::now();
        loop {
            self.tell_problems();
            if self.is_due() && try_at <= Instant::now() {
                self.make_up().await;
                try_at = Instant::now() + AGAIN;
            }
            tokio::select! {
                Some(heard) = heard.recv() => self.heard(heard).await,
                Some(gone) = gone.recv() => self.gone(gone).await,
                told = self.told.next() => match told {
                    Some(told) => self.told(told).await,
                    None => return,
                },
                () = sleep_until(try_at), if self.is_due() => {}
            }
        }
    }

    fn tell_problems(&self) {
        let channel = self.away.channel.as_ref();
        let channel = channel.map(|error| format!("kinit is not listened to: {error}"));
        let deletions = self.away.deletions.as_ref();
        let deletions = deletions.map(|fault| format!("kinit is not served: {fault}"));
        let problems: Vec<String> = channel.into_iter().chain(deletions).collect();
        self.problems.send_if_modified(|told| {
            let is_new = *told != problems;
            *told = problems;
            is_new
        });
    }

    fn is_due(&self) -> bool {
        self.due != Due::default() || !self.unwritten.is_empty()
    }

    async fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Listening => {
                info!("listening to what kinit publishes");
                self.away.channel = None;
                self.due.take_over = true;
            }
            Heard::Away(error) => {
                if self.away.channel.as_ref() != Some(&error) {
                    warn!(error, "the channel of kinit is not listened to");
                }
                self.away.channel = Some(error);
            }
            Heard::Message(message) => self.message(&message).await,
            Heard::TooLong(bytes) => {
                self.refuse(None, &format!("it has {bytes} bytes")).await;
            }
            Heard::Lost(messages) => {
                warn!(messages, "kinit has published more than can wait; these are lost");
            }
        }
    }

    async fn gone(&mut self, gone: Gone) {
        match gone {
            Gone::Listening => {
                self.away.deletions = None;
                self.due.take_over = true;
            }
            Gone::Any => self.due.sweep = true,
            Gone::One(id) => self.deleted(&id).await,
            Gone::Away(fault) => {
                if self.away.deletions.as_ref() != Some(&fault) {
                    warn!(error = %fault, "deletions of kinit are not heard of");
                }
                self.away.deletions = Some(fault);
                // Whatever is deleted meanwhile is found by looking.
                self.due.sweep = true;
            }
        }
    }

    async fn told(&mut self, told: Told) {
        match told {
            Told::Event(event) => self.happened(&event).await,
            Told::Lagged(_) => self.due.records = true,
        }
    }

    /// Has jobs declared or taken back; none: the daemon is stopping.
    async fn declare(&mut self, wishes: Wishes) -> Option<Declared> {
        let names: Vec<JobName> = wishes.keys().cloned().collect();
        let (done, declared) = oneshot::channel();
        let (owner, actor) = (Owner(OWNER.into()), OWNER.to_owned());
        let declare = Declare { owner, actor, wishes, dry_run: false };
        self.handle.looks.send(Look::Declare { declare, done }).await.ok()?;
        let declared = declared.await.ok()?;
        for name in names.into_iter().filter(|name| !declared.refused.contains_key(name)) {
            self.tasks.entry(name).or_default();
        }
        Some(declared)
    }

    /// Takes jobs back. What runs of them goes on to its end.
    async fn take_back(&mut self, names: impl IntoIterator<Item = JobName>) {
        let wishes: Wishes = names.into_iter().map(|name| (name, Wish::Remove)).collect();
        if wishes.is_empty() {
            return;
        }
        let names: Vec<JobName> = wishes.keys().cloned().collect();
        for (name, refusal) in self.declare(wishes).await.into_iter().flat_map(|it| it.refused) {
            if refusal.code != NOT_THERE {
                warn!(job = %name, reason = refusal.message, "a job of kinit cannot be removed");
            }
        }
        for name in names {
            self.once.remove(&name);
            self.unwritten.remove(&name);
        }
    }

    /// A job of kinit as it is applied.
    fn applied_job(&self, name: &JobName) -> Option<AppliedJob> {
        let jobs = Arc::clone(&self.handle.applied.borrow().jobs);
        jobs.get(name).filter(|job| is_ours(job)).cloned()
    }

    /// The names of kinit's jobs that are applied.
    fn applied_names(&self) -> BTreeSet<JobName> {
        let jobs = Arc::clone(&self.handle.applied.borrow().jobs);
        jobs.iter().filter(|(_, job)| is_ours(job)).map(|(name, _)| name.clone()).collect()
    }
}

fn is_ours(job: &AppliedJob) -> bool {
    *job.owner.0 == *OWNER
}
