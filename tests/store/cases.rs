//! The cases. Each gets an empty store.

use std::time::Duration;

use cronwright::engine::admission::single;
use cronwright::engine::event::{ClaimAnswer, ClaimBatch, PlanWrites};
use cronwright::engine::execution::{
    Cause, ExecutionId, Failed, Missed, Outcome, Range, Row, Skipped, State,
};
use cronwright::engine::overrides::SkipNext;
use cronwright::engine::plan::{AppliedJob, Change, Owner, Repair};
use cronwright::engine::rollback::{Former, Pin, TakenBack};
use cronwright::io::store::document::{JobDocument, PinDocument};
use cronwright::io::store::{
    Bid, Contents, Guard, Holder, LeaseAnswer, PlanAnswer, Query, RowAnswer, RowChange, Store,
    StoredJobs,
};
use cronwright::spec::job::{DeclaredJob, JobName};
use cronwright::time::BootTime;

use super::fixture::{at, ending, job, pause, plan, row, said};

/// Claims rows and moves the watermark to minute `watermark`.
pub(crate) async fn claim(store: &dyn Store, watermark: i64, rows: Vec<Row>) -> Vec<ClaimAnswer> {
    let batch = ClaimBatch { number: 1, rows, watermark: at(watermark), deadline: BootTime::NEVER };
    store.claim(&batch).await.unwrap()
}

async fn end(store: &dyn Store, id: &ExecutionId, guard: Guard, outcome: Outcome) -> RowAnswer {
    let change = RowChange::Ended { id: id.clone(), guard, ending: ending(outcome) };
    store.record(&[change]).await.unwrap()[0]
}

fn all() -> Query {
    Query { job: None, outcomes: Vec::new(), since: None, revision: None, limit: 100 }
}

pub(crate) async fn a_new_store_is_empty(store: &dyn Store) {
    assert_eq!(store.load().await.unwrap(), Contents::default());
    assert_eq!(store.rows(&all()).await.unwrap(), []);
    assert_eq!(store.plans(5).await.unwrap(), []);
}

pub(crate) async fn an_id_is_claimed_once(store: &dyn Store) {
    let first = row("a", 1);
    let mut second = row("a", 1);
    second.claim.nonce = "q-1".into();
    second.slot = None;
    assert_eq!(claim(store, 1, vec![first.clone()]).await, [ClaimAnswer::Claimed]);
    let already = ClaimAnswer::AlreadyClaimed { claim: first.claim.clone() };
    assert_eq!(claim(store, 1, vec![second]).await, [already]);
    assert_eq!(store.row(&first.id).await.unwrap(), Some(first));
}

pub(crate) async fn a_slot_is_held_once_and_freed_by_the_ending(store: &dyn Store) {
    let (first, second, mut other_slot) = (row("a", 1), row("a", 2), row("a", 3));
    other_slot.slot = Some(1);
    let other_job = row("b", 1);
    let rows = vec![first.clone(), second.clone(), other_slot, other_job];
    let answers = claim(store, 3, rows).await;
    let won = ClaimAnswer::Claimed;
    assert_eq!(answers, [won.clone(), ClaimAnswer::SlotTaken, won.clone(), won.clone()]);
    end(store, &first.id, Guard::Epoch(1), Outcome::Succeeded).await;
    assert_eq!(claim(store, 3, vec![second]).await, [won]);
}

pub(crate) async fn a_taken_slot_keeps_the_watermark(store: &dyn Store) {
    claim(store, 1, vec![row("a", 1)]).await;
    claim(store, 5, vec![row("a", 2), row("b", 2)]).await;
    assert_eq!(store.load().await.unwrap().watermark, Some(at(1)));
}

pub(crate) async fn an_occurrence_that_somebody_else_claimed_keeps_the_watermark(
    store: &dyn Store,
) {
    let (foreign, mut ours, mut request) = (row("a", 2), row("a", 2), row("b", 2));
    claim(store, 1, vec![foreign.clone(), row("c", 1)]).await;
    ours.claim.nonce = "q-1".into();
    ours.range = Some(Range { first: at(2), last: at(9), count: 8 });
    let already = ClaimAnswer::AlreadyClaimed { claim: foreign.claim };
    assert_eq!(claim(store, 9, vec![ours]).await, [already]);
    assert_eq!(store.load().await.unwrap().watermark, Some(at(1)));
    request.cause = Cause::Request;
    claim(store, 2, vec![request.clone()]).await;
    request.claim.nonce = "q-1".into();
    claim(store, 3, vec![request]).await;
    assert_eq!(store.load().await.unwrap().watermark, Some(at(3)));
}

pub(crate) async fn the_watermark_never_goes_backward(store: &dyn Store) {
    claim(store, 5, vec![row("a", 1)]).await;
    claim(store, 3, vec![row("b", 1)]).await;
    assert_eq!(store.load().await.unwrap().watermark, Some(at(5)));
}

pub(crate) async fn rows_after_the_watermark_are_covered_and_requests_are_not(store: &dyn Store) {
    let mut range = row("b", 2);
    range.range = Some(Range { first: at(2), last: at(9), count: 8 });
    range.slot = None;
    range.state = State::Ended(ending(Outcome::Missed(Missed::Downtime)));
    let mut request = row("c", 6);
    request.id = ExecutionId("some-request".into());
    request.cause = Cause::Request;
    let rows = vec![row("a", 1), range.clone(), request, row("d", 6)];
    claim(store, 5, rows).await;
    let mut covered = store.load().await.unwrap().covered;
    covered.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (range.uid, Range { first: at(2), last: at(9), count: 8 }),
        (row("d", 6).uid, single(at(6))),
    ];
    assert_eq!(covered, expected);
}

pub(crate) async fn an_ended_row_never_changes(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    end(store, &claimed.id, Guard::Epoch(1), Outcome::Lost).await;
    let answer = end(store, &claimed.id, Guard::Epoch(1), Outcome::Succeeded).await;
    assert_eq!(answer, RowAnswer::Late);
    let found = store.row(&claimed.id).await.unwrap().unwrap();
    assert_eq!(found.state, State::Ended(ending(Outcome::Lost)));
    assert_eq!(found.late_outcome, Some(Outcome::Succeeded));
}

pub(crate) async fn an_ending_with_a_wrong_token_changes_nothing(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    let answer = end(store, &claimed.id, Guard::Epoch(7), Outcome::Succeeded).await;
    assert_eq!(answer, RowAnswer::Late);
    let found = store.row(&claimed.id).await.unwrap().unwrap();
    assert_eq!(found, Row { late_outcome: Some(Outcome::Succeeded), ..claimed });
}

pub(crate) async fn an_ending_by_node_needs_that_node(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    let other = end(store, &claimed.id, Guard::Node("n2".into()), Outcome::Succeeded).await;
    assert_eq!(other, RowAnswer::Late);
    let own = end(store, &claimed.id, Guard::Node("n1".into()), Outcome::Succeeded).await;
    assert_eq!(own, RowAnswer::Recorded);
}

pub(crate) async fn recording_twice_is_recording_once(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    let outcome = Outcome::Failed(Failed::Exit);
    let guard = || Guard::Epoch(1);
    assert_eq!(end(store, &claimed.id, guard(), outcome).await, RowAnswer::Recorded);
    let once = store.row(&claimed.id).await.unwrap();
    assert_eq!(end(store, &claimed.id, guard(), outcome).await, RowAnswer::Recorded);
    assert_eq!(store.row(&claimed.id).await.unwrap(), once);
    let unknown = ExecutionId("nobody".into());
    assert_eq!(end(store, &unknown, guard(), outcome).await, RowAnswer::NoRow);
}

pub(crate) async fn an_ending_with_another_reason_is_late(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    let guard = || Guard::Epoch(1);
    let (exit, spawn) = (Outcome::Failed(Failed::Exit), Outcome::Failed(Failed::Spawn));
    assert_eq!(end(store, &claimed.id, guard(), exit).await, RowAnswer::Recorded);
    assert_eq!(end(store, &claimed.id, guard(), spawn).await, RowAnswer::Late);
    assert_eq!(store.row(&claimed.id).await.unwrap().unwrap().late_outcome, Some(spawn));
}

pub(crate) async fn a_start_after_the_end_changes_nothing(store: &dyn Store) {
    let claimed = row("a", 1);
    claim(store, 1, vec![claimed.clone()]).await;
    let start = RowChange::Started { id: claimed.id.clone(), epoch: 1, at: at(1) };
    store.record(std::slice::from_ref(&start)).await.unwrap();
    let running = store.row(&claimed.id).await.unwrap().unwrap();
    assert_eq!(running.state, State::Running { started_at: at(1) });
    end(store, &claimed.id, Guard::Epoch(1), Outcome::Succeeded).await;
    store.record(&[start]).await.unwrap();
    let ended = store.row(&claimed.id).await.unwrap().unwrap();
    assert_eq!(ended.state, State::Ended(ending(Outcome::Succeeded)));
}

pub(crate) async fn a_row_reads_back_as_it_was_written(store: &dyn Store) {
    let mut skipped = row("a", 1);
    skipped.slot = None;
    skipped.trigger = None;
    skipped.note = Some("a-1@earlier".to_owned());
    skipped.state = State::Ended(ending(Outcome::Skipped(Skipped::Overlap)));
    let mut text = row("b", 1);
    let mut printed = ending(Outcome::Succeeded);
    printed.output.head = "grüß dich\n".into();
    text.state = State::Ended(printed);
    text.slot = None;
    text.start_time = at(3);
    claim(store, 1, vec![skipped.clone(), text.clone()]).await;
    assert_eq!(store.row(&skipped.id).await.unwrap(), Some(skipped));
    assert_eq!(store.row(&text.id).await.unwrap(), Some(text));
}

pub(crate) async fn a_plan_is_saved_whole_or_not_at_all(store: &dyn Store) {
    let first = store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    assert_eq!(first, PlanAnswer::Saved { generation: 1 });
    let stale = store.save_plan(&plan(0, &["c"], &["a"])).await.unwrap();
    assert_eq!(stale, PlanAnswer::Stale);
    let contents = store.load().await.unwrap();
    assert_eq!((contents.generation, contents.revision.as_str()), (1, "r1"));
    let expected = [JobDocument::of(&job("a"), None), JobDocument::of(&job("b"), None)];
    let mut jobs = contents.jobs;
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(jobs, expected);
    let plans = store.plans(5).await.unwrap();
    assert_eq!(plans.iter().map(|plan| plan.generation).collect::<Vec<_>>(), [1]);
}

pub(crate) async fn a_pin_and_what_was_replaced_are_part_of_a_plan(store: &dyn Store) {
    let declared = |name: &str| {
        let AppliedJob { spec, digest, source, .. } = job(name);
        DeclaredJob { spec, digest, source }
    };
    let mut first = plan(0, &["a"], &[]);
    first.changes = vec![Change::Create { to: declared("a"), owner: job("a").owner }];
    store.save_plan(&first).await.unwrap();
    assert_eq!(store.load().await.unwrap().pin, None);
    let pin = Pin {
        revision: "r0".into(),
        generation: 0,
        by: "zoe".to_owned(),
        at: at(3),
        reason: Some("七".to_owned()),
    };
    let mut second = plan(1, &["b"], &["a"]);
    let rename = Change::Rename { from: job("a"), to: declared("b"), owner: job("a").owner };
    second.changes = vec![rename, Change::Remove { from: job("c") }];
    second.pin = Some(pin.clone());
    store.save_plan(&second).await.unwrap();
    assert_eq!(store.load().await.unwrap().pin.map(PinDocument::pin), Some(pin));
    let plans = store.plans(2).await.unwrap();
    let name = |name: &str| JobName::parse(name).unwrap();
    let before = |job: AppliedJob| {
        let AppliedJob { spec, digest, source, .. } = job;
        Some(Former { name: spec.name.clone(), digest, source })
    };
    let taken_back = |after: Option<&str>, before| TakenBack { after: after.map(name), before };
    assert_eq!(
        plans[0].taken_back().unwrap(),
        [taken_back(Some("b"), before(job("a"))), taken_back(None, before(job("c")))]
    );
    assert_eq!(plans[1].taken_back().unwrap(), [taken_back(Some("a"), None)]);
    store.save_plan(&plan(2, &[], &[])).await.unwrap();
    assert_eq!(store.load().await.unwrap().pin, None);
}

pub(crate) async fn stored_jobs_are_read_with_their_generation_and_mended(store: &dyn Store) {
    let stored = || async {
        let mut stored = store.stored_jobs().await.unwrap().unwrap();
        stored.jobs.sort_by(|a, b| a.uid.cmp(&b.uid));
        stored
    };
    assert_eq!(stored().await, StoredJobs::default());
    store.save_plan(&plan(0, &["a", "b", "c"], &[])).await.unwrap();
    store.save_plan(&plan(1, &[], &["c"])).await.unwrap();
    let before = stored().await;
    let removed = |name: &str| JobDocument::of(&job(name), Some(at(0)));
    let of = |name: &str| JobDocument::of(&job(name), None);
    assert_eq!((before.generation, &before.jobs[..]), (2, &[of("a"), of("b"), removed("c")][..]));
    assert_eq!(before.damaged, [""; 0]);
    // What somebody wrote under the uids of a and d is made what is applied, and not applied.
    let mut edited = job("a");
    edited.owner = Owner::source("elsewhere");
    let mut second = plan(2, &[], &[]);
    second.upserts = vec![edited, job("d")];
    store.save_plan(&second).await.unwrap();
    let mut mending = plan(3, &[], &[]);
    mending.repair = Repair { write: vec![job("a")], remove: vec![job("d")] };
    store.save_plan(&mending).await.unwrap();
    let after = stored().await;
    assert_eq!(
        (after.generation, &after.jobs[..]),
        (4, &[of("a"), of("b"), removed("c"), removed("d")][..])
    );
    let plans = store.plans(1).await.unwrap();
    let repaired: Vec<_> = plans[0].changes.iter().map(|c| (&*c.action, &*c.job)).collect();
    assert_eq!(repaired, [("repair", "a"), ("repair", "d")]);
    assert_eq!(plans[0].taken_back(), Some(Vec::new()), "there is nothing to take back");
}

pub(crate) async fn overrides_are_part_of_a_plan(store: &dyn Store) {
    let paused = said("a", Some(pause(1)), None);
    let mut first = plan(0, &["a", "b"], &[]);
    first.overrides = vec![paused.clone()];
    store.save_plan(&first).await.unwrap();
    let mut stale = plan(0, &[], &[]);
    stale.overrides = vec![said("b", Some(pause(2)), None)];
    assert_eq!(store.save_plan(&stale).await.unwrap(), PlanAnswer::Stale);
    let read = |contents: Contents| -> Vec<_> {
        contents.overrides.into_iter().map(|document| document.said().unwrap()).collect()
    };
    let stored = read(store.load().await.unwrap());
    assert_eq!(stored, [(paused.uid, paused.to)]);
    let skip = SkipNext { by: "zoe".to_owned(), at: at(3), reason: None };
    let skipping = said("a", None, Some(skip));
    let mut second = plan(1, &[], &[]);
    second.overrides = vec![skipping.clone()];
    assert_eq!(store.save_plan(&second).await.unwrap(), PlanAnswer::Saved { generation: 2 });
    let contents = store.load().await.unwrap();
    assert_eq!(contents.jobs.len(), 2);
    assert_eq!(read(contents), [(skipping.uid, skipping.to)]);
    let change = &store.plans(1).await.unwrap()[0].changes[0];
    assert_eq!((change.action.as_str(), change.job.as_str()), ("pause", "a"));
}

pub(crate) async fn rows_after_the_beginning_of_a_pause_are_covered(store: &dyn Store) {
    let mut paused = plan(0, &["a", "b"], &[]);
    paused.overrides = vec![said("a", Some(pause(3)), None)];
    store.save_plan(&paused).await.unwrap();
    let mut range = row("a", 4);
    range.range = Some(Range { first: at(4), last: at(6), count: 3 });
    range.slot = None;
    range.state = State::Ended(ending(Outcome::Skipped(Skipped::Paused)));
    let mut request = row("a", 5);
    request.id = ExecutionId("some-request".into());
    request.cause = Cause::Request;
    let mut before = row("a", 3);
    before.slot = Some(7);
    let rows = vec![before, range.clone(), request, row("b", 4)];
    claim(store, 9, rows).await;
    let after = row("b", 10);
    claim(store, 9, vec![Row { slot: Some(3), ..after.clone() }]).await;
    let mut covered = store.load().await.unwrap().covered;
    covered.sort_by(|a, b| a.0.cmp(&b.0));
    let expected =
        [(range.uid, Range { first: at(4), last: at(6), count: 3 }), (after.uid, single(at(10)))];
    assert_eq!(covered, expected);
}

pub(crate) async fn a_removed_job_is_kept_as_removed_and_its_name_is_free(store: &dyn Store) {
    store.save_plan(&plan(0, &["a"], &[])).await.unwrap();
    store.save_plan(&plan(1, &[], &["a"])).await.unwrap();
    let jobs = store.load().await.unwrap().jobs;
    assert_eq!(jobs, [JobDocument::of(&job("a"), Some(at(0)))]);
    store.save_plan(&plan(2, &["a"], &[])).await.unwrap();
    let jobs = store.load().await.unwrap().jobs;
    assert_eq!(jobs, [JobDocument::of(&job("a"), None)]);
}

pub(crate) async fn the_same_holder_keeps_its_epoch_and_another_gets_a_higher_one(
    store: &dyn Store,
) {
    let ttl = Duration::from_secs(4);
    let holder = |identity: &str| Holder { node: "n1".into(), identity: identity.into() };
    let first = store.take_lease(&holder("p1"), Bid::First, ttl).await.unwrap();
    assert_eq!(first, LeaseAnswer::Held { epoch: 1 });
    assert_eq!(store.take_lease(&holder("p1"), Bid::First, ttl).await.unwrap(), first);
    let restarted = store.take_lease(&holder("p2"), Bid::First, ttl).await.unwrap();
    assert_eq!(restarted, LeaseAnswer::Held { epoch: 2 });
}

pub(crate) async fn rows_are_read_newest_first_and_filtered(store: &dyn Store) {
    store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    let rows: Vec<Row> = (1..=4).map(|minute| row("a", minute)).collect();
    for (minute, each) in (1..).zip(&rows) {
        claim(store, minute, vec![each.clone()]).await;
        let outcome =
            if minute % 2 == 0 { Outcome::Succeeded } else { Outcome::Failed(Failed::Exit) };
        end(store, &each.id, Guard::Epoch(1), outcome).await;
    }
    claim(store, 5, vec![row("b", 2)]).await;
    let ids = |query: Query| async move {
        let rows = store.rows(&query).await.unwrap();
        rows.iter().map(|row| (row.job.to_string(), row.fire_time)).collect::<Vec<_>>()
    };
    let a = JobName::parse("a").unwrap();
    let failed = vec!["failed".to_owned()];
    let of_a = ids(Query { job: Some(a.clone()), limit: 2, ..all() }).await;
    assert_eq!(of_a, [("a".to_owned(), at(4)), ("a".to_owned(), at(3))]);
    let failed = ids(Query { outcomes: failed, since: Some(at(2)), ..all() }).await;
    assert_eq!(failed, [("a".to_owned(), at(3))]);
    assert_eq!(ids(Query { revision: Some("r9".to_owned()), ..all() }).await, []);
    let newest = store.latest_rows().await.unwrap();
    let mut newest: Vec<_> = newest.iter().map(|row| (row.job.as_str(), row.fire_time)).collect();
    newest.sort_unstable();
    assert_eq!(newest, [("a", at(4)), ("b", at(2))]);
}

/// A plan in which jobs have other names: each `(before, after)` goes on under its own uid.
fn renaming(generation: u64, moves: &[(&str, &str)]) -> PlanWrites {
    let mut writes = plan(generation, &[], &[]);
    for (before, after) in moves {
        let (from, to) = (job(before), renamed(before, after));
        writes.changes.push(Change::Rename {
            from: from.clone(),
            to: DeclaredJob {
                spec: to.spec.clone(),
                digest: to.digest.clone(),
                source: to.source.clone(),
            },
            owner: from.owner,
        });
        writes.upserts.push(to);
    }
    writes
}

/// The job that was applied first as `before`, by the name `after`.
fn renamed(before: &str, after: &str) -> AppliedJob {
    AppliedJob { uid: job(before).uid, ..job(after) }
}

/// Which job has which name: uid, name, whether it is removed.
async fn names(store: &dyn Store) -> Vec<(String, String, bool)> {
    let jobs = store.load().await.unwrap().jobs;
    let mut names: Vec<_> =
        jobs.into_iter().map(|job| (job.uid, job.name, job.removed_at.is_some())).collect();
    names.sort();
    names
}

fn named(expected: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
    let owned =
        |(uid, name, gone): &(&str, &str, bool)| ((*uid).to_owned(), (*name).to_owned(), *gone);
    expected.iter().map(owned).collect()
}

pub(crate) async fn jobs_go_on_under_other_names_in_chains_and_swaps(store: &dyn Store) {
    store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    let chain = renaming(1, &[("a", "b"), ("b", "c")]);
    assert_eq!(store.save_plan(&chain).await.unwrap(), PlanAnswer::Saved { generation: 2 });
    assert_eq!(names(store).await, named(&[("a-1", "b", false), ("b-1", "c", false)]));
    let mut swap = plan(2, &[], &[]);
    swap.upserts = vec![renamed("a", "c"), renamed("b", "b")];
    assert_eq!(store.save_plan(&swap).await.unwrap(), PlanAnswer::Saved { generation: 3 });
    assert_eq!(names(store).await, named(&[("a-1", "c", false), ("b-1", "b", false)]));
    let plans = store.plans(2).await.unwrap();
    let recorded: Vec<_> = plans[1]
        .changes
        .iter()
        .map(|change| (change.action.as_str(), change.job.as_str()))
        .collect();
    assert_eq!(recorded, [("rename", "b"), ("rename", "c")]);
    let stale = renaming(1, &[("a", "z")]);
    assert_eq!(store.save_plan(&stale).await.unwrap(), PlanAnswer::Stale);
    assert_eq!(names(store).await, named(&[("a-1", "c", false), ("b-1", "b", false)]));
    assert_eq!(store.plans(9).await.unwrap().len(), 3);
}

pub(crate) async fn a_name_may_be_left_and_taken_in_one_plan(store: &dyn Store) {
    store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    let mut taken = renaming(1, &[("a", "b")]);
    taken.removed = vec![job("b")];
    assert_eq!(store.save_plan(&taken).await.unwrap(), PlanAnswer::Saved { generation: 2 });
    assert_eq!(names(store).await, named(&[("a-1", "b", false), ("b-1", "b", true)]));
    // The one that had left its name comes back under it when that is free again.
    let mut back = renaming(2, &[("a", "a")]);
    back.upserts.push(job("b"));
    assert_eq!(store.save_plan(&back).await.unwrap(), PlanAnswer::Saved { generation: 3 });
    assert_eq!(names(store).await, named(&[("a-1", "a", false), ("b-1", "b", false)]));
}

pub(crate) async fn rows_stay_those_of_their_job_across_a_rename(store: &dyn Store) {
    store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    claim(store, 2, vec![row("a", 1), row("b", 2)]).await;
    store.save_plan(&renaming(1, &[("a", "c")])).await.unwrap();
    let mut later = row("a", 3);
    later.job = JobName::parse("c").unwrap();
    let slot_is_held = claim(store, 3, vec![later.clone()]).await;
    assert_eq!(
        slot_is_held,
        [ClaimAnswer::SlotTaken],
        "what began under the old name is in the way"
    );
    end(store, &row("a", 1).id, Guard::Epoch(1), Outcome::Succeeded).await;
    assert_eq!(claim(store, 3, vec![later]).await, [ClaimAnswer::Claimed]);
    let found = |name: &'static str| async move {
        let job = Some(JobName::parse(name).unwrap());
        let rows = store.rows(&Query { job, ..all() }).await.unwrap();
        rows.iter().map(|row| (row.job.to_string(), row.fire_time)).collect::<Vec<_>>()
    };
    assert_eq!(found("c").await, [("c".to_owned(), at(3)), ("a".to_owned(), at(1))]);
    assert_eq!(found("a").await, [("a".to_owned(), at(1))], "by the name of then too");
    let newest = store.latest_rows().await.unwrap();
    let mut newest: Vec<_> = newest.iter().map(|row| (&*row.uid.0, row.fire_time)).collect();
    newest.sort_unstable();
    assert_eq!(newest, [("a-1", at(3)), ("b-1", at(2))]);
}
