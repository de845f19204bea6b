//! From a saved file to the plan that is applied and durable: one edited file among 1,000 (10,000 jobs),
//! written by atomic rename and written in place, on SQLite. `cargo bench --bench reload`
//!
//! The real daemon; what is timed ends when another process can read the plan in the store.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark: it starts a daemon, writes files, reads the clock and prints"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cronwright::io::store::Store;
use cronwright::io::store::sqlite::SqliteStore;

const FILES: usize = 1_000;
const JOBS_PER_FILE: usize = 10;
const ROUNDS: usize = 30;
/// A look at the store is made this often.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The benchmark gives up after this long without a plan.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = folder.path().join("jobs.d");
    fs::create_dir(&jobs).unwrap();
    for file in 0..FILES {
        fs::write(jobs.join(format!("{file}.yaml")), manifest(file, 0)).unwrap();
    }
    let daemon = Daemon::start(folder.path());
    let renamed = measure(folder.path(), |round| {
        let draft = jobs.join(".draft");
        fs::write(&draft, manifest(7, round)).unwrap();
        fs::rename(draft, jobs.join("7.yaml")).unwrap();
    });
    let in_place = measure(folder.path(), |round| {
        fs::write(jobs.join("8.yaml"), manifest(8, round)).unwrap();
    });
    drop(daemon);
    println!("{FILES} files, {} jobs, {ROUNDS} rounds each, milliseconds:", FILES * JOBS_PER_FILE);
    print("atomic rename", renamed);
    print("written in place", in_place);
}

/// The jobs of a file; `round` makes them differ from those of other rounds.
fn manifest(file: usize, round: usize) -> String {
    let mut text = "jobs:\n".to_owned();
    for job in 0..JOBS_PER_FILE {
        write!(
            text,
            "  job-{file}-{job}:\n    cron: \"{} 3 1 1 *\"\n    command: echo {round}\n",
            job % 60
        )
        .unwrap();
    }
    text
}

/// Saves again and again; how long each save took to be applied.
fn measure(folder: &Path, save: impl Fn(usize)) -> Vec<Duration> {
    let path = folder.join(".cronwright/cronwright.db");
    let store = SqliteStore::open_to_read(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let newest = || runtime.block_on(store.plans(1)).unwrap().pop();
    let generation = || newest().map_or(0, |plan| plan.generation);
    let mut took = Vec::new();
    for round in 1..=ROUNDS {
        let before = generation();
        // Beyond the file system's clock, and the quiet that follows the last save.
        std::thread::sleep(Duration::from_millis(400));
        let begun = Instant::now();
        save(round);
        while generation() == before {
            assert!(begun.elapsed() < GIVE_UP_AFTER, "no plan was applied");
            std::thread::sleep(LOOK_EVERY);
        }
        took.push(begun.elapsed());
    }
    took
}

fn print(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |at: usize| took[at].as_secs_f64() * 1_000.0;
    let last = took.len() - 1;
    println!("{name:<18} min {:.1}  median {:.1}  max {:.1}", ms(0), ms(last / 2), ms(last));
}

/// A daemon on a folder, ended when it is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Self {
        let daemon = Command::new(env!("CARGO_BIN_EXE_cronwright"))
            .arg("serve")
            .current_dir(folder)
            .env("CRONWRIGHT_STATE_DIR", folder.join(".cronwright"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let synced = || {
            let status = Command::new(env!("CARGO_BIN_EXE_cronwright"))
                .args(["status", "-o", "json"])
                .current_dir(folder)
                .output()
                .unwrap();
            String::from_utf8_lossy(&status.stdout).contains("\"Synced\"")
        };
        while !synced() {
            assert!(begun.elapsed() < GIVE_UP_AFTER, "the daemon does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        self.0.wait().ok();
    }
}
