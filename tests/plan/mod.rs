//! Golden plans: each file in `cases/` holds manifests before and after an edit, and everything that people
//! and programs are told about it is compared with the `.out` beside it (`SNAPSHOTS=overwrite` writes
//! them). The definitions before were applied on 1 November 2026; the edit is made on the 22nd, a Sunday,
//! at 13:00 UTC, unless the case says otherwise.

mod against;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cronwright::cli::output::Look;
use cronwright::cli::plan::{markdown, text, unified};
use cronwright::cli::times::Clock;
use cronwright::engine::execution::JobUid;
use cronwright::engine::overrides::{Override, Overrides, Pause};
use cronwright::engine::plan::{self, AppliedSet, Change, Hold, Owner, PruneGuard};
use cronwright::engine::scheduler::preview;
use cronwright::io::http::documents::diagnostics::DiagnosticEntry;
use cronwright::io::http::documents::plan::PlanDocument;
use cronwright::io::http::documents::planned::Surroundings;
use cronwright::spec::job::JobName;
use cronwright::spec::manifest::{Content, Known, Loaded, ManifestFile, load};
use cronwright::time::Timestamp;
use snapbox::{Data, assert_data_eq};

const APPLIED_AT: &str = "2026-11-01T00:00:00Z";
const NOW: &str = "2026-11-22T13:00:00Z";
const SOURCE: &str = "jobs.d";

/// Manifests before and after an edit, and the moment of it.
struct Case {
    before: Vec<ManifestFile>,
    after: Vec<ManifestFile>,
    now: Timestamp,
    /// Executions that run, by job.
    running: Vec<(JobName, usize)>,
    /// Jobs that are paused.
    paused: Vec<JobName>,
    /// The source is not whole, and why.
    incomplete: Option<Hold>,
}

impl Case {
    /// Reads a case: what follows `--- before FILE` or `--- after FILE` is that file; `--- both FILE` is
    /// the same before and after.
    fn read(text: &str) -> Self {
        let now = NOW.parse().unwrap();
        let mut case = Self {
            before: Vec::new(),
            after: Vec::new(),
            now,
            running: Vec::new(),
            paused: Vec::new(),
            incomplete: None,
        };
        for section in text.split("--- ").skip(1) {
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            let words: Vec<&str> = head.split_whitespace().collect();
            let file = |name: &str| ManifestFile {
                path: format!("{SOURCE}/{name}").into(),
                source: SOURCE.into(),
                content: Content::Bytes(body.as_bytes().into()),
            };
            let job = |name: &str| JobName::parse(name).unwrap();
            match words[..] {
                ["before", name] => case.before.push(file(name)),
                ["after", name] => case.after.push(file(name)),
                ["both", name] => {
                    case.before.push(file(name));
                    case.after.push(file(name));
                }
                ["now", at] => case.now = at.parse().unwrap(),
                ["running", name, count] => case.running.push((job(name), count.parse().unwrap())),
                ["paused", name] => case.paused.push(job(name)),
                ["unmounted"] => case.incomplete = Some(Hold::Unmounted),
                _ => panic!("what is `{head}`?"),
            }
        }
        case
    }

    fn document(&self) -> PlanDocument {
        let applied = applied(&load(&self.before, &Known::default()));
        let after = load(&self.after, &Known::default());
        let sources = plan::Sources {
            names: vec![SOURCE.to_owned()],
            incomplete: self.incomplete.map(|hold| (SOURCE.to_owned(), hold)).into_iter().collect(),
            invalid: after.invalid.clone(),
            conflicts: after.conflicts.clone(),
            confirmed_absent: applied.keys().cloned().collect(),
            guard: PruneGuard::default(),
            ..plan::Sources::default()
        };
        let plan = plan::diff(318, "8f3c2a1".into(), &after.jobs, &applied, &sources);
        let uid = |name: &JobName| applied[name].uid.clone();
        let running: BTreeMap<JobUid, usize> =
            self.running.iter().map(|(name, count)| (uid(name), *count)).collect();
        let overrides: Overrides =
            self.paused.iter().map(|name| (uid(name), Self::paused(name))).collect();
        let errors = after.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        PlanDocument::of(
            &plan,
            &Surroundings {
                now: self.now,
                applied: &applied,
                applied_revision: Some("51de0b7".to_owned()),
                against: None,
                overrides: &overrides,
                running: Some(&running),
                diagnostics: errors.map(DiagnosticEntry::of).collect(),
                sources_digest: Some("d1".to_owned()),
                branch: Some("main".to_owned()),
                dirty: Some(false),
                notes: Vec::new(),
                definitions: true,
            },
        )
    }

    fn paused(name: &JobName) -> Override {
        let at = "2026-11-20T13:00:00Z".parse().unwrap();
        let reason = Some("vendor API down".to_owned());
        let pause = Some(Pause { by: "li.wei".to_owned(), at, reason, until: None });
        Override { job: name.clone(), pause, skip_next: None, request: None }
    }
}

fn applied(loaded: &Loaded) -> AppliedSet {
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let at = APPLIED_AT.parse().unwrap();
    let owner = Owner::source(SOURCE);
    let job = |to| preview(at, &Change::Create { to, owner: owner.clone() }).unwrap();
    loaded.jobs.iter().map(|(name, to)| (name.clone(), job(to.clone()))).collect()
}

/// A document in all its forms.
fn shown(plan: &PlanDocument, now: Timestamp) -> String {
    let look = Look { clock: Clock { now, zone: None }, wide: false, colour: false };
    let mut json = plan.clone();
    for change in &mut json.changes {
        change.definition = None;
    }
    let mut all = String::new();
    for (form, text) in [
        ("text", text::page(plan, &look)),
        ("json", serde_json::to_string_pretty(&json).unwrap() + "\n"),
        ("markdown", markdown::page(plan)),
        ("unified", unified::page(plan)),
    ] {
        write!(all, "=== {form}\n{text}").unwrap();
    }
    all
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan/cases");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "case")).collect();
    cases.sort();
    cases
}

#[test]
fn plans_read_as_they_should() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} kinds of edit", cases.len());
    for path in cases {
        let case = Case::read(&fs::read_to_string(&path).unwrap());
        let shown = shown(&case.document(), case.now);
        assert_data_eq!(shown, Data::read_from(&path.with_extension("out"), None).raw());
    }
}

/// The promise behind every line "nothing moves": files in another order, or read again, make no other plan.
#[test]
fn the_same_sides_give_the_same_document_whatever_order_the_files_come_in() {
    for path in cases() {
        let mut case = Case::read(&fs::read_to_string(&path).unwrap());
        let plan = case.document();
        case.before.reverse();
        case.after.reverse();
        assert_eq!(case.document(), plan, "{}", path.display());
    }
}

#[test]
fn a_comment_is_never_too_long_and_says_when_it_was_cut() {
    let jobs = |count: usize, command: &str| {
        let mut text = "jobs:\n".to_owned();
        for job in 0..count {
            writeln!(text, "  job-{job:04}: {{cron: '@daily', command: {command}}}").unwrap();
        }
        text
    };
    let of = |count: usize| {
        let text = format!(
            "--- before a.yaml\n{}--- after a.yaml\n{}",
            jobs(count, "x"),
            jobs(count, "z")
        );
        markdown::page(&Case::read(&text).document())
    };
    let (small, large) = (of(100), of(3_000));
    assert!(small.len() < 60_000 && !small.contains("does not fit"), "{}", small.len());
    assert!(large.len() <= markdown::BYTES_MAX && large.len() > 50_000, "{}", large.len());
    assert!(large.ends_with("see all of it with `cronwright plan`.\n"));
    for text in [&small, &large] {
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    }
}
