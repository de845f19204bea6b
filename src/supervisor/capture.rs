//! Output of an execution, bounded: the first and the last bytes, and how many there were (C7).

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::supervisor::protocol::{KeptOutput, OUTPUT_BYTES_MAX};

/// What is kept of stdout and stderr, in the order in which it arrived. Takes memory as it fills.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_bytes_max: usize,
    tail_bytes_max: usize,
    bytes: u64,
}

/// What is kept at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The first bytes.
    pub(crate) head: Vec<u8>,
    /// The last bytes, when not all are in `head`.
    pub(crate) tail: Vec<u8>,
    /// How many there were in all.
    pub(crate) bytes: u64,
}

impl Capture {
    /// Keeps `bytes_max` bytes, half head, half tail.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max.min(OUTPUT_BYTES_MAX)).unwrap_or(0);
        let tail_bytes_max = bytes_max / 2;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_bytes_max: bytes_max - tail_bytes_max,
            tail_bytes_max,
            bytes: 0,
        }
    }

    /// Takes what was read.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        let room = self.head_bytes_max - self.head.len();
        let (first, rest) = chunk.split_at(room.min(chunk.len()));
        self.head.extend_from_slice(first);
        // Only the end of a flood is copied at all.
        let last = &rest[rest.len().saturating_sub(self.tail_bytes_max)..];
        let surplus = (self.tail.len() + last.len()).saturating_sub(self.tail_bytes_max);
        self.tail.drain(..surplus);
        self.tail.extend(last);
    }

    /// What is kept so far.
    pub(crate) fn kept(&self) -> Kept {
        let (older, newer) = self.tail.as_slices();
        Kept { head: self.head.clone(), tail: [older, newer].concat(), bytes: self.bytes }
    }
}

impl From<Kept> for KeptOutput {
    fn from(kept: Kept) -> Self {
        Self {
            head: STANDARD.encode(kept.head),
            tail: STANDARD.encode(kept.tail),
            bytes: kept.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: u64, chunks: &[&str]) -> (String, String, u64) {
        let mut capture = Capture::new(bytes_max);
        for chunk in chunks {
            capture.push(chunk.as_bytes());
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let kept = capture.kept();
        (text(kept.head), text(kept.tail), kept.bytes)
    }

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        for (bytes_max, chunks, head, tail, bytes) in [
            (8, &[][..], "", "", 0),
            (8, &["abc"][..], "abc", "", 3),
            (8, &["abcd", "efgh"][..], "abcd", "efgh", 8),
            (8, &["abcdef", "ghij"][..], "abcd", "ghij", 10),
            (8, &["abcdefghijklmnop"][..], "abcd", "mnop", 16),
            (8, &["abcdefg", "h", "i", "jk"][..], "abcd", "hijk", 11),
            (3, &["abcdef"][..], "ab", "f", 6),
            (1, &["abcdef"][..], "a", "", 6),
            (0, &["abcdef"][..], "", "", 6),
        ] {
            assert_eq!(
                kept(bytes_max, chunks),
                (head.to_owned(), tail.to_owned(), bytes),
                "{bytes_max} bytes of {chunks:?}"
            );
        }
    }
}
