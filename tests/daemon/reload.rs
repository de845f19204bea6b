//! Manifests are edited, broken, removed and brought back under a daemon that goes on.

use std::fs;

use cronwright::engine::execution::{Outcome, Row, State};
use cronwright::io::store::document::JobDocument;
use rustix::process::Signal;
use serde_json::Value;

use super::harness::{World, wall};

/// A job that is never due by itself.
pub(crate) fn never(name: &str, script: &str) -> String {
    format!("  {name}:\n    triggers: []\n    script: |\n      {script}\n")
}

/// A job that is due every second.
fn ticking(name: &str, script: &str) -> String {
    format!("  {name}:\n    cron: \"* * * * * *\"\n    script: |\n      {script}\n")
}

/// A job that runs until there is a file called `gate`.
fn waiting(name: &str) -> String {
    never(name, "echo $$ > pid; while [ ! -e gate ]; do sleep 0.02; done")
}

impl World {
    /// A world whose daemon has applied a manifest of these jobs.
    pub(crate) fn with_jobs(files: &[(&str, &str)]) -> Self {
        let mut world = Self::new();
        for (file, jobs) in files {
            world.save_jobs(file, jobs);
        }
        world.start();
        world.until("applied manifests", |world| world.sync_state() == "Synced");
        world
    }

    /// Saves a manifest by a rename.
    pub(crate) fn save_jobs(&self, file: &str, jobs: &str) {
        self.save(&format!("jobs.d/{file}"), &format!("{}{jobs}", self.head()));
    }

    /// Waits until the script of a job is this one.
    pub(crate) fn until_script(&mut self, job: &str, script: &str) {
        self.until("effect of an edit", |world| {
            let shown = world.ask(&["show", job]);
            shown["spec"]["script"].as_str().is_some_and(|text| text.trim() == script)
        });
    }

    /// Waits until a job that was due after this moment has succeeded.
    fn until_it_ticks(&mut self, job: &str) -> Option<String> {
        let since = wall();
        let mut digest = None;
        self.until("fire", |world| {
            let rows = world.rows_of(Some(job));
            let ticked = rows
                .iter()
                .find(|row| row.fire_time > since && row.outcome() == Some(Outcome::Succeeded));
            digest = ticked.map(|row| row.provenance.digest.to_string());
            digest.is_some()
        });
        digest
    }

    /// Lets the daemon look three times: more often than it needs to believe in a removal.
    fn look_thrice(&self) -> Value {
        self.ask(&["apply"]);
        self.ask(&["apply"]);
        self.ask(&["apply"])
    }
}

#[test]
fn an_edit_takes_effect_however_it_is_saved() {
    let mut world = World::with_jobs(&[("a.yaml", &never("one", "echo 1"))]);
    world.save_jobs("a.yaml", &never("one", "echo 2"));
    world.until_script("one", "echo 2");
    world.write("jobs.d/a.yaml", &format!("{}{}", world.head(), never("one", "echo 3")));
    world.until_script("one", "echo 3");
    world.save_jobs("new.yaml", &never("two", "echo 4"));
    world.until_script("two", "echo 4");
}

#[test]
fn an_edit_touches_neither_what_runs_nor_other_jobs() {
    let steady = "  steady:\n    interval: 2s\n    script: \"true\"\n";
    let mut world = World::with_jobs(&[("a.yaml", &waiting("long")), ("b.yaml", steady)]);
    world.until_it_ticks("steady");
    let before = world.applied("steady").unwrap();
    assert!(world.verb(&["run", "long"]).status.success());
    world.until("running job", |world| {
        world.rows_of(Some("long")).iter().any(|row| matches!(row.state, State::Running { .. }))
    });
    let old_digest = world.applied("long").unwrap().digest;

    world.save_jobs("a.yaml", &never("long", "echo other"));
    world.until_script("long", "echo other");
    let pid = fs::read_to_string(world.path("pid")).unwrap();
    assert!(world.processes_of_jobs().contains(&pid.trim().parse().unwrap()), "it still runs");
    world.write("gate", "");
    world.until("ending", |world| world.rows_of(Some("long")).iter().all(|row| !row.in_flight()));
    let rows = world.rows_of(Some("long"));
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.outcome(), Some(Outcome::Succeeded));
    assert_eq!(row.provenance.digest.to_string(), old_digest);
    assert_eq!(fs::read_to_string(world.path("pid")).unwrap(), pid);

    world.until_it_ticks("steady");
    assert_eq!(world.applied("steady").unwrap(), before);
    let anchor = before.anchors.values().next().copied().unwrap();
    for row in world.rows_of(Some("steady")) {
        let since_anchor = (row.fire_time - anchor).num_milliseconds();
        assert_eq!(since_anchor % 2000, 0, "{} keeps the phase of {anchor}", row.id);
    }
}

#[test]
fn a_broken_manifest_leaves_its_job_at_the_last_good_definition_until_it_is_mended() {
    let mut world = World::with_jobs(&[
        ("a.yaml", &ticking("tick", "echo 1")),
        ("b.yaml", &never("other", "echo 1")),
    ]);
    let good = world.applied("tick").unwrap();
    world.write("jobs.d/a.yaml", "jobs: [");
    world.until("complaint", |world| world.sync_state() == "Degraded");
    assert_eq!(world.listed("tick")["stale"], true);
    assert_eq!(world.listed("other")["stale"], false);
    assert_eq!(world.verb(&["status"]).status.code(), Some(1));
    assert_eq!(world.until_it_ticks("tick").as_ref(), Some(&good.digest));

    // What is broken does not keep other files from being applied.
    world.save_jobs("b.yaml", &never("other", "echo 2"));
    world.until_script("other", "echo 2");
    assert_eq!(world.applied("tick").unwrap(), good);

    world.save_jobs("a.yaml", &ticking("tick", "echo 2"));
    world.until("health", |world| world.sync_state() == "Synced");
    assert_eq!(world.listed("tick")["stale"], false);
    world.until_script("tick", "echo 2");
    let mended = world.applied("tick").unwrap();
    assert_ne!(mended.digest, good.digest);
    assert_eq!(world.until_it_ticks("tick"), Some(mended.digest));
}

#[test]
fn a_restart_finds_the_last_good_definition_of_a_broken_manifest() {
    let mut world = World::with_jobs(&[("a.yaml", &ticking("tick", "echo 1"))]);
    let good = world.applied("tick").unwrap();
    world.write("jobs.d/a.yaml", "tick: [");
    world.until("complaint", |world| world.sync_state() == "Degraded");
    world.stop();
    world.start();
    world.until("complaint", |world| world.sync_state() == "Degraded");
    assert_eq!(world.until_it_ticks("tick").as_ref(), Some(&good.digest));
    assert_eq!(world.listed("tick")["stale"], true);
    assert_eq!(world.applied("tick"), Some(good));
}

#[test]
fn an_emptied_a_removed_and_a_renamed_folder_remove_nothing() {
    let jobs = format!("{}{}", never("one", "echo 1"), never("two", "echo 2"));
    let mut world = World::with_jobs(&[("a.yaml", &jobs)]);
    let applied = |world: &World| -> Vec<JobDocument> {
        let jobs = world.contents().jobs;
        assert!(jobs.iter().all(|job| job.removed_at.is_none()), "{jobs:?}");
        jobs
    };
    let before = applied(&world);
    assert_eq!(before.len(), 2);

    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    let emptied = world.look_thrice();
    assert_eq!((emptied["state"].as_str(), applied(&world)), (Some("Blocked"), before.clone()));

    fs::remove_dir(world.path("jobs.d")).unwrap();
    let gone = world.look_thrice();
    assert_eq!((gone["state"].as_str(), applied(&world)), (Some("Stalled"), before.clone()));

    fs::create_dir(world.path("jobs.d")).unwrap();
    world.save_jobs("a.yaml", &jobs);
    world.until("health", |world| world.sync_state() == "Synced");
    assert_eq!(applied(&world), before);

    fs::rename(world.path("jobs.d"), world.path("away")).unwrap();
    let renamed = world.look_thrice();
    assert_eq!((renamed["state"].as_str(), applied(&world)), (Some("Stalled"), before.clone()));
    fs::rename(world.path("away"), world.path("jobs.d")).unwrap();
    world.until("health", |world| world.sync_state() == "Synced");
    assert_eq!(applied(&world), before);

    // The folder that came back is watched.
    world.save_jobs("a.yaml", &jobs.replace("echo 1", "echo 3"));
    world.until_script("one", "echo 3");
}

#[test]
fn one_removed_job_of_several_goes_after_two_looks_and_finishes_what_it_runs() {
    let mut world =
        World::with_jobs(&[("a.yaml", &waiting("long")), ("b.yaml", &ticking("tick", "true"))]);
    assert!(world.verb(&["run", "long"]).status.success());
    world.until("running job", |world| world.path("pid").exists());
    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    world.until("removal", |world| world.applied("long").is_none());
    assert!(world.listed("long").is_null());
    assert_eq!(world.verb(&["run", "long"]).status.code(), Some(3));
    assert!(world.rows_of(Some("long")).iter().all(Row::in_flight));
    world.write("gate", "");
    world.until("ending", |world| {
        let rows = world.rows_of(Some("long"));
        rows.iter().all(|row| row.outcome() == Some(Outcome::Succeeded))
    });
    world.until_it_ticks("tick");
    assert_eq!(world.sync_state(), "Synced");
}

#[test]
fn of_a_name_that_is_declared_twice_the_applied_definition_stays() {
    let mut world = World::with_jobs(&[("b.yaml", &ticking("tick", "echo 1"))]);
    let applied = world.applied("tick");
    world.save_jobs("a.yaml", &never("tick", "echo 2"));
    world.until("complaint", |world| world.sync_state() == "Degraded");
    let told = String::from_utf8(world.verb(&["status"]).stdout).unwrap();
    assert!(told.contains("tick"), "{told}");
    assert_eq!(world.applied("tick"), applied);
    assert_eq!(world.until_it_ticks("tick"), applied.as_ref().map(|job| job.digest.clone()));
    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    world.until("health", |world| world.sync_state() == "Synced");
    assert_eq!(world.applied("tick"), applied);
}

#[test]
fn sighup_and_apply_look_at_once() {
    let mut world = World::with_jobs(&[("a.yaml", &never("one", "echo 1"))]);
    // Written through another name of the same file, an edit gives the folder's watcher no sign.
    let edit = |world: &World, script: &str| {
        fs::hard_link(world.path("jobs.d/a.yaml"), world.path("unwatched")).unwrap();
        world.write("unwatched", &format!("{}{}", world.head(), never("one", script)));
        // A daemon of root reads no file that has two names.
        fs::remove_file(world.path("unwatched")).unwrap();
    };
    edit(&world, "echo 22");
    world.signal(Signal::HUP);
    world.until_script("one", "echo 22");
    assert_eq!(world.newest_origin(), "hangup");

    edit(&world, "echo 333");
    let answer = world.ask(&["apply"]);
    assert_eq!(
        (answer["state"].as_str(), &answer["plan"]["summary"]["update"]),
        (Some("Synced"), &1.into())
    );
    world.until_script("one", "echo 333");
    assert!(world.newest_origin().starts_with("apply by "), "{}", world.newest_origin());
}

#[test]
fn a_calendar_reaches_the_jobs_of_other_manifests_and_changes_nothing_while_it_is_invalid() {
    let mut world = World::new();
    let calendar = |world: &World, except: &str| {
        let text = format!("calendars: {{ days: {{ except: [\"{except}\"] }} }}\n");
        world.save("jobs.d/calendars.yaml", &text);
    };
    calendar(&world, "2001-01-01");
    let triggers = "[{ cron: \"* * * * * *\", calendar: days }]";
    let user = format!("  tick:\n    triggers: {triggers}\n    script: \"true\"\n");
    world.save_jobs("user.yaml", &user);
    world.save_jobs("other.yaml", &never("other", "echo 1"));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    let other = world.applied("other");
    let first = world.applied("tick").unwrap().digest;
    assert_eq!(world.until_it_ticks("tick").as_ref(), Some(&first));

    calendar(&world, "2001-01-02");
    world.until("other definition", |world| world.applied("tick").unwrap().digest != first);
    let second = world.applied("tick");
    assert_eq!(world.applied("other"), other);

    for broken in ["calendars: { days", "calendars: { days: { except: [\"2001\"] } }"] {
        world.save("jobs.d/calendars.yaml", broken);
        world.until("complaint", |world| world.listed("tick")["stale"] == true);
        assert_eq!(world.sync_state(), "Degraded");
        assert_eq!(world.applied("tick"), second);
        assert_eq!(world.until_it_ticks("tick"), second.as_ref().map(|job| job.digest.clone()));
        calendar(&world, "2001-01-02");
        world.until("health", |world| world.sync_state() == "Synced");
    }
    fs::remove_file(world.path("jobs.d/calendars.yaml")).unwrap();
    assert_eq!(world.look_thrice()["state"], "Degraded");
    assert_eq!(world.applied("tick"), second);
}
