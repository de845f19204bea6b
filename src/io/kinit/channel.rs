//! The channel on which kinit publishes. Who listens is counted by kinit: one daemon does, the leader.
//!
//! Published is delivered at most once: what is published while nobody listens is gone, and what a daemon cannot take
//! in is told as [`Heard::Lost`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, cmd,
};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{sleep, timeout};

use crate::io::kinit::message::MESSAGE_BYTES_MAX;
use crate::io::secrets::without_secrets;

/// How many messages may wait to be carried out.
pub const HEARD_MAX: usize = 1024;
/// How long a connection may take to be made, and a call to be answered.
const CALL_WITHIN: Duration = Duration::from_secs(2);
/// How often is looked whether the server is there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The pause before a connection is made again, which doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What comes of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is listened to from now on; what was published before is not heard.
    Listening,
    /// It is not listened to, for this reason.
    Away(String),
    /// A message.
    Message(Vec<u8>),
    /// A message of so many bytes, which are not looked at.
    TooLong(usize),
    /// So many messages came while [`HEARD_MAX`] waited already.
    Lost(u64),
}

/// A channel of a server.
#[derive(Debug, Clone)]
pub struct Channel {
    client: Client,
    name: String,
}

/// A URL that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the Redis URL {place}: {message}")]
pub struct BadUrl {
    place: String,
    message: String,
}

impl Channel {
    /// Reads the URL; does not reach out.
    pub fn new(url: &str, name: &str) -> Result<Self, BadUrl> {
        let wrong = |error: redis::RedisError| BadUrl {
            place: without_secrets(url),
            message: error.category().to_owned(),
        };
        let info = url.into_connection_info().map_err(wrong)?;
        // What is published comes beside the answers of calls: so the protocol has it since version 3.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(redis)).map_err(wrong)?;
        Ok(Self { client, name: name.to_owned() })
    }

    /// Passes on what is published, until nobody wants it any more. Never fails: it connects again.
    pub async fn listen(self, heard: mpsc::Sender<Heard>) {
        let mut pause = PAUSE_MIN;
        while !heard.is_closed() {
            let why = match self.connect(&heard).await {
                Ok(connected) => {
                    pause = PAUSE_MIN;
                    connected.stay(&heard).await
                }
                Err(why) => why,
            };
            if heard.send(Heard::Away(why)).await.is_err() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self, heard: &mpsc::Sender<Heard>) -> Result<Connected, String> {
        let (lost, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (count, end, to) = (Arc::clone(&lost), Arc::clone(&ended), heard.clone());
        let pushed = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if push.kind == PushKind::Disconnection {
                end.notify_one();
            } else if let Some(message) = meaning(push)
                && let Err(TrySendError::Full(_)) = to.try_send(message)
            {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CALL_WITHIN))
            .set_response_timeout(Some(CALL_WITHIN))
            .set_push_sender(pushed);
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = answered(connect).await?;
        answered(connection.subscribe(&self.name)).await?;
        Ok(Connected { connection, lost, ended })
    }
}

/// A connection that listens. It stops when this is dropped.
struct Connected {
    connection: MultiplexedConnection,
    lost: Arc<AtomicU64>,
    ended: Arc<Notify>,
}

impl Connected {
    /// Waits until the connection ends; why it did.
    async fn stay(mut self, heard: &mpsc::Sender<Heard>) -> String {
        if heard.send(Heard::Listening).await.is_err() {
            return String::new();
        }
        loop {
            tokio::select! {
                () = self.ended.notified() => return "the server has closed the connection".to_owned(),
                () = heard.closed() => return String::new(),
                () = sleep(PING_EVERY) => {}
            }
            let ping = cmd("PING");
            if let Err(why) = answered(ping.exec_async(&mut self.connection)).await {
                return why;
            }
            match self.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                count => drop(heard.send(Heard::Lost(count)).await),
            }
        }
    }
}

/// What the server has pushed, when it is a message.
fn meaning(push: PushInfo) -> Option<Heard> {
    if push.kind != PushKind::Message {
        return None;
    }
    let message = push.data.into_iter().nth(1)?;
    let message = Vec::<u8>::from_redis_value(message).ok()?;
    if message.len() > MESSAGE_BYTES_MAX {
        return Some(Heard::TooLong(message.len()));
    }
    Some(Heard::Message(message))
}

async fn answered<T>(
    call: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, String> {
    match timeout(CALL_WITHIN * 2, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {:?}", CALL_WITHIN * 2)),
    }
}
