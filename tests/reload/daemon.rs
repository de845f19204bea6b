//! What virtual time cannot show: files, links, processes and kills, with the real program.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;

use cronwright::daemon::failpoint::FAILPOINTS;
use cronwright::io::store::document::JobDocument;
use rustix::process::Signal;

use crate::daemon::harness::{Backend, World};
use crate::daemon::reload::never;

/// How many files a checkout rewrites.
const STORM_FILES: usize = 500;
/// What a warning's line holds, and the complaint about a file.
const WARN: &str = "\"level\":\"WARN\"";
const OF_FILE: &str = "\"file\":\"jobs.d/a.yaml\"";

/// The applied jobs, by name.
fn applied(world: &World) -> Vec<JobDocument> {
    let mut jobs = world.contents().jobs;
    jobs.retain(|job| job.removed_at.is_none());
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    jobs
}

/// How often the log says something since the last start.
fn told(world: &World, words: &[&str]) -> usize {
    let log = fs::read_to_string(world.path("log")).unwrap();
    let of_last = log.rsplit("--- start").next().unwrap().to_owned();
    of_last.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// A configuration mounted into a container is replaced by the switch of one link, `..data`; watchers that
/// wait for a write to the file never see it (a router, a reloader for configuration maps, a rate limiter
/// and a media server all missed updates so).
#[test]
fn configmap_reload_190_router_1695_limitador_95_mediamtx_181_a_switched_link_is_seen() {
    let mut world = World::new();
    let write = |world: &World, version: &str, jobs: &str| {
        fs::create_dir(world.path(&format!("jobs.d/{version}"))).unwrap();
        let text = format!("{}{jobs}", world.head());
        world.write(&format!("jobs.d/{version}/a.yaml"), &text);
    };
    write(&world, "..2026_1", &never("one", "echo 1"));
    symlink("..2026_1", world.path("jobs.d/..data")).unwrap();
    symlink("..data/a.yaml", world.path("jobs.d/a.yaml")).unwrap();
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    let first = applied(&world);
    for version in 2..5 {
        let (name, before) = (format!("..2026_{version}"), format!("..2026_{}", version - 1));
        let script = format!("echo {version}");
        write(&world, &name, &never("one", &script));
        symlink(&name, world.path("jobs.d/..data_tmp")).unwrap();
        fs::rename(world.path("jobs.d/..data_tmp"), world.path("jobs.d/..data")).unwrap();
        fs::remove_dir_all(world.path(&format!("jobs.d/{before}"))).unwrap();
        world.until_script("one", &script);
        // By the sign that the switch gave, not by the look that comes anyway.
        assert_eq!(world.newest_origin(), "watch");
    }
    let last = applied(&world);
    assert_eq!((last.len(), &last[0].uid), (1, &first[0].uid));
}

/// Publishing by the flip of one link to a whole work tree, as sidecars do it.
#[test]
fn a_flipped_link_to_another_work_tree_is_one_apply() {
    let mut world = World::new();
    fs::remove_dir(world.path("jobs.d")).unwrap();
    for revision in ["old", "new"] {
        fs::create_dir_all(world.path(&format!("trees/{revision}"))).unwrap();
        for name in ["one", "two", "three"] {
            let text = format!("{}{}", world.head(), never(name, &format!("echo {revision}")));
            world.write(&format!("trees/{revision}/{name}.yaml"), &text);
        }
    }
    symlink("trees/old", world.path("jobs.d")).unwrap();
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    let generation = world.contents().generation;
    symlink("trees/new", world.path("flip")).unwrap();
    fs::rename(world.path("flip"), world.path("jobs.d")).unwrap();
    world.until_script("two", "echo new");
    let contents = world.contents();
    assert_eq!((contents.generation, contents.jobs.len()), (generation + 1, 3));
    assert_eq!(world.newest_origin(), "watch");
}

/// Kills the daemon at every step of an apply, at its start and in its midst: the store has the old jobs or
/// the new ones, never some of both; the next daemon has the new ones.
fn killed_in_an_apply(backend: Backend) {
    let Some(mut world) = World::on(backend) else { return };
    let names: Vec<String> = (0..6).map(|number| format!("job-{number}")).collect();
    let save = |world: &World, revision: usize| {
        let jobs = names.iter().map(|name| never(name, &format!("echo {revision}")));
        world.save_jobs("all.yaml", &jobs.collect::<String>());
    };
    let revisions = |world: &World| -> BTreeSet<String> {
        let scripts = applied(world).into_iter().map(|job| job.spec["script"].to_string());
        scripts.collect()
    };
    let mut revision = 0;
    save(&world, revision);
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    world.stop();
    let of_apply = FAILPOINTS.iter().filter(|name| name.contains("plan") || **name == "recovered");
    for name in of_apply {
        for is_live in [false, true] {
            if is_live && *name == "recovered" {
                continue;
            }
            let old = revision;
            revision += 1;
            if is_live {
                world.start_armed(&format!("{name}=1"));
                world.until("health", |world| world.ask(&["status"])["health"] == "healthy");
                save(&world, revision);
            } else {
                save(&world, revision);
                world.start_armed(&format!("{name}=1"));
            }
            let status = world.ended();
            assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{name}: {status:?}");
            let found = revisions(&world);
            let either = [old, revision].map(|it| BTreeSet::from([format!("\"echo {it}\\n\"")]));
            assert!(either.contains(&found), "{name}: {found:?}, not one of {either:?}");
            assert_eq!(applied(&world).len(), names.len(), "{name}");
            world.start();
            world.until_script("job-5", &format!("echo {revision}"));
            assert_eq!(revisions(&world), either[1], "{name}");
            world.stop();
        }
    }
}

#[test]
fn on_sqlite_a_kill_at_any_step_of_an_apply_leaves_old_or_new() {
    killed_in_an_apply(Backend::Sqlite);
}

#[test]
fn on_mongodb_a_kill_at_any_step_of_an_apply_leaves_old_or_new() {
    killed_in_an_apply(Backend::Mongo);
}

/// A checkout holds git's lock while it rewrites the tree: whatever is seen of it meanwhile, it is one plan.
#[test]
fn a_checkout_that_rewrites_five_hundred_files_is_one_apply() {
    let mut world = World::new();
    let write = |world: &World, word: &str| {
        for number in 0..STORM_FILES {
            let text =
                format!("jobs: {{ job-{number}: {{ command: [echo, {word}], triggers: [] }} }}\n");
            world.write(&format!("jobs.d/{number}.yaml"), &text);
        }
    };
    write(&world, "old");
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    assert_eq!(applied(&world).len(), STORM_FILES);
    let before = world.contents().generation;
    fs::create_dir(world.path(".git")).unwrap();
    world.write(".git/index.lock", "");
    write(&world, "new");
    fs::remove_file(world.path(".git/index.lock")).unwrap();
    world.until("effect of the checkout", |world| world.contents().generation > before);
    let commands: BTreeSet<String> =
        applied(&world).into_iter().map(|job| job.spec["command"].to_string()).collect();
    assert_eq!(commands, BTreeSet::from(["[\"echo\",\"new\"]".to_owned()]));
    world.ask(&["apply"]);
    assert_eq!(world.contents().generation, before + 1);
}

/// Whatever happens to the folder: no job is lost, each distinct fault is told once and not at every look,
/// and all is well by itself when it is mended.
#[test]
fn every_fault_of_the_folder_loses_nothing_is_told_once_and_heals_by_itself() {
    let jobs = format!("{}{}", never("one", "echo 1"), never("two", "echo 1"));
    let mut world = World::with_jobs(&[("a.yaml", &jobs), ("b.yaml", &never("three", "echo 1"))]);
    let before = applied(&world);
    let good = fs::read_to_string(world.path("jobs.d/a.yaml")).unwrap();
    assert_eq!(before.len(), 3);

    let after_looks = |world: &mut World, fault: &str, state: &str| {
        world.until(fault, |world| world.sync_state() == state);
        for _ in 0..3 {
            assert_eq!(world.ask(&["apply"])["state"], state, "{fault}");
        }
        assert_eq!(applied(world), before, "{fault}");
    };
    let healed = |world: &mut World, fault: &str| {
        world.until(fault, |world| world.sync_state() == "Synced");
        assert_eq!(applied(world), before, "{fault}");
    };

    for (number, text) in ["jobs: [", "", "\0\0\0\0"].into_iter().enumerate() {
        world.save("jobs.d/a.yaml", text);
        after_looks(&mut world, "broken file", "Degraded");
        assert_eq!(told(&world, &[WARN, OF_FILE]), number + 1, "{}", world.log_tail());
        world.save("jobs.d/a.yaml", &good);
        healed(&mut world, "mended file");
    }

    fs::rename(world.path("jobs.d"), world.path("away")).unwrap();
    after_looks(&mut world, "removed folder", "Stalled");
    let of_source = told(&world, &[WARN, "\"code\""]) - told(&world, &[WARN, OF_FILE]);
    assert_eq!(of_source, 1, "{}", world.log_tail());
    fs::rename(world.path("away"), world.path("jobs.d")).unwrap();
    healed(&mut world, "folder that came back");

    for file in ["a.yaml", "b.yaml"] {
        fs::rename(world.path(&format!("jobs.d/{file}")), world.path(file)).unwrap();
    }
    world.until("emptied folder", |world| world.sync_state() != "Synced");
    for _ in 0..3 {
        world.ask(&["apply"]);
    }
    assert_eq!(applied(&world), before);
    for file in ["a.yaml", "b.yaml"] {
        fs::rename(world.path(file), world.path(&format!("jobs.d/{file}"))).unwrap();
    }
    healed(&mut world, "filled folder");
}

/// `chmod 000`, of one file and of the folder. Root reads both all the same.
#[test]
fn permissions_that_are_taken_away_lose_nothing_and_heal_by_themselves() {
    if rustix::process::geteuid().is_root() {
        println!("left out: root may read everything");
        return;
    }
    let mut world = World::with_jobs(&[("a.yaml", &never("one", "echo 1"))]);
    let before = applied(&world);
    for (path, mode, state) in [("jobs.d/a.yaml", 0o644, "Degraded"), ("jobs.d", 0o755, "Stalled")]
    {
        let set = |mode| fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode));
        set(0).unwrap();
        world.ask(&["apply"]);
        world.ask(&["apply"]);
        assert_eq!(
            (world.sync_state().as_str(), applied(&world)),
            (state, before.clone()),
            "{path}"
        );
        set(mode).unwrap();
        world.until("health", |world| world.sync_state() == "Synced");
        assert_eq!(applied(&world), before, "{path}");
    }
}

/// Continuous delivery polls, every three minutes: here the file system says that something was saved.
/// Which revision is in force, and which was looked at, are two answers.
#[test]
fn a_save_is_noticed_by_itself_and_status_tells_both_revisions() {
    let mut world = World::with_jobs(&[("a.yaml", &never("one", "echo 1"))]);
    world.save_jobs("a.yaml", &never("one", "echo 2"));
    world.until_script("one", "echo 2");
    assert_eq!(world.newest_origin(), "watch");
    world.until("health", |world| world.sync_state() == "Synced");
    let healthy = world.ask(&["status"])["sync"].clone();
    assert!(healthy["applied"].is_string(), "{healthy}");
    assert_eq!(
        (&healthy["applied"], &healthy["applied_in_part"]),
        (&healthy["attempted"], &false.into())
    );
    world.write("jobs.d/a.yaml", "jobs: [");
    world.until("complaint", |world| world.sync_state() == "Degraded");
    let broken = world.ask(&["status"])["sync"].clone();
    assert_ne!(broken["attempted"], healthy["attempted"]);
    assert_eq!(broken["applied_in_part"], true);
}
