//! Random edits of the desk, of every kind that people make.

use std::collections::BTreeMap;

use super::desk::{Desk, Draft, Fault, Paper, Trig};
use super::world::SOURCES;
use crate::simulation::random::Random;

const FILES: [&str; 4] = ["a.yaml", "b.yaml", "c.toml", "d.json"];
/// Names are few, so that they come back.
const NAMES: u64 = 14;
const PERIODS: [u32; 9] = [30, 45, 60, 90, 300, 420, 600, 1_800, 3_600];
const EXPRESSIONS: [&str; 9] = [
    "* * * * *",
    "*/5 * * * *",
    "7,37 * * * *",
    "0 * * * *",
    "*/20 * * * * *",
    "15 0-23/2 * * *",
    "30 2 * * *",
    "10 3 * * mon-fri",
    "0 2,3 * * *",
];
const ZONES: [&str; 4] = ["UTC", "UTC", "Europe/Berlin", "Asia/Shanghai"];

/// The hand that writes.
pub(super) struct Editor {
    /// Grows with each edit, so that no content comes back by chance.
    pub(super) edits: u64,
    /// Files that were deleted, as they were.
    bin: BTreeMap<String, Paper>,
    /// The present second of Unix time.
    pub(super) now: i64,
}

impl Editor {
    pub(super) fn new(now: i64) -> Self {
        Self { edits: 0, bin: BTreeMap::new(), now }
    }

    /// What stands there at the beginning.
    pub(super) fn first_desk(&mut self, random: &mut Random) -> Desk {
        let mut desk = Desk::default();
        for _ in 0..random.between(3, 9) {
            self.add(random, &mut desk);
        }
        desk
    }

    /// Makes one edit; its kind.
    pub(super) fn edit(&mut self, random: &mut Random, desk: &mut Desk) -> &'static str {
        self.edits += 1;
        let before = desk.clone();
        let kind = self.try_edit(random, desk);
        if desk.is_clear() {
            return kind;
        }
        *desk = before;
        "touch"
    }

    fn try_edit(&mut self, random: &mut Random, desk: &mut Desk) -> &'static str {
        match random.between(0, 99) {
            0..10 => self.add(random, desk),
            10..22 => self.on_job(random, desk, "trigger", Self::change_trigger),
            22..27 => self.on_job(random, desk, "more triggers", Self::add_trigger),
            27..31 => self.on_job(random, desk, "less triggers", |_, random, job| {
                Self::drop_trigger(random, job);
            }),
            31..36 => self.on_job(random, desk, "command", |it, _, job| job.command = it.edits),
            36..40 => self.on_job(random, desk, "env", |it, _, job| job.env = it.edits),
            40..42 => {
                self.on_job(random, desk, "metadata", |it, _, job| job.description = it.edits)
            }
            42..44 => self.on_job(random, desk, "forget", |_, _, job| job.former = None),
            44..48 => self.on_job(random, desk, "switch", |_, _, job| job.enabled = !job.enabled),
            48..53 => Self::remove(random, desk),
            53..59 => Self::relocate(random, desk),
            59..61 => self.rename(random, desk, false),
            61..64 => self.rename(random, desk, true),
            64..71 => Self::spoil(random, desk),
            71..80 => Self::mend(desk),
            80..83 => Self::reorder(random, desk),
            83..88 => Self::reformat(random, desk),
            88..91 => self.delete_file(random, desk),
            91..94 => self.restore_file(random, desk),
            94..96 => Self::rename_file(random, desk),
            96..97 => Self::duplicate(random, desk),
            97..98 => Self::close_source(random, desk),
            _ => "touch",
        }
    }

    fn trigger(&self, random: &mut Random) -> Trig {
        match random.between(0, 9) {
            0..4 => Trig::Cron(random.pick::<&str>(&EXPRESSIONS), random.pick::<&str>(&ZONES)),
            4..7 => Trig::Every(*random.pick(&PERIODS)),
            7..9 => Trig::Anchored(*random.pick(&PERIODS)),
            _ => Trig::Once(self.now + i64::try_from(random.between(0, 7_200)).unwrap() - 600),
        }
    }

    fn add(&mut self, random: &mut Random, desk: &mut Desk) -> &'static str {
        let name = format!("job-{}", random.between(0, NAMES - 1));
        if desk.names().contains(&name) {
            return "touch";
        }
        let mut triggers = vec![self.trigger(random)];
        if random.chance(30) {
            let more = self.trigger(random);
            if more != triggers[0] {
                triggers.push(more);
            }
        }
        let job = Draft {
            name,
            triggers,
            enabled: !random.chance(8),
            allow: random.chance(30),
            command: self.edits,
            env: 0,
            description: 0,
            former: None,
        };
        let path = path(random);
        let paper = Paper { jobs: Vec::new(), style: random.next(), fault: None };
        desk.papers.entry(path).or_insert(paper).jobs.push(job);
        "add"
    }

    /// Does something to one job.
    fn on_job(
        &mut self,
        random: &mut Random,
        desk: &mut Desk,
        kind: &'static str,
        act: impl FnOnce(&mut Self, &mut Random, &mut Draft),
    ) -> &'static str {
        let Some((path, index)) = some_job(random, desk) else { return "touch" };
        let Some(paper) = desk.papers.get_mut(&path) else { return "touch" };
        act(self, random, &mut paper.jobs[index]);
        kind
    }

    fn change_trigger(&mut self, random: &mut Random, job: &mut Draft) {
        let new = self.trigger(random);
        let index = usize::try_from(random.next()).unwrap_or(0) % job.triggers.len().max(1);
        if job.triggers.contains(&new) {
            return;
        }
        // Half of the edits of an interval are edits of its period.
        let edited = Trig::Every(*random.pick(&PERIODS));
        match (job.triggers.get(index), random.chance(50)) {
            (Some(Trig::Every(_)), true) if job.triggers.contains(&edited) => {}
            (Some(Trig::Every(_)), true) => job.triggers[index] = edited,
            (Some(_), _) => job.triggers[index] = new,
            (None, _) => job.triggers.push(new),
        }
    }

    fn add_trigger(&mut self, random: &mut Random, job: &mut Draft) {
        let new = self.trigger(random);
        if job.triggers.len() < 4 && !job.triggers.contains(&new) {
            let index = usize::try_from(random.next()).unwrap_or(0) % (job.triggers.len() + 1);
            job.triggers.insert(index, new);
        }
    }

    fn drop_trigger(random: &mut Random, job: &mut Draft) {
        if random.chance(50) {
            job.triggers.reverse();
        } else if job.triggers.len() > 1 {
            job.triggers.remove(0);
        }
    }

    fn remove(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some((path, index)) = some_job(random, desk) else { return "touch" };
        if let Some(paper) = desk.papers.get_mut(&path) {
            paper.jobs.remove(index);
        }
        "remove"
    }

    /// Moves a job to another file, which may be broken.
    fn relocate(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some((from, index)) = some_job(random, desk) else { return "touch" };
        let to = path(random);
        if from == to {
            return "touch";
        }
        let Some(job) = desk.papers.get_mut(&from).map(|paper| paper.jobs.remove(index)) else {
            return "touch";
        };
        let paper = Paper { jobs: Vec::new(), style: random.next(), fault: None };
        desk.papers.entry(to).or_insert(paper).jobs.push(job);
        "move"
    }

    /// Gives a job another name; it may say which it had before.
    fn rename(&mut self, random: &mut Random, desk: &mut Desk, says: bool) -> &'static str {
        let name = format!("job-{}", random.between(0, NAMES - 1));
        if desk.names().contains(&name) {
            return "touch";
        }
        let kind = if says { "rename" } else { "other name" };
        self.on_job(random, desk, kind, |_, _, job| {
            let before = std::mem::replace(&mut job.name, name);
            job.former = says.then_some(before);
        })
    }

    fn spoil(random: &mut Random, desk: &mut Desk) -> &'static str {
        let fault = *random.pick(&Fault::ALL);
        let Some(path) = some_file(random, desk) else { return "touch" };
        let Some(paper) = desk.papers.get_mut(&path) else { return "touch" };
        let in_a_job = matches!(fault, Fault::BadValue | Fault::UnknownKey);
        if in_a_job && paper.jobs.is_empty() {
            return "touch";
        }
        paper.fault = Some(fault);
        "break"
    }

    /// Mends the first thing that is broken.
    fn mend(desk: &mut Desk) -> &'static str {
        if desk.unreadable.pop_first().is_some() {
            return "mend";
        }
        match desk.papers.values_mut().find(|paper| paper.fault.is_some()) {
            Some(paper) => {
                paper.fault = None;
                "mend"
            }
            None => "touch",
        }
    }

    fn reorder(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some(path) = some_file(random, desk) else { return "touch" };
        if let Some(paper) = desk.papers.get_mut(&path) {
            paper.jobs.reverse();
        }
        "reorder"
    }

    fn reformat(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some(path) = some_file(random, desk) else { return "touch" };
        if let Some(paper) = desk.papers.get_mut(&path) {
            paper.style = random.next();
        }
        "reformat"
    }

    fn delete_file(&mut self, random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some(path) = some_file(random, desk) else { return "touch" };
        if let Some(paper) = desk.papers.remove(&path) {
            self.bin.insert(path, paper);
        }
        "delete a file"
    }

    fn restore_file(&mut self, random: &mut Random, desk: &mut Desk) -> &'static str {
        let paths: Vec<String> = self.bin.keys().cloned().collect();
        if paths.is_empty() {
            return "touch";
        }
        let path = random.pick(&paths).clone();
        if desk.papers.contains_key(&path) {
            return "touch";
        }
        if let Some(paper) = self.bin.remove(&path) {
            desk.papers.insert(path, paper);
        }
        "restore a file"
    }

    fn rename_file(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some(from) = some_file(random, desk) else { return "touch" };
        let to = path(random);
        if desk.papers.contains_key(&to) {
            return "touch";
        }
        if let Some(paper) = desk.papers.remove(&from) {
            desk.papers.insert(to, paper);
        }
        "rename a file"
    }

    fn duplicate(random: &mut Random, desk: &mut Desk) -> &'static str {
        let Some((from, index)) = some_job(random, desk) else { return "touch" };
        let to = path(random);
        let job = desk.papers[&from].jobs[index].clone();
        let paper = Paper { jobs: Vec::new(), style: random.next(), fault: None };
        desk.papers.entry(to).or_insert(paper).jobs.push(job);
        "duplicate"
    }

    fn close_source(random: &mut Random, desk: &mut Desk) -> &'static str {
        desk.unreadable.insert(*random.pick(&SOURCES));
        "close a source"
    }
}

fn path(random: &mut Random) -> String {
    let source = if random.chance(75) { SOURCES[0] } else { SOURCES[1] };
    format!("{source}/{}", random.pick(&FILES))
}

fn some_file(random: &mut Random, desk: &Desk) -> Option<String> {
    let paths: Vec<&String> = desk.papers.keys().collect();
    (!paths.is_empty()).then(|| (*random.pick(&paths)).clone())
}

/// A job of a file, by its place.
fn some_job(random: &mut Random, desk: &Desk) -> Option<(String, usize)> {
    let of_paper = |(path, paper): (&String, &Paper)| -> Vec<(String, usize)> {
        (0..paper.jobs.len()).map(|index| (path.clone(), index)).collect()
    };
    let places: Vec<(String, usize)> = desk.papers.iter().flat_map(of_paper).collect();
    (!places.is_empty()).then(|| random.pick(&places).clone())
}
