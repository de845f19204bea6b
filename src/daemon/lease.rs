//! The lease: asks for the right to decide what fires, renews it, and says that this node lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::daemon::Incoming;
use crate::engine::event::{Event, LeaseLoss};
use crate::io::clock;
use crate::io::store::{Bid, Holder, LeaseAnswer, Store};
use crate::time::BootTime;

/// How long a lease lasts.
pub(super) const LEASE: Duration = Duration::from_secs(4);
/// How often it is renewed, or asked for.
const RENEWAL: Duration = Duration::from_secs(1);
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_millis(1500);
/// How long a node's executions are looked after without another sign of life (C4).
pub(super) const NODE_LEASE: Duration = Duration::from_secs(20);
/// How often a node gives a sign of life, in renewals.
const RENEWALS_PER_BEAT: u64 = 5;

/// What is known of who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Unknown,
    Leading { until: BootTime },
    Following { leader: String },
}

/// Asks for the lease and renews it, until the daemon ends.
pub(super) async fn hold(store: Arc<dyn Store>, holder: Holder, events: mpsc::Sender<Incoming>) {
    let mut standing = Standing::Unknown;
    let mut bid = Bid::First;
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        ticks.tick().await;
        let asked_at = clock::boot();
        let answer = timeout(DEADLINE, store.take_lease(&holder, bid, LEASE)).await;
        let incoming = match answer {
            Ok(Ok(LeaseAnswer::Held { epoch })) => {
                bid = Bid::Again;
                Some(held(&mut standing, epoch, asked_at.plus(LEASE)))
            }
            Ok(Ok(LeaseAnswer::HeldBy { node })) => held_by(&mut standing, &holder, node),
            Ok(Err(_)) | Err(_) => unanswered(&mut standing),
        };
        if let Some(incoming) = incoming
            && events.send(incoming).await.is_err()
        {
            return;
        }
        if number % RENEWALS_PER_BEAT == 0 {
            // The next one comes soon, and a node is given up only after several.
            drop(timeout(DEADLINE, store.beat(&holder.node, NODE_LEASE)).await);
        }
    }
}

fn held(standing: &mut Standing, epoch: u64, until: BootTime) -> Incoming {
    if !matches!(standing, Standing::Leading { .. }) {
        info!(epoch, "this node leads");
    }
    *standing = Standing::Leading { until };
    Incoming::Event(Event::LeaseHeld { epoch, until })
}

/// Somebody else leads. When it calls itself as this node does, it has replaced this process.
fn held_by(standing: &mut Standing, holder: &Holder, leader: String) -> Option<Incoming> {
    if *leader == *holder.node {
        return Some(Incoming::Replaced);
    }
    let known = *standing == Standing::Following { leader: leader.clone() };
    if !known {
        info!(leader, "another node leads; this one stands by");
    }
    *standing = Standing::Following { leader };
    (!known).then_some(Incoming::Following)
}

/// The store does not answer: the lease ends by itself.
fn unanswered(standing: &mut Standing) -> Option<Incoming> {
    let Standing::Leading { until } = standing else { return None };
    if *until > clock::boot() {
        return None;
    }
    warn!("the lease has ended: the store does not answer");
    *standing = Standing::Unknown;
    Some(Incoming::Event(Event::LeaseLost(LeaseLoss::Unanswered)))
}
