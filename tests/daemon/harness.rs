//! A daemon in a folder of its own, to be started, stopped, killed and asked. Its processes and
//! those of its jobs end with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cronwright::engine::execution::Row;
use cronwright::io::store::document::JobDocument;
use cronwright::io::store::mongo::MongoStore;
use cronwright::io::store::sqlite::SqliteStore;
use cronwright::io::store::{Contents, Query, Store, StoreError};
use cronwright::spec::job::JobName;
use cronwright::supervisor::protocol::ToSupervisor;
use cronwright::time::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::servers::{self, Mongod};
use crate::support::{cronwright, example};

/// Nothing here takes this long, except when it is broken.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many lines of its log a failing test shows.
const LOG_LINES: usize = 40;

/// Which store the daemon works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Mongo,
}

/// A folder with `jobs.d` and a state directory, and the daemon that serves it.
pub(crate) struct World {
    folder: TempDir,
    program: PathBuf,
    /// The URL of the store; none: SQLite in the state directory.
    url: Option<String>,
    /// Reading needs a client that stays: connecting takes longer than asking.
    mongo: Option<Arc<dyn Store>>,
    runtime: Runtime,
    daemon: Option<Child>,
}

impl World {
    /// A world on SQLite.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cronwright-daemon-").tempdir().unwrap();
        fs::create_dir(folder.path().join("jobs.d")).unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let program = cronwright().to_path_buf();
        Self { folder, program, url: None, mongo: None, runtime, daemon: None }
    }

    /// A world on SQLite of a program of `examples/`.
    pub(crate) fn of_example(name: &str) -> Self {
        let mut world = Self::new();
        world.program = example(name);
        world
    }

    /// A world on a database of its own.
    pub(crate) fn on_mongod(mongod: &Mongod) -> Self {
        Self::on_mongod_named(mongod, &servers::unique("daemon"))
    }

    /// A world on the database of this name.
    pub(crate) fn on_mongod_named(mongod: &Mongod, database: &str) -> Self {
        Self::on_database(mongod.url(database))
    }

    /// Another folder and state directory on the same database, with the same node name.
    pub(crate) fn beside(other: &Self) -> Self {
        Self::on_database(other.url.clone().unwrap())
    }

    fn on_database(url: String) -> Self {
        let mut world = Self::new();
        let store = world.runtime.block_on(MongoStore::open(&url)).unwrap();
        world.mongo = Some(Arc::new(store));
        world.url = Some(url);
        world
    }

    /// A world on this kind of store; none: its server is not wanted.
    pub(crate) fn on(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => Some(Self::new()),
            Backend::Mongo => servers::mongod().map(Self::on_mongod),
        }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file in place.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Writes a file beside, and renames it into its place.
    pub(crate) fn save(&self, path: &str, text: &str) {
        self.write("saved.tmp", text);
        fs::rename(self.path("saved.tmp"), self.path(path)).unwrap();
    }

    /// Starts the daemon.
    pub(crate) fn start(&mut self) {
        self.spawn(None);
    }

    /// Starts the daemon; it dies at the failpoint.
    pub(crate) fn start_armed(&mut self, failpoint: &str) {
        self.spawn(Some(failpoint));
    }

    fn spawn(&mut self, failpoint: Option<&str>) {
        assert!(self.daemon.is_none(), "it runs");
        let mut log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        writeln!(log, "--- start {}", failpoint.unwrap_or_default()).unwrap();
        let mut command = self.command(&["serve"]);
        if let Some(failpoint) = failpoint {
            command.env("CRONWRIGHT_TEST_FAILPOINT", failpoint);
        }
        self.daemon = Some(command.stderr(log).spawn().unwrap());
    }

    /// The program in this world; nothing of the caller's own settings gets through.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CRONWRIGHT_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path());
        command.env("CRONWRIGHT_STATE_DIR", self.path(".cronwright"));
        if let Some(url) = &self.url {
            command.env("CRONWRIGHT_STORE", url);
        }
        command
    }

    /// The daemon's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Whether the daemon has not ended by itself.
    pub(crate) fn lives(&mut self) -> bool {
        self.daemon.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Whether a daemon was started and neither stopped nor killed.
    pub(crate) fn is_started(&self) -> bool {
        self.daemon.is_some()
    }

    /// Kills the daemon on the spot.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.daemon.take().unwrap().wait().unwrap();
    }

    /// Asks the daemon to stop, which it does without complaint.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status:?}\n{}", self.log_tail());
    }

    /// Waits until the daemon has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.until("end of the daemon", |world| !world.lives());
        self.daemon.take().unwrap().wait().unwrap()
    }

    /// What a verb does.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The document that a verb answers with; null: no daemon is there, or it refuses.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).args(["-o", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The state of the sources, as `status` has it.
    pub(crate) fn sync_state(&self) -> String {
        self.ask(&["status"])["sync"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// One job, as `list` has it.
    pub(crate) fn listed(&self, job: &str) -> Value {
        let list = self.ask(&["list"]);
        let jobs = list["jobs"].as_array().cloned().unwrap_or_default();
        jobs.into_iter().find(|entry| entry["name"] == job).unwrap_or_default()
    }

    /// The store, to read from. Opened anew where that is a file: who keeps it open changes what a
    /// daemon that starts again finds.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, StoreError> {
        if let Some(store) = &self.mongo {
            return Ok(Arc::clone(store));
        }
        let store = SqliteStore::open_to_read(&self.path(".cronwright/cronwright.db"))?;
        Ok(Arc::new(store))
    }

    /// Does something to the database by hand.
    pub(crate) fn on_database_of(&self, act: impl AsyncFnOnce(mongodb::Database)) {
        let url = self.url.as_ref().unwrap();
        self.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(url).await.unwrap();
            act(client.default_database().unwrap()).await;
        });
    }

    /// Everything that a scheduler would go on from; nothing while the store is not there.
    pub(crate) fn contents(&self) -> Contents {
        let Ok(store) = self.store() else { return Contents::default() };
        self.runtime.block_on(store.load()).unwrap_or_default()
    }

    /// All rows, oldest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows_of(None)
    }

    /// The rows of a job, oldest first.
    pub(crate) fn rows_of(&self, job: Option<&str>) -> Vec<Row> {
        let query = Query {
            job: job.map(|job| JobName::parse(job).unwrap()),
            outcomes: Vec::new(),
            since: None,
            revision: None,
            limit: 1_000_000,
        };
        let Ok(store) = self.store() else { return Vec::new() };
        let mut rows = self.runtime.block_on(store.rows(&query)).unwrap_or_default();
        rows.reverse();
        rows
    }

    /// A job as it is applied; none: it is not, or not any more.
    pub(crate) fn applied(&self, job: &str) -> Option<JobDocument> {
        let jobs = self.contents().jobs;
        jobs.into_iter().find(|document| document.name == job && document.removed_at.is_none())
    }

    /// What set the newest plan off.
    pub(crate) fn newest_origin(&self) -> String {
        let plans = self.runtime.block_on(self.store().unwrap().plans(1)).unwrap();
        plans[0].origin.clone()
    }

    /// Waits until something is so; fails when it does not become so, or the daemon dies.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "no {what}; {}", self.log_tail());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until the manifests as they are now have been applied.
    pub(crate) fn until_synced(&mut self) {
        self.until("applied manifests", |world| world.sync_state() == "Synced");
    }

    /// Runs a job now; its execution, once that has ended.
    pub(crate) fn runs(&mut self, job: &str) -> Value {
        let told = self.verb(&["run", job]);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        self.until_ended(job)
    }

    /// The newest execution of a job, once it has ended.
    pub(crate) fn until_ended(&mut self, job: &str) -> Value {
        let mut found = Value::Null;
        self.until("end of the execution", |world| {
            let history = world.ask(&["history", job]);
            found = history["executions"][0].clone();
            found["state"] == "ended"
        });
        found
    }

    /// Waits until the daemon has accounted for every occurrence up to the moment of asking.
    pub(crate) fn until_caught_up(&mut self) {
        let asked_at = wall();
        self.until("caught up ledger", |world| {
            assert!(world.lives(), "the daemon died; {}", world.log_tail());
            world.contents().watermark.is_some_and(|watermark| watermark > asked_at)
        });
        self.until("health", |world| world.ask(&["status"])["health"] == "healthy");
    }

    /// Waits until the daemon has the right to decide what fires.
    pub(crate) fn until_it_leads(&mut self) {
        self.until("leader", |world| {
            assert!(world.lives(), "the daemon died; {}", world.log_tail());
            let log = fs::read_to_string(world.path("log")).unwrap();
            log.rsplit("--- start").next().unwrap().contains("this node leads")
        });
    }

    /// Kills the supervisor, and with it what it owns.
    pub(crate) fn kill_supervisor(&self) {
        let lock = fs::read_to_string(self.path(".cronwright/supervisor.lock")).unwrap();
        let pid: i32 = lock.split_whitespace().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    /// Ends the supervisor and all that it runs.
    pub(crate) fn end_supervisor(&self) {
        let Ok(mut stream) = UnixStream::connect(self.path(".cronwright/supervisor.sock")) else {
            return;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for message in [ToSupervisor::Hello { protocol: 1 }, ToSupervisor::Quit] {
            // It may be leaving at this moment.
            drop(writeln!(stream, "{}", serde_json::to_string(&message).unwrap()));
        }
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            line.clear();
        }
    }

    /// The processes of this world's jobs that are left: those whose environment names the folder.
    pub(crate) fn processes_of_jobs(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.folder.path().display());
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let mut variables = environ.split(|byte| *byte == 0);
            variables.any(|variable| variable == mark.as_bytes()).then_some(pid)
        });
        pids.collect()
    }

    /// What every manifest of this world begins with: the shell, and the mark of its processes.
    pub(crate) fn head(&self) -> String {
        format!(
            "defaults:\n  shell: [/bin/sh, -c]\n  env: {{ {MARK}: \"{}\" }}\njobs:\n",
            self.folder.path().display()
        )
    }

    /// The end of the daemons' log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the log ends:\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    }
}

/// The variable by which processes of jobs are found.
const MARK: &str = "WORLD_OF_THE_TEST";

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have died already.
            drop(daemon.kill());
            drop(daemon.wait());
        }
        self.end_supervisor();
        crate::support::groups::remove_left(&self.path(".cronwright/supervisor.lock"));
    }
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    chrono::Utc::now()
}
