//! Telling what happens: one stream of events, of which the newest are kept.

use redis::aio::ConnectionManager;
use redis::pipe;

use crate::io::redis::{CALL_WITHIN, RedisError, call, key};

/// About how many events are kept.
const EVENTS_KEPT_MAX: usize = 100_000;

/// The stream `{prefix}:events`.
#[derive(Clone)]
pub struct EventStream {
    connection: ConnectionManager,
    key: String,
}

impl EventStream {
    pub(super) fn new(connection: ConnectionManager, prefix: &str) -> Self {
        Self { connection, key: key(prefix, "events") }
    }

    /// Appends events, each with id, type and text, in their order: all or none. Where no answer came they may be
    /// there all the same.
    pub async fn append<'e>(
        &self,
        events: impl Iterator<Item = (&'e str, &'e str, &'e str)>,
    ) -> Result<(), RedisError> {
        let mut write = pipe();
        write.atomic();
        for (id, kind, text) in events {
            write.cmd("XADD").arg(&self.key).arg("MAXLEN").arg("~").arg(EVENTS_KEPT_MAX).arg("*");
            write.arg("id").arg(id).arg("type").arg(kind).arg("m").arg(text).ignore();
        }
        let mut connection = self.connection.clone();
        call("tell events", CALL_WITHIN, write.query_async(&mut connection)).await
    }
}
