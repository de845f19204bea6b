//! What a plan of 10,000 jobs costs, from the loaded definitions to its document: `cargo bench --bench plan`.
//! The bar for 10,000 unchanged ones is 100 ms.

#![expect(clippy::unwrap_used, reason = "a bench may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cronwright::engine::overrides::Overrides;
use cronwright::engine::plan::{self, AppliedSet, Change, Owner, PruneGuard};
use cronwright::engine::scheduler::preview;
use cronwright::io::http::documents::plan::PlanDocument;
use cronwright::io::http::documents::planned::Surroundings;
use cronwright::spec::job::JobSet;
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};
use cronwright::time::Timestamp;

fn main() {
    divan::main();
}

const JOBS: usize = 10_000;

/// The jobs; so many of them fire an hour later.
fn jobs(edited: usize) -> JobSet {
    let mut text = "jobs:\n".to_owned();
    for job in 0..JOBS {
        let (minute, hour) = (job % 60, if job < edited { 4 } else { 3 });
        let line = format!("{{cron: \"{minute} {hour} * * *\", command: run {job}}}");
        writeln!(text, "  job-{job}: {line}").unwrap();
    }
    let content = Content::Bytes(text.into_bytes().into());
    let file = ManifestFile { path: "jobs.d/a.yaml".into(), source: "jobs.d".into(), content };
    load(&[file], &Known::default()).jobs
}

#[divan::bench(args = [0, 1, 10_000], sample_count = 10)]
fn ten_thousand_jobs_with_so_many_edited(bencher: divan::Bencher<'_, '_>, edited: usize) {
    let now: Timestamp = "2026-11-22T13:00:00Z".parse().unwrap();
    let owner = Owner::source("jobs.d");
    let job = |to| preview(now, &Change::Create { to, owner: owner.clone() }).unwrap();
    let applied: AppliedSet = jobs(0).into_iter().map(|(name, to)| (name, job(to))).collect();
    let desired = jobs(edited);
    let sources = plan::Sources {
        names: vec!["jobs.d".to_owned()],
        incomplete: BTreeMap::new(),
        invalid: Vec::new(),
        conflicts: BTreeSet::new(),
        confirmed_absent: BTreeSet::new(),
        guard: PruneGuard::default(),
        ..plan::Sources::default()
    };
    let running = BTreeMap::new();
    bencher.bench(|| {
        let plan = plan::diff(1, "8f3c2a1".into(), &desired, &applied, &sources);
        let document = PlanDocument::of(
            &plan,
            &Surroundings {
                now,
                applied: &applied,
                applied_revision: None,
                against: None,
                overrides: &Overrides::new(),
                running: Some(&running),
                diagnostics: Vec::new(),
                sources_digest: None,
                branch: None,
                dirty: None,
                notes: Vec::new(),
                definitions: false,
            },
        );
        assert_eq!((document.summary.update, document.summary.unchanged), (edited, JOBS - edited));
        document
    });
}
