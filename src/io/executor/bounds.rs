//! What keeps an execution within its bounds: between the words of a job, of the supervisor and of the ledger.

use crate::engine::execution::{Failed, LimitKind, Outcome, ProtectedBy, Protection};
use crate::spec::process::Limits;
use crate::supervisor::protocol::{Applied, GroupLimits, LimitHit};

/// The limits of a job that need a control group.
pub(super) fn group_limits(limits: Limits) -> GroupLimits {
    GroupLimits {
        cpu_thousandths_max: limits.cpu_thousandths,
        memory_bytes_max: limits.memory_bytes,
        pids_max: limits.pids,
    }
}

/// What was applied, for the ledger.
pub(super) fn protection_of(applied: Applied) -> Protection {
    let Applied { is_in_group, group_limits, limits_files, limits_time } = applied;
    let limits = [
        (LimitKind::Cpu, group_limits.cpu_thousandths_max.is_some()),
        (LimitKind::Files, limits_files),
        (LimitKind::Memory, group_limits.memory_bytes_max.is_some()),
        (LimitKind::Pids, group_limits.pids_max.is_some()),
        (LimitKind::Time, limits_time),
    ];
    Protection {
        by: if is_in_group { ProtectedBy::Cgroup } else { ProtectedBy::Group },
        limits: limits.into_iter().filter(|(_, held)| *held).map(|(kind, _)| kind).collect(),
    }
}

/// The outcome of a process that ran into a limit, which is the reason of its failure. What it did well all the same,
/// and what ended it on purpose or in time, stands.
pub(super) fn judged(outcome: Outcome, hit: Option<LimitHit>) -> Outcome {
    match (outcome, hit) {
        (Outcome::Failed(Failed::Exit | Failed::Signal), Some(LimitHit::Memory)) => {
            Outcome::Failed(Failed::Oom)
        }
        (Outcome::Failed(Failed::Exit | Failed::Signal), Some(LimitHit::Pids)) => {
            Outcome::Failed(Failed::PidsLimit)
        }
        (outcome, _) => outcome,
    }
}

/// The outcome of a call whose process ended before it had. A limit says more: the process had no say in it.
pub(super) fn unended(outcome: Outcome) -> Outcome {
    let of_limit = matches!(outcome, Outcome::Failed(Failed::Oom | Failed::PidsLimit));
    if of_limit { outcome } else { Outcome::Failed(Failed::WorkerDied) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::execution::TimedOut;

    #[test]
    fn a_limit_is_the_reason_of_a_failure_and_of_nothing_else() {
        let exit = Outcome::Failed(Failed::Exit);
        let signal = Outcome::Failed(Failed::Signal);
        let timed_out = Outcome::TimedOut(TimedOut::Attempt);
        for (outcome, hit, expected) in [
            (exit, Some(LimitHit::Memory), Outcome::Failed(Failed::Oom)),
            (signal, Some(LimitHit::Memory), Outcome::Failed(Failed::Oom)),
            (exit, Some(LimitHit::Pids), Outcome::Failed(Failed::PidsLimit)),
            (signal, None, signal),
            (Outcome::Succeeded, Some(LimitHit::Pids), Outcome::Succeeded),
            (timed_out, Some(LimitHit::Memory), timed_out),
        ] {
            assert_eq!(judged(outcome, hit), expected, "{outcome:?} {hit:?}");
        }
    }
}
