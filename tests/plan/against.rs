//! `plan --against`: two sides of a repository, without a daemon.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::cronwright;
use crate::support::git::Repo;

const BEFORE: &str =
    "jobs:\n  etl: {cron: '30 2 * * *', command: x}\n  gone: {interval: 45m, command: x}\n";
const AFTER: &str = "jobs:\n  etl: {cron: '30 2 * * mon-fri', command: x}\n  new: {command: x}\n";

fn plan(repo: &Repo, arguments: &[&str]) -> Output {
    let mut command = Command::new(cronwright());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CRONWRIGHT_")) {
        command.env_remove(name);
    }
    command.current_dir(repo.path(".")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_work_tree_is_compared_with_a_commit() {
    let base = tempfile::tempdir().unwrap();
    let Some(repo) = Repo::new(&base.path().join("repo")) else { return };
    repo.write("ops/jobs.d/a.yaml", BEFORE);
    let commit = repo.commit();
    let nothing = plan(&repo, &["diff", "--against", "HEAD", "ops/jobs.d"]);
    assert_eq!((nothing.status.code(), stdout(&nothing).as_str()), (Some(0), ""));

    repo.write("ops/jobs.d/a.yaml", AFTER);
    for paths in ["ops/jobs.d", "ops/jobs.d/", "ops/jobs.d/a.yaml"] {
        let made = plan(&repo, &["plan", "--against", "HEAD", paths, "-o", "json"]);
        let document: Value = serde_json::from_slice(&made.stdout).unwrap();
        let changes: Vec<_> = document["changes"].as_array().unwrap().iter().collect();
        let of = |change: &Value| json!([change["action"], change["job"], change["blocked"]]);
        assert_eq!(
            changes.iter().map(|change| of(change)).collect::<Vec<_>>(),
            [
                json!(["update", "etl", null]),
                json!(["remove", "gone", null]),
                json!(["create", "new", null])
            ],
            "{paths}"
        );
        assert_eq!(document["against"], json!({ "name": "HEAD", "commit": commit }));
        let note = document["notes"][0].as_str().unwrap_or_default();
        assert!(note.starts_with("intervals without an anchor are counted from now"), "{note}");
        assert_eq!(made.status.code(), Some(0));
    }
    let diff = plan(&repo, &["diff", "--against", "main", "ops/jobs.d"]);
    assert_eq!(diff.status.code(), Some(1));
    assert!(stdout(&diff).contains("-    - cron: 30 2 * * *\n"), "{}", stdout(&diff));
    let markdown =
        plan(&repo, &["plan", "--against", "main", "--format", "markdown", "ops/jobs.d"]);
    assert!(stdout(&markdown).contains("#### Changed: 1"), "{}", stdout(&markdown));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let base = tempfile::tempdir().unwrap();
    let Some(repo) = Repo::new(&base.path().join("repo")) else { return };
    repo.write("jobs.d/a.yaml", BEFORE);
    repo.commit();
    let failure = |arguments: &[&str]| {
        let output = plan(&repo, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text.lines().next().unwrap_or_default().to_owned())
    };
    let (code, text) = failure(&["plan", "--against", "origin/main", "jobs.d"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("there is no branch, tag or commit"), "{text}");
    assert_eq!(failure(&["plan", "jobs.d"]).0, Some(2), "paths are compared with a commit only");
    let outside = base.path().to_str().unwrap().to_owned();
    assert_eq!(failure(&["plan", "--against", "HEAD", &outside]).0, Some(2));
}
