//! Many jobs that are due at the same second, by the real program.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cronwright::engine::execution::{Outcome, Row, State};

use super::harness::{World, wall};

/// How many.
const JOBS: usize = 2000;
/// After how long they are due: until then they have been read and applied.
const DUE_IN: Duration = Duration::from_secs(15);
/// How long `status` may take meanwhile. The processes of the jobs have the processors too.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn two_thousand_jobs_of_one_second_all_run_once_and_the_daemon_answers_meanwhile() {
    let mut world = World::new();
    world.write("cronwright.toml", "");
    let due_at = wall() + DUE_IN;
    let due = due_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let mut jobs = "jobs:\n".to_owned();
    for number in 0..JOBS {
        writeln!(jobs, "  j{number}: {{ date: \"{due}\", command: 'true' }}").unwrap();
    }
    world.save("jobs.d/jobs.yaml", &jobs);
    world.start();
    world.until_synced();
    assert!(wall() < due_at, "they were read in time");
    let mut slowest = Duration::ZERO;
    world.until("end of them all", |world| {
        let begun = Instant::now();
        assert_eq!(world.ask(&["status"])["health"], "healthy");
        slowest = slowest.max(begun.elapsed());
        std::thread::sleep(Duration::from_millis(200));
        let rows = world.rows();
        rows.len() == JOBS && rows.iter().all(|row| matches!(row.state, State::Ended(_)))
    });
    let succeeded = |row: &&Row| matches!(&row.state, State::Ended(ending) if ending.outcome == Outcome::Succeeded);
    let rows = world.rows();
    assert_eq!(rows.iter().filter(succeeded).count(), JOBS);
    let names: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.job.as_str()).collect();
    assert_eq!(names.len(), JOBS, "each has one row");
    assert!(slowest < ANSWERED_WITHIN, "an answer took {slowest:?}");
}
