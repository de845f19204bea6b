//! Reading the request streams: new entries, own ones that an earlier life left pending, and those of
//! dead consumers.
//!
//! Flow of [`RequestStream::next_batch`]: connect and make the groups; take what is pending under this
//! node's name; every [`CLAIM_EVERY`] take over what was left alone (`pending`); wait for new entries. After any failure: a new connection, after a pause that grows to [`PAUSE_MAX`], and from
//! the top. It never trims a stream and never deletes what nobody has answered.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value, cmd};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::io::clock;
use crate::io::redis::entry::{self, Content, Delivery, Entry, Fields, InHand};
use crate::io::redis::pending::{self, Pending};
use crate::io::redis::{
    CALL_WITHIN, CONNECT_WITHIN, ConnectionState, GROUP, RedisError, RedisSettings, call, key,
};
use crate::time::{BootTime, Timestamp};

/// How long one read waits for new entries.
const BLOCK: Duration = Duration::from_secs(5);
/// How often entries of dead consumers are looked for.
const CLAIM_EVERY: Duration = Duration::from_secs(30);
/// How many entries one read takes from each stream.
pub(super) const READ_MAX: usize = 64;
/// About how many entries are in hand at most; then nothing is read until some are answered.
pub(super) const IN_HAND_MAX: usize = 256;
/// How long it waits for answers before it looks again whether something may be read.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The requests of all producers.
pub struct RequestStream {
    client: Client,
    pub(super) node: Arc<str>,
    pub(super) streams: Vec<Arc<str>>,
    connection: Option<MultiplexedConnection>,
    /// Whether groups were found or made before: one that must be made then tells of a reset.
    connected_before: bool,
    /// What is pending under this node's name is still to be looked at.
    look_at_own: bool,
    claim_at: BootTime,
    /// A read was begun and not ended: the caller gave up waiting.
    interrupted: bool,
    pub(super) in_hand: InHand,
    pause: Duration,
    state: watch::Sender<ConnectionState>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Batch {
    /// Entries, in stream order.
    pub deliveries: Vec<Delivery>,
    /// What else is to be known.
    pub notices: Vec<Notice>,
}

/// Something that happened to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Its group was gone and was made again: the stream was deleted or the server lost its data.
    Reset {
        /// The key of the stream.
        stream: Arc<str>,
    },
    /// Entries that were pending are gone: somebody trimmed the stream.
    Trimmed {
        /// The key of the stream.
        stream: Arc<str>,
        /// How many.
        entries: usize,
    },
}

impl RequestStream {
    pub(super) fn new(
        client: Client,
        settings: &RedisSettings,
    ) -> (Self, watch::Receiver<ConnectionState>) {
        let own = |name: &String| key(&settings.prefix, &format!("requests:{name}")).into();
        let first = key(&settings.prefix, "requests").into();
        let nothing = ConnectionState { connected: false, since: clock::wall(), last_error: None };
        let (state, watched) = watch::channel(nothing);
        let stream = Self {
            client,
            node: Arc::clone(&settings.node),
            streams: [first].into_iter().chain(settings.producers.iter().map(own)).collect(),
            connection: None,
            connected_before: false,
            look_at_own: true,
            claim_at: BootTime::default(),
            interrupted: false,
            in_hand: InHand::default(),
            pause: PAUSE_MIN,
            state,
        };
        (stream, watched)
    }

    /// Waits for entries, however long it takes. May be dropped at any time: what was read then is
    /// read again by the next call.
    pub async fn next_batch(&mut self) -> Batch {
        loop {
            if self.in_hand.count() >= IN_HAND_MAX {
                sleep(FULL_PAUSE).await;
                continue;
            }
            let mut batch = Batch::default();
            match self.read_into(&mut batch).await {
                Ok(()) => {
                    self.pause = PAUSE_MIN;
                    self.tell(true, None);
                }
                Err(error) => {
                    self.connection = None;
                    self.tell(false, Some(error.to_string()));
                    if batch.is_empty() {
                        sleep(jittered(self.pause)).await;
                    }
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
            if !batch.is_empty() {
                return batch;
            }
        }
    }

    fn tell(&self, connected: bool, error: Option<String>) {
        self.state.send_if_modified(|state| {
            let changed = state.connected != connected || error.is_some();
            if state.connected != connected {
                state.since = clock::wall();
            }
            state.connected = connected;
            state.last_error = error.or_else(|| state.last_error.take());
            changed
        });
    }

    /// One look: at what is pending, else at what others left, else at what is new.
    async fn read_into(&mut self, batch: &mut Batch) -> Result<(), RedisError> {
        if std::mem::replace(&mut self.interrupted, true) {
            self.connection = None;
        }
        let mut connection = match self.connection.clone() {
            Some(connection) => connection,
            None => self.connect(&mut batch.notices).await?,
        };
        if self.look_at_own {
            pending::take(self, &mut connection, Pending::Own, batch).await?;
            self.look_at_own = false;
        } else if clock::boot() >= self.claim_at {
            pending::take(self, &mut connection, Pending::Left, batch).await?;
            self.claim_at = clock::boot().plus(CLAIM_EVERY);
        } else {
            self.read_new(&mut connection, batch).await?;
        }
        self.interrupted = false;
        Ok(())
    }

    async fn connect(
        &mut self,
        notices: &mut Vec<Notice>,
    ) -> Result<MultiplexedConnection, RedisError> {
        // A connection of its own: reads that wait would hold up every other call. Deadlines are ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(None);
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = call("connect", CONNECT_WITHIN + CALL_WITHIN, connect).await?;
        for stream in &self.streams {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(&**stream).arg(GROUP).arg("0").arg("MKSTREAM");
            match call("make the group", CALL_WITHIN, create.exec_async(&mut connection)).await {
                Ok(()) if self.connected_before => {
                    notices.push(Notice::Reset { stream: Arc::clone(stream) });
                }
                Ok(()) => {}
                Err(RedisError::Failed { message, .. }) if message.contains("BUSYGROUP") => {}
                Err(error) => return Err(error),
            }
        }
        self.connected_before = true;
        self.look_at_own = true;
        self.claim_at = BootTime::default();
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Entries that nobody has seen; waits for them.
    async fn read_new(
        &mut self,
        connection: &mut MultiplexedConnection,
        batch: &mut Batch,
    ) -> Result<(), RedisError> {
        let keys: Vec<&str> = self.streams.iter().map(|stream| &**stream).collect();
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(&*self.node).arg("COUNT").arg(READ_MAX);
        read.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        read.arg("STREAMS").arg(&keys).arg(vec![">"; keys.len()]);
        let answer = call("read requests", BLOCK + CALL_WITHIN, read.query_async(connection));
        for (stream, entries) in self.known_streams(answer.await?) {
            let entries = entries.into_iter().filter_map(|e| Some((e.id, e.fields?, 1)));
            self.deliver(connection, &stream, entries.collect(), batch).await?;
        }
        Ok(())
    }

    fn known_streams(&self, answer: Value) -> Vec<(Arc<str>, Vec<Entry>)> {
        let known = |name: &str| self.streams.iter().find(|stream| ***stream == *name).cloned();
        let streams = entry::by_stream(answer).into_iter();
        streams.filter_map(|(name, entries)| Some((known(&name)?, entries))).collect()
    }

    /// Hands entries out, each with how often it was delivered.
    pub(super) async fn deliver(
        &self,
        connection: &mut MultiplexedConnection,
        stream: &Arc<str>,
        entries: Vec<(String, Fields, u64)>,
        batch: &mut Batch,
    ) -> Result<(), RedisError> {
        let contents: Vec<Content> =
            entries.iter().map(|(_, fields, times)| Content::of(fields, *times)).collect();
        // Asked only when somebody wants to know.
        let now = match contents.iter().find_map(Content::expires_at) {
            Some(_) => Some(server_time(connection).await?),
            None => None,
        };
        for ((entry, fields, _), content) in entries.into_iter().zip(contents) {
            let content = now.map_or_else(|| content.clone(), |now| content.clone().judged(now));
            let Some(hold) = self.in_hand.take(stream, &entry) else { continue };
            let stream = Arc::clone(stream);
            batch.deliveries.push(Delivery { stream, entry, content, fields, _hold: hold });
        }
        Ok(())
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.notices.is_empty()
    }
}

/// The clock of Redis: the one by which requests expire, whatever the producer's says.
async fn server_time(connection: &mut MultiplexedConnection) -> Result<Timestamp, RedisError> {
    let act = "read the time";
    let time = cmd("TIME");
    let (seconds, micros): (i64, u32) =
        call(act, CALL_WITHIN, time.query_async(connection)).await?;
    let at = Timestamp::from_timestamp(seconds, micros.saturating_mul(1_000));
    at.ok_or_else(|| RedisError::Failed { act, message: format!("{seconds} is no time") })
}

/// Between half of the pause and the whole, so that daemons do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let nanos = u64::from(clock::wall().timestamp_subsec_nanos());
    half + Duration::from_nanos(nanos % u64::try_from(half.as_nanos()).unwrap_or(1).max(1))
}
