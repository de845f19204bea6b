//! From a saved file to the plan that is applied and durable, on SQLite. `cargo bench --bench reload [NAME]`
//!
//! The real daemon on real files; what is timed ends when another process can read the plan in the store.
//! - `edit`: one edited file among 10,000 (10,000 jobs), written by atomic rename and written in place.
//! - `checkout`: all of 5,000 files replaced, one by one, as a checkout does it.
//! - `fires`: 500 jobs that are due each second, spread over it, alone and while 5,000 files are rewritten
//!   again and again: how late their processes start.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark: it starts a daemon, writes files, reads the clock and prints"
)]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cronwright::engine::execution::State;
use cronwright::io::store::document::PlanDocument;
use cronwright::io::store::sqlite::SqliteStore;
use cronwright::io::store::{Query, Store};
use cronwright::spec::job::JobName;
use cronwright::time::Timestamp;

const EDIT_FILES: usize = 10_000;
const EDIT_ROUNDS: usize = 100;
const CHECKOUT_FILES: usize = 5_000;
const CHECKOUT_ROUNDS: usize = 10;
const FIRING_JOBS: usize = 500;
/// How long fires are watched, alone and during reloads.
const FIRES_FOR: Duration = Duration::from_secs(20);
/// How many times the files are rewritten meanwhile.
const FIRES_RELOADS: usize = 4;
/// A look at the store is made this often.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Beyond the file system's clock, and the quiet that follows the last save.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(400);
/// The benchmark gives up after this long without a plan.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for (name, bench) in [("edit", edit as fn()), ("checkout", checkout), ("fires", fires)] {
        if is_wanted(name) {
            bench();
        }
    }
}

fn edit() {
    let world = World::start(EDIT_FILES, "");
    let renamed = world.measure(EDIT_ROUNDS, |round| {
        let draft = world.jobs().join(".draft");
        fs::write(&draft, idle(7, round)).unwrap();
        fs::rename(draft, world.jobs().join("7.yaml")).unwrap();
    });
    let in_place = world.measure(EDIT_ROUNDS, |round| {
        fs::write(world.jobs().join("8.yaml"), idle(8, round)).unwrap();
    });
    println!("one edited file among {EDIT_FILES} files and jobs, {EDIT_ROUNDS} rounds each:");
    print("atomic rename", &renamed);
    print("written in place", &in_place);
    let changed = world.plans(EDIT_ROUNDS * 2).iter().map(|plan| plan.changes.len()).max();
    println!("jobs written by a plan, at most: {}", changed.unwrap_or_default());
}

fn checkout() {
    let world = World::start(CHECKOUT_FILES, "");
    let before = world.generation();
    let written = RefCell::new(Vec::new());
    let took = world.measure(CHECKOUT_ROUNDS, |round| {
        let begun = Instant::now();
        world.rewrite(CHECKOUT_FILES, round);
        written.borrow_mut().push(begun.elapsed());
    });
    let plans = world.generation() - before;
    let written = written.into_inner();
    let after = took.iter().zip(&written).map(|(took, written)| took.saturating_sub(*written));
    println!("{CHECKOUT_FILES} files replaced, {CHECKOUT_ROUNDS} rounds, {plans} plans:");
    print("the writing itself", &written);
    print("last write to plan", &after.collect::<Vec<_>>());
    print("first write to plan", &took);
}

fn fires() {
    let mut firing = "jobs:\n".to_owned();
    for job in 0..FIRING_JOBS {
        let phase = job * 1_000 / FIRING_JOBS;
        write!(
            firing,
            "  firing-{job}:\n    triggers: [{{ interval: 1s, anchor: \"2026-01-01T00:00:00.{phase:03}\" }}]\n    \
             command: /bin/true\n    overlap: allow\n"
        )
        .unwrap();
    }
    let world = World::start(CHECKOUT_FILES, &firing);
    let alone = world.lateness(|| std::thread::sleep(FIRES_FOR));
    let during = world.lateness(|| {
        let begun = Instant::now();
        for reload in 1..=FIRES_RELOADS {
            world.rewrite(CHECKOUT_FILES, reload);
            let next =
                FIRES_FOR * u32::try_from(reload).unwrap() / u32::try_from(FIRES_RELOADS).unwrap();
            std::thread::sleep(next.saturating_sub(begun.elapsed()));
        }
    });
    println!(
        "{FIRING_JOBS} jobs due each second, spread over it; from fire time to process start:"
    );
    for (when, late) in [("alone", alone), (&format!("{FIRES_RELOADS} reloads"), during)] {
        print(&format!("{when}: claimed"), &late.claimed);
        print(&format!("{when}: started"), &late.started);
    }
}

/// A job that is never due in the time of a benchmark; `round` makes it differ from those of others.
fn idle(file: usize, round: usize) -> String {
    format!(
        "jobs:\n  job-{file}:\n    cron: \"{} 3 1 1 *\"\n    command: echo {round}\n",
        file % 60
    )
}

/// A folder of manifests under a daemon, which is ended when it is dropped.
struct World {
    folder: tempfile::TempDir,
    daemon: Child,
    store: SqliteStore,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// A daemon that has applied so many files of one idle job, and one more file.
    fn start(files: usize, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let jobs = folder.path().join("jobs.d");
        fs::create_dir(&jobs).unwrap();
        for file in 0..files {
            fs::write(jobs.join(format!("{file}.yaml")), idle(file, 0)).unwrap();
        }
        if !more.is_empty() {
            fs::write(jobs.join("more.yaml"), more).unwrap();
        }
        let daemon = Command::new(env!("CARGO_BIN_EXE_cronwright"))
            .arg("serve")
            .current_dir(folder.path())
            .env("CRONWRIGHT_STATE_DIR", folder.path().join(".cronwright"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let synced = || {
            let status = Command::new(env!("CARGO_BIN_EXE_cronwright"))
                .args(["status", "-o", "json"])
                .current_dir(folder.path())
                .output()
                .unwrap();
            String::from_utf8_lossy(&status.stdout).contains("\"Synced\"")
        };
        while !synced() {
            assert!(begun.elapsed() < GIVE_UP_AFTER, "the daemon does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        let store =
            SqliteStore::open_to_read(&folder.path().join(".cronwright/cronwright.db")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder, daemon, store, runtime }
    }

    fn jobs(&self) -> PathBuf {
        self.folder.path().join("jobs.d")
    }

    /// Replaces files as git does: each is removed and created anew.
    fn rewrite(&self, files: usize, round: usize) {
        for file in 0..files {
            let path = self.jobs().join(format!("{file}.yaml"));
            fs::remove_file(&path).unwrap();
            fs::write(&path, idle(file, round)).unwrap();
        }
    }

    /// The newest applied plans.
    fn plans(&self, limit: usize) -> Vec<PlanDocument> {
        self.runtime.block_on(self.store.plans(limit)).unwrap()
    }

    fn generation(&self) -> i64 {
        self.plans(1).first().map_or(0, |plan| plan.generation)
    }

    /// Saves again and again; how long each save took to be applied.
    fn measure(&self, rounds: usize, save: impl Fn(usize)) -> Vec<Duration> {
        let mut took = Vec::new();
        for round in 1..=rounds {
            let before = self.generation();
            std::thread::sleep(BETWEEN_ROUNDS);
            let begun = Instant::now();
            save(round);
            while self.generation() == before {
                assert!(begun.elapsed() < GIVE_UP_AFTER, "no plan was applied");
                std::thread::sleep(LOOK_EVERY);
            }
            took.push(begun.elapsed());
        }
        took
    }

    /// How late the firing jobs that are due while `act` goes on are claimed, and their processes begin.
    fn lateness(&self, act: impl FnOnce()) -> Late {
        let since = chrono::Utc::now();
        act();
        // What was due last has begun by then.
        std::thread::sleep(Duration::from_secs(2));
        let query = Query {
            job: None,
            outcomes: Vec::new(),
            since: Some(since),
            revision: None,
            limit: FIRING_JOBS * 60,
        };
        let rows = self.runtime.block_on(self.store.rows(&query)).unwrap();
        let until = since + FIRES_FOR;
        let due = rows.iter().filter(|row| row.fire_time < until && is_firing(&row.job));
        let mut late = Late::default();
        for row in due {
            let started_at = match &row.state {
                State::Running { started_at } => Some(*started_at),
                State::Ended(ending) => ending.started_at,
                State::Queued | State::Claimed | State::RetryWait { .. } => None,
            };
            let after = |at: Timestamp| (at - row.fire_time).to_std().unwrap_or_default();
            late.claimed.push(after(row.claimed_at));
            late.started.extend(started_at.map(after));
        }
        late
    }
}

/// From fire times on.
#[derive(Default)]
struct Late {
    claimed: Vec<Duration>,
    started: Vec<Duration>,
}

impl Drop for World {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.daemon);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        self.daemon.wait().ok();
    }
}

fn is_firing(job: &JobName) -> bool {
    job.as_str().starts_with("firing-")
}

fn print(name: &str, took: &[Duration]) {
    let mut took = took.to_vec();
    took.sort_unstable();
    let at = |percent: usize| {
        let last = took.len().saturating_sub(1);
        took.get(last * percent / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
    };
    println!(
        "{name:<22} n {:<6} ms: min {:.1}  median {:.1}  p99 {:.1}  max {:.1}",
        took.len(),
        at(0),
        at(50),
        at(99),
        at(100)
    );
}
