//! What is declared against what is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::plan::{
    AppliedJob, AppliedSet, Change, HeldRemoval, Hold, Owner, OwnerConflict, Plan, Sources,
};
use crate::spec::job::{DeclaredJob, JobName, JobSet, SourcePlace};
use crate::spec::manifest::InvalidManifest;

/// Compares what is declared with what is applied.
///
/// The same inputs give the same plan, byte for byte. A job is the same when its digest is: formatting,
/// comments, key order, file and line do not count (I36). Every applied job ends in exactly one place of
/// the plan: unchanged, updated, renamed, removed or held.
pub fn diff(
    generation: u64,
    revision: Arc<str>,
    desired: &JobSet,
    actual: &AppliedSet,
    sources: &Sources,
) -> Plan {
    let plan = Plan { generation, revision, ..Plan::default() };
    let renames = renames(desired, actual, sources);
    let mut diff = Diff { plan, sources, desired, renames, gone: Vec::new() };
    let mut applied = actual.iter().peekable();
    for (name, to) in desired {
        while let Some((_, from)) = applied.next_if(|(other, _)| *other < name) {
            diff.undeclared(from);
        }
        match applied.next_if(|(other, _)| *other == name) {
            Some((_, from)) => diff.both(from, to),
            None => diff.created(to),
        }
    }
    applied.for_each(|(_, from)| diff.undeclared(from));
    diff.prune(actual);
    let mut plan = diff.plan;
    plan.changes.sort_by(|a, b| a.job().cmp(b.job()));
    plan.held.sort_by(|a, b| a.job.cmp(&b.job));
    plan
}

/// A plan in the making.
struct Diff<'d> {
    plan: Plan,
    sources: &'d Sources,
    desired: &'d JobSet,
    /// Jobs that go on under another name.
    renames: Renames<'d>,
    /// Jobs that nothing holds but the guard.
    gone: Vec<&'d AppliedJob>,
}

/// Old names with the one job that lists them, and the reverse.
#[derive(Default)]
struct Renames<'d> {
    to: BTreeMap<&'d JobName, &'d JobName>,
    from: BTreeMap<&'d JobName, &'d AppliedJob>,
}

impl<'d> Diff<'d> {
    /// A job that is declared and applied.
    fn both(&mut self, from: &AppliedJob, to: &DeclaredJob) {
        let source = source_of(self.sources, &to.source);
        // What the settings name is the operator's word: a job of a source that they dropped goes over to the
        // one that declares it.
        let is_taken_over = is_dropped(&from.owner, self.sources) && !source.is_empty();
        if from.owner.as_source().is_none() {
            self.refused(&from.owner, to);
            self.plan.unchanged += 1;
        } else if from.digest != to.digest || is_taken_over {
            let (from, to, owner) = (from.clone(), to.clone(), Owner::source(source));
            self.plan.changes.push(Change::Update { from, to, owner });
        } else {
            if from.source != to.source {
                self.plan.moved.push((to.spec.name.clone(), to.source.clone()));
            }
            self.plan.unchanged += 1;
        }
    }

    /// A job that is declared and not applied: new, or known under another name.
    fn created(&mut self, to: &DeclaredJob) {
        let owner = Owner::source(source_of(self.sources, &to.source));
        let to = to.clone();
        match self.renames.from.get(&to.spec.name) {
            // Told where the old name is looked at.
            Some(from) if self.hold_rename(from).is_some() => {}
            Some(from) => {
                let from = AppliedJob::clone(from);
                self.plan.changes.push(Change::Rename { from, to, owner });
            }
            None => self.plan.changes.push(Change::Create { to, owner }),
        }
    }

    /// A job that is applied and not declared: renamed, held or gone.
    fn undeclared(&mut self, from: &'d AppliedJob) {
        let name = &from.spec.name;
        if from.owner.as_source().is_none() {
            self.plan.unchanged += 1;
        } else if let Some(to) = self.renames.to.get(name).copied() {
            if let Some(hold) = self.hold_rename(from) {
                self.held(name, hold, Some(to.clone()));
            }
        } else {
            match self.hold(from) {
                Some(hold) => self.held(name, hold, None),
                None => self.gone.push(from),
            }
        }
    }

    fn refused(&mut self, held_by: &Owner, to: &DeclaredJob) {
        self.plan.owner_conflicts.push(OwnerConflict {
            job: to.spec.name.clone(),
            held_by: held_by.clone(),
            declared_at: to.source.clone(),
        });
    }

    fn held(&mut self, job: &JobName, hold: Hold, renamed_to: Option<JobName>) {
        if hold == Hold::InvalidManifest {
            self.plan.stale.insert(job.clone());
        }
        self.plan.held.push(HeldRemoval { job: job.clone(), hold, renamed_to });
    }

    /// Removes what is gone, unless that is too much of a source at once (D11).
    fn prune(&mut self, actual: &AppliedSet) {
        let sources = self.sources;
        let stands_in = |job: &AppliedJob| source_of(sources, &job.source);
        let mut removals: BTreeMap<&str, usize> = BTreeMap::new();
        for job in &self.gone {
            *removals.entry(stands_in(job)).or_default() += 1;
        }
        let guard = sources.guard;
        let is_mass = |source: &str, count: usize| {
            let all = actual.values().filter(|job| stands_in(job) == source).count();
            count >= guard.removals && count * 100 > all * usize::from(guard.percent)
        };
        let mass: BTreeSet<&str> = removals
            .into_iter()
            .filter(|(source, count)| is_mass(source, *count))
            .map(|(source, _)| source)
            .collect();
        for from in std::mem::take(&mut self.gone) {
            let is_confirmed = self.sources.confirmed.contains(&from.spec.name);
            if mass.contains(stands_in(from)) && !is_confirmed {
                self.held(&from.spec.name, Hold::MassRemoval, None);
            } else {
                self.plan.changes.push(Change::Remove { from: from.clone() });
            }
        }
    }

    /// Whether, and why, the rename of `from` is held: nobody can tell that its old name is gone, and no
    /// person has said so.
    fn hold_rename(&self, from: &AppliedJob) -> Option<Hold> {
        let is_confirmed = self.sources.confirmed.contains(&from.spec.name);
        hold_unseen(from, self.sources).filter(|hold| !(is_confirmed && hold.is_confirmable()))
    }

    /// Whether, and why, the removal of `from` is held whatever else goes.
    fn hold(&self, from: &AppliedJob) -> Option<Hold> {
        let name = &from.spec.name;
        let is_confirmed = self.sources.confirmed.contains(name);
        // Who confirms has seen that it is gone: that counts as the second look.
        let is_absent = is_confirmed || self.sources.confirmed_absent.contains(name);
        let stands = |hold: &Hold| !(is_confirmed && hold.is_confirmable());
        let when = |is_so: bool, hold: Hold| is_so.then_some(hold).filter(stands);
        hold_unseen(from, self.sources)
            .filter(stands)
            .or(when(self.desired.is_empty(), Hold::EmptySource))
            .or(when(!is_absent, Hold::Unconfirmed))
            .or(when(from.spec.protect, Hold::Protected))
            .or(when(is_dropped(&from.owner, self.sources), Hold::SourceDropped))
    }
}

/// Whether nobody can tell that `from` is not declared any more.
fn hold_unseen(from: &AppliedJob, sources: &Sources) -> Option<Hold> {
    let name = &from.spec.name;
    // A job that was moved to another source stands there, whoever owned it first.
    let source = Some(source_of(sources, &from.source));
    let declared_by_invalid = |invalid: &InvalidManifest| {
        let is_hidden = invalid.hides_names() && source == Some(&*invalid.source);
        *invalid.path == *from.source.file || is_hidden || invalid.mentions(name)
    };
    if sources.conflicts.contains(name) || sources.invalid.iter().any(declared_by_invalid) {
        return Some(Hold::InvalidManifest);
    }
    sources.incomplete.get(source?).copied()
}

/// Which applied jobs go on under another name: those that exactly one new job lists (D5).
fn renames<'d>(desired: &'d JobSet, actual: &'d AppliedSet, sources: &'d Sources) -> Renames<'d> {
    let mut claims: BTreeMap<&JobName, Vec<&JobName>> = BTreeMap::new();
    for (name, to) in desired.iter().filter(|(_, to)| !to.spec.previous_names.is_empty()) {
        let is_former = |former: &&JobName| {
            !desired.contains_key(*former)
                && actual.get(*former).is_some_and(|job| job.owner.as_source().is_some())
        };
        if !actual.contains_key(name)
            && let Some(former) = to.spec.previous_names.iter().find(is_former)
        {
            claims.entry(former).or_default().push(name);
        }
    }
    for (former, name) in &sources.renamed {
        let is_new = !actual.contains_key(name) && desired.contains_key(name);
        if is_new && !desired.contains_key(former) {
            claims.insert(former, vec![name]);
        }
    }
    let mut renames = Renames::default();
    for (former, names) in claims {
        if let ([name], Some(from)) = (&names[..], actual.get(former)) {
            renames.to.insert(&from.spec.name, name);
            renames.from.insert(name, from);
        }
    }
    renames
}

/// The source whose folder holds the file, the longest one first.
fn source_of<'s>(sources: &'s Sources, place: &SourcePlace) -> &'s str {
    let folders =
        sources.names.iter().filter_map(|name| Some((name, folder_of(name, &place.file)?)));
    let longest = folders.max_by_key(|(_, folder)| folder.len());
    longest.map_or("", |(name, _)| name.as_str())
}

/// The folder with which `file` begins, when it is of the source of this name: what `git:jobs.d` declares
/// stands at `jobs.d/…`, or is the file `jobs.d` itself.
fn folder_of<'s>(source: &'s str, file: &str) -> Option<&'s str> {
    let folder = match source.strip_prefix("git:") {
        Some(".") => return Some(""),
        Some(folder) if folder == file => return Some(folder),
        Some(folder) => folder,
        None => source,
    };
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')).then_some(folder)
}

/// Whether the owner is a source that the settings no longer name. Jobs of requests have none.
fn is_dropped(owner: &Owner, sources: &Sources) -> bool {
    owner.as_source().is_some_and(|source| sources.names.iter().all(|name| name != source))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;
    use crate::engine::plan::PruneGuard;
    use crate::engine::scheduler::preview;
    use crate::spec::job::JobSpec;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};
    use crate::time::Timestamp;

    /// Jobs as `a`, `a=2` (its command), `a!` (protected), `a<b<c` (previous names), all in source `s`
    /// unless `t/a` says otherwise.
    fn declared(words: &str) -> JobSet {
        words.split_whitespace().map(job).map(|job| (job.spec.name.clone(), job)).collect()
    }

    fn job(word: &str) -> DeclaredJob {
        let (source, word) = word.split_once('/').unwrap_or(("s", word));
        let (word, former) = word.split_once('<').unwrap_or((word, ""));
        let (word, command) = word.split_once('=').unwrap_or((word, "1"));
        let (name, protect) = (word.trim_end_matches('!'), word.ends_with('!'));
        let text =
            format!("jobs: {{ {name}: {{ cron: '@daily', command: [echo, '{command}'] }} }}");
        let content = Content::Bytes(text.into_bytes().into());
        let path = format!("{source}/{name}.yaml").into();
        let file = ManifestFile { path, source: source.into(), content };
        let mut job = load(&[file], &Known::default()).jobs.into_values().next().unwrap();
        let former = former.split('<').filter(|name| !name.is_empty());
        let spec = JobSpec {
            protect,
            previous_names: former.map(|name| JobName::parse(name).unwrap()).collect(),
            ..JobSpec::clone(&job.spec)
        };
        job.digest = spec.digest();
        job.spec = Arc::new(spec);
        job
    }

    fn applied(words: &str) -> AppliedSet {
        let applied = |word: &str| {
            let (to, source) = (job(word), word.split_once('/').map_or("s", |(source, _)| source));
            let create = Change::Create { to, owner: Owner::source(source) };
            let at = "2026-01-05T09:00:00Z".parse::<Timestamp>().unwrap();
            let job = preview(at, &create).unwrap();
            (job.spec.name.clone(), job)
        };
        words.split_whitespace().map(applied).collect()
    }

    fn names(words: &str) -> BTreeSet<JobName> {
        words.split_whitespace().map(|name| JobName::parse(name).unwrap()).collect()
    }

    /// Sources `s` and `t` in which everything that is not declared was missing before.
    fn sources(actual: &AppliedSet) -> Sources {
        Sources {
            names: vec!["s".to_owned(), "t".to_owned()],
            confirmed_absent: actual.keys().cloned().collect(),
            ..Sources::default()
        }
    }

    /// A plan in short: `+new ~changed old>new -removed ?held:why =2`.
    fn short(plan: &Plan) -> String {
        let change = |change: &Change| match change {
            Change::Create { .. } => format!("+{} ", change.job()),
            Change::Update { .. } => format!("~{} ", change.job()),
            Change::Rename { from, .. } => format!("{}>{} ", from.spec.name, change.job()),
            Change::Remove { .. } => format!("-{} ", change.job()),
        };
        let held = |held: &HeldRemoval| {
            let to = held.renamed_to.as_ref().map(|to| format!(">{to}")).unwrap_or_default();
            format!("?{}{to}:{} ", held.job, held.hold.as_str())
        };
        let changes: String = plan.changes.iter().map(change).collect();
        let held: String = plan.held.iter().map(held).collect();
        format!("{changes}{held}={}", plan.unchanged)
    }

    fn planned(applied_words: &str, declared_words: &str, set: impl Fn(&mut Sources)) -> String {
        let actual = applied(applied_words);
        let mut sources = sources(&actual);
        set(&mut sources);
        short(&diff(7, "r".into(), &declared(declared_words), &actual, &sources))
    }

    #[test]
    fn a_file_is_of_the_source_whose_folder_holds_it() {
        let owner = |names: &[&str], file: &str| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let sources = Sources { names, ..Sources::default() };
            source_of(&sources, &SourcePlace { file: file.into(), line: 1 }).to_owned()
        };
        let both = ["jobs.d", "git:ops/jobs.d", "jobs.d/team"];
        for (names, file, expected) in [
            (&both[..], "jobs.d/a.yaml", "jobs.d"),
            (&both, "jobs.d/team/a.yaml", "jobs.d/team"),
            (&both, "jobs.d/teams/a.yaml", "jobs.d"),
            (&both, "ops/jobs.d/a.yaml", "git:ops/jobs.d"),
            (&both, "git:ops/jobs.d/a.yaml", ""),
            (&both, "other/a.yaml", ""),
            (&["git:."], "jobs.d/a.yaml", "git:."),
            (&["git:.", "/etc/jobs"], "/etc/jobs/a.yaml", "/etc/jobs"),
            (&["git:jobs.yaml"], "jobs.yaml", "git:jobs.yaml"),
        ] {
            assert_eq!(owner(names, file), expected, "{file} of {names:?}");
        }
    }

    #[test]
    fn removals_wait_for_whoever_must_have_a_say() {
        let many = "a b c d e f g h i j";
        let plain = |applied: &str, declared: &str| planned(applied, declared, |_| {});
        assert_eq!(plain("a b", "a"), "-b =1");
        assert_eq!(plain("a b", ""), "?a:empty_source ?b:empty_source =0");
        assert_eq!(plain("a b!", "a"), "?b:protected =1");
        assert_eq!(
            plain("a b!", "a b"),
            "~b =1",
            "protection may be taken away in a revision of its own"
        );
        assert_eq!(plain(many, "a b c d e f"), "-g -h -i -j =6", "four are few");
        let mass =
            "?f:mass_removal ?g:mass_removal ?h:mass_removal ?i:mass_removal ?j:mass_removal =5";
        assert_eq!(plain(many, "a b c d e"), mass);
        let others = format!("{many} t/k t/l t/m t/n t/o t/p t/q t/r t/s t/u");
        let rest = others.replace(" t/k t/l", "");
        assert_eq!(plain(&others, &rest), "-k -l =18", "each source has its own count");
        let confirm = |sources: &mut Sources| sources.confirmed = names("b f g h i j");
        assert_eq!(planned(many, "a b c d e", confirm), "-f -g -h -i -j =5");
        assert_eq!(planned("a b!", "a", confirm), "-b =1");
        let first_look = |sources: &mut Sources| sources.confirmed_absent.clear();
        assert_eq!(planned("a b!", "a", first_look), "?b:unconfirmed =1");
        let strict = |sources: &mut Sources| {
            sources.guard = PruneGuard { removals: 1, percent: 10 };
        };
        assert_eq!(planned("a b", "a", strict), "?b:mass_removal =1");
        let unread = |sources: &mut Sources| {
            sources.incomplete.insert("t".to_owned(), Hold::UnreadableSource);
            sources.confirmed = names("x");
        };
        assert_eq!(planned("a b t/c", "a", unread), "-b ?c:unreadable_source =1");
        let conflict = |sources: &mut Sources| {
            sources.conflicts = names("b");
            sources.confirmed = names("b");
        };
        assert_eq!(planned("a b", "a", conflict), "?b:invalid_manifest =1", "nobody may lift that");
    }

    #[test]
    fn jobs_of_a_source_that_the_settings_dropped_go_over_to_the_one_that_declares_them() {
        let only_s = |sources: &mut Sources| sources.names = vec!["s".to_owned()];
        assert_eq!(planned("t/a t/b", "a", only_s), "~a ?b:source_dropped =0");
        assert_eq!(planned("t/a t/b b", "a=2 b", only_s), "~a =1");
        assert_eq!(planned("t/a x", "b<a x", only_s), "a>b =1");
        let confirmed = |sources: &mut Sources| {
            only_s(sources);
            sources.confirmed = names("b");
        };
        assert_eq!(planned("t/a t/b", "a", confirmed), "~a -b =0");
        // The next plan finds nothing to do.
        let actual = applied("t/a");
        let mut sources = sources(&actual);
        only_s(&mut sources);
        let desired = declared("a");
        let plan = diff(7, "r".into(), &desired, &actual, &sources);
        let at = Timestamp::default();
        let taken: AppliedSet = plan
            .changes
            .iter()
            .map(|change| (change.job().clone(), preview(at, change).unwrap()))
            .collect();
        assert_eq!(short(&diff(8, "r".into(), &desired, &taken, &sources)), "=1");
    }

    #[test]
    fn d5_a_job_goes_on_under_a_new_name_that_lists_its_old_one() {
        let plain = |applied: &str, declared: &str| planned(applied, declared, |_| {});
        assert_eq!(plain("a", "b<a"), "a>b =0");
        assert_eq!(plain("a", "b=2<a"), "a>b =0", "an edit goes along");
        assert_eq!(plain("a!", "b<a"), "a>b =0", "nothing is removed");
        assert_eq!(plain("a", "c<b<a"), "a>c =0", "the first that is applied");
        assert_eq!(plain("a b", "b<a c<b"), "-a ~b +c =0", "b is declared still");
        assert_eq!(plain("a b", "c<a d<b"), "a>c b>d =0");
        assert_eq!(plain("a b", "b<a"), "-a ~b =0", "b was there before");
        assert_eq!(plain("a", "a b<a"), "+b =1", "a is declared still");
        assert_eq!(plain("a", "b<a c<a"), "-a +b +c =0", "nobody knows which");
        assert_eq!(plain("", "b<a"), "+b =0");
        let conflict = |sources: &mut Sources| sources.conflicts = names("a");
        assert_eq!(planned("a", "b<a", conflict), "?a>b:invalid_manifest =0", "b waits");
        let unread = |sources: &mut Sources| {
            sources.incomplete.insert("t".to_owned(), Hold::UnreadableSource);
        };
        assert_eq!(planned("t/a", "b<a", unread), "?a>b:unreadable_source =0", "a may be there");
        let confirmed = |sources: &mut Sources| {
            unread(sources);
            sources.confirmed = names("a");
        };
        assert_eq!(planned("t/a", "b<a", confirmed), "a>b =0");
        let dropped = |sources: &mut Sources| sources.names = vec!["t".to_owned()];
        assert_eq!(planned("a", "t/b<a", dropped), "a>b =0", "nobody declares a's source now");
        let actual = applied("a");
        let plan = diff(7, "r".into(), &declared("b<a"), &actual, &sources(&actual));
        let at = "2026-02-01T00:00:00Z".parse().unwrap();
        let renamed = preview(at, &plan.changes[0]).unwrap();
        assert_eq!(renamed.uid, actual.values().next().unwrap().uid);
    }

    #[test]
    fn an_id_names_what_is_changed_and_what_is_held_back() {
        let id = |applied_words: &str, declared_words: &str| {
            let actual = applied(applied_words);
            diff(7, "r".into(), &declared(declared_words), &actual, &sources(&actual)).id()
        };
        assert_eq!(id("a b", "a=2"), id("b a", "a=2"));
        let ids =
            BTreeSet::from([id("a b", "a=2"), id("a b", "a=3"), id("a b!", "a=2"), id("a", "a=2")]);
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| id.starts_with("7-")));
    }

    proptest! {
        #[test]
        fn every_applied_job_ends_in_exactly_one_place(
            actual in subsequence(vec!["a", "b!", "c", "d", "e", "f", "g", "t/h"], 0..=8),
            desired in subsequence(vec!["a", "b=2", "c=2", "d", "x<a<b", "y<c<e", "z<e<f", "t/h"], 0..=8),
            absent in subsequence(vec!["a", "b", "c", "d", "e", "f", "g", "h"], 0..=8),
            confirmed in subsequence(vec!["a", "b", "c", "d", "e", "f", "g", "h"], 0..=8),
            twice in subsequence(vec!["a", "c", "e"], 0..=1),
            blind in any::<bool>(),
        ) {
            let (actual, desired) = (applied(&actual.join(" ")), declared(&desired.join(" ")));
            let mut sources = Sources {
                confirmed_absent: names(&absent.join(" ")),
                confirmed: names(&confirmed.join(" ")),
                conflicts: names(&twice.join(" ")),
                guard: PruneGuard { removals: 2, percent: 40 },
                ..sources(&actual)
            };
            if blind {
                sources.incomplete.insert("t".to_owned(), Hold::UnreadableSource);
            }
            let plan = diff(7, "r".into(), &desired, &actual, &sources);
            let mut seen: Vec<&JobName> =
                plan.changes.iter().filter_map(|change| Some(&change.applied()?.spec.name)).collect();
            seen.extend(plan.held.iter().map(|held| &held.job));
            let mut distinct = seen.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), seen.len(), "{}", short(&plan));
            prop_assert_eq!(seen.len() + plan.unchanged, actual.len(), "{}", short(&plan));
            let waits = |name: &JobName| plan.held.iter().any(|held| held.renamed_to.as_ref() == Some(name));
            for name in desired.keys().filter(|name| !actual.contains_key(*name)) {
                let made = plan.changes.iter().any(|change| change.job() == name);
                prop_assert!(made != waits(name), "{name} in {}", short(&plan));
            }
        }
    }
}
