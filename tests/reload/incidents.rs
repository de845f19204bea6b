//! Accidents that users of other programs told in public, replayed here. Each test says in our words what
//! went wrong there.

use cronwright::engine::request::{Act, OverrideChange};

use super::texts::{job, manifest, named_job, pause, world, world_of};
use super::world::Record;

/// A music collector: saving its settings, without a change, scheduled all background tasks anew; the five
/// minutes of a task began again, and who saved often never saw it run.
#[test]
fn headphones_2099_saving_without_a_change_moves_nothing() {
    let text = manifest(&[job("scan", "interval: 5m"), job("update", "interval: 6h")]);
    let mut world = world(&[("a.yaml", &text)]);
    let before = world.applied();
    for save in 0..40 {
        // The same, with another comment.
        world.save("a.yaml", &format!("# saved {save}\n{text}"));
        world.run_for(28_000);
    }
    assert_eq!(world.applied().len(), before.len());
    for (name, job) in world.applied() {
        assert_eq!(
            (&job.anchors, job.effective_at),
            (&before[&name].anchors, before[&name].effective_at)
        );
    }
    assert_eq!(world.plans_saved(), 1);
    assert_eq!(world.fired("scan"), ["10:04:59.510", "10:09:59.510", "10:14:59.510"]);
}

/// An assistant's scheduler: its definitions were read again shortly before each fire time, which began
/// every interval anew: the next fire time fled before the clock.
#[test]
fn openclaw_9929_a_reload_just_before_each_fire_does_not_push_it_away() {
    let every = |noise: u32| {
        manifest(&[job("every", "interval: 10m"), job("noise", &format!("interval: {noise}s"))])
    };
    let mut world = world(&[("a.yaml", &every(4_000))]);
    for (number, time) in ["10:09:58", "10:19:58", "10:29:58"].into_iter().enumerate() {
        world.run_until(time);
        world.write("a.yaml", &every(4_001 + u32::try_from(number).unwrap()));
        world.look();
    }
    world.run_until("10:31:00");
    assert_eq!(world.fired("every"), ["10:09:59.510", "10:19:59.510", "10:29:59.510"]);
}

/// A cron replacement: saving the table started a monthly backup at once, since the new timer's last fire
/// time lay in the past and had no record.
#[test]
fn systemd_cron_164_saving_the_table_starts_no_monthly_backup() {
    let backup = |more: &str| manifest(&[job("backup", &format!("cron: \"@monthly\"{more}"))]);
    let mut world = world(&[("a.yaml", "jobs: {}")]);
    world.save("a.yaml", &backup(""));
    world.save("a.yaml", &backup("\n    description: whole disk"));
    world.save("a.yaml", &backup("").replace("@monthly", "5 4 1 * *"));
    world.kill();
    world.start();
    world.run_minutes(60);
    assert!(world.ledger.all_rows().is_empty());
}

/// An agent: the next fire time was stored, the expression was edited to leave Saturdays out, and the stored
/// Saturday fired all the same.
#[test]
fn hermes_agent_93069_a_saturday_that_the_edit_leaves_out_does_not_fire() {
    let on = |days: &str| manifest(&[job("report", &format!("cron: \"0 6 * * {days}\""))]);
    let mut world = world(&[("a.yaml", &on("sat"))]);
    // Until Friday; the next fire time is Saturday's.
    world.run_minutes(4 * 24 * 60);
    world.save("a.yaml", &on("mon-fri"));
    world.run_minutes(3 * 24 * 60);
    assert_eq!(world.rows("report"), ["06:00:00 succeeded"]);
    let row = world.ledger.all_rows().values().next().unwrap();
    assert_eq!(row.fire_time.format("%a %F").to_string(), "Mon 2026-11-30");
}

/// A cluster's scheduler: deleted and disabled jobs went on from the schedule in memory, and each edit added
/// another timer beside the old ones.
#[test]
fn dkron_85_deleted_disabled_and_edited_jobs_leave_no_timer_behind() {
    let minutely = |name: &str, rest: &str| job(name, &format!("cron: \"* * * * *\"\n    {rest}"));
    let all = |edit: u32, enabled: bool| {
        manifest(&[
            minutely("edited", &format!("env: {{ EDIT: \"{edit}\" }}")),
            minutely("disabled", &format!("enabled: {enabled}")),
        ])
    };
    let mut world =
        world(&[("a.yaml", &all(0, true)), ("b.yaml", &manifest(&[minutely("deleted", "")]))]);
    for edit in 1..6 {
        world.save("a.yaml", &all(edit, true));
    }
    world.save("a.yaml", &all(6, false));
    world.delete("b.yaml");
    world.run_until("10:05:30");
    assert_eq!(world.fired("edited").len(), 6);
    assert_eq!((world.fired("deleted").len(), world.fired("disabled").len()), (1, 1));
}

/// An assistant's scheduler: a daily job became one for workdays, beside a new one for weekends; the daily
/// schedule stayed in memory, and on Saturday both delivered.
#[test]
fn openclaw_71607_a_job_that_is_split_delivers_once_a_day() {
    let daily = manifest(&[job("editorial", "cron: \"30 5 * * *\"")]);
    let split = manifest(&[
        job("editorial", "cron: \"30 5 * * mon-fri\""),
        job("weekend", "cron: \"30 6 * * sat,sun\""),
    ]);
    let mut world = world(&[("a.yaml", &daily)]);
    world.run_minutes(24 * 60);
    world.save("a.yaml", &split);
    world.run_minutes(7 * 24 * 60);
    let mut days = std::collections::BTreeMap::<_, Vec<&str>>::new();
    for row in world.ledger.all_rows().values() {
        days.entry(row.fire_time.date_naive()).or_default().push(row.job.as_str());
    }
    assert_eq!(days.len(), 8);
    for (day, jobs) in days {
        let weekend = ["Sat", "Sun"].contains(&day.format("%a").to_string().as_str());
        assert_eq!(jobs, [if weekend { "weekend" } else { "editorial" }], "{day}");
    }
}

/// A container's cron: a reload waited for the jobs that ran; during the thirty minutes of one of them no
/// other was started.
#[test]
fn supercronic_150_nothing_is_skipped_while_a_long_job_runs_through_a_reload() {
    let long = manifest(&[job("long", "cron: \"0 10 * * *\"")]);
    let tick = |word: &str| {
        manifest(&[job("tick", &format!("cron: \"* * * * *\"\n    env: {{ W: {word} }}"))])
    };
    let mut world = world_of(&[("long.yaml", &long)], (1_800_000, 1_800_000));
    world.task_ms = (10, 10);
    world.save("tick.yaml", &tick("a"));
    world.run_until("10:10:30");
    world.save("tick.yaml", &tick("b"));
    world.run_until("10:31:01");
    assert_eq!(world.fired("tick").len(), 31);
    assert!(world.rows("tick").iter().all(|row| row.ends_with(" succeeded")));
    assert_eq!(world.rows("long"), ["10:00:00 succeeded"]);
}

/// A backup tool: one job without settings kept all others from running, for days, without a word.
#[test]
fn nxs_backup_9_one_broken_job_stops_no_other_and_is_told() {
    let nightly = |name: &str| manifest(&[job(name, "cron: \"0 * * * *\"")]);
    let mut world = world(&[("files.yaml", &nightly("files")), ("db.yaml", &nightly("db"))]);
    world.save("new.yaml", "jobs: { mail: { cron: \"0 * * * *\" } }");
    world.save("db.yaml", &nightly("db").replace("echo db", "echo database"));
    world.run_until("12:30:00");
    assert_eq!(world.complaints().len(), 1, "{:?}", world.complaints());
    assert!(world.complaints()[0].ends_with(" jobs.d/new.yaml"));
    assert_eq!(world.names(), ["db", "files"]);
    assert_eq!((world.fired("db").len(), world.fired("files").len()), (3, 3));
}

/// A monitoring agent: one file of the folder could not be opened, and on reload none of the others was
/// loaded.
#[test]
fn nrpe_184_one_unreadable_file_keeps_no_other_from_being_loaded() {
    let one = |name: &str, word: &str| {
        manifest(&[job(name, &format!("cron: \"* * * * *\"\n    env: {{ W: {word} }}"))])
    };
    let mut world =
        world(&[("disk.yaml", &one("disk", "a")), ("uptime.yaml", &one("uptime", "a"))]);
    let before = world.applied();
    world.files.insert("jobs.d/disk.yaml".to_owned(), None);
    world.save("uptime.yaml", &one("uptime", "b"));
    let after = world.applied();
    let [disk, uptime] = [0, 1].map(|index| before.keys().nth(index).unwrap());
    assert_eq!(after[disk], before[disk]);
    assert_ne!(after[uptime].digest, before[uptime].digest);
    assert_eq!(world.complaints(), ["E0511 jobs.d/disk.yaml"]);
    world.run_until("10:05:30");
    assert_eq!((world.fired("disk").len(), world.fired("uptime").len()), (6, 6));
    // What the environment broke heals with it: no edit, no command, the next look.
    world.write("disk.yaml", &one("disk", "a"));
    world.run_for(31_000);
    assert_eq!((world.complaints().len(), world.held().len()), (0, 0));
}

/// A cron in a container: a configuration with a mistake in it was passed over at the reload, so that nobody
/// learned that the new one was not in force.
#[test]
fn yacron_49_a_configuration_that_is_not_in_force_is_told_with_its_place() {
    let good = manifest(&[job("a", "cron: \"* * * * *\"")]);
    let mut world = world(&[("a.yaml", &good)]);
    world.save("a.yaml", &good.replace("* * * * *", "* * * * 9"));
    assert_eq!(world.complaints().len(), 1);
    assert!(world.complaints()[0].ends_with(" jobs.d/a.yaml"), "{:?}", world.complaints());
    assert_eq!(world.held(), ["a invalid_manifest"]);
    assert_eq!(world.newest_plan().stale.len(), 1);
    world.run_until("10:02:30");
    assert_eq!(world.fired("a").len(), 3);
}

/// A registry client asks for it: one broken file must neither stop everything nor freeze what is right in
/// the other files, removals among it; but what it declared, or might, stays.
#[test]
fn icann_rdap_6_a_broken_file_holds_its_own_jobs_and_freezes_nobody_elses_deletes() {
    let one = |name: &str| manifest(&[job(name, "cron: \"0 * * * *\"")]);
    let mut world = world(&[
        ("a.yaml", &one("a")),
        ("b.yaml", &one("b")),
        ("c.yaml", &one("c")),
        ("d.yaml", &one("d")),
    ]);
    // `a` breaks, `c` was moved from its own file into it, `b` is deleted.
    world.write("a.yaml", &format!("{}{}  ]\n", one("a"), job("c", "cron: \"0 * * * *\"")));
    world.files.remove("jobs.d/c.yaml").unwrap();
    world.delete("b.yaml");
    assert_eq!(world.names(), ["a", "c", "d"]);
    assert_eq!(world.held(), ["a invalid_manifest", "c invalid_manifest"]);
    world.run_until("12:00:30");
    assert_eq!((world.fired("a").len(), world.fired("b").len(), world.fired("c").len()), (3, 1, 3));
}

/// Continuous delivery: applications counted as out of sync while the difference that was shown was empty,
/// since texts were compared that meant the same.
#[test]
fn argo_cd_15898_and_14666_what_means_the_same_is_no_difference() {
    let text = manifest(&[job(
        "a",
        "cron: \"0 3 * * mon\"\n    timeout: 90m\n    env: { A: \"1\", B: \"2\" }",
    )]);
    let mut world = world(&[("a.yaml", &text)]);
    let same = [
        "# reviewed\n\njobs:\n  a: {env: {B: '2', A: '1'}, timeout: 1h30m, cron: 0 3 * * 1, command: [echo, a]}\n",
        "{\"jobs\":{\"a\":{\"command\":\"echo a\",\"timeout\":\"5400s\",\"env\":{\"A\":\"1\",\"B\":\"2\"},\
         \"triggers\":[{\"cron\":\"0 3 * * MON\"}]}}}",
        "version: 1\ndefaults: {env: {A: \"1\", B: \"2\"}, timeout: 5400s}\njobs:\n  a:\n    command: echo  a\n    \
         triggers: [{cron: \"00 03 * * mon\", timezone: UTC}]\n",
    ];
    for text in same {
        world.save("a.yaml", text);
        assert_eq!(world.complaints(), Vec::<String>::new(), "{text}");
        assert!(world.newest_plan().changes.is_empty(), "{:?}", world.newest_plan().changes);
    }
    world.save("moved.toml", "");
    world.files.remove("jobs.d/moved.toml");
    world.files.remove("jobs.d/a.yaml");
    world.save("a.toml", "[jobs.a]\ncommand = 'echo a'\ncron = '0 3 * * mon'\ntimeout = '90m'\nenv = { A = '1', B = '2' }\n");
    assert!(world.newest_plan().changes.is_empty());
    assert_eq!((world.plans_saved(), world.names()), (1, vec!["a".to_owned()]));
}

/// Continuous delivery: the repository's host was down for a while, what could not be fetched counted as
/// not wanted any more, and all applications were deleted.
#[test]
fn argo_cd_3473_an_outage_of_the_source_removes_nothing() {
    let jobs: Vec<String> =
        (0..8).map(|n| job(&format!("job-{n}"), "cron: \"0 * * * *\"")).collect();
    let team = manifest(&[job("team", "cron: \"0 * * * *\"")]);
    let mut world = world(&[("a.yaml", &manifest(&jobs))]);
    world.files.insert("team.d/team.yaml".to_owned(), Some(team.into_bytes()));
    world.look();
    let before = world.applied();
    assert_eq!(before.len(), 9);
    for outage in ["unreadable", "empty"] {
        let files = world.files.clone();
        if outage == "empty" {
            world.files.retain(|path, _| path.starts_with("team.d/"));
        } else {
            world.unreadable.insert("jobs.d");
        }
        world.run_minutes(61);
        assert_eq!(world.applied(), before, "{outage}");
        assert_eq!(world.newest_plan().held.len(), 8, "{outage}");
        world.kill();
        world.start();
        world.run_minutes(1);
        assert_eq!(world.applied(), before, "{outage}");
        // It comes back by itself; what was there first is not taken for all there is.
        world.unreadable.clear();
        world.files = files.clone();
        world.files.insert("jobs.d/a.yaml".to_owned(), Some(manifest(&jobs[..4]).into_bytes()));
        world.look();
        assert_eq!(world.applied(), before, "{outage}");
        world.files = files;
        world.look();
        world.run_minutes(1);
        assert_eq!((world.applied(), world.held().len()), (before.clone(), 0), "{outage}");
    }
    assert!(!world.records.iter().any(|record| matches!(record, Record::Stopped { .. })));
}

/// Continuous delivery: things were pruned that still stood in the repository, because one look had missed
/// them. Here a removal needs two looks a second apart that both could have shown the job.
#[test]
fn argo_cd_15058_and_14090_what_one_look_misses_is_not_pruned() {
    let one = |name: &str| manifest(&[job(name, "cron: \"0 * * * *\"")]);
    let files = [("a.yaml", one("a")), ("b.yaml", one("b")), ("c.yaml", one("c"))];
    let files: Vec<(&str, &str)> =
        files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let mut world = world(&files);
    let all = world.files.clone();
    let before = world.applied();
    for _ in 0..20 {
        // Files come and go while a tool copies them: many looks, none of them a second after the first.
        world.files.remove("jobs.d/b.yaml");
        world.hint(0);
        world.run_for(300);
        world.hint(0);
        world.run_for(300);
        world.hint(0);
        world.run_for(300);
        assert_eq!(world.held(), ["b unconfirmed"]);
        world.files.clone_from(&all);
        world.hint(0);
        world.run_for(5_000);
    }
    assert_eq!((world.applied(), world.plans_saved()), (before, 1));
    // Gone for good, it goes after a second; and what comes back is the same job, with its history.
    let uid = world.applied().into_values().find(|job| job.spec.name.as_str() == "b").unwrap().uid;
    world.delete("b.yaml");
    assert_eq!(world.names(), ["a", "c"]);
    world.files.clone_from(&all);
    world.look();
    let again =
        world.applied().into_values().find(|job| job.spec.name.as_str() == "b").unwrap().uid;
    assert_eq!(again, uid);
}

/// The same, when it was no glitch: much that is gone at once, or is protected, waits for a person, and
/// the rest of the plan is applied. People switched pruning off altogether for want of this.
#[test]
fn argo_cd_15058_and_14090_much_at_once_waits_for_a_person() {
    let jobs = |numbers: std::ops::Range<u32>, rest: &str| -> Vec<String> {
        let one = |number| job(&format!("job-{number}"), &format!("cron: \"0 * * * *\"{rest}"));
        numbers.map(one).collect()
    };
    let safe = manifest(&[job("safe", "cron: \"0 * * * *\"\n    protect: true")]);
    let mut world = world(&[("a.yaml", &manifest(&jobs(0..10, ""))), ("safe.yaml", &safe)]);
    // Six of eleven vanish, four are edited, one is new, and the protected one goes too.
    world.write("a.yaml", &manifest(&jobs(6..11, "\n    env: { LEVEL: debug }")));
    world.delete("safe.yaml");
    assert_eq!(world.applied().len(), 12);
    let held = world.held();
    assert_eq!(held.len(), 7, "{held:?}");
    assert_eq!(held[0], "job-0 mass_removal");
    assert_eq!(held[6], "safe protected");
    assert_eq!(world.plans_saved(), 2);
    world.kill();
    world.start();
    world.run_until("11:00:01");
    assert_eq!((world.fired("job-0").len(), world.fired("safe").len()), (2, 2));
    assert_eq!((world.fired("job-10").len(), world.plans_saved()), (1, 2));
    // Few at a time are no accident.
    world.write("a.yaml", &manifest(&jobs(2..11, "\n    env: { LEVEL: debug }")));
    world.save("safe.yaml", &safe);
    assert_eq!((world.applied().len(), world.held().len()), (10, 0));
}

/// An orchestrator: a trigger that was given another id lost its state, and began anew. Here the new name
/// says the old one.
#[test]
fn kestra_a_renamed_job_keeps_its_state() {
    let named = |name: &str, rest: &str| manifest(&[job(name, &format!("interval: 45m{rest}"))]);
    let mut world = world(&[("a.yaml", &named("sync", ""))]);
    world.run_until("10:30:00");
    world.save("a.yaml", &named("warehouse-sync", "\n    previous_names: [sync]"));
    world.run_until("11:31:00");
    assert_eq!(world.fired("sync"), Vec::<String>::new());
    assert_eq!(world.fired("warehouse-sync"), ["10:44:59.510", "11:29:59.510"]);
    assert_eq!(world.newest_plan().changes.len(), 0);
}

/// A flow editor's cron: schedules that were stopped by hand ran again after a deploy or a restart.
#[test]
fn node_red_cron_plus_49_what_was_stopped_by_hand_stays_stopped() {
    let text = |word: &str| {
        manifest(&[job("a", &format!("cron: \"* * * * *\"\n    env: {{ W: {word} }}"))])
    };
    let mut world = world(&[("a.yaml", &text("old"))]);
    world.ask(pause("a"));
    world.save("a.yaml", &text("new"));
    world.kill();
    world.start();
    world.run_until("10:30:00");
    assert_eq!(world.fired("a"), ["10:00:00"]);
}

/// Continuous delivery: what an operator changed in an emergency was put back by the next synchronisation,
/// unless all of that was switched off (#15588, #4414, #8207). A pause is a layer of its own: the sources
/// are applied, and do not touch it.
#[test]
fn argo_cd_15588_a_reload_does_not_undo_what_an_operator_said() {
    let text = |minutes: u32| manifest(&[job("a", &format!("interval: {minutes}m"))]);
    let mut world = world(&[("a.yaml", &text(5))]);
    world.ask(pause("a"));
    for minutes in 6..20 {
        world.save("a.yaml", &text(minutes));
        world.run_minutes(3);
    }
    assert_eq!(world.fired("a"), Vec::<String>::new());
    assert_eq!(world.held().len(), 0);
    let said = world.ledger.load().overrides.into_iter().next().unwrap().said().unwrap().1;
    let pause = said.pause.unwrap();
    assert_eq!((pause.by.as_str(), pause.reason.as_deref()), ("li.wei", Some("disk is full")));
}

/// A cluster's tool: things were suspended, nobody knew by whom and until when, and they stayed so. A pause
/// says who and why, and may say until when: then it ends by itself.
#[test]
fn flux2_4231_a_pause_tells_who_and_why_and_ends_by_itself() {
    let mut world = world(&[("a.yaml", &manifest(&[job("a", "cron: \"*/10 * * * *\"")]))]);
    let until = Some("2026-11-23T10:35:00Z".parse().unwrap());
    let reason = Some("disk is full".to_owned());
    world.ask(Act::Override {
        jobs: named_job("a"),
        change: OverrideChange::Pause { reason, until },
    });
    world.kill();
    world.start();
    world.run_until("10:45:00");
    assert_eq!(world.fired("a"), ["10:00:00", "10:40:00"]);
    let rows = world.rows("a");
    let paused = rows.iter().filter(|row| row.ends_with(" skipped(paused)"));
    assert!(paused.count() > 0 && rows.len() >= 3, "{rows:?}");
}

/// Continuous delivery: a revision that could not be applied was not tried again until somebody made
/// another commit, although the reason had passed.
#[test]
fn argo_cd_auto_sync_what_failed_for_a_passing_reason_is_tried_again() {
    let one = |word: &str| {
        manifest(&[job("a", &format!("cron: \"0 * * * *\"\n    env: {{ W: {word} }}"))])
    };
    let mut world = world(&[("a.yaml", &one("old"))]);
    let before = world.applied();
    // The new revision arrives while the folder cannot be read.
    world.unreadable.insert("jobs.d");
    world.save("a.yaml", &one("new"));
    assert_eq!(world.applied(), before);
    world.unreadable.clear();
    world.run_for(31_000);
    assert_ne!(world.applied(), before);
    assert_eq!((world.plans_saved(), world.held().len()), (2, 0));
}

// Found by this suite in our own program, or by reading it for the suite.

/// A plan that had to be made again counted its one snapshot twice, and a look at a source that could not
/// be read counted as one that had not shown the job.
#[test]
fn a_snapshot_that_cannot_show_a_job_confirms_no_removal() {
    let one = |name: &str| manifest(&[job(name, "cron: \"0 * * * *\"")]);
    let mut world = world(&[("a.yaml", &one("a")), ("b.yaml", &one("b"))]);
    for blind in ["broken", "closed"] {
        if blind == "broken" {
            world.save("b.yaml", "jobs: [ b");
        } else {
            world.unreadable.insert("jobs.d");
            world.look();
        }
        world.run_minutes(1);
        // The first look that can see finds the job gone; the file is back before the second.
        world.unreadable.clear();
        world.write("b.yaml", "jobs: {}");
        world.look();
        assert_eq!(world.held(), ["b unconfirmed"], "{blind}");
        world.save("b.yaml", &one("b"));
        assert_eq!((world.names(), world.plans_saved()), (vec!["a".to_owned(), "b".to_owned()], 1));
    }
}

/// A file was renamed, and the new one was torn by a crash, NULs all through: the jobs stood in no text any
/// more, and were removed.
#[test]
fn a_file_that_was_renamed_and_torn_loses_no_job() {
    let text = manifest(&[job("a", "cron: \"0 * * * *\""), job("b", "cron: \"0 * * * *\"")]);
    let other = manifest(&[job("other", "cron: \"0 * * * *\"")]);
    for torn in [Some(Vec::new()), Some(vec![0; text.len()]), None] {
        let mut world = world(&[("old.yaml", &text), ("other.yaml", &other)]);
        let before = world.applied();
        world.files.remove("jobs.d/old.yaml");
        world.files.insert("jobs.d/new.yaml".to_owned(), torn);
        world.look();
        world.run_minutes(2);
        world.kill();
        world.start();
        world.run_minutes(2);
        assert_eq!(world.applied(), before);
    }
}

/// A job was moved to another source and still counted as the first one's; when the new one could not be
/// read it was removed.
#[test]
fn a_job_that_was_moved_to_another_source_outlives_an_outage_of_that() {
    let one = |name: &str| manifest(&[job(name, "cron: \"0 * * * *\"")]);
    let mut world = world(&[("a.yaml", &one("a")), ("b.yaml", &one("b"))]);
    let moved = world.files.remove("jobs.d/b.yaml").unwrap();
    world.files.insert("team.d/b.yaml".to_owned(), moved);
    world.look();
    world.unreadable.insert("team.d");
    world.run_minutes(3);
    assert_eq!(world.names(), ["a", "b"]);
    assert_eq!(world.held(), ["b unreadable_source"]);
}

/// An interval that was put in front of another one took over its phase, as if that had been edited.
#[test]
fn an_interval_in_front_of_one_that_stays_begins_with_the_edit() {
    let both = |triggers: &str| manifest(&[job("a", &format!("triggers: [{triggers}]"))]);
    let mut world = world(&[("a.yaml", &both("{ interval: 30m }"))]);
    world.run_until("10:37:00");
    world.save("a.yaml", &both("{ interval: 20m }, { interval: 30m }"));
    world.run_until("11:03:00");
    assert_eq!(world.fired("a"), ["10:29:59.510", "10:57:00", "10:59:59.510"]);
}

/// A job took over the name of one that had been removed, and the removed one's identity was forgotten in
/// memory, or not, as a restart came between.
#[test]
fn the_newest_job_that_left_a_name_comes_back_under_it() {
    let named = |name: &str, rest: &str| manifest(&[job(name, &format!("interval: 45m{rest}"))]);
    for restarts in [false, true] {
        let mut world = world(&[("a.yaml", &named("a", "")), ("b.yaml", &named("b", ""))]);
        let uid_of = |world: &super::world::World, name: &str| {
            let job = world.applied().into_values().find(|job| job.spec.name.as_str() == name);
            job.unwrap().uid
        };
        let (a, b) = (uid_of(&world, "a"), uid_of(&world, "b"));
        // `a` is removed; `b` becomes `a`, and then `c`: the name is free again.
        world.save("keep.yaml", &named("keep", ""));
        world.delete("a.yaml");
        world.save("b.yaml", &named("a", "\n    previous_names: [b]"));
        world.save("b.yaml", &named("c", "\n    previous_names: [a]"));
        assert_eq!(uid_of(&world, "c"), b);
        if restarts {
            world.kill();
            world.start();
            world.run_for(1_500);
        }
        world.save("a.yaml", &named("a", ""));
        assert_eq!(uid_of(&world, "a"), a, "restarts: {restarts}");
    }
}

/// Two removed jobs had one name. The newer came back and left the name by a rename: the older one was forgotten
/// in memory, and came back after a restart.
#[test]
fn the_older_of_two_removed_jobs_comes_back_once_the_newer_has_left_the_name() {
    let named = |name: &str, rest: &str| manifest(&[job(name, &format!("interval: 45m{rest}"))]);
    for restarts in [false, true] {
        let mut world = world(&[("a.yaml", &named("a", "")), ("b.yaml", &named("b", ""))]);
        let uid_of = |world: &super::world::World, name: &str| {
            let job = world.applied().into_values().find(|job| job.spec.name.as_str() == name);
            job.map(|job| job.uid)
        };
        let (older, newer) = (uid_of(&world, "a"), uid_of(&world, "b"));
        world.save("keep.yaml", &named("keep", ""));
        world.delete("a.yaml");
        world.run_for(1_500);
        world.save("b.yaml", &named("a", "\n    previous_names: [b]"));
        assert_eq!(uid_of(&world, "a"), newer);
        world.delete("b.yaml");
        world.run_for(1_500);
        assert_eq!(uid_of(&world, "a"), None, "both are removed");
        world.save("b.yaml", &named("a", ""));
        assert_eq!(uid_of(&world, "a"), newer);
        world.save("b.yaml", &named("c", "\n    previous_names: [a]"));
        assert_eq!(uid_of(&world, "c"), newer);
        if restarts {
            world.kill();
            world.start();
            world.run_for(1_500);
        }
        world.save("a.yaml", &named("a", ""));
        assert_eq!(uid_of(&world, "a"), older, "restarts: {restarts}");
    }
}

/// A job was moved into a TOML file that cannot be read: `[jobs.name]` did not count as its name, and it was
/// removed.
#[test]
fn a_name_in_a_broken_toml_file_holds_its_job() {
    let other = manifest(&[job("other", "cron: \"0 * * * *\"")]);
    for table in ["[jobs.a]", "[jobs.a.env]", "jobs.a.command = 'x'", "[jobs.\"a\"]"] {
        let mut world =
            world(&[("a.yaml", &manifest(&[job("a", "interval: 1h")])), ("b.yaml", &other)]);
        world.files.remove("jobs.d/a.yaml");
        world.save("c.toml", &format!("{table}\n= [[\n"));
        world.run_minutes(2);
        assert_eq!(world.held(), ["a invalid_manifest"], "{table}");
    }
}
