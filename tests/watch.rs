//! Watching real folders: each way of saving, replacing and losing manifests gives a hint, and the look
//! that follows sees what is there. They take as long as the quiet that is waited for: 0.3 s a step.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "tests make their own worlds and fail by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cronwright::io::clock::boot;
use cronwright::io::files::{Patience, Reading, Snapshot, Source, Sources};
use cronwright::io::watch::settle::QUIET;
use cronwright::io::watch::{Hints, Touched, Watch};
use tempfile::TempDir;

/// Far longer than any hint takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A base folder whose source `jobs.d` is watched.
struct World {
    base: TempDir,
    sources: Sources,
    watch: Watch,
    hints: Hints,
    snapshot: Option<Snapshot>,
}

impl World {
    /// A world with these files, looked at once.
    fn new(source: &str, files: &[&str]) -> Self {
        let base = tempfile::tempdir().unwrap();
        let sources = Sources {
            folders: vec![Source { name: source.to_owned(), path: base.path().join(source) }],
            ..Sources::default()
        };
        for file in files {
            write(base.path().join(file), "old");
        }
        let (watch, hints) = Watch::start(&sources.folders);
        let mut world = Self { base, sources, watch, hints, snapshot: None };
        world.look();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        write(self.path(path), text);
    }

    /// Looks, and keeps the watch up to date.
    fn look(&mut self) {
        let reading = Snapshot::read(&self.sources, self.snapshot.as_ref(), Patience::Spent);
        let Reading::Settled(snapshot) = reading else { panic!("unsettled") };
        self.watch.refresh(&snapshot);
        self.snapshot = Some(snapshot);
    }

    /// Waits for a hint, then looks. What was touched, relative to the base.
    async fn hint(&mut self) -> String {
        let settled = tokio::time::timeout(PATIENCE, self.hints.settled());
        let touched = settled.await.expect("no hint came");
        self.look();
        let base = self.base.path().canonicalize().unwrap();
        match touched {
            Touched::Anything => "anything".to_owned(),
            Touched::Only(paths) => {
                let shown = paths.iter().map(|path| path.strip_prefix(&base).unwrap().display());
                shown.map(|path| path.to_string()).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Looks at each hint until the files are these, `path=content` with spaces between; how many hints
    /// it took.
    async fn sees(&mut self, expected: &str) -> usize {
        for hints in 1..20 {
            self.hint().await;
            if self.shown() == expected {
                return hints;
            }
        }
        panic!("expected {expected}\n     saw {}", self.shown());
    }

    fn shown(&self) -> String {
        let files = &self.snapshot.as_ref().unwrap().files;
        let line = |file: &cronwright::io::files::SnapshotFile| {
            let text = file.content.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
            format!("{}={}", file.path, text.unwrap_or_default())
        };
        files.iter().map(line).collect::<Vec<_>>().join(" ")
    }
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_file_written_in_place_is_seen() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    world.write("jobs.d/a.yaml", "new");
    world.sees("jobs.d/a.yaml=new").await;
}

#[tokio::test]
async fn an_atomic_rename_is_seen_at_once() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    let mut fastest = Duration::MAX;
    for (temporary, text) in
        [("sedAb12", "sed -i"), (".a.yaml.swp", "hidden"), ("a.yaml.tmp", "suffix")]
    {
        world.write(&format!("jobs.d/{temporary}"), text);
        let from = boot();
        fs::rename(world.path("jobs.d").join(temporary), world.path("jobs.d/a.yaml")).unwrap();
        world.sees(&format!("jobs.d/a.yaml={text}")).await;
        fastest = fastest.min(boot().since(from));
    }
    assert!(fastest < QUIET, "took {fastest:?}");
}

#[tokio::test]
async fn a_removed_file_is_seen() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml", "jobs.d/b.yaml"]);
    fs::remove_file(world.path("jobs.d/a.yaml")).unwrap();
    world.sees("jobs.d/b.yaml=old").await;
}

#[tokio::test]
async fn a_replaced_folder_is_watched_anew() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    fs::rename(world.path("jobs.d"), world.path("old")).unwrap();
    world.write("jobs.d/b.yaml", "1");
    world.sees("jobs.d/b.yaml=1").await;
    world.write("jobs.d/b.yaml", "2");
    world.sees("jobs.d/b.yaml=2").await;
}

#[tokio::test]
async fn a_folder_that_was_deleted_is_seen_when_it_comes_back() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    for round in ["1", "2"] {
        fs::remove_dir_all(world.path("jobs.d")).unwrap();
        world.sees("").await;
        world.write("jobs.d/a.yaml", round);
        world.sees(&format!("jobs.d/a.yaml={round}")).await;
        world.write("jobs.d/a.yaml", "again");
        world.sees("jobs.d/a.yaml=again").await;
    }
}

#[tokio::test]
async fn a_source_that_comes_late_is_seen_however_much_of_its_path_is_missing() {
    let mut world = World::new("mnt/volume/jobs.d", &[]);
    fs::create_dir(world.path("mnt")).unwrap();
    world.hint().await;
    world.write("mnt/volume/jobs.d/a.yaml", "1");
    world.sees("mnt/volume/jobs.d/a.yaml=1").await;
    world.write("mnt/volume/jobs.d/a.yaml", "2");
    world.sees("mnt/volume/jobs.d/a.yaml=2").await;
}

#[tokio::test]
async fn new_nested_folders_are_seen_and_watched() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    world.write("jobs.d/x/y/z/b.yaml", "1");
    world.sees("jobs.d/a.yaml=old jobs.d/x/y/z/b.yaml=1").await;
    world.write("jobs.d/x/y/z/b.yaml", "2");
    world.sees("jobs.d/a.yaml=old jobs.d/x/y/z/b.yaml=2").await;
    fs::rename(world.path("jobs.d/x"), world.path("gone")).unwrap();
    world.sees("jobs.d/a.yaml=old").await;
}

#[tokio::test]
async fn a_link_on_the_way_to_the_source_that_is_flipped_is_seen() {
    use std::os::unix::fs::symlink;
    let mut world = World::new("current/jobs", &["trees/1/jobs/a.yaml", "trees/2/jobs/a.yaml"]);
    world.write("trees/2/jobs/a.yaml", "two");
    for (tree, text) in [("trees/1", "old"), ("trees/2", "two"), ("trees/1", "old")] {
        symlink(tree, world.path("next")).unwrap();
        fs::rename(world.path("next"), world.path("current")).unwrap();
        world.sees(&format!("current/jobs/a.yaml={text}")).await;
    }
    world.write("trees/1/jobs/a.yaml", "one");
    world.sees("current/jobs/a.yaml=one").await;
}

#[tokio::test]
async fn a_config_map_swap_is_seen() {
    use std::os::unix::fs::symlink;
    let mut world = World::new("jobs.d", &["jobs.d/..1/a.yaml"]);
    symlink("..1", world.path("jobs.d/..data")).unwrap();
    symlink("..data/a.yaml", world.path("jobs.d/a.yaml")).unwrap();
    world.sees("jobs.d/a.yaml=old").await;
    world.write("jobs.d/..2/a.yaml", "new");
    symlink("..2", world.path("jobs.d/..data_tmp")).unwrap();
    fs::rename(world.path("jobs.d/..data_tmp"), world.path("jobs.d/..data")).unwrap();
    fs::remove_dir_all(world.path("jobs.d/..1")).unwrap();
    world.sees("jobs.d/a.yaml=new").await;
}

#[tokio::test]
async fn five_thousand_files_at_once_are_few_hints() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    let from = boot();
    let folder = world.path("jobs.d");
    let writer = std::thread::spawn(move || {
        for number in 0..5000 {
            fs::write(folder.join(format!("n{number}.yaml")), "x").unwrap();
        }
    });
    let mut hints: u64 = 0;
    while world.snapshot.as_ref().unwrap().files.len() < 5001 {
        world.hint().await;
        hints += 1;
    }
    writer.join().unwrap();
    // One when it is quiet, and one for each two seconds that the writing goes on.
    let allowed = 2 + boot().since(from).as_secs() / 2;
    assert!(hints <= allowed, "{hints} hints, {allowed} allowed");
}

#[tokio::test]
async fn a_dropped_wait_loses_no_hint() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml"]);
    world.write("jobs.d/a.yaml", "new");
    for _ in 0..100 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            _ = world.hints.settled() => break,
        }
    }
    world.sees("jobs.d/a.yaml=new").await;
}

#[tokio::test]
async fn a_hint_says_which_files_were_touched_where_they_are_few() {
    let mut world = World::new("jobs.d", &["jobs.d/a.yaml", "jobs.d/team/b.yaml"]);
    assert_eq!(world.hint().await, "anything", "what happened before the watch began");
    world.write("jobs.d/.draft", "new");
    fs::rename(world.path("jobs.d/.draft"), world.path("jobs.d/a.yaml")).unwrap();
    assert_eq!(world.hint().await, "jobs.d/a.yaml");
    world.write("jobs.d/a.yaml", "newer");
    world.write("jobs.d/team/b.yaml", "newer");
    fs::rename(world.path("jobs.d/team/b.yaml"), world.path("jobs.d/team/c.yaml")).unwrap();
    assert_eq!(world.hint().await, "jobs.d/a.yaml jobs.d/team/b.yaml jobs.d/team/c.yaml");
    for number in 0..100 {
        world.write(&format!("jobs.d/{number}.yaml"), "new");
    }
    assert_eq!(world.hint().await, "anything");
}
