//! Reading the sources for the reconciler, at a low priority: a snapshot, and what its manifests declare.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::daemon::book::Book;
use crate::engine::absence::Absences;
use crate::io::background::Background;
use crate::io::clock;
use crate::io::executor::python::{Fingerprint, Python};
use crate::io::files::written::Written;
use crate::io::files::{Patience, Reading, Snapshot, Sources, UNSETTLED_MAX};
use crate::io::git::GitReading;
use crate::io::watch::Touched;
use crate::spec::manifest::load::Loader;
use crate::spec::manifest::{Known, Loaded};
use crate::spec::task::classes::PythonClasses;
use crate::time::BootTime;

/// How long it waits while the sources are being written.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(100);

/// What is read, and by whom.
pub(super) struct Reader {
    pub(super) sources: Sources,
    pub(super) known: Known,
    /// What the program declares itself, if it does.
    pub(super) written: Option<watch::Receiver<Arc<Written>>>,
    /// Where classes are found.
    pub(super) python: Option<Python>,
    pub(super) background: Background,
}

/// What is known of the sources.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) loaded: Option<Arc<Loaded>>,
    /// Remembers files, so that only those that changed are parsed again.
    loader: Loader,
    /// There are other classes than the manifests were read against.
    stale_classes: bool,
    /// The files of the classes, when they were looked at last.
    classes: Option<Fingerprint>,
    /// When the snapshot was taken.
    pub(super) taken_at: BootTime,
    /// Applied jobs that the snapshots lack.
    pub(super) absences: Absences,
}

impl Seen {
    /// The digest of the sources; empty before they were read.
    pub(super) fn digest(&self) -> Arc<str> {
        self.snapshot.as_ref().map_or_else(Arc::default, |snapshot| Arc::clone(&snapshot.digest))
    }
}

impl Reader {
    /// Reads the sources; what did not change is not read and not parsed again. What is declared goes into
    /// the book.
    pub(super) async fn look(
        &mut self,
        seen: &mut Seen,
        git: Option<Arc<GitReading>>,
        touched: &Touched,
        book: &Book,
    ) {
        self.sources.git = git;
        self.sources.written = self.written.as_ref().map(|written| Arc::clone(&written.borrow()));
        let before = seen.snapshot.as_ref().map(|snapshot| Arc::clone(&snapshot.digest));
        let Some(snapshot) = self.read(seen.snapshot.as_ref(), touched).await else { return };
        seen.taken_at = clock::boot();
        self.look_for_new_classes(seen).await;
        let new_classes = std::mem::take(&mut seen.stale_classes);
        let unchanged = before.is_some_and(|digest| digest == snapshot.digest);
        if !unchanged || new_classes || seen.loaded.is_none() {
            let (read, known) = (Arc::clone(&snapshot), self.known.clone());
            let mut loader = std::mem::take(&mut seen.loader);
            let load = move || (loader.load(&read.manifests(), &known), loader);
            let (loaded, loader) = self.background.run(load).await.unwrap_or_default();
            seen.loader = loader;
            book.learn(&loaded.jobs);
            seen.loaded = Some(Arc::new(loaded));
        }
        seen.snapshot = Some(snapshot);
    }

    /// Finds out which classes there are now.
    pub(super) async fn look_for_new_classes(&mut self, seen: &mut Seen) {
        seen.stale_classes |= self.look_for_classes(seen).await;
    }

    /// Finds out which classes there are, when their files are others than at the last look; whether they are.
    async fn look_for_classes(&mut self, seen: &mut Seen) -> bool {
        let Some(python) = self.python.clone() else { return false };
        let last = seen.classes;
        let look = move || {
            // What cannot be looked at is asked for anew each time: the answer says why.
            let now = python.fingerprint().ok();
            (now.is_none() || now != last).then(|| (now, python.classes()))
        };
        let Some(Some((now, classes))) = self.background.run(look).await else { return false };
        seen.classes = now;
        if let PythonClasses::Unknown(why) = &classes {
            warn!(%why, "the classes cannot be found");
        }
        let are_new = classes != self.known.classes.python;
        self.known.classes.python = classes;
        are_new
    }

    /// Takes a snapshot, and waits for sources that are being written.
    async fn read(
        &self,
        previous: Option<&Arc<Snapshot>>,
        touched: &Touched,
    ) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = self.read_touched(previous, touched).await {
            return Some(Arc::new(snapshot));
        }
        let give_up_at = Instant::now() + UNSETTLED_MAX;
        loop {
            let patience =
                if Instant::now() < give_up_at { Patience::Left } else { Patience::Spent };
            let (sources, previous) = (self.sources.clone(), previous.cloned());
            let read = move || Snapshot::read(&sources, previous.as_deref(), patience);
            match self.background.run(read).await? {
                Reading::Settled(snapshot) => return Some(Arc::new(snapshot)),
                Reading::Unsettled(_) => sleep(UNSETTLED_PAUSE).await,
            }
        }
    }

    /// Takes a snapshot of what was touched alone, where that is enough.
    async fn read_touched(
        &self,
        previous: Option<&Arc<Snapshot>>,
        touched: &Touched,
    ) -> Option<Snapshot> {
        let Touched::Only(paths) = touched else { return None };
        let (previous, sources, paths) = (previous?.clone(), self.sources.clone(), paths.clone());
        self.background.run(move || previous.with_touched(&sources, &paths)).await?
    }
}
