//! The ten promises, one test each, in the order of the table in docs/reload.md.

use std::collections::BTreeSet;

use cronwright::engine::plan::Hold;
use cronwright::engine::request::{Act, OverrideChange};

use super::texts::{job, manifest, named_job, pause, world, world_of};
use super::world::{Record, time_of};

/// An unchanged job keeps its next fire time, the phase of its interval, what of it runs, and its identity,
/// however often everything around it is edited.
#[test]
fn invariant_01_an_unchanged_job_keeps_next_fire_phase_executions_and_identity() {
    let steady = manifest(&[job("steady", "interval: 7m"), job("hourly", "cron: \"0 * * * *\"")]);
    let mut world = world(&[("steady.yaml", &steady), ("noise.yaml", "jobs: {}")]);
    world.task_ms = (200_000, 200_000);
    let before = world.applied();
    // A reload every 50 seconds, for three hours: more often than the interval.
    for edit in 0..216 {
        let noise = job("noise", &format!("interval: {}s", 40 + edit));
        world.write("noise.yaml", &manifest(&[noise]));
        world.hint(0);
        world.run_for(50_000);
    }
    let mut after = world.applied();
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before);
    let anchor = before.values().find_map(|job| job.anchors.values().next()).unwrap();
    assert_eq!(time_of(*anchor), "09:59:59.510");
    let fired = world.fired("steady");
    assert_eq!(fired.len(), 25);
    assert_eq!(fired[..3], ["10:06:59.510", "10:13:59.510", "10:20:59.510"]);
    assert_eq!(fired[24], "12:54:59.510");
    assert_eq!(world.fired("hourly"), ["10:00:00", "11:00:00", "12:00:00", "13:00:00"]);
    assert!(world.rows("steady").iter().rev().skip(1).all(|row| row.ends_with(" succeeded")));
}

/// Editing metadata, environment or command does not move the schedule; a changed trigger, and it alone, is
/// planned anew.
#[test]
fn invariant_02_only_a_changed_trigger_moves_the_schedule() {
    let mut world = world(&[("a.yaml", &manifest(&[job("a", "interval: 30m")]))]);
    world.run_until("10:40:00");
    for edit in [
        "interval: 30m\n    description: nightly",
        "interval: 30m\n    env: { LEVEL: debug }",
        "interval: 30m\n    timeout: 5m",
        "triggers: [{ interval: 1800s }]\n    overlap: allow",
        "triggers: [{ interval: 30m }, { cron: \"0 23 * * *\" }]",
    ] {
        world.save("a.yaml", &manifest(&[job("a", edit)]));
    }
    assert_eq!(world.plans_saved(), 6);
    world.run_until("11:31:00");
    assert_eq!(world.fired("a"), ["10:29:59.510", "10:59:59.510", "11:29:59.510"]);
    // The period is the trigger: from the last fire time on.
    world.save("a.yaml", &manifest(&[job("a", "interval: 20m")]));
    world.run_until("12:11:00");
    assert_eq!(world.fired("a")[3..], ["11:49:59.510", "12:09:59.510"]);
}

/// A new or edited trigger never fires for a time before the edit.
#[test]
fn invariant_03_catch_up_begins_at_the_edit() {
    let at_hour = |hour| manifest(&[job("a", &format!("cron: \"0 {hour} * * *\""))]);
    let mut world = world(&[("a.yaml", &at_hour(14))]);
    world.run_until("10:30:00");
    // 14:00 becomes 10:00 at 10:30: tomorrow, and nothing is missed.
    world.save("a.yaml", &at_hour(10));
    // A new job whose time has passed today, and one that was due every minute of the past.
    world.save("b.yaml", &manifest(&[job("b", "cron: \"29 10 * * *\"")]));
    world.save(
        "c.yaml",
        &manifest(&[job("c", "triggers: [{ interval: 1m, anchor: \"2026-01-01T00:00:00\" }]")]),
    );
    world.run_until("10:32:30");
    assert_eq!(world.rows("c"), ["10:31:00 succeeded", "10:32:00 succeeded"]);
    // 14:00, edited at 10:32 to 11:00, fires at 11:00.
    world.save("d.yaml", &at_hour(14).replace("  a:", "  d:"));
    world.save("d.yaml", &at_hour(11).replace("  a:", "  d:"));
    world.run_until("14:01:00");
    assert_eq!((world.rows("a"), world.rows("b")), (Vec::new(), Vec::new()));
    assert_eq!(world.rows("d"), ["11:00:00 succeeded"]);
    world.run_until("10:30:00");
    assert_eq!(world.rows("a"), ["10:00:00 succeeded"]);
    assert_eq!(world.rows("b"), ["10:29:00 succeeded"]);
}

/// What was the next fire time is looked at again under the definition of now, also across a restart.
#[test]
fn invariant_04_a_next_fire_time_is_checked_against_the_definition_of_now() {
    let on = |days: &str| manifest(&[job("a", &format!("cron: \"0 11 * * {days}\""))]);
    // 2026-11-23 is a Monday.
    let mut edited_live = world(&[("a.yaml", &on("mon-sat"))]);
    edited_live.save("a.yaml", &on("tue-sat"));
    edited_live.run_until("12:00:00");
    assert_eq!(edited_live.rows("a"), Vec::<String>::new());

    let mut edited_down = world(&[("a.yaml", &on("mon-sat"))]);
    edited_down.kill();
    edited_down.write("a.yaml", &on("tue-sat"));
    edited_down.run_until("10:50:00");
    edited_down.start();
    edited_down.run_until("12:00:00");
    assert_eq!(edited_down.rows("a"), Vec::<String>::new());
    edited_down.run_until("11:30:00");
    assert_eq!(edited_down.rows("a"), ["11:00:00 succeeded"]);
}

/// A removed or disabled job stops at once, and no timer of it is left.
#[test]
fn invariant_05_a_removed_or_disabled_job_stops_at_once() {
    let every_second = |name: &str, more: &str| job(name, &format!("cron: \"* * * * * *\"{more}"));
    let both = manifest(&[every_second("gone", ""), every_second("off", "")]);
    let mut world = world(&[("a.yaml", &both)]);
    world.write("a.yaml", &manifest(&[every_second("off", "\n    enabled: false")]));
    world.look();
    let off = world.fired("off").len();
    // The removal needs a second look.
    world.run_for(1_500);
    assert_eq!(world.names(), ["off"]);
    let gone = world.fired("gone").len();
    world.run_minutes(5);
    assert_eq!((world.fired("gone").len(), world.fired("off").len()), (gone, off));
    // What comes back fires once for each time, from now on.
    world.save("a.yaml", &both);
    world.run_for(10_000);
    for name in ["gone", "off"] {
        let mut fired = world.fired(name);
        let count = fired.len();
        fired.dedup();
        assert_eq!(fired.len(), count, "{name}");
        assert!(count >= 10, "{name}");
    }
}

/// A reload waits for no execution, and ends none; each ends under the definition it started with.
#[test]
fn invariant_06_a_reload_neither_waits_for_executions_nor_ends_them() {
    let long =
        |word: &str| format!("jobs: {{ long: {{ command: echo {word}, cron: \"0 10 * * *\" }} }}");
    let tick = manifest(&[job("tick", "cron: \"* * * * *\"")]);
    let mut world = world_of(&[("long.yaml", &long("old"))], (1_800_000, 1_800_000));
    assert_eq!(world.fired("long"), ["10:00:00"]);
    let old = world.applied().into_values().next().unwrap();
    world.task_ms = (10, 10);
    world.write("tick.yaml", &tick);
    world.save("long.yaml", &long("new"));
    assert_eq!(world.names(), ["long", "tick"]);
    world.run_until("10:05:30");
    assert_eq!(world.fired("tick").len(), 5);
    world.delete("long.yaml");
    assert_eq!(world.names(), ["tick"]);
    assert_eq!(world.rows("long"), ["10:00:00 running"]);
    world.run_until("10:31:00");
    assert_eq!(world.rows("long"), ["10:00:00 succeeded"]);
    assert!(!world.records.iter().any(|record| matches!(record, Record::Stopped { .. })));
    let row = world.ledger.all_rows().values().find(|row| row.job.as_str() == "long").unwrap();
    assert_eq!(row.provenance.digest, old.digest);
}

/// No fire time sees half of a plan: two jobs that are always edited together are never seen apart.
#[test]
fn invariant_07_the_switch_is_atomic() {
    let pair = |number: usize| {
        let one = |name: &str| {
            format!(
                "  {name}: {{ command: [echo, \"{number}\"], cron: \"* * * * * *\", overlap: allow }}\n"
            )
        };
        format!("jobs:\n{}{}", one("left"), one("right"))
    };
    for travel_ms in [1, 20, 60, 120] {
        let mut world = world(&[("a.yaml", &pair(0))]);
        world.travel_ms = (travel_ms / 2, travel_ms);
        for number in 1..40 {
            world.write("a.yaml", &pair(number));
            world.hint(0);
            world.run_for(2_500 + 37 * number as u64);
            if number % 10 == 0 {
                world.kill();
                world.start();
            }
        }
        world.run_for(10_000);
        let mut seen = std::collections::BTreeMap::new();
        for row in world.ledger.all_rows().values().filter(|row| row.range.is_none()) {
            let task = format!("{:?}", world.spec_of(row).task);
            let sides: &mut Vec<_> = seen.entry(row.fire_time).or_default();
            sides.push((task, row.outcome()));
        }
        assert!(seen.len() > 100, "{travel_ms}: {:?}", world.rows("left"));
        for (fire_time, sides) in seen {
            let [left, right] = &sides[..] else { panic!("{fire_time}: {sides:?}") };
            assert_eq!(left, right, "{fire_time}");
        }
    }
}

/// A job that says which name it had goes on as the same job: history, phase, pause, and what of it runs.
#[test]
fn invariant_08_a_rename_that_says_so_keeps_history_phase_pause_and_executions() {
    let named = |name: &str, rest: &str| manifest(&[job(name, &format!("interval: 30m{rest}"))]);
    let mut world = world_of(&[("a.yaml", &named("old", ""))], (1_500_000, 1_500_000));
    world.run_until("10:31:00");
    let before = world.applied().into_values().next().unwrap();
    // It runs until 10:55; the name and the file change.
    world.files.remove("jobs.d/a.yaml");
    world.save("b.yaml", &named("new", "\n    previous_names: [old]"));
    let after = world.applied().into_values().next().unwrap();
    assert_eq!((&after.uid, &after.anchors), (&before.uid, &before.anchors));
    assert_eq!((world.names(), world.held().len()), (vec!["new".to_owned()], 0));
    world.run_until("11:31:00");
    assert_eq!(world.rows("old"), ["10:29:59.510 succeeded"]);
    assert_eq!(world.rows("new"), ["10:59:59.510 succeeded", "11:29:59.510 running"]);

    // A pause goes along, and what runs counts for the overlap of the new name.
    world.ask(pause("new"));
    world.save("b.yaml", &named("newest", "\n    previous_names: [new]"));
    world.kill();
    world.start();
    world.run_until("13:10:00");
    assert_eq!(world.fired("newest"), Vec::<String>::new());
    world.ask(Act::Override { jobs: named_job("newest"), change: OverrideChange::Resume });
    world.run_until("13:31:00");
    assert_eq!(world.fired("newest"), ["13:29:59.510"]);
    let uids = world.ledger.all_rows().values().map(|row| row.uid.clone());
    assert_eq!(uids.collect::<BTreeSet<_>>(), BTreeSet::from([before.uid]));
}

/// What an operator said about a job survives edits, a removal with a return, and restarts. (Fail-over: the
/// simulator pauses jobs at random while two nodes take over from each other.)
#[test]
fn invariant_09_overrides_survive_reload_and_restart() {
    let text = |rest: &str| manifest(&[job("a", &format!("cron: \"*/10 * * * *\"{rest}"))]);
    let mut world = world(&[("a.yaml", &text("")), ("other.yaml", "jobs: {}")]);
    world.ask(pause("a"));
    world.save("a.yaml", &text("\n    env: { LEVEL: debug }"));
    world.run_until("10:25:00");
    world.kill();
    world.start();
    world.save("a.yaml", &text("").replace("*/10", "*/5"));
    world.run_until("10:45:00");
    world.save("other.yaml", &manifest(&[job("b", "interval: 1h")]));
    world.delete("a.yaml");
    world.save("a.yaml", &text(""));
    world.run_until("11:05:00");
    assert_eq!(world.fired("a"), ["10:00:00"]);
    world.ask(Act::Override { jobs: named_job("a"), change: OverrideChange::Resume });
    world.run_until("11:15:00");
    // Nothing is caught up, and every fire time between has a row that says why it did not run.
    assert_eq!(world.fired("a"), ["10:00:00", "11:10:00"]);
    let rows = world.rows("a");
    let held = rows.iter().filter(|row| row.ends_with(" skipped(paused)")).count();
    assert_eq!(held, rows.len() - 2, "{rows:?}");
    assert!(rows[1].starts_with("10:10:00"), "{rows:?}");
}

/// A manifest that cannot be used changes nothing that runs, whatever is wrong with it, for as long as it
/// is wrong, and across a restart; other files go on being applied.
#[test]
fn invariant_10_an_invalid_manifest_changes_nothing_that_runs() {
    let good = manifest(&[job("a", "interval: 10m"), job("b", "cron: \"*/10 * * * *\"")]);
    let torn = [&good.as_bytes()[..40], &[0; 40]].concat();
    let broken: [&[u8]; 9] = [
        b"jobs: [",
        b"",
        b"\0\0\0\0",
        &torn,
        b"a: 1",
        b"jobs: { a: { cron: \"61 * * * *\", command: x } }",
        b"jobs: { a: { cron: \"* * * * *\", comand: x } }",
        b"\xff\xfejobs",
        &good.as_bytes()[..good.len() - 8],
    ];
    let mut world = world(&[("a.yaml", &good), ("other.yaml", "jobs: {}")]);
    let before = world.applied();
    for (number, bytes) in broken.iter().enumerate() {
        world.files.insert("jobs.d/a.yaml".to_owned(), Some(bytes.to_vec()));
        let other = manifest(&[job("other", &format!("interval: {}m", 60 + number))]);
        world.save("other.yaml", &other);
        assert!(!world.complaints().is_empty(), "{number}");
        world.run_minutes(11);
        if number % 3 == 0 {
            world.kill();
            world.start();
            world.run_for(2_000);
        }
        let mut after = world.applied();
        assert!(after.keys().any(|name| name.as_str() == "other"), "{number}");
        after.retain(|name, _| before.contains_key(name));
        assert_eq!(after, before, "{number}");
        let holds: Vec<Hold> = world.newest_plan().held.iter().map(|held| held.hold).collect();
        assert_eq!(holds, [Hold::InvalidManifest; 2], "{number}");
    }
    let ran = |row: &String| row.ends_with(" succeeded");
    assert!(world.rows("a").iter().all(ran) && world.rows("b").iter().all(ran));
    assert_eq!(world.fired("b").len(), 10);
    // Mended, it is as if nothing had been: nothing is written.
    let saved = world.plans_saved();
    world.save("a.yaml", &good);
    assert_eq!((world.plans_saved(), world.complaints().len()), (saved, 0));
}
