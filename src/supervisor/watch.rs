//! What the loop waits for: an epoll set whose entries carry a [`Source`], and signals as a
//! descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// The most events that one turn of the loop handles.
const EVENTS_PER_TURN: usize = 64;

/// What an event is about. Numbers are never used twice, so that a late event finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A daemon wants to connect.
    Listener,
    /// A signal for the supervisor itself.
    Signals,
    /// The spool has committed something.
    Spool,
    /// A daemon's connection.
    Connection(u64),
    /// The main process of an execution has ended.
    Exit(u64),
    /// An execution has written to stdout.
    Stdout(u64),
    /// An execution has written to stderr.
    Stderr(u64),
    /// The process that serves the call of an execution says something.
    Control(u64),
    /// A process that waits for a call says something, or has ended.
    Idle(u64),
}

/// How many bits of an event's data say the kind of source.
const KIND_BITS: u32 = 4;

impl Source {
    fn data(self) -> epoll::EventData {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Spool => (2, 0),
            Self::Connection(number) => (3, number),
            Self::Exit(number) => (4, number),
            Self::Stdout(number) => (5, number),
            Self::Stderr(number) => (6, number),
            Self::Control(number) => (7, number),
            Self::Idle(number) => (8, number),
        };
        epoll::EventData::new_u64(kind | number << KIND_BITS)
    }

    fn of(data: epoll::EventData) -> Option<Self> {
        let number = data.u64() >> KIND_BITS;
        match data.u64() & ((1 << KIND_BITS) - 1) {
            0 => Some(Self::Listener),
            1 => Some(Self::Signals),
            2 => Some(Self::Spool),
            3 => Some(Self::Connection(number)),
            4 => Some(Self::Exit(number)),
            5 => Some(Self::Stdout(number)),
            6 => Some(Self::Stderr(number)),
            7 => Some(Self::Control(number)),
            8 => Some(Self::Idle(number)),
            _ => None,
        }
    }
}

/// The set of descriptors that are watched. One that is closed leaves it by itself.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: OwnedFd,
}

impl Watch {
    /// An empty set.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches for something to read.
    pub(super) fn add(&self, descriptor: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, source.data(), epoll::EventFlags::IN)?)
    }

    /// Watches for something to read, and for room to write when `writing`.
    pub(super) fn writing(
        &self,
        descriptor: impl AsFd,
        source: Source,
        writing: bool,
    ) -> io::Result<()> {
        let mut events = epoll::EventFlags::IN;
        events.set(epoll::EventFlags::OUT, writing);
        Ok(epoll::modify(&self.epoll, descriptor, source.data(), events)?)
    }

    /// Stops watching.
    pub(super) fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// Waits until something has happened, at most `timeout`; none: for ever.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Source>> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_PER_TURN);
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(events.iter().filter_map(|event| Source::of(event.data)).collect())
    }
}

/// A signal that the supervisor acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnSignal {
    /// A child has ended.
    Child,
    /// It is asked to leave.
    Leave,
    /// HUP: ignored.
    Hangup,
}

/// Signals as a descriptor. They are blocked, not ignored: job processes start with none of either.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: OwnedFd,
}

impl Signals {
    /// Blocks the signals of this process from here on; to be called before it has threads.
    pub(super) fn new() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        #[expect(unsafe_code, reason = "rustix has no signalfd")]
        // SAFETY: `sigemptyset` initialises the set; the descriptor returned is ours alone.
        let descriptor = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let raw = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        Ok(Self { descriptor })
    }

    /// The signals that have come.
    pub(super) fn read(&self) -> Vec<OwnSignal> {
        let mut signals = Vec::new();
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        while rustix::io::read(&self.descriptor, &mut record) == Ok(record.len()) {
            // Its first field is the number.
            let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
            signals.push(match number {
                libc::SIGCHLD => OwnSignal::Child,
                libc::SIGHUP => OwnSignal::Hangup,
                _ => OwnSignal::Leave,
            });
        }
        signals
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
