//! A child process between its creation and its exec.
//!
//! The child is made as `vfork` makes one: it borrows the supervisor's memory instead of getting a copy of
//! its page tables, and the supervisor's thread stands still until the child has become the program or
//! has failed. So what it does here is system calls alone: it takes no lock, allocates nothing and
//! does not panic, and it runs on a stack of its own.

use std::convert::Infallible;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    Gid, Pid, Resource, Rlimit, Signal, Uid, WaitOptions, fchdir, getppid,
    set_parent_process_death_signal, setrlimit, setsid, umask, waitpid,
};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::supervisor::clone::{Made, clone, clone_into, join};
use crate::supervisor::image::Image;

/// The stack of a child, in units of 16 bytes: 64 KiB, of which it uses a few hundred bytes.
const STACK_UNITS: usize = 4096;

/// Where a process that serves calls is given them.
pub(super) const CONTROL: c_int = 3;

/// Where a process finds the file that it is given ([`SCRIPT_PATH`](crate::supervisor::protocol::SCRIPT_PATH)).
pub(super) const SCRIPT: c_int = 4;

/// What a child does before it becomes the program.
#[derive(Debug)]
pub(super) struct Child<'a> {
    /// Its parent, whose death is its own.
    pub(super) supervisor: Pid,
    /// Its limit of open files.
    pub(super) open_files: Rlimit,
    /// Its limit of CPU time, in seconds; none: its parent's.
    pub(super) cpu_time: Option<Rlimit>,
    /// Its file mode creation mask; none: its parent's.
    pub(super) umask: Option<Mode>,
    /// Who it is; none: its parent.
    pub(super) identity: Option<&'a Identity>,
    /// Its control group, open; none: its parent's.
    pub(super) group: Option<BorrowedFd<'a>>,
    /// Where it begins.
    pub(super) working_dir: OwnedFd,
    /// Becomes its stdout.
    pub(super) stdout: OwnedFd,
    /// Becomes its stderr. Its stdin is the supervisor's own, which is `/dev/null`.
    pub(super) stderr: OwnedFd,
    /// Becomes its descriptor [`CONTROL`]; has another number than that.
    pub(super) control: Option<OwnedFd>,
    /// Becomes its descriptor [`SCRIPT`]; has a higher number than that.
    pub(super) script: Option<OwnedFd>,
    /// What it becomes.
    pub(super) image: &'a Image,
}

/// Who a process is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

impl Identity {
    /// Becomes that, for good: of this process alone, whose memory is its parent's. The groups first, which only
    /// root may take.
    fn take(&self) -> Result<(), Errno> {
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        set_thread_res_uid(self.uid, self.uid, self.uid)
    }
}

/// Memory for the stack of one child at a time.
#[derive(Debug)]
pub(super) struct Stack(Box<[MaybeUninit<u128>]>);

/// Why a child has not become its program.
#[derive(Debug)]
pub(super) enum StartError {
    /// It cannot be put into its control group.
    Group(io::Error),
    /// Something else.
    Other(io::Error),
}

/// What parent and child share.
struct Shared<'a> {
    child: &'a Child<'a>,
    /// Whether the child has to go into its control group itself.
    joins: bool,
    /// Whether it failed before it was in its control group.
    is_outside: AtomicBool,
    /// Why it has not become the program; 0: it has.
    errno: AtomicI32,
}

impl Stack {
    /// A stack.
    pub(super) fn new() -> Self {
        Self(Box::new_uninit_slice(STACK_UNITS))
    }
}

impl Child<'_> {
    /// Starts it. Returns when it has become the program: its number, and a descriptor that is readable
    /// when it has ended.
    ///
    /// Must be called on a thread that lives as long as the supervisor: the kernel kills the process when
    /// the thread that started it dies.
    pub(super) fn start(&self, stack: &mut Stack) -> Result<(Pid, OwnedFd), StartError> {
        // A handler of ours must not run in the child, which would write to our memory.
        let mask = set_signal_mask(&all_signals()).map_err(StartError::Other)?;
        let made = self.make(stack);
        set_signal_mask(&mask).map_err(StartError::Other)?;
        made
    }

    fn make(&self, stack: &mut Stack) -> Result<(Pid, OwnedFd), StartError> {
        let errno = AtomicI32::new(0);
        let mut shared =
            Shared { child: self, joins: false, is_outside: AtomicBool::new(false), errno };
        let argument = (&raw mut shared).cast();
        #[expect(unsafe_code, reason = "the child borrows our memory")]
        // SAFETY: until the child has its own memory this thread stands still, so `shared`, what it
        // refers to, and the stack outlive the child's use of them, and nobody else touches them.
        // `run` keeps to what the module says.
        let within =
            self.group.and_then(|group| unsafe { clone_into(group, &mut stack.0, run, argument) });
        let made = if let Some(made) = within {
            made.map_err(StartError::Group)?
        } else {
            shared.joins = self.group.is_some();
            let argument = (&raw mut shared).cast();
            #[expect(unsafe_code, reason = "the child borrows our memory")]
            // SAFETY: the same.
            let made = unsafe { clone(&mut stack.0, run, argument) };
            made.map_err(StartError::Other)?
        };
        shared.outcome(made)
    }

    /// Becomes the program; returns only when something fails.
    fn become_program(&self) -> Result<Infallible, Errno> {
        setsid()?;
        setrlimit(Resource::Nofile, self.open_files)?;
        if let Some(cpu_time) = self.cpu_time {
            setrlimit(Resource::Cpu, cpu_time)?;
        }
        if let Some(mask) = self.umask {
            umask(mask);
        }
        if let Some(identity) = self.identity {
            identity.take()?;
        }
        // Behind that: who becomes somebody else forgets this wish.
        self.die_with_supervisor()?;
        fchdir(&self.working_dir)?;
        dup2_stdout(&self.stdout)?;
        dup2_stderr(&self.stderr)?;
        close_on_exec();
        take(self.control.as_ref(), CONTROL)?;
        take(self.script.as_ref(), SCRIPT)?;
        default_signals()?;
        Err(self.image.exec())
    }

    /// Makes the kernel kill this process when the supervisor dies.
    fn die_with_supervisor(&self) -> Result<(), Errno> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the line above.
        if getppid() == Some(self.supervisor) { Ok(()) } else { Err(Errno::SRCH) }
    }
}

/// Gives the process a descriptor beside the usual three, at a number of its own.
fn take(descriptor: Option<&OwnedFd>, number: c_int) -> Result<(), Errno> {
    let Some(descriptor) = descriptor else { return Ok(()) };
    #[expect(unsafe_code, reason = "rustix wants an owner for the number")]
    // SAFETY: the child has a table of descriptors of its own, and uses no other one after these.
    let made = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
    if made == number { Ok(()) } else { Err(Errno::BADF) }
}

/// The child's whole life before the exec; it ends with what is returned.
extern "C" fn run(shared: *mut c_void) -> c_int {
    #[expect(unsafe_code, reason = "the C library passes a pointer")]
    // SAFETY: `start` passed it, and waits.
    let shared = unsafe { &*shared.cast::<Shared<'_>>() };
    // While it is who may do that.
    let joined = match shared.child.group {
        Some(group) if shared.joins => join(group),
        Some(_) | None => Ok(()),
    };
    shared.is_outside.store(joined.is_err(), Ordering::Relaxed);
    let Err(errno) = joined.and_then(|()| shared.child.become_program());
    shared.errno.store(errno.raw_os_error(), Ordering::Relaxed);
    1
}

impl Shared<'_> {
    /// What became of the child, which has its own memory now, or has ended.
    fn outcome(&self, made: Made) -> Result<(Pid, OwnedFd), StartError> {
        #[expect(unsafe_code, reason = "the kernel gave the descriptor as a number")]
        // SAFETY: it is open, and nobody else's.
        let exit = unsafe { OwnedFd::from_raw_fd(made.pidfd) };
        let Some(pid) = Pid::from_raw(made.pid) else {
            return Err(StartError::Other(Errno::CHILD.into()));
        };
        let errno = self.errno.load(Ordering::Relaxed);
        if errno == 0 {
            return Ok((pid, exit));
        }
        waitpid(Some(pid), WaitOptions::empty())
            .map_err(|errno| StartError::Other(errno.into()))?;
        let error = io::Error::from_raw_os_error(errno);
        let is_outside = self.is_outside.load(Ordering::Relaxed);
        Err(if is_outside { StartError::Group(error) } else { StartError::Other(error) })
    }
}

fn all_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "std and rustix leave the signal mask alone")]
    // SAFETY: `sigfillset` initialises the set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// The mask that was in force before.
fn set_signal_mask(set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    let mut former = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "std and rustix leave the signal mask alone")]
    // SAFETY: `set` is alive, and `former` is written when there is no error.
    unsafe {
        match libc::pthread_sigmask(libc::SIG_SETMASK, set, former.as_mut_ptr()) {
            0 => Ok(former.assume_init()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The supervisor takes its signals from a descriptor, and has blocked them for that; it ignores PIPE.
fn default_signals() -> Result<(), Errno> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    #[expect(unsafe_code, reason = "std and rustix leave signals alone")]
    // SAFETY: `sigemptyset` initialises the set; an action of zeros but for its handler is a valid one.
    let set = unsafe {
        (*action.as_mut_ptr()).sa_sigaction = libc::SIG_DFL;
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigaction(libc::SIGPIPE, action.as_ptr(), std::ptr::null_mut())
            | libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    };
    if set == 0 { Ok(()) } else { Err(Errno::INVAL) }
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
