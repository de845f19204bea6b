//! The daemon's end of the supervisor: starts one when there is none, adopts what it holds, and goes
//! on when it dies.
//!
//! A task (`client`) owns the connection. Orders go in by [`SupervisorHandle`], which never waits;
//! news come out as [`SupervisorEvent`]s. An order is carried out once, whatever happens to the connection:
//!
//! - The connection broke and the supervisor lives: unanswered orders are repeated; it knows its ids.
//! - The supervisor died: its successor kills what it left; what it had spooled is said by the
//!   successor, everything else that ran or was ordered and not answered is reported as `Vanished`.
//! - It left because it was asked to, with nothing running: unanswered orders go to a new one.
//! - Another daemon took over: [`SupervisorEvent::Replaced`] is the last event.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::engine::execution::Output;
use crate::io::executor::client::Client;
use crate::io::executor::connection::open;
use crate::io::executor::output_of;
use crate::supervisor::LEAVE_AFTER;
use crate::supervisor::places::Places;
use crate::supervisor::protocol::{
    KeptOutput, ProcessEnding, RunningProcess, StartProcess, ToSupervisor,
};

/// The most orders that may wait for the connection.
pub const ORDERS_MAX: usize = 65_536;

/// The most events that may wait for the daemon.
const EVENTS_MAX: usize = 1024;

/// Where a supervisor is, and how to start one.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The state directory of this daemon.
    pub state_dir: PathBuf,
    /// The program, whose verb `supervisor` is run.
    pub exe: PathBuf,
    /// After this long with nothing to do, the supervisor leaves.
    pub leave_after: Duration,
}

impl Launch {
    /// The supervisor of a state directory.
    pub fn new(state_dir: impl Into<PathBuf>, exe: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into(), exe: exe.into(), leave_after: LEAVE_AFTER }
    }
}

/// News from the supervisor.
#[derive(Debug, Clone, PartialEq)]
pub enum SupervisorEvent {
    /// A supervisor answers; the first event, and again after each new connection. The endings that
    /// are not recorded follow, then `Ready`.
    Connected {
        /// Its process id.
        pid: u32,
        /// What runs. An execution that is neither here nor among the endings until `Ready` was
        /// never started.
        running: Vec<RunningProcess>,
    },
    /// All endings that were not recorded have been said.
    Ready,
    /// A process runs.
    Started(RunningProcess),
    /// A process has ended. Said again after each new connection until it is `recorded`.
    Ended(Box<ProcessEnding>),
    /// Not started: this id had been started before and its ending is recorded.
    Known {
        /// The execution.
        id: String,
    },
    /// Another daemon uses this state directory now: nothing follows, no order is carried out.
    Replaced,
}

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The state directory has no valid place for a socket.
    #[error("cannot use the state directory: {0}")]
    Place(#[source] io::Error),
    /// The program could not be run.
    #[error("cannot run `{exe}` as the supervisor: {source}")]
    Run {
        /// The program.
        exe: String,
        /// Why.
        source: io::Error,
    },
    /// It was run and says why it cannot work.
    #[error("{0}")]
    NotStarted(String),
    /// The connection failed.
    #[error("cannot talk to the supervisor at `{socket}`: {source}")]
    Connection {
        /// Its socket.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// It is there but does not answer.
    #[error("the supervisor at `{socket}` does not answer")]
    Silent {
        /// Its socket.
        socket: String,
    },
    /// It speaks another version.
    #[error(
        "the supervisor at `{socket}` speaks version {theirs} of the protocol, this program \
         version {ours}"
    )]
    Version {
        /// Its socket.
        socket: String,
        /// Its version.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
}

/// Why an order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// [`ORDERS_MAX`] orders wait.
    #[error("too many orders wait for the supervisor")]
    Busy,
    /// Another daemon has taken over.
    #[error("another daemon has taken over the supervisor")]
    Replaced,
}

/// What the task is told.
#[derive(Debug)]
pub(super) enum Order {
    Say(ToSupervisor),
    Output { id: String, answer: oneshot::Sender<Option<KeptOutput>> },
}

/// Gives orders to the supervisor. Orders are carried out in their sequence, and go on waiting while
/// there is no connection.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    orders: mpsc::Sender<Order>,
}

impl SupervisorHandle {
    /// Connects to the supervisor of a state directory, or starts one. The first events are
    /// `Connected`, the endings that are not recorded, `Ready`. The supervisor stays when the handle
    /// is dropped.
    pub async fn connect_or_start(
        launch: Launch,
    ) -> Result<(Self, mpsc::Receiver<SupervisorEvent>), SupervisorError> {
        let places = Places::new(&launch.state_dir).map_err(SupervisorError::Place)?;
        let connection = open(&launch, &places).await?;
        let (orders, to_do) = mpsc::channel(ORDERS_MAX);
        let (events, news) = mpsc::channel(EVENTS_MAX);
        let client = Client::new(launch, places, to_do, events);
        tokio::spawn(client.work(connection));
        Ok((Self { orders }, news))
    }

    /// Starts a process. `Started`, `Ended` or `Known` will follow.
    pub fn start(&self, process: StartProcess) -> Result<(), OrderError> {
        self.order(Order::Say(ToSupervisor::Start(Box::new(process))))
    }

    /// Ends an execution: TERM to its tree, its grace, KILL.
    pub fn stop(&self, id: &str) -> Result<(), OrderError> {
        self.order(Order::Say(ToSupervisor::Stop { id: id.to_owned(), force: false }))
    }

    /// Kills an execution at once.
    pub fn kill(&self, id: &str) -> Result<(), OrderError> {
        self.order(Order::Say(ToSupervisor::Stop { id: id.to_owned(), force: true }))
    }

    /// The ending of an execution is in the store: the supervisor may forget it.
    pub fn recorded(&self, id: &str) -> Result<(), OrderError> {
        self.order(Order::Say(ToSupervisor::Recorded { id: id.to_owned() }))
    }

    /// Makes the supervisor kill what runs and leave.
    pub fn quit(&self) -> Result<(), OrderError> {
        self.order(Order::Say(ToSupervisor::Quit))
    }

    /// What an execution has printed so far; none: it does not run and its ending is recorded, or
    /// the connection broke. Not to be awaited by the task that takes the events.
    pub async fn output(&self, id: &str) -> Option<Output> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Output { id: id.to_owned(), answer }).ok()?;
        answered.await.ok()?.as_ref().map(output_of)
    }

    fn order(&self, order: Order) -> Result<(), OrderError> {
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OrderError::Busy,
            mpsc::error::TrySendError::Closed(_) => OrderError::Replaced,
        })
    }
}
