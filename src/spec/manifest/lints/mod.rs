//! Doubts about when jobs are due: what is valid and probably does not mean what its author thinks.
//!
//! They run after lowering, on jobs that are valid, and are warnings always. They know no clock: like
//! validity (A11), a doubt depends on what is written and not on the day on which it is read. Where clock
//! changes matter, the years looked at are fixed ([`gap::YEARS`]); where the coming together of jobs
//! matters, so is the day ([`crowd::SAMPLE_START_S`]). What can be told from the text of one expression alone is
//! in `rules::cron`.

pub mod crowd;
pub mod gap;
pub mod period;

use crate::diagnostic::Diagnostic;
use crate::spec::job::JobSpec;
use crate::spec::manifest::lower::site::Site;
use crate::spec::trigger::Schedule;

/// Looks at a job that was lowered without an error; `site` is its map.
pub fn job(spec: &JobSpec, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let site = trigger_site(site, index);
        match &trigger.schedule {
            Schedule::Cron(cron) => gap::check(cron, &site.child("cron"), out),
            Schedule::Interval(interval) => {
                period::check_day(interval, &site.child("interval"), out);
            }
            Schedule::Date(_) => {}
        }
    }
    period::check_timeout(spec, site, out);
}

/// Where a trigger stands: the job itself is the short form of its only one.
fn trigger_site<'n>(site: &Site<'n>, index: usize) -> Site<'n> {
    if site.node().get("triggers").is_some() {
        site.child("triggers").item(index)
    } else {
        site.clone()
    }
}
