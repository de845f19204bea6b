//! Retries: from what is written to the policy.

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::layer::read_duration;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::RawRetry;
use crate::spec::policy::Retry;
use crate::time::DurationText;

/// A whole, in thousandths.
const WHOLE_PERMILLE: f64 = 1_000.0;

/// The policy; none: no further attempts.
pub fn read(raw: RawRetry, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Retry> {
    let raw = match raw {
        RawRetry::Limit(limit) => return some_of(Retry::of_limit(limit)),
        RawRetry::Map(map) => map,
    };
    let built_in = Retry::of_limit(raw.limit);
    let delay = raw.delay.and_then(|text| read_duration(&text, &site.child("delay"), out));
    let delay = delay.unwrap_or(built_in.delay);
    let longest =
        raw.max_delay.and_then(|text| read_duration(&text, &site.child("max_delay"), out));
    if let Some(longest) = longest.filter(|longest| *longest < delay) {
        let message = format!(
            "no wait would be longer than {}, and the first is to be {}",
            DurationText(longest),
            DurationText(delay)
        );
        let help = "make `max_delay` at least as long as `delay`, or leave it out";
        out.push(site.child("max_delay").diagnostic(codes::OUT_OF_RANGE, message).help(help));
    }
    let mut on_exit_codes = raw.on_exit_codes.unwrap_or_default();
    on_exit_codes.sort_unstable();
    on_exit_codes.dedup();
    some_of(Retry {
        delay,
        backoff: raw.backoff.unwrap_or(built_in.backoff),
        max_delay: longest.unwrap_or(built_in.max_delay).max(delay),
        jitter_permille: raw.jitter.map_or(built_in.jitter_permille, permille),
        on_exit_codes,
        ..built_in
    })
}

fn some_of(retry: Retry) -> Option<Retry> {
    (retry.limit > 0).then_some(retry)
}

/// The schema has seen to it that the part is between 0 and 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 1000 by the clamp"
)]
fn permille(part: f64) -> u32 {
    (part.clamp(0.0, 1.0) * WHOLE_PERMILLE).round() as u32
}
