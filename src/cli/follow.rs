//! What an execution prints, as it comes.

use std::time::Duration;

use crate::cli::client::{Client, encoded};
use crate::cli::exit::{Exit, Failure};
use crate::io::executor::feed::Feed;
use crate::io::http::documents::executions::OutputDocument;

/// How often new output is asked for.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// How much of an execution's output has been shown.
#[derive(Debug)]
pub(super) struct Follower {
    /// Bytes go out as they are, also those that steer a terminal.
    raw: bool,
    /// It was accepted, and its row may not be seen yet.
    expected: bool,
    /// The attempt that is shown; 0: none yet.
    attempt: u32,
    /// How much of it.
    feed: Feed,
    /// The beginning of a character whose end has not come yet.
    held: Vec<u8>,
}

impl Follower {
    /// Nothing has been shown.
    pub(super) fn new(raw: bool) -> Self {
        Self { raw, expected: false, attempt: 0, feed: Feed::default(), held: Vec::new() }
    }

    /// An execution that was accepted just now.
    pub(super) fn expected(self) -> Self {
        Self { expected: true, ..self }
    }

    /// Shows what an execution prints until it has ended, all attempts of it. A daemon that is being restarted is
    /// waited for.
    pub(super) async fn follow(
        mut self,
        client: &Client,
        id: &str,
        show: impl Fn(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = output_path(id);
        loop {
            match client.get(&path).await {
                Ok(document) => {
                    self.expected = true;
                    let output: OutputDocument = document.read()?;
                    self.show(&output, &show)?;
                    if !output.running {
                        return Ok(());
                    }
                }
                Err(failure)
                    if self.expected
                        && matches!(failure.exit, Exit::NotFound | Exit::Unreachable) => {}
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// Shows what is new.
    pub(super) fn show(
        &mut self,
        output: &OutputDocument,
        show: impl Fn(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let bytes = self.news(output).ok_or_else(damaged)?;
        show(&self.shown_as(&bytes, output.running))
    }

    /// The bytes that were not shown yet, with a mark where some were dropped and where another attempt begins;
    /// none: the document is damaged.
    pub(super) fn news(&mut self, output: &OutputDocument) -> Option<Vec<u8>> {
        let (head, tail) = output.parts()?;
        let mut news = Vec::new();
        if self.attempt != output.attempt {
            if self.attempt > 0 {
                news.extend(format!("\n[… attempt {} …]\n", output.attempt).into_bytes());
            }
            (self.attempt, self.feed) = (output.attempt, Feed::default());
        }
        news.extend(self.feed.news(&head, &tail, output.bytes)?);
        Some(news)
    }

    /// As it goes out. The beginning of a character waits for the rest of it while more may come.
    fn shown_as(&mut self, bytes: &[u8], more_may_come: bool) -> Vec<u8> {
        if self.raw {
            return bytes.to_vec();
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        if more_may_come {
            self.held = text.split_off(text.len() - begun_character(&text));
        }
        harmless(&String::from_utf8_lossy(&text)).into_bytes()
    }
}

/// Where the output of an execution is asked for.
pub(super) fn output_path(id: &str) -> String {
    format!("/api/v1/executions/{}/output", encoded(id))
}

/// How many bytes at the end begin a character and do not end it.
fn begun_character(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    let broken = last.map(|chunk| chunk.invalid().len()).unwrap_or_default();
    let end = text.get(text.len() - broken..).unwrap_or_default();
    match std::str::from_utf8(end) {
        Err(error) if error.error_len().is_none() => broken,
        Ok(_) | Err(_) => 0,
    }
}

/// Output without what steers a terminal: escape sequences and control characters but tab and newline.
pub(super) fn harmless(text: &str) -> String {
    let stripped = anstream::adapter::strip_str(text).to_string();
    stripped.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// The daemon's answer makes no sense.
pub(super) fn damaged() -> Failure {
    Failure::new(Exit::Usage, "the daemon's answer cannot be read: the output is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(head: &str, tail: &str, bytes: u64) -> OutputDocument {
        OutputDocument {
            schema: OutputDocument::SCHEMA.to_owned(),
            execution_id: "x".to_owned(),
            attempt: 1,
            running: true,
            encoding: "utf-8".to_owned(),
            head: head.to_owned(),
            tail: tail.to_owned(),
            bytes,
            truncated: bytes > (head.len() + tail.len()) as u64,
        }
    }

    #[test]
    fn nothing_in_an_output_steers_the_terminal() {
        let text = "a\u{1b}[31mb\u{1b}[0m\r\n\u{1b}]0;title\u{7}c\td\u{9b}2J\u{8}e\n";
        assert_eq!(harmless(text), "ab\nc\td2Je\n");
    }

    #[test]
    fn another_attempt_begins_from_the_beginning() {
        let mut follower = Follower::new(true);
        let mut told =
            |output: &OutputDocument| String::from_utf8(follower.news(output).unwrap()).unwrap();
        assert_eq!(told(&output("first", "", 5)), "first");
        let second = OutputDocument { attempt: 2, ..output("se", "", 2) };
        assert_eq!(told(&second), "\n[… attempt 2 …]\nse");
        let second = OutputDocument { attempt: 2, ..output("second", "", 6) };
        assert_eq!(told(&second), "cond");
    }

    #[test]
    fn a_character_is_shown_when_it_is_whole() {
        let mut follower = Follower::new(false);
        let bytes = "aü€".as_bytes();
        let mut told =
            |part: &[u8], more| String::from_utf8(follower.shown_as(part, more)).unwrap();
        assert_eq!(told(&bytes[..2], true), "a");
        assert_eq!(told(&bytes[2..4], true), "ü");
        assert_eq!(told(&bytes[4..], true), "€");
        assert_eq!(told(b"x\xff", true), "x\u{fffd}", "no beginning of anything");
        assert_eq!(told(b"y\xe2", false), "y\u{fffd}", "nothing comes any more");
    }
}
