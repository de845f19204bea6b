//! Drift (D9): where the stored jobs are not what is applied, because somebody has edited the store. Pure.
//!
//! Nothing that is found here is ever executed; what is applied is what the daemon has read itself.

use std::collections::BTreeMap;

use crate::engine::plan::{AppliedJob, AppliedSet, Repair};
use crate::io::store::StoredJobs;
use crate::io::store::document::JobDocument;
use crate::spec::job::{JobName, JobSpec};
use crate::time::Timestamp;

/// A stored job that is not what is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The job's uid.
    pub uid: String,
    /// Its name, as far as it is known.
    pub job: String,
    /// In what.
    pub kind: DriftKind,
}

/// In what a stored job is not what is applied.
#[derive(Debug, Clone, PartialEq)]
pub enum DriftKind {
    /// These fields of its document are others.
    Changed(Vec<&'static str>),
    /// There is no document.
    Missing,
    /// There is a document, and no such job.
    Unknown,
    /// Its document cannot be read.
    Damaged,
}

impl DriftKind {
    /// The word for people and JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Damaged => "damaged",
        }
    }
}

/// Compares what is stored with what is applied: what differs, by uid, and what would mend it.
pub fn drift(applied: &AppliedSet, stored: StoredJobs) -> (Vec<Drift>, Repair) {
    let mut missing: BTreeMap<&str, &AppliedJob> =
        applied.values().map(|job| (&*job.uid.0, job)).collect();
    let (mut found, mut repair) = (Vec::new(), Repair::default());
    for document in stored.jobs {
        let known = missing.remove(document.uid.as_str());
        match known {
            Some(job) => {
                let fields = different(job, &document);
                if !fields.is_empty() {
                    found.push(of(job, DriftKind::Changed(fields)));
                    repair.write.push(job.clone());
                }
            }
            None if document.removed_at.is_some() => {}
            None => {
                let (uid, job) = (document.uid.clone(), document.name.clone());
                found.push(Drift { uid, job, kind: DriftKind::Unknown });
                repair.remove.extend(as_applied(document));
            }
        }
    }
    for uid in stored.damaged {
        match missing.remove(uid.as_str()) {
            Some(job) => {
                found.push(of(job, DriftKind::Damaged));
                repair.write.push(job.clone());
            }
            None => found.push(Drift { uid, job: String::new(), kind: DriftKind::Damaged }),
        }
    }
    for job in missing.into_values() {
        found.push(of(job, DriftKind::Missing));
        repair.write.push(job.clone());
    }
    found.sort_by(|a, b| a.uid.cmp(&b.uid));
    repair.write.sort_by(|a, b| a.uid.cmp(&b.uid));
    (found, repair)
}

fn of(job: &AppliedJob, kind: DriftKind) -> Drift {
    Drift { uid: job.uid.to_string(), job: job.spec.name.to_string(), kind }
}

/// The fields in which a document is not that of the job. Where it stands is none: a job that only moved is
/// not written.
fn different(job: &AppliedJob, document: &JobDocument) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let mut compare = |field: &'static str, is_same: bool| {
        if !is_same {
            fields.push(field);
        }
    };
    compare("name", document.name == job.spec.name.as_str());
    compare("owner", *document.owner == *job.owner.0);
    compare("digest", *document.digest == *job.digest.0);
    compare("effective_at", is_about(document.effective_at, job.effective_at));
    compare("anchors", are_about(&document.anchors, &job.anchors));
    compare("removed_at", document.removed_at.is_none());
    compare("spec", is_spec_of(job, document));
    fields
}

/// Stores keep milliseconds.
fn is_about(a: Timestamp, b: Timestamp) -> bool {
    a.timestamp_millis() == b.timestamp_millis()
}

fn are_about(a: &BTreeMap<String, Timestamp>, b: &BTreeMap<String, Timestamp>) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((a, at), (b, other))| a == b && is_about(*at, *other))
}

/// Whether the stored definition is that of the job, however its numbers are written.
fn is_spec_of(job: &AppliedJob, document: &JobDocument) -> bool {
    let text = document.spec.to_string();
    text == job.spec.canonical()
        || JobSpec::from_canonical(&job.spec.name, &text).is_ok_and(|spec| spec == *job.spec)
}

/// The job that a document nobody applied would be; none: it cannot be read so far.
fn as_applied(document: JobDocument) -> Option<AppliedJob> {
    let name = JobName::parse(&document.name).ok()?;
    let spec = JobSpec::from_canonical(&name, &document.spec.to_string()).ok()?;
    Some(document.applied(spec.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::{Change, Owner};
    use crate::engine::scheduler::preview;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    fn applied(names: &str) -> AppliedSet {
        let job = |name: &str| format!("  {name}: {{ command: x, interval: 5m }}\n");
        let text = format!("jobs:\n{}", names.split_whitespace().map(job).collect::<String>());
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "s/a.yaml".into(), source: "s".into(), content };
        let at = "2026-01-05T09:00:00.123456Z".parse().unwrap();
        let job = |(name, to)| {
            let created = Change::Create { to, owner: Owner::source("s") };
            (name, preview(at, &created).unwrap())
        };
        load(&[file], &Known::default()).jobs.into_iter().map(job).collect()
    }

    fn stored(applied: &AppliedSet) -> StoredJobs {
        let jobs = applied.values().map(|job| JobDocument::of(job, None)).collect();
        StoredJobs { generation: 1, jobs, damaged: Vec::new() }
    }

    /// What is found, and what would be written and removed.
    fn found(applied: &AppliedSet, stored: StoredJobs) -> String {
        let (found, repair) = drift(applied, stored);
        let line = |drift: &Drift| match &drift.kind {
            DriftKind::Changed(fields) => format!("{} {}", drift.job, fields.join("+")),
            DriftKind::Missing | DriftKind::Unknown | DriftKind::Damaged => {
                format!("{} {}", drift.job, drift.kind.as_str())
            }
        };
        let names = |jobs: &[AppliedJob]| {
            jobs.iter().map(|job| job.spec.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        let found = found.iter().map(line).collect::<Vec<_>>().join(", ");
        format!("{found} | {} | {}", names(&repair.write), names(&repair.remove))
    }

    #[test]
    fn what_somebody_edited_is_found_and_would_be_mended() {
        type Edit = fn(&mut StoredJobs);
        let jobs = applied("a b");
        let table: &[(&str, Edit)] = &[
            (" |  | ", |_| {}),
            // To the millisecond is as exact as stores are.
            (" |  | ", |s| s.jobs[0].effective_at = "2026-01-05T09:00:00.123Z".parse().unwrap()),
            (" |  | ", |s| s.jobs[0].source.line = 77),
            ("a spec | a | ", |s| s.jobs[0].spec["command"] = "rm -rf /".into()),
            ("a spec | a | ", |s| s.jobs[0].spec["nonsense"] = 1.into()),
            ("a digest | a | ", |s| s.jobs[0].digest = "0".into()),
            ("a owner | a | ", |s| s.jobs[0].owner = "request".into()),
            ("a name | a | ", |s| s.jobs[0].name = "z".into()),
            ("a effective_at | a | ", |s| {
                s.jobs[0].effective_at = "2026-01-05T08:00:00Z".parse().unwrap();
            }),
            ("a anchors | a | ", |s| s.jobs[0].anchors.clear()),
            ("a removed_at | a | ", |s| {
                s.jobs[0].removed_at = Some("2026-01-05T08:00:00Z".parse().unwrap());
            }),
            ("b missing | b | ", |s| drop(s.jobs.pop())),
            ("b damaged | b | ", |s| {
                let uid = s.jobs.pop().unwrap().uid;
                s.damaged.push(uid);
            }),
            (" damaged |  | ", |s| s.damaged.push("x".to_owned())),
            ("a unknown |  | a", |s| {
                let copy = s.jobs[0].clone();
                s.jobs.push(JobDocument { uid: "x".to_owned(), ..copy });
            }),
            ("a unknown |  | ", |s| {
                let copy = s.jobs[0].clone();
                s.jobs.push(JobDocument { uid: "x".to_owned(), spec: 7.into(), ..copy });
            }),
            (" |  | ", |s| {
                let removed_at = Some("2026-01-05T08:00:00Z".parse().unwrap());
                let copy = s.jobs[0].clone();
                s.jobs.push(JobDocument { uid: "x".to_owned(), removed_at, ..copy });
            }),
        ];
        for (at, (expected, edit)) in table.iter().enumerate() {
            let mut stored = stored(&jobs);
            edit(&mut stored);
            assert_eq!(found(&jobs, stored), *expected, "edit {at}");
        }
    }
}
