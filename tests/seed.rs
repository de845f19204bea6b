//! The code samples of the seed's document, each in our words, in a scheduler inside of this program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use cronwright::embed::{Builder, Embedded, Job, LifecycleEvent, Subscription, Told};
use cronwright::handlers::{HandlerCall, Handlers};
use cronwright::spec::job::DeclaredJob;
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};
use cronwright::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::cronwright;

/// Nothing here takes this long, except when it is broken.
const PATIENCE: Duration = Duration::from_mins(1);

fn handlers() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.register("sample.Greet", |call: HandlerCall<(String, String)>| async move {
        Ok::<_, io::Error>(format!("{} {}", call.args.0, call.args.1))
    });
    handlers
}

fn builder(folder: &TempDir, handlers: Handlers) -> Builder {
    Embedded::builder(folder.path().join("state")).helper_program(cronwright()).handlers(handlers)
}

fn greet() -> Job {
    Job::new("greet").class("sample.Greet(\"hello\", \"world\")")
}

/// The next end of an execution: when it was due, and what it returned.
async fn end(events: &mut Subscription) -> (Timestamp, Option<String>) {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(Told::Event(event)) = events.next().await
                && let LifecycleEvent::ExecutionFinished { execution, result, .. } = *event
            {
                return (execution.fire_time, result);
            }
        }
    });
    found.await.expect("an end")
}

/// A job by its keys.
fn declared(keys: &Value) -> DeclaredJob {
    let mut keys = keys.clone();
    keys["command"] = json!(["true"]);
    let text = json!({ "jobs": { "a": keys } }).to_string();
    let content = Content::Bytes(text.into_bytes().into());
    let file = ManifestFile { path: "s/a.json".into(), source: "s".into(), content };
    let loaded = load(&[file], &Known::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded.jobs.into_values().next().unwrap()
}

/// The fire times of a job after a moment, at most `count`.
fn fires(job: &DeclaredJob, after: &str, count: usize) -> Vec<String> {
    let trigger = &job.spec.triggers[0];
    let mut after: Timestamp = after.parse().unwrap();
    let anchor = trigger.first_anchor(after);
    let mut found = Vec::new();
    while let Some(next) = trigger.next_after(after, anchor).filter(|_| found.len() < count) {
        found.push(next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        after = next;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_next_run_time_now_runs_at_once_and_then_on_its_schedule() {
    let folder = TempDir::new().unwrap();
    let builder = builder(&folder, handlers());
    let mut events = builder.events();
    let scheduler = builder.start().await.unwrap();
    let before = chrono::Utc::now();
    scheduler.add(greet().interval("2s")).await.unwrap();
    scheduler.run("greet").await.unwrap();
    let (at, _) = end(&mut events).await;
    assert!((0..2_000).contains(&(at - before).num_milliseconds()), "{at}");
    let (first, _) = end(&mut events).await;
    let (second, _) = end(&mut events).await;
    assert_eq!(second - first, TimeDelta::seconds(2));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_args_hello_world_are_given_to_the_task() {
    let folder = TempDir::new().unwrap();
    let builder = builder(&folder, handlers());
    let mut events = builder.events();
    let scheduler = builder.start().await.unwrap();
    let class = json!({ "path": "sample.Greet", "args": ["hello", "world"] });
    scheduler.add(Job::new("greet").set("class", class)).await.unwrap();
    scheduler.run("greet").await.unwrap();
    assert_eq!(end(&mut events).await.1.as_deref(), Some("\"hello world\""));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_interval_with_start_date_in_five_seconds() {
    let folder = TempDir::new().unwrap();
    let builder = builder(&folder, handlers());
    let mut events = builder.events();
    let scheduler = builder.start().await.unwrap();
    let before = chrono::Utc::now();
    let trigger = json!([{ "interval": "2s", "start_date": "+5s" }]);
    scheduler.add(greet().set("triggers", trigger)).await.unwrap();
    let (first, _) = end(&mut events).await;
    let (second, _) = end(&mut events).await;
    let after = (first - before).num_milliseconds();
    assert!((4_000..35_000).contains(&after), "{after} ms");
    assert_eq!(second - first, TimeDelta::seconds(2));
    scheduler.stop().await;
}

#[test]
fn sample_day_of_week_0_to_4_is_monday_to_friday() {
    let keys = json!({ "triggers": [{ "cron": "0 0 9 ? * 0-4", "dialect": "apscheduler" }] });
    let days = ["05", "06", "07", "08", "09", "12"].map(|day| format!("2026-01-{day}T09:00:00Z"));
    assert_eq!(fires(&declared(&keys), "2026-01-04T00:00:00Z", 6), days);
}

#[test]
fn sample_cron_trigger_hour_10_day_of_week_mon_fri() {
    let keys = json!({ "cron": "0 10 * * mon-fri" });
    let days = ["05", "06", "07", "08", "09", "12"].map(|day| format!("2026-01-{day}T10:00:00Z"));
    assert_eq!(fires(&declared(&keys), "2026-01-04T00:00:00Z", 6), days);
}

#[test]
fn sample_start_and_end_date_in_us_eastern() {
    let keys = json!({ "timezone": "US/Eastern", "triggers": [{ "interval": "1h",
        "start_date": "2014-06-15 09:30:00", "end_date": "2014-06-15 11:00:00" }] });
    let expected = ["2014-06-15T13:30:00Z", "2014-06-15T14:30:00Z"];
    assert_eq!(fires(&declared(&keys), "2014-06-01T00:00:00Z", 5), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_has_remove_and_list() {
    let folder = TempDir::new().unwrap();
    let scheduler = builder(&folder, handlers()).start().await.unwrap();
    scheduler.add(greet().cron("0 9 * * *")).await.unwrap();
    scheduler.add(Job::new("other").class("sample.Greet(\"a\", \"b\")")).await.unwrap();
    assert!(scheduler.has("greet") && !scheduler.has("nobody"));
    let names: Vec<String> = scheduler.jobs().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["greet", "other"]);
    assert!(scheduler.remove("greet").await.unwrap());
    assert!(!scheduler.has("greet") && !scheduler.remove("greet").await.unwrap());
    scheduler.stop().await;
}

/// How many calls run now, and how many did at the most.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_five_jobs_under_a_limit_of_two_run_two_at_a_time_and_all_of_them() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("cronwright.toml"), "max_running = 2\n").unwrap();
    let running = Arc::new(Running::default());
    let mut handlers = Handlers::new();
    let seen = Arc::clone(&running);
    handlers.register("sample.Slow", move |_: HandlerCall<()>| {
        let seen = Arc::clone(&seen);
        async move {
            let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
            seen.now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, io::Error>(())
        }
    });
    let at = (chrono::Utc::now() + TimeDelta::seconds(3)).format("%Y-%m-%dT%H:%M:%S").to_string();
    let mut builder = builder(&folder, handlers).settings(folder.path().join("cronwright.toml"));
    for number in 1..=5 {
        let job = Job::new(&format!("slow-{number}")).class("sample.Slow()");
        builder = builder.job(job.date(&at).timezone("UTC"));
    }
    let mut events = builder.events();
    let scheduler = builder.start().await.unwrap();
    for _ in 0..5 {
        end(&mut events).await;
    }
    assert_eq!(running.most.load(Ordering::SeqCst), 2);
    scheduler.stop().await;
}
