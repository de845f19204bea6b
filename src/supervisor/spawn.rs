//! Starting a job process: its own session, exactly the given environment, no descriptor but 0, 1, 2.
//!
//! Everything that can be found out before the fork is, so that the reason names what is wrong. The
//! child does the rest with system calls alone and execs by itself: `execvp` of the C library would
//! hand a file without `#!` to a shell.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, fcntl_getfl, fcntl_setfl};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getpid, getppid, pidfd_open, setrlimit, setsid,
};

use crate::supervisor::protocol::StartProcess;

/// Where a program without a slash is looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A process that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its process id, process group and session.
    pub(super) pid: Pid,
    /// Readable when it has ended.
    pub(super) exit: OwnedFd,
    /// Its stdout; never blocks.
    pub(super) stdout: OwnedFd,
    /// Its stderr; never blocks.
    pub(super) stderr: OwnedFd,
}

/// Starts `process` with the variables of `own` added to its environment. `open_files` is the limit
/// that the process gets (the supervisor may have raised its own). The error is one sentence.
///
/// Must be called on a thread that lives as long as the supervisor: the kernel kills the process
/// when the thread that started it dies.
pub(super) fn spawn(
    process: &StartProcess,
    own: &BTreeMap<&str, String>,
    open_files: &Rlimit,
) -> Result<Spawned, String> {
    let image = Image::new(process, own)?;
    let program = image.path.to_string_lossy().into_owned();
    let open_files = *open_files;
    let supervisor = getpid();
    let working_dir = open_working_dir(&process.working_dir)?;

    #[expect(clippy::disallowed_methods, reason = "the supervisor starts the job processes")]
    let mut command = Command::new(&program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let before_exec = move || {
        setsid()?;
        die_with(supervisor)?;
        setrlimit(Resource::Nofile, open_files)?;
        rustix::process::fchdir(&working_dir)?;
        close_on_exec();
        unblock_signals()?;
        Err(image.exec())
    };
    #[expect(unsafe_code, reason = "code between fork and exec")]
    // SAFETY: the closure makes system calls only: it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(before_exec);
    }
    let mut child = command.spawn().map_err(|error| exec_error(&program, &error))?;

    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (Some(pid), Some(stdout), Some(stderr)) = (pid, child.stdout.take(), child.stderr.take())
    else {
        return Err(format!("cannot start `{program}`: it has no process id or no pipes"));
    };
    watched(pid, stdout.into(), stderr.into()).map_err(|error| {
        // Nobody would see it end.
        let end = rustix::process::kill_process(pid, Signal::KILL);
        format!("cannot watch `{program}`, which was killed ({end:?}): {error}")
    })
}

fn watched(pid: Pid, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Spawned> {
    let exit = pidfd_open(pid, PidfdFlags::empty())?;
    for pipe in [&stdout, &stderr] {
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    Ok(Spawned { pid, exit, stdout, stderr })
}

/// What is to be executed, ready for the kernel.
#[derive(Debug)]
struct Image {
    path: CString,
    argv: Pointers,
    env: Pointers,
}

/// Texts and the null-terminated array of pointers to them.
#[derive(Debug)]
struct Pointers {
    // Owns what `array` points to; the texts are on the heap and never change.
    _texts: Vec<CString>,
    array: Vec<*const c_char>,
}

#[expect(unsafe_code, reason = "raw pointers are neither Send nor Sync by themselves")]
// SAFETY: the pointers point to texts owned by the same value, which nobody changes.
unsafe impl Send for Pointers {}
#[expect(unsafe_code, reason = "raw pointers are neither Send nor Sync by themselves")]
// SAFETY: as above.
unsafe impl Sync for Pointers {}

impl Image {
    fn new(process: &StartProcess, own: &BTreeMap<&str, String>) -> Result<Self, String> {
        let Some(name) = process.argv.first() else {
            return Err("the command is empty".to_owned());
        };
        let path = program_path(name, &process.env, Path::new(&process.working_dir))?;
        let argv = process.argv.iter().map(|argument| text("an argument", argument.as_bytes()));
        let mut env: BTreeMap<&str, &str> =
            process.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        env.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        let env = env.into_iter().map(|(name, value)| variable(name, value));
        Ok(Self {
            path: text("the program", path.as_os_str().as_bytes())?,
            argv: Pointers::new(argv.collect::<Result<_, _>>()?),
            env: Pointers::new(env.collect::<Result<_, _>>()?),
        })
    }

    /// Becomes the program; returns only when that fails.
    fn exec(&self) -> io::Error {
        #[expect(unsafe_code, reason = "std has no exec with a given path and environment")]
        // SAFETY: the path and both arrays end with a null, and what they point to is alive.
        unsafe {
            libc::execve(self.path.as_ptr(), self.argv.array.as_ptr(), self.env.array.as_ptr());
        }
        io::Error::last_os_error()
    }
}

impl Pointers {
    fn new(texts: Vec<CString>) -> Self {
        let ends = [std::ptr::null()];
        let array = texts.iter().map(|text| CStr::as_ptr(text)).chain(ends).collect();
        Self { _texts: texts, array }
    }
}

fn text(what: &str, bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| {
        format!("{what} holds a zero byte: `{}`", String::from_utf8_lossy(bytes).escape_debug())
    })
}

fn variable(name: &str, value: &str) -> Result<CString, String> {
    if name.is_empty() || name.contains('=') {
        return Err(format!("`{name}` is not a name for an environment variable"));
    }
    // The value may be a secret: it is not repeated.
    CString::new(format!("{name}={value}")).map_err(|_| {
        format!("the environment variable `{}` holds a zero byte", name.escape_debug())
    })
}

/// The absolute path of a program: as given when it has a slash, else from the PATH of `env`.
fn program_path(
    name: &str,
    env: &BTreeMap<String, String>,
    working_dir: &Path,
) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(working_dir.join(name));
    }
    let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let mut denied = None;
    for folder in path.split(':').filter(|_| !name.is_empty()) {
        let candidate = working_dir.join(folder).join(name);
        match accessat(CWD, &candidate, Access::EXEC_OK, AtFlags::empty()) {
            Ok(()) if candidate.is_file() => return Ok(candidate),
            Err(rustix::io::Errno::ACCESS) => denied = Some(candidate),
            Ok(()) | Err(_) => {}
        }
    }
    Err(match denied {
        Some(candidate) => {
            format!("cannot start `{}`: {}", candidate.display(), os_text(libc::EACCES))
        }
        None => format!("cannot start `{name}`: it is in no folder of the PATH `{path}`"),
    })
}

fn open_working_dir(path: &str) -> Result<OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(|folder| {
            accessat(&folder, ".", Access::EXEC_OK, AtFlags::empty())?;
            Ok(folder)
        })
        .map_err(|errno| {
            format!(
                "cannot enter the working directory `{path}`: {}",
                os_text(errno.raw_os_error())
            )
        })
}

fn exec_error(program: &str, error: &io::Error) -> String {
    let missing_interpreter =
        error.raw_os_error() == Some(libc::ENOENT) && Path::new(program).exists();
    let hint = if missing_interpreter { " (its interpreter is missing)" } else { "" };
    format!("cannot start `{program}`: {error}{hint}")
}

fn os_text(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}

/// Makes the kernel kill this process when the supervisor dies.
fn die_with(supervisor: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above.
    if getppid() == Some(supervisor) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

/// The supervisor takes its signals from a descriptor, and has blocked them for that.
fn unblock_signals() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    #[expect(unsafe_code, reason = "std and rustix leave the signal mask alone")]
    // SAFETY: `sigemptyset` initialises the set before it is read.
    let set = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Everything from 3 on closes with the exec. All descriptors of the supervisor do so already; this
/// is for those it may have inherited.
fn close_on_exec() {
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    // SAFETY: nothing is closed now, only at the exec.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}
