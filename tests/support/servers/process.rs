//! A server process that cannot outlive its owner.
//!
//! It is a child of a small `sh` that reads from a pipe held by the test process. When the pipe is
//! closed, because the owner was dropped or the whole test process was killed, the `sh` kills the
//! server and removes its folder. So nothing depends on destructors, which a shared server (a
//! static) never runs, nor on signals, which SIGKILL never delivers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it listens.
const LISTEN_WITHIN: Duration = Duration::from_mins(1);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ports of servers: below the range from which the kernel takes ports of clients, so that no
/// client takes the port of a server that is down for a moment, or connects to itself there.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Arguments: folder, program and its arguments. Says the process id, then waits for a word:
/// `stop` (TERM) and `kill` keep the folder; the end of the pipe kills and removes it.
const WATCHER: &str = r#"
trap '' INT TERM HUP
dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 &
pid=$!
echo $pid
exec >/dev/null
word=
read -r word
case $word in
    stop) kill -TERM $pid; wait $pid ;;
    kill) kill -KILL $pid; wait $pid ;;
    *) kill -KILL $pid; wait $pid; rm -rf "$dir" ;;
esac
"#;

/// How a running server is ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// It is asked to.
    Stop,
    /// It is killed.
    Kill,
}

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The program.
    pub(super) path: PathBuf,
    /// Where libraries lie that the system lacks.
    pub(super) libraries: Option<PathBuf>,
}

/// A server with its own folder and port, running or ended for the moment.
#[derive(Debug)]
pub(super) struct Server {
    program: Program,
    arguments: Vec<String>,
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    watcher: Child,
    words: ChildStdin,
    pid: Pid,
}

impl Server {
    /// Starts `program` on a free port in a new folder; `arguments` are made of folder and port.
    pub(super) fn start(
        program: &Program,
        arguments: impl Fn(&Path, u16) -> Result<Vec<String>, String>,
    ) -> Result<Self, String> {
        let name = program.path.file_name().unwrap_or_default().to_string_lossy();
        let mut error = String::new();
        for port in free_ports().take(5) {
            let folder = tempfile::Builder::new()
                .prefix(&format!("cronwright-{name}-"))
                .tempdir()
                .map_err(|error| format!("cannot make a folder for {name}: {error}"))?
                .keep();
            let arguments = arguments(&folder, port)?;
            let program = program.clone();
            let mut server = Self { program, arguments, folder, port, running: None };
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(why) => error = why,
            }
        }
        Err(error)
    }

    /// Starts it after [`Self::end`]: same folder, same port. Returns when it listens.
    pub(super) fn start_again(&mut self) -> Result<(), String> {
        assert!(self.running.is_none(), "it runs");
        let path = &self.program.path;
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "watcher"]).arg(&self.folder).arg(path).args(&self.arguments);
        if let Some(libraries) = &self.program.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C ends the tests; the watcher then sees the end of the pipe.
            .process_group(0)
            .spawn();
        let mut watcher = started.map_err(|error| format!("cannot start sh: {error}"))?;
        let (Some(words), Some(says)) = (watcher.stdin.take(), watcher.stdout.take()) else {
            return Err("sh has no pipes".to_owned());
        };
        let mut line = String::new();
        BufReader::new(says).read_line(&mut line).map_err(|error| error.to_string())?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("cannot start {}", path.display()))?;
        self.running = Some(Running { watcher, words, pid });
        self.wait_until_it_listens()
    }

    /// Ends it and returns when it is gone. Its folder stays.
    pub(super) fn end(&mut self, how: End) {
        let Some(mut running) = self.running.take() else { panic!("it does not run") };
        let word: &[u8] = match how {
            End::Stop => b"stop\n",
            End::Kill => b"kill\n",
        };
        let told = running.words.write_all(word);
        drop(running.words);
        let waited = running.watcher.wait();
        assert!(told.is_ok() && waited.is_ok(), "the watcher is gone: {told:?} {waited:?}");
    }

    /// SIGSTOP: it hangs, its connections stay open. Returns when it has stopped.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
        while state(self.pid()) != Some('T') {
            std::thread::yield_now();
        }
    }

    /// SIGCONT.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        let Some(running) = &self.running else { panic!("it does not run") };
        running.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn signal(&self, signal: Signal) {
        let Some(running) = &self.running else { panic!("it does not run") };
        let sent = kill_process(running.pid, signal);
        assert_eq!(sent, Ok(()), "signal {signal:?}");
    }

    fn wait_until_it_listens(&self) -> Result<(), String> {
        let pid = self.pid();
        let begun = Instant::now();
        while begun.elapsed() < LISTEN_WITHIN {
            if listens(pid, self.port) {
                return Ok(());
            }
            if matches!(state(pid), None | Some('Z')) {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        let path = self.program.path.display();
        Err(format!(
            "{path} does not listen on port {}; its log ends:\n{}",
            self.port,
            tail.join("\n")
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.running.take() {
            Some(mut running) => {
                drop(running.words);
                // The watcher ends by itself; its folder is gone when this returns.
                drop(running.watcher.wait());
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// Ports that nobody listens on just now, beginning at a place of this process's own.
fn free_ports() -> impl Iterator<Item = u16> {
    let seed = uuid::Uuid::now_v7().as_u128() ^ u128::from(std::process::id());
    let first = u16::try_from(seed % u128::from(PORTS.end - PORTS.start)).unwrap_or(0);
    let from_first = PORTS.start + first..PORTS.end;
    from_first.chain(PORTS).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

/// Whether this very process listens on the port, by the kernel's tables: a connection would not
/// tell our server from one of another test run.
fn listens(pid: u32, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let address = format!("0100007F:{port:04X}");
    let socket =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find_map(|fields| {
            match fields[..] {
                [_, local, _, LISTEN, _, _, _, _, _, inode, ..] if local == address => {
                    Some(format!("socket:[{inode}]"))
                }
                _ => None,
            }
        });
    let Some(socket) = socket else { return false };
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == &*socket))
}

/// The state of a process as the kernel shows it: `T` stopped, `Z` dead and not waited for.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
