//! Entries of a request stream: what the server sends, turned into deliveries.
//!
//! Read from the driver's raw values: any bytes may stand in a stream, and none of them may end the
//! loop.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;

use crate::engine::request::Refusal;
use crate::io::http::documents::request::Envelope;
use crate::io::redis::wire::{self, Refused};
use crate::time::Timestamp;

/// The field that holds the envelope.
const MESSAGE: &[u8] = b"m";
/// How often an entry is delivered before it is given up: whatever it is, it ends daemons.
pub(super) const DELIVERIES_MAX: u64 = 5;
/// The code of the refusal of an entry that was given up.
const GIVEN_UP: &str = "E0410";

/// Names and values, any bytes.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An entry in the hands of this daemon. Dropped without [`super::Answers::finish`] it is delivered
/// again, to this daemon or another one.
#[derive(Debug)]
pub struct Delivery {
    /// The key of its stream.
    pub stream: Arc<str>,
    /// Its id in the stream.
    pub entry: String,
    /// What it says.
    pub content: Content,
    /// Its fields as they were sent.
    pub(super) fields: Fields,
    /// Keeps it from being delivered twice at the same time.
    pub(super) _hold: Hold,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A request to carry out.
    Request(Envelope),
    /// A request that came after its `expires_at`, by the clock of Redis.
    Expired(Envelope),
    /// Nothing that can be carried out: for [`super::Answers::dead`].
    Refused(Refused),
}

/// An entry as the server sends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: String,
    /// Its fields; none: it was deleted or trimmed while it was pending.
    pub(super) fields: Option<Fields>,
}

impl Content {
    /// What an entry says that was delivered so many times.
    pub(super) fn of(fields: &[(Vec<u8>, Vec<u8>)], deliveries: u64) -> Self {
        let message = fields.iter().find(|(name, _)| name == MESSAGE).map(|(_, value)| value);
        let read = message.map_or_else(|| Err(wire::no_message()), |message| wire::read(message));
        if deliveries < DELIVERIES_MAX {
            return read.map_or_else(Self::Refused, Self::Request);
        }
        let (id, reply_to) = match read {
            Ok(envelope) => (Some(envelope.request.id), envelope.reply_to),
            Err(refused) => (refused.id, refused.reply_to),
        };
        let message = format!("given up after {deliveries} deliveries that nobody finished");
        let help = Some("see the daemon's log for what became of it".to_owned());
        let refusal = Refusal { code: GIVEN_UP, message, help };
        Self::Refused(Refused { refusal, id, reply_to })
    }

    /// The moment after which it must not be carried out.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Request(envelope) => envelope.expires_at.map(|at| at.to_utc()),
            Self::Expired(_) | Self::Refused(_) => None,
        }
    }

    /// The content, judged by the clock of Redis.
    pub(super) fn judged(self, now: Timestamp) -> Self {
        match self {
            Self::Request(envelope) if envelope.expires_at.is_some_and(|at| at < now) => {
                Self::Expired(envelope)
            }
            Self::Request(_) | Self::Expired(_) | Self::Refused(_) => self,
        }
    }
}

/// The entries that this process has in hand, by stream and id.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<Held>>>);

/// Stream and id.
type Held = (Arc<str>, String);

/// One entry in hand; let go of when dropped.
#[derive(Debug)]
pub(super) struct Hold {
    in_hand: InHand,
    entry: Held,
}

impl InHand {
    /// Takes an entry in hand, unless it is already.
    pub(super) fn take(&self, stream: &Arc<str>, id: &str) -> Option<Hold> {
        let entry = (Arc::clone(stream), id.to_owned());
        let new = self.entries(|entries| entries.insert(entry.clone()));
        new.then(|| Hold { in_hand: self.clone(), entry })
    }

    /// Whether an entry is in hand.
    pub(super) fn has(&self, stream: &Arc<str>, id: &str) -> bool {
        self.entries(|entries| entries.contains(&(Arc::clone(stream), id.to_owned())))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.entries(|entries| entries.len())
    }

    fn entries<T>(&self, act: impl FnOnce(&mut BTreeSet<Held>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_hand.entries(|entries| entries.remove(&self.entry));
    }
}

/// The entries in an answer of XREADGROUP, by stream. Whatever has another shape is left out.
pub(super) fn by_stream(answer: Value) -> Vec<(String, Vec<Entry>)> {
    let streams = items(answer).into_iter().filter_map(pair);
    streams.filter_map(|(stream, list)| Some((text(stream)?, entries(list)))).collect()
}

/// A list of entries.
pub(super) fn entries(list: Value) -> Vec<Entry> {
    items(list)
        .into_iter()
        .filter_map(|entry| {
            let (id, fields) = pair(entry)?;
            let exists = fields != Value::Nil;
            Some(Entry { id: text(id)?, fields: exists.then(|| pairs(fields)) })
        })
        .collect()
}

/// The parts of an answer that is a list; nothing for any other answer.
pub(super) fn items(value: Value) -> Vec<Value> {
    if let Value::Array(items) = value { items } else { Vec::new() }
}

/// A text of an answer.
pub(super) fn text(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}

fn pair(value: Value) -> Option<(Value, Value)> {
    let pair: [Value; 2] = items(value).try_into().ok()?;
    let [first, second] = pair;
    Some((first, second))
}

fn pairs(fields: Value) -> Fields {
    let bytes = |value: Value| redis::from_redis_value::<Vec<u8>>(value).unwrap_or_default();
    let mut flat = items(fields).into_iter().map(bytes);
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        fields.push((name, value));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redis::Value;

    use super::{Content, Entry, InHand, by_stream};

    fn bulk(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    #[test]
    fn entries_are_read_whatever_bytes_they_hold() {
        let fields = Value::Array(vec![bulk(b"\xff"), bulk(b"\0"), bulk(b"m"), bulk(b"\xfe")]);
        let first = Value::Array(vec![bulk(b"1-0"), fields]);
        let trimmed = Value::Array(vec![bulk(b"2-0"), Value::Nil]);
        let nonsense = Value::Int(5);
        let list = Value::Array(vec![first, trimmed, nonsense]);
        let answer = Value::Array(vec![Value::Array(vec![bulk(b"s"), list])]);
        let fields = vec![(b"\xff".to_vec(), b"\0".to_vec()), (b"m".to_vec(), b"\xfe".to_vec())];
        let expected = vec![
            Entry { id: "1-0".to_owned(), fields: Some(fields) },
            Entry { id: "2-0".to_owned(), fields: None },
        ];
        assert_eq!(by_stream(answer), [("s".to_owned(), expected)]);
        assert_eq!(by_stream(Value::Nil), []);
    }

    #[test]
    fn an_entry_that_nobody_finishes_is_given_up() {
        let message = br#"{"v":1,"id":"7","op":"ping","reply_to":"web"}"#.to_vec();
        let fields = [(b"m".to_vec(), message)];
        assert!(matches!(Content::of(&fields, 4), Content::Request(_)));
        let Content::Refused(refused) = Content::of(&fields, 5) else { panic!("not refused") };
        assert_eq!(refused.refusal.message, "given up after 5 deliveries that nobody finished");
        assert_eq!(refused.reply_to.as_deref(), Some("web"));
    }

    #[test]
    fn an_entry_is_in_hand_once_until_it_is_let_go() {
        let in_hand = InHand::default();
        let stream: Arc<str> = "s".into();
        let hold = in_hand.take(&stream, "1-0");
        assert!(hold.is_some() && in_hand.take(&stream, "1-0").is_none());
        drop(hold);
        assert!(in_hand.take(&stream, "1-0").is_some());
    }
}
