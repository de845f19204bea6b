//! Overrides in SQLite.

use rusqlite::{Connection, params};

use crate::engine::overrides::OverrideWrite;
use crate::io::store::StoreError;
use crate::io::store::document::OverrideDocument;
use crate::io::store::sqlite::json;
use crate::io::store::sqlite::writer::failed;

/// See `Contents::overrides`.
pub(super) fn read(connection: &Connection) -> Result<Vec<OverrideDocument>, StoreError> {
    let failed = |error: rusqlite::Error| failed("read overrides", &error);
    let mut statement =
        connection.prepare("SELECT uid, doc FROM overrides ORDER BY uid").map_err(failed)?;
    let found = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(failed)?;
    found
        .map(|row| {
            let (id, doc) = row.map_err(failed)?;
            serde_json::from_str(&doc).map_err(|error| StoreError::Damaged {
                kind: "override",
                id,
                message: error.to_string(),
            })
        })
        .collect()
}

/// Overrides as the table takes them: uid and document.
pub(super) fn texts(writes: &[OverrideWrite]) -> Result<Vec<(String, String)>, StoreError> {
    let text = |write: &OverrideWrite| {
        let document = OverrideDocument::of(&write.uid, &write.to);
        let text = json("override", &document)?;
        Ok((document.uid, text))
    };
    writes.iter().map(text).collect()
}

/// Writes overrides, each in the place of what its job had.
pub(super) fn write(connection: &Connection, texts: &[(String, String)]) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failed("write overrides", &error);
    let mut put = connection
        .prepare_cached("INSERT OR REPLACE INTO overrides VALUES (?1, ?2)")
        .map_err(failed)?;
    for (uid, text) in texts {
        put.execute(params![uid, text]).map_err(failed)?;
    }
    Ok(())
}
