//! Entries that were delivered before and never answered: this node's own from an earlier life, and
//! what any consumer has left alone.
//!
//! By XPENDING and XCLAIM rather than XAUTOCLAIM, which would also take what this very process has in
//! hand, and count that as one more delivery: five minutes without a store, and innocent requests
//! would be given up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};

use crate::io::redis::entry::{self, Entry};
use crate::io::redis::stream::{Batch, IN_HAND_MAX, Notice, READ_MAX, RequestStream};
use crate::io::redis::{CALL_WITHIN, GROUP, RedisError, call};

/// How long an entry must have been left alone to be taken over.
const LEFT_FOR: Duration = Duration::from_mins(1);

/// Which pending entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// Those of this node's name, however fresh: on a new connection.
    Own,
    /// Those of any name that nobody has touched for [`LEFT_FOR`].
    Left,
}

/// Takes pending entries that are not in hand, page by page, as many as may be in hand.
pub(super) async fn take(
    reader: &RequestStream,
    connection: &mut MultiplexedConnection,
    which: Pending,
    batch: &mut Batch,
) -> Result<(), RedisError> {
    for stream in &reader.streams {
        let mut from = Some("-".to_owned());
        while let Some(start) = from.take_if(|_| reader.in_hand.count() < IN_HAND_MAX) {
            let page = list(reader, connection, which, stream, &start).await?;
            if page.len() == READ_MAX {
                from = page.last().map(|(id, _)| format!("({id}"));
            }
            take_page(reader, connection, which, stream, page, batch).await?;
        }
    }
    Ok(())
}

/// One page of pending entries: id, and how often it was delivered.
async fn list(
    reader: &RequestStream,
    connection: &mut MultiplexedConnection,
    which: Pending,
    stream: &str,
    start: &str,
) -> Result<Vec<(String, u64)>, RedisError> {
    let mut list = cmd("XPENDING");
    list.arg(stream).arg(GROUP);
    match which {
        Pending::Own => list.arg(start).arg("+").arg(READ_MAX).arg(&*reader.node),
        Pending::Left => list.arg("IDLE").arg(millis(LEFT_FOR)).arg(start).arg("+").arg(READ_MAX),
    };
    let answer =
        call("look at pending requests", CALL_WITHIN, list.query_async(connection)).await?;
    let line = |line: Value| {
        let [id, _consumer, _idle, times]: [Value; 4] = entry::items(line).try_into().ok()?;
        Some((entry::text(id)?, redis::from_redis_value(times).ok()?))
    };
    Ok(entry::items(answer).into_iter().filter_map(line).collect())
}

async fn take_page(
    reader: &RequestStream,
    connection: &mut MultiplexedConnection,
    which: Pending,
    stream: &Arc<str>,
    mut page: Vec<(String, u64)>,
    batch: &mut Batch,
) -> Result<(), RedisError> {
    page.retain(|(id, _)| !reader.in_hand.has(stream, id));
    if page.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = page.iter().map(|(id, _)| id.as_str()).collect();
    let idle = match which {
        Pending::Own => Duration::ZERO,
        Pending::Left => LEFT_FOR,
    };
    let mut claim = cmd("XCLAIM");
    claim.arg(&**stream).arg(GROUP).arg(&*reader.node).arg(millis(idle)).arg(&ids);
    let answer = call("take requests over", CALL_WITHIN, claim.query_async(connection)).await?;
    let times =
        |id: &str| page.iter().find(|(found, _)| found == id).map_or(0, |(_, times)| *times);
    let taken: Vec<(String, entry::Fields, u64)> = entry::entries(answer)
        .into_iter()
        .filter_map(|Entry { id, fields }| {
            let deliveries = times(&id) + 1;
            Some((id, fields?, deliveries))
        })
        .collect();
    let got: BTreeSet<&str> = taken.iter().map(|(id, ..)| id.as_str()).collect();
    let missing: Vec<&str> = ids.into_iter().filter(|id| !got.contains(id)).collect();
    forget_deleted(connection, stream, &missing, batch).await?;
    reader.deliver(connection, stream, taken, batch).await
}

/// Entries that could not be taken: another consumer has them now, or they exist no more. The latter
/// would stay pending for ever.
async fn forget_deleted(
    connection: &mut MultiplexedConnection,
    stream: &Arc<str>,
    missing: &[&str],
    batch: &mut Batch,
) -> Result<(), RedisError> {
    let mut deleted = Vec::new();
    for id in missing {
        let mut look = cmd("XRANGE");
        look.arg(&**stream).arg(id).arg(id);
        let found = call("look at a request", CALL_WITHIN, look.query_async(connection)).await?;
        if entry::items(found).is_empty() {
            deleted.push(*id);
        }
    }
    if deleted.is_empty() {
        return Ok(());
    }
    let mut forget = cmd("XACK");
    forget.arg(&**stream).arg(GROUP).arg(&deleted);
    call("forget requests", CALL_WITHIN, forget.exec_async(connection)).await?;
    batch.notices.push(Notice::Trimmed { stream: Arc::clone(stream), entries: deleted.len() });
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
