//! What is shipped to be run (`jobs.d`) and to be copied (`examples`): no error, no warning, and the
//! shipped jobs do what the README promises of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cronwright::daemon::settings::{Environment, Flags, Places, Settings, load as load_settings};
use cronwright::diagnostic::render::{Colour, render_all};
use cronwright::spec::manifest::{Known, Loaded, load};
use cronwright::spec::task::Task;
use cronwright::spec::task::classes::Classes;
use cronwright::time::Timestamp;

use super::cases::files_below;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Loads files below a folder of the repository; anything to complain about fails the test.
fn clean(root: &str, paths: &[&str], known: &Known) -> Loaded {
    let root = repository().join(root);
    let files: Vec<_> =
        paths.iter().flat_map(|path| files_below(&root, &root.join(path))).collect();
    assert!(!files.is_empty());
    let loaded = load(&files, known);
    assert_eq!(render_all(&loaded.diagnostics, Colour::Plain), "");
    loaded
}

fn settings(path: &str) -> Settings {
    let file = repository().join(path);
    let environment = Environment {
        cwd: file.parent().unwrap().to_path_buf(),
        host_name: "host-1".to_owned(),
        ..Environment::default()
    };
    let flags = Flags { config: Some(file.clone()), ..Flags::default() };
    let places = Places::find(&flags, &environment);
    let text = fs::read(file).unwrap();
    let (settings, diagnostics) = load_settings(&places, Some(&text), &flags, &environment);
    assert_eq!(render_all(&diagnostics, Colour::Plain), "", "{path}");
    settings.unwrap()
}

#[test]
fn the_full_job_files_are_valid_and_say_the_same_in_yaml_and_toml() {
    let yaml = clean("examples", &["jobs.yaml"], &Known::default());
    let toml = clean("examples", &["jobs.toml"], &Known::default());
    let names: Vec<_> = yaml.jobs.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["backup", "clean", "pg-dump", "poll", "warehouse-etl", "warm-cache"]);
    for (name, job) in &yaml.jobs {
        assert_eq!(job.spec.canonical(), toml.jobs[name].spec.canonical());
    }
}

#[test]
fn the_example_of_kinits_tasks_is_valid() {
    let settings = settings("examples/kinit/cronwright.toml");
    let python = settings.python.unwrap().classes();
    let classes = Classes { python, ..Classes::default() };
    let loaded = clean("examples/kinit", &["jobs.d"], &Known { classes, ..settings.known });
    assert_eq!(loaded.jobs.len(), 2);
}

#[test]
fn the_settings_examples_and_the_gitops_folder_are_valid() {
    let servers = settings("examples/settings/mongodb-redis.toml");
    assert_eq!(servers.redis.unwrap().prefix, "cronwright");
    settings("examples/settings/sqlite.toml");
    let kinit = settings("examples/settings/kinit.toml").kinit.unwrap();
    assert_eq!((kinit.database.as_str(), kinit.channel.as_str()), ("kinit", "kinit_queue"));
    let gitops = settings("examples/gitops/cronwright.toml");
    let loaded = clean("examples/gitops", &["jobs.d"], &gitops.known);
    let load =
        &loaded.jobs.iter().find(|(name, _)| name.as_str() == "warehouse-load").unwrap().1.spec;
    snapbox::assert_data_eq!(
        load.canonical(),
        snapbox::IntoData::raw(snapbox::str![[
            r#"{"command":["bin/load","--day","yesterday"],"description":"Load the orders of the day before","enabled":true,"env":{"LANG":"C.UTF-8","PGHOST":"db.internal"},"kill_grace":"10s","max_instances":1,"misfire":{"coalesce":true,"grace_time":"6h","max_catch_up":10},"output":{"max_size":"128KiB"},"overlap":"skip","timeout":"45m","triggers":[{"cron":"30 3 * * *","timezone":"Europe/Berlin"}],"working_dir":"/opt/warehouse"}"#
        ]])
    );
}

/// The latest moment, seconds after any other, at which some sample has fired.
const FIRST_FIRE_SECONDS_MAX: i64 = 10;

#[test]
fn the_shipped_jobs_are_valid_never_expire_and_one_fires_within_ten_seconds() {
    let loaded = clean("", &["jobs.d"], &Known::default());
    let years_ahead = Timestamp::from_timestamp(4_000_000_000, 0).unwrap();
    let mut soonest = i64::MAX;
    for job in loaded.jobs.values() {
        for trigger in &job.spec.triggers {
            let next = trigger.next_after(years_ahead, trigger.first_anchor(years_ahead)).unwrap();
            soonest = soonest.min((next - years_ahead).num_seconds());
        }
    }
    assert!(soonest <= FIRST_FIRE_SECONDS_MAX);
    assert!(loaded.jobs.values().any(|job| job.spec.triggers.is_empty()));
}

fn tree(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tree(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_path_buf());
        }
    }
}

fn argv(task: &Task) -> Vec<String> {
    match task {
        Task::Command(argv) => argv.clone(),
        Task::Script { text, shell } => shell.iter().chain([text]).cloned().collect(),
        Task::Class { .. } | Task::Http(_) => panic!("the shipped jobs need nothing but a shell"),
    }
}

/// Starts each shipped job once, as the supervisor would: about a second of bash and Python.
#[test]
fn the_shipped_jobs_succeed_and_write_only_under_the_state_directory() {
    let loaded = clean("", &["jobs.d"], &Known::default());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("jobs.d")).unwrap();
    for entry in fs::read_dir(repository().join("jobs.d")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join("jobs.d").join(path.file_name().unwrap())).unwrap();
    }
    let mut before = BTreeSet::new();
    tree(folder.path(), folder.path(), &mut before);
    for (name, job) in &loaded.jobs {
        let argv = argv(&job.spec.task);
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs(&job.spec.env)
            // A machine whose disk is full is not what this tests.
            .env("LIMIT_PERCENT", "100")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
    let mut after = BTreeSet::new();
    tree(folder.path(), folder.path(), &mut after);
    let strays: Vec<_> =
        after.difference(&before).filter(|path| !path.starts_with(".cronwright")).collect();
    assert_eq!(strays, Vec::<&PathBuf>::new());
}
