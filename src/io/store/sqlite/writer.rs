//! The connections: one thread that writes, with group commit, and one that reads.
//!
//! The writer takes what waits, up to [`GROUP_MAX`], does it in one transaction, syncs once, and answers
//! all. A piece of work that fails is rolled back alone.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::io::store::StoreError;

/// How many pieces of work one transaction holds at most.
const GROUP_MAX: usize = 500;
/// How many pieces of work may wait; then callers wait.
const QUEUE_MAX: usize = 1_000;

/// A thread that owns a connection.
#[derive(Debug)]
pub(super) struct Worker {
    work: mpsc::SyncSender<Box<dyn Work>>,
}

/// Something to do on a connection. Answers go out only after the commit.
trait Work: Send {
    fn run(&mut self, connection: &Connection);
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Task<T, F> {
    act: &'static str,
    run: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F> Work for Task<T, F>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) {
        let Some(run) = self.run.take() else { return };
        self.result = Some(in_savepoint(self.act, connection, run));
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let unanswered = || StoreError::Failed { act: self.act, message: "not run".to_owned() };
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(unanswered())),
            Err(error) => Err(error),
        };
        // Whoever asked may have given up waiting.
        drop(self.answer.send(result));
    }
}

fn in_savepoint<T>(
    act: &'static str,
    connection: &Connection,
    run: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = |error: rusqlite::Error| failed(act, &error);
    connection.execute_batch("SAVEPOINT work").map_err(failed)?;
    let result = run(connection);
    let end = if result.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
    connection.execute_batch(end).map_err(failed)?;
    result
}

/// An error of the driver, said with what was to be done.
pub(super) fn failed(act: &'static str, error: &rusqlite::Error) -> StoreError {
    StoreError::Failed { act, message: error.to_string() }
}

impl Worker {
    /// Starts the thread that writes.
    pub(super) fn writer(connection: Connection) -> std::io::Result<Self> {
        Self::start("store-writer", connection, write_groups)
    }

    /// Starts the thread that reads.
    pub(super) fn reader(connection: Connection) -> std::io::Result<Self> {
        Self::start("store-reader", connection, |connection, work| {
            while let Ok(mut task) = work.recv() {
                task.run(&connection);
                task.answer(Ok(()));
            }
        })
    }

    fn start(
        name: &str,
        connection: Connection,
        serve: fn(Connection, &mpsc::Receiver<Box<dyn Work>>),
    ) -> std::io::Result<Self> {
        let (work, waiting) = mpsc::sync_channel(QUEUE_MAX);
        thread::Builder::new().name(name.to_owned()).spawn(move || serve(connection, &waiting))?;
        Ok(Self { work })
    }

    /// Does something on the connection.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        act: &'static str,
        run: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone =
            || StoreError::Failed { act, message: "the store's thread has ended".to_owned() };
        let (answer, answered) = oneshot::channel();
        let mut task: Box<dyn Work> = Box::new(Task { act, run: Some(run), result: None, answer });
        loop {
            match self.work.try_send(task) {
                Ok(()) => break,
                Err(mpsc::TrySendError::Full(back)) => task = back,
                Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
            }
            tokio::task::yield_now().await;
        }
        answered.await.map_err(|_| gone())?
    }
}

fn write_groups(mut connection: Connection, work: &mpsc::Receiver<Box<dyn Work>>) {
    while let Ok(first) = work.recv() {
        let mut group = vec![first];
        group.extend(work.try_iter().take(GROUP_MAX - 1));
        let committed = write_group(&mut connection, &mut group);
        for task in group {
            task.answer(copy(&committed));
        }
    }
}

fn write_group(connection: &mut Connection, group: &mut [Box<dyn Work>]) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failed("write", &error);
    let transaction: Transaction<'_> = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    for task in group {
        task.run(&transaction);
    }
    transaction.commit().map_err(failed)
}

/// The commit's result for each of those who waited for it.
fn copy(committed: &Result<(), StoreError>) -> Result<(), StoreError> {
    match committed {
        Ok(()) => Ok(()),
        Err(error) => Err(StoreError::Failed { act: "commit", message: error.to_string() }),
    }
}

/// Opens a connection with the settings that every one of ours has.
pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}
