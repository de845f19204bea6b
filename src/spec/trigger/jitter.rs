//! Jitter: the stable delay between a fire time and the start of its execution (A10).
//!
//! A pure function of job and fire time, so that `next`, a plan and every daemon show the same.
//! The identity of the occurrence stays its fire time.

use std::time::Duration;

use chrono::TimeDelta;

use crate::time::Timestamp;

/// The start time of an occurrence: its fire time, delayed by less than `jitter`.
///
/// `next_fire` is the trigger's following fire time, before which the delay ends. Whole
/// milliseconds, as stores keep them.
pub fn start_time(
    uid: &str,
    fire_time: Timestamp,
    jitter: Duration,
    next_fire: Option<Timestamp>,
) -> Timestamp {
    let jitter_ms = i64::try_from(jitter.as_millis()).unwrap_or(i64::MAX);
    let until_next_ms =
        next_fire.map_or(i64::MAX, |next| next.signed_duration_since(fire_time).num_milliseconds());
    let bound_ms = jitter_ms.min(until_next_ms).max(0).unsigned_abs();
    let share = u128::from(draw(uid, fire_time.timestamp_millis()));
    let delay_ms = u64::try_from((u128::from(bound_ms) * share) >> 64).unwrap_or_default();
    let delay = TimeDelta::try_milliseconds(delay_ms.cast_signed()).unwrap_or_default();
    fire_time.checked_add_signed(delay).unwrap_or(fire_time)
}

/// A number that looks random and never changes: FNV-1a over the inputs, then mixed so that
/// neighbouring fire times land far apart. Never to be altered, lest every start time move.
fn draw(uid: &str, fire_time_ms: i64) -> u64 {
    let bytes = uid.bytes().chain(fire_time_ms.to_be_bytes());
    let mut mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn delays_are_what_they_were_when_first_released() {
        let minute = Duration::from_mins(1);
        let fire = at("2026-01-01T03:00:00Z");
        let start = |uid: &str| start_time(uid, fire, minute, None);
        assert_eq!(start("etl@1"), at("2026-01-01T03:00:00.090Z"));
        assert_eq!(start("backup@1"), at("2026-01-01T03:00:52.699Z"));
        assert_eq!(start_time("etl@1", fire, Duration::ZERO, None), fire);
    }

    #[test]
    fn delays_stay_below_jitter_and_next_fire_and_spread_evenly() {
        let fire = at("2026-01-01T03:00:00Z");
        let mut quarters = [0; 4];
        for second in 0..4_000 {
            let fire = fire + TimeDelta::seconds(second);
            let free = start_time("etl@1", fire, Duration::from_mins(2), None);
            assert!((fire..fire + TimeDelta::minutes(2)).contains(&free));
            let next = fire + TimeDelta::seconds(1);
            let capped = start_time("etl@1", fire, Duration::from_mins(2), Some(next));
            assert!((fire..next).contains(&capped));
            quarters[usize::try_from((free - fire).num_seconds() / 30).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (900..1_100).contains(count)), "{quarters:?}");
    }
}
