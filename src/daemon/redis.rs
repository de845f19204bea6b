//! The Redis door: requests from the streams to the loop, and their answers back.
//!
//! Only the leader reads. An entry leaves its stream when its effect is durable in the store, so
//! delivery is at least once and the effect once: its row has the request's id. Redis absent or
//! restarted never stops anything else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::daemon::api;
use crate::daemon::settings::RedisSettings;
use crate::daemon::view::{Applied, RedisHealth};
use crate::engine::request::{Op, Refusal, Reply, ReplyStatus};
use crate::engine::scheduler::Phase;
use crate::io::http::documents::request::Envelope;
use crate::io::redis::wire::Refused;
use crate::io::redis::{
    Answers, Content, Delivery, Notice, RedisError, RedisSettings as Streams, RequestStream, open,
};
use crate::spec::operation::Operation;

/// The pause before a request that could not be taken now is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Refusals that say nothing about the request: the store is away, too many wait.
const NOT_NOW: [&str; 2] = ["E0503", "E0429"];

/// Opens the door; `health` is told the state of the connection.
pub fn serve(
    settings: &RedisSettings,
    desk: api::Answers,
    health: watch::Sender<RedisHealth>,
) -> Result<(), RedisError> {
    let (stream, answers, mut state) = open(&Streams {
        url: settings.url.expose().to_owned(),
        prefix: settings.prefix.clone(),
        node: Arc::clone(&desk.handle.node),
        producers: settings.producers.clone(),
    })?;
    let away = |error: Option<String>| RedisHealth::Away {
        error: error.unwrap_or_else(|| "not connected yet".to_owned()),
    };
    health.send_replace(away(None));
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            let now = state.borrow_and_update().clone();
            let next = if now.connected { RedisHealth::Connected } else { away(now.last_error) };
            log_change(&health.send_replace(next.clone()), &next);
        }
    });
    let applied = desk.handle.applied.clone();
    let door = Door { desk, answers, allow: settings.allow.clone() };
    tokio::spawn(door.read(stream, applied));
    Ok(())
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
    desk: api::Answers,
    answers: Answers,
    /// The operations that are taken in here.
    allow: BTreeSet<Operation>,
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
            Content::Request(envelope) => match self.refuses(&envelope.request.op) {
                Some(refusal) => {
                    let (id, reply_to) = (Some(envelope.asked_as), envelope.reply_to);
                    self.bury(delivery, Refused { refusal, id, reply_to }).await;
                }
                None => self.pass_on(delivery, envelope).await,
            },
            Content::Expired(envelope) => {
                let in_reply_to = envelope.asked_as;
                let status = ReplyStatus::Expired;
                let reply = Reply { in_reply_to, status, execution: None };
                self.reply(envelope.reply_to.as_deref(), &reply).await;
                self.finish(delivery).await;
            }
            Content::Refused(refused) => self.bury(delivery, refused).await,
        }
    }

    /// Orders are asked in the order of the stream, which the loop keeps. What goes through the reconciler has its
    /// effect before the next request is asked: a job is there when it is to run.
    async fn pass_on(&self, delivery: Delivery, envelope: Envelope) {
        let Ok(replies) = self.desk.ask(envelope.request.clone()).await else { return };
        let goes_on_at_once = matches!(envelope.request.op, Op::Act(_) | Op::Ask(_) | Op::Ping);
        let answer = self.clone().answer(delivery, envelope, replies);
        if goes_on_at_once {
            tokio::spawn(answer);
        } else {
            answer.await;
        }
    }

    fn refuses(&self, op: &Op) -> Option<Refusal> {
        let operation = op.operation();
        (!self.allow.contains(&operation)).then(|| Refusal {
            code: "E0403",
            message: format!("`{}` is not taken in through Redis", operation.as_str()),
            help: Some("`[redis] allow` names the operations that are".to_owned()),
        })
    }

    /// Passes the answers on; the first that says something about the request ends the entry.
    async fn answer(
        self,
        delivery: Delivery,
        envelope: Envelope,
        mut replies: mpsc::Receiver<Reply>,
    ) {
        let wait = envelope.request.op.waits();
        let mut delivery = Some(delivery);
        loop {
            let Some(reply) = replies.recv().await else { return };
            let reply = Reply { in_reply_to: envelope.asked_as.clone(), ..reply };
            if is_not_now(&reply.status) {
                sleep(AGAIN).await;
                let Ok(again) = self.desk.ask(envelope.request.clone()).await else { return };
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
