//! The server on TCP, for those who have a token. Plain HTTP: TLS is the business of a proxy in front.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::io::http::address::HostPort;
use crate::io::http::api::Api;
use crate::io::http::auth::{Gate, guard};
use crate::io::http::routes::router;
use crate::io::http::server::ListenError;

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
    pub async fn serve(
        self,
        api: Api,
        gate: Arc<Gate>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let router = router(api).layer(from_fn_with_state(gate, guard));
        let listener = self.listener.tap_io(|stream| {
            // An event is not to wait for the next one.
            stream.set_nodelay(true).ok();
        });
        axum::serve(listener, router).with_graceful_shutdown(stop).await
    }
}
