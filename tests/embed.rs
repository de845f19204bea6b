//! The scheduler inside of a program: jobs in code, handlers, events.

use std::io;
use std::time::Duration;

use cronwright::embed::{Builder, EmbedError, Embedded, Job, LifecycleEvent, Subscription, Told};
use cronwright::engine::execution::{Failed, Missed, Outcome, Skipped};
use cronwright::handlers::{HandlerCall, Handlers};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::cronwright;

/// Nothing here takes this long, except when it is broken.
const PATIENCE: Duration = Duration::from_mins(1);

fn handlers() -> Handlers {
    let mut handlers = Handlers::new();
    handlers
        .register("t.Echo", |call: HandlerCall<(String,)>| async move {
            Ok::<_, io::Error>(call.args.0)
        })
        .register("t.Fails", |_: HandlerCall<()>| async { Err::<(), _>(io::Error::other("no")) })
        .register("t.Sleeps", |call: HandlerCall<(u64,)>| async move {
            tokio::time::sleep(Duration::from_millis(call.args.0)).await;
            Ok::<_, io::Error>(())
        });
    handlers
}

fn builder(folder: &TempDir) -> Builder {
    let state = folder.path().join("state");
    Embedded::builder(state).helper_program(cronwright()).handlers(handlers())
}

/// Waits for an event that is one of these.
async fn until(
    events: &mut Subscription,
    what: &str,
    is_it: impl Fn(&LifecycleEvent) -> bool,
) -> LifecycleEvent {
    let mut seen = Vec::new();
    let found = timeout(PATIENCE, async {
        loop {
            match events.next().await {
                Some(Told::Event(event)) if is_it(&event) => return *event,
                other => seen.push(other),
            }
        }
    });
    let found = found.await;
    let Ok(event) = found else { panic!("no {what} among {seen:#?}") };
    event
}

/// Every kind that listeners of the seed could hear of.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_of_jobs_executions_and_the_scheduler() {
    let folder = TempDir::new().unwrap();
    let echo = Job::new("echo").class("t.Echo(\"hi\")");
    let builder = builder(&folder).job(echo);
    let mut events = builder.events();
    let scheduler = builder.start().await.unwrap();
    until(&mut events, "start", |event| *event == LifecycleEvent::DaemonStarted).await;
    let of = |name: &str| cronwright::spec::job::JobName::parse(name).unwrap();
    let is_new = |name| LifecycleEvent::JobAdded(of(name));
    until(&mut events, "new job", |event| *event == is_new("echo")).await;

    let (_, outcome) = scheduler.run("echo").await.unwrap();
    assert_eq!(outcome, Some(Outcome::Succeeded));
    until(&mut events, "beginning", |event| {
        matches!(event, LifecycleEvent::ExecutionStarted { execution, .. } if execution.job == of("echo"))
    })
    .await;
    let executed = until(&mut events, "end", |event| {
        matches!(event, LifecycleEvent::ExecutionFinished { .. })
    });
    match executed.await {
        LifecycleEvent::ExecutionFinished { outcome, result, exception, .. } => {
            assert_eq!((outcome, result.as_deref()), (Outcome::Succeeded, Some("\"hi\"")));
            assert_eq!(exception, None);
        }
        other => panic!("{other:?}"),
    }

    let fails =
        Job::new("fails").class("t.Fails()").set("retry", json!({ "limit": 1, "delay": "0s" }));
    scheduler.add(fails).await.unwrap();
    until(&mut events, "new job", |event| *event == is_new("fails")).await;
    scheduler.run("fails").await.unwrap();
    let first = until(&mut events, "failed attempt", |event| {
        matches!(event, LifecycleEvent::AttemptFailed { .. })
    });
    match first.await {
        LifecycleEvent::AttemptFailed { execution, outcome, .. } => {
            assert_eq!((execution.attempt, outcome), (1, Outcome::Failed(Failed::Exception)));
        }
        other => panic!("{other:?}"),
    }
    let error = until(&mut events, "error", |event| {
        matches!(event, LifecycleEvent::ExecutionFinished { .. })
    });
    match error.await {
        LifecycleEvent::ExecutionFinished { execution, outcome, exception, .. } => {
            assert_eq!((execution.attempt, outcome), (2, Outcome::Failed(Failed::Exception)));
            assert_eq!(exception.unwrap().message, "no");
        }
        other => panic!("{other:?}"),
    }

    scheduler.add(Job::new("echo").class("t.Echo(\"you\")")).await.unwrap();
    until(&mut events, "change", |event| *event == LifecycleEvent::JobChanged(of("echo"))).await;
    assert!(scheduler.remove("echo").await.unwrap());
    until(&mut events, "removal", |event| *event == LifecycleEvent::JobRemoved(of("echo"))).await;
    assert!(!scheduler.has("echo") && scheduler.has("fails"));
    assert!(!scheduler.remove("echo").await.unwrap());

    let busy = Job::new("busy").cron("* * * * * *").class("t.Sleeps(2500)");
    scheduler.add(busy).await.unwrap();
    let surplus =
        until(&mut events, "skip", |event| matches!(event, LifecycleEvent::OccurrencesSkipped(_)));
    match surplus.await {
        LifecycleEvent::OccurrencesSkipped(skipped) => {
            assert_eq!(skipped.outcome, Outcome::Skipped(Skipped::Overlap));
            assert_eq!(skipped.job, of("busy"));
        }
        other => panic!("{other:?}"),
    }
    scheduler.stop().await;
    until(&mut events, "stop", |event| *event == LifecycleEvent::DaemonStopping).await;
    while events.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_due_while_the_program_was_away_is_told_as_missed() {
    let folder = TempDir::new().unwrap();
    let often = || {
        let misfire = json!({ "grace_time": "0s", "coalesce": false });
        Job::new("often").cron("* * * * * *").class("t.Echo(\"x\")").set("misfire", misfire)
    };
    let first = builder(&folder).job(often());
    let mut events = first.events();
    let scheduler = first.start().await.unwrap();
    let is_end = |event: &LifecycleEvent| matches!(event, LifecycleEvent::ExecutionFinished { .. });
    until(&mut events, "end", is_end).await;
    scheduler.stop().await;
    // Two fire times at least go by.
    tokio::time::sleep(Duration::from_millis(2100)).await;

    let again = builder(&folder).job(often());
    let mut events = again.events();
    let scheduler = again.start().await.unwrap();
    let missed =
        until(&mut events, "miss", |event| matches!(event, LifecycleEvent::OccurrencesMissed(_)));
    match missed.await {
        LifecycleEvent::OccurrencesMissed(missed) => {
            assert_eq!(missed.outcome, Outcome::Missed(Missed::Downtime));
        }
        other => panic!("{other:?}"),
    }
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let scheduler = builder(&folder).start().await.unwrap();
    scheduler.add(Job::new("echo").class("t.Echo(\"hi\")")).await.unwrap();
    let error = scheduler.add(Job::new("echo").class("t.Echo(7)")).await.unwrap_err();
    assert!(error.to_string().contains("a string is taken, and this is integer `7`"), "{error}");
    let (_, outcome) = scheduler.run("echo").await.unwrap();
    assert_eq!(outcome, Some(Outcome::Succeeded));
    assert!(scheduler.add(Job::new("No Name").class("t.Fails()")).await.is_err());
    assert!(matches!(scheduler.run("nobody").await, Err(EmbedError::Refused(_))));
    assert_eq!(scheduler.jobs().len(), 1);

    let process = Job::new("process").command(["sh", "-c", "echo out; exit 3"]);
    scheduler.add(process).await.unwrap();
    let (_, outcome) = scheduler.run("process").await.unwrap();
    assert_eq!(outcome, Some(Outcome::Failed(Failed::Exit)));
    scheduler.stop().await;

    let wrong = builder(&folder).job(Job::new("wrong").cron("61 * * * *").class("t.Fails()"));
    let Err(error) = wrong.start().await else { panic!("it started") };
    assert!(error.to_string().contains("E0301"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_last_declaration_goes_is_removed_at_once() {
    let folder = TempDir::new().unwrap();
    let scheduler = builder(&folder).start().await.unwrap();
    scheduler.add(Job::new("only").class("t.Fails()")).await.unwrap();
    assert!(scheduler.remove("only").await.unwrap());
    assert!(scheduler.jobs().is_empty());
    scheduler.stop().await;
}
