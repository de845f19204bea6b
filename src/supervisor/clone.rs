//! Making a child that borrows our memory, where it can be made within its control group.
//!
//! `clone` of the C library knows nothing of control groups, and it has no `clone3`. To move a child into its group
//! afterwards costs about 13 ms in which nothing else starts: the kernel waits for all its processors first. So the call
//! is made here where that is known how to, and the slow way is taken elsewhere, with kernels before 5.7, and where a
//! filter of a container forbids `clone3`.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// What a child does; it ends with what is returned.
pub(super) type Run = extern "C" fn(*mut c_void) -> c_int;

/// Flags of every child: our memory, our thread waits, a descriptor that tells its end, a signal at its end.
const FLAGS: c_int = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;

/// A child: its number, and the number of its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) pid: c_int,
    pub(super) pidfd: c_int,
}

/// Makes a child that runs `run` with `argument` on `stack`.
///
/// # Safety
/// What `argument` points to and the stack must not be used by anybody else until this returns. `run` may only do what
/// a child of `vfork` may.
#[expect(unsafe_code, reason = "the caller knows who else uses the memory")]
pub(super) unsafe fn clone(
    stack: &mut [MaybeUninit<u128>],
    run: Run,
    argument: *mut c_void,
) -> io::Result<Made> {
    let mut pidfd: c_int = -1;
    let top = stack.as_mut_ptr_range().end.cast();
    // SAFETY: as the caller promises. The stack grows down from its end, which is aligned to 16 bytes.
    let pid = unsafe { libc::clone(run, top, FLAGS | libc::SIGCHLD, argument, &raw mut pidfd) };
    if pid > 0 { Ok(Made { pid, pidfd }) } else { Err(io::Error::last_os_error()) }
}

/// The same in the control group whose open folder `group` is. None: that cannot be done here, and the child has to
/// [`join`] it.
///
/// # Safety
/// The same.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the caller knows who else uses the memory")]
pub(super) unsafe fn clone_into(
    group: BorrowedFd<'_>,
    stack: &mut [MaybeUninit<u128>],
    run: Run,
    argument: *mut c_void,
) -> Option<io::Result<Made>> {
    let mut pidfd: c_int = -1;
    let number = |value: c_int| u64::from(value.unsigned_abs());
    let arguments = Arguments {
        flags: number(FLAGS) | CLONE_INTO_CGROUP,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: number(libc::SIGCHLD),
        stack: stack.as_mut_ptr() as u64,
        stack_size: size_of_val(stack) as u64,
        cgroup: number(group.as_raw_fd()),
        ..Arguments::default()
    };
    let result: i64;
    // SAFETY: as the caller promises. The child comes out of the system call with its own stack, aligned to 16 bytes,
    // calls `run` as the ABI wants it, and ends; it never reaches what stands behind. The kernel changes rax, rcx and
    // r11 of the parent alone.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const arguments,
            in("rsi") size_of::<Arguments>(),
            in("r12") argument,
            in("r13") run,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    match c_int::try_from(result) {
        Ok(pid) if pid > 0 => Some(Ok(Made { pid, pidfd })),
        Ok(error) if is_unknown(-error) => None,
        Ok(error) => Some(Err(io::Error::from_raw_os_error(-error))),
        Err(_) => Some(Err(io::Error::from_raw_os_error(libc::EINVAL))),
    }
}

/// The same where it is not known how to: the child has to [`join`] the group.
///
/// # Safety
/// Nothing is done.
#[cfg(not(target_arch = "x86_64"))]
#[expect(unsafe_code, reason = "its other form is")]
pub(super) unsafe fn clone_into(
    _: BorrowedFd<'_>,
    _: &mut [MaybeUninit<u128>],
    _: Run,
    _: *mut c_void,
) -> Option<io::Result<Made>> {
    None
}

/// Moves this process, a child that was just made, into the group whose open folder `group` is.
pub(super) fn join(group: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let processes = openat(group, c"cgroup.procs", flags, Mode::empty())?;
    // "Myself".
    rustix::io::write(processes, b"0").map(drop)
}

/// A kernel without `clone3`, or with one that knows no groups; a filter that says it were such a kernel.
#[cfg(target_arch = "x86_64")]
fn is_unknown(errno: c_int) -> bool {
    [libc::ENOSYS, libc::E2BIG, libc::EINVAL, libc::EPERM].contains(&errno)
}

#[cfg(target_arch = "x86_64")]
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of the kernel, version 2.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Default)]
#[repr(C)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
