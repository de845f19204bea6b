//! The spool against a real folder.
#![expect(clippy::disallowed_methods, reason = "the tests write what the spool finds")]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::*;
use crate::supervisor::clock;
use crate::supervisor::protocol::{HowEnded, KeptOutput};

fn ending(id: &str) -> ProcessEnding {
    ProcessEnding {
        id: id.to_owned(),
        started_at_ms: Some(1),
        finished_at_ms: 2,
        duration_ms: Some(1),
        how: HowEnded::Exited { code: 0 },
        output: KeptOutput::default(),
        result: None,
        success_exit_codes: Vec::new(),
        applied: None,
        hit: None,
    }
}

fn line(id: &str) -> String {
    serde_json::to_string(&FromSupervisor::Ended(Box::new(ending(id)))).unwrap()
}

fn open(folder: &Path) -> (Spool, OwnedFd) {
    let wake = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    (Spool::open(folder, wake.try_clone().unwrap()).unwrap(), wake)
}

/// Waits until `count` ids may be said.
fn committed(spool: &mut Spool, wake: &OwnedFd, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    while ids.len() < count {
        poll(&mut [PollFd::new(wake, PollFlags::IN)], None).unwrap();
        rustix::io::read(wake, &mut [0; 8]).unwrap();
        ids.extend(spool.committed(clock::now()).iter().map(ToString::to_string));
    }
    ids
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn endings_outlive_the_spool_until_they_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, wake) = open(folder.path());
    spool.add(ending("a/../b"));
    spool.add(ending("c"));
    assert_eq!(committed(&mut spool, &wake, 2), ["a/../b".into(), "c".into()].into());
    assert_eq!(spool.line("c"), Line::Ready(line("c")));
    spool.close();

    let (mut spool, _wake) = open(folder.path());
    assert_eq!(spool.ids().len(), 2);
    assert_eq!(spool.line("a/../b"), Line::Ready(line("a/../b")));
    assert!(spool.recorded("a/../b") && !spool.recorded("a/../b"));
    assert!(spool.recorded("c"));
    assert_eq!(spool.line("c"), Line::Gone);
    assert!(spool.ids().is_empty());
    spool.close();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_moved_aside_and_its_good_lines_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\n{{\"ended\": tru\n{}\n", line("a"), line("b"));
    fs::write(folder.path().join("000000000007.jsonl"), text).unwrap();
    fs::write(folder.path().join("000000000009.jsonl"), &line("torn")[..40]).unwrap();

    let (mut spool, wake) = open(folder.path());
    assert_eq!(committed(&mut spool, &wake, 2), ["a".into(), "b".into()].into());
    assert_eq!(spool.ids().len(), 2);
    spool.close();
    let names = names(folder.path());
    assert_eq!(names[..2], ["000000000007.damaged", "000000000009.damaged"]);
    assert!(names[2..].iter().all(|name| name > &"000000000009".to_owned()), "{names:?}");
}

#[test]
fn while_the_disk_refuses_endings_are_said_from_memory_and_written_later() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("spool");
    let (mut spool, wake) = open(&folder);
    let in_the_way = folder.join("000000000001.draft");
    fs::create_dir(&in_the_way).unwrap();
    spool.add(ending("a"));
    spool.add(ending("b"));
    assert_eq!(committed(&mut spool, &wake, 2), ["a".into(), "b".into()].into());
    assert_eq!(spool.line("a"), Line::Ready(line("a")));
    assert!(!spool.is_durable() && spool.retry_at().is_some());
    assert!(spool.recorded("b"));

    fs::remove_dir(&in_the_way).unwrap();
    spool.retry();
    while !spool.is_durable() {
        poll(&mut [PollFd::new(&wake, PollFlags::IN)], None).unwrap();
        rustix::io::read(&wake, &mut [0; 8]).unwrap();
        assert_eq!(spool.committed(clock::now()).len(), 0, "it was said already");
    }
    spool.close();
    let (spool, _wake) = open(&folder);
    assert_eq!(spool.ids(), [std::sync::Arc::<str>::from("a")]);
    spool.close();
}

#[test]
fn a_spool_whose_folder_was_replaced_writes_nothing_among_the_successors_files() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("spool");
    let (mut spool, wake) = open(&folder);
    fs::remove_dir(&folder).unwrap();
    let (successor, _wake) = open(&folder);
    spool.add(ending("a"));
    assert_eq!(committed(&mut spool, &wake, 1), ["a".into()].into());
    spool.close();
    assert_eq!(names(&folder), Vec::<String>::new());
    successor.close();
}
