//! Plans: the switch of the applied jobs, whole or not at all, and the record of it.

use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::engine::event::PlanWrites;
use crate::engine::plan::AppliedJob;
use crate::io::store::document::{JobDocument, PinDocument, PlanDocument};
use crate::io::store::sqlite::writer::failed;
use crate::io::store::sqlite::{generation, json, overrides, set_meta};
use crate::io::store::{PlanAnswer, StoreError};

/// A plan as the tables take it: made before the connection is asked for, on which claims wait.
pub(super) struct PlanTexts {
    expected_generation: u64,
    generation: i64,
    revision: Arc<str>,
    document: String,
    removed: Vec<JobTexts>,
    upserts: Vec<JobTexts>,
    overrides: Vec<(String, String)>,
}

struct JobTexts {
    uid: String,
    name: String,
    spec_id: String,
    document: String,
}

impl PlanTexts {
    pub(super) fn of(plan: &PlanWrites) -> Result<Self, StoreError> {
        let job = |job: &AppliedJob, removed_at| -> Result<JobTexts, StoreError> {
            let document = JobDocument::of(job, removed_at);
            let text = json("job", &document)?;
            let spec_id = document.spec_id();
            Ok(JobTexts { uid: document.uid, name: document.name, spec_id, document: text })
        };
        let document = PlanDocument::of(plan, plan.expected_generation + 1);
        Ok(Self {
            expected_generation: plan.expected_generation,
            generation: document.generation,
            revision: Arc::clone(&plan.revision),
            document: json("plan", &document)?,
            removed: plan
                .removed
                .iter()
                .chain(&plan.repair.remove)
                .map(|gone| job(gone, Some(plan.effective_at)))
                .collect::<Result<_, _>>()?,
            upserts: plan
                .upserts
                .iter()
                .chain(&plan.repair.write)
                .map(|put| job(put, None))
                .collect::<Result<_, _>>()?,
            overrides: overrides::texts(&plan.overrides)?,
        })
    }
}

/// So many definitions are written in one transaction: claims wait for no more of them.
pub(super) const SPECS_AT_ONCE: usize = 200;

impl PlanTexts {
    /// How many definitions it has.
    pub(super) fn specs(&self) -> usize {
        self.upserts.len()
    }
}

/// Writes definitions of a plan, before the plan: under ids of their own, which nothing names if it is not
/// written after all.
pub(super) fn save_specs(
    connection: &Connection,
    plan: &PlanTexts,
    which: Range<usize>,
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failed("write definitions", &error);
    let mut put = connection
        .prepare_cached("INSERT OR REPLACE INTO specs VALUES (?1, ?2)")
        .map_err(failed)?;
    for JobTexts { spec_id, document, .. } in plan.upserts.get(which).unwrap_or_default() {
        put.execute(params![spec_id, document]).map_err(failed)?;
    }
    Ok(())
}

/// Writes a plan whose definitions are written, if the generation is the expected one.
pub(super) fn save(connection: &Connection, plan: &PlanTexts) -> Result<PlanAnswer, StoreError> {
    if generation(connection)? != plan.expected_generation {
        return Ok(PlanAnswer::Stale);
    }
    let failed = |error: rusqlite::Error| failed("write a plan", &error);
    let mut put_job = connection
        .prepare_cached("INSERT OR REPLACE INTO jobs VALUES (?1, ?2, ?3, ?4)")
        .map_err(failed)?;
    // Removals first: a name may pass to another uid in one plan.
    for JobTexts { uid, name, document, .. } in &plan.removed {
        put_job.execute(params![uid, name, 0, document]).map_err(failed)?;
    }
    for JobTexts { uid, name, document, .. } in &plan.upserts {
        put_job.execute(params![uid, name, 1, document]).map_err(failed)?;
    }
    overrides::write(connection, &plan.overrides)?;
    connection
        .execute("INSERT INTO plans VALUES (?1, ?2)", params![plan.generation, plan.document])
        .map_err(failed)?;
    let generation = plan.expected_generation + 1;
    set_meta(connection, "generation", &generation.to_string())?;
    set_meta(connection, "revision", &plan.revision)?;
    Ok(PlanAnswer::Saved { generation })
}

/// What is pinned.
pub(super) fn pin(connection: &Connection) -> Result<Option<PinDocument>, StoreError> {
    Ok(newest(connection, 1)?.pop().and_then(|plan| plan.pin))
}

/// The newest applied plans.
pub(super) fn newest(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<PlanDocument>, StoreError> {
    let failed = |error: rusqlite::Error| failed("read plans", &error);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare_cached("SELECT doc FROM plans ORDER BY generation DESC LIMIT ?1")
        .map_err(failed)?;
    let found = statement.query_map([limit], |row| row.get::<_, String>(0)).map_err(failed)?;
    found
        .map(|doc| {
            serde_json::from_str(&doc.map_err(failed)?).map_err(|error| StoreError::Damaged {
                kind: "plan",
                id: String::new(),
                message: error.to_string(),
            })
        })
        .collect()
}
