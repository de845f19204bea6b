//! One run of the `git` program: bounded in time and output, asking nobody, and with no more of the
//! surroundings than it needs.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, read, write};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::io::clock::boot;
use crate::io::git::GitError;
use crate::time::BootTime;

/// How much of its complaints is kept, in bytes.
const COMPLAINT_BYTES_MAX: usize = 16 * 1024;
/// How much of a complaint is shown, in characters.
const SHOWN_CHARS_MAX: usize = 400;
/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often a run that may fill the disk is looked at.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Variables that would lead git to another repository, index or configuration, have it write traces, or
/// open a window that asks for a password. A hook of git that calls this program sets many of them.
const FORGOTTEN: [&str; 29] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE2_PERF",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_WORK_TREE",
    "SSH_ASKPASS",
];

/// Settings of a run that speaks with a server: nothing is executed here, nothing goes on in the
/// background, and nothing but what is asked for changes.
const REMOTE_SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.logAllRefUpdates=false",
    "credential.interactive=false",
    "fetch.prune=false",
    "fetch.pruneTags=false",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// What a run may see and reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access<'t> {
    /// One repository, whose objects it reads. No configuration but the repository's own; no transport.
    Objects,
    /// The configuration of the user and the system too: it says which keys are trusted.
    Configuration,
    /// That, and a server: credential helpers, proxies and the like are the user's.
    Remote(&'t Transport),
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transport {
    /// As `GIT_ALLOW_PROTOCOL` takes them.
    pub(super) protocols: &'static str,
    /// How ssh is called; none: as `GIT_SSH` says.
    pub(super) ssh: Option<String>,
}

/// A run that is being put together.
pub(super) struct Git<'a> {
    what: &'static str,
    command: Command,
    input: &'a [u8],
    within: Duration,
    output_max: u64,
    too_big: Option<&'a dyn Fn() -> bool>,
}

/// A run that ended by itself.
#[derive(Debug)]
pub(super) struct Finished {
    what: &'static str,
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    complaint: Vec<u8>,
}

impl<'a> Git<'a> {
    /// `git what …` on the repository `git_dir`. What is run must end within `within`.
    pub(super) fn new(
        what: &'static str,
        git_dir: &Path,
        access: Access<'_>,
        within: Duration,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "git is run here and nowhere else")]
        let mut command = Command::new("git");
        let mut dir = OsString::from("--git-dir=");
        dir.push(git_dir);
        command.arg("--no-pager").arg(dir);
        for name in FORGOTTEN {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ATTR_NOSYSTEM", "1");
        match access {
            Access::Objects => command
                .env_remove("GIT_CONFIG_COUNT")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_ALLOW_PROTOCOL", ""),
            Access::Configuration => command.env("GIT_ALLOW_PROTOCOL", ""),
            Access::Remote(transport) => {
                for setting in REMOTE_SETTINGS {
                    command.args(["-c", setting]);
                }
                if let Some(ssh) = &transport.ssh {
                    command.env("GIT_SSH_COMMAND", ssh);
                }
                command
                    .env("GIT_ALLOW_PROTOCOL", transport.protocols)
                    .env("SSH_ASKPASS_REQUIRE", "never")
                    .env("GCM_INTERACTIVE", "never")
            }
        };
        command.arg(what).current_dir("/");
        Self { what, command, input: &[], within, output_max: 1 << 20, too_big: None }
    }

    pub(super) fn arg(mut self, text: &str) -> Self {
        self.command.arg(text);
        self
    }

    pub(super) fn args(mut self, texts: &[&str]) -> Self {
        self.command.args(texts);
        self
    }

    /// What it reads.
    pub(super) fn input(mut self, bytes: &'a [u8]) -> Self {
        self.input = bytes;
        self
    }

    /// How much it may say, in bytes.
    pub(super) fn output_max(mut self, bytes: u64) -> Self {
        self.output_max = bytes;
        self
    }

    /// Ends it once this says so; asked every half second.
    pub(super) fn too_big(mut self, too_big: &'a dyn Fn() -> bool) -> Self {
        self.too_big = Some(too_big);
        self
    }

    /// Runs it. It is an error when it cannot be started, or had to be ended with all that it started.
    pub(super) fn run(mut self) -> Result<Finished, GitError> {
        let what = self.what;
        self.command
            .stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that ssh and all helpers can be ended with it.
            .process_group(0);
        let mut child =
            self.command.spawn().map_err(|error| GitError::NoProgram(error.to_string()))?;
        let heard = Talk::with(&mut child, &self).and_then(|mut talk| {
            talk.listen()?;
            Ok((talk.output.bytes, talk.complaint.bytes))
        });
        match heard {
            Ok((output, complaint)) => {
                let status = child.wait().map_err(|e| GitError::Failed(what, e.to_string()))?;
                Ok(Finished { what, status, output, complaint })
            }
            Err(error) => {
                // It has not been waited for, so that its number is nobody else's.
                kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
                child.wait().ok();
                Err(error)
            }
        }
    }

    /// Runs it; what it says, when it succeeds.
    pub(super) fn output(self) -> Result<Vec<u8>, GitError> {
        let finished = self.run()?;
        if finished.status.success() { Ok(finished.output) } else { Err(finished.failure()) }
    }
}

impl Finished {
    /// It failed, in its own words.
    pub(super) fn failure(&self) -> GitError {
        let words = self.words();
        let words = if words.is_empty() { "it does not say why".to_owned() } else { words };
        GitError::Failed(self.what, words)
    }

    /// The line of its complaint that says most; empty when there is none.
    pub(super) fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaint);
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let told =
            |line: &&&str| ["fatal:", "error:", "ERROR:"].iter().any(|w| line.starts_with(w));
        let line = lines.iter().find(told).or(lines.last()).copied().unwrap_or_default();
        let line = line.strip_prefix("fatal: ").unwrap_or(line);
        line.chars().filter(|sign| !sign.is_control()).take(SHOWN_CHARS_MAX).collect()
    }
}

/// A pipe that is read, and what came out of it.
struct Ear {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    max: u64,
    over: bool,
}

/// Speaking with a run until it has ended.
struct Talk<'a> {
    what: &'static str,
    exit: OwnedFd,
    input: &'a [u8],
    mouth: Option<OwnedFd>,
    output: Ear,
    complaint: Ear,
    within: Duration,
    deadline: BootTime,
    too_big: Option<&'a dyn Fn() -> bool>,
}

impl<'a> Talk<'a> {
    fn with(child: &mut Child, git: &Git<'a>) -> Result<Self, GitError> {
        let failed = |errno: Errno| GitError::Failed(git.what, errno.to_string());
        let exit = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(failed)?;
        let talk = Self {
            what: git.what,
            exit,
            input: git.input,
            mouth: child.stdin.take().map(OwnedFd::from),
            output: Ear::new(child.stdout.take().map(OwnedFd::from), git.output_max),
            complaint: Ear::new(child.stderr.take().map(OwnedFd::from), COMPLAINT_BYTES_MAX as u64),
            within: git.within,
            deadline: boot().plus(git.within),
            too_big: git.too_big,
        };
        let pipes = [&talk.mouth, &talk.output.pipe, &talk.complaint.pipe];
        for pipe in pipes.into_iter().flatten() {
            ioctl_fionbio(pipe, true).map_err(failed)?;
        }
        Ok(talk)
    }

    /// Until it has ended. A helper that lives on and keeps a pipe open is not waited for.
    fn listen(&mut self) -> Result<(), GitError> {
        loop {
            let ended = self.wait()?;
            self.speak();
            self.output.hear();
            self.complaint.hear();
            if self.output.over {
                return Err(GitError::TooMuch(self.what));
            }
            if ended {
                return Ok(());
            }
            if self.deadline <= boot() {
                return Err(GitError::TimedOut(self.what, self.within));
            }
            if self.too_big.is_some_and(|too_big| too_big()) {
                return Err(GitError::TooMuch(self.what));
            }
        }
    }

    /// Waits until there is something to do; whether it has ended.
    fn wait(&self) -> Result<bool, GitError> {
        let left = self.deadline.since(boot()).min(match self.too_big {
            Some(_) => CHECK_EVERY,
            None => Duration::MAX,
        });
        let left = Timespec::try_from(left).ok();
        let ears = [&self.output.pipe, &self.complaint.pipe].into_iter().flatten();
        let mut fds = vec![PollFd::new(&self.exit, PollFlags::IN)];
        fds.extend(ears.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.mouth.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {
                Ok(fds.first().is_some_and(|exit| exit.revents().contains(PollFlags::IN)))
            }
            Err(errno) => Err(GitError::Failed(self.what, errno.to_string())),
        }
    }

    /// Writes what it can take; what it does not want to read is its own affair.
    fn speak(&mut self) {
        let Some(pipe) = &self.mouth else { return };
        match write(pipe, self.input) {
            Ok(written) => self.input = self.input.get(written..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.mouth = None;
        }
    }
}

impl Ear {
    fn new(pipe: Option<OwnedFd>, max: u64) -> Self {
        Self { pipe, bytes: Vec::new(), max, over: false }
    }

    /// Takes in what there is; beyond the bound it is thrown away.
    fn hear(&mut self) {
        while let Some(pipe) = &self.pipe {
            match take(pipe.as_fd(), &mut self.bytes) {
                Ok(0) => self.pipe = None,
                Ok(_) => {}
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => self.pipe = None,
            }
            let max = usize::try_from(self.max).unwrap_or(usize::MAX);
            if self.bytes.len() > max {
                self.bytes.truncate(max);
                self.over = true;
                return;
            }
        }
    }
}

/// Reads a piece of what is there; how much it was.
fn take(pipe: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> Result<usize, Errno> {
    let before = bytes.len();
    bytes.resize(before + CHUNK_BYTES, 0);
    let taken = read(pipe, bytes.get_mut(before..).unwrap_or_default());
    bytes.truncate(before + taken.unwrap_or(0));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bare repository with an alias that runs a shell; none: without `git` the test is left out.
    fn repository(script: &str) -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        let git = |what| Git::new(what, folder.path(), Access::Objects, Duration::from_secs(30));
        if let Err(GitError::NoProgram(error)) = git("init").args(&["--bare", "--quiet"]).output() {
            println!("left out: a test that needs the program `git`: {error}");
            return None;
        }
        git("config").args(&["alias.act", &format!("!{script}")]).output().unwrap();
        Some(folder)
    }

    #[test]
    fn a_run_that_takes_too_long_is_ended_with_all_that_it_started() {
        let Some(folder) = repository("echo $$ > \"$GIT_DIR/pid\"; sleep 600 & sleep 600") else {
            return;
        };
        let mut limit = Duration::from_millis(500);
        // On a busy machine it may not have begun within the limit.
        let pid = loop {
            let run = Git::new("act", folder.path(), Access::Objects, limit).run();
            assert_eq!(run.unwrap_err(), GitError::TimedOut("act", limit));
            #[expect(clippy::disallowed_methods, reason = "the test looks at what was left")]
            match std::fs::read_to_string(folder.path().join("pid")) {
                Ok(pid) if pid.ends_with('\n') => break pid,
                Ok(_) | Err(_) => limit *= 2,
            }
            assert!(limit < Duration::from_mins(1), "it never began");
        };
        let stat = format!("/proc/{}/stat", pid.trim());
        // Killed; the kernel may not have ended it yet, nor whoever inherited it have reaped it.
        let given_up = boot().plus(Duration::from_secs(10));
        loop {
            #[expect(clippy::disallowed_methods, reason = "the test looks at what was left")]
            let left = std::fs::read_to_string(&stat).unwrap_or_default();
            if left.is_empty() || left.contains(") Z ") {
                break;
            }
            assert!(boot() < given_up, "{left}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_helper_that_lives_on_with_the_pipes_is_not_waited_for() {
        let Some(folder) = repository("echo said; setsid sleep 2 &") else { return };
        let begun = boot();
        let said = Git::new("act", folder.path(), Access::Objects, Duration::from_mins(1)).output();
        assert_eq!(said.unwrap(), b"said\n");
        assert!(boot().since(begun) < Duration::from_millis(1900));
    }

    #[test]
    fn a_run_that_says_too_much_is_ended() {
        let Some(folder) = repository("yes") else { return };
        let run = Git::new("act", folder.path(), Access::Objects, Duration::from_mins(1));
        assert_eq!(run.output_max(1000).run().unwrap_err(), GitError::TooMuch("act"));
    }

    #[test]
    fn the_words_of_git_are_one_clean_line() {
        let words = |complaint: &str| {
            let status = std::os::unix::process::ExitStatusExt::from_raw(256);
            Finished { what: "x", status, output: vec![], complaint: complaint.into() }.words()
        };
        assert_eq!(words("remote: hello\nfatal: no \u{1b}[31mway\nhint: x\n"), "no [31mway");
        assert_eq!(words("gpg: a\ngpg: b\n"), "gpg: b");
        assert_eq!(words(" \n"), "");
        assert_eq!(words(&"x".repeat(1000)).len(), SHOWN_CHARS_MAX);
    }
}
