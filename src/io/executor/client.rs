//! The task behind a [`SupervisorHandle`](crate::io::executor::supervisor::SupervisorHandle): notes
//! orders down until they are answered, and sees to it that each execution gets an ending.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::io::executor::connection::{Connection, ConnectionEnd, Hello, line_bytes, open};
use crate::io::executor::supervisor::{Launch, Order, SupervisorError, SupervisorEvent};
use crate::supervisor::places::Places;
use crate::supervisor::protocol::{
    FromSupervisor, HowEnded, KeptOutput, LINE_BYTES_MAX, ProcessEnding, RunningProcess,
    StartProcess, ToSupervisor,
};

/// Within this time after a supervisor's death, what ran under it is reported, even when no new one
/// can be started.
const REPORT_WITHIN: Duration = Duration::from_millis(900);

/// The pause before a new supervisor is tried again; doubles up to a second.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The task behind a handle.
#[derive(Debug)]
pub(super) struct Client {
    launch: Launch,
    places: Places,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<SupervisorEvent>,
    /// The supervisor spoken to last.
    instance: String,
    flights: BTreeMap<String, Flight>,
    /// Flights of a supervisor that died, until its successor has said what was spooled.
    in_doubt: BTreeMap<String, Flight>,
    outputs: BTreeMap<String, Vec<oneshot::Sender<Option<KeptOutput>>>>,
}

/// An execution that was ordered and has not ended.
#[derive(Debug)]
struct Flight {
    /// Until it is answered.
    order: Option<Box<StartProcess>>,
    /// When it is known to run.
    started_at_ms: Option<i64>,
    /// `Stop` was ordered; whether by force.
    stop: Option<bool>,
}

/// Why the work on a connection ended.
#[derive(Debug)]
enum Pause {
    /// Nobody gives orders or takes events any more.
    Unwanted,
    /// Another daemon has taken over.
    Replaced,
    /// The supervisor left with nothing running.
    Left,
    /// The connection broke.
    Broken(ConnectionEnd),
}

impl Client {
    /// A task that has not spoken to a supervisor yet.
    pub(super) fn new(
        launch: Launch,
        places: Places,
        orders: mpsc::Receiver<Order>,
        events: mpsc::Sender<SupervisorEvent>,
    ) -> Self {
        Self {
            launch,
            places,
            orders,
            events,
            instance: String::new(),
            flights: BTreeMap::new(),
            in_doubt: BTreeMap::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Works until nobody wants it any more, or another daemon has taken over.
    pub(super) async fn work(mut self, mut connection: Connection) {
        loop {
            let pause = match self.greet(&connection.hello).await {
                Ok(again) => self.converse(&mut connection, again).await,
                Err(pause) => pause,
            };
            drop(connection);
            // Whoever asked is told that there is no answer.
            self.outputs.clear();
            match pause {
                Pause::Unwanted => return,
                Pause::Replaced => {
                    // The daemon may have gone as well.
                    drop(self.events.send(SupervisorEvent::Replaced).await);
                    return;
                }
                Pause::Left => self.instance.clear(),
                Pause::Broken(end) => {
                    tracing::warn!(?end, "the connection to the supervisor broke");
                }
            }
            match self.reopen().await {
                Some(again) => connection = again,
                None => return,
            }
        }
    }

    /// After a `Hello`: what the supervisor holds is compared with what was ordered. Returns the
    /// orders to repeat.
    async fn greet(&mut self, hello: &Hello) -> Result<Vec<ToSupervisor>, Pause> {
        if hello.instance != self.instance && !self.instance.is_empty() {
            self.in_doubt.append(&mut self.flights);
        }
        self.instance.clone_from(&hello.instance);
        for running in &hello.running {
            self.in_doubt.remove(&running.id);
            self.flies(running);
        }
        let running = hello.running.clone();
        self.tell(SupervisorEvent::Connected { pid: hello.pid, running }).await?;
        // What had no answer: repeating an order to the same supervisor does no harm, and one that
        // has left had not carried it out.
        let mut again = Vec::new();
        for (id, flight) in &self.flights {
            again.extend(flight.order.clone().map(ToSupervisor::Start));
            let id = id.clone();
            again.extend(flight.stop.map(|force| ToSupervisor::Stop { id, force }));
        }
        Ok(again)
    }

    async fn converse(&mut self, connection: &mut Connection, again: Vec<ToSupervisor>) -> Pause {
        let mut left = false;
        // A supervisor that takes no more orders may still have something to say.
        let mut deaf = false;
        for message in again {
            deaf |= connection.say(&message).await.is_err();
        }
        loop {
            let heard = tokio::select! {
                message = connection.next() => match message {
                    Ok(FromSupervisor::Replaced) => Err(Pause::Replaced),
                    Ok(FromSupervisor::Leaving) => {
                        left = true;
                        Ok(())
                    }
                    Ok(message) => self.hear(message).await,
                    Err(_) if left => Err(Pause::Left),
                    Err(end) => Err(Pause::Broken(end)),
                },
                order = self.orders.recv(), if !left && !deaf => match order {
                    None => Err(Pause::Unwanted),
                    Some(order) => match self.note(order).await {
                        Ok(None) => Ok(()),
                        Ok(Some(message)) => {
                            deaf = connection.say(&message).await.is_err();
                            Ok(())
                        }
                        Err(pause) => Err(pause),
                    },
                },
            };
            if let Err(pause) = heard {
                return pause;
            }
        }
    }

    async fn hear(&mut self, message: FromSupervisor) -> Result<(), Pause> {
        match message {
            // It has been said already, and the other two are the caller's.
            FromSupervisor::Hello { .. } | FromSupervisor::Replaced | FromSupervisor::Leaving => {
                Ok(())
            }
            FromSupervisor::Ready => {
                self.report_vanished().await?;
                self.tell(SupervisorEvent::Ready).await
            }
            FromSupervisor::Started(running) => {
                self.flies(&running);
                self.tell(SupervisorEvent::Started(running)).await
            }
            FromSupervisor::Ended(ending) => {
                self.flights.remove(&ending.id);
                self.in_doubt.remove(&ending.id);
                self.tell(SupervisorEvent::Ended(ending)).await
            }
            FromSupervisor::Known { id } => {
                self.flights.remove(&id);
                self.tell(SupervisorEvent::Known { id }).await
            }
            FromSupervisor::Output { id, output } => {
                for asker in self.outputs.remove(&id).into_iter().flatten() {
                    // Whoever asked may have gone.
                    drop(asker.send(output.clone()));
                }
                Ok(())
            }
        }
    }

    /// Notes an order down; what is to be said for it, if anything.
    async fn note(&mut self, order: Order) -> Result<Option<ToSupervisor>, Pause> {
        let message = match order {
            Order::Output { id, answer } => {
                self.outputs.entry(id.clone()).or_default().push(answer);
                ToSupervisor::Output { id }
            }
            Order::Say(message) => message,
        };
        if let ToSupervisor::Start(process) = &message {
            if line_bytes(&message) > LINE_BYTES_MAX {
                let ending = Box::new(too_long(process.id.clone()));
                return self.tell(SupervisorEvent::Ended(ending)).await.map(|()| None);
            }
            let order = Some(process.clone());
            let flight = Flight { order, started_at_ms: None, stop: None };
            self.flights.entry(process.id.clone()).or_insert(flight);
        }
        if let ToSupervisor::Stop { id, force } = &message
            && let Some(flight) = self.flights.get_mut(id)
        {
            flight.stop = Some(*force || flight.stop == Some(true));
        }
        Ok(Some(message))
    }

    /// Connects again, for as long as it takes; none: nobody wants it any more.
    async fn reopen(&mut self) -> Option<Connection> {
        let report_at = tokio::time::Instant::now() + REPORT_WITHIN;
        let mut pause = RETRY_PAUSE;
        loop {
            let opened = tokio::select! {
                opened = open(&self.launch, &self.places) => opened,
                () = self.events.closed() => return None,
            };
            let error = match opened {
                Ok(connection) => return Some(connection),
                Err(error) => error,
            };
            tracing::error!(%error, "there is no supervisor");
            let dead =
                matches!(error, SupervisorError::Run { .. } | SupervisorError::NotStarted(_));
            if dead && tokio::time::Instant::now() + pause >= report_at {
                self.in_doubt.append(&mut self.flights);
                self.report_vanished().await.ok()?;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// What was in doubt and is neither running nor spooled is lost.
    async fn report_vanished(&mut self) -> Result<(), Pause> {
        while let Some((id, flight)) = self.in_doubt.pop_first() {
            let ending = Box::new(vanished(id, flight.started_at_ms));
            self.tell(SupervisorEvent::Ended(ending)).await?;
        }
        Ok(())
    }

    fn flies(&mut self, running: &RunningProcess) {
        let stop = self.flights.get(&running.id).and_then(|flight| flight.stop);
        let flight = Flight { order: None, started_at_ms: Some(running.started_at_ms), stop };
        self.flights.insert(running.id.clone(), flight);
    }

    async fn tell(&self, event: SupervisorEvent) -> Result<(), Pause> {
        self.events.send(event).await.map_err(|_| Pause::Unwanted)
    }
}

fn vanished(id: String, started_at_ms: Option<i64>) -> ProcessEnding {
    ProcessEnding {
        id,
        started_at_ms,
        finished_at_ms: wall_ms(),
        duration_ms: None,
        how: HowEnded::Vanished,
        output: KeptOutput::default(),
        result: None,
        success_exit_codes: Vec::new(),
        applied: None,
        hit: None,
    }
}

fn too_long(id: String) -> ProcessEnding {
    let message =
        format!("command and environment together are longer than {LINE_BYTES_MAX} bytes");
    ProcessEnding { how: HowEnded::NotStarted { message }, ..vanished(id, None) }
}

fn wall_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "stands in for the supervisor's own clock")]
    let now = chrono::Utc::now();
    now.timestamp_millis()
}
