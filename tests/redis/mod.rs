//! Requests through a real Redis: what is delivered, what is answered, and what a Redis that dies,
//! forgets or is filled with garbage may never do.

mod door;

use std::time::Duration;

use cronwright::engine::request::{Op, Reply, ReplyStatus, RequestId};
use cronwright::io::redis::{Batch, Content, Notice, RedisError, open};
use tokio::time::timeout;

use crate::support::servers::{self, End, Redis, RedisOptions};
use door::{Door, delivered, settings};

const PING: &str = r#"{"v":1,"id":"p1","op":"ping","reply_to":"web"}"#;
const RUN: &str = r#"{"v":1,"id":"r1","op":"run","job":"etl","args":{"wait":true}}"#;

fn ids(batch: &Batch) -> Vec<String> {
    let id = |content: &Content| match content {
        Content::Request(envelope) => envelope.request.id.to_string(),
        Content::Expired(envelope) => format!("{} expired", envelope.request.id),
        Content::Refused(refused) => refused.refusal.message.clone(),
    };
    batch.deliveries.iter().map(|delivery| id(&delivery.content)).collect()
}

#[tokio::test]
async fn a_request_is_read_answered_and_taken_off_with_password_and_database() {
    let options = RedisOptions { password: Some("canary"), append_only: false };
    let Some(redis) = Redis::start(&options) else { return };
    let mut door = Door::open(&redis.url(3), "cronwright", "n1").await;
    let entry = door.send(PING).await;
    let mut batch = door.stream.next_batch().await;
    let delivery = batch.deliveries.remove(0);
    assert_eq!((delivery.entry.as_str(), &*delivery.stream), (&*entry, "{cronwright}:requests"));
    let Content::Request(envelope) = &delivery.content else { panic!("{delivery:?}") };
    assert_eq!(envelope.request.op, Op::Ping);
    let in_reply_to = RequestId::parse("p1").unwrap();
    let reply =
        Reply { in_reply_to, status: ReplyStatus::Accepted { note: None }, execution: None };
    let to = envelope.reply_to.clone().unwrap();
    door.answers.reply(&to, &reply).await.unwrap();
    door.answers.finish(delivery).await.unwrap();
    let replied = r#"{"v":1,"in_reply_to":"p1","status":"accepted","execution_id":null,"result":null,"error":null}"#;
    assert_eq!(door.messages("{cronwright}:replies:web").await, [replied]);
    let seconds: i64 = door.ask(redis::cmd("TTL").arg("{cronwright}:replies:web")).await;
    assert!((890..=900).contains(&seconds), "{seconds}");
    assert_eq!(door.left().await, (0, 0));
    assert!(door.state.borrow().connected);
}

#[tokio::test]
async fn garbage_of_any_kind_is_refused_with_its_reason_and_the_loop_goes_on() {
    let Some(redis) = servers::redis() else { return };
    let mut door = Door::open(&redis.url(0), &servers::unique("garbage"), "n1").await;
    door.send(&b"\xff\0not json"[..]).await;
    door.send(format!(r#"{{"v":1,"id":"big","op":"{}"}}"#, "x".repeat(70_000))).await;
    door.send(r#"{"v":1,"id":7,"op":"ping","reply_to":"web"}"#).await;
    let mut flat = redis::cmd("XADD");
    flat.arg(&door.requests).arg("*").arg("op").arg("ping");
    let _: String = door.ask(&flat).await;
    door.send(PING).await;
    let batch = delivered(&mut door.stream, 5).await;
    let expected = [
        "not a request: expected value at line 1 column 1",
        "the request is too large",
        "not a request: invalid type: integer `7`, expected a string at line 1 column 13",
        "the entry has no field `m`",
        "p1",
    ];
    assert_eq!(ids(&batch), expected);
    for delivery in batch.deliveries {
        match delivery.content.clone() {
            Content::Refused(refused) => {
                door.answers.dead(delivery, &refused.refusal).await.unwrap();
            }
            Content::Request(_) | Content::Expired(_) => {
                door.answers.finish(delivery).await.unwrap();
            }
        }
    }
    assert_eq!(door.left().await, (0, 0));
    let dead = door.entries(&door.dead.clone()).await;
    assert_eq!(dead.len(), 4);
    let field = |entry: usize, name: &str| {
        let found = dead[entry].iter().find(|(field, _)| field == name.as_bytes());
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(field(0, "reason"), b"not a request: expected value at line 1 column 1");
    assert_eq!(field(0, "field.m"), b"\xff\0not json");
    assert_eq!((field(1, "code"), field(1, "field.m").len()), (b"E0413".to_vec(), 65_536));
    assert_eq!(field(3, "stream"), door.requests.as_bytes());
}

#[tokio::test]
async fn what_a_daemon_left_unfinished_is_delivered_to_its_next_life() {
    let Some(redis) = servers::redis() else { return };
    let prefix = servers::unique("redelivery");
    let mut door = Door::open(&redis.url(0), &prefix, "n1").await;
    door.send(PING).await;
    door.send(RUN).await;
    assert_eq!(ids(&delivered(&mut door.stream, 2).await), ["p1", "r1"]);
    let mut next = Door::open(&redis.url(0), &prefix, "n1").await;
    let batch = next.stream.next_batch().await;
    assert_eq!(ids(&batch), ["p1", "r1"]);
    for delivery in batch.deliveries {
        next.answers.finish(delivery).await.unwrap();
    }
    assert_eq!(next.left().await, (0, 0));
}

#[tokio::test]
async fn what_a_dead_node_left_for_a_minute_is_taken_over() {
    let Some(redis) = servers::redis() else { return };
    let prefix = servers::unique("takeover");
    let mut dead = Door::open(&redis.url(0), &prefix, "dead").await;
    let fresh = dead.send(PING).await;
    let old = dead.send(RUN).await;
    assert_eq!(ids(&delivered(&mut dead.stream, 2).await), ["p1", "r1"]);
    dead.age(&old, "dead", 61_000, 1).await;
    let mut other = Door::open(&redis.url(0), &prefix, "other").await;
    let batch = other.stream.next_batch().await;
    assert_eq!(ids(&batch), ["r1"]);
    assert_eq!(other.owner(&fresh).await, "dead");
    assert_eq!(other.owner(&old).await, "other");
}

#[tokio::test]
async fn a_request_that_nobody_finishes_is_given_up_the_fifth_time() {
    let Some(redis) = servers::redis() else { return };
    let prefix = servers::unique("given_up");
    let mut door = Door::open(&redis.url(0), &prefix, "n1").await;
    let entry = door.send(PING).await;
    drop(door.stream.next_batch().await);
    door.age(&entry, "n1", 0, 4).await;
    let mut next = Door::open(&redis.url(0), &prefix, "n1").await;
    let batch = next.stream.next_batch().await;
    assert_eq!(ids(&batch), ["given up after 5 deliveries that nobody finished"]);
    let Content::Refused(refused) = &batch.deliveries[0].content else { panic!("{batch:?}") };
    assert_eq!(refused.reply_to.as_deref(), Some("web"));
}

#[tokio::test]
async fn what_is_in_hand_is_not_delivered_twice_and_what_was_let_go_is() {
    let Some(redis) = servers::redis() else { return };
    let mut door = Door::open(&redis.url(0), &servers::unique("hand"), "n1").await;
    door.send(PING).await;
    let mut held = door.stream.next_batch().await;
    // The caller stops waiting in the middle of a read, as a `select!` does; what comes then goes to
    // the connection on which nobody waits any more.
    let waited = Duration::from_millis(100);
    assert!(timeout(waited, door.stream.next_batch()).await.is_err());
    door.send(RUN).await;
    let second = door.stream.next_batch().await;
    assert_eq!(ids(&second), ["r1"]);
    drop(held.deliveries.remove(0));
    assert!(timeout(waited, door.stream.next_batch()).await.is_err());
    assert_eq!(ids(&door.stream.next_batch().await), ["p1"]);
}

#[tokio::test]
async fn requests_expire_by_the_clock_of_redis() {
    let Some(redis) = servers::redis() else { return };
    let mut door = Door::open(&redis.url(0), &servers::unique("expiry"), "n1").await;
    let ping = |id: &str, expires_at: &str| {
        format!(r#"{{"v":1,"id":"{id}","op":"ping","expires_at":"{expires_at}"}}"#)
    };
    door.send(ping("late", "2001-01-01T00:00:00+08:00")).await;
    door.send(ping("early", "2999-01-01T00:00:00Z")).await;
    assert_eq!(ids(&delivered(&mut door.stream, 2).await), ["late expired", "early"]);
}

#[tokio::test]
async fn pending_requests_that_somebody_trimmed_are_told_of_and_forgotten() {
    let Some(redis) = servers::redis() else { return };
    let prefix = servers::unique("trimmed");
    let mut door = Door::open(&redis.url(0), &prefix, "n1").await;
    door.send(PING).await;
    drop(door.stream.next_batch().await);
    let mut trim = redis::cmd("XTRIM");
    trim.arg(&door.requests).arg("MAXLEN").arg(0);
    let _: i64 = door.ask(&trim).await;
    let mut next = Door::open(&redis.url(0), &prefix, "n1").await;
    let batch = next.stream.next_batch().await;
    let stream = door.requests.as_str().into();
    assert_eq!(batch.notices, [Notice::Trimmed { stream, entries: 1 }]);
    assert_eq!(next.left().await, (0, 0));
}

#[tokio::test]
async fn each_producer_has_a_stream_of_its_own() {
    let Some(redis) = servers::redis() else { return };
    let prefix = servers::unique("producers");
    let mut settings = settings(&redis.url(0), &prefix, "n1");
    settings.producers = vec!["web".to_owned()];
    let (mut stream, _answers, _state) = open(&settings).unwrap();
    let mut door = Door::open(&redis.url(0), &prefix, "n1").await;
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{{prefix}}}:requests:web")).arg("*").arg("m").arg(PING);
    let _: String = door.ask(&add).await;
    let batch = stream.next_batch().await;
    assert_eq!(ids(&batch), ["p1"]);
    assert_eq!(&*batch.deliveries[0].stream, format!("{{{prefix}}}:requests:web"));
}

/// Over a second: a server ends and starts.
#[tokio::test]
async fn a_redis_that_is_killed_while_we_wait_is_served_again_and_keeps_what_it_appended() {
    let options = RedisOptions { password: None, append_only: true };
    let Some(mut redis) = Redis::start(&options) else { return };
    let url = redis.url(0);
    let mut door = Door::open(&url, "cronwright", "n1").await;
    door.send(PING).await;
    let held = door.stream.next_batch().await;
    let (mut stream, mut state) = (door.stream, door.state);
    let reading = tokio::spawn(async move { stream.next_batch().await });
    redis.end(End::Kill);
    state.wait_for(|state| !state.connected).await.unwrap();
    assert!(state.borrow().last_error.is_some());
    let refused = door.answers.reply("web", &accepted()).await;
    assert!(matches!(refused, Err(RedisError::Failed { .. } | RedisError::Unanswered { .. })));
    redis.start_again();
    state.wait_for(|state| state.connected).await.unwrap();
    let mut producer = Door::open(&url, "cronwright", "producer").await;
    producer.send(RUN).await;
    let batch = reading.await.unwrap();
    assert_eq!((ids(&batch), batch.notices), (vec!["r1".to_owned()], vec![]));
    for delivery in held.deliveries.into_iter().chain(batch.deliveries) {
        door.answers.finish(delivery).await.unwrap();
    }
    assert_eq!(producer.left().await, (0, 0));
}

/// Over a second: a server ends and starts.
#[tokio::test]
async fn a_redis_that_forgot_everything_is_told_of_and_served_from_its_beginning() {
    let Some(mut redis) = Redis::start(&RedisOptions::default()) else { return };
    let url = redis.url(0);
    let mut door = Door::open(&url, "cronwright", "n1").await;
    door.send(PING).await;
    drop(door.stream.next_batch().await);
    redis.end(End::Kill);
    redis.start_again();
    let stream = "{cronwright}:requests".into();
    let reset = Notice::Reset { stream };
    assert_eq!(door.stream.next_batch().await.notices, std::slice::from_ref(&reset));
    // The same when somebody deletes the stream under us; what came meanwhile is not lost.
    let mut producer = Door::open(&url, "cronwright", "producer").await;
    let _: i64 = producer.ask(redis::cmd("DEL").arg("{cronwright}:requests")).await;
    producer.send(RUN).await;
    let batch = door.stream.next_batch().await;
    assert_eq!(batch.notices, [reset]);
    assert_eq!(ids(&door.stream.next_batch().await), ["r1"]);
}

fn accepted() -> Reply {
    let in_reply_to = RequestId::parse("p1").unwrap();
    Reply { in_reply_to, status: ReplyStatus::Accepted { note: None }, execution: None }
}

#[tokio::test]
async fn a_server_that_hangs_is_told_of_and_holds_nobody_up() {
    let Some(redis) = Redis::start(&RedisOptions::default()) else { return };
    let door = Door::open(&redis.url(0), "cronwright", "n1").await;
    door.answers.reply("web", &accepted()).await.unwrap();
    redis.pause();
    let unanswered = door.answers.reply("web", &accepted()).await.unwrap_err();
    assert!(unanswered.to_string().starts_with("cannot write a reply in Redis: "), "{unanswered}");
    redis.resume();
    door.answers.reply("web", &accepted()).await.unwrap();
}

#[tokio::test]
async fn no_error_shows_a_password() {
    for url in ["redis://:canary@host:x/0", "http://u:canary@host", "redis://:can/ary@host/zero"] {
        let Err(error) = open(&settings(url, "cronwright", "n1")) else { panic!("{url}") };
        let error = error.to_string();
        assert!(error.starts_with("cannot use the Redis URL "), "{error}");
        assert!(!error.contains("ary"), "{error}");
    }
    let options = RedisOptions { password: Some("right"), append_only: false };
    let Some(redis) = Redis::start(&options) else { return };
    let url = redis.url_without_password(0).replace("://", "://:canary@");
    let (mut stream, answers, mut state) = open(&settings(&url, "cronwright", "n1")).unwrap();
    let reading = tokio::spawn(async move { stream.next_batch().await });
    let refused = state.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
    reading.abort();
    assert!(!refused.last_error.unwrap().contains("canary"));
    let refused = answers.reply("web", &accepted()).await.unwrap_err().to_string();
    assert!(!refused.contains("canary"), "{refused}");
}
