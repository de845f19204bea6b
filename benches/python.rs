//! What a call of a Python class costs, from the order to its ending, one after the other.
//!
//! `cargo bench --bench python`: in rounds, each way once a round:
//! - `posix_spawn`: `/bin/true` by the C library through std, started and waited for; what a process costs.
//! - `warm`: a class whose `main` does nothing, in a process that is kept, through the real supervisor.
//! - `warm, on disk`: the same with the endings on the disk of `target`; the others keep them in `/dev/shm`.
//! - `cold`: the same class, each call in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark: it starts processes, reads the clock and prints"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cronwright::io::executor::python::{CALL_VARIABLE, CallProcess, Caller, Keep, Python};
use cronwright::io::executor::supervisor::{Launch, SupervisorEvent, SupervisorHandle};
use cronwright::spec::task::call::Call;
use cronwright::supervisor::protocol::{HowEnded, StartProcess, StartRules, WarmRules};
use tokio::sync::mpsc::Receiver;

const ROUNDS: usize = 5;
const CALLS: usize = 400;
const COLD_CALLS: usize = 20;
const MEMORY_BYTES_MAX: u64 = 512 << 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut in_memory = runtime.block_on(Supervised::start(memory.path()));
    let mut on_disk = runtime.block_on(Supervised::start(disk.path()));
    let mut took: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        took[0].extend((0..CALLS).map(|_| spawned()));
        for _ in 0..CALLS {
            took[1].push(runtime.block_on(in_memory.call(true)));
            took[2].push(runtime.block_on(on_disk.call(true)));
        }
        for _ in 0..COLD_CALLS {
            took[3].push(runtime.block_on(in_memory.call(false)));
        }
    }
    in_memory.quit();
    on_disk.quit();
    println!("milliseconds of one call, one after the other (median, 9 in 10, calls)");
    for (name, mut took) in ["posix_spawn", "warm", "warm, on disk", "cold"].into_iter().zip(took) {
        took.sort_by(f64::total_cmp);
        let count = took.len();
        println!("{name:<14} {:>8.3} {:>8.3} {count:>6}", took[count / 2], took[count * 9 / 10]);
    }
}

fn spawned() -> f64 {
    let begun = Instant::now();
    assert!(Command::new("/bin/true").status().unwrap().success());
    begun.elapsed().as_secs_f64() * 1e3
}

/// A supervisor of its own, its client, and a folder with a class.
struct Supervised {
    handle: SupervisorHandle,
    events: Receiver<SupervisorEvent>,
    caller: Caller,
    folder: String,
    calls: usize,
}

impl Supervised {
    async fn start(folder: &Path) -> Self {
        let root = folder.join("tasks");
        std::fs::create_dir(&root).unwrap();
        let nothing = "class Nothing:\n    def main(self):\n        pass\n";
        std::fs::write(root.join("nothing.py"), nothing).unwrap();
        let python = Python {
            interpreter: "python3".into(),
            root,
            allow: vec!["*".to_owned()],
            keep: Some(Keep { memory_bytes_max: MEMORY_BYTES_MAX }),
        };
        let caller = python.install(folder).unwrap();
        let launch = Launch::new(folder, env!("CARGO_BIN_EXE_cronwright"));
        let (handle, mut events) = SupervisorHandle::connect_or_start(launch).await.unwrap();
        while events.recv().await.unwrap() != SupervisorEvent::Ready {}
        Self { handle, events, caller, folder: folder.to_str().unwrap().to_owned(), calls: 0 }
    }

    /// How long a call took, in milliseconds.
    async fn call(&mut self, is_warm: bool) -> f64 {
        self.calls += 1;
        let order = self.order(is_warm);
        let begun = Instant::now();
        self.handle.start(order).unwrap();
        loop {
            if let SupervisorEvent::Ended(ending) = self.events.recv().await.unwrap() {
                let took = begun.elapsed().as_secs_f64() * 1e3;
                assert_eq!(ending.how, HowEnded::Exited { code: 0 });
                self.handle.recorded(&ending.id).unwrap();
                return took;
            }
        }
    }

    fn order(&self, is_warm: bool) -> StartProcess {
        let keep = is_warm.then_some(Keep { memory_bytes_max: MEMORY_BYTES_MAX });
        let call = Call::parse("nothing.Nothing()").unwrap();
        let CallProcess { argv, call, .. } = self.caller.process(&call, keep, false);
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), (CALL_VARIABLE, &call)];
        let warm = keep.map(|keep| WarmRules {
            call_variables: vec![CALL_VARIABLE.to_owned()],
            memory_bytes_max: keep.memory_bytes_max,
        });
        StartProcess {
            id: self.calls.to_string(),
            argv,
            env: BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            working_dir: self.folder.clone(),
            timeout_ms: None,
            kill_grace_ms: 10_000,
            output_bytes_max: 128 * 1024,
            rules: StartRules { warm, ..StartRules::default() },
        }
    }

    fn quit(self) {
        let lock = std::fs::read_to_string(Path::new(&self.folder).join("supervisor.lock"));
        let pid = lock.unwrap().split_whitespace().next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}
