//! One connection to a supervisor: lines both ways, and how it comes to be.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::io::executor::supervisor::{Launch, SupervisorError};
use crate::supervisor::places::Places;
use crate::supervisor::protocol::{
    FromSupervisor, LINE_BYTES_MAX, PROTOCOL_VERSION, RunningProcess, ToSupervisor,
};

/// How long an answer to `Hello` is waited for.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried to reach or to start one, when the one before vanished before it answered.
const TRIES_MAX: usize = 10;

/// The pause after the first vain try; each further one is twice as long. One that was killed may hold its socket
/// until the system has cleared it away.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A connection after `Hello`.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    /// How much of `input` holds no line feed.
    scanned: usize,
    /// What the supervisor said first.
    pub(super) hello: Hello,
}

/// What a supervisor says first.
#[derive(Debug, Clone, Default)]
pub(super) struct Hello {
    pub(super) pid: u32,
    pub(super) instance: String,
    pub(super) running: Vec<RunningProcess>,
}

/// How a connection ends.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// Between two lines.
    Closed,
    /// In any other way.
    Failed(io::Error),
}

/// Connects to a supervisor, or starts one.
pub(super) async fn open(launch: &Launch, places: &Places) -> Result<Connection, SupervisorError> {
    let socket = places.socket();
    let failed = |source| SupervisorError::Connection {
        socket: places.socket().display().to_string(),
        source,
    };
    let mut last = None;
    let mut pause = Duration::ZERO;
    for _ in 0..TRIES_MAX {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).clamp(FIRST_PAUSE, PAUSE_MAX);
        let stream = match UnixStream::connect(&socket).await {
            Ok(stream) => stream,
            Err(error) if nobody_listens(&error) => {
                start(launch, places).await?;
                match UnixStream::connect(&socket).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        last = Some(error);
                        continue;
                    }
                }
            }
            Err(error) => return Err(failed(error)),
        };
        // One that is about to leave, or dies now, closes without a word.
        match Connection::greeted(stream, places).await {
            Ok(connection) => return Ok(connection),
            Err(SupervisorError::Connection { source, .. }) => last = Some(source),
            Err(error) => return Err(error),
        }
    }
    Err(failed(last.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into())))
}

impl Connection {
    /// The next message. May be cancelled without losing one.
    pub(super) async fn next(&mut self) -> Result<FromSupervisor, ConnectionEnd> {
        loop {
            let fresh = &self.input[self.scanned..];
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let rest = self.input.split_off(self.scanned + at + 1);
                self.scanned = 0;
                let line = std::mem::replace(&mut self.input, rest);
                return serde_json::from_slice(&line).map_err(|error| failed(&error.to_string()));
            }
            self.scanned = self.input.len();
            if self.input.len() > LINE_BYTES_MAX {
                return Err(failed("a line is too long"));
            }
            self.input.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) if self.input.is_empty() => return Err(ConnectionEnd::Closed),
                Ok(0) => return Err(failed("it ended within a line")),
                Ok(_) => {}
                Err(error) => return Err(ConnectionEnd::Failed(error)),
            }
        }
    }

    /// Says something. The supervisor always reads: this waits for nothing but the kernel.
    pub(super) async fn say(&mut self, message: &ToSupervisor) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.write_all(&line).await
    }

    async fn greeted(stream: UnixStream, places: &Places) -> Result<Self, SupervisorError> {
        let socket = || places.socket().display().to_string();
        let failed = |source| SupervisorError::Connection { socket: socket(), source };
        let mut connection =
            Self { stream, input: Vec::new(), scanned: 0, hello: Hello::default() };
        connection
            .say(&ToSupervisor::Hello { protocol: PROTOCOL_VERSION })
            .await
            .map_err(failed)?;
        let first = tokio::time::timeout(HELLO_PATIENCE, connection.next())
            .await
            .map_err(|_| SupervisorError::Silent { socket: socket() })?;
        match first {
            Ok(FromSupervisor::Hello { protocol: PROTOCOL_VERSION, pid, instance, running }) => {
                connection.hello = Hello { pid, instance, running };
                Ok(connection)
            }
            Ok(FromSupervisor::Hello { protocol: theirs, .. }) => {
                Err(SupervisorError::Version { socket: socket(), theirs, ours: PROTOCOL_VERSION })
            }
            Ok(_) => Err(failed(io::Error::other("it did not begin with Hello"))),
            Err(ConnectionEnd::Closed) => Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Err(ConnectionEnd::Failed(error)) => Err(failed(error)),
        }
    }
}

/// How long the line of a message is, in bytes.
pub(super) fn line_bytes(message: &ToSupervisor) -> usize {
    serde_json::to_vec(message).map_or(usize::MAX, |line| line.len())
}

fn failed(why: &str) -> ConnectionEnd {
    ConnectionEnd::Failed(io::Error::other(why.to_owned()))
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Starts a supervisor and waits until it listens.
async fn start(launch: &Launch, places: &Places) -> Result<(), SupervisorError> {
    let not_run = |source| SupervisorError::Run { exe: launch.exe.display().to_string(), source };
    let command = command(launch, places);
    let ended = tokio::task::spawn_blocking(move || run(command))
        .await
        .map_err(|error| not_run(io::Error::other(error)))?
        .map_err(not_run)?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    let why =
        if said.is_empty() { format!("the supervisor ended: {}", ended.status) } else { said };
    Err(SupervisorError::NotStarted(why))
}

fn command(launch: &Launch, places: &Places) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the supervisor is started by its client")]
    let mut command = Command::new(&launch.exe);
    command
        .arg("supervisor")
        .arg("--state-dir")
        .arg(places.state_dir())
        .arg("--leave-after-ms")
        .arg(launch.leave_after.as_millis().to_string())
        // It passes nothing on, and must not show the daemon's passwords in /proc either.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn run(mut command: Command) -> io::Result<Output> {
    command.output()
}
