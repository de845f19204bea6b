//! Talks to a daemon: HTTP/1 over its unix socket, one connection per question.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Document;
use crate::io::http::documents::ErrorDocument;

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a daemon may take to answer. Longer than it lets a waiting request wait.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The way to a daemon.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that listens on this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
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
        match serde_json::from_str::<ErrorDocument>(&text) {
            Ok(document) => Err(refused(status, document)),
            Err(_) => Err(self.unreachable(&format!("it answers HTTP {status}"))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let broken = |error: &dyn std::fmt::Display| self.unreachable(&error.to_string());
        let stream = match timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(stream) => stream.map_err(|error| self.no_daemon(&error))?,
            Err(_) => return Err(self.unreachable("it does not accept the connection")),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| {
                Failure::new(Exit::Usage, format!("cannot ask for {path}: {error}"))
            })?;
        // The connection moves bytes while the answer is awaited; it ends with it.
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| broken(&error))?.to_bytes()))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(broken(&error)),
            },
        }
    }

    fn no_daemon(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return Failure::new(
                Exit::Unreachable,
                format!("may not connect to the daemon at {socket}"),
            )
            .help("run as the daemon's user");
        }
        Failure::new(Exit::Unreachable, format!("no daemon answers at {socket}"))
            .help("start one with `cronwright serve`, or say where it is with `--state-dir` or `--server`")
    }

    fn unreachable(&self, why: &str) -> Failure {
        let socket = self.socket.display();
        Failure::new(Exit::Unreachable, format!("the daemon at {socket} cannot be asked: {why}"))
            .help("try again; `cronwright status` says how it is")
    }
}

/// The failure behind an error that the daemon reports.
fn refused(status: StatusCode, document: ErrorDocument) -> Failure {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => {
            Exit::Unreachable
        }
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
