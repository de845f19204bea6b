//! What the supervisor costs: starting processes, and reading what they print.
//!
//! `cargo bench --bench spawn`: how fast processes are started and seen to end, 64 at a time. `/bin/true` with its two pipes captured, in rounds, each way once a round:
//! - `posix_spawn`: the C library's, in a loop of one thread; what the machine can do.
//! - `tokio::process`: what a scheduler without a supervisor would use.
//! - `supervisor, in memory`: the real supervisor through its socket and its client, the endings spooled in
//!   memory (`/dev/shm`), so that an fsync costs nothing.
//! - `supervisor`: the same with the endings made durable, in groups, on the disk of `target`.
//!
//! `cargo bench --bench spawn drain`: how fast the output of one process is read, and how much more memory that takes.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark: it starts processes, reads the clock and prints"
)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cronwright::io::executor::supervisor::{Launch, SupervisorEvent, SupervisorHandle};
use cronwright::supervisor::protocol::{HowEnded, ProcessEnding, StartProcess, StartRules};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

const IN_FLIGHT: usize = 64;
const PROCESSES: usize = 2_000;
const ROUNDS: usize = 7;
const PROGRAM: &str = "/bin/true";
const FLOOD_BYTES: u32 = 3_000_000_000;
const FLOODS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == "drain") {
        drain(&runtime);
    } else {
        spawn(&runtime);
    }
}

fn drain(runtime: &Runtime) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut supervised = runtime.block_on(Supervised::start(folder.path()));
    runtime.block_on(supervised.ending_of("warm", &[PROGRAM]));
    let before = supervised.peak_kib();
    let bytes = FLOOD_BYTES.to_string();
    let rates = (0..FLOODS).map(|round| {
        let argv = ["head", "-c", &bytes, "/dev/zero"];
        let ending = runtime.block_on(supervised.ending_of(&format!("flood-{round}"), &argv));
        assert_eq!(ending.output.bytes, u64::from(FLOOD_BYTES));
        let milliseconds = u32::try_from(ending.duration_ms.unwrap()).unwrap();
        f64::from(FLOOD_BYTES) / f64::from(milliseconds) / 1e6
    });
    let rates = sorted(rates.collect());
    println!(
        "GB/s drained of one process, {FLOODS} floods of {FLOOD_BYTES} bytes (median, min, max): {:.2} {:.2} {:.2}; \
         the supervisor's peak grew by {} KiB from {before} KiB",
        rates[FLOODS / 2],
        rates[0],
        rates[FLOODS - 1],
        supervised.peak_kib() - before
    );
    supervised.quit();
}

fn spawn(runtime: &Runtime) {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut on_disk = runtime.block_on(Supervised::start(disk.path()));
    let mut in_memory = runtime.block_on(Supervised::start(memory.path()));
    let mut rates: [Vec<f64>; 4] = Default::default();
    for round in 0..ROUNDS {
        let took = [
            timed(posix_spawn),
            timed(|| runtime.block_on(by_tokio())),
            timed(|| runtime.block_on(in_memory.run(round))),
            timed(|| runtime.block_on(on_disk.run(round))),
        ];
        for (rates, took) in rates.iter_mut().zip(took) {
            rates.push(f64::from(u32::try_from(PROCESSES).unwrap()) / took.as_secs_f64());
        }
    }
    on_disk.quit();
    in_memory.quit();
    report(&rates);
}

fn report(rates: &[Vec<f64>; 4]) {
    let names = ["posix_spawn", "tokio::process", "supervisor, in memory", "supervisor"];
    println!(
        "processes/s, {IN_FLIGHT} in flight, {ROUNDS} rounds of {PROCESSES} (median, min, max; median share of tokio's)"
    );
    for (name, own) in names.iter().zip(rates) {
        let shares = own.iter().zip(&rates[1]).map(|(own, tokio)| own / tokio).collect();
        let own = sorted(own.clone());
        println!(
            "{name:<22} {:>6.0} {:>6.0} {:>6.0}   {:.2}",
            own[ROUNDS / 2],
            own[0],
            own[ROUNDS - 1],
            sorted(shares)[ROUNDS / 2]
        );
    }
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn timed(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

/// A supervisor of its own, and its client.
struct Supervised {
    handle: SupervisorHandle,
    events: Receiver<SupervisorEvent>,
    folder: String,
}

impl Supervised {
    async fn start(folder: &Path) -> Self {
        let launch = Launch::new(folder, env!("CARGO_BIN_EXE_cronwright"));
        let (handle, mut events) = SupervisorHandle::connect_or_start(launch).await.unwrap();
        while events.recv().await.unwrap() != SupervisorEvent::Ready {}
        Self { handle, events, folder: folder.to_str().unwrap().to_owned() }
    }

    async fn run(&mut self, round: usize) {
        let mut next = 0;
        let mut ended = 0;
        while ended < PROCESSES {
            while next < PROCESSES && next - ended < IN_FLIGHT {
                self.handle.start(self.process(&format!("{round}-{next}"), &[PROGRAM])).unwrap();
                next += 1;
            }
            let event = self.events.recv().await.unwrap();
            if let SupervisorEvent::Ended(ending) = event {
                assert_eq!(ending.how, HowEnded::Exited { code: 0 });
                self.handle.recorded(&ending.id).unwrap();
                ended += 1;
            }
        }
    }

    async fn ending_of(&mut self, id: &str, argv: &[&str]) -> Box<ProcessEnding> {
        self.handle.start(self.process(id, argv)).unwrap();
        loop {
            if let SupervisorEvent::Ended(ending) = self.events.recv().await.unwrap() {
                self.handle.recorded(id).unwrap();
                return ending;
            }
        }
    }

    fn process(&self, id: &str, argv: &[&str]) -> StartProcess {
        StartProcess {
            id: id.to_owned(),
            argv: argv.iter().map(ToString::to_string).collect(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            working_dir: self.folder.clone(),
            timeout_ms: None,
            kill_grace_ms: 10_000,
            output_bytes_max: 128 * 1024,
            rules: StartRules::default(),
        }
    }

    fn pid(&self) -> i32 {
        let lock =
            std::fs::read_to_string(Path::new(&self.folder).join("supervisor.lock")).unwrap();
        lock.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn peak_kib(&self) -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn quit(self) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

async fn by_tokio() {
    let mut running = tokio::task::JoinSet::new();
    let mut next = 0;
    while next < PROCESSES || !running.is_empty() {
        while next < PROCESSES && running.len() < IN_FLIGHT {
            running.spawn(async {
                let mut command = tokio::process::Command::new(PROGRAM);
                command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
                command.output().await.unwrap()
            });
            next += 1;
        }
        let output = running.join_next().await.unwrap().unwrap();
        assert!(output.status.success());
    }
}

/// The C library's, with `poll` over the pipes and `waitpid`.
fn posix_spawn() {
    let mut running: Vec<(libc::pid_t, OwnedFd, OwnedFd)> = Vec::new();
    let mut next = 0;
    while next < PROCESSES || !running.is_empty() {
        while next < PROCESSES && running.len() < IN_FLIGHT {
            running.push(spawn_one());
            next += 1;
        }
        let mut polled: Vec<libc::pollfd> = running
            .iter()
            .map(|(_, out, _)| libc::pollfd {
                fd: out.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        #[expect(unsafe_code, reason = "a system call")]
        // SAFETY: the array is alive and as long as is said.
        unsafe {
            libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1);
        }
        let closed: Vec<bool> = polled.iter().map(|polled| polled.revents != 0).collect();
        let mut at = 0;
        running.retain(|(pid, out, err)| {
            at += 1;
            let over = closed[at - 1];
            if over {
                end_one(*pid, out, err);
            }
            !over
        });
    }
}

fn end_one(pid: libc::pid_t, out: &OwnedFd, err: &OwnedFd) {
    let mut buffer = [0; 1024];
    for pipe in [out, err] {
        while rustix::io::read(pipe, &mut buffer).unwrap() > 0 {}
    }
    let mut status = 0;
    #[expect(unsafe_code, reason = "a system call")]
    // SAFETY: `status` is alive.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((reaped, status), (pid, 0));
}

fn spawn_one() -> (libc::pid_t, OwnedFd, OwnedFd) {
    use rustix::pipe::{PipeFlags, pipe_with};
    let (out, out_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (err, err_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let program = CString::new(PROGRAM).unwrap();
    let argv = [program.as_ptr().cast_mut(), std::ptr::null_mut()];
    let path = CString::new("PATH=/usr/bin:/bin").unwrap();
    let env = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let mut pid = 0;
    #[expect(unsafe_code, reason = "the C library's posix_spawn")]
    // SAFETY: the actions are initialised before they are used and destroyed after; texts and arrays are
    // alive, and end with a null.
    unsafe {
        let mut actions = std::mem::MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), out_end.as_raw_fd(), 1);
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), err_end.as_raw_fd(), 2);
        let spawned = libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            actions.as_ptr(),
            std::ptr::null(),
            argv.as_ptr(),
            env.as_ptr(),
        );
        assert_eq!(spawned, 0);
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
    }
    (pid, out, err)
}
