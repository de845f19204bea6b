//! The server on TCP, for those who have a token. Plain HTTP: TLS is the business of a proxy in front.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::io::http::address::HostPort;
use crate::io::http::api::Api;
use crate::io::http::auth::{Gate, guard};
use crate::io::http::routes::router;
use crate::io::http::server::ListenError;

/// How many connections there may be at once, for each address; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// Within what a connection says what it asks for, at its beginning and after each answer: who only
/// connects does not hold a place for ever.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// An address that is listened at.
#[derive(Debug)]
pub struct TcpDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl TcpDoor {
    /// Listens at the first address that the host has.
    pub async fn bind(address: &HostPort) -> Result<Self, ListenError> {
        let refused = |source| ListenError::Tcp { address: address.to_string(), source };
        let listener = TcpListener::bind((address.host.as_str(), address.port)).await;
        let listener = listener.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that it has got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers whom the gate lets in until `stop` ends, and then what was asked before.
    pub async fn serve(mut self, api: Api, gate: Arc<Gate>, stop: impl Future<Output = ()> + Send) {
        let service = TowerToHyperService::new(router(api).layer(from_fn_with_state(gate, guard)));
        let open = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut stop = pin!(stop);
        loop {
            let (stream, place) = tokio::select! {
                accepted = accept(&mut self.listener, &places) => accepted,
                () = &mut stop => break,
            };
            serve_connection(stream, place, service.clone(), &open);
        }
        drop(self.listener);
        open.shutdown().await;
    }
}

/// A connection, when there is a place for it.
async fn accept(
    listener: &mut TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Nobody closes it.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, _) = Listener::accept(listener).await;
    // An event is not to wait for the next one.
    stream.set_nodelay(true).ok();
    (stream, place)
}

fn serve_connection(
    stream: TcpStream,
    place: Option<OwnedSemaphorePermit>,
    service: TowerToHyperService<Router>,
    open: &GracefulShutdown,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        // Whoever asked has gone, or has said nothing for too long.
        connection.await.ok();
        drop(place);
    });
}
