//! What is deleted among the active tasks: kinit says so in no other way.
//!
//! A replica set tells of each deletion. A server without one is looked at every [`POLL_EVERY`].

use std::time::Duration;

use bson::{Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};
use mongodb::error::ErrorKind;
use mongodb::options::ReadConcern;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::io::kinit::collections::{Collections, Fault, call};
use crate::io::store::mongo::connection::CALL_WITHIN;

/// How often a server is looked at that does not tell.
pub const POLL_EVERY: Duration = Duration::from_secs(1);
/// How long one question for news waits at the server.
const NEWS_WAIT: Duration = Duration::from_secs(1);
/// The pause before a stream is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// The code of MongoDB for a stream of changes that is asked of a server without replica set.
const NO_REPLICA_SET: i32 = 40573;

/// A reason to look at the active tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// This one was deleted.
    One(String),
    /// Some may have been: something else was done to the collection, or it is time to look.
    Any,
    /// Deletions are heard of from now on; there may have been some before.
    Listening,
    /// They are not heard of.
    Away(Fault),
}

/// What can be opened.
enum Opened {
    Stream(Box<ChangeStream<ChangeStreamEvent<Document>>>),
    /// The server has none.
    Poll,
}

/// Tells of deletions until nobody listens.
pub async fn watch(collections: Collections, gone: mpsc::Sender<Gone>) {
    while !gone.is_closed() {
        let told = match open(&collections).await {
            Ok(Opened::Poll) => return poll(&gone).await,
            Ok(Opened::Stream(stream)) => follow(*stream, &gone).await,
            Err(fault) => gone.send(Gone::Away(fault)).await.is_ok(),
        };
        if !told {
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn open(collections: &Collections) -> Result<Opened, Fault> {
    let removals =
        doc! { "$match": { "operationType": { "$nin": ["insert", "update", "replace"] } } };
    let watch = collections.jobs.watch().pipeline([removals]).max_await_time(NEWS_WAIT);
    let watch = watch.read_concern(ReadConcern::majority());
    let mut has_none = false;
    let opened = call("watch the active tasks", CALL_WITHIN, async {
        let opened = watch.await;
        if let Err(error) = &opened
            && let ErrorKind::Command(command) = &*error.kind
        {
            has_none = command.code == NO_REPLICA_SET;
        }
        opened
    });
    match opened.await {
        Ok(stream) => Ok(Opened::Stream(Box::new(stream))),
        Err(_) if has_none => Ok(Opened::Poll),
        Err(fault) => Err(fault),
    }
}

/// Passes on what a stream tells, until it ends; whether somebody listens still.
async fn follow(
    mut stream: ChangeStream<ChangeStreamEvent<Document>>,
    gone: &mpsc::Sender<Gone>,
) -> bool {
    if gone.send(Gone::Listening).await.is_err() {
        return false;
    }
    while stream.is_alive() {
        let news = async { stream.next_if_any().await };
        let told = match call("read deletions", NEWS_WAIT + CALL_WITHIN, news).await {
            Ok(None) if gone.is_closed() => return false,
            Ok(None) => continue,
            Ok(Some(event)) => gone.send(meaning(&event)).await,
            Err(fault) => return gone.send(Gone::Away(fault)).await.is_ok(),
        };
        if told.is_err() {
            return false;
        }
    }
    true
}

fn meaning(event: &ChangeStreamEvent<Document>) -> Gone {
    let key = event.document_key.as_ref().and_then(|key| key.get_str("_id").ok());
    match (key, event.operation_type == OperationType::Delete) {
        (Some(id), true) => Gone::One(id.to_owned()),
        (Some(_), false) | (None, true | false) => Gone::Any,
    }
}

async fn poll(gone: &mpsc::Sender<Gone>) {
    let mut told = gone.send(Gone::Listening).await;
    while told.is_ok() {
        sleep(POLL_EVERY).await;
        told = gone.send(Gone::Any).await;
    }
}
