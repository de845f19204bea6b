//! The committed schemas are those of the types, and say what editors show.

use cronwright::spec::schema;
use serde_json::Value;
use snapbox::{Data, assert_data_eq, file};

#[test]
fn the_committed_schemas_are_up_to_date() {
    let is = |schema: &Value| Data::text(schema::text(schema));
    assert_data_eq!(is(&schema::jobs()), file!["../../schema/v1/jobs.schema.json": Text].raw());
    let twin = file!["../../schema/v1/jobs.draft-07.schema.json": Text].raw();
    assert_data_eq!(is(&schema::jobs_draft07()), twin);
    let settings = file!["../../schema/v1/settings.schema.json": Text].raw();
    assert_data_eq!(is(&schema::settings()), settings);
}

#[test]
fn every_key_has_a_description_and_an_example() {
    let schema = schema::jobs();
    let definitions = schema["$defs"].as_object().unwrap();
    let mut bare = Vec::new();
    let whole = [("Manifest", &schema)].into_iter();
    for (name, definition) in whole.chain(definitions.iter().map(|(name, d)| (name.as_str(), d))) {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            let target = property["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            let has = |what: &str| {
                property.get(what).is_some()
                    || target.is_some_and(|target| definitions[target].get(what).is_some())
            };
            // A map is its own example: its keys have theirs.
            let map = target.is_some_and(|target| definitions[target]["type"] == "object")
                || property["anyOf"][1]["$ref"].as_str().is_some_and(is_map(definitions));
            if !has("description")
                || !(has("examples") || map || *key == "$schema" || *key == "triggers")
            {
                bare.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

fn is_map(definitions: &serde_json::Map<String, Value>) -> impl Fn(&str) -> bool {
    |path| {
        let target = path.rsplit('/').next().unwrap_or_default();
        definitions.get(target).is_some_and(|definition| definition["type"] == "object")
    }
}
