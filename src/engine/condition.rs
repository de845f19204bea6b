//! Under which conditions a plan is applied: `apply --plan` and `apply --allow-prune`.
//!
//! A plan that was shown and is applied later must still be that plan: made against the same
//! generation of the store, out of the same sources, leading to the same jobs. And a person who lifts
//! held removals says how many, so that nobody confirms what was not looked at. Whoever applies makes
//! its own plan and asks here; nothing is ever applied out of the document of a plan.

use std::collections::BTreeSet;

use chrono::SecondsFormat;

use crate::engine::plan::{HeldRemoval, Plan};
use crate::engine::request::Refusal;
use crate::engine::rollback::Pin;
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// What must be so for a plan to be applied; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The store's generation must be this.
    pub generation: Option<u64>,
    /// The digest of the sources must be this.
    pub sources_digest: Option<String>,
    /// The id of the plan must be this.
    pub plan_id: Option<String>,
    /// Held removals that a person may lift are lifted; there must be exactly this many.
    pub allow_prune: Option<usize>,
    /// Held removals that a person may lift are lifted, however many: the plan that names them is known.
    pub confirm: bool,
}

/// Which condition is not met. Nothing was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Something was applied since.
    #[error("the store is at generation {is} now; the plan was made against {expected}")]
    Generation {
        /// What the plan saw.
        expected: u64,
        /// What is.
        is: u64,
    },
    /// The manifests were edited since.
    #[error("the sources are not what the plan saw: their digest is {is} now, it was {expected}")]
    Sources {
        /// What the plan saw, shortened.
        expected: String,
        /// What is, shortened.
        is: String,
    },
    /// Generation and sources may be the same; what follows from them is not.
    #[error("the plan is {is} now, not {expected}")]
    Plan {
        /// The id that was asked for.
        expected: String,
        /// What is.
        is: String,
    },
    /// Something is pinned.
    #[error("the jobs are pinned at revision {}, by {} since {}", pin.revision, pin.by, second(pin.at))]
    Pinned {
        /// What.
        pin: Box<Pin>,
    },
    /// There is nothing to resume.
    #[error("nothing is pinned")]
    NotPinned,
    /// Definitions of then are not there any more.
    #[error("the earlier definition of {} is not kept here any more", list(jobs))]
    NotKept {
        /// Of these jobs.
        jobs: Vec<JobName>,
    },
    /// Another number of removals is held back.
    #[error("{}", prune_text(*allowed, *held))]
    Prune {
        /// What was said.
        allowed: usize,
        /// How many removals are held back that a person may lift.
        held: usize,
    },
}

/// How much of a digest people are shown, in characters.
const DIGEST_SHOWN: usize = 12;

impl Condition {
    /// Whether it asks for anything.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Compares with the plan that would be applied, and with the digest of the sources it came from.
    /// Answers the jobs whose removal is confirmed by it.
    pub fn check(&self, plan: &Plan, sources_digest: &str) -> Result<BTreeSet<JobName>, Unmet> {
        if let Some(expected) = self.generation
            && expected != plan.generation
        {
            return Err(Unmet::Generation { expected, is: plan.generation });
        }
        if let Some(expected) = &self.sources_digest
            && expected != sources_digest
        {
            let short = |digest: &str| digest.chars().take(DIGEST_SHOWN).collect();
            return Err(Unmet::Sources { expected: short(expected), is: short(sources_digest) });
        }
        if let Some(expected) = &self.plan_id
            && *expected != plan.id()
        {
            return Err(Unmet::Plan { expected: expected.clone(), is: plan.id() });
        }
        let confirmable: BTreeSet<JobName> = confirmable(&plan.held).cloned().collect();
        match self.allow_prune {
            None if self.confirm && self.plan_id.is_some() => Ok(confirmable),
            None => Ok(BTreeSet::new()),
            Some(allowed) if allowed == confirmable.len() => Ok(confirmable),
            Some(allowed) => Err(Unmet::Prune { allowed, held: confirmable.len() }),
        }
    }
}

impl Unmet {
    /// As an answer to whoever asked.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Generation { .. } | Self::Sources { .. } | Self::Plan { .. } => "E0505",
            Self::Prune { .. } => "E0506",
            Self::Pinned { .. } => "E0507",
            Self::NotPinned | Self::NotKept { .. } => "E0508",
        };
        Refusal { code, message: self.to_string(), help: Some(self.help()) }
    }

    /// The next act.
    pub fn help(&self) -> String {
        match self {
            Self::Generation { .. } | Self::Sources { .. } | Self::Plan { .. } => {
                "look at it again: `cronwright plan`".to_owned()
            }
            Self::Pinned { .. } => {
                "`cronwright plan` shows what waits, `cronwright sync resume` applies it".to_owned()
            }
            Self::NotPinned => "`cronwright sync` says how things stand".to_owned(),
            Self::NotKept { .. } => "revert it in the sources instead".to_owned(),
            Self::Prune { held: 0, .. } => {
                "apply without `--allow-prune`; `cronwright plan` says what is held back and why"
                    .to_owned()
            }
            Self::Prune { held, .. } => {
                format!("look at them with `cronwright plan`, then `--allow-prune {held}`")
            }
        }
    }
}

/// The held removals that a person may lift.
fn confirmable(held: &[HeldRemoval]) -> impl Iterator<Item = &JobName> {
    held.iter().filter(|held| held.hold.is_confirmable()).map(|held| &held.job)
}

fn second(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// So many names are said.
const NAMED_MAX: usize = 5;

fn list(jobs: &[JobName]) -> String {
    let named: Vec<String> = jobs.iter().take(NAMED_MAX).map(|job| format!("`{job}`")).collect();
    let rest = jobs.len().saturating_sub(NAMED_MAX);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

fn prune_text(allowed: usize, held: usize) -> String {
    let removals = if held == 1 { "removal is" } else { "removals are" };
    format!("{held} {removals} held back that may be confirmed, not {allowed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::Hold;

    fn plan() -> Plan {
        let held = |job: &str, hold| HeldRemoval {
            job: JobName::parse(job).unwrap(),
            hold,
            renamed_to: None,
        };
        Plan {
            generation: 7,
            held: vec![
                held("a", Hold::EmptySource),
                held("b", Hold::InvalidManifest),
                held("c", Hold::UnreadableSource),
                held("d", Hold::Unconfirmed),
            ],
            ..Plan::default()
        }
    }

    #[test]
    fn a_plan_is_applied_only_as_it_was_seen_and_prunes_exactly_what_was_counted() {
        let plan = plan();
        let said = |condition: Condition| match condition.check(&plan, "0123456789abcdef") {
            Ok(confirmed) => confirmed.iter().map(JobName::as_str).collect::<Vec<_>>().join(" "),
            Err(unmet) => format!("{unmet}\n{}", unmet.help()),
        };
        let again = "look at it again: `cronwright plan`";
        assert_eq!(said(Condition::default()), "");
        let all = Condition {
            generation: Some(7),
            sources_digest: Some("0123456789abcdef".to_owned()),
            plan_id: Some(plan.id()),
            allow_prune: Some(2),
            confirm: false,
        };
        assert_eq!(said(all.clone()), "a c");
        let confirmed = Condition { allow_prune: None, confirm: true, ..all.clone() };
        assert_eq!(said(confirmed.clone()), "a c");
        let nameless = Condition { plan_id: None, ..confirmed };
        assert_eq!(said(nameless), "", "who confirms says what");
        assert_eq!(
            said(Condition { generation: Some(6), ..all.clone() }),
            format!("the store is at generation 7 now; the plan was made against 6\n{again}")
        );
        assert_eq!(
            said(Condition { sources_digest: Some("fedcba9876543210".to_owned()), ..all.clone() }),
            format!(
                "the sources are not what the plan saw: their digest is 0123456789ab now, it was fedcba987654\n{again}"
            )
        );
        assert_eq!(
            said(Condition { plan_id: Some("7-0".to_owned()), ..all.clone() }),
            format!("the plan is {} now, not 7-0\n{again}", plan.id())
        );
        assert_eq!(
            said(Condition { allow_prune: Some(3), ..all }),
            "2 removals are held back that may be confirmed, not 3\n\
             look at them with `cronwright plan`, then `--allow-prune 2`"
        );
    }
}
