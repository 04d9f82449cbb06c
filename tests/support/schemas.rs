//! The JSON Schemas of what is on the bus, `events/schemas`.

use jsonschema::Validator;
use serde_json::Value;

/// The file of a detail-type's schema, below `events/`.
pub(crate) fn file_of(detail_type: &str) -> String {
    let words = detail_type.to_ascii_lowercase().replace(' ', "-");
    format!("schemas/{words}.json")
}

/// The schema of a detail-type.
pub(crate) fn schema_of(detail_type: &str) -> Value {
    let bytes = super::sample_bytes(&file_of(detail_type));
    serde_json::from_slice(&bytes).expect("a schema is JSON")
}

/// What is wrong with a detail by the schema of its type, with where; empty where it holds.
pub(crate) fn faults(detail_type: &str, detail: &Value) -> Vec<String> {
    let errors = validator(&schema_of(detail_type));
    let errors = errors.iter_errors(detail);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// A validator that looks at formats, too.
fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("a schema that can be used")
}
