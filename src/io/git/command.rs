//! One run of the `git` program: bounded in time and output, asking nobody, and with no more of the
//! surroundings than it needs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::io::git::GitError;
use crate::io::helper::{self, Bounds, HelperError};

/// How much of a complaint is shown, in characters.
const SHOWN_CHARS_MAX: usize = 400;

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
    pub(super) fn run(self) -> Result<Finished, GitError> {
        let what = self.what;
        let bounds =
            Bounds { within: self.within, output_max: self.output_max, too_big: self.too_big };
        let said = helper::run(self.command, self.input, &bounds).map_err(|error| match error {
            HelperError::NotStarted(error) => GitError::NoProgram(error.to_string()),
            HelperError::Failed(error) => GitError::Failed(what, error.to_string()),
            HelperError::TimedOut(within) => GitError::TimedOut(what, within),
            HelperError::TooMuch => GitError::TooMuch(what),
        })?;
        Ok(Finished { what, status: said.status, output: said.output, complaint: said.complaint })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::boot;

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
