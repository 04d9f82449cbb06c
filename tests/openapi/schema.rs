//! Swagger 2.0's schemas as JSON Schema. Stricter than they are written: what an object does not declare is not allowed,
//! since that is how a typo in a field's name is found.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A document's definitions, as JSON Schema.
pub(crate) struct Definitions(Map<String, Value>);

impl Definitions {
    pub(crate) fn of(root: &Value) -> Self {
        let all = root["definitions"].as_object().into_iter().flatten();
        Self(
            all.map(|(name, it)| (name.clone(), convert(root, it)))
                .collect(),
        )
    }

    /// A schema with the definitions that it needs.
    pub(crate) fn beside(&self, schema: &Value) -> Value {
        let mut needed = Map::new();
        self.collect(schema, &mut needed);
        let mut whole = schema.clone();
        whole["$defs"] = Value::Object(needed);
        whole
    }

    fn collect(&self, schema: &Value, needed: &mut Map<String, Value>) {
        match schema {
            Value::Object(fields) => {
                let name = fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .and_then(|it| it.strip_prefix("#/$defs/"));
                if let Some((name, found)) = name.and_then(|it| self.0.get_key_value(it))
                    && !needed.contains_key(name)
                {
                    needed.insert(name.clone(), found.clone());
                    self.collect(found, needed);
                }
                fields.values().for_each(|it| self.collect(it, needed));
            }
            Value::Array(items) => items.iter().for_each(|it| self.collect(it, needed)),
            _ => {}
        }
    }
}

/// What a reference within a document leads to.
pub(crate) fn resolve<'a>(root: &'a Value, reference: &str) -> Result<&'a Value> {
    let pointer = reference
        .strip_prefix('#')
        .context("a reference to elsewhere")?;
    root.pointer(pointer)
        .with_context(|| format!("{reference} leads nowhere"))
}

/// The schema of an answer. A list is declared as an array, and comes as `{count, value}`: every list of the service does
/// (facts 7 and all captures), and Microsoft's own clients unwrap it.
pub(crate) fn answer(root: &Value, swagger: &Value) -> Value {
    let schema = convert(root, swagger);
    if swagger["type"] != json!("array") {
        return schema;
    }
    json!({
        "type": "object",
        "properties": { "count": { "type": "integer" }, "value": schema },
        "required": ["count", "value"],
        "additionalProperties": false,
    })
}

/// A schema, with references into `$defs`.
pub(crate) fn convert(root: &Value, swagger: &Value) -> Value {
    let converted = match swagger["$ref"].as_str() {
        Some(reference) => json!({ "$ref": reference.replace("#/definitions/", "#/$defs/") }),
        None => plain(root, swagger),
    };
    // Swagger 2.0 knows no null; this is the usual extension for it, used in `exceptions.rs` alone.
    if swagger["x-nullable"] == json!(true) {
        return json!({ "if": { "type": "null" }, "else": converted });
    }
    converted
}

fn plain(root: &Value, swagger: &Value) -> Value {
    let mut schema = Map::new();
    if let Some(values) = swagger.get("enum") {
        schema.insert("enum".to_owned(), values.clone());
    }
    match (swagger["type"].as_str(), swagger["format"].as_str()) {
        (Some("string"), format) => {
            schema.insert("type".to_owned(), json!("string"));
            if let Some("uuid" | "date-time") = format {
                schema.insert("format".to_owned(), json!(format));
            }
        }
        (Some("integer"), format) => {
            schema.insert("type".to_owned(), json!("integer"));
            let (least, most) = match format {
                Some("int16") => (i64::from(i16::MIN), i64::from(i16::MAX)),
                Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            schema.insert("minimum".to_owned(), json!(least));
            schema.insert("maximum".to_owned(), json!(most));
        }
        (Some("array"), _) => {
            schema.insert("type".to_owned(), json!("array"));
            schema.insert("items".to_owned(), convert(root, &swagger["items"]));
        }
        (Some("object"), _) => object(root, swagger, &mut schema),
        (Some(kind), _) => {
            schema.insert("type".to_owned(), json!(kind));
        }
        (None, _) => {}
    }
    Value::Object(schema)
}

fn object(root: &Value, swagger: &Value, schema: &mut Map<String, Value>) {
    schema.insert("type".to_owned(), json!("object"));
    let mut all = Declared::default();
    all.gather(root, swagger);
    match all.others {
        Some(others) => {
            schema.insert("additionalProperties".to_owned(), others);
        }
        // An object that declares nothing may hold anything.
        None if all.properties.is_empty() => {}
        None => {
            schema.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    schema.insert("properties".to_owned(), Value::Object(all.properties));
    schema.insert("required".to_owned(), json!(all.required));
}

/// What an object declares itself and by `allOf`, which in these documents is inheritance. As one object, so that a wrong
/// field is reported once and where it is.
#[derive(Default)]
struct Declared {
    properties: Map<String, Value>,
    required: Vec<Value>,
    others: Option<Value>,
}

impl Declared {
    fn gather(&mut self, root: &Value, swagger: &Value) {
        for parent in swagger["allOf"].as_array().into_iter().flatten() {
            match parent["$ref"].as_str().map(|it| resolve(root, it)) {
                Some(Ok(found)) => self.gather(root, found),
                _ => self.gather(root, parent),
            }
        }
        for (name, it) in swagger["properties"].as_object().into_iter().flatten() {
            self.properties.insert(name.clone(), convert(root, it));
        }
        self.required
            .extend(swagger["required"].as_array().cloned().unwrap_or_default());
        if let Some(others) = swagger.get("additionalProperties") {
            self.others = Some(match others {
                Value::Bool(_) => others.clone(),
                _ => convert(root, others),
            });
        }
    }
}
