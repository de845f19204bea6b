//! Talks to a daemon: HTTP/1 over its unix socket, or over TCP with a token; one connection per question.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Document;
use crate::daemon::settings::Listen;
use crate::io::http::address::HostPort;
use crate::io::http::documents::ErrorDocument;

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a daemon may take to answer. Longer than it lets a waiting request wait.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long nothing at all may come of a stream: longer than the daemon lets one be silent.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The way to a daemon.
#[derive(Clone)]
pub struct Client {
    place: Listen,
    /// What lets us in over TCP. Never shown.
    token: Option<String>,
}

/// An answer that goes on.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    _connection: Connection,
}

/// Moves bytes until it is dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

/// What HTTP is spoken over.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.shown())
    }
}

impl Stream {
    /// The next bytes; none: it ended. An error is that it broke, or has been silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.map_err(|_| "nothing comes any more".to_owned())?.transpose();
            match frame.map_err(|error| error.to_string())?.map(Frame::into_data) {
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                // Fields behind the body.
                Some(Err(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

impl Client {
    /// A client of the daemon that listens on this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { place: Listen::Unix(socket), token: None }
    }

    /// A client of the daemon that listens at this address.
    pub fn over_tcp(address: HostPort, token: Option<String>) -> Self {
        Self { place: Listen::Tcp(address), token }
    }

    /// Asks for a document; `path` begins with `/api/v1/`.
    pub async fn get(&self, path: &str) -> Result<Document, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Sends a document.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Document, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::new(Exit::Usage, format!("cannot write JSON: {error}")))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Document, Failure> {
        let answer = timeout(ANSWER_TIMEOUT, self.exchange(method, path, body)).await;
        let (status, body) = match answer {
            Ok(answer) => answer?,
            Err(_) => return Err(self.unreachable("it does not answer in time")),
        };
        let text = String::from_utf8(body.to_vec()).unwrap_or_default();
        if status.is_success() {
            return Document::parse(text)
                .map_err(|error| self.unreachable(&format!("its answer is not JSON: {error}")));
        }
        Err(self.refused(status, &text))
    }

    /// The failure behind an answer that is none.
    fn refused(&self, status: StatusCode, text: &str) -> Failure {
        match serde_json::from_str::<ErrorDocument>(text) {
            Ok(document) => refused(status, document),
            Err(_) => self.unreachable(&format!("it answers HTTP {status}")),
        }
    }

    /// Asks for an answer that goes on.
    pub async fn stream(&self, path: &str) -> Result<Stream, Failure> {
        let opened = timeout(ANSWER_TIMEOUT, self.send(Method::GET, path, Bytes::new())).await;
        let Ok(opened) = opened else { return Err(self.unreachable("it does not answer in time")) };
        let (response, connection) = opened?;
        let status = response.status();
        if status.is_success() {
            return Ok(Stream { body: response.into_body(), _connection: connection });
        }
        let body = self.read(response).await?;
        Err(self.refused(status, &String::from_utf8_lossy(&body)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (response, _connection) = self.send(method, path, body).await?;
        Ok((response.status(), self.read(response).await?))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Failure> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes())
    }

    /// Sends a question, and waits for the beginning of the answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let broken = |error: &dyn fmt::Display| self.unreachable(&error.to_string());
        let socket = match timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(socket) => socket.map_err(|error| self.no_daemon(&error))?,
            Err(_) => return Err(self.unreachable("it does not accept the connection")),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| broken(&error))?;
        // What ends it is told to whoever waits for the answer.
        let connection = Connection(tokio::spawn(async { drop(connection.await) }));
        let host = match &self.place {
            Listen::Unix(_) => "localhost".to_owned(),
            Listen::Tcp(address) => address.to_string(),
        };
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        request = request.header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot ask for {path}: {error}"))
        })?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok((response, connection))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Socket>> {
        Ok(match &self.place {
            Listen::Unix(socket) => Box::new(UnixStream::connect(socket).await?),
            Listen::Tcp(HostPort { host, port }) => {
                Box::new(TcpStream::connect((host.as_str(), *port)).await?)
            }
        })
    }

    /// The daemon's place, for people.
    fn shown(&self) -> String {
        match &self.place {
            Listen::Unix(socket) => socket.display().to_string(),
            Listen::Tcp(address) => format!("http://{address}"),
        }
    }

    fn no_daemon(&self, error: &std::io::Error) -> Failure {
        let place = self.shown();
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return Failure::new(
                Exit::Unreachable,
                format!("may not connect to the daemon at {place}"),
            )
            .help("run as the daemon's user");
        }
        Failure::new(Exit::Unreachable, format!("no daemon answers at {place}"))
            .help("start one with `cronwright serve`, or say where it is with `--state-dir` or `--server`")
    }

    /// That the daemon cannot be asked.
    pub(super) fn unreachable(&self, why: &str) -> Failure {
        let place = self.shown();
        Failure::new(Exit::Unreachable, format!("the daemon at {place} cannot be asked: {why}"))
            .help("try again; `cronwright status` says how it is")
    }
}

/// The failure behind an error that the daemon reports.
fn refused(status: StatusCode, document: ErrorDocument) -> Failure {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::SERVICE_UNAVAILABLE => Exit::Unreachable,
        StatusCode::CONFLICT => Exit::Refused,
        _ => Exit::Usage,
    };
    let error = document.error;
    Failure { exit, code: Some(error.code), message: error.message, help: error.help }
}

/// A piece of a path or of a query: everything but letters, digits and `-._~` as `%XX`.
pub fn encoded(text: &str) -> String {
    let piece = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(piece).collect()
}

/// A path with those parameters that have a value.
pub fn path(base: &str, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let pairs: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if pairs.is_empty() { base.to_owned() } else { format!("{base}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn parameters_are_encoded_and_absent_ones_left_out() {
        let id = Some("etl-1@2026-11-22T18:30:00Z&x".to_owned());
        assert_eq!(
            path("/api/v1/next", &[("job", id), ("n", None), ("q", Some("é".into()))]),
            "/api/v1/next?job=etl-1%402026-11-22T18%3A30%3A00Z%26x&q=%C3%A9"
        );
        assert_eq!(path("/api/v1/jobs", &[("n", None)]), "/api/v1/jobs");
    }
}
