//! Going back: the jobs as they were before the newest plans, and the pin that keeps them so.
//!
//! A rollback is a plan like any other, towards jobs that were applied before. The sources still declare
//! what they declare; so whoever goes back pins: until somebody resumes, plans out of the sources are made
//! and shown, and not applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::plan::{AppliedJob, AppliedSet};
use crate::spec::job::{Digest, JobName, SourcePlace};
use crate::time::Timestamp;

/// What keeps the sources from being applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The revision that was gone back to.
    pub revision: Arc<str>,
    /// The generation after which the jobs were like that.
    pub generation: u64,
    /// Who went back.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: Option<String>,
}

/// What a plan does about the pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinChange {
    /// From here on only a person changes the jobs.
    Set(Pin),
    /// The sources count again.
    Clear,
}

/// A definition that was applied before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The name of its job.
    pub name: JobName,
    /// Its digest.
    pub digest: Digest,
    /// Where it stood.
    pub source: SourcePlace,
}

/// How one change of a plan is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The name under which the job goes on after the change; none: the change removed it.
    pub after: Option<JobName>,
    /// What was applied before it; none: the change created it.
    pub before: Option<Former>,
}

/// The jobs as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// By name.
    pub jobs: BTreeMap<JobName, Former>,
    /// Jobs that are known under another name now: the name of now, and the one of then.
    pub renamed: BTreeMap<JobName, JobName>,
}

/// Takes the changes of `plans` back, the newest plan first. Jobs for which `is_ours` says no stay out of it.
pub fn earlier(
    applied: &AppliedSet,
    plans: &[Vec<TakenBack>],
    is_ours: impl Fn(&AppliedJob) -> bool,
) -> Earlier {
    let former = |job: &AppliedJob| Former {
        name: job.spec.name.clone(),
        digest: job.digest.clone(),
        source: job.source.clone(),
    };
    let ours = applied.iter().filter(|(_, job)| is_ours(job));
    let foreign: BTreeSet<&JobName> =
        applied.iter().filter(|(_, job)| !is_ours(job)).map(|(name, _)| name).collect();
    // Each with its name of now, while it has one.
    let mut jobs: BTreeMap<JobName, (Former, Option<JobName>)> =
        ours.map(|(name, job)| (name.clone(), (former(job), Some(name.clone())))).collect();
    for changes in plans {
        // All names go before the first comes back: two jobs may have swapped theirs.
        let taken: Vec<_> = changes
            .iter()
            .map(|change| {
                let known = change.after.as_ref().and_then(|name| jobs.remove(name));
                (change, known.and_then(|(_, now)| now))
            })
            .collect();
        for (change, now) in taken {
            if let Some(before) = &change.before
                && !foreign.contains(&before.name)
            {
                jobs.insert(before.name.clone(), (before.clone(), now));
            }
        }
    }
    let mut earlier = Earlier::default();
    for (name, (former, now)) in jobs {
        if let Some(now) = now.filter(|now| *now != name) {
            earlier.renamed.insert(now, name.clone());
        }
        earlier.jobs.insert(name, former);
    }
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::{Owner, Plan, Sources, diff};
    use crate::engine::scheduler::preview;
    use crate::spec::job::JobSet;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    /// Jobs as `a=1` (its command) and `b=1<a` (its previous name).
    fn declared(words: &str) -> JobSet {
        let job = |word: &str| {
            let (job, previous) = word.split_once('<').unwrap_or((word, ""));
            let (name, command) = job.split_once('=').unwrap();
            let body =
                format!("command: '{command}', cron: '@daily', previous_names: [{previous}]");
            format!("  {name}: {{ {body} }}\n")
        };
        let text = format!("jobs:\n{}", words.split_whitespace().map(job).collect::<String>());
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "s/a.yaml".into(), source: "s".into(), content };
        let loaded = load(&[file], &Known::default());
        assert!(loaded.diagnostics.iter().all(|d| !d.is_error()), "{:?}", loaded.diagnostics);
        loaded.jobs
    }

    fn sources(applied: &AppliedSet) -> Sources {
        Sources {
            names: vec!["s".to_owned()],
            confirmed_absent: applied.keys().cloned().collect(),
            ..Sources::default()
        }
    }

    fn shown(applied: &AppliedSet) -> String {
        let line = |job: &AppliedJob| {
            let command = job.spec.canonical();
            let command = command.split("\"command\":").nth(1).unwrap_or_default();
            format!("{}={}#{}", job.spec.name, &command[..4], job.uid)
        };
        applied.values().map(line).collect::<Vec<_>>().join(" ")
    }

    /// Applies a plan as the scheduler does, as far as names, definitions and uids go.
    fn apply(applied: &mut AppliedSet, plan: &Plan) -> Vec<TakenBack> {
        let at = "2026-01-05T09:00:00Z".parse().unwrap();
        let taken_back = plan.changes.iter().map(|change| TakenBack {
            after: change.declared().map(|_| change.job().clone()),
            before: change.applied().map(|job| Former {
                name: job.spec.name.clone(),
                digest: job.digest.clone(),
                source: job.source.clone(),
            }),
        });
        let taken_back = taken_back.collect();
        for change in &plan.changes {
            if let Some(from) = change.applied() {
                applied.remove(&from.spec.name);
            }
        }
        for change in &plan.changes {
            if let Some(job) = preview(at, change) {
                applied.insert(job.spec.name.clone(), job);
            }
        }
        taken_back
    }

    /// Applies one set after the other, goes back over as many plans as asked, and shows both ends.
    fn gone_back(steps: &[&str], over: usize) -> (String, String) {
        let mut applied = AppliedSet::new();
        let mut known = BTreeMap::new();
        let (mut history, mut states) = (Vec::new(), Vec::new());
        for step in steps {
            states.push(shown(&applied));
            let desired = declared(step);
            for job in desired.values() {
                known.insert((job.spec.name.clone(), job.digest.clone()), job.clone());
            }
            let plan = diff(0, Arc::default(), &desired, &applied, &sources(&applied));
            history.insert(0, apply(&mut applied, &plan));
        }
        let then = earlier(&applied, &history[..over], |_| true);
        let desired: JobSet = then
            .jobs
            .iter()
            .map(|(name, former)| {
                let mut job = known[&(name.clone(), former.digest.clone())].clone();
                job.source = former.source.clone();
                (name.clone(), job)
            })
            .collect();
        let sources = Sources { renamed: then.renamed, ..sources(&applied) };
        let plan = diff(0, Arc::default(), &desired, &applied, &sources);
        assert_eq!(plan.held, []);
        apply(&mut applied, &plan);
        (shown(&applied), states[steps.len() - over].clone())
    }

    #[test]
    fn going_back_leads_to_the_jobs_of_then_with_their_identity() {
        for (steps, over) in [
            (&["a=1 b=1", "a=2 b=1"][..], 1),
            (&["a=1 b=1", "a=2 b=1", "a=3 b=1"], 2),
            (&["a=1", "a=1 b=1"], 1),
            (&["a=1 b=1", "b=1<a"], 1),
            (&["a=1", "b=1<a", "c=2<b"], 2),
            (&["a=1 x=1", "b=1<a x=1", "b=2<a x=2"], 1),
            (&["a=1 b=1", "a=1 b=2", "a=2 b=2", "a=2 b=1"], 3),
        ] {
            let (is, was) = gone_back(steps, over);
            assert_eq!(is, was, "{steps:?} back over {over}");
        }
    }

    #[test]
    fn a_job_that_was_removed_comes_back_and_others_are_left_alone() {
        let (mut applied, at) = (AppliedSet::new(), "2026-01-05T09:00:00Z".parse().unwrap());
        for (name, job) in declared("a=1 r=1") {
            let owner =
                Owner(if name.as_str() == "r" { "request".into() } else { "file:s".into() });
            let created = crate::engine::plan::Change::Create { to: job, owner };
            applied.insert(name, preview(at, &created).unwrap());
        }
        let gone = declared("b=1").into_values().next().unwrap();
        let former = Former {
            name: gone.spec.name.clone(),
            digest: gone.digest.clone(),
            source: gone.source.clone(),
        };
        let removal = TakenBack { after: None, before: Some(former) };
        let then = earlier(&applied, &[vec![removal]], |job| job.owner.as_source().is_some());
        assert_eq!(then.jobs.keys().map(JobName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(then.renamed, BTreeMap::new());
    }
}
