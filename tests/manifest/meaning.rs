//! What valid manifests mean: layers of defaults, YAML's own features, and the same in every format.

use cronwright::spec::job::{JobName, JobSpec};
use cronwright::spec::manifest::lower::layer::Layer;
use cronwright::spec::manifest::raw::Given;
use cronwright::spec::manifest::{Content, Known, Loaded, Loader, ManifestFile, load};
use cronwright::spec::task::Task;
use cronwright::time::Zone;
use std::time::Duration;

fn file(path: &str, text: &str) -> ManifestFile {
    let content = Content::Bytes(text.as_bytes().into());
    ManifestFile { path: path.into(), source: "jobs.d".into(), content }
}

fn clean(files: &[ManifestFile], known: &Known) -> Loaded {
    let loaded = load(files, known);
    assert_eq!(loaded.diagnostics, []);
    loaded
}

fn spec<'l>(loaded: &'l Loaded, name: &str) -> &'l JobSpec {
    &loaded.jobs[&JobName::parse(name).unwrap()].spec
}

fn one(text: &str) -> Loaded {
    clean(&[file("a.yaml", text)], &Known::default())
}

fn env(spec: &JobSpec) -> String {
    let pairs: Vec<_> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

#[test]
fn defaults_are_laid_over_each_other_from_settings_to_job() {
    let settings = Layer {
        timeout: Given::Value(Duration::from_hours(1)),
        kill_grace: Given::Value(Duration::from_mins(1)),
        timezone: Given::Value(Zone::load("Asia/Tokyo").unwrap()),
        ..Layer::default()
    };
    let files = [
        file(
            "jobs.d/_defaults.yaml",
            "defaults: { timeout: 2m, env: { A: folder, B: folder, C: folder }, timezone: Europe/Berlin }",
        ),
        file("jobs.d/sub/_defaults.toml", "[defaults]\nenv = { B = \"sub\" }\nmax_instances = 3\n"),
        file(
            "jobs.d/sub/deep/a.yaml",
            "defaults: { env: { C: file } }\njobs:\n  deep: { cron: '@daily', command: a, env: { D: job }, timeout: 3m }\n  reset: { cron: '@daily', command: a, env: null, timeout: null, timezone: null, kill_grace: null }\n  less: { command: a, env: { A: null } }\n",
        ),
        file("jobs.d/top.yaml", "jobs: { top: { cron: '@daily', command: a } }"),
        file("other/b.yaml", "jobs: { other: { cron: '@daily', command: a } }"),
    ];
    let loaded = clean(&files, &Known { defaults: settings.into(), ..Known::default() });
    let told = |name: &str| {
        let spec = spec(&loaded, name);
        format!(
            "{name}: env [{}] timeout {:?} grace {:?} max {} {}",
            env(spec),
            spec.timeout,
            spec.kill_grace,
            spec.max_instances,
            spec.triggers_normal().join(", ")
        )
    };
    let all = ["deep", "reset", "less", "top", "other"].map(told).join("\n");
    snapbox::assert_data_eq!(
        all,
        snapbox::str![[r#"
deep: env [A=folder B=sub C=file D=job] timeout Some(180s) grace 60s max 3 cron 0 0 * * * Europe/Berlin
reset: env [] timeout None grace 10s max 3 cron 0 0 * * * UTC
less: env [B=sub C=file] timeout Some(120s) grace 60s max 3 
top: env [A=folder B=folder C=folder] timeout Some(120s) grace 60s max 1 cron 0 0 * * * Europe/Berlin
other: env [] timeout Some(3600s) grace 60s max 1 cron 0 0 * * * Asia/Tokyo
"#]]
    );
}

#[test]
fn yaml_anchors_merge_keys_and_documents_mean_what_they_mean_elsewhere() {
    let loaded = one(r#"
x-base: &base { timeout: 1m, env: &env { A: "1" }, command: [base] }
x-more: &more { timeout: 2m, kill_grace: 5s }
jobs:
  merged: { <<: *base, timeout: 9m }
  several:
    <<: [*base, *more]
    env: { <<: *env, B: "2" }
  aliased: *base
---
jobs:
  second: { command: [x] }
---
"#);
    let told = |name: &str| {
        let spec = spec(&loaded, name);
        format!("{name}: {:?} {:?} {:?} [{}]", spec.task, spec.timeout, spec.kill_grace, env(spec))
    };
    let all = ["merged", "several", "aliased", "second"].map(told).join("\n");
    snapbox::assert_data_eq!(
        all,
        snapbox::str![[r#"
merged: Command(["base"]) Some(540s) 10s [A=1]
several: Command(["base"]) Some(60s) 5s [A=1 B=2]
aliased: Command(["base"]) Some(60s) 10s [A=1]
second: Command(["x"]) None 10s []
"#]]
    );
}

#[test]
fn a_job_knows_the_line_of_its_name() {
    let text = "# c\ndefaults: {}\njobs:\n\n  a:\n    command: x\n  b: { command: x }\n";
    let toml = "# c\n[jobs.c]\ncommand = \"x\"\n\n[jobs]\nd = { command = \"x\" }\n[jobs.f]\nscript = \"x\"\n";
    let loaded = clean(&[file("a.yaml", text), file("a.toml", toml)], &Known::default());
    let places: Vec<_> = loaded
        .jobs
        .iter()
        .map(|(name, job)| format!("{name} {}:{}", job.source.file, job.source.line))
        .collect();
    assert_eq!(places, ["a a.yaml:5", "b a.yaml:7", "c a.toml:2", "d a.toml:6", "f a.toml:7"]);
}

#[test]
fn scripts_have_unix_line_breaks_whatever_the_file_has() {
    let yaml = "jobs:\r\n  a:\r\n    script: |\r\n      one\r\n      two\r\n";
    let toml = "[jobs.b]\r\nscript = '''\r\none\r\ntwo\r\n'''\r\n";
    let loaded = clean(&[file("a.yaml", yaml), file("b.toml", toml)], &Known::default());
    for name in ["a", "b"] {
        let Task::Script { text, .. } = &spec(&loaded, name).task else { panic!("{name}") };
        assert_eq!(text, "one\ntwo\n", "{name}");
    }
}

#[test]
fn a_map_that_declares_no_jobs_is_valid_and_says_so() {
    assert_eq!(one("jobs: {}").jobs.len(), 0);
    let loaded = clean(&[file("a.toml", "[jobs]\n")], &Known::default());
    assert_eq!((loaded.jobs.len(), loaded.files), (0, 1));
}

#[test]
fn an_invalid_manifest_says_which_names_it_mentions() {
    let loaded = load(
        &[file("a.yaml", "jobs:\n  etl: { comand: x }\n# moved here: old-report, not report\n")],
        &Known::default(),
    );
    let invalid = &loaded.invalid[0];
    let mentions = |name: &str| invalid.mentions(&JobName::parse(name).unwrap());
    assert!(mentions("etl") && mentions("old-report") && mentions("report"));
    assert!(!mentions("old") && !mentions("rep") && !mentions("et"));
}

#[test]
fn one_broken_file_leaves_the_others_as_they_are() {
    let files = [
        file("a.yaml", "jobs: { a: { command: x } }"),
        file("b.yaml", "jobs: { b: { command: x }, c: { comand: x } }"),
        file("c.yaml", "jobs: { d: "),
    ];
    let loaded = load(&files, &Known::default());
    let names: Vec<_> = loaded.jobs.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["a"]);
    let invalid: Vec<_> = loaded.invalid.iter().map(|manifest| &*manifest.path).collect();
    assert_eq!(invalid, ["b.yaml", "c.yaml"]);
    assert!(loaded.conflicts.is_empty());
}

#[test]
fn the_order_of_files_and_threads_changes_nothing() {
    let mut files: Vec<_> = (0..200)
        .map(|at| {
            file(
                &format!("jobs.d/{at:03}.yaml"),
                &format!("jobs: {{ job-{at}: {{ comand: x }}, both: {{ command: x }} }}"),
            )
        })
        .collect();
    let told = |loaded: &Loaded| format!("{:?} {:?}", loaded.diagnostics, loaded.conflicts);
    let first = told(&load(&files, &Known::default()));
    files.reverse();
    assert_eq!(told(&load(&files, &Known::default())), first);
}

const USES_DAYS: &str =
    "jobs: { e: { command: x, triggers: [{ cron: '@daily', calendar: days }] } }";

/// The days of the week on which the job `e` fires, and the manifests that are invalid.
fn days_of_e(loaded: &Loaded) -> (Option<String>, Vec<String>) {
    let triggers = loaded.jobs.get(&JobName::parse("e").unwrap()).map(|job| &job.spec.triggers);
    let days = triggers.map(|triggers| triggers[0].filter.calendar.as_ref().unwrap().to_string());
    (days, loaded.invalid.iter().map(|manifest| manifest.path.to_string()).collect())
}

#[test]
fn a_calendar_reaches_its_users_in_other_files_and_a_broken_one_leaves_them_as_they_were() {
    let users = file("e.yaml", USES_DAYS);
    let days = |text: &str| file("d.yaml", text);
    let mut loader = Loader::default();
    let mut load = |files: &[ManifestFile]| days_of_e(&loader.load(files, &Known::default()));
    let sound = |days: &str| (Some(days.to_owned()), Vec::new());
    let held = |files: &[&str]| (None, files.iter().map(|path| (*path).to_owned()).collect());
    let monday = days("calendars: { days: { weekdays: [mon] } }");
    assert_eq!(load(&[monday.clone(), users.clone()]), sound("mon"));
    let tuesday = days("calendars: { days: { weekdays: [tue] } }\njobs: {}");
    assert_eq!(load(&[tuesday, users.clone()]), sound("tue"));
    // Its jobs stay at their last good definition (D7), whatever is wrong with the calendar.
    let wrong = days("calendars: { days: { weekdays: [tuesday] } }\njobs: {}");
    assert_eq!(load(&[wrong, users.clone()]), held(&["d.yaml", "e.yaml"]));
    let unreadable = days("calendars: { days");
    assert_eq!(load(&[unreadable, users.clone()]), held(&["d.yaml", "e.yaml"]));
    assert_eq!(load(std::slice::from_ref(&users)), held(&["e.yaml"]));
    let twice = file("f.yaml", "calendars: { days: { weekdays: [sun] } }\njobs: {}");
    assert_eq!(load(&[monday.clone(), twice, users.clone()]), held(&["e.yaml"]));
    // A manifest that is invalid for another reason changes nothing either.
    let beside = days("calendars: { days: { weekdays: [wed] } }\njobs: { x: {} }");
    assert_eq!(load(&[beside.clone(), users.clone()]), held(&["d.yaml", "e.yaml"]));
    let message = "the calendar `days` cannot be used: `d.yaml` is invalid";
    let loaded = self::load(&[beside, users.clone()], &Known::default());
    assert!(loaded.diagnostics.iter().any(|d| d.message == message && d.path() == "e.yaml"));
    // Nor does one that is invalid because of another's calendar: all that hangs together is held.
    let circle = [
        days(
            "calendars: { days: { weekdays: [mon] } }\njobs: { x: { command: x, triggers: [{ cron: '@daily', calendar: far }] } }",
        ),
        users.clone(),
        file("g.yaml", "calendars: { far: { weekdays: [mon] } }\njobs: { x: {} }"),
    ];
    assert_eq!(load(&circle), held(&["d.yaml", "e.yaml", "g.yaml"]));
    assert_eq!(load(&[monday, users]), sound("mon"));
}

#[test]
fn a_loader_that_remembers_answers_as_one_that_does_not() {
    let mut files = vec![
        file("jobs.d/_defaults.yaml", "defaults: { timeout: 1m }"),
        file("jobs.d/a.yaml", "jobs: { a: { command: x } }"),
        file("jobs.d/b.yaml", "jobs: { b: { comand: x } }"),
        file("jobs.d/c.yaml", "jobs: { c: { command: x } }"),
        file("jobs.d/d.yaml", "calendars: { days: { weekdays: [mon] } }\njobs: {}"),
        file("jobs.d/e.yaml", USES_DAYS),
    ];
    let mut loader = Loader::default();
    let told = |loaded: &Loaded| {
        let invalid: Vec<_> = loaded.invalid.iter().map(|manifest| &manifest.path).collect();
        format!("{:?} {:?} {invalid:?} {:?}", loaded.jobs, loaded.diagnostics, loaded.conflicts)
    };
    let steps: [(usize, &str); 13] = [
        (2, "jobs: { b: { command: x } }"),
        (1, "jobs: { c: { command: x } }"),
        (0, "defaults: { timeout: 2m }"),
        (0, "defaults: { timeout: 2 }"),
        (0, "defaults: { timeout: 3m }"),
        (1, "jobs: { a: { command: y } }"),
        (4, "calendars: { days: { weekdays: [tue] } }\njobs: {}"),
        (4, "calendars: { days: { weekdays: [tuesday] } }\njobs: {}"),
        (4, "calendars: { days"),
        (4, "calendars: { days: { weekdays: [tue] } }\njobs: { x: {} }"),
        (4, "calendars: { dayz: { weekdays: [tue] } }\njobs: {}"),
        (4, "calendars: { days: { weekdays: [wed] } }\njobs: {}"),
        (1, "calendars: { days: { weekdays: [wed] } }\njobs: { a: { command: y } }"),
    ];
    let known = Known::default();
    for (at, text) in steps {
        assert_eq!(told(&loader.load(&files, &known)), told(&load(&files, &known)));
        files[at] = file(&files[at].path.clone(), text);
    }
    let before = loader.load(&files, &known);
    let again = loader.load(&files, &known);
    let name = JobName::parse("c").unwrap();
    assert!(std::sync::Arc::ptr_eq(&before.jobs[&name].spec, &again.jobs[&name].spec));
    files.pop();
    assert_eq!(told(&loader.load(&files, &known)), told(&load(&files, &known)));
}
