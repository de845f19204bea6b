//! Requests: who waits for which answer.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::engine::execution::ExecutionId;
use crate::engine::request::{Act, Order, Refusal, Reply, ReplyStatus, RequestId};

/// How many answers one request can have: accepted, started, finished, and one to spare.
const REPLIES_MAX: usize = 4;
/// How many requests may wait for an answer.
const WAITING_MAX: usize = 10_000;

/// An order with the way back.
#[derive(Debug)]
pub struct Asked {
    /// The order.
    pub order: Order,
    /// Where its replies go.
    pub replies: mpsc::Sender<Reply>,
}

/// Where the replies to one request go, and where they arrive.
pub(super) fn reply_channel() -> (mpsc::Sender<Reply>, mpsc::Receiver<Reply>) {
    mpsc::channel(REPLIES_MAX)
}

impl Asked {
    /// An order and the end at which its replies arrive.
    pub fn new(order: Order) -> (Self, mpsc::Receiver<Reply>) {
        let (replies, arriving) = reply_channel();
        (Self { order, replies }, arriving)
    }

    /// Answers for good.
    fn answer(self, status: ReplyStatus) {
        let execution = None;
        let reply = Reply { in_reply_to: self.order.id, status, execution };
        // Whoever asked may have gone.
        drop(self.replies.try_send(reply));
    }
}

/// Requests that are not answered for good.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_id: BTreeMap<RequestId, Waiter>,
}

#[derive(Debug)]
struct Waiter {
    wait: bool,
    replies: mpsc::Sender<Reply>,
}

impl Waiting {
    /// Remembers who asked. A request whose id is being carried out is a duplicate; it is answered here.
    pub(super) fn take_in(&mut self, asked: Asked) -> Option<Order> {
        if self.by_id.contains_key(&asked.order.id) {
            let is_run = matches!(asked.order.act, Act::Run { .. });
            let execution = is_run.then(|| asked.order.id.execution());
            let in_reply_to = asked.order.id;
            let reply = Reply { in_reply_to, status: ReplyStatus::Duplicate, execution };
            drop(asked.replies.try_send(reply));
            return None;
        }
        if self.by_id.len() >= WAITING_MAX {
            asked.answer(ReplyStatus::Rejected(Refusal {
                code: "E0429",
                message: format!("{WAITING_MAX} requests wait for an answer already"),
                help: Some("nothing was done; send the request again later".to_owned()),
            }));
            return None;
        }
        let wait = matches!(asked.order.act, Act::Run { wait: true, .. });
        let waiter = Waiter { wait, replies: asked.replies };
        self.by_id.insert(asked.order.id.clone(), waiter);
        Some(asked.order)
    }

    /// Passes an answer on.
    pub(super) fn reply(
        &mut self,
        to: &RequestId,
        status: ReplyStatus,
        execution: Option<ExecutionId>,
    ) {
        let Some(waiter) = self.by_id.get(to) else { return };
        let last = status.is_last(waiter.wait);
        let reply = Reply { in_reply_to: to.clone(), status, execution };
        let gone = waiter.replies.try_send(reply).is_err();
        if last || gone {
            self.by_id.remove(to);
        }
    }
}
