//! Both sides of the door: the daemon's, and a producer that looks into Redis.

use cronwright::io::redis::{Answers, Batch, ConnectionState, RedisSettings, RequestStream, open};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, ToRedisArgs, Value, cmd};
use tokio::sync::watch;

/// Names and values of an entry.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A door, and a connection of a producer.
pub(crate) struct Door {
    pub(crate) stream: RequestStream,
    pub(crate) answers: Answers,
    pub(crate) state: watch::Receiver<ConnectionState>,
    pub(crate) requests: String,
    pub(crate) dead: String,
    connection: MultiplexedConnection,
}

pub(crate) fn settings(url: &str, prefix: &str, node: &str) -> RedisSettings {
    let (url, prefix, node) = (url.to_owned(), prefix.to_owned(), node.into());
    RedisSettings { url, prefix, node, producers: Vec::new() }
}

/// Batches until there are so many deliveries.
pub(crate) async fn delivered(stream: &mut RequestStream, count: usize) -> Batch {
    let mut all = Batch::default();
    while all.deliveries.len() < count {
        let batch = stream.next_batch().await;
        all.deliveries.extend(batch.deliveries);
        all.notices.extend(batch.notices);
    }
    all
}

impl Door {
    pub(crate) async fn open(url: &str, prefix: &str, node: &str) -> Self {
        let (stream, answers, state) = open(&settings(url, prefix, node)).unwrap();
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let key = |rest: &str| format!("{{{prefix}}}:{rest}");
        let (requests, dead) = (key("requests"), key("dead"));
        Self { stream, answers, state, requests, dead, connection }
    }

    pub(crate) async fn ask<T: FromRedisValue>(&mut self, ask: &Cmd) -> T {
        ask.query_async(&mut self.connection).await.unwrap()
    }

    /// Adds a message and answers the id of its entry.
    pub(crate) async fn send(&mut self, message: impl ToRedisArgs) -> String {
        let mut add = cmd("XADD");
        add.arg(&self.requests).arg("*").arg("m").arg(message);
        self.ask(&add).await
    }

    /// How many entries the stream has, and how many are pending.
    pub(crate) async fn left(&mut self) -> (i64, i64) {
        let mut pending = cmd("XPENDING");
        pending.arg(&self.requests).arg("scheduler");
        let pending: Vec<Value> = self.ask(&pending).await;
        let mut length = cmd("XLEN");
        length.arg(&self.requests);
        (self.ask(&length).await, redis::from_redis_value(pending[0].clone()).unwrap())
    }

    /// Makes an entry look as if it had been delivered so long ago, and so often.
    pub(crate) async fn age(&mut self, entry: &str, consumer: &str, idle_ms: u64, times: u64) {
        let mut claim = cmd("XCLAIM");
        claim.arg(&self.requests).arg("scheduler").arg(consumer).arg(0).arg(entry);
        claim.arg("IDLE").arg(idle_ms).arg("RETRYCOUNT").arg(times).arg("JUSTID");
        let _: Value = self.ask(&claim).await;
    }

    /// Whose pending entry it is.
    pub(crate) async fn owner(&mut self, entry: &str) -> String {
        let mut pending = cmd("XPENDING");
        pending.arg(&self.requests).arg("scheduler").arg(entry).arg(entry).arg(1);
        let lines: Vec<(String, String, i64, i64)> = self.ask(&pending).await;
        lines[0].1.clone()
    }

    /// The fields of every entry of a stream.
    pub(crate) async fn entries(&mut self, stream: &str) -> Vec<Fields> {
        let mut range = cmd("XRANGE");
        range.arg(stream).arg("-").arg("+");
        let entries: Vec<(String, Fields)> = self.ask(&range).await;
        entries.into_iter().map(|(_, fields)| fields).collect()
    }

    /// The field `m` of every entry of a stream, as text.
    pub(crate) async fn messages(&mut self, stream: &str) -> Vec<String> {
        let message = |fields: Fields| {
            let found = fields.into_iter().find(|(name, _)| name == b"m");
            String::from_utf8(found.map(|(_, value)| value).unwrap_or_default()).unwrap()
        };
        self.entries(stream).await.into_iter().map(message).collect()
    }
}
