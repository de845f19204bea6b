//! The events that wait for Redis, in their order. When it is away they wait, as long as there is room.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::daemon::events::{Outgoing, Queue, WAITING_MAX};
use crate::daemon::settings::Settings;
use crate::io::redis::{EventStream, RedisError, open_events};

/// How many events are appended at once.
const AT_ONCE_MAX: usize = 128;
/// The pause before events that could not be appended are tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The way to the stream of events, when the settings want one.
pub fn events_to_redis(settings: &Settings) -> Result<Option<Queue>, RedisError> {
    let Some(redis) = settings.redis.as_ref().filter(|redis| redis.events) else {
        return Ok(None);
    };
    let stream = open_events(redis.url.expose(), &redis.prefix)?;
    let (to, waiting) = mpsc::channel(WAITING_MAX);
    let (dropped, dropped_now) = watch::channel(0);
    let told = tokio::spawn(append(stream, waiting, dropped_now));
    Ok(Some(Queue { to, dropped, told }))
}

/// Appends until nobody can add any more, and what was added before.
async fn append(
    stream: EventStream,
    mut waiting: mpsc::Receiver<Outgoing>,
    dropped: watch::Receiver<u64>,
) {
    let mut events: Vec<Outgoing> = Vec::new();
    let mut told_dropped = 0;
    let mut is_away = false;
    loop {
        events.clear();
        if waiting.recv_many(&mut events, AT_ONCE_MAX).await == 0 {
            return;
        }
        while let Err(error) =
            stream.append(events.iter().map(|event| (&*event.id, &*event.kind, &*event.text))).await
        {
            if !is_away {
                warn!(%error, "events cannot be told to Redis; {WAITING_MAX} of them wait, and further ones are dropped");
                is_away = true;
            }
            sleep(AGAIN).await;
        }
        let all_dropped = *dropped.borrow();
        if is_away {
            info!(dropped = all_dropped - told_dropped, "events are told to Redis again");
        } else if all_dropped > told_dropped {
            warn!(dropped = all_dropped - told_dropped, "events came faster than Redis took them");
        }
        (is_away, told_dropped) = (false, all_dropped);
    }
}
