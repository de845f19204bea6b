//! The clocks, and identity drawn from them: the only place (beside the supervisor) that asks what
//! time it is.
//!
//! [`Sleeper`] is how the daemon waits for a wall-clock time. It never sleeps longer than
//! [`SLEEP_MAX`], and wakes at once when somebody sets the clock. It decides nothing: whoever wakes
//! looks at [`wall`] again.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use chrono::TimeDelta;
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe;

use crate::time::{BootTime, Now, Timestamp};

/// The longest single sleep, so that a jump of the clock is noticed within it (E1).
pub const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The wall clock.
pub fn wall() -> Timestamp {
    let at = clock_gettime(ClockId::Realtime);
    let nanos = u32::try_from(at.tv_nsec).unwrap_or(0);
    chrono::DateTime::from_timestamp(at.tv_sec, nanos).unwrap_or_default()
}

/// The clock that nobody can set (`CLOCK_BOOTTIME`).
pub fn boot() -> BootTime {
    let at = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    BootTime(Duration::new(seconds, u32::try_from(at.tv_nsec).unwrap_or(0)))
}

/// Both clocks. The wall clock is cut to whole milliseconds, which is what every store keeps.
pub fn now() -> Now {
    let wall = wall();
    let cut = TimeDelta::nanoseconds(i64::from(wall.timestamp_subsec_nanos() % 1_000_000));
    Now { wall: wall - cut, boot: boot() }
}

/// A new id, unique everywhere and ordered by time: a `UUIDv7` as text.
pub fn unique_id() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woke {
    /// The time has come.
    Due,
    /// [`SLEEP_MAX`] has passed first.
    Capped,
    /// Somebody set the clock.
    ClockSet,
}

/// Waits for wall-clock times.
#[derive(Debug)]
pub struct Sleeper {
    /// None where the kernel gives no timer: then the runtime's own sleep, which is late by up to a
    /// millisecond and notices a set clock only after [`SLEEP_MAX`].
    ///
    /// A timer is read like a pipe: it becomes readable, and a read gives bytes or an error. So it is
    /// handed to the runtime as one, which needs no `unsafe`.
    timer: Option<pipe::Receiver>,
}

impl Sleeper {
    /// A sleeper of the current tokio runtime.
    pub fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags).ok();
        Self { timer: timer.and_then(|fd| pipe::Receiver::from_owned_fd_unchecked(fd).ok()) }
    }

    /// Sleeps until the wall clock shows `at`, or [`SLEEP_MAX`] has passed, or the clock was set.
    ///
    /// Safe to drop before it ends: the next call arms the timer anew.
    pub async fn sleep_until(&mut self, at: Timestamp) -> Woke {
        let now = wall();
        let left = (at - now).to_std().unwrap_or_default();
        if left.is_zero() {
            return Woke::Due;
        }
        let capped = left > SLEEP_MAX;
        let sleep = left.min(SLEEP_MAX);
        let until = if capped { Woke::Capped } else { Woke::Due };
        let Some(timer) = &self.timer else {
            tokio::time::sleep(sleep).await;
            return until;
        };
        match armed_sleep(timer, now + sleep).await {
            Ok(Expiry::Passed) => until,
            Ok(Expiry::Cancelled) => Woke::ClockSet,
            Err(_) => {
                // A timer that fails once is not asked again: late by a millisecond beats never.
                self.timer = None;
                tokio::time::sleep(sleep).await;
                until
            }
        }
    }
}

impl Default for Sleeper {
    fn default() -> Self {
        Self::new()
    }
}

/// What a timer says when it becomes readable.
enum Expiry {
    /// Its time has come.
    Passed,
    /// The clock was set.
    Cancelled,
}

/// Arms the timer for one absolute time and waits for it.
async fn armed_sleep(timer: &pipe::Receiver, at: Timestamp) -> Result<Expiry, Error> {
    let nanos = i64::from(at.timestamp_subsec_nanos());
    let spec = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: at.timestamp(), tv_nsec: nanos },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    match timerfd_settime(timer, flags, &spec) {
        // The clock was set between two sleeps; the timer is armed all the same.
        Err(Errno::CANCELED) => return Ok(Expiry::Cancelled),
        other => other.map(drop)?,
    }
    loop {
        timer.readable().await?;
        let mut count = [0_u8; 8];
        match timer.try_read(&mut count) {
            Ok(_) => return Ok(Expiry::Passed),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::CANCELED) => {
                return Ok(Expiry::Cancelled);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_on_time_and_never_early() {
        let mut sleeper = Sleeper::new();
        let mut late = Vec::new();
        for _ in 0..20 {
            let at = wall() + Duration::from_millis(5);
            assert_eq!(sleeper.sleep_until(at).await, Woke::Due);
            let lateness = wall() - at;
            assert!(lateness >= chrono::TimeDelta::zero(), "early by {lateness}");
            late.push(lateness);
        }
        late.sort();
        assert!(late[10] < chrono::TimeDelta::milliseconds(50), "p50 is {}", late[10]);
    }

    #[tokio::test]
    async fn a_past_time_is_due_at_once() {
        assert_eq!(Sleeper::new().sleep_until(chrono::DateTime::UNIX_EPOCH).await, Woke::Due);
    }

    #[tokio::test]
    async fn a_dropped_sleep_leaves_no_trace_in_the_next() {
        let mut sleeper = Sleeper::new();
        let far = wall() + Duration::from_millis(400);
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            _ = sleeper.sleep_until(far) => {}
        }
        let near = wall() + Duration::from_millis(5);
        assert_eq!(sleeper.sleep_until(near).await, Woke::Due);
        assert!(wall() < far);
    }

    #[test]
    fn the_clocks_agree_with_the_standard_library() {
        #[expect(clippy::disallowed_methods, reason = "the other opinion")]
        let other = Timestamp::from(std::time::SystemTime::now());
        assert!((wall() - other).abs() < chrono::TimeDelta::seconds(1));
        assert!(boot() <= boot());
        assert_eq!(unique_id().len(), 36);
    }
}
