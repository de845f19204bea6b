use std::fmt;
use std::io;
use std::time::Duration;

use super::*;
use crate::engine::execution::{AttemptId, Ending, ExecutionId, Outcome};
use crate::spec::job::JobName;
use crate::time::Timestamp;

fn order(call: &str) -> HandlerOrder {
    let execution = ExecutionId(call.into());
    HandlerOrder {
        attempt: AttemptId { execution: execution.clone(), number: 1 },
        call: Call::parse(call).unwrap(),
        facts: HandlerFacts {
            job: JobName::parse("job").unwrap(),
            execution,
            attempt: 1,
            fire_time: Timestamp::default(),
            previous_fire_time: None,
            fence: 7,
            variables: [("TOKEN".to_owned(), "hunter2-hunter2".to_owned())].into(),
        },
        timeout: None,
        kill_grace: Duration::from_millis(50),
        output_bytes_max: 1000,
        secrets: vec!["hunter2-hunter2".to_owned()],
    }
}

/// The outcome with its reason, result, exception and output of a call.
fn told(ending: &Ending) -> String {
    let mut words = vec![ending.outcome.as_str()];
    words.extend(ending.outcome.reason());
    words.extend(ending.result.as_deref());
    let exception = ending.exception.as_ref();
    words.extend(exception.map(|exception| exception.kind.as_str()));
    words.extend(exception.map(|exception| exception.message.as_str()));
    words.extend(exception.and_then(|exception| exception.traceback.as_deref()));
    let output = String::from_utf8_lossy(&ending.output.head);
    words.extend(output.lines());
    words.join(" | ")
}

#[derive(Debug)]
struct Failure(io::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the report failed")
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn threads() -> HandlerThreads {
    let mut handlers = Handlers::new();
    handlers
        .register("a.Sum", |call: HandlerCall<Vec<i64>>| async move {
            call.log(format_args!("{} numbers for {}", call.args.len(), call.facts.job));
            Ok::<_, io::Error>(call.args.iter().sum::<i64>())
        })
        .register("a.Nothing", |_: HandlerCall<()>| async { Ok::<_, io::Error>(()) })
        .register("a.Fails", |_: HandlerCall<()>| async {
            Err::<(), _>(Failure(io::Error::other("disk full")))
        })
        .register("a.Words", |_: HandlerCall<()>| async { Err::<(), _>("only words") })
        .register("a.Panics", |call: HandlerCall<(String,)>| async move {
            assert!(call.args.0.is_empty(), "it says {}", call.args.0);
            Ok::<_, io::Error>(())
        })
        .register("a.Leaks", |call: HandlerCall<()>| async move {
            let token = &call.facts.variables["TOKEN"];
            call.log(format_args!("the token is {token}"));
            Ok::<_, io::Error>(token.clone())
        })
        .register("a.LeaksIntoAnError", |call: HandlerCall<()>| async move {
            Err::<(), _>(format!("no such token: {}", call.facts.variables["TOKEN"]))
        })
        .register("a.Long", |_: HandlerCall<()>| async { Ok::<_, io::Error>("x".repeat(65_536)) })
        .register("a.Waits", |call: HandlerCall<()>| async move {
            call.cancelled().cancelled().await;
            call.log("told to end");
            Ok::<_, io::Error>("unheard")
        })
        .register("a.Deaf", |_: HandlerCall<()>| std::future::pending::<Result<(), io::Error>>())
        .register("a.Blocks", |_: HandlerCall<()>| async {
            std::thread::sleep(Duration::from_secs(3));
            Ok::<_, io::Error>(())
        });
    HandlerThreads::start(handlers).unwrap()
}

#[tokio::test]
async fn what_a_handler_does_is_the_outcome_of_its_execution() {
    let threads = threads();
    for (call, expected) in [
        ("a.Sum(1, 2, -5)", "succeeded | -2 | 3 numbers for job"),
        ("a.Nothing()", "succeeded"),
        (
            "a.Fails()",
            "failed | exception | cronwright::io::executor::handlers::tests::Failure | the report failed | \
             caused by: disk full",
        ),
        ("a.Words()", "failed | exception | Error | only words"),
        ("a.Panics(\"stop\")", "failed | panic | panic | it says stop"),
        ("a.Leaks()", "succeeded | \"***\" | the token is ***"),
        ("a.LeaksIntoAnError()", "failed | exception | Error | no such token: ***"),
        ("a.Long()", "succeeded | the result is not kept: it has 65538 bytes, more than 65536"),
        (
            "a.Sum(\"1\")",
            "failed | exception | ArgumentError | `a.Sum` cannot be called so: i64 is taken, and this is string \"1\"",
        ),
    ] {
        let ending = threads.call(order(call)).unwrap().await;
        assert_eq!(told(&ending), expected, "{call}");
        assert!(ending.started_at.is_some() && ending.duration.is_some(), "{call}");
    }
}

#[tokio::test]
async fn a_call_ends_on_time_on_order_and_with_the_daemon() {
    let threads = threads();
    let timed = |call| HandlerOrder { timeout: Some(Duration::from_millis(20)), ..order(call) };
    let ending = threads.call(timed("a.Waits()")).unwrap().await;
    assert_eq!(told(&ending), "timed_out | attempt | told to end");
    let ending = threads.call(timed("a.Deaf()")).unwrap().await;
    assert_eq!(told(&ending), "timed_out | attempt");
    let ending = threads.call(timed("a.Blocks()")).unwrap().await;
    assert_eq!(told(&ending), "timed_out | unkillable");
    assert!(threads.hold() && !threads.run());
    for call in ["a.Waits()", "a.Deaf()", "a.Blocks()"] {
        assert!(threads.forget(&order(call).attempt));
    }
    assert!(!threads.hold());

    let ending = threads.call(order("a.Waits()")).unwrap();
    assert!(threads.stop(&order("a.Waits()").attempt, false));
    assert_eq!(told(&ending.await), "cancelled | requested | told to end");
    let patient = HandlerOrder { kill_grace: Duration::from_hours(1), ..order("a.Deaf()") };
    let ending = threads.call(patient).unwrap();
    assert!(threads.stop(&order("a.Deaf()").attempt, false));
    assert!(threads.stop(&order("a.Deaf()").attempt, true));
    assert_eq!(told(&ending.await), "cancelled | requested");
    assert!(!threads.stop(&order("a.Nothing()").attempt, true));

    assert!(threads.forget(&order("a.Waits()").attempt));
    let ending = threads.call(order("a.Waits()")).unwrap();
    threads.shut_down();
    let ending = ending.await;
    assert_eq!(told(&ending), "cancelled | shutdown | told to end");
    assert_eq!(threads.output(&order("a.Waits()").attempt), Some(ending.output));
}

#[tokio::test]
async fn an_attempt_is_begun_once() {
    let threads = threads();
    let first = threads.call(order("a.Nothing()")).unwrap();
    let again = threads.call(order("a.Nothing()")).err();
    assert_eq!(again, Some(NotCalled::Again(order("a.Nothing()").attempt)));
    assert_eq!(first.await.outcome, Outcome::Succeeded);
    let unknown = threads.call(order("a.Nobody()")).err();
    assert_eq!(unknown, Some(NotCalled::Unknown("a.Nobody".to_owned())));
}

#[test]
#[should_panic(expected = "`a.X` is registered twice")]
fn a_path_is_registered_once() {
    let handler = |_: HandlerCall<()>| async { Ok::<_, io::Error>(()) };
    Handlers::new().register("a.X", handler).register("a.X", handler);
}

#[test]
#[should_panic(expected = "`a b` is no path of a class")]
fn a_path_has_the_form_that_manifests_can_name() {
    Handlers::new().register("a b", |_: HandlerCall<()>| async { Ok::<_, io::Error>(()) });
}
