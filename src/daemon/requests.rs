//! Requests: who waits for which answer.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::engine::execution::ExecutionId;
use crate::engine::request::{Op, Refusal, Reply, ReplyStatus, Request, RequestId};

/// How many answers one request can have: accepted, started, finished, and one to spare.
const REPLIES_MAX: usize = 4;
/// How many requests may wait for an answer.
const WAITING_MAX: usize = 10_000;

/// A request with the way back.
#[derive(Debug)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// Where its replies go.
    pub replies: mpsc::Sender<Reply>,
}

impl Asked {
    /// A request and the end at which its replies arrive.
    pub fn new(request: Request) -> (Self, mpsc::Receiver<Reply>) {
        let (replies, arriving) = mpsc::channel(REPLIES_MAX);
        (Self { request, replies }, arriving)
    }

    /// Answers for good.
    pub(super) fn answer(self, status: ReplyStatus) {
        let execution = None;
        let reply = Reply { in_reply_to: self.request.id, status, execution };
        // Whoever asked may have gone.
        drop(self.replies.try_send(reply));
    }
}

/// Whether a request asks for an answer when its execution has ended.
pub(super) fn waits(request: &Request) -> bool {
    matches!(request.op, Op::Run { wait: true, .. })
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
    pub(super) fn take_in(&mut self, asked: Asked) -> Option<Request> {
        if self.by_id.contains_key(&asked.request.id) {
            let is_run = matches!(asked.request.op, Op::Run { .. });
            let execution = is_run.then(|| asked.request.id.execution());
            let in_reply_to = asked.request.id;
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
        let wait = waits(&asked.request);
        let waiter = Waiter { wait, replies: asked.replies };
        self.by_id.insert(asked.request.id.clone(), waiter);
        Some(asked.request)
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
