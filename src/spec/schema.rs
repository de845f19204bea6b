//! JSON Schema text (draft 2020-12) made from the types as written: what `schema/` holds, what
//! editors read, and what manifests and settings are checked against.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::spec::manifest::raw::{NULLABLE, RawManifest};
use crate::spec::settings::RawSettings;

/// Where the schema of manifests is published.
pub const JOBS_ID: &str = "https://cronwright.dev/schema/v1/jobs.schema.json";

/// The schema of manifests.
pub fn jobs() -> Value {
    generate::<RawManifest>(SchemaSettings::draft2020_12(), JOBS_ID)
}

/// The schema of manifests in draft 7, for editors that know no newer one.
pub fn jobs_draft07() -> Value {
    let id = "https://cronwright.dev/schema/v1/jobs.draft-07.schema.json";
    generate::<RawManifest>(SchemaSettings::draft07(), id)
}

/// The schema of settings.
pub fn settings() -> Value {
    let id = "https://cronwright.dev/schema/v1/settings.schema.json";
    generate::<RawSettings>(SchemaSettings::draft2020_12(), id)
}

/// A schema as the text of a file.
pub fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn generate<T: JsonSchema>(settings: SchemaSettings, id: &str) -> Value {
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    settle(&mut value);
    if let Value::Object(root) = &mut value {
        root.insert("$id".to_owned(), id.into());
    }
    value
}

/// Removes what `Option` means to serde but not to people: that an optional key may be `null`, and
/// that it then is its default. Only what is marked [`NULLABLE`] may be.
fn settle(value: &mut Value) {
    match value {
        Value::Object(map) => {
            settle_map(map);
            map.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn settle_map(map: &mut Map<String, Value>) {
    let null_type = json!("null");
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|word| *word != null_type);
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    let optional = map
        .get("anyOf")
        .and_then(Value::as_array)
        .filter(|branches| branches.len() == 2 && branches[1] == json!({ "type": "null" }));
    if let Some(Value::Object(only)) = optional.and_then(|branches| branches.first()).cloned() {
        map.remove("anyOf");
        for (key, value) in only {
            map.entry(key).or_insert(value);
        }
    }
    if map.get("default") == Some(&Value::Null) {
        map.remove("default");
    }
    // Number formats of Rust mean nothing to the reader of a schema.
    if matches!(
        map.get("format").and_then(Value::as_str),
        Some("uint32" | "int32" | "int64" | "uint64" | "double")
    ) {
        map.remove("format");
    }
    if map.remove(NULLABLE).is_some() {
        allow_null(map);
    }
}

fn allow_null(map: &mut Map<String, Value>) {
    if let Some(Value::String(only)) = map.get("type") {
        let types = json!([only, "null"]);
        map.insert("type".to_owned(), types);
        return;
    }
    let annotations = ["description", "examples", "default"];
    let mut kept = Map::new();
    for key in annotations {
        if let Some(value) = map.remove(key) {
            kept.insert(key.to_owned(), value);
        }
    }
    let inner = Value::Object(std::mem::take(map));
    // The order tells `settle_map`, which sees the branches again, that null is meant here.
    kept.insert("anyOf".to_owned(), json!([{ "type": "null" }, inner]));
    *map = kept;
}
