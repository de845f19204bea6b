//! A state directory with its supervisor, a client, and what its events say.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cronwright::io::executor::output_of;
use cronwright::io::executor::supervisor::{Launch, SupervisorEvent, SupervisorHandle};
use cronwright::supervisor::protocol::{
    FromSupervisor, HowEnded, ProcessEnding, RunningProcess, StartProcess, StartRules, ToSupervisor,
};
use tokio::sync::mpsc::Receiver;

/// Nothing here takes this long, except when it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A state directory; its supervisor and all that it runs end with it.
pub(crate) struct StateDir(tempfile::TempDir);

/// A daemon's client.
pub(crate) struct Client {
    pub(crate) handle: SupervisorHandle,
    events: Receiver<SupervisorEvent>,
}

impl StateDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn launch(&self) -> Launch {
        Launch::new(self.path(), crate::support::cronwright())
    }

    /// A client, its first events, up to `Ready`, taken.
    pub(crate) async fn client(&self) -> (Client, Vec<SupervisorEvent>) {
        Client::new(self.launch()).await
    }

    /// A client of a supervisor that holds nothing.
    pub(crate) async fn fresh_client(&self) -> Client {
        let (client, first) = self.client().await;
        assert!(
            matches!(&first[..], [SupervisorEvent::Connected { running, .. }, SupervisorEvent::Ready] if running.is_empty()),
            "{first:?}"
        );
        client
    }

    /// The process id of the supervisor, from its lock.
    pub(crate) fn supervisor(&self) -> i32 {
        let lock = std::fs::read_to_string(self.file("supervisor.lock")).unwrap();
        lock.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A process that runs `text` in a shell.
    pub(crate) fn script(&self, id: &str, text: &str) -> StartProcess {
        self.command(id, &["/bin/sh", "-c", text])
    }

    pub(crate) fn command(&self, id: &str, argv: &[&str]) -> StartProcess {
        StartProcess {
            id: id.to_owned(),
            argv: argv.iter().map(ToString::to_string).collect(),
            env: BTreeMap::from([
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("CRONWRIGHT_EXECUTION_ID".to_owned(), id.to_owned()),
            ]),
            working_dir: self.path().to_str().unwrap().to_owned(),
            timeout_ms: None,
            kill_grace_ms: 10_000,
            output_bytes_max: 1024,
            rules: StartRules::default(),
        }
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        self.quit();
        crate::support::groups::remove_left(&self.file("supervisor.lock"));
    }
}

impl StateDir {
    fn quit(&self) {
        let Ok(mut stream) = UnixStream::connect(self.file("supervisor.sock")) else { return };
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
}

impl Client {
    pub(crate) async fn new(launch: Launch) -> (Self, Vec<SupervisorEvent>) {
        let (handle, events) = SupervisorHandle::connect_or_start(launch).await.unwrap();
        let mut client = Self { handle, events };
        let mut first = Vec::new();
        while first.last() != Some(&SupervisorEvent::Ready) {
            first.push(client.event().await);
        }
        (client, first)
    }

    pub(crate) async fn event(&mut self) -> SupervisorEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn started(&mut self) -> RunningProcess {
        match self.event().await {
            SupervisorEvent::Started(running) => running,
            other => panic!("not Started: {other:?}"),
        }
    }

    /// The next ending; `Started` before it is passed over.
    pub(crate) async fn ended(&mut self) -> ProcessEnding {
        loop {
            match self.event().await {
                SupervisorEvent::Started(_) => {}
                SupervisorEvent::Ended(ending) => return *ending,
                other => panic!("not Ended: {other:?}"),
            }
        }
    }

    /// Runs a process to its end.
    pub(crate) async fn run(&mut self, process: StartProcess) -> ProcessEnding {
        self.handle.start(process).unwrap();
        self.ended().await
    }
}

/// How an execution ended, and its output as text.
pub(crate) fn told(ending: &ProcessEnding) -> (HowEnded, String) {
    (ending.how.clone(), text(ending))
}

pub(crate) fn text(ending: &ProcessEnding) -> String {
    let output = output_of(&ending.output);
    String::from_utf8([output.head, output.tail].concat()).unwrap()
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The processes whose environment holds this execution id.
pub(crate) fn processes_of(id: &str) -> Vec<i32> {
    let mark = format!("CRONWRIGHT_EXECUTION_ID={id}");
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()).then_some(pid)
    });
    pids.collect()
}

/// Whether a process exists and is no zombie.
pub(crate) fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

/// An id that no other test, and no other test run, uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}@{}", uuid::Uuid::now_v7())
}

/// A connection that speaks the protocol by hand.
pub(crate) struct Raw(BufReader<UnixStream>);

impl Raw {
    pub(crate) fn connect(dir: &StateDir) -> Self {
        let stream = UnixStream::connect(dir.file("supervisor.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn say(&mut self, message: &ToSupervisor) {
        let line = serde_json::to_string(message).unwrap();
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next message; none: closed.
    pub(crate) fn hear(&mut self) -> Option<FromSupervisor> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }
}
