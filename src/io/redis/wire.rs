//! The wire: the message of an entry ⇄ requests and replies. Pure.
//!
//! The envelope is the one of every door (`io::http::documents`); here is what differs: a request in a
//! stream must bring its own id, and may name a stream for its replies. Whatever cannot be read is
//! answered all the same when it says where to.

use serde_json::Value;

use crate::engine::request::{Refusal, Reply, RequestId};
use crate::io::http::documents::request::{ENVELOPE_BYTES_MAX, Envelope, ReplyDocument};

/// Keys of the envelope that exist and do nothing yet.
const KEYS_NOT_YET: [&str; 1] = ["traceparent"];
/// Arguments that exist and do nothing yet.
const ARGS_NOT_YET: [&str; 2] = ["ignore_overlap", "retry_of"];

/// Why a message is no request, and whom to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Its id, when that could be read.
    pub id: Option<RequestId>,
    /// Where replies go, when that could be read.
    pub reply_to: Option<String>,
}

/// Reads a message.
pub fn read(message: &[u8]) -> Result<Envelope, Refused> {
    let value = match message.len() {
        0..=ENVELOPE_BYTES_MAX => serde_json::from_slice::<Value>(message).unwrap_or_default(),
        // Too large to be looked into; `Envelope::read` refuses it.
        _ => Value::Null,
    };
    let id = value.get("id").and_then(Value::as_str).and_then(|id| RequestId::parse(id).ok());
    let reply_to = value.get("reply_to").and_then(Value::as_str).filter(|to| is_address(to));
    let refused =
        |refusal| Refused { refusal, id: id.clone(), reply_to: reply_to.map(str::to_owned) };
    if let Some(refusal) = not_yet(&value) {
        return Err(refused(refusal));
    }
    // An empty text is no id: a request that brings none is refused, for it could not be known again.
    let envelope = match without_idle_keys(&value) {
        Some(rest) => Envelope::read(&rest, ""),
        None => Envelope::read(message, ""),
    };
    let envelope = envelope.map_err(refused)?;
    match &envelope.reply_to {
        Some(to) if !is_address(to) => Err(refused(Refusal {
            code: "E0400",
            message: "`reply_to` is not 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned(),
            help: Some("name the stream of your replies so".to_owned()),
        })),
        Some(_) | None => Ok(envelope),
    }
}

/// An entry without a message.
pub fn no_message() -> Refused {
    let refusal = Refusal {
        code: "E0400",
        message: "the entry has no field `m`".to_owned(),
        help: Some("put the envelope, one JSON object, into the field `m`".to_owned()),
    };
    Refused { refusal, id: None, reply_to: None }
}

/// A reply as text.
pub fn reply(reply: &Reply) -> String {
    // A document of texts and numbers can always be written.
    serde_json::to_string(&ReplyDocument::of(reply)).unwrap_or_default()
}

/// Whether a text can be part of the key of a reply stream.
fn is_address(text: &str) -> bool {
    RequestId::parse(text).is_ok()
}

/// A key that asks for what cannot be done yet. Saying that nothing is asked for (`false`, `null`) is
/// saying nothing.
fn not_yet(value: &Value) -> Option<Refusal> {
    let asks = |value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Array(_)) => true,
    };
    let args = value.get("args");
    let key = KEYS_NOT_YET.iter().find(|key| asks(value.get(**key))).map(|key| (*key).to_owned());
    let arg = || ARGS_NOT_YET.iter().find(|arg| asks(args.and_then(|args| args.get(**arg))));
    let key = key.or_else(|| arg().map(|arg| format!("args.{arg}")))?;
    Some(Refusal {
        code: "E0405",
        message: format!("`{key}` is not supported yet"),
        help: Some("leave it out".to_owned()),
    })
}

/// The message without keys that exist, do nothing yet and ask for nothing; none: it has no such key.
fn without_idle_keys(value: &Value) -> Option<Vec<u8>> {
    let mut rest = value.clone();
    let fields = rest.as_object_mut()?;
    let mut removed = false;
    for key in KEYS_NOT_YET {
        removed |= fields.remove(key).is_some();
    }
    if let Some(args) = fields.get_mut("args").and_then(Value::as_object_mut) {
        for arg in ARGS_NOT_YET {
            removed |= args.remove(arg).is_some();
        }
    }
    removed.then(|| rest.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Refused, read, reply};
    use crate::engine::execution::{ExecutionId, Outcome, Skipped};
    use crate::engine::request::{Act, Op, Reply, ReplyStatus, RequestId};
    use crate::spec::job::JobName;

    #[test]
    fn a_full_envelope_is_read() {
        let message = br#"{"v":1,"id":"7-a","op":"run","job":"etl","args":{"wait":true,"ignore_overlap":false},
            "reply_to":"web-7f3a","actor":"kinit:li.wei","issued_at":"2026-11-22T10:15:00+08:00",
            "expires_at":"2026-11-22T10:20:00+08:00","dry_run":false,"idempotency_key":null}"#;
        let envelope = read(message).unwrap();
        let (job, params) = (JobName::parse("etl").unwrap(), BTreeMap::default());
        let op = Op::Act(Act::Run { job, params, wait: true, dry_run: false });
        let request = envelope.request;
        assert_eq!((request.id.as_str(), request.op), ("7-a", op));
        assert_eq!(request.actor.as_deref(), Some("kinit:li.wei"));
        assert_eq!(envelope.reply_to.as_deref(), Some("web-7f3a"));
        let expires_at = envelope.expires_at.map(|at| at.to_rfc3339());
        assert_eq!(expires_at.as_deref(), Some("2026-11-22T10:20:00+08:00"));
    }

    /// Whom to tell what.
    fn refused(message: &str) -> String {
        let Refused { refusal, id, reply_to } = read(message.as_bytes()).unwrap_err();
        let id = id.map(|id| id.to_string());
        format!("{id:?} {reply_to:?} {}: {}", refusal.code, refusal.message)
    }

    #[test]
    fn what_cannot_be_read_is_answered_where_it_says() {
        #[rustfmt::skip]
        let table = [
            ("not json", "None None E0400: not a request: expected ident at line 1 column 2"),
            ("[]", "None None E0400: not a request: invalid length 0, expected struct RequestDocument with 11 elements at line 1 column 2"),
            (r#"{"v":1,"op":"ping","reply_to":"web"}"#,
             r#"None Some("web") E0400: a request id is 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"#),
            (r#"{"v":1,"id":"7","op":5,"reply_to":"web"}"#,
             r#"Some("7") Some("web") E0400: not a request: invalid type: integer `5`, expected a string at line 1 column 22"#),
            (r#"{"v":1,"id":"7","op":"ping","reply_to":"a:b"}"#,
             r#"Some("7") None E0400: `reply_to` is not 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"#),
            (r#"{"v":1,"id":"7","op":"run","job":"etl","args":{"retry_of":"e"},"reply_to":"web"}"#,
             r#"Some("7") Some("web") E0405: `args.retry_of` is not supported yet"#),
            (r#"{"v":1,"id":"7","op":"pause","job":"etl","args":{"force":true}}"#,
             r#"Some("7") None E0400: `args.force` does nothing in `pause`"#),
            (r#"{"v":1,"id":"7","op":"backfill","job":"etl"}"#,
             r#"Some("7") None E0405: `backfill` is no operation"#),
        ];
        for (message, expected) in table {
            assert_eq!(refused(message), expected, "{message}");
        }
        let large = format!(r#"{{"v":1,"id":"7","op":"{}"}}"#, "x".repeat(65_536));
        assert_eq!(refused(&large), "None None E0413: the request is too large");
    }

    #[test]
    fn replies_as_they_are_sent() {
        let id = RequestId::parse("7").unwrap();
        let outcome = Some(Outcome::Skipped(Skipped::Overlap));
        let text = reply(&Reply {
            in_reply_to: id.clone(),
            status: ReplyStatus::Finished { outcome, note: None },
            execution: Some(ExecutionId("7".into())),
        });
        assert_eq!(
            text,
            r#"{"v":1,"in_reply_to":"7","status":"finished","execution_id":"7","result":{"outcome":"skipped","reason":"overlap","note":null},"error":null}"#
        );
        let Refused { refusal, .. } = read(b"?").unwrap_err();
        let text = reply(&Reply {
            in_reply_to: id,
            status: ReplyStatus::Rejected(refusal),
            execution: None,
        });
        assert_eq!(
            text,
            r#"{"v":1,"in_reply_to":"7","status":"rejected","execution_id":null,"result":null,"error":{"code":"E0400","message":"not a request: expected value at line 1 column 1","help":"send one JSON object with `v`, `op` and what the operation needs"}}"#
        );
    }
}
