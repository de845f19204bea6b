//! A daemon's connection: lines in, lines out, never blocking.
//!
//! What is to be said waits as small notes, and becomes text only when the socket has room, so that
//! a daemon that reads slowly costs no memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::supervisor::protocol::{FromSupervisor, LINE_BYTES_MAX, ToSupervisor};

/// While this much text waits for the socket, nothing more is made.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The most `Output` questions that may wait for an answer.
const OUTPUTS_WAITING_MAX: usize = 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    /// How much of `input` holds no line feed.
    scanned: usize,
    ended: bool,
    out: VecDeque<u8>,
    lines: VecDeque<String>,
    endings: VecDeque<Note>,
    outputs: VecDeque<String>,
    /// Whether the epoll set watches for room to write.
    pub(super) writing: bool,
}

/// What is said after all lines that wait.
#[derive(Debug, Clone)]
pub(super) enum Note {
    /// An ending, as soon as it is durable.
    Ending(Arc<str>),
    /// All endings that were there at `Hello` have been said.
    Ready,
}

/// What a connection has to offer next.
#[derive(Debug)]
pub(super) enum Input {
    /// A message.
    Message(ToSupervisor),
    /// Nothing for now.
    Nothing,
    /// It is over: with the reason when it was not closed between two lines.
    End(Option<String>),
}

impl Connection {
    /// Takes a stream that has been accepted.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            scanned: 0,
            ended: false,
            out: VecDeque::new(),
            lines: VecDeque::new(),
            endings: VecDeque::new(),
            outputs: VecDeque::new(),
            writing: false,
        })
    }

    /// The next message. Reads from the socket only when no whole line is here.
    pub(super) fn next(&mut self) -> Input {
        loop {
            if let Some(line) = self.line() {
                return match serde_json::from_slice(&line) {
                    Ok(message) => Input::Message(message),
                    Err(error) => Input::End(Some(format!("not a message: {error}"))),
                };
            }
            if self.input.len() > LINE_BYTES_MAX {
                return Input::End(Some("a line is too long".to_owned()));
            }
            if self.ended {
                let torn = !self.input.is_empty();
                return Input::End(torn.then(|| "it ended within a line".to_owned()));
            }
            match self.read() {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Input::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Input::End(Some(error.to_string())),
            }
        }
    }

    /// Says something as soon as there is room.
    pub(super) fn say(&mut self, message: &FromSupervisor) {
        match serde_json::to_string(message) {
            Ok(line) => self.lines.push_back(line),
            Err(error) => tracing::error!(%error, "cannot write a message as JSON"),
        }
    }

    /// Says an ending, or `Ready`, in the order of these calls.
    pub(super) fn note(&mut self, note: Note) {
        self.endings.push_back(note);
    }

    /// Answers an `Output` question later; false: too many wait.
    pub(super) fn asks_output(&mut self, id: String) -> bool {
        self.outputs.push_back(id);
        self.outputs.len() <= OUTPUTS_WAITING_MAX
    }

    /// Turns notes into text while there is room, and writes. `text` makes the text of a note; none:
    /// it cannot be said yet. An error: the connection is over.
    pub(super) fn flush(
        &mut self,
        mut text: impl FnMut(Said<'_>) -> Option<String>,
    ) -> io::Result<()> {
        loop {
            while self.out.len() < OUT_BYTES_MAX {
                let line = if let Some(line) = self.lines.pop_front() {
                    line
                } else if let Some(id) = self.outputs.pop_front() {
                    text(Said::Output(&id)).unwrap_or_default()
                } else if let Some(note) = self.endings.front() {
                    let Some(line) = text(Said::Note(note)) else { break };
                    self.endings.pop_front();
                    line
                } else {
                    break;
                };
                if !line.is_empty() {
                    self.out.extend(line.as_bytes());
                    self.out.push_back(b'\n');
                }
            }
            if self.out.is_empty() || !self.write()? {
                return Ok(());
            }
        }
    }

    /// Whether text waits for room in the socket.
    pub(super) fn is_full(&self) -> bool {
        !self.out.is_empty()
    }

    /// Refuses whatever the other side sends from now on; what it had sent can still be read.
    pub(super) fn refuse_input(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Read)
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let fresh = &self.input[self.scanned..];
        let Some(at) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.input.len();
            return None;
        };
        let rest = self.input.split_off(self.scanned + at + 1);
        self.scanned = 0;
        Some(std::mem::replace(&mut self.input, rest))
    }

    fn read(&mut self) -> io::Result<usize> {
        let length = self.input.len();
        self.input.resize(length + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[length..]);
        self.input.truncate(length + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Whether all was written.
    fn write(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            match self.stream.write(self.out.as_slices().0) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// What `flush` asks the text of.
#[derive(Debug)]
pub(super) enum Said<'a> {
    /// What this execution has printed so far.
    Output(&'a str),
    /// A note.
    Note(&'a Note),
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
