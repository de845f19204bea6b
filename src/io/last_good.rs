//! The last good definitions in the state directory (D7, D13): what a manifest that cannot be read any
//! more declared. One pack a plan: a file of lines, each a definition under its digest.
//!
//! What a plan replaced is kept as well, for as many plans as somebody may go back over.
//!
//! A pack is written whole, synced and never changed. [`LastGood::forget_all_but`] removes packs of which
//! nothing is used any more, and writes what is left of many into one.

#![expect(clippy::disallowed_methods, reason = "this is where these files are read and written")]

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::spec::job::{Digest, JobName, JobSpec};

/// From so many packs on, what is used of them is written into one.
const PACKS_MAX: usize = 64;
/// Over how many plans what they replaced is kept.
pub const PLANS_KEPT: usize = 20;
/// Which definitions the last plans replaced: a line a plan.
const REPLACED: &str = "replaced";
/// How the name of a pack ends.
const EXTENSION: &str = "pack";

/// A definition in a pack.
type Key = (JobName, Digest);

/// The folder, and what its packs hold. One process has it: that of the daemon.
#[derive(Debug)]
pub struct LastGood {
    folder: PathBuf,
    /// By number; numbers grow.
    packs: Mutex<BTreeMap<u64, HashSet<Key>>>,
    /// What the last plans replaced, the oldest first.
    replaced: Mutex<VecDeque<BTreeSet<Digest>>>,
}

/// A line of a pack.
#[derive(Serialize, Deserialize)]
struct Line<'t> {
    digest: &'t str,
    name: &'t str,
    /// In canonical form.
    #[serde(borrow)]
    spec: &'t RawValue,
}

impl LastGood {
    /// The definitions kept in `folder`, which need not exist. Blocks on the file system, as all of it does.
    pub fn open(folder: PathBuf) -> Self {
        let mut packs = BTreeMap::new();
        for number in numbers(&folder) {
            let text = fs::read_to_string(place(&folder, number)).unwrap_or_default();
            let keys = lines(&text).filter_map(|line| line.key());
            packs.insert(number, keys.collect());
        }
        let replaced = replaced(&folder);
        Self { folder, packs: Mutex::new(packs), replaced: Mutex::new(replaced) }
    }

    fn packs(&self) -> MutexGuard<'_, BTreeMap<u64, HashSet<Key>>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads definitions; those that are missing, or are not what their digest says, are left out.
    pub fn read(&self, wanted: &BTreeSet<Key>) -> Vec<JobSpec> {
        let packs = self.packs();
        let mut found = Vec::new();
        let mut missing = wanted.clone();
        for (number, keys) in packs.iter() {
            if keys.iter().any(|key| missing.contains(key)) {
                let text = fs::read_to_string(place(&self.folder, *number)).unwrap_or_default();
                for (key, spec) in lines(&text).filter_map(|line| Some((line.key()?, line.spec()?)))
                {
                    if spec.digest() == key.1 && missing.remove(&key) {
                        found.push(spec);
                    }
                }
            }
        }
        found
    }

    /// Writes definitions that are not kept yet, all or none; durable when it returns.
    pub fn keep<'s>(
        &self,
        specs: impl IntoIterator<Item = (&'s Digest, &'s Arc<JobSpec>)>,
    ) -> io::Result<()> {
        let mut packs = self.packs();
        let is_kept = |key: &Key| packs.values().any(|keys| keys.contains(key));
        let mut fresh = HashSet::new();
        let mut text = String::new();
        for (digest, spec) in specs {
            let key = (spec.name.clone(), digest.clone());
            if !is_kept(&key) && fresh.insert(key) {
                add_line(&mut text, digest, &spec.name, &spec.canonical())?;
            }
        }
        if !fresh.is_empty() {
            let number = next(&packs);
            write(&self.folder, &place(&self.folder, number), &text)?;
            packs.insert(number, fresh);
        }
        Ok(())
    }

    /// Takes note of what a plan has replaced: it is kept for [`PLANS_KEPT`] plans.
    pub fn replace(&self, digests: BTreeSet<Digest>) -> io::Result<()> {
        let mut replaced = self.replaced();
        replaced.push_back(digests);
        while replaced.len() > PLANS_KEPT {
            replaced.pop_front();
        }
        let mut text = String::new();
        for digests in replaced.iter() {
            let digests: Vec<&str> = digests.iter().map(|digest| &*digest.0).collect();
            text.push_str(&serde_json::to_string(&digests)?);
            text.push('\n');
        }
        write(&self.folder, &self.folder.join(REPLACED), &text)
    }

    fn replaced(&self) -> MutexGuard<'_, VecDeque<BTreeSet<Digest>>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets definitions that are not used any more, sooner or later.
    pub fn forget_all_but(&self, used: &BTreeSet<Digest>) -> io::Result<()> {
        let replaced = self.replaced().clone();
        let mut packs = self.packs();
        let is_used = |(_, digest): &Key| {
            used.contains(digest) || replaced.iter().any(|plan| plan.contains(digest))
        };
        let unused: Vec<u64> =
            packs.iter().filter(|(_, keys)| !keys.iter().any(is_used)).map(|(n, _)| *n).collect();
        for number in unused {
            fs::remove_file(place(&self.folder, number))?;
            packs.remove(&number);
        }
        if packs.len() < PACKS_MAX {
            return Ok(());
        }
        let (mut kept, mut text) = (HashSet::new(), String::new());
        for number in packs.keys() {
            let pack = fs::read_to_string(place(&self.folder, *number))?;
            for line in lines(&pack) {
                if let Some(key) = line.key().filter(is_used)
                    && kept.insert(key)
                {
                    text.push_str(&serde_json::to_string(&line)?);
                    text.push('\n');
                }
            }
        }
        let number = next(&packs);
        write(&self.folder, &place(&self.folder, number), &text)?;
        for (old, _) in std::mem::replace(&mut *packs, BTreeMap::from([(number, kept)])) {
            fs::remove_file(place(&self.folder, old))?;
        }
        Ok(())
    }
}

impl Line<'_> {
    fn key(&self) -> Option<Key> {
        Some((JobName::parse(self.name).ok()?, Digest(self.digest.into())))
    }

    fn spec(&self) -> Option<JobSpec> {
        JobSpec::from_canonical(&JobName::parse(self.name).ok()?, self.spec.get()).ok()
    }
}

fn place(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{EXTENSION}"))
}

fn next(packs: &BTreeMap<u64, HashSet<Key>>) -> u64 {
    packs.last_key_value().map_or(1, |(number, _)| number + 1)
}

/// The numbers of the packs in the folder.
fn numbers(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
    };
    entries.filter_map(number).collect()
}

/// The lines that can be read.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn add_line(text: &mut String, digest: &Digest, name: &JobName, spec: &str) -> io::Result<()> {
    let spec = serde_json::from_str(spec)?;
    let line = Line { digest: &digest.0, name: name.as_str(), spec };
    text.push_str(&serde_json::to_string(&line)?);
    text.push('\n');
    Ok(())
}

/// What the last plans replaced, as far as it can be read.
fn replaced(folder: &Path) -> VecDeque<BTreeSet<Digest>> {
    let text = fs::read_to_string(folder.join(REPLACED)).unwrap_or_default();
    let plan = |line: &str| -> Option<BTreeSet<Digest>> {
        let digests: Vec<&str> = serde_json::from_str(line).ok()?;
        Some(digests.into_iter().map(|digest| Digest(digest.into())).collect())
    };
    text.lines().filter_map(plan).collect()
}

fn write(folder: &Path, place: &Path, text: &str) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = place.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    drop(file);
    fs::rename(&draft, place)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    fn spec(name: &str, number: usize) -> (Digest, Arc<JobSpec>) {
        let text =
            format!("jobs: {{ {name}: {{ triggers: [], command: [echo, '{name}{number}'] }} }}");
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "a.yaml".into(), source: "s".into(), content };
        let job = load(&[file], &Known::default()).jobs.into_values().next().unwrap();
        (job.digest, job.spec)
    }

    fn keep(kept: &LastGood, specs: &[(Digest, Arc<JobSpec>)]) {
        kept.keep(specs.iter().map(|(digest, spec)| (digest, spec))).unwrap();
    }

    /// Which of them can be read, by name.
    fn read(kept: &LastGood, specs: &[(Digest, Arc<JobSpec>)]) -> Vec<String> {
        let wanted = specs.iter().map(|(digest, spec)| (spec.name.clone(), digest.clone()));
        let mut found: Vec<JobSpec> = kept.read(&wanted.collect());
        found.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in &found {
            assert!(specs.iter().any(|(_, kept)| **kept == *spec), "{} as it was", spec.name);
        }
        found.iter().map(|spec| spec.name.to_string()).collect()
    }

    #[test]
    fn what_is_kept_is_read_by_the_next_process_until_it_is_forgotten() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("last-good");
        let (a, b, c) = (spec("a", 1), spec("b", 1), spec("c", 1));
        let all = [a.clone(), b.clone(), c.clone()];
        let kept = LastGood::open(folder.clone());
        assert_eq!(read(&kept, &all), [""; 0]);
        keep(&kept, &[a.clone(), b.clone()]);
        keep(&kept, &[b.clone(), c.clone()]);
        keep(&kept, std::slice::from_ref(&a));
        assert_eq!(numbers(&folder).len(), 2, "nothing is kept twice");
        let kept = LastGood::open(folder.clone());
        assert_eq!(read(&kept, &all), ["a", "b", "c"]);
        kept.forget_all_but(&BTreeSet::from([b.0.clone()])).unwrap();
        assert_eq!(read(&kept, &all), ["a", "b"], "the pack of b is kept whole");
        kept.forget_all_but(&BTreeSet::new()).unwrap();
        assert_eq!((read(&kept, &all), numbers(&folder)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_plans_replaced_is_kept_for_as_many_plans_as_one_may_go_back_over() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("last-good");
        let versions: Vec<_> = (0..PLANS_KEPT + 3).map(|number| spec("a", number)).collect();
        let kept = LastGood::open(folder.clone());
        for pair in versions.windows(2) {
            keep(&kept, &pair[1..]);
            kept.replace(BTreeSet::from([pair[0].0.clone()])).unwrap();
            kept.forget_all_but(&BTreeSet::from([pair[1].0.clone()])).unwrap();
        }
        let kept = LastGood::open(folder);
        kept.forget_all_but(&BTreeSet::from([versions.last().unwrap().0.clone()])).unwrap();
        let found =
            versions.iter().map(|version| !read(&kept, std::slice::from_ref(version)).is_empty());
        let found: Vec<bool> = found.collect();
        let expected: Vec<bool> = (0..PLANS_KEPT + 3).map(|number| number > 1).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn many_packs_become_one_of_what_is_used() {
        let base = tempfile::tempdir().unwrap();
        let kept = LastGood::open(base.path().to_path_buf());
        let old: Vec<_> = (0..PACKS_MAX).map(|number| spec("a", number)).collect();
        let steady: Vec<_> = ["x", "y"].map(|name| spec(name, 0)).to_vec();
        for (number, old) in old.iter().enumerate() {
            keep(&kept, &[old.clone(), steady[number % 2].clone(), spec(&format!("n{number}"), 0)]);
        }
        let used: BTreeSet<Digest> =
            steady.iter().chain(&old[7..]).map(|(d, _)| d.clone()).collect();
        kept.forget_all_but(&used).unwrap();
        let folder = base.path();
        assert!(numbers(folder).len() < PACKS_MAX);
        let kept = LastGood::open(folder.to_path_buf());
        assert_eq!(read(&kept, &steady), ["x", "y"]);
        assert_eq!(read(&kept, &old[7..8]), ["a"]);
    }

    #[test]
    fn a_line_that_was_tampered_with_is_no_definition() {
        let base = tempfile::tempdir().unwrap();
        let (kept, job) = (LastGood::open(base.path().to_path_buf()), spec("a", 1));
        keep(&kept, std::slice::from_ref(&job));
        let pack = place(base.path(), 1);
        let text = fs::read_to_string(&pack).unwrap();
        fs::write(&pack, text.replace("a1", "a2")).unwrap();
        assert_eq!(read(&LastGood::open(base.path().to_path_buf()), &[job]), [""; 0]);
    }
}
