//! `exec` of a job whose task is a handler of this program: called in this process.

use std::pin::pin;

use tokio::signal::ctrl_c;
use tokio::time::interval;

use crate::cli::exec::{ENDING_IT, LOOK_EVERY};
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::Follower;
use crate::cli::output;
use crate::engine::execution::{Ending, Output};
use crate::io::executor::handlers::{HandlerOrder, HandlerThreads, Handlers};
use crate::io::http::documents::executions::OutputDocument;

/// Calls a handler and shows what it logs, until it has ended. Ctrl-C ends it, a second one at once.
pub(super) async fn called(
    order: HandlerOrder,
    handlers: Handlers,
    say: &output::Output,
    shown: fn(&[u8]) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let failed = |text: String| Failure::new(Exit::Usage, text);
    let threads = HandlerThreads::start(handlers)
        .map_err(|error| failed(format!("cannot start threads: {error}")))?;
    let attempt = order.attempt.clone();
    let mut ending = pin!(threads.call(order).map_err(|error| failed(error.to_string()))?);
    let mut follower = Follower::new(false);
    let mut looks = interval(LOOK_EVERY);
    let mut interrupts = 0;
    let document = |is_running, output: &Output| {
        OutputDocument::of(&attempt.execution.to_string(), attempt.number, is_running, output)
    };
    loop {
        tokio::select! {
            ending = &mut ending => {
                follower.show(&document(false, &ending.output), shown)?;
                return Ok(ending);
            }
            _ = looks.tick() => {
                if let Some(now) = threads.output(&attempt) {
                    follower.show(&document(true, &now), shown)?;
                }
            }
            interrupt = ctrl_c() => {
                interrupt.map_err(|error| failed(format!("cannot wait for signals: {error}")))?;
                threads.stop(&attempt, interrupts > 0);
                interrupts += 1;
                say.note(ENDING_IT);
            }
        }
    }
}
