//! `next`: coming fire times, as the daemon knows them.

use clap::Args;

use crate::cli::Session;
use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Cell, columns};
use crate::io::http::documents::jobs::{FireEntry, NextDocument};

/// Arguments of `next`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright next\n  cronwright next backup -n 3 --utc")]
pub(super) struct NextArgs {
    /// Fire times of this job; without it, of all jobs.
    name: Option<String>,
    /// How many.
    #[arg(short = 'n', default_value_t = 10, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
}

pub(super) async fn next(args: NextArgs, session: Session) -> Result<Exit, Failure> {
    let parameters = [("job", args.name), ("n", Some(args.count.to_string()))];
    let document = session.client.get(&path("/api/v1/next", &parameters)).await?;
    let shape = Shape { list: Some("fires"), name: "/at" };
    session.output.document(&document, shape, table)?;
    Ok(Exit::Done)
}

fn table(document: &NextDocument, look: &Look) -> String {
    if document.fires.is_empty() {
        return "no coming fire times\n".to_owned();
    }
    let row = |fire: &FireEntry| {
        vec![
            look.clock.time(&fire.at).into(),
            look.clock.relative(&fire.at).into(),
            Cell::maybe(fire.job.clone()),
        ]
    };
    let rows: Vec<Vec<Cell>> = document.fires.iter().map(row).collect();
    columns(&[&look.clock.heading("NEXT"), "", "JOB"], &rows, look.colour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    #[test]
    fn fire_times_are_told_with_how_far_away_they_are() {
        let document = serde_json::json!({
            "schema": "cronwright.next/v1", "timezone": null,
            "fires": [
                {"job": "a", "at": "2026-11-22T13:00:05+00:00", "starts_at": "2026-11-22T13:00:05+00:00"},
                {"job": "b", "at": "2026-11-23T03:00:00+08:00", "starts_at": "2026-11-23T03:00:00+08:00"},
            ],
        });
        let document: NextDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&document, &look()),
            "NEXT                                JOB\n\
             2026-11-22 13:00:05 +00:00  in 5 s  a\n\
             2026-11-23 03:00:00 +08:00  in 6 h  b\n"
        );
    }
}
