//! A scheduler of one's own: the whole program, with handlers in Rust beside it.
//!
//! ```text
//! cargo run --example handlers -- --config examples/handlers/cronwright.toml validate
//! cargo run --example handlers -- --config examples/handlers/cronwright.toml exec report
//! cargo run --example handlers -- --config examples/handlers/cronwright.toml serve
//! ```

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use cronwright::handlers::{HandlerCall, Handlers};
use serde::{Deserialize, Serialize};

/// The arguments of a report: by position in this order, or by name.
#[derive(Deserialize)]
struct ReportOf {
    name: String,
    days: u32,
    #[serde(default = "english")]
    lang: String,
}

fn english() -> String {
    "en".to_owned()
}

/// What the history shows as the result.
#[derive(Serialize)]
struct Report {
    title: String,
    rows: u32,
}

async fn report(call: HandlerCall<ReportOf>) -> Result<Report, ReportError> {
    let ReportOf { name, days, lang } = &call.args;
    call.log(format_args!("{name}, the last {days} days, as of {}", call.facts.fire_time));
    if *days == 0 {
        return Err(ReportError);
    }
    Ok(Report { title: format!("{name} ({lang})"), rows: days * 24 })
}

#[derive(Debug)]
struct ReportError;

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a report needs a day at least")
    }
}

impl std::error::Error for ReportError {}

/// Works until it is done, or told to end.
async fn sweep(call: HandlerCall<(u32,)>) -> Result<u32, std::io::Error> {
    let (rooms,) = call.args;
    for room in 1..=rooms {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => call.log(format_args!("room {room} is clean")),
            () = call.cancelled().cancelled() => {
                call.log("leaves early");
                return Ok(room - 1);
            }
        }
    }
    Ok(rooms)
}

fn main() -> ExitCode {
    let mut handlers = Handlers::new();
    handlers.register("reports.daily.Report", report).register("house.Sweep", sweep);
    cronwright::cli::main_with(handlers)
}
