//! Retries: whether an attempt is followed by another, when that begins, and how much time is left (C3).
//!
//! Pure. What becomes of the answer is `engine/scheduler/attempts.rs`.

use std::time::Duration;

use chrono::TimeDelta;

use crate::engine::execution::{
    Attempt, AttemptRules, Ending, ExecutionId, Exit, Failed, Outcome, TimedOut,
};
use crate::spec::policy::{Backoff, OnLost, Retry};
use crate::time::Timestamp;

/// How many attempts of an execution may be lost; then it is (C4).
pub const LOST_ATTEMPTS_MAX: usize = 3;

/// A whole, in thousandths.
const WHOLE_PERMILLE: u32 = 1_000;

/// When the attempt after this one begins; none: it was the last. `before` are the attempts before it, `claimed_at`
/// is when the execution began.
///
/// An attempt that `total_timeout` would end before it begins is not waited for.
pub fn next_attempt_at(
    rules: &AttemptRules,
    id: &ExecutionId,
    before: &[Attempt],
    claimed_at: Timestamp,
    ending: &Ending,
) -> Option<Timestamp> {
    let retry = rules.retry.as_ref()?;
    let attempt = u32::try_from(before.len()).unwrap_or(u32::MAX).saturating_add(1);
    let lost_before = before.iter().filter(|attempt| attempt.outcome == Outcome::Lost).count();
    let is_lost_again = ending.outcome == Outcome::Lost && lost_before + 1 >= LOST_ATTEMPTS_MAX;
    if attempt > retry.limit || is_lost_again || !is_worth_another(retry, ending) {
        return None;
    }
    let wait = TimeDelta::from_std(wait(retry, id, attempt)).ok()?;
    let at = ending.finished_at.checked_add_signed(wait)?;
    total_end(rules, claimed_at).is_none_or(|end| at < end).then_some(at)
}

/// When `total_timeout` is over.
pub fn total_end(rules: &AttemptRules, claimed_at: Timestamp) -> Option<Timestamp> {
    end_after(claimed_at, rules.total_timeout?)
}

/// When a time limit is over that counts from `at`; none: never.
pub fn end_after(at: Timestamp, limit: Duration) -> Option<Timestamp> {
    at.checked_add_signed(TimeDelta::from_std(limit).ok()?)
}

/// How much of `total_timeout` is left; none: it is not limited.
pub fn time_left(rules: &AttemptRules, claimed_at: Timestamp, now: Timestamp) -> Option<Duration> {
    total_end(rules, claimed_at).map(|end| (end - now).to_std().unwrap_or(Duration::ZERO))
}

/// The outcome of an attempt: which of the two limits it was that ended it.
pub fn judged(rules: &AttemptRules, claimed_at: Timestamp, ending: &Ending) -> Outcome {
    let left = ending.started_at.and_then(|started_at| time_left(rules, claimed_at, started_at));
    match (ending.outcome, left) {
        (Outcome::TimedOut(TimedOut::Attempt), Some(left))
            if rules.timeout.is_none_or(|timeout| left < timeout) =>
        {
            Outcome::TimedOut(TimedOut::Total)
        }
        (outcome, _) => outcome,
    }
}

/// Whether an outcome may be followed by another attempt, where a job asks for that.
pub fn may_follow(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failed(
            Failed::Exit
            | Failed::Signal
            | Failed::Spawn
            | Failed::Oom
            | Failed::PidsLimit
            | Failed::Exception
            | Failed::Panic
            | Failed::WorkerDied
            | Failed::Http,
        )
        | Outcome::TimedOut(TimedOut::Attempt)
        | Outcome::Lost => true,
        // One that cannot be killed still runs: a second would run beside it.
        Outcome::TimedOut(TimedOut::Unkillable | TimedOut::Total)
        | Outcome::Succeeded
        | Outcome::Cancelled(_)
        | Outcome::Skipped(_)
        | Outcome::Missed(_) => false,
    }
}

fn is_worth_another(retry: &Retry, ending: &Ending) -> bool {
    if ending.outcome == Outcome::Lost {
        // It has no exit code, and the job says what it wants.
        return retry.on_lost == OnLost::Retry;
    }
    let narrowed = !retry.on_exit_codes.is_empty();
    let named = match ending.exit {
        Some(Exit::Code(code)) => retry.on_exit_codes.contains(&code),
        Some(Exit::Signal(_)) | None => false,
    };
    may_follow(ending.outcome) && (!narrowed || named)
}

/// How long is waited after an attempt: the delay, doubled for each attempt before it where it grows, never
/// longer than `max_delay`, and shortened by a share of its jitter that execution and attempt decide.
fn wait(retry: &Retry, id: &ExecutionId, attempt: u32) -> Duration {
    let doublings = match retry.backoff {
        Backoff::Fixed => 0,
        Backoff::Exponential => attempt.saturating_sub(1),
    };
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    let longest_ms = retry.delay.saturating_mul(factor).min(retry.max_delay).as_millis();
    let permille = u128::from(retry.jitter_permille.min(WHOLE_PERMILLE));
    let jitter_ms = longest_ms * permille / u128::from(WHOLE_PERMILLE);
    let share = u128::from(draw(id, attempt));
    let shorter_ms = (jitter_ms * share) >> 64;
    Duration::from_millis(u64::try_from(longest_ms - shorter_ms).unwrap_or(u64::MAX))
}

/// A number that looks random and is always the same for an attempt.
fn draw(id: &ExecutionId, attempt: u32) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(id.as_str().as_bytes());
    hasher.update(&attempt.to_be_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::execution::{Cancelled, Output};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn rules(retry: Retry) -> AttemptRules {
        AttemptRules { retry: Some(retry), timeout: None, total_timeout: None }
    }

    fn ending(outcome: Outcome, exit: Option<Exit>) -> Ending {
        Ending {
            outcome,
            started_at: Some(at(0)),
            finished_at: at(100),
            duration: None,
            exit,
            result: None,
            exception: None,
            output: Output::default(),
            protection: None,
        }
    }

    /// Seconds from the end of each attempt to the next, until there is none.
    fn waits(rules: &AttemptRules) -> Vec<i64> {
        let failed = ending(Outcome::Failed(Failed::Exit), Some(Exit::Code(1)));
        let id = ExecutionId("a@b".into());
        let before = |count| vec![Attempt::of(&failed); count];
        let next = |count| next_attempt_at(rules, &id, &before(count), at(0), &failed);
        (0..).map_while(next).map(|next| (next - at(100)).num_seconds()).collect()
    }

    #[test]
    fn c3_waits_double_up_to_the_longest_or_stay() {
        let steady = Retry { jitter_permille: 0, ..Retry::of_limit(8) };
        assert_eq!(waits(&rules(steady.clone())), [10, 20, 40, 80, 160, 320, 600, 600]);
        let fixed = Retry { backoff: Backoff::Fixed, limit: 3, ..steady.clone() };
        assert_eq!(waits(&rules(fixed)), [10, 10, 10]);
        let many = waits(&rules(Retry { limit: 100, ..steady }));
        assert_eq!((many.len(), many.last()), (100, Some(&600)));
    }

    #[test]
    fn c3_jitter_shortens_by_its_part_at_most_and_is_always_the_same() {
        let retry = Retry { backoff: Backoff::Fixed, ..Retry::of_limit(3) };
        let waits: Vec<u128> = (0..1_000)
            .map(|number| wait(&retry, &ExecutionId(format!("a@{number}").into()), 1).as_millis())
            .collect();
        assert!(waits.iter().all(|ms| (8_000..=10_000).contains(ms)));
        let early = waits.iter().filter(|ms| **ms < 9_000).count();
        assert!((400..600).contains(&early), "{early}");
        let id = ExecutionId("backup-1@2026-01-01T03:00:00Z".into());
        let of_attempts = [1, 2, 3].map(|attempt| wait(&retry, &id, attempt).as_millis());
        assert_eq!(of_attempts, [1, 2, 3].map(|attempt| wait(&retry, &id, attempt).as_millis()));
        assert_ne!(of_attempts[0], of_attempts[1]);
    }

    #[test]
    fn c3_which_attempts_are_followed_by_another() {
        let any = Retry::of_limit(1);
        let narrowed = Retry { on_exit_codes: vec![75], ..any.clone() };
        let code = |code| Some(Exit::Code(code));
        let table = [
            (Outcome::Failed(Failed::Exit), code(1), true, false),
            (Outcome::Failed(Failed::Exit), code(75), true, true),
            (Outcome::Failed(Failed::Signal), Some(Exit::Signal(11)), true, false),
            (Outcome::Failed(Failed::Spawn), None, true, false),
            (Outcome::TimedOut(TimedOut::Attempt), None, true, false),
            (Outcome::TimedOut(TimedOut::Total), None, false, false),
            (Outcome::TimedOut(TimedOut::Unkillable), None, false, false),
            (Outcome::Failed(Failed::Panic), None, true, false),
            (Outcome::Cancelled(Cancelled::Requested), None, false, false),
            (Outcome::Cancelled(Cancelled::Shutdown), None, false, false),
            (Outcome::Lost, None, false, false),
            (Outcome::Succeeded, code(0), false, false),
        ];
        for (outcome, exit, with_any, with_some) in table {
            let ending = ending(outcome, exit);
            let found = (is_worth_another(&any, &ending), is_worth_another(&narrowed, &ending));
            assert_eq!(found, (with_any, with_some), "{outcome:?} {exit:?}");
        }
    }

    #[test]
    fn c4_a_lost_attempt_is_followed_by_another_where_the_job_asks_for_it_and_not_for_ever() {
        let lost = ending(Outcome::Lost, None);
        let failed = ending(Outcome::Failed(Failed::Exit), Some(Exit::Code(1)));
        let asks = Retry { on_lost: OnLost::Retry, on_exit_codes: vec![75], ..Retry::of_limit(9) };
        let follows = |retry: &Retry, before: &[&Ending]| {
            let before: Vec<Attempt> = before.iter().map(|ending| Attempt::of(ending)).collect();
            let id = ExecutionId("a@b".into());
            next_attempt_at(&rules(retry.clone()), &id, &before, at(0), &lost).is_some()
        };
        assert!(!follows(&Retry::of_limit(9), &[]));
        assert!(follows(&asks, &[]) && follows(&asks, &[&lost, &failed]));
        assert!(!follows(&asks, &[&lost, &failed, &lost]));
        assert!(!follows(&Retry { limit: 1, ..asks }, &[&failed]));
    }

    #[test]
    fn c3_total_timeout_ends_the_waiting_and_names_what_it_ended() {
        let retry = Retry { jitter_permille: 0, backoff: Backoff::Fixed, ..Retry::of_limit(9) };
        let total = |seconds| AttemptRules {
            total_timeout: Some(Duration::from_secs(seconds)),
            ..rules(retry.clone())
        };
        assert_eq!(waits(&total(110)), [0; 0]);
        assert_eq!(waits(&total(111)).len(), 9);
        assert_eq!(time_left(&total(111), at(0), at(110)), Some(Duration::from_secs(1)));
        assert_eq!(time_left(&total(111), at(0), at(200)), Some(Duration::ZERO));
        assert_eq!(time_left(&rules(retry.clone()), at(0), at(200)), None);
        let timed_out = ending(Outcome::TimedOut(TimedOut::Attempt), None);
        let judge = |timeout: Option<u64>, seconds| {
            let timeout = timeout.map(Duration::from_secs);
            judged(&AttemptRules { timeout, ..total(seconds) }, at(-50), &timed_out)
        };
        assert_eq!(judge(None, 150), Outcome::TimedOut(TimedOut::Total));
        assert_eq!(judge(Some(101), 150), Outcome::TimedOut(TimedOut::Total));
        assert_eq!(judge(Some(100), 150), Outcome::TimedOut(TimedOut::Attempt));
    }
}
