//! Redis: the door through which other programs send requests, and read the answers.
//!
//! Requests lie in streams with a consumer group, so that one sent while no daemon runs is delivered
//! later; a request is deleted only after its effect is durable elsewhere. Redis holds no truth: no
//! lock, lease or claim. When it is away, jobs go on and requests wait.
//!
//! - [`RequestStream`]: reads. It never fails; how it stands is told by [`ConnectionState`].
//! - [`Answers`]: replies, and takes requests off the stream.
//! - [`EventStream`]: tells what happens.
//! - [`wire`]: what an entry means.

mod answers;
mod entry;
mod events;
mod pending;
mod stream;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::watch;
use tokio::time::timeout;

pub use answers::Answers;
pub use entry::{Content, Delivery};
pub use events::EventStream;
pub use stream::{Batch, Notice, RequestStream};

use crate::io::secrets::without_secrets;
use crate::time::Timestamp;

/// The consumer group of the daemons.
const GROUP: &str = "scheduler";
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a call may take that does not wait for entries.
const CALL_WITHIN: Duration = Duration::from_secs(2);
/// How often a call is sent again on a new connection before it fails; the caller has its own loop.
const RETRIES: usize = 1;

/// How Redis is used.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, with password and number of the database.
    pub url: String,
    /// Begins every key: `{prefix}:requests`.
    pub prefix: String,
    /// The node's name, which is the consumer's.
    pub node: Arc<str>,
    /// Producers that have a stream of their own.
    pub producers: Vec<String>,
}

/// Why something could not be done in Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL cannot be used.
    #[error("cannot use the Redis URL {place}: {message}")]
    Url {
        /// The URL without password.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A call failed.
    #[error("cannot {act} in Redis: {message}")]
    Failed {
        /// What was to be done.
        act: &'static str,
        /// What the server or the driver says.
        message: String,
    },
    /// A call was not answered in time; what it did is unknown.
    #[error("cannot {act} in Redis: no answer within {within:?}")]
    Unanswered {
        /// What was to be done.
        act: &'static str,
        /// The deadline.
        within: Duration,
    },
}

/// Whether Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionState {
    /// Whether the last call was answered.
    pub connected: bool,
    /// Since when it is so.
    pub since: Timestamp,
    /// What went wrong last, without passwords; none: nothing so far.
    pub last_error: Option<String>,
}

/// Opens both sides. Does not reach out: a server that is down is told by the state, and served once
/// it is up. Must be called within a runtime.
pub fn open(
    settings: &RedisSettings,
) -> Result<(RequestStream, Answers, watch::Receiver<ConnectionState>), RedisError> {
    let (client, manager) = connect(&settings.url)?;
    let (stream, state) = RequestStream::new(client, settings);
    Ok((stream, Answers::new(manager, &settings.prefix), state))
}

/// Opens the stream of events, as [`open`] does.
pub fn open_events(url: &str, prefix: &str) -> Result<EventStream, RedisError> {
    connect(url).map(|(_, manager)| EventStream::new(manager, prefix))
}

/// A connection that is made when it is first needed, and again when it broke.
fn connect(url: &str) -> Result<(Client, ConnectionManager), RedisError> {
    let place = without_secrets(url);
    let wrong = |error: redis::RedisError| RedisError::Url {
        place: place.clone(),
        // The driver repeats nothing of the URL in its category.
        message: error.category().to_owned(),
    };
    let client = Client::open(url).map_err(wrong)?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(RETRIES)
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(CALL_WITHIN));
    let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(wrong)?;
    Ok((client, manager))
}

/// The keys under a prefix. The braces keep them together in a cluster.
fn key(prefix: &str, rest: &str) -> String {
    format!("{{{prefix}}}:{rest}")
}

/// Makes a call within a deadline.
async fn call<T>(
    act: &'static str,
    within: Duration,
    call: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, RedisError> {
    match timeout(within, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(RedisError::Failed { act, message: error.to_string() }),
        Err(_) => Err(RedisError::Unanswered { act, within }),
    }
}
