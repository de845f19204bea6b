//! A look at 10,000 files in 100 folders: when nothing changed, when one file was replaced, and the first
//! one. `cargo bench --bench snapshot`. The bar is 30 ms when nothing changed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark: it writes files, reads the clock and prints"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cronwright::io::files::{Patience, Reading, Snapshot, Source, Sources};
use cronwright::io::watch::Watch;

const FOLDERS: usize = 100;
const FILES_PER_FOLDER: usize = 100;
const ROUNDS: usize = 30;

fn main() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("jobs.d");
    let path = |folder: usize, file: usize| root.join(format!("team-{folder}/job-{file}.yaml"));
    for folder in 0..FOLDERS {
        fs::create_dir_all(root.join(format!("team-{folder}"))).unwrap();
        for file in 0..FILES_PER_FOLDER {
            fs::write(path(folder, file), format!("jobs: {{}} # {folder}.{file}\n").repeat(20))
                .unwrap();
            fs::set_permissions(path(folder, file), fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    let folders = vec![Source { name: "jobs.d".into(), path: root.clone() }];
    let sources = Sources { folders, ..Sources::default() };
    let first = measure(3, |_| drop(look(&sources, None)));
    // Stamps count once they are older than their resolution.
    std::thread::sleep(Duration::from_secs(4));
    let mut last = look(&sources, None);
    let unchanged = measure(ROUNDS, |_| last = look(&sources, Some(&last)));
    let (mut watch, _hints) = Watch::start(&sources.folders);
    watch.refresh(&last);
    let refresh = measure(ROUNDS, |_| watch.refresh(&last));
    let replaced = measure(ROUNDS, |round| {
        fs::write(root.join(".draft"), format!("jobs: {{}} # {round}\n")).unwrap();
        fs::rename(root.join(".draft"), path(7, 7)).unwrap();
        last = look(&sources, Some(&last));
    });
    println!("{} files in {FOLDERS} folders, milliseconds:", FOLDERS * FILES_PER_FOLDER);
    print("first look", first);
    print("nothing changed", unchanged);
    print("one file replaced", replaced);
    print("folders still watched", refresh);
}

fn look(sources: &Sources, previous: Option<&Snapshot>) -> Snapshot {
    match Snapshot::read(sources, previous, Patience::Left) {
        Reading::Settled(snapshot) => snapshot,
        Reading::Unsettled(why) => panic!("unsettled: {why:?}"),
    }
}

fn measure(rounds: usize, mut act: impl FnMut(usize)) -> Vec<Duration> {
    let mut took = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        act(round);
        took.push(begun.elapsed());
    }
    took
}

fn print(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1_000.0;
    let last = took.len() - 1;
    println!("{name:<22} min {:.1}  median {:.1}  max {:.1}", ms(0), ms(last / 2), ms(last));
}
