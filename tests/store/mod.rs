//! One conformance suite over every store: what an adapter may never do differently.
//!
//! `suite!` makes each case a test of its own per adapter, so that a failure names both.

mod cases;
mod fixture;
mod on_mongo;

use std::sync::Arc;

use cronwright::io::store::Store;
use cronwright::io::store::memory::MemoryStore;
use cronwright::io::store::mongo::MongoStore;
use cronwright::io::store::sqlite::SqliteStore;

use crate::support::servers;

/// A store to test and what must stay alive with it.
struct Opened {
    store: Arc<dyn Store>,
    _keep: Option<tempfile::TempDir>,
}

async fn memory() -> Option<Opened> {
    Some(Opened { store: Arc::new(MemoryStore::default()), _keep: None })
}

async fn sqlite() -> Option<Opened> {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("cronwright.db"), "test").unwrap();
    Some(Opened { store: Arc::new(store), _keep: Some(folder) })
}

async fn mongo() -> Option<Opened> {
    let store = MongoStore::open(&servers::mongod()?.url(&servers::unique("store"))).await.unwrap();
    Some(Opened { store: Arc::new(store), _keep: None })
}

async fn mongo_with_authentication() -> Option<Opened> {
    let url = servers::mongod_with_authentication()?.url(&servers::unique("store"));
    let store = MongoStore::open(&url).await.unwrap();
    Some(Opened { store: Arc::new(store), _keep: None })
}

macro_rules! suite {
    ($($adapter:ident),*; $($case:ident),* $(,)?) => {
        suite!(@ [$($adapter)*] [$($case)*]);
    };
    (@ [$($adapter:ident)*] $cases:tt) => {
        $(suite!(@one $adapter $cases);)*
    };
    (@one $adapter:ident [$($case:ident)*]) => {
        mod $adapter {
            $(#[tokio::test]
            async fn $case() {
                let Some(opened) = super::$adapter().await else { return };
                super::cases::$case(&*opened.store).await;
            })*
        }
    };
}

suite! {
    memory, sqlite, mongo, mongo_with_authentication;
    a_new_store_is_empty,
    an_id_is_claimed_once,
    a_slot_is_held_once_and_freed_by_the_ending,
    a_taken_slot_keeps_the_watermark,
    an_occurrence_that_somebody_else_claimed_keeps_the_watermark,
    the_watermark_never_goes_backward,
    rows_after_the_watermark_are_covered_and_requests_are_not,
    an_ended_row_never_changes,
    an_ending_with_a_wrong_token_changes_nothing,
    an_ending_by_node_needs_that_node,
    recording_twice_is_recording_once,
    an_ending_with_another_reason_is_late,
    a_start_after_the_end_changes_nothing,
    a_row_reads_back_as_it_was_written,
    a_plan_is_saved_whole_or_not_at_all,
    a_pin_and_what_was_replaced_are_part_of_a_plan,
    stored_jobs_are_read_with_their_generation_and_mended,
    overrides_are_part_of_a_plan,
    rows_after_the_beginning_of_a_pause_are_covered,
    a_removed_job_is_kept_as_removed_and_its_name_is_free,
    the_same_holder_keeps_its_epoch_and_another_gets_a_higher_one,
    rows_are_read_newest_first_and_filtered,
    jobs_go_on_under_other_names_in_chains_and_swaps,
    a_name_may_be_left_and_taken_in_one_plan,
    rows_stay_those_of_their_job_across_a_rename,
}

#[test]
fn a_second_daemon_on_the_same_file_is_told_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cronwright.db");
    let _first = SqliteStore::open(&path, "host-1").unwrap();
    let error = SqliteStore::open(&path, "host-2").unwrap_err().to_string();
    let expected = format!(
        "the store at sqlite:{} is held by node `host-1`, process {}",
        path.display(),
        std::process::id()
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_file_that_a_daemon_holds_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cronwright.db");
    let writer = SqliteStore::open(&path, "host-1").unwrap();
    cases::claim(&writer, 1, vec![fixture::row("a", 0)]).await;
    let reader = SqliteStore::open_to_read(&path).unwrap();
    assert_eq!(reader.in_flight().await.unwrap(), writer.in_flight().await.unwrap());
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cronwright.db");
    drop(SqliteStore::open(&path, "test").unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'v'", []).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path, "test").unwrap_err().to_string();
    assert!(error.ends_with("is of version 99; this program knows versions up to 1"), "{error}");
}
