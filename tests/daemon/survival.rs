//! Jobs outlive the daemon; and they do not outlive the supervisor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cronwright::engine::execution::{Ending, Outcome, Row, State};

use super::harness::{Backend, World, wall};
use super::oracle::{EVIDENCE, leaving_evidence};

/// How long daemons come and go in one test, at scale 1.
const SLICE: Duration = Duration::from_secs(30);
/// How long a daemon lives, in milliseconds: one after the other, so that each step of its life meets an end.
const LIVES_MS: [u64; 7] = [120, 260, 400, 550, 750, 1000, 1400];
/// How many jobs write when their supervisor dies.
const WRITING: usize = 20;

fn slice() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "tests are scaled by the environment")]
    let scale = std::env::var("CRONWRIGHT_TEST_SCALE").ok().and_then(|text| text.parse().ok());
    SLICE.mul_f64(scale.unwrap_or(1.0))
}

/// Due every second; takes one to three seconds, returns its id, and fails every fifth second.
fn jobs(world: &World, enabled: bool) -> String {
    let work = "case $CRONWRIGHT_SCHEDULED_TIME in *[147]Z) sleep 2;; *[258]Z) sleep 3;; *) sleep 1;; esac; \
                printf '\"%s\"' $CRONWRIGHT_EXECUTION_ID > $CRONWRIGHT_RESULT; echo said $CRONWRIGHT_EXECUTION_ID";
    let script = leaving_evidence(work);
    format!(
        "{}  steady:\n    enabled: {enabled}\n    overlap: allow\n    cron: \"* * * * * *\"\n    script: |\n      \
         {script}; case $CRONWRIGHT_SCHEDULED_TIME in *[05]Z) exit 3;; esac\n",
        world.head()
    )
}

fn ending(row: &Row) -> Option<&Ending> {
    if let State::Ended(ending) = &row.state { Some(ending) } else { None }
}

/// What is wrong with the rows of executions that left evidence.
fn faults(world: &World) -> (Vec<String>, usize) {
    let evidence = std::fs::read_to_string(world.path(EVIDENCE)).unwrap();
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (word, id) in evidence.lines().filter_map(|line| line.split_once(' ')) {
        lines.entry(id).or_default().push(word);
    }
    let rows = world.rows();
    let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut faults = Vec::new();
    for (id, words) in &lines {
        if *words != ["start", "end"] {
            faults.push(format!("{id} was interrupted or started again: {words:?}"));
        }
        let Some((row, ending)) = rows.get(id).and_then(|row| Some((row, ending(row)?))) else {
            faults.push(format!("{id} ran and has no ending"));
            continue;
        };
        let fails = row.fire_time.timestamp() % 5 == 0;
        let expected = if fails { "failed" } else { "succeeded" };
        let said = String::from_utf8_lossy(&ending.output.head);
        if ending.outcome.as_str() != expected
            || ending.result != Some(format!("\"{id}\""))
            || said != format!("said {id}\n")
        {
            faults.push(format!("{id}: {ending:?}"));
        }
    }
    (faults, lines.len())
}

fn daemons_come_and_go(backend: Backend) {
    let Some(mut world) = World::on(backend) else { return };
    world.save("jobs.d/jobs.yaml", &jobs(&world, true));
    let (begun, mut kills, mut stops) = (Instant::now(), 0, 0);
    for life in LIVES_MS.iter().cycle() {
        world.start();
        world.until_it_leads();
        // How long it lives is what is tested: nothing is waited for.
        std::thread::sleep(Duration::from_millis(*life));
        if kills <= stops {
            kills += 1;
            world.kill();
        } else {
            stops += 1;
            world.stop();
        }
        if begun.elapsed() >= slice() {
            break;
        }
    }
    world.save("jobs.d/jobs.yaml", &jobs(&world, false));
    world.start();
    world.until("quiet ledger", |world| {
        let contents = world.contents();
        let off = contents.jobs.iter().all(|job| job.spec["enabled"] == false);
        off && contents.in_flight.is_empty()
    });
    world.stop();
    world.end_supervisor();
    let (faults, ran) = faults(&world);
    println!("{backend:?}: {kills} kills, {stops} restarts, {ran} executions");
    assert!(ran > 5, "hardly anything ran");
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), world.log_tail());
}

#[test]
fn on_sqlite_kills_and_restarts_of_the_daemon_interrupt_no_job_and_lose_no_outcome() {
    daemons_come_and_go(Backend::Sqlite);
}

#[test]
fn on_mongodb_kills_and_restarts_of_the_daemon_interrupt_no_job_and_lose_no_outcome() {
    daemons_come_and_go(Backend::Mongo);
}

#[test]
fn a_supervisor_that_is_killed_leaves_no_process_its_rows_are_lost_and_the_next_fire_runs() {
    let mut world = World::new();
    let mut text = world.head();
    for number in 0..WRITING {
        text += &format!(
            "  writing-{number}:\n    triggers: []\n    script: |\n      \
             setsid sh -c 'while :; do echo deep; sleep 0.02; done' &\n      while :; do echo on; sleep 0.02; done\n"
        );
    }
    text += "  pulse: { cron: \"* * * * * *\", overlap: allow, script: 'true' }\n";
    world.save("jobs.d/jobs.yaml", &text);
    world.start();
    world.until_synced();
    for number in 0..WRITING {
        assert!(world.verb(&["run", &format!("writing-{number}")]).status.success());
    }
    let writing = |world: &World| -> Vec<Row> {
        let rows = world.rows().into_iter();
        rows.filter(|row| row.job.as_str().starts_with("writing")).collect()
    };
    world.until("running jobs", |world| {
        let rows = writing(world);
        let run = |row: &Row| matches!(row.state, State::Running { .. });
        rows.len() == WRITING
            && rows.iter().all(run)
            && world.processes_of_jobs().len() >= 2 * WRITING
    });

    let killed_at = wall();
    world.kill_supervisor();
    world.until("lost rows", |world| {
        writing(world).iter().all(|row| row.outcome() == Some(Outcome::Lost))
    });
    world.until("end of their processes", |world| {
        let theirs = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.windows(4).any(|part| part == b"echo")
        };
        !world.processes_of_jobs().iter().any(theirs)
    });
    let last =
        writing(&world).iter().filter_map(|row| ending(row).map(|end| end.finished_at)).max();
    println!(
        "the last row was lost {} ms after the kill",
        (last.unwrap() - killed_at).num_milliseconds()
    );
    world.until("next fire", |world| {
        let ran_since = |row: &Row| {
            row.outcome() == Some(Outcome::Succeeded)
                && ending(row).and_then(|end| end.started_at).is_some_and(|at| at > killed_at)
        };
        world.rows().iter().any(ran_since)
    });
    world.stop();
    world.end_supervisor();
}
