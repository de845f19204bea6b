//! What operators say about jobs, through everything that happens to a daemon.

use cronwright::engine::execution::{Cause, Outcome, Row, Skipped};
use cronwright::io::store::document::{JobDocument, OverrideDocument};
use serde_json::Value;

use super::harness::{Backend, World, wall};
use super::oracle::{self, leaving_evidence};

/// One job that is due every second.
fn ticking(world: &World, edit: usize, enabled: bool) -> String {
    let script = leaving_evidence("true");
    format!(
        "{}  ticking:\n    description: edit {edit}\n    enabled: {enabled}\n    \
         cron: \"* * * * * *\"\n    script: |\n      {script}\n",
        world.head()
    )
}

impl World {
    /// A world with one job that is due every second, and has run.
    fn ticks(backend: Backend) -> Option<Self> {
        let mut world = Self::on(backend)?;
        world.save("jobs.d/jobs.yaml", &ticking(&world, 0, true));
        world.start();
        world.until_the_job_runs();
        Some(world)
    }

    /// Waits until an execution that is due from now on has succeeded.
    fn until_the_job_runs(&mut self) {
        let since = wall();
        let ran = |row: &Row| row.fire_time > since && row.outcome() == Some(Outcome::Succeeded);
        self.until("execution", |world| world.rows().iter().any(ran));
    }

    /// Does a verb that succeeds.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}\n{}", self.log_tail());
        format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
    }

    fn state(&self) -> String {
        self.listed("ticking")["state"].as_str().unwrap_or_default().to_owned()
    }

    fn until_state(&mut self, state: &str) {
        self.until(state, |world| world.state() == state);
    }

    fn said(&self) -> Option<OverrideDocument> {
        self.contents().overrides.into_iter().next()
    }

    /// The rows of occurrences that were skipped for this reason.
    fn skipped(&self, why: Skipped) -> Vec<Row> {
        let is_it = |row: &Row| row.outcome() == Some(Outcome::Skipped(why));
        self.rows().into_iter().filter(is_it).collect()
    }

    /// Waits until the daemon decides what fires. The watermark says nothing while all jobs are paused.
    fn until_healthy(&mut self) {
        self.until("health", |world| {
            assert!(world.lives(), "the daemon died; {}", world.log_tail());
            world.ask(&["status"])["health"] == "healthy"
        });
    }

    /// Waits until so many seconds have gone by of which nothing is to be seen.
    fn until_seconds_passed(&mut self, seconds: i64) {
        let begun = wall();
        self.until("time", |_| (wall() - begun).num_seconds() >= seconds);
    }

    /// Declares the job off, and asks the oracle for every second since the beginning.
    fn accounts_for_every_second(mut self) {
        self.save("jobs.d/jobs.yaml", &ticking(&self, 99, false));
        self.until("quiet ledger", |world| {
            let contents = world.contents();
            let off = |job: &JobDocument| job.spec["enabled"] == false;
            contents.jobs.iter().all(off) && contents.in_flight.is_empty()
        });
        self.stop();
        let (faults, counts) = oracle::verify(&self);
        println!("{counts}");
        assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), self.log_tail());
    }
}

/// Invariant 9: reload, edit, kill and restart leave a pause as it is, and it leaves range rows.
fn a_pause_outlives(backend: Backend) {
    let Some(mut world) = World::ticks(backend) else { return };
    let told = world.does(&["pause", "ticking", "--reason", "vendor API down"]);
    assert_eq!(told, "paused ticking\n");
    world.until_state("paused");
    let said = world.said().unwrap();
    let pause = said.pause.clone().unwrap();
    assert_eq!(pause.reason.as_deref(), Some("vendor API down"));
    world.until_seconds_passed(2);
    world.kill();
    world.until_seconds_passed(1);
    world.start();
    world.until_healthy();
    assert_eq!((world.state().as_str(), world.said()), ("paused", Some(said.clone())));
    world.save("jobs.d/jobs.yaml", &ticking(&world, 1, true));
    let edited =
        |world: &mut World| world.applied("ticking").unwrap().spec["description"] == "edit 1";
    world.until("edit", edited);
    assert_eq!(world.said(), Some(said));
    world.until_seconds_passed(2);
    world.does(&["resume", "ticking"]);
    let resumed_at = wall();
    world.until_the_job_runs();
    assert_eq!(world.state(), "scheduled");
    let paused = world.skipped(Skipped::Paused);
    assert!(paused.len() <= 3, "a row a fire: {paused:?}");
    assert!(paused.iter().all(|row| row.fire_time > pause.at));
    let note = paused[0].note.clone().unwrap();
    assert!(note.ends_with(": vendor API down"), "{note}");
    let caught_up = |row: &Row| row.cause == Cause::CatchUp && row.fire_time > pause.at;
    assert!(!world.rows().iter().any(caught_up));
    let inside = |row: &Row| pause.at < row.fire_time && row.claimed_at < resumed_at;
    let skipped = |row: &Row| row.outcome() == Some(Outcome::Skipped(Skipped::Paused));
    assert!(world.rows().iter().filter(|row| inside(row)).all(skipped));
    world.accounts_for_every_second();
}

#[test]
fn a_pause_outlives_reload_kill_and_edit_on_sqlite() {
    a_pause_outlives(Backend::Sqlite);
}

#[test]
fn a_pause_outlives_reload_kill_and_edit_on_mongo() {
    a_pause_outlives(Backend::Mongo);
}

/// Killed before the store has it, there is no pause; after, there is, and nothing ran in it.
#[test]
fn a_pause_is_there_or_not_wherever_the_daemon_is_killed() {
    let mut world = World::ticks(Backend::Sqlite).unwrap();
    for (failpoint, state) in [("before_plan", "scheduled"), ("after_plan", "paused")] {
        world.kill();
        world.start_armed(failpoint);
        world.until_healthy();
        assert!(!world.verb(&["pause", "ticking", "--reason", "r"]).status.success());
        world.ended();
        world.start();
        world.until_healthy();
        assert_eq!(world.state(), state, "{failpoint}");
    }
    world.does(&["resume", "ticking"]);
    world.until_the_job_runs();
    world.accounts_for_every_second();
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    let mut world = World::ticks(Backend::Sqlite).unwrap();
    world.does(&["pause", "ticking", "--for", "2s"]);
    let status = world.ask(&["status"]);
    assert_eq!((&status["jobs"]["paused"], &status["jobs"]["total"]), (&1.into(), &1.into()));
    world.until_the_job_runs();
    world.until("cleared pause", |world| world.said().unwrap().pause.is_none());
    assert_eq!(world.newest_origin(), "pause ended");
    let [row] = world.skipped(Skipped::Paused).try_into().unwrap();
    assert!(row.range.is_some_and(|range| (2..=3).contains(&range.count)), "{row:?}");
    world.accounts_for_every_second();
}

#[test]
fn a_skip_takes_one_fire_time_also_after_a_kill() {
    let mut world = World::ticks(Backend::Sqlite).unwrap();
    world.does(&["pause", "ticking", "--next", "--reason", "disk"]);
    world.kill();
    world.start();
    world.until_the_job_runs();
    world.until("cleared skip", |world| world.said().unwrap().skip_next.is_none());
    let [row] = world.skipped(Skipped::SkipNext).try_into().unwrap();
    assert_eq!(row.range, None);
    world.accounts_for_every_second();
}

#[test]
fn operators_are_told_what_holds_a_job_and_may_run_it_all_the_same() {
    let mut world = World::new();
    let jobs = "  one:\n    triggers: []\n    command: [\"true\"]\n  two:\n    cron: \"@daily\"\n    command: [\"true\"]\n";
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    // One that is unknown: nothing is done for the others.
    let refused = world.verb(&["pause", "two", "onee"]);
    assert_eq!(refused.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(errors.contains("did you mean `one`?"), "{errors}");
    assert_eq!(world.ask(&["export", "overrides"])["overrides"], Value::Array(Vec::new()));
    let passed = world.verb(&["pause", "two", "--until", "2020-01-01T00:00:00Z"]);
    assert_eq!(passed.status.code(), Some(2), "{}", String::from_utf8_lossy(&passed.stderr));

    assert_eq!(world.does(&["resume", "one"]), "`one` is not paused\n");
    let skipped = world.does(&["pause", "one", "--next"]);
    assert_eq!(skipped, "`one` is not due again: there is nothing to skip\n");
    world.does(&["pause", "--all", "--reason", "migration"]);
    let two = world.listed("two");
    assert_eq!((&two["state"], &two["next_fire_at"]), (&"paused".into(), &Value::Null));
    assert_eq!(two["pause"]["reason"], "migration");
    let next = world.ask(&["next", "two", "-n", "1"]);
    assert_eq!(next["fires"][0]["skipped"], "paused");
    let yaml = world.does(&["export", "overrides", "--as-yaml"]);
    assert!(yaml.contains("  # jobs.d/jobs.yaml:"), "{yaml}");
    assert!(yaml.contains("  two:\n    enabled: false\n"), "{yaml}");

    let ran = world.does(&["run", "one", "--wait"]);
    assert!(ran.contains("the job is paused since "), "{ran}");
    assert_eq!(world.rows_of(Some("one"))[0].outcome(), Some(Outcome::Succeeded));
    assert_eq!(world.does(&["resume", "--all"]), "resumed all jobs\n");
    assert_eq!(world.listed("two")["state"], "scheduled");
}

#[test]
fn ankhmorpork_945_what_is_paused_and_stands_in_no_manifest_is_written_for_one() {
    let mut world = World::new();
    let job = |name: &str| format!("  {name}:\n    cron: '@daily'\n    script: echo {name}\n");
    let jobs = |names: &[&str]| {
        format!("jobs:\n{}", names.iter().map(|name| job(name)).collect::<String>())
    };
    world.write("jobs.d/a.yaml", &jobs(&["one", "two"]));
    world.write("jobs.d/b.yaml", &jobs(&["three", "four"]));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    world.does(&["pause", "one", "--reason", "vendor API down"]);
    world.does(&["pause", "four"]);
    let yaml = world.does(&["export", "overrides", "--as-yaml"]);
    let mut paused = Vec::new();
    let lines: Vec<&str> = yaml.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].trim() == "enabled: false") {
        paused.push(pair[0].trim());
    }
    paused.sort_unstable();
    assert_eq!(paused, ["four:", "one:"], "{yaml}");
    assert!(yaml.contains("vendor API down") && yaml.contains("jobs.d/b.yaml"), "{yaml}");

    // Declared so, nobody need remember the pause.
    let disabled = jobs(&["one", "two"]).replacen("@daily'\n", "@daily'\n    enabled: false\n", 1);
    world.save("jobs.d/a.yaml", &disabled);
    world.does(&["resume", "one"]);
    world.until("a disabled job", |world| world.listed("one")["state"] == "disabled");
    assert_eq!(world.listed("four")["state"], "paused");
}
