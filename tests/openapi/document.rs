//! Swagger 2.0 documents as far as judging needs them: which operation a request is, and what may be in it and its answer.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::schema::{self, Definitions};

/// One document.
pub(crate) struct Document {
    pub(crate) operations: Vec<Operation>,
    pub(crate) definitions: Definitions,
}

/// An operation of a document. Schemas are JSON Schemas already.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: Template,
    pub(crate) path_parameters: Parameters,
    pub(crate) query: Parameters,
    pub(crate) body: Option<Value>,
    /// By status; without a schema where the answer has no body.
    pub(crate) answers: BTreeMap<u16, Option<Value>>,
    pub(crate) produces: Vec<String>,
}

/// Parameters that are text on the wire, as one object.
#[derive(Default)]
pub(crate) struct Parameters {
    types: BTreeMap<String, String>,
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Document {
    /// Reads a document that is corrected already.
    pub(crate) fn read(root: &Value) -> Result<Self> {
        let mut operations = Vec::new();
        // The second has what shares a path with an operation of the first and differs by a parameter.
        for paths in ["paths", "x-ms-paths"] {
            for (path, methods) in root[paths].as_object().into_iter().flatten() {
                for (method, operation) in methods.as_object().context("no operations")? {
                    let read = operation_of(root, path, method, operation);
                    operations.push(read.with_context(|| format!("{method} {path}"))?);
                }
            }
        }
        Ok(Self {
            operations,
            definitions: Definitions::of(root),
        })
    }
}

fn operation_of(root: &Value, path: &str, method: &str, operation: &Value) -> Result<Operation> {
    let (mut in_path, mut in_query) = (Parameters::default(), Parameters::default());
    let (mut optional, mut body) = (BTreeSet::new(), None);
    for given in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = match given["$ref"].as_str() {
            Some(reference) => schema::resolve(root, reference)?,
            None => given,
        };
        let name = parameter["name"]
            .as_str()
            .context("a parameter without name")?;
        match parameter["in"].as_str() {
            Some("path") => {
                if parameter["x-ms-required"] == json!(false) {
                    optional.insert(name.to_owned());
                } else {
                    in_path.add(name, parameter);
                }
            }
            Some("query") => in_query.add(name, parameter),
            Some("body") => body = Some(schema::convert(root, &parameter["schema"])),
            other => anyhow::bail!("a parameter in {other:?}"),
        }
    }
    let mut answers = BTreeMap::new();
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let schema = answer.get("schema").map(|it| schema::answer(root, it));
        answers.insert(
            status.parse().with_context(|| format!("status {status}"))?,
            schema,
        );
    }
    Ok(Operation {
        id: operation["operationId"]
            .as_str()
            .unwrap_or("without id")
            .to_owned(),
        method: method.to_uppercase(),
        path: Template::new(path.split('?').next().unwrap_or(path), &optional),
        path_parameters: in_path,
        query: in_query,
        body,
        answers,
        produces: serde_json::from_value(operation["produces"].clone()).unwrap_or_default(),
    })
}

impl Parameters {
    fn add(&mut self, name: &str, parameter: &Value) {
        let mut schema = schema::convert(&Value::Null, parameter);
        if let Some(version) = version_asked_for(name, parameter) {
            schema = json!({ "enum": [version] });
        }
        let kind = parameter["type"].as_str().unwrap_or("string");
        self.types.insert(name.to_owned(), kind.to_owned());
        self.properties.insert(name.to_owned(), schema);
        if parameter["required"] == json!(true) {
            self.required.push(name.to_owned());
        }
    }

    pub(crate) fn required(&self) -> &[String] {
        &self.required
    }

    /// Nothing may be there that is not declared.
    pub(crate) fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        })
    }

    /// A value in its declared type, where it can be read as one; as text otherwise, which its schema then refuses.
    pub(crate) fn typed(&self, name: &str, text: &str) -> Value {
        let read = match self.types.get(name).map(String::as_str) {
            Some("integer" | "number" | "boolean") => serde_json::from_str(text).ok(),
            Some("array") => Some(text.split(',').collect()),
            _ => None,
        };
        read.unwrap_or_else(|| json!(text))
    }
}

/// The documents say the version in words: "This should be set to '7.1' to use this version of the api."
fn version_asked_for<'a>(name: &str, parameter: &'a Value) -> Option<&'a str> {
    if name != "api-version" {
        return None;
    }
    parameter["description"].as_str()?.split('\'').nth(1)
}

/// A path with `{…}` in it.
pub(crate) struct Template {
    pub(crate) text: String,
    optional: BTreeSet<String>,
}

impl Template {
    /// `optional` are the parameters that may be left out together with their segment.
    pub(crate) fn new(text: &str, optional: &BTreeSet<String>) -> Self {
        Self {
            text: text.trim_end_matches('/').to_owned(),
            optional: optional.clone(),
        }
    }

    /// The values of its parameters in a path, decoded, if it is one of these. Azure DevOps does not mind the case.
    pub(crate) fn values(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let given: Vec<&str> = path.split('/').collect();
        let whole: Vec<&str> = self.text.split('/').collect();
        let short = whole
            .iter()
            .copied()
            .filter(|part| named(part).is_none_or(|name| !self.optional.contains(name)));
        let short: Vec<&str> = short.collect();
        [whole, short]
            .iter()
            .find_map(|parts| fit(parts, &given))
            .map(|mut values| {
                values.retain(|name, _| !self.optional.contains(name));
                values
            })
    }

    pub(crate) fn literals(&self) -> usize {
        self.text
            .split('/')
            .filter(|part| named(part).is_none())
            .count()
    }
}

fn named(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn fit(parts: &[&str], given: &[&str]) -> Option<BTreeMap<String, String>> {
    if parts.len() != given.len() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (part, segment) in parts.iter().zip(given) {
        match named(part) {
            Some(name) if !segment.is_empty() => {
                let value = percent_decode_str(segment).decode_utf8_lossy().into_owned();
                values.insert(name.to_owned(), value);
            }
            None if part.eq_ignore_ascii_case(segment) => {}
            _ => return None,
        }
    }
    Some(values)
}
