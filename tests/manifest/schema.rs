//! The committed schemas are those of the types.

use cronwright::spec::schema;
use snapbox::{Data, assert_data_eq, file};

#[test]
fn the_committed_schemas_are_up_to_date() {
    let is = |schema| Data::text(schema::text(schema));
    assert_data_eq!(is(&schema::jobs()), file!["../../schema/v1/jobs.schema.json": Text].raw());
}
