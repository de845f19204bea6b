//! The life of one job process as a value: which phase it is in, and what is to be done next.
//!
//! Pure: `now` is an argument, and nothing is signalled or read here. The flow:
//!
//! ```text
//! Running ──timeout, Stop──▶ Terminating ──grace over──▶ Killing ──1 s──▶ Abandoned
//!    └──────────────┬─────────────┴──────────────────────────┘
//!            main process exits ──▶ Draining ──pipes closed, or 250 ms──▶ Sweeping ──▶ over
//! ```

use std::time::{Duration, Instant};

use crate::supervisor::protocol::HowEnded;

/// How long the pipes are read after the main process has ended (C11).
pub(super) const DRAIN: Duration = Duration::from_millis(250);

/// Within this time after the main process has ended, what is left of its tree is killed (C11).
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// After KILL, a main process that is still there for this long is unkillable.
pub(super) const UNKILLABLE_AFTER: Duration = Duration::from_secs(1);

/// The pause before the second look for leftovers; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause between two looks for leftovers.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Why the supervisor ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// Its timeout had passed.
    Timeout,
    /// A daemon said `Stop`.
    Stop,
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs.
    Running { timeout_at: Option<Instant> },
    /// TERM has been sent to its tree.
    Terminating { by: EndedBy, kill_at: Instant },
    /// KILL has been sent to its tree.
    Killing { by: EndedBy, give_up_at: Instant },
    /// The main process has ended; its pipes are still read.
    Draining { until: Instant, sweep_until: Instant },
    /// Leftovers of its tree are killed.
    Sweeping { next: Instant, pause: Duration, until: Instant },
    /// KILL did not end it; it is only waited for, so that it leaves no zombie.
    Abandoned,
}

/// What is to be done after a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// Send TERM to the tree.
    Terminate,
    /// Send KILL to the tree.
    Kill,
    /// Say that it is unkillable.
    Abandon,
    /// Kill leftovers; the execution is over when there are none, or when `last` is set.
    Sweep { last: bool },
}

impl Phase {
    /// The phase of a process that starts now.
    pub(super) fn started(now: Instant, timeout: Option<Duration>) -> Self {
        // A timeout beyond what the clock can count is none.
        Self::Running { timeout_at: timeout.and_then(|timeout| now.checked_add(timeout)) }
    }

    /// When `on_time` is to be called.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running { timeout_at } => timeout_at,
            Self::Terminating { kill_at, .. } => Some(kill_at),
            Self::Killing { give_up_at, .. } => Some(give_up_at),
            Self::Draining { until, .. } => Some(until),
            Self::Sweeping { next, .. } => Some(next),
            Self::Abandoned => None,
        }
    }

    /// The deadline has come.
    pub(super) fn on_time(self, now: Instant, grace: Duration) -> (Self, Step) {
        match self {
            Self::Running { .. } => Self::end(now, grace, EndedBy::Timeout),
            Self::Terminating { by, .. } => Self::kill(now, by),
            Self::Killing { .. } => (Self::Abandoned, Step::Abandon),
            Self::Draining { sweep_until, .. } => Self::sweep(now, FIRST_PAUSE, sweep_until),
            Self::Sweeping { pause, until, .. } => Self::sweep(now, pause, until),
            Self::Abandoned => (self, Step::Wait),
        }
    }

    /// A daemon said `Stop`. The first reason to end a process stays its reason.
    pub(super) fn on_stop(self, now: Instant, grace: Duration, force: bool) -> (Self, Step) {
        match self {
            Self::Running { .. } if force => Self::kill(now, EndedBy::Stop),
            Self::Running { .. } => Self::end(now, grace, EndedBy::Stop),
            Self::Terminating { by, .. } if force => Self::kill(now, by),
            Self::Terminating { .. }
            | Self::Killing { .. }
            | Self::Draining { .. }
            | Self::Sweeping { .. }
            | Self::Abandoned => (self, Step::Wait),
        }
    }

    /// The main process has ended.
    pub(super) fn on_exit(now: Instant) -> Self {
        Self::Draining { until: now + DRAIN, sweep_until: now + SWEEP }
    }

    /// Both pipes are closed: the sweep is due at once.
    pub(super) fn on_pipes_closed(self, now: Instant) -> Self {
        match self {
            Self::Draining { sweep_until, .. } => {
                Self::Sweeping { next: now, pause: FIRST_PAUSE, until: sweep_until }
            }
            Self::Running { .. }
            | Self::Terminating { .. }
            | Self::Killing { .. }
            | Self::Sweeping { .. }
            | Self::Abandoned => self,
        }
    }

    /// How a main process that ended by `own` ended, given who ended it.
    pub(super) fn how(self, own: HowEnded) -> HowEnded {
        match self {
            Self::Terminating { by, .. } | Self::Killing { by, .. } => match by {
                EndedBy::Timeout => HowEnded::TimedOut,
                EndedBy::Stop => HowEnded::Stopped,
            },
            Self::Running { .. }
            | Self::Draining { .. }
            | Self::Sweeping { .. }
            | Self::Abandoned => own,
        }
    }

    fn end(now: Instant, grace: Duration, by: EndedBy) -> (Self, Step) {
        match now.checked_add(grace) {
            Some(kill_at) if !grace.is_zero() => {
                (Self::Terminating { by, kill_at }, Step::Terminate)
            }
            Some(_) | None => Self::kill(now, by),
        }
    }

    fn kill(now: Instant, by: EndedBy) -> (Self, Step) {
        (Self::Killing { by, give_up_at: now + UNKILLABLE_AFTER }, Step::Kill)
    }

    fn sweep(now: Instant, pause: Duration, until: Instant) -> (Self, Step) {
        let next = (now + pause).min(until);
        let pause = (pause * 2).min(PAUSE_MAX);
        (Self::Sweeping { next, pause, until }, Step::Sweep { last: now >= until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn a_timeout_terminates_then_kills_then_gives_up() {
        let start = crate::supervisor::clock::now();
        let phase = Phase::started(start, Some(Duration::from_secs(5)));
        let at = phase.deadline().unwrap();
        assert_eq!(at, start + Duration::from_secs(5));

        let (phase, step) = phase.on_time(at, GRACE);
        assert_eq!((phase.deadline(), step), (Some(at + GRACE), Step::Terminate));
        let own = HowEnded::Exited { code: 0 };
        assert_eq!(phase.how(own), HowEnded::TimedOut, "also when TERM was obeyed");

        let (phase, step) = phase.on_time(at + GRACE, GRACE);
        assert_eq!(step, Step::Kill);
        let (phase, step) = phase.on_time(phase.deadline().unwrap(), GRACE);
        assert_eq!((phase, step), (Phase::Abandoned, Step::Abandon));
        assert_eq!(phase.deadline(), None);
    }

    #[test]
    fn a_stop_within_the_grace_of_a_timeout_only_hastens_it() {
        let now = crate::supervisor::clock::now();
        let (phase, _) = Phase::started(now, Some(Duration::ZERO)).on_time(now, GRACE);
        assert_eq!(phase.on_stop(now, GRACE, false), (phase, Step::Wait));
        let (phase, step) = phase.on_stop(now, GRACE, true);
        assert_eq!(step, Step::Kill);
        assert_eq!(phase.how(HowEnded::Signalled { signal: 9 }), HowEnded::TimedOut);
    }

    #[test]
    fn a_stop_with_force_or_without_grace_kills_at_once() {
        let now = crate::supervisor::clock::now();
        let running = Phase::started(now, None);
        assert_eq!(running.on_stop(now, GRACE, true).1, Step::Kill);
        assert_eq!(running.on_stop(now, Duration::ZERO, false).1, Step::Kill);
        assert_eq!(running.on_stop(now, GRACE, false).1, Step::Terminate);
        let (stopped, _) = running.on_stop(now, GRACE, false);
        assert_eq!(stopped.how(HowEnded::Exited { code: 0 }), HowEnded::Stopped);
    }

    #[test]
    fn leftovers_are_looked_for_at_growing_pauses_and_at_most_until_the_limit() {
        let exit = crate::supervisor::clock::now();
        let draining = Phase::on_exit(exit);
        assert_eq!(draining.deadline(), Some(exit + DRAIN));
        assert_eq!(draining.on_stop(exit, GRACE, true), (draining, Step::Wait));

        let (mut phase, mut step) = draining.on_time(exit + DRAIN, GRACE);
        let mut looks = 1;
        while step == (Step::Sweep { last: false }) {
            let at = phase.deadline().unwrap();
            (phase, step) = phase.on_time(at, GRACE);
            looks += 1;
            assert!(at <= exit + SWEEP && looks < 100);
        }
        assert_eq!(step, Step::Sweep { last: true });
    }

    #[test]
    fn closed_pipes_end_the_draining_early() {
        let exit = crate::supervisor::clock::now();
        let phase = Phase::on_exit(exit).on_pipes_closed(exit);
        assert_eq!(phase.deadline(), Some(exit));
        assert_eq!(phase.on_time(exit, GRACE).1, Step::Sweep { last: false });
        let running = Phase::started(exit, None);
        assert_eq!(running.on_pipes_closed(exit), running);
    }
}
