//! Where the daemon listens, for `serve`.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::cli::exit::{Exit, Failure};
use crate::daemon::settings::Listen;
use crate::io::http::api::Api;
use crate::io::http::auth::Gate;
use crate::io::http::server::{ListenError, Listener};
use crate::io::http::tcp::TcpDoor;

/// Sockets and addresses that are listened at.
pub(super) struct Doors {
    sockets: Vec<Listener>,
    addresses: Vec<TcpDoor>,
    gate: Arc<Gate>,
}

impl Doors {
    /// Listens at all of them, or at none.
    pub(super) async fn open(places: &[Listen], gate: Gate) -> Result<Self, Failure> {
        let mut doors = Self { sockets: Vec::new(), addresses: Vec::new(), gate: Arc::new(gate) };
        for place in places {
            let opened = match place {
                Listen::Unix(path) => {
                    Listener::bind(path).map(|listener| doors.sockets.push(listener))
                }
                Listen::Tcp(address) => {
                    TcpDoor::bind(address).await.map(|door| doors.addresses.push(door))
                }
            };
            opened.map_err(|error| listen_failure(&error))?;
        }
        Ok(doors)
    }

    /// Answers at all of them until the daemon has stopped.
    pub(super) fn serve(
        self,
        api: &Api,
        stopped: &watch::Receiver<bool>,
    ) -> JoinSet<std::io::Result<()>> {
        let mut serving = JoinSet::new();
        let stop = || {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|stopped| *stopped).await) }
        };
        for listener in self.sockets {
            serving.spawn(listener.serve(api.clone(), stop()));
        }
        for door in self.addresses {
            let address = door.address();
            info!(address = %format_args!("http://{address}"), "listening for those who have a token");
            if !address.ip().is_loopback() {
                warn!(%address, "tokens come over the network in plain HTTP; let a proxy in front of it speak TLS");
            }
            let (api, gate, stop) = (api.clone(), Arc::clone(&self.gate), stop());
            serving.spawn(async move {
                door.serve(api, gate, stop).await;
                Ok(())
            });
        }
        serving
    }
}

fn listen_failure(error: &ListenError) -> Failure {
    let exit = if matches!(error, ListenError::Held { .. }) { Exit::Refused } else { Exit::Usage };
    let help = match error {
        ListenError::Tcp { .. } => "name an address of this machine, and a port that is free",
        ListenError::Held { .. } | ListenError::NotASocket { .. } | ListenError::System { .. } => {
            "stop the other daemon, or name another socket with `--listen unix:PATH`"
        }
    };
    Failure::new(exit, error.to_string()).help(help)
}
