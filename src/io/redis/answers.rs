//! Answering: replies, and taking entries off the stream once their effect is durable elsewhere.

use redis::aio::ConnectionManager;
use redis::{Pipeline, pipe};

use crate::engine::request::{Refusal, Reply};
use crate::io::redis::entry::Delivery;
use crate::io::redis::{CALL_WITHIN, GROUP, RedisError, call, key, wire};

/// How many replies to one caller are kept.
const REPLIES_MAX: usize = 64;
/// How long replies to one caller are kept after the last, in seconds.
const REPLIES_KEPT_S: i64 = 900;
/// About how many dead requests are kept.
const DEAD_MAX: usize = 10_000;
/// How many fields of a dead request are kept.
const DEAD_FIELDS_MAX: usize = 16;
/// How many bytes of a field of a dead request are kept.
const DEAD_FIELD_BYTES_MAX: usize = 64 * 1024;

/// Says what became of requests. Cheap to clone. Each call has a deadline and is not repeated for
/// long: an entry whose answer fails is delivered again.
#[derive(Clone)]
pub struct Answers {
    connection: ConnectionManager,
    prefix: String,
}

impl Answers {
    pub(super) fn new(connection: ConnectionManager, prefix: &str) -> Self {
        Self { connection, prefix: prefix.to_owned() }
    }

    /// Writes a reply to whoever reads the stream of `reply_to`.
    pub async fn reply(&self, reply_to: &str, reply: &Reply) -> Result<(), RedisError> {
        let replies = key(&self.prefix, &format!("replies:{reply_to}"));
        let mut write = pipe();
        write.atomic();
        write.cmd("XADD").arg(&replies).arg("MAXLEN").arg(REPLIES_MAX).arg("*");
        write.arg("m").arg(wire::reply(reply)).ignore();
        write.cmd("EXPIRE").arg(&replies).arg(REPLIES_KEPT_S).ignore();
        self.run("write a reply", &write).await
    }

    /// Takes an entry off the stream: it is carried out, or answered for good. To be called only when
    /// its effect is durable in the store.
    pub async fn finish(&self, delivery: Delivery) -> Result<(), RedisError> {
        let mut write = pipe();
        write.atomic();
        take_off(&mut write, &delivery);
        self.run("finish a request", &write).await
    }

    /// Puts an entry among the dead, with the reason, and takes it off the stream.
    pub async fn dead(&self, delivery: Delivery, refusal: &Refusal) -> Result<(), RedisError> {
        let mut write = pipe();
        write.atomic();
        write.cmd("XADD").arg(key(&self.prefix, "dead")).arg("MAXLEN").arg("~").arg(DEAD_MAX);
        write.arg("*").arg("code").arg(refusal.code).arg("reason").arg(&refusal.message);
        write.arg("stream").arg(&*delivery.stream).arg("entry").arg(&delivery.entry);
        for (name, value) in delivery.fields.iter().take(DEAD_FIELDS_MAX) {
            let cut = |bytes: &[u8]| bytes[..bytes.len().min(DEAD_FIELD_BYTES_MAX)].to_vec();
            write.arg([b"field.", &*cut(name)].concat()).arg(cut(value));
        }
        write.ignore();
        take_off(&mut write, &delivery);
        self.run("bury a request", &write).await
    }

    async fn run(&self, act: &'static str, write: &Pipeline) -> Result<(), RedisError> {
        let mut connection = self.connection.clone();
        call(act, CALL_WITHIN, write.query_async(&mut connection)).await
    }
}

fn take_off(write: &mut Pipeline, delivery: &Delivery) {
    write.cmd("XACK").arg(&*delivery.stream).arg(GROUP).arg(&delivery.entry).ignore();
    write.cmd("XDEL").arg(&*delivery.stream).arg(&delivery.entry).ignore();
}
