//! Events as a body that goes on: `text/event-stream`.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;

use crate::io::clock;
use crate::io::http::documents::event::EventDocument;
use crate::io::http::feed::{News, Reader};

/// How often a stream with nothing to say says so.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// After how many milliseconds a reader comes back that lost the connection.
const RETRY_MS: u32 = 1_000;

/// What is read next, and by whom.
type Step = Pin<Box<dyn Future<Output = Option<(Reader, Bytes)>> + Send>>;

/// The body: each piece is asked for when the connection has room for it.
struct Events {
    step: Option<Step>,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(step) = &mut self.step else { return Poll::Ready(None) };
        let Poll::Ready(done) = step.as_mut().poll(context) else { return Poll::Pending };
        let Some((reader, bytes)) = done else {
            self.step = None;
            return Poll::Ready(None);
        };
        self.step = Some(Box::pin(next(reader)));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// A response that tells what a reader finds, until there is no more.
pub(super) fn events(reader: Reader) -> Response {
    // An id alone is no event: it says where whoever comes back goes on.
    let beginning = format!("retry: {RETRY_MS}\nid: {}\n\n", reader.at());
    let first: Step = Box::pin(async { Some((reader, beginning.into())) });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that collect answers would collect this one for ever.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::new(Events { step: Some(first) })).into_response()
}

async fn next(mut reader: Reader) -> Option<(Reader, Bytes)> {
    let news = reader.next(HEARTBEAT).await;
    let text = written(&news)?;
    Some((reader, text.into()))
}

/// News as they are sent; none: there will be no more.
fn written(news: &News) -> Option<String> {
    let mut text = String::new();
    let mut write = |id, event: &str| {
        // Writing to a string does not fail.
        write!(text, "id: {id}\ndata: {event}\n\n").ok();
    };
    match news {
        News::Gap { after, until, lost } => {
            let gap = EventDocument::gap(*after, *until, *lost, clock::wall());
            write(until, &gap.line());
        }
        News::Events(events) => {
            for held in events {
                write(&held.id, &held.text);
            }
        }
        News::Nothing => text.push_str(": nothing new\n\n"),
        News::Closed => return None,
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::http::feed::EventFeed;

    #[tokio::test]
    async fn a_reader_is_sent_events_and_a_sign_of_life_where_there_are_none() {
        let feed = EventFeed::new(7);
        let mut reader = feed.read(None, true).unwrap();
        let soon = Duration::from_millis(1);
        assert_eq!(written(&reader.next(soon).await).unwrap(), ": nothing new\n\n");
        feed.push(|_| "{\"a\":1}".to_owned());
        feed.push(|_| "{}".to_owned());
        assert_eq!(
            written(&reader.next(soon).await).unwrap(),
            "id: 7-1\ndata: {\"a\":1}\n\nid: 7-2\ndata: {}\n\n"
        );
        feed.close();
        assert_eq!(written(&reader.next(soon).await), None);
    }
}
