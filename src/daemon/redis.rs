//! The Redis door: requests from the streams to the loop, and their answers back.
//!
//! Only the leader reads. An entry leaves its stream when its effect is durable in the store, so
//! delivery is at least once and the effect once: its row has the request's id. Redis absent or
//! restarted never stops anything else.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::daemon::Incoming;
use crate::daemon::requests::Asked;
use crate::daemon::settings::Settings;
use crate::daemon::view::{Applied, RedisHealth};
use crate::engine::request::{Op, Reply, ReplyStatus};
use crate::engine::scheduler::Phase;
use crate::io::http::documents::request::Envelope;
use crate::io::redis::wire::Refused;
use crate::io::redis::{
    Answers, Content, Delivery, Notice, RedisError, RedisSettings, RequestStream, open,
};

/// The pause before a request that could not be taken now is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Refusals that say nothing about the request: the store is away, too many wait.
const NOT_NOW: [&str; 2] = ["E0503", "E0429"];

/// Opens the door, when the settings name a server; the state of the connection comes back.
pub fn serve(
    settings: &Settings,
    incoming: mpsc::Sender<Incoming>,
    applied: watch::Receiver<Applied>,
) -> Result<watch::Receiver<RedisHealth>, RedisError> {
    let Some(redis) = &settings.redis else {
        return Ok(watch::channel(RedisHealth::Unused).1);
    };
    let (stream, answers, mut state) = open(&RedisSettings {
        url: redis.url.expose().to_owned(),
        prefix: redis.prefix.clone(),
        node: settings.node.as_str().into(),
        producers: Vec::new(),
    })?;
    let away = |error: Option<String>| RedisHealth::Away {
        error: error.unwrap_or_else(|| "not connected yet".to_owned()),
    };
    let (health, health_now) = watch::channel(away(None));
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            let now = state.borrow_and_update().clone();
            let next = if now.connected { RedisHealth::Connected } else { away(now.last_error) };
            log_change(&health.send_replace(next.clone()), &next);
        }
    });
    let door = Door { incoming, answers };
    tokio::spawn(door.read(stream, applied));
    Ok(health_now)
}

fn log_change(before: &RedisHealth, now: &RedisHealth) {
    match (before, now) {
        (RedisHealth::Connected, RedisHealth::Away { error }) => {
            warn!(error, "Redis is away; scheduling goes on, requests wait");
        }
        (RedisHealth::Away { .. }, RedisHealth::Connected) => info!("Redis answers"),
        (RedisHealth::Away { error: before }, RedisHealth::Away { error }) if before != error => {
            warn!(error, "Redis does not answer; scheduling goes on");
        }
        (RedisHealth::Unused, _)
        | (_, RedisHealth::Unused)
        | (RedisHealth::Connected, RedisHealth::Connected)
        | (RedisHealth::Away { .. }, RedisHealth::Away { .. }) => {}
    }
}

#[derive(Clone)]
struct Door {
    incoming: mpsc::Sender<Incoming>,
    answers: Answers,
}

impl Door {
    /// Reads while this node leads.
    async fn read(self, mut stream: RequestStream, mut applied: watch::Receiver<Applied>) {
        let leads = |applied: &Applied| applied.phase == Phase::Active;
        while applied.wait_for(leads).await.is_ok() {
            let batch = tokio::select! {
                batch = stream.next_batch() => batch,
                follows = applied.wait_for(|applied| !leads(applied)) => match follows {
                    Ok(_) => continue,
                    Err(_) => return,
                },
            };
            for notice in &batch.notices {
                log_notice(notice);
            }
            for delivery in batch.deliveries {
                self.take(delivery).await;
            }
        }
    }

    /// Takes in one entry. A request waits for its answers in a task of its own, asked in order.
    async fn take(&self, mut delivery: Delivery) {
        let content = std::mem::replace(&mut delivery.content, Content::Refused(spent()));
        match content {
            Content::Request(envelope) => {
                let (asked, replies) = Asked::new(envelope.request.clone());
                if self.incoming.send(Incoming::Asked(asked)).await.is_ok() {
                    let door = self.clone();
                    tokio::spawn(door.answer(delivery, envelope, replies));
                }
            }
            Content::Expired(envelope) => {
                let in_reply_to = envelope.request.id;
                let status = ReplyStatus::Expired;
                let reply = Reply { in_reply_to, status, execution: None };
                self.reply(envelope.reply_to.as_deref(), &reply).await;
                self.finish(delivery).await;
            }
            Content::Refused(refused) => self.bury(delivery, refused).await,
        }
    }

    /// Passes the answers on; the first that says something about the request ends the entry.
    async fn answer(
        self,
        delivery: Delivery,
        envelope: Envelope,
        mut replies: mpsc::Receiver<Reply>,
    ) {
        let wait = matches!(envelope.request.op, Op::Run { wait: true, .. });
        let mut delivery = Some(delivery);
        loop {
            let Some(reply) = replies.recv().await else { return };
            if is_not_now(&reply.status) {
                sleep(AGAIN).await;
                let (asked, again) = Asked::new(envelope.request.clone());
                if self.incoming.send(Incoming::Asked(asked)).await.is_err() {
                    return;
                }
                replies = again;
                continue;
            }
            self.reply(envelope.reply_to.as_deref(), &reply).await;
            if let Some(delivery) = delivery.take() {
                self.finish(delivery).await;
            }
            if reply.status.is_last(wait) {
                return;
            }
        }
    }

    async fn reply(&self, to: Option<&str>, reply: &Reply) {
        if let Some(to) = to
            && let Err(error) = self.answers.reply(to, reply).await
        {
            warn!(request = %reply.in_reply_to, %error, "cannot answer a request");
        }
    }

    /// An entry that cannot be taken off is delivered again, and is then a duplicate.
    async fn finish(&self, delivery: Delivery) {
        if let Err(error) = self.answers.finish(delivery).await {
            warn!(%error, "cannot take a request off its stream; it will come again");
        }
    }

    async fn bury(&self, delivery: Delivery, refused: Refused) {
        let Refused { refusal, id, reply_to } = refused;
        warn!(
            entry = delivery.entry,
            code = refusal.code,
            reason = refusal.message,
            "a request that cannot be carried out goes to the dead"
        );
        if let Some(in_reply_to) = id {
            let status = ReplyStatus::Rejected(refusal.clone());
            let reply = Reply { in_reply_to, status, execution: None };
            self.reply(reply_to.as_deref(), &reply).await;
        }
        if let Err(error) = self.answers.dead(delivery, &refusal).await {
            warn!(%error, "cannot bury a request; it will come again");
        }
    }
}

/// What stands in a delivery whose content was taken out.
fn spent() -> Refused {
    crate::io::redis::wire::no_message()
}

fn is_not_now(status: &ReplyStatus) -> bool {
    matches!(status, ReplyStatus::Rejected(refusal) if NOT_NOW.contains(&refusal.code))
}

fn log_notice(notice: &Notice) {
    match notice {
        Notice::Reset { stream } => {
            warn!(%stream, "a request stream was deleted, or Redis lost its data; its group is made again");
        }
        Notice::Trimmed { stream, entries } => {
            warn!(%stream, entries, "somebody trimmed requests that were not carried out");
        }
    }
}
