//! A daemon that follows a repository: what is pushed is applied, and nothing that becomes of the
//! repository takes a job away.

use std::fs;

use rustix::process::Signal;

use super::harness::World;
use crate::support::git::Repo;

/// The state of the sources, and the codes of what is wrong with them.
fn state(world: &World) -> String {
    let sync = world.ask(&["sync"]);
    let sync = if sync.is_null() { world.ask(&["apply"]) } else { sync };
    let diagnostics = sync["diagnostics"].as_array().cloned().unwrap_or_default();
    let codes: Vec<&str> = diagnostics.iter().filter_map(|entry| entry["code"].as_str()).collect();
    format!("{} {}", sync["state"].as_str().unwrap_or_default(), codes.join(" ")).trim().to_owned()
}

impl World {
    /// The definition of a job that is applied: its command.
    fn command_of(&self, job: &str) -> Option<String> {
        let shown = self.ask(&["show", job]);
        Some(shown["spec"]["command"][0].as_str().or(shown["spec"]["command"].as_str())?.to_owned())
    }

    /// Asks the server now, until this is so.
    fn fetched(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.signal(Signal::HUP);
        self.until(what, |world| is_so(world));
    }
}

fn jobs(jobs: &[(&str, &str)]) -> String {
    let job = |(name, command): &(&str, &str)| {
        format!("  {name}:\n    triggers: []\n    command: [{command}]\n")
    };
    format!("jobs:\n{}", jobs.iter().map(job).collect::<Vec<_>>().concat())
}

#[test]
fn what_is_pushed_is_applied_and_a_repository_that_goes_bad_takes_nothing_away() {
    let mut world = World::new();
    let Some(repo) = Repo::new(&world.path("server")) else { return };
    let settings = format!(
        "[source.git]\nurl = \"file://{}\"\nref = \"main\"\ninterval = \"1h\"\n",
        world.path("server").display()
    );
    world.write("cronwright.toml", &settings);
    repo.write("jobs.d/a.yaml", jobs(&[("a", "one")]));
    repo.write("jobs.d/b.yaml", jobs(&[("b", "one")]));
    let first = repo.commit();
    world.start();
    world.until("first commit", |world| world.sync_state() == "Synced");
    let applied = world.applied("a").unwrap();
    assert_eq!((applied.source.file.as_str(), applied.source.line), ("jobs.d/a.yaml", 2));
    assert_eq!(applied.owner, "file:git:jobs.d");
    assert_eq!(world.ask(&["status"])["sync"]["applied"], first.as_str());

    // An edit, a job that is new and one that is gone, in one commit.
    repo.write("jobs.d/a.yaml", jobs(&[("a", "two"), ("c", "one")]));
    fs::remove_file(repo.path("jobs.d/b.yaml")).unwrap();
    let second = repo.commit();
    world.fetched("second commit", |world| {
        world.command_of("a").as_deref() == Some("two") && world.applied("b").is_none()
    });
    assert!(world.applied("c").is_some());
    world.until("revision", |world| world.ask(&["status"])["sync"]["applied"] == second.as_str());

    // An empty branch, by force.
    repo.git(&["checkout", "--quiet", "--orphan", "empty"]);
    repo.git(&["rm", "--quiet", "-r", "--force", "."]);
    repo.commit();
    repo.git(&["branch", "--force", "main", "empty"]);
    world.fetched("empty branch", |world| world.sync_state() == "Stalled");
    assert_eq!(world.command_of("a").as_deref(), Some("two"));

    // The branch is gone; the server is gone; the daemon starts without it.
    repo.git(&["branch", "--force", "main", &second]);
    world.fetched("way back", |world| world.sync_state() == "Synced");
    repo.git(&["branch", "--quiet", "-D", "main"]);
    world.fetched("lost branch", |world| world.sync_state() == "Stalled");
    assert_eq!(state(&world), "Stalled E0533");
    assert_eq!(world.command_of("a").as_deref(), Some("two"));
    fs::rename(world.path("server"), world.path("elsewhere")).unwrap();
    world.stop();
    world.start();
    world.until("start without a server", |world| world.sync_state() == "Stalled");
    assert_eq!(state(&world), "Stalled E0532");
    assert_eq!(world.command_of("a").as_deref(), Some("two"));
    assert!(world.applied("c").is_some());

    // All is well again, by itself.
    fs::rename(world.path("elsewhere"), world.path("server")).unwrap();
    repo.write("jobs.d/a.yaml", jobs(&[("a", "three"), ("c", "one")]));
    repo.commit();
    repo.git(&["branch", "main", "empty"]);
    world.fetched("recovery", |world| world.sync_state() == "Synced");
    assert_eq!(world.command_of("a").as_deref(), Some("three"));
}
