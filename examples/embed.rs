//! The scheduler inside of a program: its own handlers, jobs declared in code, events subscribed to.
//!
//! ```text
//! cargo run --example embed
//! ```
//!
//! It runs for some seconds and stops. What ran stands in the ledger below `target/embed`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "an example shows what happens"
)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use cronwright::embed::{EmbedError, Embedded, Job, LifecycleEvent, Subscription, Told};
use cronwright::handlers::{HandlerCall, Handlers};

fn main() -> ExitCode {
    // This very program is started once more to own the processes of jobs.
    if let Some(exit) = cronwright::embed::helper() {
        return exit;
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    match runtime.block_on(scheduled()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn scheduled() -> Result<(), EmbedError> {
    let mut handlers = Handlers::new();
    handlers
        .register("greet.Hello", |call: HandlerCall<(String,)>| async move {
            call.log("greeting");
            Ok::<_, io::Error>(format!("hello, {}", call.args.0))
        })
        .register("greet.Grumble", |_: HandlerCall<()>| async {
            Err::<(), _>(io::Error::other("not before coffee"))
        });

    let greet = Job::new("greet").cron("* * * * * *").class("greet.Hello(\"world\")");
    let builder = Embedded::builder("target/embed").handlers(handlers).job(greet);
    let events = builder.events();
    let told = tokio::spawn(tell(events));
    let scheduler = builder.start().await?;

    // More jobs, at any time; a process is a job as well.
    scheduler.add(Job::new("grumble").interval("2s").class("greet.Grumble()")).await?;
    scheduler.add(Job::new("date").command(["date", "-u"])).await?;
    let (id, outcome) = scheduler.run("date").await?;
    println!("asked for: {id} {outcome:?}");

    // What is no job is refused, and changes nothing.
    let wrong = Job::new("wrong").cron("61 * * * *").class("greet.Helo(\"world\")");
    if let Err(error) = scheduler.add(wrong).await {
        println!("refused:\n{error}");
    }

    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("declared: {:?}, is there a job `date`: {}", scheduler.jobs(), scheduler.has("date"));
    scheduler.remove("grumble").await?;
    scheduler.stop().await;
    // All who could tell have gone.
    told.await.expect("it only prints");
    Ok(())
}

/// Prints what happens, until the scheduler has stopped.
async fn tell(mut events: Subscription) {
    while let Some(told) = events.next().await {
        let event = match told {
            Told::Event(event) => *event,
            Told::Lagged(count) => {
                println!("event: {count} came too fast to be told");
                continue;
            }
        };
        match event {
            LifecycleEvent::JobAdded(job) => println!("event: {job} is new"),
            LifecycleEvent::JobRemoved(job) => println!("event: {job} is removed"),
            LifecycleEvent::ExecutionFinished { execution, outcome, result, exception } => {
                let exception = exception.map(|exception| exception.message);
                let said = result.or(exception).unwrap_or_default();
                println!("event: {} {} {said}", execution.job, outcome.as_str());
            }
            LifecycleEvent::OccurrencesSkipped(skipped) => {
                println!("event: {} skipped ({:?})", skipped.job, skipped.outcome.reason());
            }
            other => println!("event: {other:?}"),
        }
    }
}
