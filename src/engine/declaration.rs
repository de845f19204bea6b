//! Jobs whose owner is no source: declared and taken back by name, by requests and by adapters (D9, D13).
//!
//! What is applied under such an owner is what it has declared; there is no other list. So an order is
//! compared with the applied jobs, and doing it again changes nothing.

use std::collections::BTreeMap;

use crate::diagnostic::suggest::nearest;
use crate::engine::plan::{AppliedJob, AppliedSet, Change, Owner};
use crate::engine::request::Refusal;
use crate::spec::job::{DeclaredJob, JobName};

/// How many jobs an owner that is no source may have.
pub const OWNED_JOBS_MAX: usize = 10_000;

/// What becomes of a job; `J` is its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish<J> {
    /// It is new.
    Add(J),
    /// It is there, and has another definition from now on.
    Update(J),
    /// It has this definition, whether it was there or not.
    Put(J),
    /// It goes.
    Remove,
}

impl<J> Wish<J> {
    /// The definition.
    pub fn definition(&self) -> Option<&J> {
        match self {
            Self::Add(job) | Self::Update(job) | Self::Put(job) => Some(job),
            Self::Remove => None,
        }
    }

    /// The same wish with the definition read.
    pub fn read<K, E>(&self, read: impl FnOnce(&J) -> Result<K, E>) -> Result<Wish<K>, E> {
        Ok(match self {
            Self::Add(job) => Wish::Add(read(job)?),
            Self::Update(job) => Wish::Update(read(job)?),
            Self::Put(job) => Wish::Put(read(job)?),
            Self::Remove => Wish::Remove,
        })
    }
}

/// What wishes come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declaration {
    /// What changes, by job name.
    pub changes: Vec<Change>,
    /// What is refused, and why.
    pub refused: BTreeMap<JobName, Refusal>,
}

/// Compares what an owner wishes with what is applied.
pub fn declare(
    applied: &AppliedSet,
    owner: &Owner,
    wishes: &BTreeMap<JobName, Wish<DeclaredJob>>,
) -> Declaration {
    let mut declaration = Declaration::default();
    let mut room =
        OWNED_JOBS_MAX.saturating_sub(applied.values().filter(|job| job.owner == *owner).count());
    for (name, wish) in wishes {
        match change_of(applied, owner, name, wish) {
            Ok(Some(Change::Create { .. })) if room == 0 => {
                drop(declaration.refused.insert(name.clone(), too_many(owner)));
            }
            Ok(Some(change)) => {
                room = room.saturating_sub(usize::from(matches!(change, Change::Create { .. })));
                declaration.changes.push(change);
            }
            Ok(None) => {}
            Err(refusal) => drop(declaration.refused.insert(name.clone(), refusal)),
        }
    }
    declaration
}

/// The change that makes a wish true; none: it is true.
fn change_of(
    applied: &AppliedSet,
    owner: &Owner,
    name: &JobName,
    wish: &Wish<DeclaredJob>,
) -> Result<Option<Change>, Refusal> {
    let from = match applied.get(name) {
        Some(job) if job.owner != *owner => return Err(held_by(job)),
        from => from.cloned(),
    };
    match (wish, from) {
        (Wish::Add(to) | Wish::Update(to) | Wish::Put(to), Some(from))
            if from.digest == to.digest =>
        {
            Ok(None)
        }
        (Wish::Add(_), Some(_)) => Err(is_there(name)),
        (Wish::Add(to) | Wish::Put(to), None) => {
            Ok(Some(Change::Create { to: to.clone(), owner: owner.clone() }))
        }
        (Wish::Update(to) | Wish::Put(to), Some(from)) => {
            Ok(Some(Change::Update { from, to: to.clone(), owner: owner.clone() }))
        }
        (Wish::Remove, Some(from)) if from.spec.protect => Err(is_protected(name)),
        (Wish::Remove, Some(from)) => Ok(Some(Change::Remove { from })),
        (Wish::Update(_) | Wish::Remove, None) => Err(is_not_there(applied, owner, name)),
    }
}

fn held_by(job: &AppliedJob) -> Refusal {
    let (name, place) = (&job.spec.name, &job.source);
    let help = match job.owner.as_source() {
        Some(_) => format!("edit {}:{}, or take another name", place.file, place.line),
        None => "only its owner changes it; take another name".to_owned(),
    };
    Refusal {
        code: "E0409",
        message: format!("`{name}` belongs to {}", job.owner),
        help: Some(help),
    }
}

fn is_there(name: &JobName) -> Refusal {
    Refusal {
        code: "E0409",
        message: format!("there is a job `{name}` already, and it says something else"),
        help: Some("`update` changes it".to_owned()),
    }
}

fn is_protected(name: &JobName) -> Refusal {
    Refusal {
        code: "E0409",
        message: format!("`{name}` is protected"),
        help: Some("take `protect` away with `update` first".to_owned()),
    }
}

fn is_not_there(applied: &AppliedSet, owner: &Owner, name: &JobName) -> Refusal {
    let own = applied.values().filter(|job| job.owner == *owner);
    let near = nearest(name.as_str(), own.map(|job| job.spec.name.as_str()));
    Refusal {
        code: "E0404",
        message: format!("no job `{name}` of {owner}"),
        help: near.map(|near| format!("did you mean `{near}`?")),
    }
}

fn too_many(owner: &Owner) -> Refusal {
    Refusal {
        code: "E0429",
        message: format!("{owner} has {OWNED_JOBS_MAX} jobs already"),
        help: Some("remove some first".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::scheduler::preview;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    /// `a` with a command; `a!` is protected.
    fn declared(word: &str) -> DeclaredJob {
        let (name, command) = word.split_once('=').unwrap_or((word, "1"));
        let (name, protect) = (name.trim_end_matches('!'), name.ends_with('!'));
        let text =
            format!("jobs: {{ {name}: {{ command: [echo, '{command}'], protect: {protect} }} }}");
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "s/a.yaml".into(), source: "s".into(), content };
        load(&[file], &Known::default()).jobs.into_values().next().unwrap()
    }

    fn name(text: &str) -> JobName {
        JobName::parse(text).unwrap()
    }

    /// Jobs as `request:a` and `file:s:b`.
    fn applied(words: &str) -> AppliedSet {
        let job = |word: &str| {
            let (owner, word) = word.rsplit_once(':').unwrap();
            let create = Change::Create { to: declared(word), owner: Owner(Arc::from(owner)) };
            let job = preview("2026-01-05T09:00:00Z".parse().unwrap(), &create).unwrap();
            (job.spec.name.clone(), job)
        };
        words.split_whitespace().map(job).collect()
    }

    /// What a wish comes to, in a word.
    fn comes_to(applied_words: &str, wished: &str, wish: Wish<DeclaredJob>) -> String {
        let wishes = BTreeMap::from([(name(wished), wish)]);
        let owner = Owner("request".into());
        let Declaration { changes, refused } = declare(&applied(applied_words), &owner, &wishes);
        let changes = changes.iter().map(|change| format!("{} {}", change.action(), change.job()));
        let refused = refused.values().map(|why| format!("{}: {}", why.code, why.message));
        changes.chain(refused).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_wished_again_changes_nothing() {
        let a = || declared("a");
        for (there, wish, expected) in [
            ("", Wish::Add(a()), "create a"),
            ("request:a", Wish::Add(a()), ""),
            (
                "request:a=2",
                Wish::Add(a()),
                "E0409: there is a job `a` already, and it says something else",
            ),
            ("request:a=2", Wish::Update(a()), "update a"),
            ("request:a", Wish::Update(a()), ""),
            ("", Wish::Update(a()), "E0404: no job `a` of request"),
            ("", Wish::Put(a()), "create a"),
            ("request:a=2", Wish::Put(a()), "update a"),
            ("request:a", Wish::Put(a()), ""),
            ("request:a", Wish::Remove, "remove a"),
            ("request:a!", Wish::Remove, "E0409: `a` is protected"),
            ("", Wish::Remove, "E0404: no job `a` of request"),
        ] {
            assert_eq!(comes_to(there, "a", wish), expected, "{there}");
        }
    }

    #[test]
    fn d9_a_name_of_another_owner_is_refused() {
        for wish in [Wish::Add(declared("a")), Wish::Put(declared("a")), Wish::Remove] {
            assert_eq!(comes_to("file:s:a", "a", wish.clone()), "E0409: `a` belongs to file:s");
            assert_eq!(comes_to("other:a", "a", wish), "E0409: `a` belongs to other");
        }
    }

    #[test]
    fn one_refusal_does_not_hold_the_others_back() {
        let wishes = BTreeMap::from([
            (name("a"), Wish::Add(declared("a"))),
            (name("b"), Wish::Remove),
            (name("c"), Wish::Put(declared("c"))),
        ]);
        let declaration = declare(&applied(""), &Owner("request".into()), &wishes);
        assert_eq!(declaration.changes.len(), 2);
        assert_eq!(declaration.refused.keys().map(JobName::as_str).collect::<Vec<_>>(), ["b"]);
    }
}
