//! Overrides in MongoDB. They are written as part of a plan, and follow it as jobs do (`plans`).

use bson::{Bson, Document, doc};

use crate::engine::overrides::OverrideWrite;
use crate::io::store::StoreError;
use crate::io::store::document::OverrideDocument;
use crate::io::store::mongo::bulk::Statement;
use crate::io::store::mongo::connection::{Connection, READ_WITHIN, all};
use crate::io::store::mongo::form;

/// What a plan holds for the overrides that follow it.
pub(super) fn pending(writes: &[OverrideWrite]) -> Result<Vec<Document>, StoreError> {
    let document = |write: &OverrideWrite| OverrideDocument::of(&write.uid, &write.to);
    writes.iter().map(|write| form::of_override(&document(write))).collect()
}

/// Lets the overrides of a committed plan follow, where no later plan has changed them already.
pub(super) fn follow(generation: i64, pending: Vec<Bson>) -> Vec<Statement> {
    let statement = |said: Bson| {
        let Bson::Document(mut said) = said else { return None };
        let uid = said.get("_id").cloned().unwrap_or(Bson::Null);
        said.insert("generation", generation);
        let older = doc! { "_id": uid, "generation": { "$lt": generation } };
        Some(Statement::put(older, said))
    };
    pending.into_iter().filter_map(statement).collect()
}

/// See `Contents::overrides`.
pub(super) async fn read(connection: &Connection) -> Result<Vec<OverrideDocument>, StoreError> {
    let overrides = connection.collection("overrides");
    let find = async { all(overrides.find(doc! {}).sort(doc! { "_id": 1 }).await?).await };
    let found = connection.call("read overrides", READ_WITHIN, find).await?;
    found.into_iter().map(form::to_override).collect()
}
