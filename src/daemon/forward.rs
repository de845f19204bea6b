//! What jobs print, in the daemon's log as well (`output.forward`): line by line, while they run.
//!
//! Who owns the output, the supervisor or a handler, is asked for what is new, and the ending brings the rest. What runs on
//! from an earlier daemon is not forwarded: what of it was logged is not known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::info;

use crate::engine::execution::{AttemptId, Output};
use crate::io::executor::feed::Feed;
use crate::spec::job::JobName;

/// How often is asked for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How much of one look is logged, in bytes; of more, the end.
const LOOK_BYTES_MAX: usize = 64 * 1024;
/// The longest line; a longer one is logged in parts.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// The attempts whose output is forwarded.
#[derive(Debug, Clone, Default)]
pub(super) struct Forwards(Arc<Mutex<BTreeMap<AttemptId, Lines>>>);

/// One of them.
#[derive(Debug)]
struct Lines {
    job: JobName,
    feed: Feed,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

impl Forwards {
    /// Forwards what an attempt prints from now on, until it ends; `look` says what that is so far.
    pub(super) fn begin<L>(
        &self,
        id: AttemptId,
        job: JobName,
        look: impl Fn() -> L + Send + 'static,
    ) where
        L: Future<Output = Option<Output>> + Send,
    {
        let lines = Lines { job, feed: Feed::default(), begun: Vec::new() };
        self.all().insert(id.clone(), lines);
        let forwards = self.clone();
        tokio::spawn(async move {
            while forwards.all().contains_key(&id) {
                // None: it has not been started yet, or its end is on its way.
                if let Some(output) = look().await
                    && let Some(lines) = forwards.all().get_mut(&id)
                {
                    lines.log(&id, &output);
                }
                sleep(LOOK_EVERY).await;
            }
        });
    }

    /// The attempt has ended, with this output.
    pub(super) fn end(&self, id: &AttemptId, output: &Output) {
        let Some(mut lines) = self.all().remove(id) else { return };
        lines.log(id, output);
        let rest = std::mem::take(&mut lines.begun);
        if !rest.is_empty() {
            lines.say(id, &rest);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Lines>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn log(&mut self, id: &AttemptId, output: &Output) {
        // Damaged: the next look may be better, and `logs` tells.
        let Some(news) = self.feed.news(&output.head, &output.tail, output.bytes) else { return };
        let left_out = news.len().saturating_sub(LOOK_BYTES_MAX);
        if left_out > 0 {
            self.begun.clear();
            self.say(id, format!("[… {left_out} bytes are not logged …]").as_bytes());
        }
        self.begun.extend_from_slice(news.get(left_out..).unwrap_or_default());
        for line in whole_lines(&mut self.begun) {
            self.say(id, &line);
        }
    }

    fn say(&self, id: &AttemptId, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text: String = text.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
        info!(job = %self.job, execution_id = %id.execution, attempt = id.number, "| {text}");
    }
}

/// Takes the lines that are whole, and those that are too long to be waited for.
fn whole_lines(bytes: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let within = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            if rest.len() < LINE_BYTES_MAX {
                break;
            }
            lines.push(within.to_vec());
            done += within.len();
            continue;
        };
        lines.push(rest.get(..end).unwrap_or_default().to_vec());
        done += end + 1;
    }
    bytes.drain(..done);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_their_end_but_not_for_ever() {
        let mut bytes = b"one\n\ntwo\nthr".to_vec();
        let lines = |bytes: &mut Vec<u8>| -> Vec<String> {
            let lines = whole_lines(bytes).into_iter();
            lines.map(|line| String::from_utf8(line).unwrap()).collect()
        };
        assert_eq!(lines(&mut bytes), ["one", "", "two"]);
        bytes.extend_from_slice(b"ee\n");
        assert_eq!(lines(&mut bytes), ["three"]);
        bytes.extend_from_slice("x".repeat(2 * LINE_BYTES_MAX + 1).as_bytes());
        let parts: Vec<usize> = lines(&mut bytes).iter().map(String::len).collect();
        assert_eq!((parts, bytes.len()), (vec![LINE_BYTES_MAX; 2], 1));
    }
}
