//! Many updates in few commands: the `update` command with a list of statements, unordered, with
//! majority. (The driver's own bulk write needs MongoDB 8.0.)

use bson::{Bson, Document, doc};

use crate::io::store::StoreError;
use crate::io::store::mongo::connection::{CALL_WITHIN, Connection};

/// How many statements one command has at most.
const STATEMENTS_MAX: usize = 500;
/// How many bytes of statements one command has at most, unless a single one is larger; the server
/// takes 16 MiB.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The error code of an upsert whose id exists while its filter does not match: nothing to do.
const DUPLICATE_KEY: i32 = 11000;

/// One statement of the `update` command.
#[derive(Debug, Clone)]
pub(super) struct Statement(Document);

impl Statement {
    /// Puts the document in the place of the one that the filter finds, or beside the others. Where
    /// another document has its id and the filter does not find it, nothing happens.
    pub(super) fn put(filter: Document, document: Document) -> Self {
        Self(doc! { "q": filter, "u": document, "upsert": true })
    }

    /// Changes the document that the filter finds.
    pub(super) fn change(filter: Document, change: Document) -> Self {
        Self(doc! { "q": filter, "u": change })
    }

    /// Changes all documents that the filter finds, each by the pipeline.
    pub(super) fn change_all(filter: Document, pipeline: Vec<Document>) -> Self {
        Self(doc! { "q": filter, "u": pipeline, "multi": true })
    }
}

/// Runs the statements and answers how many documents they found.
pub(super) async fn run(
    connection: &Connection,
    act: &'static str,
    collection: &str,
    statements: Vec<Statement>,
) -> Result<u64, StoreError> {
    let mut found = 0;
    let mut command = Vec::new();
    let mut bytes = 0;
    for Statement(statement) in statements {
        let size = size_of(&statement);
        if !command.is_empty() && (command.len() == STATEMENTS_MAX || bytes + size > BYTES_MAX) {
            found += run_one(connection, act, collection, std::mem::take(&mut command)).await?;
            bytes = 0;
        }
        bytes += size;
        command.push(statement);
    }
    if !command.is_empty() {
        found += run_one(connection, act, collection, command).await?;
    }
    Ok(found)
}

/// Bytes of a document as BSON.
pub(super) fn size_of(document: &Document) -> usize {
    document.to_vec().map_or(usize::MAX, |bytes| bytes.len())
}

async fn run_one(
    connection: &Connection,
    act: &'static str,
    collection: &str,
    statements: Vec<Document>,
) -> Result<u64, StoreError> {
    let command = doc! {
        "update": collection,
        "updates": statements,
        "ordered": false,
        "writeConcern": { "w": "majority" },
    };
    let update = async { connection.database.run_command(command).await };
    let answer = connection.call(act, CALL_WITHIN, update).await?;
    let complaints = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let complaint = complaints
        .iter()
        .filter_map(Bson::as_document)
        .find(|complaint| complaint.get_i32("code").ok() != Some(DUPLICATE_KEY));
    let complaint = complaint.or_else(|| answer.get_document("writeConcernError").ok());
    if let Some(complaint) = complaint {
        let message = complaint.get_str("errmsg").unwrap_or("an error without text").to_owned();
        return Err(StoreError::Failed { act, message });
    }
    Ok(u64::try_from(answer.get_i32("n").unwrap_or(0)).unwrap_or(0))
}
