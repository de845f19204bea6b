//! What a call of a handler costs, without a store: from the order to its ending.
//!
//! `cargo bench --bench handlers`. Beside it, in the same run: what tokio takes to spawn an empty task and wait for it, on
//! the same number of threads.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends when it cannot go on"
)]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cronwright::engine::execution::{AttemptId, ExecutionId, Outcome};
use cronwright::handlers::{HandlerCall, HandlerFacts, HandlerOrder, HandlerThreads, Handlers};
use cronwright::spec::job::JobName;
use cronwright::spec::task::call::Call;
use cronwright::time::Timestamp;
use tokio::task::JoinSet;

const CALLS: usize = 100_000;
const ROUNDS: usize = 9;
/// How many calls are under way at once.
const IN_FLIGHT: usize = 64;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut handlers = Handlers::new();
    handlers.register("bench.Echo", |call: HandlerCall<(String, i64)>| async move {
        Ok::<_, io::Error>(call.args.1)
    });
    let threads = Arc::new(HandlerThreads::start(handlers).unwrap());
    let orders = |round: usize| (0..CALLS).map(move |at| order(round, at)).collect::<Vec<_>>();
    let (mut calls, mut tasks) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In a task, as the daemon's loop is.
        let called = runtime.spawn(call_all(Arc::clone(&threads), orders(round)));
        calls.push(runtime.block_on(called).unwrap());
        tasks.push(runtime.block_on(runtime.spawn(spawn_all())).unwrap());
    }
    print("calls of a handler", calls);
    print("empty tasks of tokio", tasks);
}

async fn call_all(threads: Arc<HandlerThreads>, orders: Vec<HandlerOrder>) -> Duration {
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for order in orders {
        if under_way.len() >= IN_FLIGHT {
            ended(&threads, under_way.join_next().await.unwrap().unwrap());
        }
        let attempt = order.attempt.clone();
        let ending = threads.call(order).unwrap();
        under_way.spawn(async move { (attempt, ending.await.outcome) });
    }
    while let Some(call) = under_way.join_next().await {
        ended(&threads, call.unwrap());
    }
    began.elapsed()
}

fn ended(threads: &HandlerThreads, (attempt, outcome): (AttemptId, Outcome)) {
    assert_eq!(outcome, Outcome::Succeeded);
    assert!(threads.forget(&attempt));
}

async fn spawn_all() -> Duration {
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for _ in 0..CALLS {
        if under_way.len() >= IN_FLIGHT {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(async {});
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
    began.elapsed()
}

fn order(round: usize, at: usize) -> HandlerOrder {
    let execution = ExecutionId(format!("bench-{round}-{at}").into());
    let attempt = AttemptId { execution: execution.clone(), number: 1 };
    let facts = HandlerFacts::new(JobName::parse("bench").unwrap(), &attempt, Timestamp::default());
    let call = Call::parse("bench.Echo(\"kinit\", 1314)").unwrap();
    let (timeout, kill_grace) = (Some(Duration::from_mins(1)), Duration::from_secs(10));
    HandlerOrder {
        attempt,
        call,
        facts,
        timeout,
        kill_grace,
        output_bytes_max: 128 << 10,
        secrets: Vec::new(),
    }
}

fn print(what: &str, mut rounds: Vec<Duration>) {
    rounds.sort();
    #[expect(clippy::cast_precision_loss, reason = "a count that is exact in a float")]
    let rate = |took: Duration| CALLS as f64 / took.as_secs_f64();
    let (median, fastest, slowest) = (rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1]);
    println!("{what}: {:.0}/s ({:.0}\u{2013}{:.0})", rate(median), rate(slowest), rate(fastest));
}
