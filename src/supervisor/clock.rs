//! The supervisor's clocks: it is a process of its own and reads them itself.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads the clock itself")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, for deadlines and durations.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The wall clock in Unix milliseconds, for what people read.
pub(super) fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis())
            .map_or(i64::MIN, |milliseconds| -milliseconds),
    }
}
