//! What a process leaves behind: its output, its exit, and what went wrong.

/// Output that was kept of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, when not all is in `head`.
    pub tail: Vec<u8>,
    /// How many bytes were written in all.
    pub bytes: u64,
}

impl Output {
    /// Whether bytes between head and tail were dropped.
    pub fn truncated(&self) -> bool {
        self.bytes > (self.head.len() + self.tail.len()) as u64
    }
}

/// What went wrong, in the shape that users of the seed know (C6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Kind of error, for example `SpawnError`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Where there is one.
    pub traceback: Option<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}
